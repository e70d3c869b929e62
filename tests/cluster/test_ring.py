"""The promises of the ring, for every number of shards and across changes; and that a mere balancer fails them.

`RING_EXAMPLES=2000` in the environment makes the random tests long.
"""

import collections
import hashlib
import itertools
import math
import os
import sys
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.cluster.ring import SLOTS, Bounds, Ring, bounds_of, fair_shares, least_moves, place

VNODES = 1000
RING_LIKE_UP_TO = 16
EXAMPLES = int(os.environ.get("RING_EXAMPLES", "20"))

Weights = dict[int, float]
Place = Callable[[list[int], Sequence[int] | None], tuple[int, ...]]

random_examples = settings(max_examples=EXAMPLES, deadline=None)
one_weight = st.one_of(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]), st.floats(0.25, 4.0))


def assert_balanced(owners: tuple[int, ...], members: list[int], weights: Weights | None = None) -> None:
    assert len(owners) == SLOTS
    loads = collections.Counter(owners)
    assert set(loads) <= set(members), "a slot without an owner among the shards"
    for member, fair in fair_shares(members, weights).items():
        assert loads[member] <= max(1.02 * fair, math.ceil(fair)), (member, loads[member], fair)
        assert loads[member] >= math.floor(0.95 * fair), (member, loads[member], fair)


def assert_few_moves(
    before: Sequence[int], after: tuple[int, ...], members: list[int], weights: Weights | None = None
) -> None:
    bounds = {member: bounds_of(fair) for member, fair in fair_shares(members, weights).items()}
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert moved <= 1.05 * least_moves(before, bounds), (moved, least_moves(before, bounds))


def ring_share(owners: Sequence[int], members: list[int], weights: Weights | None = None) -> float:
    """Of all slots, those that sit at their plain ring successor."""
    ring = Ring(members, VNODES, weights)
    return sum(a == b for a, b in zip(owners, ring.successors, strict=True)) / SLOTS


def own_arcs_share(
    before: Sequence[int], after: Sequence[int], members: list[int], weights: Weights | None = None
) -> float:
    """Of the moves that the newest member causes, those of slots on its own arcs."""
    ring = Ring(members, VNODES, weights)
    moved = [slot for slot in range(SLOTS) if before[slot] != after[slot]]
    return sum(ring.successors[slot] == members[-1] for slot in moved) / len(moved)


def assert_is_a_ring(place_on: Place, shards: int, weights: Weights | None = None) -> None:
    """Placed afresh, then grown by one."""
    members, larger = list(range(shards)), list(range(shards + 1))
    before = place_on(members, None)
    assert_balanced(before, members, weights)
    assert ring_share(before, members, weights) >= 0.90, "a new cluster is not placed by the ring"
    after = place_on(larger, before)
    assert_balanced(after, larger, weights)
    assert_few_moves(before, after, larger, weights)
    assert own_arcs_share(before, after, larger, weights) >= 0.75, "growth does not follow the ring"


@random_examples
@given(shards=st.integers(1, 333), vnodes=st.sampled_from([1, 16, 1000, 4096]))
def test_a_fresh_placement_is_balanced_and_covers_every_slot(shards: int, vnodes: int) -> None:
    assert_balanced(place(shards, vnodes), list(range(shards)))


@random_examples
@given(shards=st.integers(1, 332), by=st.integers(1, 8))
def test_growing_and_shrinking_move_hardly_more_than_they_must(shards: int, by: int) -> None:
    small, large = list(range(shards)), list(range(min(333, shards + by)))
    before = place(small, VNODES)
    grown = place(large, VNODES, previous=before)
    assert_balanced(grown, large)
    assert_few_moves(before, grown, large)
    shrunk = place(small, VNODES, previous=grown)
    assert_balanced(shrunk, small)
    assert_few_moves(grown, shrunk, small)


@random_examples
@given(data=st.data(), shards=st.integers(1, 332))
def test_weights_scale_a_shards_share_when_growing_and_shrinking(data: st.DataObject, shards: int) -> None:
    larger = list(range(shards + 1))
    weights = dict(enumerate(data.draw(st.lists(one_weight, min_size=len(larger), max_size=len(larger)))))
    before = place(shards, VNODES, weights)
    assert_balanced(before, larger[:-1], weights)
    grown = place(larger, VNODES, weights, before)
    assert_balanced(grown, larger, weights)
    assert_few_moves(before, grown, larger, weights)
    gone = data.draw(st.sampled_from(larger))
    remaining = [member for member in larger if member != gone]
    shrunk = place(remaining, VNODES, weights, grown)
    assert_balanced(shrunk, remaining, weights)
    assert_few_moves(grown, shrunk, remaining, weights)


