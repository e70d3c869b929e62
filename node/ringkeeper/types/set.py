"""Sets of byte strings."""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.indexed import IndexedTable
else:
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.indexed import IndexedTable  # type: ignore[no-redef]

OBJECT_BYTES = cython.declare(cython.Py_ssize_t, 80)
"""The object itself."""

INTSET, LISTPACK, HASHTABLE = "intset", "listpack", "hashtable"


@cython.final
@cython.no_gc
@cython.cclass
class Set(IndexedTable):
    """O(1) each where nothing else is said."""

    def __init__(self, limits: Limits) -> None:
        self.begin_table(False)
        self.memory = OBJECT_BYTES
        self.limits = limits
        self.encoding = INTSET
        """Only ever goes from intset to listpack to hashtable."""

    @property
    def kind(self) -> str:
        return "set"

    def add(self, member: bytes) -> bool:
        """Whether the member is new."""
        if not self.put(member, None):
            return False
        if self.encoding != HASHTABLE:
            self.choose_encoding(member)
        return True

    def expect(self, first: bytes, count: int) -> None:
        """Choose the encoding before so many members are added, as Redis does for those of SADD: twins count twice."""
        limits = self.limits
        if not self.length():
            if is_integer(first) and count <= limits.set_max_intset_entries:
                self.encoding = INTSET
            else:
                self.encoding = LISTPACK if count <= limits.set_max_listpack_entries else HASHTABLE
        elif self.encoding != HASHTABLE:
            few = limits.set_max_intset_entries if self.encoding == INTSET else limits.set_max_listpack_entries
            if count > few:
                self.encoding = HASHTABLE

    def choose_encoding(self, added: bytes) -> None:
        """Redis 7.2's rules: `set-max-intset-entries` and `set-max-listpack-*`."""
        limits, count = self.limits, self.length()
        if self.encoding == INTSET:
            if is_integer(added):
                if count <= limits.set_max_intset_entries:
                    return
                self.encoding = HASHTABLE
                return
            longest = max(map(len, self.listed()))
            fits = count <= limits.set_max_listpack_entries and longest <= limits.set_max_listpack_value
            self.encoding = LISTPACK if fits else HASHTABLE
        elif count > limits.set_max_listpack_entries or len(added) > limits.set_max_listpack_value:
            self.encoding = HASHTABLE

    def remove(self, member: bytes) -> bool:
        """Whether there was such a member."""
        return self.pop(member)

    def members(self) -> list[bytes]:
        """O(n)."""
        return self.listed()

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """As `IndexedTable.scan`; a compact set comes whole."""
        if self.encoding != HASHTABLE:
            return 0, self.listed()
        return IndexedTable.scan(self, cursor, count)

    def copy(self) -> Set:
        """O(n)."""
        other: Set = Set(self.limits)
        other.copy_table(self)
        other.encoding = self.encoding
        return other

    def check(self) -> None:
        IndexedTable.check(self)
        expected = OBJECT_BYTES + self.held()
        assert self.memory == expected, (self.memory, expected)
        if self.encoding == INTSET:
            assert all(map(is_integer, self.listed()))


def is_integer(member: bytes) -> bool:
    """Whether it is a signed 64-bit number in its one canonical form, so that an intset gives the same bytes back."""
    if not 0 < len(member) <= 20 or not (member[0] == 0x2D or 0x30 <= member[0] <= 0x39):
        return False
    try:
        number = int(member)
    except ValueError:
        return False
    return b"%d" % number == member and -(2**63) <= number < 2**63
