"""The operator ends at any of its writes, before or after it took effect, and another process follows: whatever was
under way is brought to its end, with one master a shard, and no answered write is lost.

Every scenario is carried out once without a fault to number its writes, then once for each write and way to end at it,
then with two such ends and observations that are older than they seem, drawn by seed.
"""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from crash_world import CrashWorld, Faults, WorldRuntime, live_to_rest
from operator_world import World, make_spec

from ringkeeper.cluster.arbiter import Arbiter
from ringkeeper.cluster.topology import Shard
from ringkeeper_operator.model import Action, AskHandover, CommitTopology, Handover, Spec
from ringkeeper_operator.plan import bootstrap
from ringkeeper_operator.runtime.runs import replaced

PAIRS = int(os.environ.get("RINGKEEPER_CRASH_PAIRS", "20"))
"""Of ends, for each scenario."""

Story = Callable[[CrashWorld], None]


@pytest.fixture(autouse=True, scope="module")
def placed_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "place", functools.cache(bootstrap.place))
        yield


def nothing(_: CrashWorld) -> None:
    """A new cluster."""


def restart_master(world: CrashWorld) -> None:
    world.crash(0, 0)


def lose_master(world: CrashWorld) -> None:
    """Its pod and its disk are gone."""
    world.vanish(0, 0)


def cut_off_master(world: CrashWorld) -> None:
    """From everybody but its clients, until another is master."""
    cut_off(world, until=lambda shard: shard.term > 1)


def cut_off_for_a_moment(world: CrashWorld) -> None:
    """Until a voter has promised; the election that began must end all the same."""
    cut_off(world, until=lambda _: any(rules.voter.promised > 1 for rules in world.rules.values()))


def cut_off(world: CrashWorld, until: Callable[[Shard], bool]) -> None:
    node = world.node(0, 0)
    assert node
    node.reachable = False

    def returns() -> None:
        assert world.committed
        node.reachable = node.reachable or until(world.committed.shards[0])

    world.meanwhile = returns


def hand_over(world: CrashWorld) -> None:
    """To whoever is best, once."""
    world.spec = replace(world.spec, handovers=(Handover(0, term=1),))


def restart_replica(world: CrashWorld) -> None:
    world.crash(0, 1)


def restart_all(world: CrashWorld) -> None:
    for node in list(world.nodes.values()):
        world.crash(node.shard, node.ordinal)


def raise_replicas(world: CrashWorld) -> None:
    world.spec = replace(world.spec, replicas_per_shard=world.spec.replicas_per_shard + 1)


def lower_replicas(world: CrashWorld) -> None:
    world.spec = replace(world.spec, replicas_per_shard=world.spec.replicas_per_shard - 1, min_acks=0)


def lower_replicas_beside_a_surplus_master(world: CrashWorld) -> None:
    """The last node is master when it becomes one too many."""
    shard = world.committed.shards[0] if world.committed else None
    last = world.nodes[f"ring-0-{world.spec.replicas_per_shard}"]
    assert shard
    assert shard.master == last.id
    lower_replicas(world)


def change_min_acks(world: CrashWorld) -> None:
    world.spec = replace(world.spec, min_acks=1 - world.spec.min_acks)


def gather_masters(world: CrashWorld) -> None:
    """Both on one host, which has been calm for a while."""
    for node in world.nodes.values():
        node.host = f"host-{node.ordinal}"


SCENARIOS: dict[str, tuple[Story, dict[str, int]]] = {
    "bootstrap": (nothing, {"replicas_per_shard": 1}),
    "failover of a master that restarts": (restart_master, {"min_acks": 1}),
    "failover of a master that is gone": (lose_master, {"min_acks": 1}),
    "failover of a master that is cut off": (cut_off_master, {"min_acks": 1}),
    "suspicion of a master that is heard again": (cut_off_for_a_moment, {"min_acks": 1}),
    "failover without acknowledgements": (lose_master, {"min_acks": 0}),
    "planned handover": (hand_over, {"min_acks": 1}),
    "restart of a replica": (restart_replica, {"min_acks": 1}),
    "restart of all nodes": (restart_all, {"min_acks": 1}),
    "restart of all pods": (restart_all, {"min_acks": 1}),
    "first replicas": (raise_replicas, {"replicas_per_shard": 0}),
    "another replica": (raise_replicas, {"replicas_per_shard": 1, "min_acks": 1}),
    "a replica less": (lower_replicas, {"min_acks": 1}),
    "no replicas any more": (lower_replicas, {"replicas_per_shard": 1, "min_acks": 1}),
    "a replica less, which is master": (lower_replicas_beside_a_surplus_master, {"min_acks": 1}),
    "no replicas any more, and the other is master": (
        lower_replicas_beside_a_surplus_master,
        {"replicas_per_shard": 1, "min_acks": 1},
    ),
    "acknowledgements from now on": (change_min_acks, {"min_acks": 0}),
    "acknowledgements no more": (change_min_acks, {"min_acks": 1}),
    "masters on one host": (gather_masters, {"shards": 2, "replicas_per_shard": 1}),
}


