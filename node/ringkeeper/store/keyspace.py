"""The keyspace of one database: the only door to its data.

Keys live in one dictionary per slot, so that a slot can be counted, listed, moved and dropped without a look at the
others, and so that SCAN has a cursor that survives every insertion and deletion: the slot and a position in it.
This is the plain form; it says what any faster one must do.

A string is immutable `bytes`, or a `bytearray` once a command has edited it in place (APPEND, SETRANGE, SETBIT); Redis
calls the latter's encoding `raw` whatever its length. Every other value is a `Collection`. Times are Unix milliseconds;
the clock is handed in.

What changes is recorded here and nowhere else: `dirty` counts it, and while somebody listens, `changes` tells it. So
the events of Redis's keyspace notifications are named where a value is stored, edited or deleted.

Memory is estimated, not measured: `KEY_OVERHEAD` for the table entry and the object headers, plus the bytes of a string
or what a collection says of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import TypeVar

import cython

from ringkeeper.resp.values import ReplyError
from ringkeeper.store.clock import Clock
from ringkeeper.store.slot import SLOTS, key_slot
from ringkeeper.types.collection import Collection
from ringkeeper.types.hash import Hash

Text = bytes | bytearray
Value = Text | Collection
Kind = TypeVar("Kind", bound=Collection)
Change = tuple[int, str, bytes | None]
"""The database, the event (a name of `store/events.py`) and the key; no key means all of them."""

WRONG_TYPE = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")


class FloatText(bytes):
    """The result of INCRBYFLOAT: Redis keeps it as text even where it looks like an integer."""

    __slots__ = ()


KEY_OVERHEAD = 150
"""Bytes a key costs beyond its own and its value's: two object headers, a table entry, the table's slack."""
EXPIRY_OVERHEAD = 100
NO_EXPIRY = -1

SLOT_BITS = 14
POSITION_MASK = (1 << 48) - 1


@cython.cfunc
def size_of(value: Value) -> cython.Py_ssize_t:
    """The bytes of a stored value, as they were counted last."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    return value.accounted


