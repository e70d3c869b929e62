"""Which slots move where, in which batches, and what may stand in their way."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moving_nodes import state_of
from operator_world import Conflict, Operator, World, make_spec

from ringkeeper.cluster.ring import bounds_of, fair_shares, least_moves
from ringkeeper.cluster.topology import FEEDING, SETTLED, Topology
from ringkeeper_operator import manifest
from ringkeeper_operator.cli_scale import with_shards
from ringkeeper_operator.decide import decide
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import (
    AskRelease,
    CommitTopology,
    MeasureSlots,
    Observed,
    RebalanceRules,
    Refuse,
    Spec,
    Wait,
)
from ringkeeper_operator.plan import rebalance
from ringkeeper_operator.plan.rebalance import hindrance, transfers
from ringkeeper_operator.plan.room import as_it_fits, refuse_fewer_shards
from ringkeeper_operator.rebalance_status import news, section_of, told
from ringkeeper_operator.status import build_status

SLOTS = 16384


@pytest.fixture(autouse=True, scope="module")
def small_batches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebalance, "BATCH_SLOTS", 1024)
        yield


def running(shards: int = 3, replicas: int = 0, **changes: object) -> tuple[World, Operator]:
    world = World(make_spec(shards=shards, replicas_per_shard=replicas, **changes))
    operator = Operator("only")
    world.work(operator)
    return world, operator


def topology_of(world: World) -> Topology:
    assert world.committed is not None
    return world.committed


def loads(world: World) -> Counter[int]:
    return Counter(topology_of(world).owners)


def is_balanced(owners: tuple[int, ...], shards: int, weights: Mapping[int, float] | None = None) -> bool:
    bounds = {shard: bounds_of(fair) for shard, fair in fair_shares(range(shards), weights).items()}
    return least_moves(owners, bounds) == 0


def scale(world: World, operator: Operator, shards: int) -> int:
    """To the end; how many slots have moved."""
    world.spec = replace(world.spec, shards=shards)
    already = len(world.history)
    before = world.history[-1]
    world.work(operator, rounds=600)
    moved = 0
    for topology in world.history[already:]:
        moved += sum(a != b for a, b in zip(before.owners, topology.owners, strict=True))
        before = topology
    return moved


def test_slots_move_to_new_shards_and_back_and_no_more_than_must() -> None:
    world, operator = running()
    for shards in (4, 6, 3):
        even = {shard: bounds_of(fair, 1, 1) for shard, fair in fair_shares(range(shards)).items()}
        ideal = least_moves(topology_of(world).owners, even)
        moved = scale(world, operator, shards)
        assert moved <= 1.05 * ideal
        assert is_balanced(topology_of(world).owners, shards)
        assert not topology_of(world).moves
        assert world.is_served()
        assert len(topology_of(world).shards) == len(world.nodes) == shards


def test_the_fullest_shard_never_grows_and_the_emptiest_never_shrinks() -> None:
    world, operator = running()
    scale(world, operator, 5)
    spreads = [Counter(topology.owners) for topology in world.history]
    for before, after in itertools.pairwise(spreads):
        assert max(after.values()) <= max(before.values())
        assert min(after[shard] for shard in range(3)) >= min(SLOTS // 5 * 95 // 100, *before.values())


def test_a_batch_is_bounded_by_what_its_slots_hold() -> None:
    world, operator = running()
    world.sizes = dict.fromkeys(range(SLOTS), 2**20)
    world.spec = replace(world.spec, memory=64 * 2**30, shards=4)
    begun = first_commit(world, operator, "MovesBegun")
    assert [len(move.slots) for move in begun.moves] == [64, 64, 64]
    world.spec = replace(world.spec, memory=128 * 2**20)
    world.committed = replace(begun, moves=(), epoch=begun.epoch + 1)
    seen = replace(world.observe(operator), topology=world.committed)
    action = rebalance.begin(as_it_fits(world.spec, seen), seen, world.committed)
    assert action is not None
    assert [len(move.slots) for move in action[0].moves] == [10, 10, 10], "together a quarter of a node's memory"
    target = world.node(3)
    assert target
    target.used_memory = 110 * 2**20
    seen = replace(world.observe(operator), topology=world.committed)
    action = rebalance.begin(as_it_fits(world.spec, seen), seen, world.committed)
    assert action is not None
    assert [len(move.slots) for move in action[0].moves] == [10, 1], "121.6Mi is 95 % of it"


def test_what_is_on_its_way_to_a_shard_counts_as_there() -> None:
    world, operator = running()
    world.sizes = dict.fromkeys(range(SLOTS), 2**20)
    world.spec = replace(world.spec, memory=128 * 2**20, shards=4)
    begun = first_commit(world, operator, "MovesBegun")
    assert len(begun.moves) == 3
    alone = replace(begun, moves=begun.moves[:1])
    for memory, others in [(128, [10, 10]), (64, [5, 1]), (40, [])]:
        world.spec = replace(world.spec, memory=memory * 2**20)
        seen = replace(world.observe(operator), topology=alone)
        action = rebalance.begin(as_it_fits(world.spec, seen), seen, alone)
        slots = [len(move.slots) for move in action[0].moves[1:]] if action else []
        assert slots == others


def test_a_shard_takes_from_several_at_once_and_from_no_more_than_a_few() -> None:
    world, operator = running(6)
    world.spec = replace(world.spec, shards=7)
    begun = first_commit(world, operator, "MovesBegun")
    assert len(begun.moves) == rebalance.MOST_FEEDING
    assert {move.target for move in begun.moves} == {6}
    assert len({move.source for move in begun.moves}) == len(begun.moves)


@pytest.mark.parametrize(("before", "after", "rate"), [(3, 4, 1000), (3, 2, 500), (6, 5, 250)])
def test_the_moves_that_leave_a_shard_share_its_rate(before: int, after: int, rate: int) -> None:
    world, operator = running(before)
    world.spec = replace(world.spec, shards=after, rebalance=RebalanceRules(max_bytes_per_second=1000))
    assert {move.rate for move in first_commit(world, operator, "MovesBegun").moves} == {rate}


def test_the_next_batch_begins_with_the_commit_that_settles_the_last_one() -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=4)
    begun = first_commit(world, operator, "MovesBegun")
    settled = first_commit(world, operator, "SlotsMoved")
    phases = Counter((move.source, move.target, move.phase) for move in settled.moves)
    gone = {move.source for move in settled.moves if move.phase == SETTLED}
    assert gone
    for source in gone:
        assert phases[source, 3, FEEDING] == 1
    assert {move.id for move in begun.moves} <= {move.id for move in settled.moves}


def first_commit(world: World, operator: Operator, reason: str, rounds: int = 60) -> Topology:
    """Work until a commit of this reason has been made; its topology."""
    for _ in range(rounds):
        action = decide(world.spec, world.observe(operator), 0.0)
        if action is None or isinstance(action, Wait | Refuse):
            world.settle()
            continue
        world.apply(operator, action)
        if isinstance(action, CommitTopology) and action.reason == reason:
            return action.topology
    raise AssertionError(f"no commit {reason} within {rounds} rounds")


def test_what_slots_hold_is_asked_before_the_first_batch() -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=2)
    action = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(action, MeasureSlots)
    assert action.shards == (2,)


def reasons(world: World, spec: Spec, seen: Observed) -> set[str]:
    """Why no batch can begin; fails if one can."""
    found = set()
    for transfer in transfers(spec, topology_of(world)):
        why = hindrance(spec, seen, topology_of(world), transfer)
        assert why is not None
        found.add(why.text)
    return found


def test_no_slot_moves_to_a_shard_whose_replicas_have_not_caught_up() -> None:
    world, operator = running(replicas=1)
    world.spec = replace(world.spec, shards=4)
    first_commit(world, operator, "ShardsAdded")
    seen = world.observe(operator)
    spec = as_it_fits(world.spec, seen)
    why = reasons(world, spec, seen)
    assert why == {"0 of 1 replicas of shard 3 have caught up"}
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 4)
    first = next(topology for topology in world.history if topology.moves)
    assert len(first.shards[3].voters) == 1


@pytest.mark.parametrize("rules", [RebalanceRules(paused=True), RebalanceRules(dry_run=True)])
def test_nothing_moves_while_it_is_paused_and_what_had_begun_is_taken_back(rules: RebalanceRules) -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=4)
    first_commit(world, operator, "MovesBegun")
    before = loads(world)
    world.spec = replace(world.spec, rebalance=rules)
    world.work(operator)
    assert not topology_of(world).moves
    assert loads(world) == before
    assert world.is_served()
    world.spec = replace(world.spec, rebalance=RebalanceRules())
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 4)


def test_another_number_of_shards_in_the_middle_is_planned_anew() -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=4)
    first_commit(world, operator, "SlotsMoved")
    first_commit(world, operator, "SlotsMoved")
    world.spec = replace(world.spec, shards=3)
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 3)
    assert len(world.nodes) == 3


@pytest.mark.parametrize("end", ["source", "target"])
def test_a_move_whose_master_ends_is_taken_back_and_another_follows(end: str) -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=4)
    move = first_commit(world, operator, "MovesBegun").moves[0]
    world.settle()
    world.settle()
    world.restart(move.source if end == "source" else move.target)
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 4)
    assert world.is_served()


@pytest.mark.parametrize("end", ["gone", "disk"])
def test_slots_that_were_released_are_served_by_their_source_again_if_the_target_cannot_take_them(end: str) -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=4)
    move = first_commit(world, operator, "MovesBegun").moves[0]
    for _ in range(20):
        if state_of(world, move, "source") == "released":
            break
        action = decide(world.spec, world.observe(operator), 0.0)
        assert isinstance(action, Wait | AskRelease)
        world.apply(operator, action)
        world.settle()
    assert state_of(world, move, "source") == "released"
    node = world.node(move.target)
    assert node
    node.reachable = end != "gone"
    node.persistence_error = "no space left" if end == "disk" else ""
    taken_back = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(taken_back, CommitTopology)
    assert not taken_back.topology.moves
    assert taken_back.warning
    assert taken_back.at_once


def test_no_slot_begins_to_move_where_a_master_is_asked_to_make_room_for_another() -> None:
    world, operator = running(replicas=1)
    world.spec = replace(world.spec, shards=4)
    first_commit(world, operator, "MovesBegun")
    seen = replace(world.observe(operator), handovers={1: "another"})
    assert seen.topology is not None
    alone = replace(seen.topology, moves=())
    begun = rebalance.begin(world.spec, seen, alone)
    assert begun is not None
    assert {move.source for move in begun[0].moves} == {0, 2}
    why = hindrance(world.spec, seen, alone, next(each for each in transfers(world.spec, alone) if each.source == 1))
    assert why is not None
    assert why.text == "shard 1 is about to have another master"
    assert why.passes


@pytest.mark.parametrize(("replicas", "ordinal"), [(0, 0), (1, 0), (1, 1)])
def test_no_slot_is_released_or_begins_to_move_to_a_shard_whose_disk_is_full(replicas: int, ordinal: int) -> None:
    world, operator = running(replicas=replicas)
    world.spec = replace(world.spec, shards=4)
    first_commit(world, operator, "MovesBegun")
    node = world.node(3, ordinal)
    assert node
    node.persistence_error = "no space left"
    for _ in range(20):
        action = decide(world.spec, world.observe(operator), 0.0)
        assert not isinstance(action, AskRelease)
        if action is not None:
            world.apply(operator, action)
        world.settle()
    topology = topology_of(world)
    assert {move.target for move in topology.moves} == {3}
    assert 3 not in topology.owners
    why = reasons(world, world.spec, world.observe(operator))
    assert why == {f"shard 3 cannot keep its data{' on ring-3-1' if ordinal else ''}: no space left"}
    node.persistence_error = ""
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 4)


def test_a_move_that_failed_is_taken_back_told_and_tried_again_later() -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=4)
    move = first_commit(world, operator, "MovesBegun").moves[0]
    node = world.node(move.target)
    assert node
    node.moving[move.id], node.why = "failed", "maxmemory would be exceeded"
    world.failures = {(move.source, move.target): node.why}
    failed = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(failed, CommitTopology)
    assert failed.reason == "MoveFailed"
    assert not failed.quiet
    assert "maxmemory would be exceeded" in failed.message
    assert all((other.source, other.target) != (move.source, move.target) for other in failed.topology.moves)
    world.failures = {}
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 4)


def test_nothing_moves_to_a_shard_that_is_full_and_the_numbers_say_why() -> None:
    world, operator = running()
    world.sizes = dict.fromkeys(range(SLOTS), 2**20)
    world.spec = replace(world.spec, shards=4)
    first_commit(world, operator, "ShardsAdded")
    world.measured = {0, 1, 2}
    node = world.node(3)
    assert node
    node.used_memory = 61 * 2**20
    seen = world.observe(operator)
    spec = as_it_fits(world.spec, seen)
    why = reasons(world, spec, seen)
    assert all("shard 3 has 61Mi of 64Mi in use, and slot" in text for text in why)


@pytest.mark.parametrize(("eviction", "volatile"), [("allkeys-lru", 0), ("volatile-ttl", 1000)])
def test_a_full_shard_that_evicts_is_sent_slots_like_any_other(eviction: str, volatile: int) -> None:
    world, operator = running()
    world.sizes = dict.fromkeys(range(SLOTS), 2**10)
    world.spec = replace(world.spec, shards=4, settings=replace(world.spec.settings, eviction=eviction))
    first_commit(world, operator, "ShardsAdded")
    for node in world.nodes.values():
        node.used_memory, node.volatile_keys = 64 * 2**20, volatile
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 4)


def test_nothing_moves_to_a_full_shard_whose_policy_finds_nothing_that_may_go() -> None:
    world, operator = running()
    world.sizes = dict.fromkeys(range(SLOTS), 2**20)
    world.spec = replace(world.spec, shards=4, settings=replace(world.spec.settings, eviction="volatile-lru"))
    first_commit(world, operator, "ShardsAdded")
    for node in world.nodes.values():
        node.used_memory = 64 * 2**20
    seen = world.observe(operator)
    why = reasons(world, world.spec, seen)
    assert why
    assert all("volatile-lru finds nothing there that may go" in text for text in why)


def test_a_full_cache_is_given_fewer_shards_only_where_that_may_evict() -> None:
    world, operator = running()
    for node in world.nodes.values():
        node.used_memory = 64 * 2**20
    keeping, evicting = world.spec.settings, replace(world.spec.settings, eviction="allkeys-lru")
    for chosen, may_evict in ((evicting, False), (keeping, True)):
        rules = RebalanceRules(may_evict=may_evict)
        world.spec = replace(world.spec, shards=2, settings=chosen, rebalance=rules)
        refusal = refuse_fewer_shards(world.spec, world.observe(operator))
        assert refusal is not None
        assert ("mayEvict" in refusal.message) == (chosen is evicting)
    world.spec = replace(world.spec, settings=evicting)
    assert refuse_fewer_shards(world.spec, world.observe(operator)) is None
    world.work(operator, rounds=300)
    assert is_balanced(topology_of(world).owners, 2)


def test_fewer_shards_than_have_room_are_refused_with_the_numbers_and_nothing_moves() -> None:
    world, operator = running()
    for node in world.nodes.values():
        node.used_memory = 40 * 2**20
    world.spec = replace(world.spec, shards=2)
    refusal = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(refusal, Refuse)
    assert "spec.shards: 2 is not possible, the cluster keeps its 3: the shards hold 120Mi" in refusal.message
    assert "2 shards of 64Mi have room for" in refusal.message
    before = topology_of(world)
    world.restart(1)
    for node in world.nodes.values():
        node.used_memory = 40 * 2**20
    world.work(operator)
    assert topology_of(world).owners == before.owners
    assert world.is_served(), "it is kept up all the same"


MISHAPS = st.one_of(
    st.tuples(st.sampled_from(["restart", "vanish", "break", "mend", "fail"]), st.integers(0, 4)),
    st.tuples(st.sampled_from(["scale", "weigh"]), st.integers(2, 5)),
    st.tuples(st.sampled_from(["pause", "resume", "time", "time", "time"]), st.just(0)),
    st.tuples(st.sampled_from(["look", "act", "act", "act", "act_uncertain", "replace"]), st.integers(0, 1)),
)


def happen(world: World, operators: list[Operator], what: str, which: int) -> None:
    node = world.node(which)
    if what in ("restart", "vanish"):
        getattr(world, what)(which)
    elif what in ("break", "mend"):
        if node:
            node.reachable = what == "mend"
    elif what == "fail":
        if node:
            node.moving = dict.fromkeys(node.moving, "failed")
    elif what == "scale":
        world.spec = replace(world.spec, shards=which)
    elif what == "weigh":
        world.spec = replace(world.spec, weights={which - 2: 3.0})
    elif what in ("pause", "resume"):
        world.spec = replace(world.spec, rebalance=RebalanceRules(paused=what == "pause"))
    elif what == "time":
        world.settle()
    elif what == "look":
        world.observe(operators[which])
    elif what == "replace":
        operators[which] = Operator("another")
    else:
        act(world, operators[which], look=which == 0, uncertain=what == "act_uncertain")


def act(world: World, operator: Operator, *, look: bool, uncertain: bool) -> None:
    """The second operator acts on what it saw last, as a deposed leader would."""
    if look or operator.seen is None:
        world.observe(operator)
    assert operator.seen is not None
    action = decide(world.spec, operator.seen, 0.0)
    if action is not None and not isinstance(action, Wait | Refuse):
        with contextlib.suppress(Conflict):
            world.apply(operator, action, uncertain=uncertain)


@settings(max_examples=20, deadline=None)
@given(st.lists(MISHAPS, max_size=80))
def test_after_any_mishaps_slots_are_where_they_should_be(mishaps: list[tuple[str, int]]) -> None:
    world, first = running()
    operators = [first, Operator("second")]
    for what, which in mishaps:
        happen(world, operators, what, which)
        world.check()
    for node in world.nodes.values():
        node.reachable = True
    world.spec = replace(world.spec, rebalance=RebalanceRules())
    world.work(Operator("last"), rounds=600)
    topology = topology_of(world)
    assert world.is_served()
    assert is_balanced(topology.owners, world.spec.shards, world.spec.weights)
    assert not [move for move in topology.moves if move.phase == FEEDING]
    assert len(topology.shards) == len(world.nodes) == world.spec.shards


# What is told


def sections(world: World, operator: Operator, shards: int) -> list[dict[str, Any]]:
    """The field `rebalance` of the status at every step to the end, each made from the one before."""
    world.spec = replace(world.spec, shards=shards)
    found: list[dict[str, Any]] = []
    status: dict[str, Any] = {}
    for now in range(600):
        action = decide(world.spec, world.observe(operator), 0.0)
        status = build_status(world.spec, world.observe(operator), action, status, float(now))
        found.append(status.get("rebalance", {}))
        if action is None:
            return found
        if isinstance(action, Wait | Refuse):
            world.settle()
        else:
            world.apply(operator, action)
    raise AssertionError("it does not end")


def test_the_status_tells_the_plan_how_far_it_is_and_the_end() -> None:
    world, operator = running()
    world.sizes = dict.fromkeys(range(SLOTS), 1024)
    told = sections(world, operator, 4)
    assert told[0]["phase"] == "Planned"
    assert (told[0]["from"], told[0]["to"], told[0]["slotsMoved"]) == (3, 4, 0)
    assert sum(row["slots"] for row in told[0]["transfers"]) == told[0]["slots"]
    measured = next(section for section in told if "bytes" in section)
    assert measured["bytes"] == 1024 * measured["slots"]
    moved = [section["slotsMoved"] for section in told]
    assert moved == sorted(moved)
    assert told[-1]["phase"] == "Done"
    assert told[-1]["slotsMoved"] == told[-1]["slots"] == told[0]["slots"]
    assert any(section.get("bytesPerSecond") and "secondsLeft" in section for section in told)
    assert "blocked" in told[1], "the shard is not there yet"
    assert all(section["phase"] != "Blocked" for section in told)


def test_events_tell_of_the_start_each_tenth_and_the_end_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "BATCH_SLOTS", 100)
    world, operator = running()
    told = sections(world, operator, 4)
    events = [news(before, after) for before, after in itertools.pairwise([{}, *told])]
    reasons = [event.reason for event in events if event is not None]
    assert reasons[0] == "RebalanceStarted"
    assert reasons[-1] == "Rebalanced"
    assert set(reasons[1:-1]) == {"RebalanceProgress"}
    assert 8 <= len(reasons[1:-1]) <= 10


def lagging(seen: Observed, **figures: int) -> Observed:
    """As if every source said this of its moves."""
    nodes = [
        replace(node, report=replace(node.report, moves=tuple(replace(told, **figures) for told in node.report.moves)))
        if node.report is not None
        else node
        for node in seen.nodes
    ]
    return replace(seen, nodes=tuple(nodes))


def test_slots_are_asked_for_when_their_target_lacks_little_or_its_writers_are_held_back() -> None:
    world, operator = running()
    world.spec = replace(world.spec, shards=4)
    for _ in range(60):
        seen = world.observe(operator)
        action = decide(world.spec, seen, 0.0)
        if isinstance(action, AskRelease):
            break
        assert action is not None
        if isinstance(action, Wait | Refuse):
            world.settle()
        else:
            world.apply(operator, action)
    assert isinstance(action, AskRelease)
    assert isinstance(decide(world.spec, lagging(seen, lag_bytes=5 * 2**20), 0.0), AskRelease)
    assert isinstance(decide(world.spec, lagging(seen, lag_bytes=20 * 2**20), 0.0), Wait)
    assert isinstance(decide(world.spec, lagging(seen, behind_ms=501), 0.0), Wait)
    assert isinstance(decide(world.spec, lagging(seen, behind_ms=500), 0.0), AskRelease)
    waiting = section_of(world.spec, lagging(seen, behind_ms=501), {}, 0.0)
    assert waiting["blocked"] == "the replicas of shard 3 do not keep up with what comes there"
    held_back = lagging(seen, lag_bytes=20 * 2**20, written=61_234_567, let_through=48_765_432)
    assert isinstance(decide(world.spec, held_back, 0.0), AskRelease)
    section = section_of(world.spec, held_back, {}, 0.0)
    assert section["phase"] == "Moving"
    assert section["blocked"] == (
        "shard 0 is written to at 60 MB/s in slots that move to shard 3; 50 MB/s are let through, so that it can keep "
        "up"
    )
    assert section["blocked"] in told(section)
    before = section_of(world.spec, seen, {}, 0.0)
    assert "blocked" not in before
    event = news(before, section)
    assert event is not None
    assert event.reason == "RebalanceSlow"
    assert news(section, section | {"slots": 0}) is None, "it is told once"


def test_the_condition_tells_what_holds_it_up() -> None:
    world, operator = running()
    assert "Rebalancing" not in conditions(world, operator)
    world.spec = replace(world.spec, shards=4, rebalance=RebalanceRules(paused=True))
    assert conditions(world, operator)["Rebalancing"]["status"] == "False"
    assert "spec.rebalance.paused is set" in conditions(world, operator)["Rebalancing"]["message"]
    world.spec = replace(world.spec, rebalance=RebalanceRules())
    assert "waiting: shard 3 is not there yet" in conditions(world, operator)["Rebalancing"]["message"]


def conditions(world: World, operator: Operator) -> dict[str, dict[str, Any]]:
    status = build_status(world.spec, world.observe(operator), None, {}, 0.0)
    return {condition["type"]: condition for condition in status["conditions"]}


def test_whoever_scales_by_load_finds_one_pod_a_shard() -> None:
    world, operator = running(replicas=1)
    status = build_status(world.spec, world.observe(operator), None, {}, 0.0)
    assert status["selector"] == "ringkeeper.dev/cluster=ring,ringkeeper.dev/role=master"


def test_the_manifest_says_how_slots_move() -> None:
    written = {"dryRun": True, "paused": True, "maxBytesPerSecond": "10Mi", "mayEvict": True}
    cluster = {"apiVersion": "ringkeeper.dev/v1alpha1", "kind": "CacheCluster", "metadata": {"name": "c"}}
    spec = manifest.spec_of(cluster | {"spec": {"rebalance": written}}, uid="u")
    assert spec.rebalance == RebalanceRules(True, True, 10 * 2**20, may_evict=True)
    with pytest.raises(ManifestError, match=r"spec.rebalance.maxBytesPerSecond: 1Ki is not allowed; must be bytes, or"):
        manifest.spec_of(cluster | {"spec": {"rebalance": {"maxBytesPerSecond": "1Ki"}}}, uid="u")


def test_scale_writes_the_number_into_the_manifest_and_keeps_the_rest() -> None:
    text = "apiVersion: ringkeeper.dev/v1alpha1\nkind: CacheCluster\nmetadata: {name: c}\nspec: {memory: 64Mi}\n---\n"
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: '007'}\n"
    loaded = manifest.load(with_shards(text + secret, 5), "it")
    assert loaded.cluster["spec"] == {"memory": "64Mi", "shards": 5}
    assert loaded.secrets == {"s": {"password": b"007"}}
