"""Hashes: fields and values, and for some fields a time at which they go (as in Valkey 9)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random

import cython

from ringkeeper.types.collection import Limits
from ringkeeper.types.indexed import IndexedTable

BASE_BYTES = 300
"""An empty hash: its own header and those of its table's three parts."""
FIELD_BYTES = 150
"""A field costs so much beyond its own bytes and its value's: two object headers and its places in the table."""
EXPIRY_BYTES = 120
NO_EXPIRY = -1


@cython.final
@cython.no_gc
@cython.cclass
class Hash:
    """Times are Unix milliseconds, handed in. `purge` comes first: what else is asked counts every field that is here.

    O(1) each where nothing else is said.
    """

    table = cython.declare(object, visibility="readonly")
    expiries = cython.declare(dict, visibility="readonly")
    queue = cython.declare(list, visibility="readonly")
    memory = cython.declare(cython.longlong, visibility="public")
    limits = cython.declare(object, visibility="readonly")
    compact = cython.declare(cython.bint, visibility="readonly")

    def __init__(self, limits: Limits) -> None:
        self.table = IndexedTable()
        self.expiries = {}
        """Of the fields that have one."""
        self.queue = []
        """A heap of (time, field); entries that `expiries` contradicts are void."""
        self.memory = BASE_BYTES
        self.limits = limits
        self.compact = True
        """Within the limits, and without any field that expires, ever since it was made."""

    @property
    def kind(self) -> str:
        return "hash"

    @property
    def encoding(self) -> str:
        return "listpack" if self.compact else "hashtable"

    def __len__(self) -> int:
        return len(self.table.members)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.table.members)

    def __contains__(self, field: bytes) -> bool:
        return field in self.table.positions

    # Fields

    def get(self, field: bytes) -> bytes | None:
        value: bytes | None = self.table.get(field)
        return value

    def set(self, field: bytes, value: bytes) -> bool:
        """Whether the field is new. An expiry that it had is kept."""
        old = self.table.get(field)
        self.table.put(field, value)
        if self.compact:
            longest = self.limits.hash_max_listpack_value
            if (
                len(value) > longest
                or len(field) > longest
                or len(self.table.members) > self.limits.hash_max_listpack_entries
            ):
                self.compact = False
        if old is None:
            self.memory += FIELD_BYTES + len(field) + len(value)
            return True
        self.memory += len(value) - len(old)
        return False

    def delete(self, field: bytes) -> bool:
        """Whether there was such a field."""
        value = self.table.pop(field)
        if value is None:
            return False
        self.memory -= FIELD_BYTES + len(field) + len(value)
        self.persist(field)
        return True

    def fields(self) -> list[bytes]:
        """O(n)."""
        return list(self.table.members)

    def values(self) -> list[bytes]:
        """O(n)."""
        return list(self.table.values)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """O(n)."""
        return iter(self.table.items())

    def random(self, randomness: Random) -> bytes:
        field: bytes = self.table.random(randomness)
        return field

    def sample(self, randomness: Random, count: int) -> list[bytes]:
        """So many different fields, or all. O(count)."""
        fields: list[bytes] = self.table.sample(randomness, count)
        return fields

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """As `IndexedTable.scan`; a compact hash comes whole."""
        if self.compact:
            return 0, list(self.table.members)
        cursor, fields = self.table.scan(cursor, count)
        return cursor, fields

    # Fields that expire

    def expiry(self, field: bytes) -> int:
        """Of a field, or `NO_EXPIRY`."""
        at: int = self.expiries.get(field, NO_EXPIRY)
        return at

    def expire(self, field: bytes, at: int) -> None:
        """Let a field that exists go at this time. O(log n)."""
        if field not in self.expiries:
            self.memory += EXPIRY_BYTES
        self.expiries[field] = at
        heapq.heappush(self.queue, (at, field))
        self.compact = False
        if len(self.queue) > 2 * len(self.expiries) + 16:
            self.queue = [(time, name) for name, time in self.expiries.items()]
            heapq.heapify(self.queue)

    def persist(self, field: bytes) -> bool:
        """Take a field's expiry away; whether it had one."""
        if self.expiries.pop(field, None) is None:
            return False
        self.memory -= EXPIRY_BYTES
        if not self.expiries:
            self.queue.clear()
        return True

    @property
    def next_expiry(self) -> int:
        """A time before which no field goes, or `NO_EXPIRY`."""
        at: int = self.queue[0][0] if self.queue else NO_EXPIRY
        return at

    def purge(self, now: int) -> int:
        """Remove the fields whose time has come; how many. O(log n) each."""
        removed = 0
        while self.queue and self.queue[0][0] <= now:
            at, field = heapq.heappop(self.queue)
            if self.expiries.get(field) == at:
                self.delete(field)
                removed += 1
        return removed

    # All of it

    def copy(self) -> Hash:
        """O(n)."""
        other = Hash(self.limits)
        other.table = self.table.copy()
        other.expiries = dict(self.expiries)
        other.queue = list(self.queue)
        other.memory = self.memory
        other.compact = self.compact
        return other

    def shed(self, count: int) -> int:
        """As `Collection.shed`."""
        if self.expiries:
            going = [field for field, _ in zip(self.expiries, range(count), strict=False)]
            for field in going:
                del self.expiries[field]
            del self.queue[-2 * count :]
            return len(going)
        if self.queue:
            del self.queue[-count:]
            return count
        shed: int = self.table.shed(count)
        return shed

    def check(self) -> None:
        self.table.check()
        expected = BASE_BYTES + EXPIRY_BYTES * len(self.expiries)
        expected += sum(FIELD_BYTES + len(field) + len(value) for field, value in self.table.items())
        assert self.memory == expected, (self.memory, expected)
        assert self.expiries.keys() <= self.table.positions.keys()
        assert {(at, field) for field, at in self.expiries.items()} <= set(self.queue)
        if self.compact:
            assert not self.expiries
