"""Hashes: fields and values, and for some fields a time at which they go (as in Valkey 9)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

import cython

if not cython.compiled:
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.indexed import IndexedTable
    from ringkeeper.types.memory import dict_memory, list_memory, text_memory
else:
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.indexed import IndexedTable  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.memory import dict_memory, list_memory, text_memory  # type: ignore[no-redef]

OBJECT_BYTES = cython.declare(cython.Py_ssize_t, 80)
"""The object itself."""
ENTRY_BYTES = cython.declare(cython.Py_ssize_t, 64 + 28)
"""An entry of the queue, without the field: a tuple, and most of a number, which the fields of one command share."""
NO_EXPIRY = -1


@cython.final
@cython.no_gc
@cython.cclass
class Hash(IndexedTable):
    """Times are Unix milliseconds, handed in. `purge` comes first: what else is asked counts every field that is here.

    O(1) each where nothing else is said.
    """

    def __init__(self, limits: Limits) -> None:
        self.begin_table(True)
        self.expiries: dict[bytes, int] | None = None
        """Of the fields that have one. Few hashes have any: neither this nor the queue is there before the first."""
        self.queue: list[tuple[int, bytes]] | None = None
        """A heap of (time, field); entries that `expiries` contradicts are void."""
        self.memory = OBJECT_BYTES
        self.limits = limits
        self.compact = True
        """Within the limits, and without any field that expires, ever since it was made."""

    @property
    def kind(self) -> str:
        return "hash"

    @property
    def encoding(self) -> str:
        return "listpack" if self.compact else "hashtable"

    # Fields

    def set(self, field: bytes, value: bytes) -> bool:
        """Whether the field is new. An expiry that it had is kept."""
        new: cython.bint = self.put(field, value)
        if self.compact:
            longest: cython.Py_ssize_t = self.limits.hash_max_listpack_value
            if len(value) > longest or len(field) > longest or self.length() > self.limits.hash_max_listpack_entries:
                self.compact = False
        return bool(new)

    def delete(self, field: bytes) -> bool:
        """Whether there was such a field."""
        if not self.pop(field):
            return False
        if self.expiries is not None:
            self.persist(field)
        return True

    def fields(self) -> list[bytes]:
        """O(n)."""
        return self.listed()

    def values(self) -> list[bytes]:
        """O(n)."""
        return self.all_values()

    def items(self) -> Iterable[tuple[bytes, bytes]]:
        """O(n)."""
        return self.as_dict().items()

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """As `IndexedTable.scan`; a compact hash comes whole."""
        if self.compact:
            return 0, self.listed()
        return IndexedTable.scan(self, cursor, count)

    # Fields that expire

    def expiry(self, field: bytes) -> int:
        """Of a field, or `NO_EXPIRY`."""
        at: int = NO_EXPIRY if self.expiries is None else self.expiries.get(field, NO_EXPIRY)
        return at

    def expire(self, field: bytes, at: int) -> None:
        """Let a field that exists go at this time. O(log n)."""
        before: cython.Py_ssize_t = self.expiring_memory()
        if self.expiries is None or self.queue is None:
            self.expiries, self.queue = {}, []
        self.expiries[field] = at
        heapq.heappush(self.queue, (at, field))
        self.memory += ENTRY_BYTES + text_memory(len(field))
        self.compact = False
        if len(self.queue) > 2 * len(self.expiries) + 16:
            self.memory -= self.queued_memory()
            self.queue = [(time, name) for name, time in self.expiries.items()]
            heapq.heapify(self.queue)
            self.memory += self.queued_memory()
        self.memory += self.expiring_memory() - before

    @cython.cfunc
    def expiring_memory(self) -> cython.Py_ssize_t:
        """The bytes of what tells of expiries, without the queue's entries. O(1)."""
        if self.expiries is None or self.queue is None:
            return 0
        return dict_memory(self.expiries) + list_memory(self.queue)

    @cython.cfunc
    def queued_memory(self) -> cython.Py_ssize_t:
        """The bytes of the queue's entries; the dictionary holds the same objects. O(their number)."""
        total: cython.Py_ssize_t = 0
        for _, field in self.queue or ():
            total += ENTRY_BYTES + text_memory(len(field))
        return total

    def persist(self, field: bytes) -> bool:
        """Take a field's expiry away; whether it had one. Its entry in the queue may stay, which is void then."""
        if self.expiries is None or self.expiries.pop(field, None) is None:
            return False
        if not self.expiries:
            self.memory -= self.expiring_memory() + self.queued_memory()
            self.expiries = self.queue = None
        return True

    @property
    def next_expiry(self) -> int:
        """A time before which no field goes, or `NO_EXPIRY`."""
        at: int = self.queue[0][0] if self.queue else NO_EXPIRY
        return at

    def purge(self, now: int) -> list[bytes]:
        """Remove the fields whose time has come; which they were. O(log n) each."""
        removed = []
        while self.queue and self.queue[0][0] <= now:
            before: cython.Py_ssize_t = self.expiring_memory()
            at, field = heapq.heappop(self.queue)
            self.memory += self.expiring_memory() - before - ENTRY_BYTES - text_memory(len(field))
            if self.expiries is not None and self.expiries.get(field) == at:
                self.delete(field)
                removed.append(field)
        return removed

    # All of it

    def copy(self) -> Hash:
        """O(n)."""
        other: Hash = Hash(self.limits)
        other.copy_table(self)
        if self.expiries is not None and self.queue is not None:
            other.expiries = dict(self.expiries)
            other.queue = list(self.queue)
            other.memory += other.expiring_memory() - self.expiring_memory()
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
        return IndexedTable.shed(self, count)

    def check(self) -> None:
        IndexedTable.check(self)
        expiries = self.expiries or {}
        assert (self.queue is None) == (self.expiries is None)
        expected = OBJECT_BYTES + self.held() + self.expiring_memory() + self.queued_memory()
        assert self.memory == expected, (self.memory, expected)
        assert all(field in self for field in expiries)
        assert {(at, field) for field, at in expiries.items()} <= set(self.queue or ())
        if self.compact:
            assert not self.expiries
