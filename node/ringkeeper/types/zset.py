# cython: boundscheck=False, wraparound=False
"""Sorted sets: members, each with a score, in the order of their scores and, where these are equal, of their bytes.

Two structures hold the same members. The *table* answers for one member: members and scores stand in two rows, and an
index with open addressing says where. A slot of the index holds 32 bits of the member's hash beside the row's number,
so that a look-up touches a row only where it finds what it seeks. The *tree* answers for ranks and ranges.

`types/zset_plain.py` says the same in few words; tests hold one against the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import TYPE_CHECKING, Any

import cython

from ringkeeper.types.zset_tree import FLAT, MEMBERS, TUPLES, WIDTH

if not cython.compiled:
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.memory import block_size, text_memory
    from ringkeeper.types.rows import IndexedRows
    from ringkeeper.types.zset_tree import new_tree
else:
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Realloc
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.memory import block_size, text_memory  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.rows import IndexedRows  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset_tree import new_tree  # type: ignore[no-redef]

OBJECT_BYTES = cython.declare(cython.Py_ssize_t, 96)
"""The object itself."""

ADDED, UPDATED, UNCHANGED = 2, 1, 0
"""What `SortedSet.add` did."""

TAG = cython.declare(cython.longlong, 0xFFFFFFFF)
"""The bits of a hash that the index holds."""
TREE_WIDTH = cython.declare(cython.Py_ssize_t, WIDTH)


@cython.final
@cython.no_gc
@cython.cclass
class SortedSet(IndexedRows):
    """Ranks count from 0, intervals of them are half open: 0 <= start <= stop <= n. A score is never NaN.

    O(1) each where nothing else is said; n is the number of members.
    """

    if TYPE_CHECKING:
        scores: Any

    def __init__(self, limits: Limits, width: int = WIDTH) -> None:
        self.begin(limits, width)

    @cython.cfunc
    def begin(self, limits: Limits, width: cython.Py_ssize_t) -> None:
        self.begin_rows()
        self.tree = new_tree(width)
        self.room = 0
        """Scores that there is room for: they stand in the order of the members."""
        if not cython.compiled:
            self.scores = []
        self.memory = OBJECT_BYTES + self.structure()
        self.limits = limits
        self.compact = True
        """Within the limits ever since it was made."""

    def __dealloc__(self) -> None:
        PyMem_Free(self.scores)

    @property
    def kind(self) -> str:
        return "zset"

    @property
    def encoding(self) -> str:
        return "listpack" if self.compact else "skiplist"

    def expect(self, count: cython.Py_ssize_t, longest: cython.Py_ssize_t) -> None:
        """Choose the encoding for so many members, the longest of that length, before they come."""
        if count > self.limits.zset_max_listpack_entries or longest > self.limits.zset_max_listpack_value:
            self.compact = False

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, member: bytes) -> bool:
        return bool(self.row_of(member, hash(member) & TAG) >= 0)

    def __iter__(self) -> Iterator[bytes]:
        """Members in order."""
        return (member for member, _ in self.items())

    def items(self) -> Iterator[tuple[bytes, float]]:
        """Members and scores in order. The set must not change meanwhile. O(n)."""
        for start in range(0, len(self.members), 100):
            yield from self.tree.range(start, min(start + 100, len(self.members)), TUPLES)

    # One member

    def score(self, member: bytes) -> float | None:
        row: cython.Py_ssize_t = self.row_of(member, hash(member) & TAG)
        if row < 0:
            return None
        score: float = self.scores[row]
        return score

    def add(self, member: bytes, score: cython.double) -> int:
        """Give a member a score: `ADDED`, `UPDATED` or `UNCHANGED`. O(log n)."""
        if score != score:
            raise ValueError("a score is never NaN")
        before: cython.Py_ssize_t = self.structure()
        tag: cython.longlong = hash(member) & TAG
        row: cython.Py_ssize_t = self.row_of(member, tag)
        if row >= 0:
            if self.scores[row] == score:
                return UNCHANGED
            if score == 0.0 and self.compact:
                score = 0.0  # as below
            self.tree.move(self.scores[row], self.members[row], score)
            self.memory += self.structure() - before
            self.scores[row] = score
            return UPDATED
        if self.compact:
            self.expect(len(self.members) + 1, len(member))
            if score == 0.0 and self.compact:
                score = 0.0  # a listpack holds integers, which have no negative zero
        self.tree.add(score, member)
        self.append_scored(member, tag, score)
        self.memory += self.structure() - before + text_memory(len(member))
        return ADDED

    def remove(self, member: bytes) -> bool:
        """Whether there was such a member. O(log n)."""
        tag: cython.longlong = hash(member) & TAG
        row: cython.Py_ssize_t = self.row_of(member, tag)
        if row < 0:
            return False
        before: cython.Py_ssize_t = self.structure()
        self.tree.remove(self.scores[row], member)
        self.remove_scored(row, tag)
        self.memory += self.structure() - before - text_memory(len(member))
        return True

    def rank(self, member: bytes) -> int | None:
        """How many come before a member. O(log n)."""
        row: cython.Py_ssize_t = self.row_of(member, hash(member) & TAG)
        if row < 0:
            return None
        return self.tree.rank(self.scores[row], member, False)

    # Intervals

    def rank_of_score(self, score: cython.double, after: cython.bint) -> int:
        """How many have a lower score; with `after`, a lower one or this one. O(log n)."""
        return self.tree.rank_of_score(score, after)

    def rank_of_member(self, member: bytes, after: cython.bint) -> int:
        """How many come before these bytes, if all have the first one's score; with `after`, these count. O(log n)."""
        if not self.members:
            return 0
        return self.tree.rank(self.at(0)[1], member, after)

    def at(self, rank: int) -> tuple[bytes, float]:
        """The member of a rank, and its score. O(log n)."""
        member, score = self.tree.range(rank, rank + 1, FLAT)
        return member, score

    def range(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t, form: cython.int = 0) -> list[Any]:
        """What has these ranks, in one of the forms of `zset_tree` (`MEMBERS`). O(log n + stop - start)."""
        found: list[Any] = self.tree.range(start, stop, form)
        return found

    def remove_range(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> None:
        """O(log n + stop - start)."""
        members: list[bytes] = self.tree.range(start, stop, MEMBERS)
        before: cython.Py_ssize_t = self.structure()
        self.tree.remove_range(start, stop)
        for member in members:
            tag: cython.longlong = hash(member) & TAG
            self.remove_scored(self.row_of(member, tag), tag)
            self.memory -= text_memory(len(member))
        self.memory += self.structure() - before

    @cython.cfunc
    def structure(self) -> cython.Py_ssize_t:
        """The bytes of all but the object itself and the members. O(1)."""
        return self.rows_memory() + (block_size(8 * self.room) if self.room else 0) + self.tree.memory

    # Whatever the order

    def random(self, randomness: Random) -> bytes:
        """Any member, each as likely. For a set that is not empty."""
        return self.members[randomness.randrange(len(self.members))]

    def sample(self, randomness: Random, count: int) -> list[bytes]:
        """So many different members, in random order, or all. O(count)."""
        if count >= len(self.members):
            return list(self.members)
        return randomness.sample(self.members, count)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next `count` members behind a cursor and the cursor behind them; both ends are 0. O(count).

        It goes from the end of the row to its beginning: what moves into a gap comes from where the scan has been, so
        a member that stays is returned at least once. A compact set comes whole, in order.
        """
        if self.compact:
            return 0, self.range(0, len(self.members))
        length = len(self.members)
        end = length if cursor == 0 else min(cursor, length)
        start = max(end - max(count, 1), 0)
        return start, self.members[start:end]

    def copy(self) -> SortedSet:
        """O(n)."""
        i: cython.Py_ssize_t
        other: SortedSet = SortedSet(self.limits)
        other.tree = self.tree.copy()
        other.copy_rows(self)
        other.reserve(len(self.members))
        for i in range(len(self.members)):
            other.scores[i] = self.scores[i]
        other.memory = self.memory - self.structure() + other.structure()
        other.compact = self.compact
        return other

    def shed(self, count: int) -> int:
        """As `Collection.shed`; the index is left as it is, and no member found by it."""
        left = max(len(self.members) - count, 0)
        going = len(self.members) - left
        del self.members[left:]
        self.tree.remove_range(0, going)
        return going

    def check(self) -> None:
        rows = [(self.scores[i], member) for i, member in enumerate(self.members)]
        assert sorted(rows) == self.tree.check()
        assert len(rows) <= self.room or not rows
        IndexedRows.check(self)
        expected = OBJECT_BYTES + self.structure() + sum(text_memory(len(member)) for member in self.members)
        assert self.memory == expected, (self.memory, expected)

    # The table

    @cython.cfunc
    def append_scored(self, member: bytes, tag: cython.longlong, score: cython.double) -> None:
        row: cython.Py_ssize_t = len(self.members)
        if row >= self.room:
            self.reserve(max(4, row + (row >> 2)))
        self.append_row(member, tag)
        self.scores[row] = score

    @cython.cfunc
    def remove_scored(self, row: cython.Py_ssize_t, tag: cython.longlong) -> None:
        """The last row takes its place. What has become far too large shrinks."""
        last: cython.Py_ssize_t = len(self.members) - 1
        shrunk: cython.bint = self.remove_row(row, tag)
        self.scores[row] = self.scores[last]
        if shrunk:
            self.reserve(max(4, last))

    @cython.cfunc
    def reserve(self, room: cython.Py_ssize_t) -> None:
        """Let there be room for so many scores."""
        if not cython.compiled:
            self.scores = self.scores[:room] + [0.0] * (room - self.room)
        else:
            block: cython.p_void = PyMem_Realloc(self.scores, max(room, 1) * cython.sizeof(cython.double))
            if block is cython.NULL:
                raise MemoryError
            self.scores = cython.cast(cython.p_double, block)
        self.room = room


def new_sorted_set(limits: Limits) -> SortedSet:
    """As `SortedSet(limits)`, without Python's way to make an object."""
    made: SortedSet = SortedSet.__new__(SortedSet)
    made.begin(limits, TREE_WIDTH)
    return made
