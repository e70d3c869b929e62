"""Hashes: fields and values, and for some fields a time at which they go (as in Valkey 9)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from random import Random

import cython

if not cython.compiled:
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.indexed import IndexedTable
else:
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.indexed import IndexedTable  # type: ignore[no-redef]

BASE_BYTES = cython.declare(cython.Py_ssize_t, 300)
"""An empty hash: its own header and those of its table's three parts."""
FIELD_BYTES = cython.declare(cython.Py_ssize_t, 150)
"""A field costs so much beyond its own bytes and its value's: two object headers and its places in the table."""
EXPIRY_BYTES = cython.declare(cython.Py_ssize_t, 120)
NO_EXPIRY = -1


@cython.final
@cython.no_gc
@cython.cclass
class Hash:
    """Times are Unix milliseconds, handed in. `purge` comes first: what else is asked counts every field that is here.

    O(1) each where nothing else is said.
    """

    def __init__(self, limits: Limits) -> None:
        self.table = IndexedTable()
        self.expiries: dict[bytes, int] | None = None
        """Of the fields that have one. Few hashes have any: neither this nor the queue is there before the first."""
        self.queue: list[tuple[int, bytes]] | None = None
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
        return len(self.table.places)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.table)

    def __contains__(self, field: bytes) -> bool:
        return field in self.table.places

    # Fields

    def get(self, field: bytes) -> bytes | None:
        value: bytes | None = self.table.get(field)
        return value

    def set(self, field: bytes, value: bytes) -> bool:
        """Whether the field is new. An expiry that it had is kept."""
        old: bytes | None = self.table.put(field, value)
        if self.compact:
            longest: cython.Py_ssize_t = self.limits.hash_max_listpack_value
            if (
                len(value) > longest
                or len(field) > longest
                or len(self.table.places) > self.limits.hash_max_listpack_entries
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
        return self.table.listed()

    def values(self) -> list[bytes]:
        """O(n)."""
        return self.table.all_values()

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """O(n)."""
        return self.as_dict().items()

    def as_dict(self) -> dict[bytes, bytes]:
        """Fields and values. O(n)."""
        return self.table.as_dict()

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
            return 0, self.table.listed()
        cursor, fields = self.table.scan(cursor, count)
        return cursor, fields

    # Fields that expire

    def expiry(self, field: bytes) -> int:
        """Of a field, or `NO_EXPIRY`."""
        at: int = NO_EXPIRY if self.expiries is None else self.expiries.get(field, NO_EXPIRY)
        return at

    def expire(self, field: bytes, at: int) -> None:
        """Let a field that exists go at this time. O(log n)."""
        if self.expiries is None or self.queue is None:
            self.expiries, self.queue = {}, []
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
        if not self.expiries or self.expiries.pop(field, None) is None:
            return False
        self.memory -= EXPIRY_BYTES
        if not self.expiries:
            self.expiries = self.queue = None
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
            if self.expiries is not None and self.expiries.get(field) == at:
                self.delete(field)
                removed += 1
        return removed

    # All of it

    def copy(self) -> Hash:
        """O(n)."""
        other = Hash(self.limits)
        other.table = self.table.copy()
        if self.expiries is not None and self.queue is not None:
            other.expiries = dict(self.expiries)
            other.queue = list(self.queue)
        other.memory = self.memory
        other.compact = self.compact
        return other

    def shed(self, count: int) -> int:
        """As `Collection.shed`."""
        if self.expiries and self.queue is not None:
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
        expiries = self.expiries or {}
        assert (self.queue is None) == (self.expiries is None)
        expected = BASE_BYTES + EXPIRY_BYTES * len(expiries)
        expected += sum(FIELD_BYTES + len(field) + len(value) for field, value in self.items())
        assert self.memory == expected, (self.memory, expected)
        assert expiries.keys() <= self.table.places.keys()
        assert {(at, field) for field, at in expiries.items()} <= set(self.queue or ())
        if self.compact:
            assert not self.expiries
