"""Sorted sets: members, each with a score, in the order of their scores and, where these are equal, of their bytes.

While they are few and short, they stand packed in one block of memory (`types/zset_packed.py`). When there are too many
for that, or one is too long, they become objects in a table and a tree (`types/zset_indexed.py`), for good.

`types/zset_plain.py` says the same in few words; tests hold one against the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import cython

from ringkeeper.types.zset_packed import ADDED, UNCHANGED, UPDATED
from ringkeeper.types.zset_tree import MEMBERS, TUPLES, WIDTH

if not cython.compiled:
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.zset_indexed import IndexedScores, new_indexed
    from ringkeeper.types.zset_packed import PackedScores
else:
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset_indexed import IndexedScores, new_indexed  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset_packed import PackedScores  # type: ignore[no-redef]

__all__ = ["ADDED", "UNCHANGED", "UPDATED", "SortedSet", "new_sorted_set"]

OBJECT_BYTES = cython.declare(cython.Py_ssize_t, 64)
"""The object itself."""
NEW = cython.declare(cython.int, ADDED)
TREE_WIDTH = cython.declare(cython.Py_ssize_t, WIDTH)


@cython.final
@cython.no_gc
@cython.cclass
class SortedSet(PackedScores):
    """Ranks count from 0, intervals of them are half open: 0 <= start <= stop <= n. A score is never NaN.

    O(1) each where nothing else is said; n is the number of members, and what is packed is bounded.
    """

    def __init__(self, limits: Limits) -> None:
        self.set_up(limits)

    @cython.cfunc
    def set_up(self, limits: Limits) -> None:
        self.begin(True)
        self.indexed: IndexedScores | None = None
        """The members, once they are packed no longer."""
        self.limits = limits
        self.count_memory()

    @cython.cfunc
    @cython.exceptval(check=False)
    def count_memory(self) -> cython.void:
        """Bring `memory` up to date. Not a property: that costs more than all of this, and each command asks."""
        self.memory: int = OBJECT_BYTES + (self.pack_memory() if self.indexed is None else self.indexed.memory)

    @property
    def kind(self) -> str:
        return "zset"

    @property
    def encoding(self) -> str:
        """`compact` says whether it has been within the limits ever since it was made."""
        return "listpack" if self.compact else "skiplist"

    def expect(self, count: cython.Py_ssize_t, longest: cython.Py_ssize_t) -> None:
        """Choose the encoding for so many members, the longest of that length, before they come."""
        if count > self.limits.zset_max_listpack_entries or longest > self.limits.zset_max_listpack_value:
            self.compact = False

    def __len__(self) -> int:
        return int(self.length())

    def length(self) -> cython.Py_ssize_t:
        return self.count if self.indexed is None else len(self.indexed.members)

    def __contains__(self, member: bytes) -> bool:
        return bool(self.seek(member, 1) >= 0 if self.indexed is None else self.indexed.has(member))

    def __iter__(self) -> Iterator[bytes]:
        """Members in order."""
        return (member for member, _ in self.items())

    def items(self) -> Iterator[tuple[bytes, float]]:
        """Members and scores in order. The set must not change meanwhile. O(n)."""
        for start in range(0, len(self), 100):
            yield from self.range(start, min(start + 100, len(self)), TUPLES)

    # One member

    def score(self, member: bytes) -> float | None:
        if self.indexed is not None:
            found: float | None = self.indexed.score(member)
            return found
        at: cython.Py_ssize_t = self.seek(member, 1)
        return None if at < 0 else self.score_at(self.behind(at))

    def add(self, member: bytes, score: cython.double) -> int:
        """Give a member a score: `ADDED`, `UPDATED` or `UNCHANGED`. O(log n)."""
        result: cython.int
        if score != score:
            raise ValueError("a score is never NaN")
        if score == 0.0 and self.compact:
            score = self.zero(member, score)
        if self.indexed is None:
            at: cython.Py_ssize_t = self.seek(member, 1)
            if self.fits(at, member):
                result = self.put(at, member, score)
            else:
                result = self.form_index(TREE_WIDTH).add(member, score)
        else:
            result = self.indexed.add(member, score)
        self.count_memory()
        if result == NEW and self.compact:
            self.expect(self.length(), len(member))
        return int(result)

    @cython.cfunc
    def zero(self, member: bytes, score: cython.double) -> cython.double:
        """What a zero becomes in a compact set, if this is one with that member."""
        if member not in self:
            self.expect(self.length() + 1, len(member))
        return 0.0 if self.compact else score  # a listpack holds integers, which have no negative zero

    def remove(self, member: bytes) -> bool:
        """Whether there was such a member. O(log n)."""
        found: cython.bint
        found = self.take(self.seek(member, 1)) if self.indexed is None else self.indexed.remove(member)
        self.count_memory()
        return bool(found)

    def rank(self, member: bytes) -> int | None:
        """How many come before a member. O(log n)."""
        if self.indexed is not None:
            rank: cython.Py_ssize_t = self.indexed.rank(member)
            return None if rank < 0 else rank
        at: cython.Py_ssize_t = self.seek(member, 1)
        return None if at < 0 else self.rank_at(at)

    # Intervals

    def rank_of_score(self, score: cython.double, after: cython.bint) -> int:
        """How many have a lower score; with `after`, a lower one or this one. O(log n)."""
        if self.indexed is not None:
            return self.indexed.tree.rank_of_score(score, after)
        return int(self.lower(score, after))

    def rank_of_member(self, member: bytes, after: cython.bint) -> int:
        """How many come before these bytes, if all have the first one's score; with `after`, these count. O(log n)."""
        if not self.length():
            return 0
        if self.indexed is not None:
            return self.indexed.tree.rank(self.at(0)[1], member, after)
        return int(self.rank_at(self.place(self.score_at(self.behind(0)), member, after)))

    def at(self, rank: int) -> tuple[bytes, float]:
        """The member of a rank, and its score. O(log n)."""
        found: tuple[bytes, float] = self.range(rank, rank + 1, TUPLES)[0]
        return found

    def range(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t, form: cython.int = 0) -> list[Any]:
        """What has these ranks, in one of the forms of `zset_tree` (`MEMBERS`). O(log n + stop - start)."""
        found: list[Any]
        if self.indexed is not None:
            found = self.indexed.tree.range(start, stop, form)
        else:
            found = self.packed_range(start, stop, form)
        return found

    def remove_range(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> None:
        """O(log n + stop - start)."""
        if self.indexed is not None:
            self.indexed.remove_range(start, stop)
        else:
            self.cut(start, stop)
        self.count_memory()

    # Whatever the order

    def random(self, randomness: Random) -> bytes:
        """Any member, each as likely. For a set that is not empty."""
        number = randomness.randrange(len(self))
        return self.at(number)[0] if self.indexed is None else self.indexed.members[number]

    def sample(self, randomness: Random, count: int) -> list[bytes]:
        """So many different members, in random order, or all. O(count)."""
        members = self.range(0, self.count, MEMBERS) if self.indexed is None else self.indexed.members
        return list(members) if count >= len(members) else randomness.sample(members, count)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next `count` members behind a cursor and the cursor behind them; both ends are 0. O(count).

        A member that stays is returned at least once. A compact set comes whole, in order, and so does a packed one.
        """
        if self.compact or self.indexed is None:
            return 0, self.range(0, len(self))
        cursor, members = self.indexed.scan(cursor, count)
        return cursor, members

    def copy(self) -> SortedSet:
        """O(n)."""
        other: SortedSet = new_sorted_set(self.limits)
        other.copy_pack(self)
        other.indexed = None if self.indexed is None else self.indexed.copy()
        other.compact = self.compact
        other.count_memory()
        return other

    def form_index(self, width: cython.Py_ssize_t = WIDTH) -> IndexedScores:
        """Unpack, if that has not been done; the new form. Raises `MemoryError`, and nothing has changed then.

        `width` is for tests, which want high trees of few entries; at least 4.
        """
        if self.indexed is not None:
            return self.indexed
        indexed: IndexedScores = new_indexed(width)
        at: cython.Py_ssize_t = 0
        while at < self.size:
            member: bytes = self.text(at)
            at = self.behind(at)
            indexed.add(member, self.score_at(at))
            at = self.behind(at)
        self.clear_pack()
        self.indexed = indexed
        self.count_memory()
        return indexed

    def append(self, member: bytes, score: cython.double) -> bool:
        """Put a member into a set of so many that they are not packed and it counts as no listpack; whether it was not
        here. When all have come, `order` comes before all else. O(1)."""
        indexed: IndexedScores = self.form_index(TREE_WIDTH)
        return bool(indexed.append(member, score))

    def order(self, falling: cython.bint) -> None:
        """`falling`: they came in order, the highest first. O(n log n), but in order it takes little."""
        self.form_index(TREE_WIDTH).order(falling)
        self.count_memory()

    def shed(self, count: int) -> int:
        """As `Collection.shed`."""
        if self.indexed is not None:
            return self.indexed.shed(count)
        shed: int = self.count
        self.clear_pack()
        return shed

    def check(self) -> None:
        if self.indexed is None:
            PackedScores.check(self)
        else:
            self.indexed.check()
            assert self.count == self.size == 0
        counted = self.memory
        self.count_memory()
        assert self.memory == counted


def new_sorted_set(limits: Limits) -> SortedSet:
    """As `SortedSet(limits)`, without Python's way to make an object."""
    made: SortedSet = SortedSet.__new__(SortedSet)
    made.set_up(limits)
    return made
