"""Sorted sets in few words: what `types/zset.py` must do, on a dictionary and a sorted list.

The reference that tests hold the fast form against. It would serve a node as well, only slower and larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import Random
from typing import Any

from sortedcontainers import SortedList

from ringkeeper.types.collection import Limits
from ringkeeper.types.zset import ADDED, UNCHANGED, UPDATED
from ringkeeper.types.zset_tree import FLAT, MEMBERS, PAIRS

BASE_BYTES, MEMBER_BYTES = 500, 200
"""Only about: nobody asks this form."""


class PlainSortedSet:
    """As `SortedSet`. Changes, ranks and intervals O(log n), plus the members of an interval; the rest O(1)."""

    def __init__(self, limits: Limits) -> None:
        self.scores: dict[bytes, float] = {}
        self.order = SortedList()
        """(score, member) of all."""
        self.memory = BASE_BYTES
        self.limits = limits
        self.compact = True

    @property
    def kind(self) -> str:
        return "zset"

    @property
    def encoding(self) -> str:
        return "listpack" if self.compact else "skiplist"

    def expect(self, count: int, longest: int) -> None:
        if count > self.limits.zset_max_listpack_entries or longest > self.limits.zset_max_listpack_value:
            self.compact = False

    def __len__(self) -> int:
        return len(self.scores)

    def __contains__(self, member: bytes) -> bool:
        return member in self.scores

    def __iter__(self) -> Iterator[bytes]:
        return (member for _, member in self.order)

    def items(self) -> Iterator[tuple[bytes, float]]:
        return ((member, score) for score, member in self.order)

    def score(self, member: bytes) -> float | None:
        return self.scores.get(member)

    def add(self, member: bytes, score: float) -> int:
        if score != score:
            raise ValueError("a score is never NaN")
        old = self.scores.get(member)
        if old == score:
            return UNCHANGED
        if old is None:
            if self.compact:
                self.expect(len(self) + 1, len(member))
            self.memory += MEMBER_BYTES + len(member)
        else:
            self.order.remove((old, member))
        if self.compact and score == 0.0:
            score = 0.0  # a listpack holds integers, which have no negative zero
        self.scores[member] = score
        self.order.add((score, member))
        return ADDED if old is None else UPDATED

    def remove(self, member: bytes) -> bool:
        score = self.scores.pop(member, None)
        if score is None:
            return False
        self.order.remove((score, member))
        self.memory -= MEMBER_BYTES + len(member)
        return True

    def rank(self, member: bytes) -> int | None:
        score = self.scores.get(member)
        return None if score is None else self.order.bisect_left((score, member))

    def rank_of_score(self, score: float, after: bool) -> int:
        end = math.nextafter(score, math.inf) if after else score
        return len(self.order) if after and score == math.inf else int(self.order.bisect_left((end,)))

    def rank_of_member(self, member: bytes, after: bool) -> int:
        if not self.scores:
            return 0
        entry = (self.order[0][0], member)
        return int(self.order.bisect_right(entry) if after else self.order.bisect_left(entry))

    def at(self, rank: int) -> tuple[bytes, float]:
        score, member = self.order[rank]
        return member, score

    def range(self, start: int, stop: int, form: int = MEMBERS) -> list[Any]:
        pairs = [(member, score) for score, member in self.order.islice(start, stop)]
        if form == MEMBERS:
            return [member for member, _ in pairs]
        if form == FLAT:
            return [word for pair in pairs for word in pair]
        return [list(pair) for pair in pairs] if form == PAIRS else pairs

    def remove_range(self, start: int, stop: int) -> None:
        for member in self.range(start, stop):
            self.remove(member)

    def random(self, randomness: Random) -> bytes:
        return self.at(randomness.randrange(len(self)))[0]

    def sample(self, randomness: Random, count: int) -> list[bytes]:
        members = list(self.scores)
        return members if count >= len(members) else randomness.sample(members, count)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:  # noqa: ARG002
        """All at once, whatever is asked for."""
        return 0, self.range(0, len(self))

    def copy(self) -> PlainSortedSet:
        other = PlainSortedSet(self.limits)
        other.scores = dict(self.scores)
        other.order = self.order.copy()
        other.memory, other.compact = self.memory, self.compact
        return other

    def shed(self, count: int) -> int:
        going = self.range(0, min(count, len(self)))
        for member in going:
            self.remove(member)
        return len(going)

    def check(self) -> None:
        assert list(self.order) == sorted((score, member) for member, score in self.scores.items())
        assert self.memory == BASE_BYTES + sum(MEMBER_BYTES + len(member) for member in self.scores)