@cython.final
@cython.cclass
class Keyspace:
    """One database. No method is O(n) in the number of keys unless it says so."""

    index = cython.declare(cython.int, visibility="readonly")
    clock = cython.declare(object, visibility="public")
    random = cython.declare(object, visibility="public")
    dirty = cython.declare(cython.longlong, visibility="public")
    hits = cython.declare(cython.longlong, visibility="public")
    misses = cython.declare(cython.longlong, visibility="public")
    expired = cython.declare(cython.longlong, visibility="public")
    used_bytes = cython.declare(cython.longlong, visibility="public")
    size = cython.declare(cython.longlong, visibility="public")
    volatile = cython.declare(cython.longlong, visibility="public")
    tables = cython.declare(list, visibility="public")
    expiries = cython.declare(list, visibility="public")
    expiring = cython.declare(dict, visibility="readonly")
    sweep_slot = cython.declare(cython.Py_ssize_t, visibility="public")

    changes = cython.declare(object, visibility="public")

    def __init__(self, clock: Clock, randomness: Random | None = None, index: int = 0) -> None:
        self.index = index
        """The database's number."""
        self.changes = None
        """Where changes are told, one list for all databases; None while nobody listens. Dispatch empties it."""
        self.clock = clock
        self.random = randomness or Random()
        self.dirty = 0
        """Grows by one with every change; dispatch compares it before and after a command."""
        self.hits = 0
        self.misses = 0
        self.expired = 0
        """Keys removed because their time had come."""
        self.used_bytes = 0
        self.size = 0
        self.volatile = 0
        """Keys that have an expiry."""
        self.tables = [None] * SLOTS
        self.expiries = [None] * SLOTS
        self.expiring = {}
        """Keys of hashes with fields that expire, and perhaps some that were such. Values are None."""
        self.sweep_slot = 0

    def __len__(self) -> int:
        """Keys, those included whose time has come but that nobody has met yet (as DBSIZE counts)."""
        return int(self.size)

    # Looking up

    def read(self, key: bytes) -> Value | None:
        """The value, for a command that reads; counts a hit or a miss."""
        value: Value | None = self._find(key, key_slot(key))
        if value is None:
            self.misses += 1
            self.note(key, "keymiss")
        else:
            self.hits += 1
        return value

    def read_string(self, key: bytes) -> Text | None:
        """As `read`, for a command that reads strings; raises WRONGTYPE for anything else."""
        value: Value | None = self._find(key, key_slot(key))
        if value is None:
            self.misses += 1
            self.note(key, "keymiss")
            return None
        self.hits += 1
        if not isinstance(value, (bytes, bytearray)):
            raise WRONG_TYPE
        return value

    def read_as(self, key: bytes, kind: type[Kind]) -> Kind | None:
        """As `read`, for a command that reads one kind of collection; raises WRONGTYPE for anything else."""
        value = self.read(key)
        if value is None or isinstance(value, kind):
            return value
        raise WRONG_TYPE

    def peek(self, key: bytes) -> Value | None:
        """The value, for a command that writes or inspects; counts nothing."""
        value: Value | None = self._find(key, key_slot(key))
        return value

    def peek_string(self, key: bytes) -> Text | None:
        """As `peek`, for a command that writes strings; raises WRONGTYPE for anything else."""
        value: Value | None = self._find(key, key_slot(key))
        if value is not None and not isinstance(value, (bytes, bytearray)):
            raise WRONG_TYPE
        return value

    def peek_as(self, key: bytes, kind: type[Kind]) -> Kind | None:
        """As `peek`, for a command that writes one kind of collection; raises WRONGTYPE for anything else."""
        value: Value | None = self._find(key, key_slot(key))
        if value is None or isinstance(value, kind):
            return value
        raise WRONG_TYPE

    @cython.cfunc
    def _find(self, key: bytes, slot: cython.Py_ssize_t) -> Value | None:
        table: dict[bytes, Value] | None = self.tables[slot]
        if table is None:
            return None
        value: Value | None = table.get(key)
        if value is None:
            return None
        if self.volatile:
            expiries = self.expiries[slot]
            if expiries is not None and expiries.get(key, self.clock.now_ms + 1) <= self.clock.now_ms:
                self._drop(key, slot)
                self.expired += 1
                self.note(key, "expired")
                return None
        return value

    def expiry(self, key: bytes) -> int:
        """When the key expires, in Unix milliseconds, or `NO_EXPIRY`. For a key that exists."""
        expiries = self.expiries[key_slot(key)]
        return NO_EXPIRY if expiries is None else expiries.get(key, NO_EXPIRY)

    # Changing. `event` is what keyspace notifications call it.

    def note(self, key: bytes | None, event: str) -> None:
        """Tell of an event that is no change of data, or comes with one that was counted already."""
        if self.changes is not None:
            self.changes.append((self.index, event, key))

    @cython.cfunc
    def _record(self, key: bytes | None, event: str) -> cython.void:
        self.dirty += 1
        if self.changes is not None:
            self.changes.append((self.index, event, key))

    def set(self, key: bytes, value: Value, expires_at: int = NO_EXPIRY, event: str = "set") -> None:
        """Store a value, replacing what was there, its expiry included."""
        slot = key_slot(key)
        self._store(key, slot, value)
        if expires_at != NO_EXPIRY:
            self._set_expiry(key, slot, expires_at)
        elif self.volatile:
            self._clear_expiry(key, slot)
        self._record(key, event)

    def update(self, key: bytes, value: Text, grown_by: int = 0, event: str | None = "set") -> None:
        """Store a new string under a key that holds one, keeping its expiry. Without an event it is the same string.

        A `bytearray` edited in place is handed back here too, with the bytes it has grown by since `peek`.
        """
        self.used_bytes += grown_by
        self._store(key, key_slot(key), value)
        if event is not None:
            self._record(key, event)

    def edited(self, key: bytes, value: Collection, event: str, changes: int = 1) -> None:
        """Take note of what a command did to a collection, which is the one under the key or a new one for it.

        `changes` is how many elements it changed; with 0 nothing is recorded, as with Redis. An empty collection goes.
        """
        slot = key_slot(key)
        table = self.tables[slot]
        if isinstance(value, Hash) and value.expiries:
            self.expiring[key] = None
        if table is None or table.get(key) is not value:
            if not len(value):
                return
            self._store(key, slot, value)
        else:
            self.used_bytes += value.memory - value.accounted
            value.accounted = value.memory
        if changes:
            self._record(key, event)
            self.dirty += changes - 1
        if not len(value):
            self._drop(key, slot)
            self.note(key, "del")

    def delete(self, key: bytes, event: str = "del") -> bool:
        """Whether there was such a key (one whose time had come does not count)."""
        if self.peek(key) is None:
            return False
        self._drop(key, key_slot(key))
        self._record(key, event)
        return True

    def expire(self, key: bytes, expires_at: int) -> None:
        """Give an existing key an expiry; one in the past deletes it."""
        if expires_at <= self.clock.now_ms:
            self._drop(key, key_slot(key))
            self._record(key, "del")
        else:
            self._set_expiry(key, key_slot(key), expires_at)
            self._record(key, "expire")

    def persist(self, key: bytes) -> bool:
        """Take an existing key's expiry away; whether it had one."""
        if not self._clear_expiry(key, key_slot(key)):
            return False
        self._record(key, "persist")
        return True

    def flush(self) -> int:
        """Drop every key; how many there were."""
        dropped = int(self.size)
        self.tables = [None] * SLOTS
        self.expiries = [None] * SLOTS
        self.expiring = {}
        self.size = self.volatile = self.used_bytes = 0
        self._record(None, "flushdb")
        self.dirty += max(dropped - 1, 0)
        return dropped

    def swap(self, other: Keyspace) -> None:
        """Exchange all the data with another database."""
        self.tables, other.tables = other.tables, self.tables
        self.expiries, other.expiries = other.expiries, self.expiries
        self.expiring, other.expiring = other.expiring, self.expiring
        self.size, other.size = other.size, self.size
        self.volatile, other.volatile = other.volatile, self.volatile
        self.used_bytes, other.used_bytes = other.used_bytes, self.used_bytes
        self._record(None, "swapdb")
        other._record(None, "swapdb")

    def drop_slot(self, slot: int) -> int:
        """Drop every key of a slot (it is owned elsewhere now); how many there were."""
        keys = self.slot_keys(slot)
        for key in keys:
            self._drop(key, slot)
        return len(keys)

    # Going through

    def keys(self) -> Iterator[bytes]:
        """Every live key. Take care not to change the keyspace meanwhile. O(n)."""
        now = self.clock.now_ms
        for slot in range(SLOTS):
            table = self.tables[slot]
            if table:
                expiries = self.expiries[slot] or {}
                for key in table:
                    if expiries.get(key, now + 1) > now:
                        yield key

    def slot_count(self, slot: int) -> int:
        table = self.tables[slot]
        return 0 if table is None else len(table)

    def slot_keys(self, slot: int, limit: int | None = None) -> list[bytes]:
        """Up to `limit` keys of a slot. O(keys of the slot)."""
        table = self.tables[slot]
        return [] if table is None else list(table)[:limit]

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next keys behind a cursor, and the cursor behind them; both ends are 0.

        A key that exists throughout a full iteration is returned at least once. Slots are returned whole while
        they are small; within a large one the position is the key's hash, so the answer stays about `count` long.
        O(count), or O(keys of the slot) in a slot with more keys than `count`.
        """
        slot = cursor & (SLOTS - 1)
        position = cursor >> SLOT_BITS
        found: list[bytes] = []
        while slot < SLOTS:
            table = self.tables[slot]
            if table:
                room = max(count - len(found), 1)
                if position == 0 and len(table) <= room:
                    found.extend(table)
                else:
                    ordered = sorted((hash(key) & POSITION_MASK, key) for key in table)
                    rest = [entry for entry in ordered if entry[0] >= position]
                    taken = rest[:room]
                    while len(taken) < len(rest) and taken and rest[len(taken)][0] == taken[-1][0]:
                        taken.append(rest[len(taken)])
                    found.extend(key for _, key in taken)
                    if len(taken) < len(rest):
                        return (rest[len(taken)][0] << SLOT_BITS) | slot, found
            slot += 1
            position = 0
            if len(found) >= count:
                break
        return (slot if slot < SLOTS else 0), found

    def random_key(self) -> bytes | None:
        """A live key, each as likely as any other. O(slots)."""
        for _ in range(100):
            if not self.size:
                return None
            index = self.random.randrange(self.size)
            for table in self.tables:
                if table is None:
                    continue
                if index < len(table):
                    break
                index -= len(table)
            assert table is not None
            key: bytes = list(table)[index]
            if self.peek(key) is not None:
                return key
        return next(self.keys(), None)

    def sweep(self, limit: int) -> int:
        """Remove expired keys of the next slots, looking at about `limit` keys at most; how many it looked at."""
        looked = 0
        now = self.clock.now_ms
        for _ in range(SLOTS):
            if looked >= limit or not self.volatile:
                break
            slot = self.sweep_slot
            self.sweep_slot = (slot + 1) & (SLOTS - 1)
            expiries = self.expiries[slot]
            if expiries:
                due = [key for key, expires_at in expiries.items() if expires_at <= now]
                looked += len(expiries)
                for key in due:
                    self._drop(key, slot)
                    self.note(key, "expired")
                self.expired += len(due)
        return looked

    def sweep_fields(self, limit: int) -> int:
        """Remove expired fields of the next hashes that have such, `limit` hashes at most; how many it looked at."""
        looked = 0
        for key in list(islice(self.expiring, limit)):
            looked += 1
            del self.expiring[key]
            value = self.peek(key)
            if isinstance(value, Hash) and value.expiries:
                self.purge(key, value)
        return looked

    def purge(self, key: bytes, value: Hash) -> int:
        """Remove the expired fields of a key's hash, and the key with the last one; how many fields are left."""
        removed = value.purge(self.clock.now_ms)
        if removed:
            self.edited(key, value, "hexpired", removed)
        elif value.expiries:
            self.expiring[key] = None
        return len(value)

    def check(self) -> None:
        """Assert every invariant. O(n), for tests."""
        size = volatile = used = 0
        for slot in range(SLOTS):
            table = self.tables[slot] or {}
            expiries = self.expiries[slot] or {}
            size += len(table)
            volatile += len(expiries)
            for key, value in table.items():
                if not isinstance(value, (bytes, bytearray)):
                    value.check()
                    assert len(value), f"an empty {value.kind} is stored"
                    assert value.accounted == value.memory, (key, value.accounted, value.memory)
                used += KEY_OVERHEAD + len(key) + size_of(value)
            used += EXPIRY_OVERHEAD * len(expiries)
            assert all(key_slot(key) == slot for key in table), f"slot {slot} holds a key of another slot"
            assert expiries.keys() <= table.keys(), f"slot {slot} has an expiry without a key"
        assert size == self.size, (size, self.size)
        assert volatile == self.volatile, (volatile, self.volatile)
        assert used == self.used_bytes, (used, self.used_bytes)

    # The three places that touch the dictionaries

    @cython.cfunc
    def _store(self, key: bytes, slot: cython.Py_ssize_t, value: Value) -> None:
        table: dict[bytes, Value] | None = self.tables[slot]
        if table is None:
            table = self.tables[slot] = {}
        if not isinstance(value, (bytes, bytearray)):
            value.accounted = value.memory
            if isinstance(value, Hash) and value.expiries:
                self.expiring[key] = None
        old = table.get(key)
        if old is None:
            self.size += 1
            self.used_bytes += KEY_OVERHEAD + len(key) + size_of(value)
            self.note(key, "new")
        else:
            self.used_bytes += size_of(value) - size_of(old)
        table[key] = value

    @cython.cfunc
    def _drop(self, key: bytes, slot: cython.Py_ssize_t) -> None:
        table = self.tables[slot]
        assert table is not None
        value = table.pop(key)
        self.size -= 1
        self.used_bytes -= KEY_OVERHEAD + len(key) + size_of(value)
        self._clear_expiry(key, slot)
        if not table:
            self.tables[slot] = None

    @cython.cfunc
    def _set_expiry(self, key: bytes, slot: cython.Py_ssize_t, expires_at: int) -> None:
        expiries = self.expiries[slot]
        if expiries is None:
            expiries = self.expiries[slot] = {}
        if key not in expiries:
            self.volatile += 1
            self.used_bytes += EXPIRY_OVERHEAD
        expiries[key] = expires_at

    @cython.cfunc
    def _clear_expiry(self, key: bytes, slot: cython.Py_ssize_t) -> bool:
        expiries = self.expiries[slot]
        if expiries is None or key not in expiries:
            return False
        del expiries[key]
        self.volatile -= 1
        self.used_bytes -= EXPIRY_OVERHEAD
        if not expiries:
            self.expiries[slot] = None
        return True
