"""`rebalance.strategy: load`: which slots move so that traffic is even, and that they come to rest."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_world import Operator, World, make_spec

from ringkeeper.cluster.ring import bounds_of, fair_shares, place
from ringkeeper.cluster.topology import FEEDING
from ringkeeper_operator import manifest
from ringkeeper_operator.decide import decide
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import CommitTopology, MeasureSlots, RebalanceRules, Refuse, Wait, Window
from ringkeeper_operator.plan.load import START, STOP, WORTH, Traffic, even_out
from ringkeeper_operator.plan.rebalance import LOOSE, SETTLED_SECONDS
from ringkeeper_operator.rebalance_status import told
from ringkeeper_operator.runtime.moving import HALF_LIFE_SECONDS, MoveLog, decayed
from ringkeeper_operator.status import build_status

SLOTS = 16384
MIB = 2**20


def traffic_of(
    owners: tuple[int, ...], rates: Mapping[int, float], weights: Mapping[int, float] | None = None, **changes: Any
) -> Traffic:
    shards = sorted(set(owners))
    fairs = fair_shares(shards, weights)
    return replace(
        Traffic(
            owners,
            rates,
            shares={shard: fair / SLOTS for shard, fair in fairs.items()},
            bounds={shard: bounds_of(fair, *LOOSE) for shard, fair in fairs.items()},
            sizes={},
            room=dict.fromkeys(shards, 0),
        ),
        **changes,
    )


def parts(traffic: Traffic) -> dict[int, float]:
    """Of each shard, its traffic over its share."""
    total = math.fsum(traffic.rates.values())
    load = Counter[int]()
    for slot, rate in traffic.rates.items():
        load[traffic.owners[slot]] += rate  # type: ignore[assignment]
    return {shard: load[shard] / (total * share) for shard, share in traffic.shares.items()}


def imbalance(traffic: Traffic) -> float:
    """What each step must make smaller."""
    return math.fsum(part**2 * traffic.shares[shard] for shard, part in parts(traffic).items())


def moved(traffic: Traffic) -> Traffic:
    """After a round."""
    owners = list(traffic.owners)
    for shift in even_out(traffic):
        assert owners[shift.slot] == shift.source != shift.target
        owners[shift.slot] = shift.target
    return replace(traffic, owners=tuple(owners))


def at_rest(traffic: Traffic, rounds: int = 20) -> Traffic:
    """When a load that stays as it is moves nothing more; every round must have been for the better."""
    for _ in range(rounds):
        after = moved(traffic)
        if after.owners == traffic.owners:
            return traffic
        assert imbalance(after) < imbalance(traffic)
        for shard, count in Counter(after.owners).items():
            bound = traffic.bounds[shard]
            assert min(bound.floor, traffic.owners.count(shard)) <= count
            assert count <= max(bound.ceiling, traffic.owners.count(shard))
        traffic = after
    raise AssertionError(f"still moving after {rounds} rounds")


WEIGHTS = st.dictionaries(st.integers(0, 5), st.sampled_from([0.25, 0.5, 2.0, 4.0]))


@st.composite
def loads(draw: st.DrawFn) -> Traffic:
    """From even traffic to a few keys that everybody wants."""
    shards, weights = draw(st.integers(1, 6)), draw(WEIGHTS)
    owners = place(shards, 16, weights)
    source = random.Random(draw(st.integers(0, 2**32)))
    used = source.sample(range(SLOTS), draw(st.sampled_from([1, 3, 10, 100, 2000, SLOTS])))
    shape = draw(st.sampled_from([0.0, 0.5, 1.0, 1.5]))
    favoured = draw(st.integers(0, 5))
    rates = {
        slot: 1e5 * (number + 1) ** -shape * (4.0 if owners[slot] == favoured else 1.0)
        for number, slot in enumerate(used)
    }
    return traffic_of(owners, rates, weights)


@settings(max_examples=60, deadline=None)
@given(loads())
def test_a_load_that_stays_as_it_is_comes_to_rest_each_round_for_the_better(traffic: Traffic) -> None:
    rest = at_rest(traffic)
    busiest = max(parts(rest).values())
    assert busiest <= max(parts(traffic).values())
    largest = max(traffic.rates.values()) / math.fsum(traffic.rates.values()) / min(traffic.shares.values())
    if largest < STOP and len(traffic.rates) <= 2000:
        assert busiest <= 1 + START, "no slot is too large for it, and there are few enough of them"


@settings(max_examples=30, deadline=None)
@given(loads(), st.integers(0, 2**32))
def test_a_load_that_is_even_and_fluctuates_moves_nothing(traffic: Traffic, seed: int) -> None:
    source, rest = random.Random(seed), at_rest(traffic)
    if max(parts(rest).values()) > 1 + STOP:
        return
    for _ in range(5):
        noisy = replace(rest, rates={slot: rate * source.uniform(0.95, 1.05) for slot, rate in rest.rates.items()})
        assert even_out(noisy) == ()


OWNERS = place(3, 16)


def some(shard: int, count: int) -> list[int]:
    return [slot for slot, owner in enumerate(OWNERS) if owner == shard][:count]


def test_few_slots_move_and_the_large_ones_first() -> None:
    heavy, light = some(0, 4), some(0, 204)[4:]
    rates = dict.fromkeys(heavy, 1000.0) | dict.fromkeys(light, 1.0) | dict.fromkeys(some(1, 500) + some(2, 500), 2.0)
    shifts = even_out(traffic_of(OWNERS, rates))
    assert {shift.source for shift in shifts} == {0}
    assert sum(shift.slot in heavy for shift in shifts) == 2
    after = moved(traffic_of(OWNERS, rates))
    assert max(parts(after).values()) < 1.1
    assert len(shifts) < 50


def test_a_slot_that_is_more_than_a_share_stays_and_the_others_leave_it_alone() -> None:
    hot, *others = some(0, 21)
    rates = {hot: 6000.0} | dict.fromkeys(others, 30.0) | dict.fromkeys(some(1, 50) + some(2, 50), 12.0)
    rest = at_rest(traffic_of(OWNERS, rates))
    assert rest.owners[hot] == 0
    assert not any(rest.owners[slot] == 0 for slot in others)
    few = replace(rest, rates=rates | {hot: 60000.0})
    assert even_out(few) == (), "nor does it matter how hot it is"


def test_what_is_too_little_beside_a_hot_slot_stays_with_it() -> None:
    hot, *others = some(0, 21)
    rates = {hot: 6000.0} | dict.fromkeys(others, 5.0) | dict.fromkeys(some(1, 50) + some(2, 50), 12.0)
    assert even_out(traffic_of(OWNERS, rates)) == ()


def test_no_shard_becomes_busier_than_the_busiest_was() -> None:
    one, *others = some(0, 101)
    rates = {one: 200.0} | dict.fromkeys(others, 150.0) | dict.fromkeys(some(2, 100), 80.0)
    shifts = even_out(traffic_of(OWNERS, rates, {1: 0.01}))
    assert shifts
    assert {shift.target for shift in shifts} == {2}


def test_two_hot_slots_part_though_each_is_more_than_a_share() -> None:
    one, other = some(0, 2)
    rest = at_rest(traffic_of(OWNERS, {one: 500.0, other: 500.0}))
    assert {rest.owners[one], rest.owners[other]} & {0}
    assert rest.owners[one] != rest.owners[other]


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ({0: 1190.0, 1: 905.0, 2: 905.0}, "19 % are too little"),
        ({0: 1.5 * WORTH, 1: WORTH / 2, 2: WORTH / 2}, "hardly anybody is there"),
        ({}, "nobody is"),
    ],
)
def test_what_is_not_worth_it_moves_nothing(rates: dict[int, float], why: str) -> None:
    spread = {slot: rate / 100 for shard, rate in rates.items() for slot in some(shard, 100)}
    assert even_out(traffic_of(OWNERS, spread)) == (), why


def test_nothing_moves_where_there_is_no_room() -> None:
    rates = dict.fromkeys(some(0, 100), 100.0)
    sizes = dict.fromkeys(some(0, 100), MIB)
    shifts = even_out(traffic_of(OWNERS, rates, sizes=sizes, room={0: 0, 1: 10 * MIB, 2: 0}))
    assert len(shifts) == 10
    assert {shift.target for shift in shifts} == {1}


def test_weights_say_how_much_of_the_traffic_a_shard_is_to_have() -> None:
    rates = dict.fromkeys(range(SLOTS), 1.0)
    rest = at_rest(traffic_of(OWNERS, rates, {0: 2.0}))
    assert 1 - START <= parts(rest)[0] <= 1 + START
    assert max(parts(rest).values()) <= 1 + START


# Decisions


def busy(**changes: Any) -> tuple[World, Operator]:
    """A cluster of three shards, of which the first is the one that everybody wants."""
    spec = make_spec(rebalance=RebalanceRules(strategy="load"))
    world, operator = World(spec), Operator("only")
    world.work(operator)
    assert world.committed
    world.operations = {
        slot: 500.0 if owner == 0 else 1.0 for slot, owner in enumerate(world.committed.owners) if slot < 900
    }
    world.spec = replace(world.spec, **changes)
    world.measured.clear()
    return world, operator


def share_of_first(world: World) -> float:
    return math.fsum(world.operations_on(0).values()) / math.fsum(world.operations.values())


def work(world: World, operator: Operator) -> None:
    for _ in range(400):
        action = decide(world.spec, world.observe(operator), 0.0)
        if action is None:
            return
        if isinstance(action, Wait | Refuse):
            world.settle()
        else:
            world.apply(operator, action)
    raise AssertionError("it does not end")


def test_slots_move_until_traffic_is_even_and_then_stay() -> None:
    world, operator = busy()
    first = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(first, MeasureSlots)
    assert first.shards == (0, 1, 2)
    work(world, operator)
    assert share_of_first(world) <= (1 + START) / 3
    assert world.is_served()
    begun = [topology for topology in world.history if any(move.phase == FEEDING for move in topology.moves)]
    assert len(begun) <= 4
    history = len(world.history)
    world.measured.clear()
    work(world, operator)
    assert len(world.history) == history


@pytest.mark.parametrize(
    "rules",
    [
        RebalanceRules(),
        RebalanceRules(strategy="load", paused=True),
        RebalanceRules(strategy="load", dry_run=True),
        RebalanceRules(strategy="load", window=Window(600, 660, tuple(range(7)), "Etc/UTC")),
    ],
)
def test_nothing_moves_by_load_where_it_is_not_to(rules: RebalanceRules) -> None:
    world, operator = busy(rebalance=rules)
    work(world, operator)
    assert not any(topology.moves for topology in world.history)
    assert not world.measured, "and nobody is asked"


def test_nothing_moves_by_load_until_slots_have_been_still() -> None:
    world, operator = busy()
    world.still_seconds = SETTLED_SECONDS - 1
    work(world, operator)
    assert not any(topology.moves for topology in world.history)
    world.still_seconds = SETTLED_SECONDS
    work(world, operator)
    assert share_of_first(world) < 0.5


def test_a_master_that_does_not_tell_is_no_idle_one() -> None:
    world, operator = busy()
    world.measured = {0, 1, 2}
    seen = world.observe(operator)
    silent = replace(seen, slot_operations={shard: seen.slot_operations[shard] for shard in (0, 1)})
    assert isinstance(decide(world.spec, seen, 0.0), CommitTopology)
    assert decide(world.spec, silent, 0.0) is None


def test_shards_come_and_go_as_with_slots_and_get_traffic() -> None:
    world, operator = busy()
    for shards in (5, 2):
        world.spec = replace(world.spec, shards=shards)
        world.measured.clear()
        work(world, operator)
        assert world.committed
        assert len(world.committed.shards) == len(world.nodes) == shards
        counts = Counter(world.committed.owners)
        assert min(counts.values()) >= LOOSE[0] * SLOTS / shards - 1
        assert max(counts.values()) <= LOOSE[1] * SLOTS / shards + 1
        assert share_of_first(world) <= (1 + START) / shards


def test_people_are_told_of_traffic() -> None:
    world, operator = busy()
    status: dict[str, Any] = {}
    texts, reasons = [], []
    for now in range(400):
        seen = world.observe(operator)
        action = decide(world.spec, seen, 0.0)
        status = build_status(world.spec, seen, action, status, float(now))
        if "rebalance" in status:
            texts.append(told(status["rebalance"]))
            reasons.append(status["rebalance"]["phase"])
        if action is None:
            break
        if isinstance(action, Wait):
            world.settle()
        else:
            world.apply(operator, action)
    assert texts[0].startswith("0 of ")
    assert texts[0].endswith("so that 3 shards have even traffic")
    assert reasons[-1] == "Done"
    assert status["rebalance"]["slotsMoved"] == status["rebalance"]["slots"] > 0


def test_the_manifest_says_what_is_to_be_even() -> None:
    cluster = {"apiVersion": "ringkeeper.dev/v1alpha1", "kind": "CacheCluster", "metadata": {"name": "c"}}
    assert manifest.spec_of(cluster, uid="u").rebalance.strategy == "slots"
    by_load = cluster | {"spec": {"rebalance": {"strategy": "load"}}}
    assert manifest.spec_of(by_load, uid="u").rebalance.strategy == "load"
    with pytest.raises(
        ManifestError, match=r"spec.rebalance.strategy: laod is not allowed; must be slots or load; did"
    ):
        manifest.spec_of(cluster | {"spec": {"rebalance": {"strategy": "laod"}}}, uid="u")


# What is remembered


def test_what_was_found_earlier_counts_half_after_a_while() -> None:
    assert decayed({1: 100.0}, {2: 100.0}, HALF_LIFE_SECONDS) == {1: 50.0, 2: 50.0}
    assert decayed({1: 100.0}, {1: 100.0}, 15.0) == {1: 100.0}
    assert decayed({1: 0.01}, {}, HALF_LIFE_SECONDS) == {}


def test_slots_are_still_from_when_they_changed_hands() -> None:
    world, _ = busy()
    log = MoveLog()
    assert log.still_seconds(50.0) == 0
    log.hear(world.committed, (), 100.0)
    log.hear(world.committed, (), 160.0)
    assert log.still_seconds(170.0) == 70
    assert world.committed
    log.hear(replace(world.committed, owners=(1, *world.committed.owners[1:])), (), 200.0)
    assert log.still_seconds(230.0) == 30
