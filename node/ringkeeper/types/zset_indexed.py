# cython: boundscheck=False, wraparound=False
"""Members with scores, many of them: what a large sorted set is made of.

Two structures hold the same members. The *table* answers for one member: members and scores stand in two rows, and an
index with open addressing says where. A slot of the index holds 32 bits of the member's hash beside the row's number,
so that a look-up touches a row only where it finds what it seeks. The *tree* answers for ranks and ranges.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

from ringkeeper.types.zset_packed import ADDED, UNCHANGED, UPDATED
from ringkeeper.types.zset_tree import MEMBERS

if not cython.compiled:
    from ringkeeper.types.memory import block_size, text_memory
    from ringkeeper.types.rows import IndexedRows
    from ringkeeper.types.zset_tree import new_tree
else:
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Realloc
    from cython.cimports.ringkeeper.types.memory import block_size, text_memory  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.rows import IndexedRows  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset_tree import new_tree  # type: ignore[no-redef]

INDEXED_BYTES = cython.declare(cython.Py_ssize_t, 80)
"""The object itself."""

TAG = cython.declare(cython.longlong, 0xFFFFFFFF)
"""The bits of a hash that the index holds."""


@cython.final
@cython.no_gc
@cython.cclass
class IndexedScores(IndexedRows):
    """As `SortedSet`, for which alone it is there. O(1) each where nothing else is said."""

    if TYPE_CHECKING:
        scores: Any

    @cython.cfunc
    def begin(self, width: cython.Py_ssize_t) -> None:
        self.begin_rows()
        self.tree = new_tree(width)
        self.room = 0
        """Scores that there is room for: they stand in the order of the members."""
        if not cython.compiled:
            self.scores = []
        self.memory = INDEXED_BYTES + self.structure()
        """Bytes of all of it."""

    def __dealloc__(self) -> None:
        PyMem_Free(self.scores)

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def has(self, member: bytes) -> cython.bint:
        return self.row_of(member, hash(member) & TAG) >= 0

    @cython.cfunc
    def score(self, member: bytes) -> Any:
        row: cython.Py_ssize_t = self.row_of(member, hash(member) & TAG)
        if row < 0:
            return None
        score: float = self.scores[row]
        return score

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def add(self, member: bytes, score: cython.double) -> cython.int:
        """`ADDED`, `UPDATED` or `UNCHANGED`. O(log n)."""
        before: cython.Py_ssize_t = self.structure()
        tag: cython.longlong = hash(member) & TAG
        row: cython.Py_ssize_t = self.row_of(member, tag)
        if row >= 0:
            if self.scores[row] == score:
                return UNCHANGED
            self.tree.move(self.scores[row], self.members[row], score)
            self.memory += self.structure() - before
            self.scores[row] = score
            return UPDATED
        self.tree.add(score, member)
        self.append_scored(member, tag, score)
        self.memory += self.structure() - before + text_memory(len(member))
        return ADDED

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def append(self, member: bytes, score: cython.double) -> cython.bint:
        """Put a member that is not here into the table alone; whether it was not. `order` comes before all else."""
        before: cython.Py_ssize_t = self.structure()
        tag: cython.longlong = hash(member) & TAG
        if self.row_of(member, tag) >= 0:
            return False
        self.append_scored(member, tag, score)
        self.memory += self.structure() - before + text_memory(len(member))
        return True

    @cython.cfunc
    def order(self, falling: cython.bint) -> None:
        """Put all members into the tree, which is empty: the last one first if they fall. O(n log n)."""
        i: cython.Py_ssize_t
        count: cython.Py_ssize_t = len(self.members)
        before: cython.Py_ssize_t = self.structure()
        for i in range(count):
            row: cython.Py_ssize_t = count - 1 - i if falling else i
            self.tree.add(self.scores[row], self.members[row])
        self.memory += self.structure() - before

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def remove(self, member: bytes) -> cython.bint:
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

    @cython.cfunc
    @cython.exceptval(-2, check=False)
    def rank(self, member: bytes) -> cython.Py_ssize_t:
        """How many come before a member, or -1. O(log n)."""
        row: cython.Py_ssize_t = self.row_of(member, hash(member) & TAG)
        if row < 0:
            return -1
        return self.tree.rank(self.scores[row], member, False)

    @cython.cfunc
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
    @cython.exceptval(check=False)
    def structure(self) -> cython.Py_ssize_t:
        """The bytes of all but the object itself and the members. O(1)."""
        return self.rows_memory() + (block_size(8 * self.room) if self.room else 0) + self.tree.memory

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """It goes from the end of the row to its beginning: what moves into a gap comes from where the scan has been,
        so a member that stays is returned at least once. O(count)."""
        length = len(self.members)
        end = length if cursor == 0 else min(cursor, length)
        start = max(end - max(count, 1), 0)
        return start, self.members[start:end]

    @cython.cfunc
    def copy(self) -> IndexedScores:
        """O(n)."""
        i: cython.Py_ssize_t
        other: IndexedScores = new_indexed(4)
        other.tree = self.tree.copy()
        other.copy_rows(self)
        other.reserve(len(self.members))
        for i in range(len(self.members)):
            other.scores[i] = self.scores[i]
        other.memory = self.memory - self.structure() + other.structure()
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
        expected = INDEXED_BYTES + self.structure() + sum(text_memory(len(member)) for member in self.members)
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


@cython.cfunc
def new_indexed(width: cython.Py_ssize_t) -> IndexedScores:
    """An empty one, whose tree's nodes have so many entries."""
    made: IndexedScores = IndexedScores.__new__(IndexedScores)
    made.begin(width)
    return made
