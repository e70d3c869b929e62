"""Which slots are to move so that traffic is even: a few at a time, and none back and forth.

Every shard is to serve its share of all commands a second, by its weight. From shards that have more than `START` too
much, the busiest first, slots go to the least busy shard that can take them, each time the one that brings the two
closest to each other, until they have no more than `STOP` too much. Each such step makes the sum of load² ÷ share
smaller; so a load that stays as it is comes to rest. A slot that alone is more than a shard's share gains nothing
anywhere; the others leave it alone on its shard instead.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nsmallest

from ringkeeper.cluster.ring import Bounds

START, STOP = 0.2, 0.05
"""Above a shard's share: from where on something is done, and where it is enough."""
WORTH = 100.0
"""Commands a second: less too much is no reason to move anything."""
LEAST = 0.05
"""Of a shard's share: what is too little to be moved at all."""
MOST_SLOTS = 1024
"""In a round."""
MOST_TARGETS = 8
"""The least busy shards that are tried for a slot."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is known of a cluster whose slots stay where they are for now."""

    owners: tuple[int, ...]
    rates: Mapping[int, float]
    """Slot -> commands a second; one that is left out has none."""
    shares: Mapping[int, float]
    """Shard -> the part of all commands that it is to serve."""
    bounds: Mapping[int, Bounds]
    """How many slots each shard may own."""
    sizes: Mapping[int, int]
    """Slot -> bytes."""
    room: Mapping[int, int]
    """Shard -> bytes that it may still take."""


@dataclass(frozen=True, slots=True)
class Shift:
    slot: int
    source: int
    target: int


def even_out(traffic: Traffic) -> tuple[Shift, ...]:
    """The next slots to move, in order; none if that is not worth it. O(slots × log slots + shifts × shards)."""
    total = math.fsum(traffic.rates.values())
    fair = {shard: total * share for shard, share in traffic.shares.items()}
    plan = _Plan(traffic, fair)
    busy = {shard for shard in fair if plan.load[shard] - fair[shard] > max(START * fair[shard], WORTH)}
    plan.relieve(busy)
    moved = math.fsum(traffic.rates[shift.slot] for shift in plan.shifts)
    return tuple(plan.shifts) if moved >= LEAST * min((fair[shard] for shard in busy), default=0.0) else ()


class _Plan:
    def __init__(self, traffic: Traffic, fair: Mapping[int, float]) -> None:
        self.traffic, self.fair = traffic, fair
        self.counts = Counter(traffic.owners)
        self.room = dict(traffic.room)
        self.slots: dict[int, list[tuple[float, int]]] = {shard: [] for shard in fair}
        """Of each shard, with their rates, in order of these; without those that nobody uses."""
        for slot, rate in traffic.rates.items():
            self.slots[traffic.owners[slot]].append((rate, slot))
        self.load = {shard: math.fsum(rate for rate, _ in slots) for shard, slots in self.slots.items()}
        for slots in self.slots.values():
            slots.sort()
        self.shifts: list[Shift] = []

    def relieve(self, busy: set[int]) -> None:
        """As far as it goes. Others than these give nothing, be they a little too busy."""
        while busy and len(self.shifts) < MOST_SLOTS:
            source = max(busy, key=lambda shard: (self._part(shard), -shard))
            shift = self._best(source) if self._part(source) > 1 + STOP else None
            if shift is None:
                busy = busy - {source}
            else:
                self._carry_out(shift)

    def _part(self, shard: int) -> float:
        return self.load[shard] / self.fair[shard]

    def _best(self, source: int) -> Shift | None:
        """None if no slot of the shard would be better off elsewhere."""
        if self.counts[source] <= self.traffic.bounds[source].floor:
            return None
        others = (shard for shard in self.fair if shard != source)
        for target in nsmallest(MOST_TARGETS, others, key=lambda shard: (self._part(shard), shard)):
            if self.counts[target] < self.traffic.bounds[target].ceiling:
                slot = self._between(source, target)
                if slot is not None:
                    return Shift(slot, source, target)
        return None

    def _between(self, source: int, target: int) -> int | None:
        """The slot that gains most: the largest that takes neither shard beyond its share, or the smallest of those
        that do and help all the same.
        """
        difference = self._part(source) - self._part(target)
        price = 1 / self.fair[source] + 1 / self.fair[target]
        kept = min(self.load[source] - self.fair[source], self.fair[target] - self.load[target], difference / price)
        slots = self.slots[source]
        at = bisect_right(slots, (kept, len(self.traffic.owners)))
        smaller = next((each for each in reversed(slots[:at]) if self._fits(each, target)), None)
        larger = next((each for each in slots[at:] if self._fits(each, target)), None)
        if larger is not None and (self.load[target] + larger[0]) / self.fair[target] > self._part(source) - STOP:
            larger = None
        gains = {
            each: 2 * each[0] * difference - each[0] ** 2 * price for each in (smaller, larger) if each is not None
        }
        best = max(gains, key=lambda each: (gains[each], each), default=None)
        return best[1] if best is not None and gains[best] >= STOP * best[0] else None

    def _fits(self, each: tuple[float, int], target: int) -> bool:
        return self.traffic.sizes.get(each[1], 0) <= self.room[target]

    def _carry_out(self, shift: Shift) -> None:
        each = (self.traffic.rates[shift.slot], shift.slot)
        size = self.traffic.sizes.get(shift.slot, 0)
        for shard, sign in ((shift.source, -1), (shift.target, 1)):
            self.load[shard] += sign * each[0]
            self.counts[shard] += sign
            self.room[shard] -= sign * size
        self.slots[shift.source].remove(each)  # nor is it among its target's: once in a round is enough
        self.shifts.append(shift)
