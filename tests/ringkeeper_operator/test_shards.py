"""Shards that come and go, and what stays true meanwhile."""

from __future__ import annotations

from dataclasses import replace

from operator_world import Operator, World, make_spec

from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import ApplyPieces, CommitTopology, RemovePieces, Wait
from ringkeeper_operator.plan.shards import remove_shards
from ringkeeper_operator.plan.size import kept_up


def running(shards: int = 3, replicas: int = 0) -> tuple[World, Operator]:
    world = World(make_spec(shards=shards, replicas_per_shard=replicas))
    operator = Operator("only")
    world.work(operator)
    return world, operator


def indexes(world: World) -> list[int]:
    assert world.committed
    return [shard.index for shard in world.committed.shards]


def test_a_shard_joins_when_all_its_nodes_answer() -> None:
    world, operator = running(replicas=1)
    world.spec = replace(world.spec, shards=4)
    first = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(first, ApplyPieces)
    assert first.reason == "Creating"
    world.apply(operator, first)
    world.apply(operator, decide(world.spec, world.observe(operator), 0.0))  # what slots hold is asked
    waits = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(waits, Wait), "the new nodes do not answer yet"
    assert "6 of 8 nodes answer" in waits.message
    world.nodes["ring-3-0"].phase = "running"
    assert isinstance(decide(world.spec, world.observe(operator), 0.0), Wait), "its replica does not answer yet"
    world.settle()
    joins = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(joins, CommitTopology)
    assert joins.reason == "ShardsAdded"
    assert joins.topology.owners.count(3) == 0
    assert [node.name for node in joins.topology.nodes if node.shard == 3] == ["ring-3-0", "ring-3-1"]


def test_a_shard_begins_in_a_term_that_no_former_shard_of_its_number_can_have_seen() -> None:
    world, operator = running()
    world.restart(1)
    world.work(operator)
    assert world.committed
    before = world.committed.epoch
    world.spec = replace(world.spec, shards=4)
    world.apply(operator, decide(world.spec, world.observe(operator), 0.0))
    world.settle()
    joins = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(joins, CommitTopology)
    shard = joins.topology.shard(3)
    assert shard is not None
    assert shard.term == joins.topology.epoch == before + 1


def emptied(world: World, shard: int) -> None:
    """As if its slots had been moved to shard 0 before."""
    assert world.committed
    owners = tuple(0 if owner == shard else owner for owner in world.committed.owners)
    world.committed = replace(world.committed, epoch=world.committed.epoch + 1, owners=owners)
    world.history.append(world.committed)
    for node in world.nodes.values():
        node.held = world.committed
        if node.shard == shard:
            node.keys = 0


def test_an_empty_shard_leaves_the_topology_and_only_then_goes() -> None:
    world, operator = running(4)
    world.spec = replace(world.spec, shards=3)
    world.write(3)
    assert remove_shards(kept_up(world.spec, world.committed), world.observe(operator)) is None, "it owns slots"
    emptied(world, 3)
    world.nodes["ring-3-0"].keys = 1
    assert remove_shards(kept_up(world.spec, world.committed), world.observe(operator)) is None, "it holds a key"
    world.nodes["ring-3-0"].keys = 0
    leaves = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(leaves, CommitTopology)
    assert leaves.reason == "ShardsRemoved"
    world.apply(operator, leaves)
    world.apply(operator, decide(world.spec, world.observe(operator), 0.0))  # the push
    goes = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(goes, RemovePieces)
    assert goes.pieces == ("Process/ring-3-0",)
    world.work(operator)
    assert indexes(world) == [0, 1, 2]
    assert set(world.nodes) == {"ring-0-0", "ring-1-0", "ring-2-0"}
    assert world.is_ready()


def test_nodes_of_a_listed_shard_are_never_removed_whatever_the_manifest_says() -> None:
    world, operator = running(4)
    world.spec = replace(world.spec, shards=3)
    seen = replace(world.observe(operator), obsolete=("Process/ring-3-0", "StatefulSet/ring-3", "Process/ring-2-0"))
    assert not isinstance(decide(world.spec, seen, 0.0), RemovePieces)
    lost = replace(seen, topology=None, topology_version=None, newest_held=world.committed)
    assert not isinstance(decide(world.spec, lost, 0.0), RemovePieces)
    unknown = replace(lost, newest_held=None)
    assert not isinstance(decide(world.spec, unknown, 0.0), RemovePieces)


def test_a_shard_that_is_to_go_is_mended_while_it_is_there() -> None:
    world, operator = running(4)
    world.spec = replace(world.spec, shards=3)
    world.vanish(3)
    mends = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(mends, ApplyPieces)
    assert mends.pieces == ("Process/ring-3-0",)
    assert mends.reason == "Restarting"
