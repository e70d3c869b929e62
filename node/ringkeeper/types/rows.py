# cython: boundscheck=False, wraparound=False
"""Members in a row, and an index that says where in the row each one stands.

The index is open addressing with linear probing. A slot holds a row's number, counted from 1, and 32 bits of the
member's hash, so that a look-up touches a member only where it finds what it seeks. CPython's hash of bytes is SipHash
with a secret of the process: nobody can choose members that collide.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.types.memory import block_size, list_memory
else:
    from cython.cimports.cpython.mem import PyMem_Calloc, PyMem_Free
    from cython.cimports.ringkeeper.types.memory import block_size, list_memory  # type: ignore[no-redef]

TAG = cython.declare(cython.longlong, 0xFFFFFFFF)
"""The bits of a hash that the index holds."""
LEAST_SLOTS = cython.declare(cython.Py_ssize_t, 8)


@cython.no_gc
@cython.cclass
class IndexedRows:
    """Each member is there once. What else stands in rows beside the members, a subclass moves along. O(1) each."""

    @cython.cfunc
    def begin_rows(self) -> cython.void:
        """Called once, by the constructor of a subclass."""
        self.members: list[bytes] = []
        """The last one fills the gap of one that goes."""
        self.slots = 0
        """Of the index: none, or a power of two."""
        if not cython.compiled:
            self.index: list[int] = []

    def __dealloc__(self) -> None:
        PyMem_Free(self.index)

    @cython.cfunc
    @cython.exceptval(check=False)
    def row_of(self, member: bytes, tag: cython.longlong) -> cython.Py_ssize_t:
        """A member's row, or -1."""
        if self.slots == 0:
            return -1
        mask: cython.Py_ssize_t = self.slots - 1
        slot: cython.Py_ssize_t = tag & mask
        entry: cython.longlong = self.index[slot]
        while entry != 0:
            if (entry & TAG) == tag:
                row: cython.Py_ssize_t = (entry >> 32) - 1
                if cython.cast(bytes, self.members[row]) == member:
                    return row
            slot = (slot + 1) & mask
            entry = self.index[slot]
        return -1

    @cython.cfunc
    @cython.exceptval(check=False)
    def slot_of(self, row: cython.Py_ssize_t, tag: cython.longlong) -> cython.Py_ssize_t:
        """Where the index has a row that there is."""
        mask: cython.Py_ssize_t = self.slots - 1
        slot: cython.Py_ssize_t = tag & mask
        while (self.index[slot] >> 32) - 1 != row:
            slot = (slot + 1) & mask
        return slot

    @cython.cfunc
    @cython.exceptval(check=False)
    def enter(self, entry: cython.longlong) -> cython.void:
        """Put an entry into the index, which has a slot for it."""
        mask: cython.Py_ssize_t = self.slots - 1
        slot: cython.Py_ssize_t = entry & TAG & mask
        while self.index[slot] != 0:
            slot = (slot + 1) & mask
        self.index[slot] = entry

    @cython.cfunc
    @cython.exceptval(check=False)
    def vacate(self, slot: cython.Py_ssize_t) -> cython.void:
        """Empty a slot; entries behind it that a search would now miss move up (Knuth, volume 3, 6.4, algorithm R)."""
        mask: cython.Py_ssize_t = self.slots - 1
        at: cython.Py_ssize_t = (slot + 1) & mask
        while self.index[at] != 0:
            home: cython.Py_ssize_t = self.index[at] & TAG & mask
            if ((at - home) & mask) >= ((at - slot) & mask):
                self.index[slot] = self.index[at]
                slot = at
            at = (at + 1) & mask
        self.index[slot] = 0

    @cython.cfunc
    def append_row(self, member: bytes, tag: cython.longlong) -> None:
        """Put a member that is not here behind the others."""
        row: cython.Py_ssize_t = len(self.members)
        if 3 * (row + 1) > 2 * self.slots:
            self.resize_index(max(2 * self.slots, LEAST_SLOTS))
        self.members.append(member)
        self.enter(((row + 1) << 32) | tag)

    @cython.cfunc
    def remove_row(self, row: cython.Py_ssize_t, tag: cython.longlong) -> cython.bint:
        """The last row takes its place. Whether the index, far too large for what is left, has shrunk."""
        last: cython.Py_ssize_t = len(self.members) - 1
        self.vacate(self.slot_of(row, tag))
        moved: bytes = self.members.pop()
        if row != last:
            tag = hash(moved) & TAG
            self.index[self.slot_of(last, tag)] = ((row + 1) << 32) | tag
            self.members[row] = moved
        if self.slots > LEAST_SLOTS and 8 * last < self.slots:
            self.resize_index(self.slots // 2)
            return True
        return False

    @cython.cfunc
    def exchange(self, row: cython.Py_ssize_t, other: cython.Py_ssize_t) -> cython.void:
        """Let two members trade places."""
        first: bytes = self.members[row]
        second: bytes = self.members[other]
        slot: cython.Py_ssize_t = self.slot_of(row, hash(first) & TAG)
        other_slot: cython.Py_ssize_t = self.slot_of(other, hash(second) & TAG)
        self.index[slot] = ((other + 1) << 32) | (hash(first) & TAG)
        self.index[other_slot] = ((row + 1) << 32) | (hash(second) & TAG)
        self.members[row] = second
        self.members[other] = first

    @cython.cfunc
    def resize_index(self, slots: cython.Py_ssize_t) -> None:
        """Make the index anew with so many slots. O(n), once in as many changes."""
        i: cython.Py_ssize_t
        old: cython.p_longlong = self.index
        old_slots: cython.Py_ssize_t = self.slots
        if not cython.compiled:
            self.index = [0] * slots
        else:
            block: cython.p_void = PyMem_Calloc(slots, cython.sizeof(cython.longlong))
            if block is cython.NULL:
                raise MemoryError
            self.index = cython.cast(cython.p_longlong, block)
        self.slots = slots
        for i in range(old_slots):
            if old[i] != 0:
                self.enter(old[i])
        if cython.compiled:
            PyMem_Free(old)

    @cython.cfunc
    def copy_rows(self, other: IndexedRows) -> None:
        """Take over what another has, to an empty one. O(n)."""
        i: cython.Py_ssize_t
        self.members = other.members[:]
        if other.slots:
            self.resize_index(other.slots)
            for i in range(self.slots):
                self.index[i] = other.index[i]

    @cython.cfunc
    @cython.exceptval(check=False)
    def rows_memory(self) -> cython.Py_ssize_t:
        """The bytes of the row and of the index, without the members themselves."""
        return list_memory(self.members) + (block_size(8 * self.slots) if self.slots else 0)

    def check(self) -> None:
        """Assert every invariant. O(n)."""
        for i, member in enumerate(self.members):
            assert self.row_of(member, hash(member) & TAG) == i
        count = len(self.members)
        assert sum(1 for i in range(self.slots) if self.index[i]) == count
        assert 3 * count <= 2 * self.slots <= max(32 * count, 2 * LEAST_SLOTS)
