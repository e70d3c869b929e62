"""That a shard has no master is in the status when it is suspected, not when another has taken its place."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from crash_world import CrashWorld, live, live_to_rest
from operator_world import Operator, World, make_spec

from ringkeeper.cluster.arbiter import Verdict
from ringkeeper_operator.model import Action, Handover, Observed, Spec, Wait
from ringkeeper_operator.runtime.loop import run

WITHIN = 3000
"""Milliseconds from a master's end to the word of it."""
DEADLINE = 30.0


def conditions(status: dict[str, object]) -> dict[str, tuple[str, str]]:
    rows = status["conditions"]
    assert isinstance(rows, list)
    return {row["type"]: (row["status"], row["message"]) for row in rows}


async def told_not_ready(world: CrashWorld) -> tuple[int, dict[str, object]]:
    """When the status said first that the cluster is not ready, and all that it said."""
    began = world.now
    process = world.process
    assert process

    def unready() -> list[tuple[int, dict[str, object]]]:
        told = [(at, status) for at, status in process.told if at >= began]
        return [(at, status) for at, status in told if conditions(status)["Ready"][0] == "False"]

    await live(world, lambda: bool(unready()))
    return unready()[0]


async def test_a_master_that_falls_silent_makes_the_cluster_unready_before_another_is_master(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = CrashWorld(make_spec(shards=2, replicas_per_shard=1))
    await live_to_rest(world)
    node = world.node(1, 0)
    assert node
    process = world.process
    assert process
    before = world.observe(process.operator)

    async def looked_before(spec: Spec) -> Observed:  # noqa: ARG001
        """What nodes answered to a look that began while all was well."""
        return process.with_memory(before)

    node.reachable = False
    began = world.now
    with monkeypatch.context() as patch:
        patch.setattr(process, "observe", looked_before)
        at, status = await told_not_ready(world)
    assert at - began <= WITHIN
    assert world.committed
    assert world.committed.shards[1].term == 1, "it is told before anybody else is appointed"
    ready, why = conditions(status)["Ready"]
    assert ready == "False"
    assert "not serving: ring-1-0 (suspected)" in why
    assert "ring-1-0: not heard for 1.5 s" in str(status["message"])
    await live(world, lambda: world.committed is not None and world.committed.shards[1].term == 2)
    node.reachable = True
    await live(world, lambda: conditions(process.told[-1][1])["Ready"][0] == "True")


async def test_a_planned_handover_leaves_it_ready() -> None:
    world = CrashWorld(make_spec(shards=1, replicas_per_shard=1))
    await live_to_rest(world)
    assert world.process
    world.process.told.clear()
    world.spec = replace(world.spec, handovers=(Handover(0, term=1),))
    await live_to_rest(world)
    assert world.committed
    assert world.committed.shards[0].term == 2
    assert not world.process.alarm.is_set()
    assert all("suspected" not in str(status) for _, status in world.process.told)


class Stuck:
    """A runtime whose look at the nodes never ends, as where a host has fallen silent."""

    def __init__(self, seen: Observed) -> None:
        self.urgent, self.alarm, self.published = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.seen = seen
        self.told: list[Action | None] = []

    async def observe(self, spec: Spec) -> Observed:  # noqa: ARG002
        await asyncio.Event().wait()
        return self.seen

    async def glance(self, spec: Spec) -> Observed | None:  # noqa: ARG002
        return self.seen

    async def apply(self, spec: Spec, action: Action) -> None: ...

    async def publish(self, spec: Spec, observed: Observed, action: Action | None) -> None:  # noqa: ARG002
        self.told.append(action)
        self.published.set()

    async def record(self, spec: Spec, action: Action) -> None: ...


async def test_it_is_told_while_the_loop_waits_for_a_node_that_does_not_answer() -> None:
    world = World(make_spec(shards=1, replicas_per_shard=1))
    operator = Operator("only")
    world.work(operator)
    seen = replace(world.observe(operator), verdicts={0: Verdict("suspected", "ring-0-0: not heard for 1.5 s")})
    runtime = Stuck(seen)
    work = asyncio.create_task(run(runtime, lambda: world.spec, asyncio.Event()))
    runtime.alarm.set()
    await asyncio.wait_for(runtime.published.wait(), DEADLINE)
    (told,) = runtime.told
    assert isinstance(told, Wait)
    assert (told.reason, told.message) == ("MasterSuspected", "ring-0-0: not heard for 1.5 s")
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
