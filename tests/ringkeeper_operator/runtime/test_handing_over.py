"""What keeps clients waiting while another master is appointed comes first, and nothing else is done meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from operator_world import Operator, World, make_spec

from ringkeeper_operator.model import (
    Action,
    AskHandover,
    AskRelease,
    CommitTopology,
    Failover,
    Observed,
    ObservedNode,
    Spec,
)
from ringkeeper_operator.runtime import loop, node_admin
from ringkeeper_operator.runtime.base import PushError, Runtime
from ringkeeper_operator.runtime.node_admin import NodeAdmin

NAMES = ("ring-0-0", "ring-1-0", "ring-1-1", "ring-2-0")
AWAITED = (frozenset(("ring-1-1",)), frozenset(("ring-1-0",)))
"""The new master, and the former one."""


def settled() -> Observed:
    world, operator = World(make_spec(shards=3)), Operator("one")
    world.work(operator)
    return world.observe(operator)


class Slow(NodeAdmin):
    """Every node answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.handed: list[str] = []
        self.answers = {name: asyncio.Event() for name in NAMES}

    async def _call(self, method: str, node: ObservedNode, *_: Any) -> Any:
        assert method == "PUT"
        self.handed.append(node.name)
        await self.answers[node.name].wait()


def nodes() -> list[ObservedNode]:
    return [ObservedNode(name=name, shard=int(name[5]), ordinal=int(name[7]), phase="running") for name in NAMES]


async def until(check: Any) -> None:
    async with asyncio.timeout(20):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def test_those_for_whom_clients_wait_have_it_before_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_admin, "FIRST_SECONDS", 60.0)
    topology = settled().topology
    assert topology is not None
    admin = Slow()
    pushing = asyncio.create_task(admin.push(topology, nodes(), first=AWAITED))
    for handed in ["ring-1-1"], ["ring-1-1", "ring-1-0"]:
        await until(lambda handed=handed: len(admin.handed) == len(handed))
        assert admin.handed == handed
        admin.answers[handed[-1]].set()
    await until(lambda: len(admin.handed) == 4)
    for answer in admin.answers.values():
        answer.set()
    await pushing


async def test_one_that_does_not_answer_keeps_the_others_waiting_for_a_moment_only() -> None:
    topology = settled().topology
    assert topology is not None
    admin = Slow()
    for name in set(NAMES) - {"ring-1-1"}:
        admin.answers[name].set()
    with pytest.raises(PushError, match="ring-1-1: no answer yet"):
        await admin.push(topology, nodes(), first=AWAITED)
    assert sorted(admin.handed) == sorted(NAMES)
    await admin.close()


def test_clients_wait_for_new_masters_and_for_those_who_send_them_there() -> None:
    topology = settled().topology
    assert topology is not None
    failover = Failover(shard=1, term=2, time=0.0, cause="handover", former="ring-1-0", master="ring-1-1")
    action = CommitTopology(reason="HandedOver", message="", topology=topology, expected=None, failovers=(failover,))
    assert action.awaited == AWAITED


class Looking:
    """A runtime that only tells what it was asked."""

    def __init__(self, observed: Observed) -> None:
        self.urgent = asyncio.Event()
        self.alarm = asyncio.Event()
        self.observed = observed
        self.asked: list[str] = []

    async def observe(self, spec: Spec) -> Observed:  # noqa: ARG002
        self.asked.append("observe")
        return self.observed

    async def glance(self, spec: Spec) -> Observed:  # noqa: ARG002
        self.asked.append("glance")
        return replace(self.observed, is_glance=True)

    async def apply(self, spec: Spec, action: Action) -> None:  # noqa: ARG002
        self.asked.append(type(action).__name__)

    async def publish(self, *_: object) -> None: ...

    async def record(self, *_: object) -> None: ...


async def test_what_is_urgent_already_begins_with_no_thorough_look() -> None:
    spec = make_spec(shards=3)
    runtime = Looking(settled())
    runtime.urgent.set()
    assert await loop.reconcile_once(cast(Runtime, runtime), spec) == 0.0
    assert runtime.asked == ["glance"]
    assert not runtime.urgent.is_set()
    await loop.reconcile_once(cast(Runtime, runtime), spec)
    assert runtime.asked[1] == "observe", "what was found at a glance is looked at again"


async def test_who_was_asked_to_hand_over_is_left_alone_until_it_says_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = make_spec(shards=3)
    runtime = Looking(settled())
    asked = AskHandover(reason="HandingOver", message="", shard=0, term=1, target="a" * 40)
    monkeypatch.setattr(loop, "decide", lambda *_: asked)
    assert await loop.reconcile_once(cast(Runtime, runtime), spec) == loop.ASKED_SECONDS
    assert runtime.asked == ["observe", "AskHandover"]


async def test_slots_that_are_asked_for_at_a_glance_are_taken_at_one_and_all_is_looked_at_behind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec, seen = make_spec(shards=3), settled()
    assert seen.topology is not None
    asked = AskRelease(reason="Rebalancing", message="", topology=seen.topology, moves=(4,))
    commit = CommitTopology(reason="SlotsMoved", message="", topology=seen.topology, expected=None)
    for following, done in ((asked, []), (commit, ["CommitTopology"])):
        runtime, actions = Looking(seen), iter((asked, following))
        runtime.urgent.set()
        monkeypatch.setattr(loop, "decide", lambda *_, actions=actions: next(actions))
        assert await loop.reconcile_once(cast(Runtime, runtime), spec) == 0.0
        assert runtime.asked == ["glance", "AskRelease", "glance", *done]
        assert not runtime.urgent.is_set(), "the next look is a thorough one: a glance knows little of other nodes"
