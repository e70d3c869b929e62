"""Who owns which slot: consistent hashing with virtual nodes, held in balance, moving as little as possible.

Each shard puts points (virtual nodes) at hashed positions on the circle of 16384 slots; a slot's *plain successor* is
the shard of the next point clockwise. The plain ring alone is uneven, so loads are bounded: no shard may hold more than
its ceiling (1.02 times its fair share, or the fair share rounded up) or less than its floor (0.95 times, rounded down).

A new cluster starts from the plain ring, a change from the owners of the previous epoch; `_Mender` moves the fewest
slots that bring every load within bounds. Which slots move, and where to, the ring says: a shard in need takes slots of
its own arcs first, a slot in need goes to the next shard clockwise that has room. A few moves beyond the fewest are
spent on tighter bounds (`SPARE_MOVES`, `FRESH_MOVES`). Everything is deterministic: the same input gives the same
owners on every machine.

Sources: Karger et al., "Consistent hashing and random trees" (1997); Mirrokni, Thorup and Zadimoghaddam, "Consistent
hashing with bounded loads" (2018), whose walk to the next bin with room is used here.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from ringkeeper.store.slot import SLOTS

CEILING = 1.02
FLOOR = 0.95
POINTS = 4096
"""Points on the whole circle at most: more would only make CLUSTER SLOTS longer."""
SPARE_MOVES = 0.04
"""The share of the least moves that a change may spend on a tighter balance."""
FRESH_MOVES = 0.05
"""The share of all slots that a new cluster may put elsewhere than the plain ring does. The evener the shards are, the
more freely the next change can choose: a newcomer then gets its own arcs, not whatever the fullest shards must shed."""
NOBODY = -1

_Test = Callable[[int], bool]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many slots a shard may hold."""

    floor: int
    ceiling: int
    fair: float


def place(
    shards: int | Sequence[int],
    vnodes_per_shard: int,
    weights: Mapping[int, float] | None = None,
    previous: Sequence[int] | None = None,
    *,
    floor: float = FLOOR,
    ceiling: float = CEILING,
) -> tuple[int, ...]:
    """The shard that owns each of the 16384 slots.

    `shards` are indexes, or how many (0 to n - 1). `weights` default to 1. `previous` are the owners of the epoch
    before; it may name shards that are no longer there, or -1 for nobody. Loads stay within `floor` and `ceiling`, as
    parts of the fair share. O(slots × passes), 1000 shards included.
    """
    members = list(range(shards)) if isinstance(shards, int) else sorted(shards)
    if not 1 <= len(set(members)) == len(members) <= SLOTS:
        raise ValueError(f"{len(members)} shards can't share {SLOTS} slots: 1 to {SLOTS} different ones can")
    if members[0] < 0:
        raise ValueError(f"shard {members[0]}: an index starts from 0")
    if vnodes_per_shard < 1:
        raise ValueError(f"vnodes_per_shard is {vnodes_per_shard}, must be at least 1")
    ring = _ring(tuple(members), vnodes_per_shard, None if weights is None else tuple(sorted(weights.items())))
    if previous is None:
        start = list(ring.successors)
    else:
        present = set(members)
        start = [owner if owner in present else NOBODY for owner in previous]
        if len(start) != SLOTS:
            raise ValueError(f"previous has {len(start)} owners, must have {SLOTS}")
    fairs = fair_shares(members, weights)
    promised = {member: bounds_of(fair, floor, ceiling) for member, fair in fairs.items()}
    least = least_moves(start, promised)
    if previous is not None and least == 0:
        return tuple(start)
    allowed = least + int(SPARE_MOVES * least)
    if previous is None:
        allowed = max(allowed, int(FRESH_MOVES * SLOTS))
    return tuple(_Mender(start, ring, _tightest(start, fairs, promised, allowed, floor, ceiling)).mend())


def fair_shares(members: Sequence[int], weights: Mapping[int, float] | None = None) -> dict[int, float]:
    """Slots that each shard would hold if slots could be divided."""
    weight = _weights(members, weights)
    total = math.fsum(weight.values())
    return {member: SLOTS * weight[member] / total for member in members}


def bounds_of(fair: float, floor: float = FLOOR, ceiling: float = CEILING) -> Bounds:
    return Bounds(math.floor(floor * fair), max(math.floor(ceiling * fair), math.ceil(fair)), fair)


def least_moves(start: Sequence[int], bounds: Mapping[int, Bounds]) -> int:
    """The fewest slots that must change hands so that every shard's load is within its bounds.

    A slot whose owner is not in `bounds` must move, and so must a shard's surplus over its ceiling; whatever a floor
    lacks beyond these must come from a shard that can spare it.
    """
    return _least(Counter(start), bounds)


def _least(counts: Mapping[int, int], bounds: Mapping[int, Bounds]) -> int:
    """The same by how many slots each owner has."""
    loads = {member: counts.get(member, 0) for member in bounds}
    leaving = sum(count for owner, count in counts.items() if owner not in bounds)
    leaving += sum(max(0, loads[member] - bound.ceiling) for member, bound in bounds.items())
    lacking = sum(max(0, bound.floor - loads[member]) for member, bound in bounds.items())
    return max(leaving, lacking)