@random_examples
@given(
    changes=st.lists(
        st.tuples(
            st.sets(st.integers(0, 40), min_size=1, max_size=30), st.dictionaries(st.integers(0, 40), one_weight)
        ),
        min_size=2,
        max_size=6,
    )
)
def test_a_long_history_of_members_and_weights_stays_balanced(changes: list[tuple[set[int], Weights]]) -> None:
    owners: tuple[int, ...] | None = None
    for chosen, weights in changes:
        members = sorted(chosen)
        after = place(members, VNODES, weights, owners)
        assert_balanced(after, members, weights)
        if owners is not None:
            assert_few_moves(owners, after, members, weights)
        owners = after


@random_examples
@given(
    owners=st.lists(st.integers(-1, 9), min_size=1, max_size=40),
    members=st.sets(st.integers(0, 9), min_size=1, max_size=9),
)
def test_any_previous_owners_are_put_right(owners: list[int], members: set[int]) -> None:
    """Nobody, shards that are gone, everything with one shard: whatever was there before."""
    previous = tuple(itertools.islice(itertools.cycle(owners), SLOTS))
    after = place(sorted(members), VNODES, previous=previous)
    assert_balanced(after, sorted(members))
    assert_few_moves(previous, after, sorted(members))


@given(
    start=st.lists(st.integers(-1, 3), min_size=1, max_size=9),
    limits=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6)), min_size=1, max_size=3),
)
def test_least_moves_is_what_trying_every_distribution_finds(start: list[int], limits: list[tuple[int, int]]) -> None:
    bounds = {i: Bounds(floor, max(floor, ceiling), 0.0) for i, (floor, ceiling) in enumerate(limits)}
    targets = [
        target
        for target in itertools.product(*(range(bound.floor, bound.ceiling + 1) for bound in bounds.values()))
        if sum(target) == len(start)
    ]
    if targets:
        kept = max(sum(min(start.count(i), load) for i, load in enumerate(target)) for target in targets)
        assert least_moves(start, bounds) == len(start) - kept


@pytest.mark.parametrize("shards", range(1, RING_LIKE_UP_TO + 1))
def test_a_placement_is_a_ring(shards: int) -> None:
    assert_is_a_ring(lambda members, previous: place(members, VNODES, previous=previous), shards)


@pytest.mark.parametrize("shards", [3, 5, 8, 12, 16])
@pytest.mark.parametrize("turn", range(3))
def test_a_weighted_placement_is_a_ring(shards: int, turn: int) -> None:
    cycle = itertools.cycle([(0.25, 4.0, 1.0), (0.5, 0.5, 2.0), (3.7, 0.9, 1.3)][turn])
    weights = {member: next(cycle) for member in range(shards + 1)}
    assert_is_a_ring(lambda members, previous: place(members, VNODES, weights, previous), shards, weights)


def test_a_ring_that_grew_shard_by_shard_goes_on_as_one() -> None:
    owners = place(1, VNODES)
    for shards in range(2, RING_LIKE_UP_TO + 2):
        members = list(range(shards))
        grown = place(members, VNODES, previous=owners)
        assert own_arcs_share(owners, grown, members) >= 0.75
        owners = grown


