"""What clients know of the keys that they wrote, and what of the values found later cannot be.

A client writes numbers, each once: it appends them, adds them as members, counts them. So a value tells which writes it
has, and how often. Each key has one client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

COUNTER, REGISTER = "counter", "register"
ORDERED = ("list", "string")
KINDS = (*ORDERED, "set", "hash", "fields", "zset", COUNTER, REGISTER)
"""`string`: numbers appended to one. `fields`: a hash whose fields expire, written by transactions."""


@dataclass(slots=True)
class Ledger:
    """Of one key."""

    key: str
    kind: str
    acknowledged: list[int] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    """Writes without an answer: they may have been done, or be done later, or not at all."""

    def lost(self, found: Sequence[int]) -> int:
        """How many acknowledged writes are not there. `found` are the numbers in a value; a counter's is one number."""
        if self.kind == COUNTER:
            return max(0, len(self.acknowledged) - sum(found))
        if self.kind == REGISTER:
            last = found[0] if found else 0
            return 0 if last in self.open else sum(number > last for number in self.acknowledged)
        return len(set(self.acknowledged) - set(found))

    def wrong(self, found: Sequence[int]) -> list[str]:
        """What nobody wrote, or wrote once and is there twice, or in another order."""
        told = []
        if self.kind == COUNTER:
            if sum(found) > len(self.acknowledged) + len(self.open):
                told.append(f"counted {sum(found)}")
        elif strange := set(found) - set(self.acknowledged) - self.open:
            told.append(f"nobody wrote {sorted(strange)}")
        if self.kind in ORDERED:
            if len(set(found)) < len(found):
                told.append(f"doubled {sorted(number for number in set(found) if found.count(number) > 1)}")
            answered = set(self.acknowledged)
            order = [number for number in found if number in answered]
            if order != sorted(order):
                told.append(f"out of order {order}")
        return [f"{self}: {each}" for each in told]

    def __str__(self) -> str:
        return f"{self.key} ({len(self.acknowledged)} acknowledged, {len(self.open)} without an answer)"