async def play(name: str, faults: Faults) -> list[str]:
    """The writes; faults begin with the story, which begins in a cluster at rest."""
    story, changes = SCENARIOS[name]
    world = CrashWorld(make_spec(**({"shards": 1, "replicas_per_shard": 2} | changes)))
    if "pods" in name:
        world.certain = replaced
    if story is not nothing:
        await live_to_rest(world)
    if story is lower_replicas_beside_a_surplus_master:
        world.spec = replace(world.spec, handovers=(Handover(0, f"ring-0-{world.spec.replicas_per_shard}", 1),))
        await live_to_rest(world)
    world.faults = faults
    story(world)
    try:
        await live_to_rest(world)
    except Exception as error:
        raise AssertionError(f"{name}: {error}; its writes:\n" + "\n".join(faults.writes[-60:])) from error
    assert world.committed
    if story is gather_masters:
        assert [shard.term for shard in world.committed.shards] == [2, 1]
    if story is hand_over:
        assert world.committed.shards[0].term == 2, "handed over once, whoever asked for it"
    return faults.writes


def ways(write: str) -> tuple[str, ...]:
    return ("before", "after", "late") if write.startswith("commit") else ("before", "after")


async def end_at_any_write(name: str) -> None:
    writes = await play(name, Faults())
    assert writes
    for number, write in enumerate(writes):
        for when in ways(write):
            await play(name, Faults({number: when}))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_an_end_at_any_write_is_made_good(name: str) -> None:
    await end_at_any_write(name)


@pytest.mark.parametrize("name", SCENARIOS)
async def test_two_ends_and_observations_of_the_past_are_made_good(name: str) -> None:
    writes = len(await play(name, Faults()))
    for seed in range(PAIRS):
        draw = random.Random(f"{name} {seed}")
        kills = {draw.randrange(2 * writes): draw.choice(["before", "after", "late"]) for _ in range(2)}
        await play(name, Faults(kills, draw))


# Defects that nobody meets whose operator lives


def forget_promises(patch: pytest.MonkeyPatch) -> None:
    """A leader knows only of the promises that it asked for itself."""
    patch.setattr(Arbiter, "_somebody_promised", lambda arbiter: bool(arbiter.promises))


def write_without_comparing(patch: pytest.MonkeyPatch) -> None:
    """A commit replaces whatever is committed."""
    commit = World._commit

    def careless(world: World, action: CommitTopology) -> None:
        commit(world, replace(action, expected=str(world.version) if world.committed else None))

    patch.setattr(World, "_commit", careless)


def drop_what_is_only_asked(patch: pytest.MonkeyPatch) -> None:
    """A request for a handover is forgotten when the master is asked, and not when it was done."""
    apply = WorldRuntime.apply

    async def hasty(runtime: WorldRuntime, spec: Spec, action: Action) -> None:
        if isinstance(action, AskHandover):
            runtime.world.drop_handover(action.shard)
        await apply(runtime, spec, action)

    patch.setattr(WorldRuntime, "apply", hasty)


@pytest.mark.parametrize(
    ("name", "defect"),
    [
        ("suspicion of a master that is heard again", forget_promises),
        ("bootstrap", write_without_comparing),
        ("planned handover", drop_what_is_only_asked),
    ],
)
async def test_a_defect_is_found_by_an_end_alone(
    name: str, defect: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    assert await play(name, Faults())
    with pytest.raises(AssertionError) as found:
        await end_at_any_write(name)
    print(found.value)