def _weights(members: Sequence[int], weights: Mapping[int, float] | None) -> dict[int, float]:
    chosen = {member: float((weights or {}).get(member, 1.0)) for member in members}
    for member, weight in chosen.items():
        if not (weight > 0 and math.isfinite(weight)):
            raise ValueError(f"the weight of shard {member} is {weight}, must be a positive number")
    return chosen


def _tightest(
    start: Sequence[int],
    fairs: Mapping[int, float],
    promised: dict[int, Bounds],
    allowed: int,
    floor: float,
    ceiling: float,
) -> dict[int, Bounds]:
    """The tightest bounds, from the promised ones down to the fair share itself, that cost at most `allowed` moves."""
    best = promised
    counts = Counter(start)
    for step in range(1, 11):
        tighter = {
            member: bounds_of(fair, floor + (1 - floor) * step / 10, ceiling - (ceiling - 1) * step / 10)
            for member, fair in fairs.items()
        }
        if _least(counts, tighter) > allowed:
            break
        best = tighter
    return best


class Ring:
    """The circle with every shard's points. Positions are 64-bit numbers; slot s stands at s × 2⁵⁰."""

    def __init__(
        self, members: Sequence[int], vnodes_per_shard: int, weights: Mapping[int, float] | None = None
    ) -> None:
        weight = _weights(members, weights)
        mean = math.fsum(weight.values()) / len(members)
        each = max(1, min(vnodes_per_shard, POINTS // len(members)))
        points = sorted(
            (_position(member, vnode), member)
            for member in members
            for vnode in range(max(1, round(each * weight[member] / mean)))
        )
        self.members = tuple(members)
        self.positions = [position for position, _ in points]
        self.shards = [member for _, member in points]
        self.first_points = [bisect_left(self.positions, slot << 50) % len(points) for slot in range(SLOTS)]
        """For each slot the index of the next point clockwise."""
        self.successors = tuple(self.shards[point] for point in self.first_points)
        """The plain ring: for each slot the shard of that point."""


@lru_cache(maxsize=4)
def _ring(members: tuple[int, ...], vnodes_per_shard: int, weights: tuple[tuple[int, float], ...] | None) -> Ring:
    """A change is planned anew after each of its steps, on the same ring."""
    return Ring(members, vnodes_per_shard, None if weights is None else dict(weights))


def _position(shard: int, vnode: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"{shard}/{vnode}".encode(), digest_size=8).digest(), "big")


class _Mender:
    """Moves slots until every load is within bounds; each slot that leaves, leaves once."""

    def __init__(self, start: list[int], ring: Ring, bounds: Mapping[int, Bounds]) -> None:
        self.owners = start
        self.ring = ring
        self.bounds = bounds
        self.loads = dict.fromkeys(bounds, 0)
        for owner in start:
            if owner != NOBODY:
                self.loads[owner] += 1

    def mend(self) -> list[int]:
        # Floors first, from the slots that must leave anyway: of the needy shard's own arcs, then any.
        self._to_own_arcs(self._must_leave)
        self._clockwise(self._is_needy, self._must_leave)
        # What the floors still lack comes from shards that can spare it, the fuller ones first.
        for can_spare in (self._above_fair, self._above_floor):
            self._to_own_arcs(can_spare)
        for can_spare in (self._above_fair, self._above_floor):
            self._clockwise(self._is_needy, can_spare)
        # Whatever must still leave goes to the next shard clockwise that has room.
        self._clockwise(self._has_room, self._must_leave)
        return self.owners

    def _must_leave(self, owner: int) -> bool:
        return owner == NOBODY or self.loads[owner] > self.bounds[owner].ceiling

    def _above_fair(self, owner: int) -> bool:
        return self.loads[owner] > math.ceil(self.bounds[owner].fair)

    def _above_floor(self, owner: int) -> bool:
        return self.loads[owner] > self.bounds[owner].floor

    def _is_needy(self, member: int) -> bool:
        return self.loads[member] < self.bounds[member].floor

    def _has_room(self, member: int) -> bool:
        return self.loads[member] < self.bounds[member].ceiling

    def _move(self, slot: int, to: int) -> None:
        owner = self.owners[slot]
        if owner != NOBODY:
            self.loads[owner] -= 1
        self.loads[to] += 1
        self.owners[slot] = to

    def _to_own_arcs(self, may_leave: _Test) -> None:
        """Give needy shards slots of their own arcs whose owners pass the test."""
        for slot, successor in enumerate(self.ring.successors):
            owner = self.owners[slot]
            if owner != successor and self._is_needy(successor) and may_leave(owner):
                self._move(slot, successor)

    def _clockwise(self, takes: _Test, may_leave: _Test) -> None:
        """Send slots whose owners pass one test to the next shard clockwise that passes the other.

        Slots that lie on their owner's own arcs come last: they are where the ring wants them.
        """
        if not any(takes(member) for member in self.loads):
            return
        for strangers in (True, False):
            for slot, successor in enumerate(self.ring.successors):
                owner = self.owners[slot]
                if (strangers and owner == successor) or not may_leave(owner):
                    continue
                taker = self._next_taker(slot, owner, takes)
                if taker is None:
                    return
                self._move(slot, taker)

    def _next_taker(self, slot: int, owner: int, takes: _Test) -> int | None:
        shards = self.ring.shards
        first = self.ring.first_points[slot]
        for step in range(len(shards)):
            shard = shards[(first + step) % len(shards)]
            if shard != owner and takes(shard):
                return shard
        return None