def contiguous(members: list[int], previous: Sequence[int] | None = None) -> tuple[int, ...]:
    """What a greedy balancer does: equal ranges; later, whatever is too much goes to who has too little."""
    share = [SLOTS * (i + 1) // len(members) for i in range(len(members))]
    if previous is None:
        return tuple(next(m for m, end in zip(members, share, strict=True) if slot < end) for slot in range(SLOTS))
    owners = list(previous)
    loads = collections.Counter(owners)
    fair = SLOTS // len(members)
    for slot, owner in enumerate(owners):
        needy = next((member for member in members if loads[member] < 0.995 * fair), None)
        if needy is not None and loads[owner] > fair:
            loads[owner] -= 1
            loads[needy] += 1
            owners[slot] = needy
    return tuple(owners)


def greedy_growth(members: list[int], previous: Sequence[int] | None = None) -> tuple[int, ...]:
    """A true ring at first, but changed by the greedy balancer."""
    return place(members, VNODES) if previous is None else contiguous(members, previous)


@pytest.mark.parametrize("shards", range(2, RING_LIKE_UP_TO + 1))
def test_contiguous_ranges_by_a_greedy_balancer_are_no_ring(shards: int) -> None:
    """They are balanced and move few slots, but the checks above must refuse them all the same."""
    members, larger = list(range(shards)), list(range(shards + 1))
    before = contiguous(members)
    after = contiguous(larger, before)
    assert_balanced(before, members)
    assert_balanced(after, larger)
    assert_few_moves(before, after, larger)
    with pytest.raises(AssertionError, match="not placed by the ring"):
        assert_is_a_ring(contiguous, shards)
    with pytest.raises(AssertionError, match="does not follow the ring"):
        assert_is_a_ring(greedy_growth, shards)


def digest(owners: tuple[int, ...]) -> str:
    return hashlib.sha256(",".join(map(str, owners)).encode()).hexdigest()


def test_placement_is_the_same_on_every_machine_and_for_ever() -> None:
    three = place(3, VNODES)
    four = place(4, VNODES, previous=three)
    weighted = place([0, 2, 7], 100, {2: 0.5, 7: 3.0}, four)
    assert [digest(owners) for owners in (three, four, weighted, place(333, VNODES))] == [
        "d523d8e987b14634bf80b7ca81418f7facb613c39275110aa91ad85650b0a5fa",
        "7d0173d2a4297de42612cdb7374b8caa3d8b4d427b39bf09ddfd5e76369bae9f",
        "a7645bfbcfcad2b38aee2eeade92668b4cc41d41dfd7d45cfc211d20fea0c33e",
        "e7513291f3e263dadde25538f2a817db4ddbc747b4e4af8c3b4491f6a34f326a",
    ]


def test_the_order_in_which_shards_are_named_does_not_matter() -> None:
    assert place([2, 0, 1], VNODES) == place([0, 1, 2], VNODES) == place(3, VNODES)


def test_nothing_moves_when_nothing_has_to() -> None:
    owners = place(7, VNODES)
    assert place(7, VNODES, previous=owners) == owners
    assert place(7, 50, previous=owners) == owners, "another vnodesPerShard affects later moves only"


def test_the_points_in_use_shrink_with_the_number_of_shards() -> None:
    assert len(Ring([0, 1, 2], VNODES).positions) == 3000
    assert len(Ring(list(range(16)), VNODES).positions) == 4096
    assert len(Ring(list(range(1000)), VNODES).positions) == 4000
    weighted = Ring([0, 1], 100, {0: 3.0, 1: 1.0}).shards
    assert (weighted.count(0), weighted.count(1)) == (150, 50)


def test_a_thousand_shards_can_be_planned() -> None:
    owners = place(1000, VNODES)
    assert_balanced(owners, list(range(1000)))
    fewer = place(999, VNODES, previous=owners)
    assert_balanced(fewer, list(range(999)))
    assert_few_moves(owners, fewer, list(range(999)))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0, VNODES), "0 shards"),
        ((SLOTS + 1, VNODES), "16385 shards"),
        (([1, 1], VNODES), "different"),
        (([-1, 1], VNODES), "shard -1"),
        ((3, 0), "vnodes_per_shard is 0"),
        ((2, VNODES, {0: 0.0}), "weight of shard 0"),
        ((2, VNODES, {1: math.inf}), "weight of shard 1"),
        ((2, VNODES, {1: math.nan}), "weight of shard 1"),
        ((2, VNODES, None, (0, 1)), "previous has 2 owners"),
    ],
)
def test_impossible_rings_are_refused_in_words(arguments: tuple, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        place(*arguments)


def lines_run(start: int, to: int) -> int:
    """To plan a change of the number of shards: a measure of its cost that is the same on every machine."""
    owners = place(start, VNODES)
    count = 0

    def trace(_frame: object, event: str, _argument: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        place(to, VNODES, None, owners)
    finally:
        sys.settrace(before)
    return count


def test_a_change_of_a_thousand_shards_costs_little_more_to_plan_than_one_of_ten() -> None:
    few = lines_run(10, 11)
    assert few > SLOTS
    assert lines_run(999, 1000) < 3 * few
