"""How long clients wait for slots that are released: until their new owner has them, and for no other's long."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TypeVar

import pytest
from moving_nodes import release as released
from operator_world import Operator, World, make_spec

from ringkeeper.cluster.topology import SETTLED, Topology
from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import Action, AskRelease, CommitTopology, ObservedNode, Refuse, Wait, WatchMoves
from ringkeeper_operator.runtime import moving
from ringkeeper_operator.runtime.moving import release, watch_moves
from ringkeeper_operator.runtime.node_admin import NodeAdmin

Kind = TypeVar("Kind", bound=Action)


class Admin(NodeAdmin):
    """Nodes go on when they are asked; the targets of the moves in `behind` come no further than a state."""

    def __init__(
        self, world: World, operator: Operator, topology: Topology, behind: tuple[int, ...], state: str = "following"
    ) -> None:
        super().__init__()
        self.world, self.operator, self.topology, self.behind, self.state = world, operator, topology, behind, state

    async def ask_release(self, node: ObservedNode, move: int, leader: int) -> None:  # noqa: ARG002
        released(self.world, self.topology, (move,))

    async def ask_news(self, node: ObservedNode) -> ObservedNode:
        self.world.settle()
        target = self.world.node(3)
        assert target is not None
        target.moving |= dict.fromkeys(self.behind, self.state)
        return next(each for each in self.world.observe(self.operator).nodes if each.name == node.name)


def at_first(kind: type[Kind]) -> tuple[World, Operator, Kind]:
    """Three shards feed a fourth, up to the first action of this kind."""
    world, operator = World(make_spec(shards=3, replicas_per_shard=0)), Operator("one")
    world.work(operator)
    world.spec = replace(world.spec, shards=4)
    for _ in range(60):
        action = decide(world.spec, world.observe(operator), 0.0)
        if isinstance(action, kind):
            return world, operator, action
        assert action is not None
        if isinstance(action, Wait | Refuse):
            world.settle()
        else:
            world.apply(operator, action)
    raise AssertionError(f"there is no {kind.__name__}")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "RELEASE_SECONDS", 3600.0)


@pytest.mark.parametrize("behind", [0, 1, 2])
async def test_a_move_that_is_at_one_does_not_wait_for_those_that_are_not(behind: int) -> None:
    world, operator, action = at_first(AskRelease)
    assert len(action.moves) == 3
    late = action.moves[:behind]
    seen = world.observe(operator)
    async with asyncio.timeout(60):
        found = await release(Admin(world, operator, action.topology, late), action, seen, asyncio.Event())
    commit = decide(world.spec, found, 0.0)
    assert isinstance(commit, CommitTopology)
    assert {move.id for move in commit.topology.moves if move.phase == SETTLED} == {*action.moves} - {*late}


@pytest.mark.parametrize("behind", [0, 1, 2])
async def test_a_move_whose_keys_have_come_is_asked_for_at_once_and_with_it_those_that_are_as_far(behind: int) -> None:
    world, operator, action = at_first(WatchMoves)
    assert len(action.moves) == 3
    late = action.moves[:behind]
    async with asyncio.timeout(60):
        found = await watch_moves(
            Admin(world, operator, action.topology, late, "loading"), action, world.observe(operator), asyncio.Event()
        )
    asks = decide(world.spec, found, 0.0)
    assert isinstance(asks, AskRelease)
    assert {*asks.moves} == {*action.moves} - {*late}


async def test_whoever_waits_for_moves_goes_on_when_something_is_urgent() -> None:
    world, operator, action = at_first(WatchMoves)
    urgent, seen = asyncio.Event(), world.observe(operator)
    watching = asyncio.create_task(
        watch_moves(Admin(world, operator, action.topology, action.moves, "loading"), action, seen, urgent)
    )
    await asyncio.sleep(0)
    assert not watching.done()
    urgent.set()
    async with asyncio.timeout(60):
        found = await watching
    assert isinstance(decide(world.spec, found, 0.0), WatchMoves)


async def test_what_was_released_is_watched_until_it_has_another_owner() -> None:
    world, operator, action = at_first(AskRelease)
    released(world, action.topology, action.moves)
    again = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(again, AskRelease)
    assert again.moves == action.moves


async def test_a_copy_that_is_not_needed_any_more_keeps_no_release_waiting() -> None:
    world, operator, action = at_first(AskRelease)
    late = action.moves[1:]
    found = await release(
        Admin(world, operator, action.topology, late), action, world.observe(operator), asyncio.Event()
    )
    commit = decide(world.spec, found, 0.0)
    assert isinstance(commit, CommitTopology)
    world.apply(operator, commit)
    target = world.node(3)
    assert target is not None
    for _ in range(3):
        world.settle()
        target.moving |= dict.fromkeys(late, "following")
    assert target.moving[action.moves[0]] == "kept"
    following = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(following, AskRelease)
    assert set(late) <= set(following.moves)
    world.apply(operator, following)
    settled = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(settled, CommitTopology)
    assert action.moves[0] not in {move.id for move in settled.topology.moves}
