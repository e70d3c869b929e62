"""Commits that are lost while those who know of them cannot be reached: no second master beside the one they follow."""

from __future__ import annotations

from crash_world import CrashWorld, live, live_to_rest
from operator_world import make_spec

MINUTES = 3 * 60_000
"""Longer than `recoveryTimeout`."""


async def test_voters_of_a_lost_commit_are_not_forgotten_while_their_master_may_serve() -> None:
    world = CrashWorld(make_spec(shards=1, replicas_per_shard=2))
    await live_to_rest(world)
    behind, voter = world.node(0, 1), world.node(0, 2)
    assert behind
    assert voter
    behind.reachable = False
    await live(world, lambda: world.committed is not None and world.committed.shards[0].voters == (voter.id,))
    await live(world, lambda: voter.held == world.committed == world.nodes["ring-0-0"].held)
    world.hidden = {"ring-0-0", "ring-0-2"}
    behind.reachable = True
    world.lose_topology()
    until = world.now + MINUTES
    await live(world, lambda: world.now >= until, 2 * MINUTES)
    assert world.serves(world.nodes["ring-0-0"]), "its voter grants what it asks for"
    assert not world.serves(behind)
    world.hidden = set()
    await live_to_rest(world)


async def test_another_start_of_the_master_ends_the_waiting() -> None:
    world = CrashWorld(make_spec(shards=1, replicas_per_shard=2))
    await live_to_rest(world)
    world.lose_topology()
    for node in list(world.nodes.values()):
        world.crash(node.shard, node.ordinal)
    await live_to_rest(world)
