"""How many commands ran on the keys of each slot: in all, and per second of late.

The slot gates count (`server/gates.py`), for they know the slot anyway; on a node that runs alone there are none. So a
command counts once, whatever it does to how many keys, and also where it then fails; a transaction's commands count
when it runs. What a replica is sent by its master passes no gate.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import cython

from ringkeeper.store.slot import SLOTS

if cython.compiled:
    from cython.cimports.ringkeeper.server.lease import words_of

WINDOW_SECONDS = 30.0
"""Rates are told of at least so long, and at most twice as long; of less only since the node started, or since the slot
came here."""


@cython.final
@cython.cclass
class SlotCounts:
    """One a node. Grows, until the slot is lost or statistics are reset."""

    def __init__(self) -> None:
        self.words = memoryview(bytearray(8 * SLOTS)).cast("q")
        self.places = words_of(self.words) if cython.compiled else self.words
        self.step = 1
        """What a command adds; 0 while commands are only judged, and do not run yet."""


class SlotRates:
    """Compares the counts with what they were. `now` is in seconds, on a clock that only advances."""

    def __init__(self, counts: SlotCounts, now: float) -> None:
        self.words: memoryview = counts.words
        self.restart(now)

    def restart(self, now: float) -> None:
        """What ran before does not count."""
        self.marks = [(now, self.copy())]
        """When counts were copied, and as what: twice at most."""
        self.came: dict[int, float] = {}
        """Slots that came to this node since the first mark, and when."""

    def copy(self) -> array[int]:
        return array("q", self.words.tobytes())

    def reset(self, now: float) -> None:
        for slot in range(SLOTS):
            self.words[slot] = 0
        self.restart(now)

    def sample(self, now: float) -> None:
        """Now and then."""
        if now - self.marks[-1][0] >= WINDOW_SECONDS:
            self.marks = [self.marks[-1], (now, self.copy())]
            since = self.marks[0][0]
            self.came = {slot: at for slot, at in self.came.items() if at > since}

    def follow(self, lost: Iterable[int], gained: Iterable[int], now: float) -> None:
        """Slots were given to another shard, or to this one."""
        for slot in lost:
            self.words[slot] = 0
        for slot in gained:
            self.came[slot] = now
            for _, counts in self.marks:
                counts[slot] = self.words[slot]

    def per_second(self, slots: Iterable[int], now: float) -> dict[int, float]:
        """Of those of the slots on which anything ran."""
        since, before = self.marks[0]
        return {
            slot: count / max(1.0, now - self.came.get(slot, since))
            for slot in slots
            if (count := self.words[slot] - before[slot]) > 0
        }
