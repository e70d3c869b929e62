"""`spec.weights`: from the manifest to slots that follow it, and what is said where they cannot."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_world import UID, Operator, World, make_spec

from ringkeeper.cluster.ring import bounds_of, fair_shares, least_moves, place
from ringkeeper.cluster.topology import Topology
from ringkeeper_operator import manifest
from ringkeeper_operator.cli_scale import planned, with_shards
from ringkeeper_operator.decide import decide
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import Refuse, Spec
from ringkeeper_operator.plan import rebalance
from ringkeeper_operator.plan.rebalance import transfers
from ringkeeper_operator.plan.room import as_it_fits
from ringkeeper_operator.rebalance_status import told
from ringkeeper_operator.status import build_status

SLOTS = 16384
EXAMPLES = Path(__file__).parents[2] / "examples"


def cluster(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "ringkeeper.dev/v1alpha1",
        "kind": "CacheCluster",
        "metadata": {"name": "c"},
        "spec": spec,
    }


def test_weights_are_read_and_a_weight_of_one_is_none() -> None:
    written = [{"shard": 2, "weight": 0.5}, {"shard": 0, "weight": 2}, {"shard": 1, "weight": 1}]
    assert manifest.spec_of(cluster(weights=written), uid="u").weights == {0: 2.0, 2: 0.5}
    assert manifest.spec_of(cluster(), uid="u").weights == {}


RANGE = "must be 0.01 to 100"
MISTAKES: list[tuple[Any, str]] = [
    ({"0": 2}, "spec.weights: an object is not allowed; must be a list"),
    ([{"shard": 0, "weight": 0}], f"spec.weights[0].weight: 0 is not allowed; {RANGE}"),
    ([{"shard": 0, "weight": -1}], f"spec.weights[0].weight: -1 is not allowed; {RANGE}"),
    ([{"shard": 0, "weight": 0.009}], f"spec.weights[0].weight: 0.009 is not allowed; {RANGE}"),
    ([{"shard": 0, "weight": 100.5}], f"spec.weights[0].weight: 100.5 is not allowed; {RANGE}"),
    ([{"shard": 0, "weight": float("nan")}], f"spec.weights[0].weight: nan is not allowed; {RANGE}"),
    ([{"shard": 0, "weight": float("inf")}], f"spec.weights[0].weight: inf is not allowed; {RANGE}"),
    ([{"shard": 0, "weight": "2"}], f"spec.weights[0].weight: 2 is not allowed; {RANGE}"),
    ([{"shard": 0, "weight": True}], f"spec.weights[0].weight: true is not allowed; {RANGE}"),
    ([{"shard": 0}], f"spec.weights[0].weight: missing; {RANGE}"),
    ([{"weight": 2}], "spec.weights[0].shard: missing; must be 0 to 999"),
    ([{"shard": 0.5, "weight": 2}], "spec.weights[0].shard: 0.5 is not allowed; must be 0 to 999"),
    ([{"shard": -1, "weight": 2}], "spec.weights[0].shard: -1 is not allowed; must be 0 to 999"),
    ([{"shard": 0, "wieght": 2, "weight": 2}], "spec.weights[0].wieght: unknown field; did you mean weight?"),
    ([{"shard": 0, "weight": 2}, {"shard": 0, "weight": 3}],
     "spec.weights[1].shard: 0 stands twice, at spec.weights[0] before; keep one"),
    ([{"shard": 0, "weight": 2}, {"shard": 3, "weight": 2}],
     "spec.weights[1].shard: 3 is not allowed; must be below spec.shards, which is 3: leave it out, or raise "
     "spec.shards"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "complaint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_field_value_and_range(written: Any, complaint: str) -> None:
    with pytest.raises(ManifestError) as raised:
        manifest.load(yaml.safe_dump(cluster(weights=written)), "f")
    (problem,) = raised.value.problems
    assert complaint in problem


def test_fewer_shards_than_have_weights_are_a_mistake() -> None:
    text = yaml.safe_dump(cluster(weights=[{"shard": 2, "weight": 2}]))
    assert manifest.load(with_shards(text, 3), "it").cluster["spec"]["shards"] == 3
    with pytest.raises(ManifestError, match=r"spec.weights\[0\].shard: 2 is not allowed; must be below spec.shards"):
        manifest.load(with_shards(text, 2), "it")


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.name)
def test_the_examples_are_valid(file: Path) -> None:
    """But for what Kubernetes has besides, and a laptop has not."""
    documents = [each for each in yaml.safe_load_all(file.read_text()) if each["kind"] != "HorizontalPodAutoscaler"]
    manifest.spec_of(manifest.load(yaml.safe_dump_all(documents), file.name).cluster, uid="u")


# Where slots go


def is_balanced(owners: tuple[int, ...], spec: Spec) -> bool:
    fairs = fair_shares(range(spec.shards), spec.weights)
    return least_moves(owners, {shard: bounds_of(fair) for shard, fair in fairs.items()}) == 0


def at_work(**changes: object) -> tuple[World, Operator]:
    world, operator = World(make_spec(**changes)), Operator("only")
    world.work(operator)
    return world, operator


def owners_in(world: World) -> tuple[int, ...]:
    assert world.committed is not None
    return world.committed.owners


def test_a_new_cluster_begins_with_its_shares() -> None:
    world, _ = at_work(weights={0: 2.0})
    assert is_balanced(owners_in(world), world.spec)
    assert 0.95 * SLOTS / 2 <= owners_in(world).count(0) <= 1.02 * SLOTS / 2
    assert not any(topology.moves for topology in world.history)


def test_slots_follow_other_weights_while_shards_come_and_go() -> None:
    world, operator = at_work()
    for shards, weights in ((3, {0: 2.0}), (4, {0: 2.0, 3: 0.5}), (4, {3: 3.0}), (2, {1: 0.25}), (2, {})):
        world.spec = replace(world.spec, shards=shards, weights=weights)
        world.work(operator, rounds=600)
        assert is_balanced(owners_in(world), world.spec)
        assert world.is_served()
        assert len(world.nodes) == shards


WEIGHTS = st.dictionaries(st.integers(0, 7), st.sampled_from([0.01, 0.1, 0.5, 2.0, 3.0, 10.0, 100.0]))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 8), WEIGHTS, st.integers(1, 8), WEIGHTS, st.sampled_from([700, 4000]))
def test_batch_by_batch_no_more_slots_move_than_must_and_no_share_gets_worse(
    shards: int, before: dict[int, float], to: int, weights: dict[int, float], batch: int
) -> None:
    owners = place(shards, 16, before)
    spec = make_spec(shards=to, weights=weights)
    fairs = fair_shares(range(to), weights)
    ideal = least_moves(owners, {shard: bounds_of(fair, 1, 1) for shard, fair in fairs.items()})
    moved, worst = 0, off_bounds(owners, spec)
    while pending := transfers(spec, Topology("ring", UID, 1, 1, 16, (), (), owners)):
        slots = frozenset(pending[0].slots[:batch])
        owners = tuple(pending[0].target if slot in slots else owner for slot, owner in enumerate(owners))
        moved += len(slots)
        now = off_bounds(owners, spec)
        assert now[0] <= max(worst[0], 0), "the fullest shard, by its weight, has become fuller"
        assert now[1] <= max(worst[1], 0), "the emptiest one emptier"
        worst = now
    assert is_balanced(owners, spec)
    assert moved <= 1.05 * ideal + to


def test_the_shard_that_is_fullest_by_its_weight_gives_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "BATCH_SLOTS", 100)
    owners = (0,) * 9900 + (1,) * 2340 + (2,) * 3000 + (3,) * 1144
    found = transfers(make_spec(shards=4, weights={0: 4.0}), Topology("ring", UID, 1, 1, 16, (), (), owners))
    assert [(each.source, each.target) for each in found[:2]] == [(2, 3), (0, 3)]


def off_bounds(owners: tuple[int, ...], spec: Spec) -> tuple[int, int]:
    """By how many slots a shard is at most above its ceiling, and below its floor."""
    loads = Counter(owners)
    bounds = {shard: bounds_of(fair) for shard, fair in fair_shares(range(spec.shards), spec.weights).items()}
    above = max(loads[shard] - bound.ceiling for shard, bound in bounds.items())
    return above, max(bound.floor - loads[shard] for shard, bound in bounds.items())


# Room


def heavy(used: int, **changes: object) -> tuple[World, Operator]:
    """A cluster whose nodes of 64Mi hold so many Mi each, when its weights have just been changed."""
    world, operator = at_work()
    for node in world.nodes.values():
        node.used_memory = used * 2**20
    world.spec = replace(world.spec, **changes)  # type: ignore[arg-type]
    return world, operator


TOO_HEAVY = "shard 0 with weight 10 would own 83% of the slots, which would fill 160% of its 64Mi; at most 90% may be"


def test_a_share_without_room_is_refused_with_the_numbers_and_nothing_moves() -> None:
    world, operator = heavy(40, weights={0: 10.0})
    before = owners_in(world)
    refusal = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(refusal, Refuse)
    assert f"spec.weights: 0=10 is not possible, no slot moves: {TOO_HEAVY}" in refusal.message
    world.work(operator)
    assert owners_in(world) == before
    assert planned(world.spec, world.observe(operator), 0.0) == [f"spec.weights: 0=10 would be refused: {TOO_HEAVY}"]
    section = build_status(world.spec, world.observe(operator), refusal, {}, 0.0)["rebalance"]
    assert (section["phase"], section["blocked"]) == ("Blocked", TOO_HEAVY)
    for node in world.nodes.values():
        node.used_memory = 20 * 2**20
    world.work(operator, rounds=600)
    assert is_balanced(owners_in(world), world.spec)


def test_once_slots_move_room_is_not_reckoned_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "BATCH_SLOTS", 512)
    world, operator = heavy(20, weights={0: 2.0})
    while not (world.committed and world.committed.moves):
        action = decide(world.spec, world.observe(operator), 0.0)
        assert action is not None
        world.apply(operator, action)
    for node in world.nodes.values():
        node.used_memory = 50 * 2**20
    seen = world.observe(operator)
    assert not as_it_fits(world.spec, seen).overweight, "copies that are under way count twice"
    assert as_it_fits(world.spec, replace(seen, topology=replace(world.committed, moves=()))).overweight


def test_a_heavy_shard_that_is_full_may_give_slots_to_a_new_one() -> None:
    world, operator = at_work(weights={0: 2.0})
    for node in world.nodes.values():
        node.used_memory = 60 * 2**20
    world.spec = replace(world.spec, shards=4)
    assert not isinstance(decide(world.spec, world.observe(operator), 0.0), Refuse)
    world.work(operator, rounds=600)
    assert is_balanced(owners_in(world), world.spec)


def test_fewer_shards_have_room_only_if_the_heaviest_has() -> None:
    world, operator = at_work(shards=4)
    for node in world.nodes.values():
        node.used_memory = 25 * 2**20
    world.spec = replace(world.spec, shards=3, weights={1: 4.0})
    refusal = decide(world.spec, world.observe(operator), 0.0)
    assert isinstance(refusal, Refuse)
    assert "shard 1 with weight 4 would own 67% of the slots, which would fill 105% of its 64Mi" in refusal.message
    world.spec = replace(world.spec, weights={})
    assert not isinstance(decide(world.spec, world.observe(operator), 0.0), Refuse)


def test_no_slot_moves_by_weight_while_a_master_does_not_tell_what_it_holds() -> None:
    world, operator = heavy(1, weights={0: 2.0})
    silent = world.node(2)
    assert silent
    silent.reachable = False
    world.work(operator)
    assert not any(topology.moves for topology in world.history)
    silent.reachable = True
    world.work(operator, rounds=600)
    assert is_balanced(owners_in(world), world.spec)


# What is told


def test_people_are_told_of_weights_not_of_even_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "BATCH_SLOTS", 1024)
    world, operator = heavy(1, weights={0: 2.0})
    lines = planned(world.spec, world.observe(operator), 0.0)
    assert lines[:2] == ["shards: 3", "weights: 0=2; the others' is 1"]
    assert lines[2].startswith("  shard 1 -> shard 0: ")
    status: dict[str, Any] = {}
    texts = []
    for now in range(600):
        action = decide(world.spec, world.observe(operator), 0.0)
        status = build_status(world.spec, world.observe(operator), action, status, float(now))
        texts.append(told(status["rebalance"]))
        if action is None:
            break
        world.apply(operator, action)
        world.settle()
    assert "slots have moved, so that 3 shards have shares by their weights" in texts[0]
    assert texts[-1].endswith("slots have moved; 3 shards own all slots by their weights")
    assert planned(world.spec, world.observe(operator), 0.0) == ["shards: 3, as they are; no slot would move"]
