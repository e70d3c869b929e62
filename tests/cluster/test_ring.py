"""The promises of the ring, for every number of shards and across changes; and that a mere balancer fails them."""

import collections
import hashlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.cluster.ring import SLOTS, Ring, bounds_of, fair_shares, least_moves, place

VNODES = 1000
RING_LIKE_UP_TO = 16


def assert_balanced(owners: tuple[int, ...], members: list[int], weights: dict[int, float] | None = None) -> None:
    assert len(owners) == SLOTS
    loads = collections.Counter(owners)
    assert set(loads) <= set(members), "a slot without an owner among the shards"
    for member, fair in fair_shares(members, weights).items():
        assert loads[member] <= max(1.02 * fair, math.ceil(fair)), (member, loads[member], fair)
        assert loads[member] >= math.floor(0.95 * fair), (member, loads[member], fair)


def assert_few_moves(
    before: tuple[int, ...], after: tuple[int, ...], members: list[int], weights: dict[int, float] | None = None
) -> None:
    bounds = {member: bounds_of(fair) for member, fair in fair_shares(members, weights).items()}
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert moved <= 1.05 * least_moves(before, bounds), (moved, least_moves(before, bounds))


def ring_share(owners: tuple[int, ...], members: list[int]) -> float:
    ring = Ring(members, VNODES)
    return sum(a == b for a, b in zip(owners, ring.successors, strict=True)) / SLOTS


def own_arcs_share(before: tuple[int, ...], after: tuple[int, ...], members: list[int], newcomer: int) -> float:
    ring = Ring(members, VNODES)
    moved = [slot for slot in range(SLOTS) if before[slot] != after[slot]]
    return sum(ring.successors[slot] == newcomer for slot in moved) / len(moved)


@settings(max_examples=40, deadline=None)
@given(shards=st.integers(1, 333))
def test_a_fresh_placement_is_balanced_and_covers_every_slot(shards: int) -> None:
    assert_balanced(place(shards, VNODES), list(range(shards)))


@settings(max_examples=25, deadline=None)
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


@settings(max_examples=25, deadline=None)
@given(data=st.data(), shards=st.integers(1, 60))
def test_weights_scale_a_shards_share(data: st.DataObject, shards: int) -> None:
    members = list(range(shards))
    weights = {member: data.draw(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0])) for member in members}
    before = place(members, VNODES, weights)
    assert_balanced(before, members, weights)
    larger = [*members, shards]
    after = place(larger, VNODES, weights, before)
    assert_balanced(after, larger, weights)
    assert_few_moves(before, after, larger, weights)


@settings(max_examples=15, deadline=None)
@given(changes=st.lists(st.sets(st.integers(0, 40), min_size=1, max_size=30), min_size=2, max_size=6))
def test_a_long_history_of_changes_stays_balanced(changes: list[set[int]]) -> None:
    owners: tuple[int, ...] | None = None
    for members in map(sorted, changes):
        after = place(members, VNODES, previous=owners)
        assert_balanced(after, members)
        if owners is not None:
            assert_few_moves(owners, after, members)
        owners = after


@pytest.mark.parametrize("shards", range(1, RING_LIKE_UP_TO + 1))
def test_a_placement_is_a_ring(shards: int) -> None:
    members, larger = list(range(shards)), list(range(shards + 1))
    before = place(members, VNODES)
    after = place(larger, VNODES, previous=before)
    assert ring_share(before, members) >= 0.90
    if shards < RING_LIKE_UP_TO:
        assert own_arcs_share(before, after, larger, newcomer=shards) >= 0.75


def contiguous(members: list[int], previous: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """What a greedy balancer does: equal ranges, and whatever is too much goes to who has too little."""
    share = [SLOTS * (i + 1) // len(members) for i in range(len(members))]
    if previous is None:
        return tuple(next(m for m, end in zip(members, share, strict=True) if slot < end) for slot in range(SLOTS))
    owners = list(previous)
    loads = collections.Counter(owners)
    fair = SLOTS // len(members)
    for slot, owner in enumerate(owners):
        needy = next((member for member in members if loads[member] < fair), None)
        if needy is not None and loads[owner] > fair:
            loads[owner] -= 1
            loads[needy] += 1
            owners[slot] = needy
    return tuple(owners)


@pytest.mark.parametrize("shards", range(2, RING_LIKE_UP_TO))
def test_contiguous_ranges_by_a_greedy_balancer_are_no_ring(shards: int) -> None:
    members, larger = list(range(shards)), list(range(shards + 1))
    before = contiguous(members)
    after = contiguous(larger, before)
    assert_balanced(before, members)
    assert ring_share(before, members) < 0.90
    assert own_arcs_share(before, after, larger, newcomer=shards) < 0.75


def test_placement_is_the_same_on_every_machine_and_for_ever() -> None:
    digest = hashlib.sha256(bytes(place(3, VNODES))).hexdigest()
    assert digest == "19c4459aa9d9abff0c5c60a13273051dfbfb0d06709cf5eb5d764e0f035e4b48"


def test_nothing_moves_when_nothing_has_to() -> None:
    owners = place(7, VNODES)
    assert place(7, VNODES, previous=owners) == owners
    assert place(7, 50, previous=owners) == owners, "another vnodesPerShard affects later moves only"


def test_slots_of_nobody_find_an_owner() -> None:
    owners = place(4, VNODES)
    holes = tuple(-1 if slot % 3 == 0 else owner for slot, owner in enumerate(owners))
    filled = place(4, VNODES, previous=holes)
    assert_balanced(filled, [0, 1, 2, 3])
    assert_few_moves(holes, filled, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((0, VNODES), "0 shards"),
        (([1, 1], VNODES), "different"),
        ((3, 0), "vnodes_per_shard is 0"),
        ((2, VNODES, {0: 0.0}), "weight of shard 0"),
        ((2, VNODES, {1: math.inf}), "weight of shard 1"),
        ((2, VNODES, None, (0, 1)), "previous has 2 owners"),
    ],
)
def test_impossible_rings_are_refused_in_words(arguments: tuple, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        place(*arguments)
