"""How much a second, of things that only ever grow: what INFO calls instantaneous."""

from __future__ import annotations

from collections.abc import Mapping


class Rates:
    """Over the second before the last sample."""

    def __init__(self) -> None:
        self.sampled_at = 0.0
        self.totals: Mapping[str, int] = {}
        self.per_second: dict[str, float] = {}

    def sample(self, now: float, totals: Mapping[str, int]) -> None:
        """`now` is in seconds, on any clock that only advances. A total that was reset counts from 0."""
        elapsed = now - self.sampled_at
        if self.totals and elapsed > 0:
            self.per_second = {
                name: max(0, total - self.totals.get(name, 0)) / elapsed for name, total in totals.items()
            }
        self.sampled_at = now
        self.totals = totals

    def get(self, name: str) -> float:
        return self.per_second.get(name, 0.0)
