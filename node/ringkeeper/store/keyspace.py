"""The keyspace of one database: the only door to its data.

Keys live in one dictionary per slot, so that a slot can be counted, listed, moved and dropped without a look at the
others, and so that SCAN has a cursor that survives every insertion and deletion: the slot and a position in it.
Under each key stands an `Entry`: the value, when it expires, when it was used last. This is the plain form; it says
what any faster one must do.

A string is immutable `bytes`, or a `bytearray` once a command has edited it in place (APPEND, SETRANGE, SETBIT); Redis
calls the latter's encoding `raw` whatever its length. Every other value is a `Collection`. Times are Unix milliseconds;
the clock is handed in.

What changes is recorded here and nowhere else: `dirty` counts it, and while somebody listens, `changes` tells it. So
the events of Redis's keyspace notifications are named where a value is stored, edited or deleted.

Memory is estimated, not measured: `KEY_OVERHEAD` for the table entry and the object headers, plus the bytes of a string
or what a collection says of itself. It is counted as free when a key goes, but the objects of a large collection and of
a flushed database lie in `trash` until `free_some` has let go of them in small steps: freeing a million elements at
once would stall everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import cython

from ringkeeper.resp.values import ReplyError
from ringkeeper.store.slot import SLOTS
from ringkeeper.types.collection import Collection
from ringkeeper.types.hash import Hash

if not cython.compiled:
    from ringkeeper.store.slot import key_slot
else:
    from cython.cimports.ringkeeper.store.slot import key_slot  # type: ignore[no-redef]

Text = bytes | bytearray
Value = Text | Collection
Kind = TypeVar("Kind", bound=Collection)
Change = tuple[int, str, bytes | None, bool]
"""The database, the event (a name of `store/events.py`), the key (none means all of them), and whether it comes with a
change of data: who watches or caches a key need not know of what changed nothing."""

WRONG_TYPE = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")


class FloatText(bytes):
    """The result of INCRBYFLOAT: Redis keeps it as text even where it looks like an integer."""

    __slots__ = ()


KEY_OVERHEAD = 190
"""Bytes a key costs beyond its own and its value's: three object headers, a table entry, the table's slack."""
EXPIRY_OVERHEAD = 100
NO_EXPIRY = -1
LARGE = 64
"""Elements from which a collection is freed in steps (as Redis's LAZYFREE_THRESHOLD)."""

SLOT_BITS = 14
POSITION_MASK = (1 << 48) - 1


@cython.final
@cython.cclass
class Clock:
    """Unix time in milliseconds: set from outside, once per batch of commands, so that the store stays pure.

    Shared by every database of a node.
    """

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms


@cython.final
@cython.no_gc
@cython.freelist(256)
@cython.cclass
class Entry:
    """What stands under a key. Nothing in it leads back to it, so the cyclic collector need not know of it.

    `size` is what of the value's bytes was counted; `expires_at` and `used_at` are Unix milliseconds: when the key goes
    (or `NO_EXPIRY`), and when a command used the value last. `Keyspace._store` fills all of it in.
    """

    if TYPE_CHECKING:
        value: Any
        size: int
        expires_at: int
        used_at: int


@cython.cfunc
def size_of(value: Value) -> cython.longlong:
    """The bytes of a value as it is now."""
    if isinstance(value, (bytes, bytearray)):
        return len(value)
    memory: cython.longlong = value.memory
    return memory


@cython.final
@cython.cclass
class Keyspace:
    """One database. No method is O(n) in the number of keys unless it says so."""

    def __init__(self, clock: Clock, randomness: Random | None = None, index: int = 0) -> None:
        self.index = index
        """The database's number."""
        self.changes: list[Change] | None = None
        """Where changes are told, one list for all databases; None while nobody listens. Dispatch empties it."""
        self.clock = clock
        self.random = randomness or Random()
        self.dirty = 0
        """Grows by one with every change; dispatch compares it before and after a command."""
        self.hits = 0
        self.misses = 0
        self.expired = 0
        """Keys removed because their time had come."""
        self.freed = 0
        """Values, and keys of flushed databases, that `free_some` has let go of."""
        self.used_bytes = 0
        self.size = 0
        self.volatile = 0
        """Keys that have an expiry."""
        self.tables: list[dict[bytes, Entry] | None] = [None] * SLOTS
        self.volatile_keys: list[set[bytes] | None] = [None] * SLOTS
        """By slot, the keys that have an expiry."""
        self.expiring: dict[bytes, None] = {}
        """Keys of hashes with fields that expire, and perhaps some that were such. Values are None."""
        self.trash: list[Any] = []
        """What nobody can reach any more: collections, tables, lists of tables."""
        self.last_key: bytes | None = None
        self.last_slot = 0
        """Of the key that was looked up last: a command that looks and then changes sums its key up only once."""
        self.touching = True
        """Whether lookups count as use; not so while a client with CLIENT NO-TOUCH is served."""
        self.sweep_slot = 0

    def __len__(self) -> int:
        """Keys, those included whose time has come but that nobody has met yet (as DBSIZE counts)."""
        return int(self.size)

    # Looking up. What a command finds counts as used now, unless it only inspects.

    @cython.cfunc
    def _slot(self, key: bytes) -> cython.Py_ssize_t:
        if key is not self.last_key:
            self.last_slot = key_slot(key)
            self.last_key = key
        return self.last_slot

    @cython.cfunc
    def _find(self, key: bytes, slot: cython.Py_ssize_t) -> Entry | None:
        table: dict[bytes, Entry] | None = self.tables[slot]
        if table is None:
            return None
        entry: Entry | None = table.get(key)
        if entry is None:
            return None
        if entry.expires_at != NO_EXPIRY and entry.expires_at <= self.clock.now_ms:
            self._expire(key, slot)
            return None
        if self.touching:
            entry.used_at = self.clock.now_ms
        return entry

    @cython.cfunc
    def _expire(self, key: bytes, slot: cython.Py_ssize_t) -> cython.void:
        self._discard(self._drop(key, slot))
        self.expired += 1
        self.note(key, "expired")

    @cython.cfunc
    def _read(self, key: bytes) -> Entry | None:
        entry: Entry | None = self._find(key, self._slot(key))
        if entry is None:
            self.misses += 1
            self.announce(key, "keymiss")
        else:
            self.hits += 1
        return entry

    def read(self, key: bytes) -> Value | None:
        """The value, for a command that reads; counts a hit or a miss."""
        entry: Entry | None = self._read(key)
        return None if entry is None else entry.value

    def read_string(self, key: bytes) -> Text | None:
        """As `read`, for a command that reads strings; raises WRONGTYPE for anything else."""
        entry: Entry | None = self._read(key)
        if entry is None:
            return None
        value: Value = entry.value
        if not isinstance(value, (bytes, bytearray)):
            raise WRONG_TYPE
        return value

    def read_as(self, key: bytes, kind: type[Kind]) -> Kind | None:
        """As `read`, for a command that reads one kind of collection; raises WRONGTYPE for anything else."""
        entry: Entry | None = self._read(key)
        if entry is None or isinstance(entry.value, kind):
            return None if entry is None else entry.value
        raise WRONG_TYPE

    def peek(self, key: bytes) -> Value | None:
        """The value, for a command that writes; counts neither hit nor miss."""
        entry: Entry | None = self._find(key, self._slot(key))
        return None if entry is None else entry.value

    def peek_string(self, key: bytes) -> Text | None:
        """As `peek`, for a command that writes strings; raises WRONGTYPE for anything else."""
        entry: Entry | None = self._find(key, self._slot(key))
        if entry is None:
            return None
        value: Value = entry.value
        if not isinstance(value, (bytes, bytearray)):
            raise WRONG_TYPE
        return value

    def peek_as(self, key: bytes, kind: type[Kind]) -> Kind | None:
        """As `peek`, for a command that writes one kind of collection; raises WRONGTYPE for anything else."""
        entry: Entry | None = self._find(key, self._slot(key))
        if entry is None or isinstance(entry.value, kind):
            return None if entry is None else entry.value
        raise WRONG_TYPE

    def look(self, key: bytes) -> Value | None:
        """The value, for a command that tells of it (OBJECT, DEBUG, SCAN): counts nothing and is no use of it."""
        touching: cython.bint = self.touching
        self.touching = False
        entry: Entry | None = self._find(key, self._slot(key))
        self.touching = touching
        return None if entry is None else entry.value

    def read_about(self, key: bytes) -> Value | None:
        """As `read`, for a command that asks about a key (TYPE, TTL, EXISTS): a hit or a miss, but no use."""
        touching: cython.bint = self.touching
        self.touching = False
        entry: Entry | None = self._read(key)
        self.touching = touching
        return None if entry is None else entry.value

    def expiry(self, key: bytes) -> int:
        """When the key expires, in Unix milliseconds, or `NO_EXPIRY`. For a key that exists."""
        entry: Entry | None = self._entry(key, self._slot(key))
        return NO_EXPIRY if entry is None else int(entry.expires_at)

    def idle_ms(self, key: bytes) -> int:
        """Since the last command that used the key's value. For a key that exists."""
        entry: Entry | None = self._entry(key, self._slot(key))
        return 0 if entry is None else max(0, int(self.clock.now_ms - entry.used_at))

    def set_idle(self, key: bytes, idle_ms: int) -> None:
        """Let a key that exists have been used so long ago (RESTORE IDLETIME)."""
        entry: Entry | None = self._entry(key, self._slot(key))
        if entry is not None:
            entry.used_at = self.clock.now_ms - idle_ms

    @cython.cfunc
    def _entry(self, key: bytes, slot: cython.Py_ssize_t) -> Entry | None:
        table: dict[bytes, Entry] | None = self.tables[slot]
        if table is None:
            return None
        entry: Entry | None = table.get(key)
        return entry

    # Changing. `event` is what keyspace notifications call it.

    def note(self, key: bytes | None, event: str) -> None:
        """Tell of an event that comes with a change that was counted already."""
        if self.changes is not None:
            self.changes.append((self.index, event, key, True))

    def announce(self, key: bytes, event: str) -> None:
        """Tell of an event that is no change of data."""
        if self.changes is not None:
            self.changes.append((self.index, event, key, False))

    @cython.cfunc
    def _record(self, key: bytes | None, event: str) -> cython.void:
        self.dirty += 1
        if self.changes is not None:
            self.changes.append((self.index, event, key, True))

    def set(self, key: bytes, value: Value, expires_at: cython.longlong = NO_EXPIRY, event: str = "set") -> None:
        """Store a value, replacing what was there, its expiry included."""
        slot: cython.Py_ssize_t = self._slot(key)
        entry: Entry = self._store(key, slot, value)
        if expires_at != NO_EXPIRY:
            self._set_expiry(key, slot, entry, expires_at)
        elif entry.expires_at != NO_EXPIRY:
            self._clear_expiry(key, slot, entry)
        self._record(key, event)

    def update(self, key: bytes, value: Text, event: str | None = "set") -> None:
        """Store a new string under a key that holds one, keeping its expiry. Without an event it is the same string.

        A `bytearray` edited in place is handed back here too.
        """
        self._store(key, self._slot(key), value)
        if event is not None:
            self._record(key, event)

    def edited(self, key: bytes, value: Collection, event: str, changes: cython.longlong = 1) -> None:
        """Take note of what a command did to a collection, which is the one under the key or a new one for it.

        `changes` is how many elements it changed; with 0 nothing is recorded, as with Redis. An empty collection goes.
        """
        slot: cython.Py_ssize_t = self._slot(key)
        entry: Entry | None = self._entry(key, slot)
        if type(value) is Hash and value.expiries:
            self.expiring[key] = None
        if entry is None or entry.value is not value:
            if not len(value):
                return
            self._store(key, slot, value)
        else:
            memory: cython.longlong = value.memory
            self.used_bytes += memory - entry.size
            entry.size = memory
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
        self._discard(self._drop(key, self._slot(key)))
        self._record(key, event)
        return True

    def clear(self, key: bytes) -> None:
        """Leave nothing under a destination. Nobody looks what is there: a key whose time has come counts as well."""
        slot: cython.Py_ssize_t = self._slot(key)
        if self._entry(key, slot) is not None:
            self._discard(self._drop(key, slot))
            self._record(key, "del")

    def replace(self, key: bytes, value: Value, expires_at: int, event: str) -> None:
        """As `set`, for COPY and RESTORE: the key is a new one, even where there was one."""
        slot: cython.Py_ssize_t = self._slot(key)
        if self._entry(key, slot) is not None:
            self._discard(self._drop(key, slot))
        self.set(key, value, expires_at, event)

    def load(self, key: bytes, value: Value, expires_at: int, idle_ms: int) -> None:
        """Put a key there, in place of what it held, that a snapshot had: no change of data, so nobody is told."""
        slot: cython.Py_ssize_t = self._slot(key)
        changes, self.changes = self.changes, None
        if self._entry(key, slot) is not None:
            self._discard(self._drop(key, slot))
        entry: Entry = self._store(key, slot, value)
        if expires_at != NO_EXPIRY:
            self._set_expiry(key, slot, entry, expires_at)
        entry.used_at = self.clock.now_ms - idle_ms
        self.changes = changes

    def hand_over(self, key: bytes, other: Keyspace, name: bytes, events: tuple[str, str]) -> None:
        """Give an existing key another name or database (RENAME, MOVE): it is a new one there, and keeps its expiry.

        The events are of the key that goes and of the one that comes.
        """
        expires_at = self.expiry(key)
        value: Value = self._drop(key, self._slot(key))
        slot: cython.Py_ssize_t = self._slot(name)
        if other.peek(name) is not None:
            other._discard(other._drop(name, slot))
        entry: Entry = other._store(name, slot, value)
        if expires_at != NO_EXPIRY:
            other._set_expiry(name, slot, entry, expires_at)
        self._record(key, events[0])
        other._record(name, events[1])

    def expire(self, key: bytes, expires_at: int) -> None:
        """Give an existing key an expiry; one in the past deletes it."""
        slot: cython.Py_ssize_t = self._slot(key)
        if expires_at <= self.clock.now_ms:
            self._discard(self._drop(key, slot))
            self._record(key, "del")
        else:
            entry: Entry | None = self._entry(key, slot)
            assert entry is not None
            self._set_expiry(key, slot, entry, expires_at)
            self._record(key, "expire")

    def persist(self, key: bytes) -> bool:
        """Take an existing key's expiry away; whether it had one."""
        slot: cython.Py_ssize_t = self._slot(key)
        entry: Entry | None = self._entry(key, slot)
        if entry is None or entry.expires_at == NO_EXPIRY:
            return False
        self._clear_expiry(key, slot, entry)
        self._record(key, "persist")
        return True

    def flush(self) -> int:
        """Drop every key; how many there were."""
        dropped = int(self.size)
        if dropped:
            self.trash.append(self.tables)
            self.trash.append(self.volatile_keys)
        self.tables = [None] * SLOTS
        self.volatile_keys = [None] * SLOTS
        self.expiring = {}
        self.size = self.volatile = self.used_bytes = 0
        self._record(None, "flushdb")
        self.dirty += max(dropped - 1, 0)
        return dropped

    def swap(self, other: Keyspace) -> None:
        """Exchange all the data with another database."""
        self.tables, other.tables = other.tables, self.tables
        self.volatile_keys, other.volatile_keys = other.volatile_keys, self.volatile_keys
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
            self._discard(self._drop(key, slot))
        return len(keys)

    # Going through

    def keys(self) -> Iterator[bytes]:
        """Every live key. Take care not to change the keyspace meanwhile. O(n)."""
        now: cython.longlong = self.clock.now_ms
        entry: Entry
        for slot in range(SLOTS):
            table = self.tables[slot]
            if table:
                for key, entry in table.items():
                    if entry.expires_at == NO_EXPIRY or entry.expires_at > now:
                        yield key

    def entries(self) -> Iterator[tuple[bytes, Value, int, int]]:
        """What `load` takes, of every live key. Take care not to change the keyspace meanwhile. O(n)."""
        now: cython.longlong = self.clock.now_ms
        entry: Entry
        for slot in range(SLOTS):
            table = self.tables[slot]
            if table:
                for key, entry in table.items():
                    if entry.expires_at == NO_EXPIRY or entry.expires_at > now:
                        yield key, entry.value, entry.expires_at, max(0, now - entry.used_at)

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
            keys = self.volatile_keys[slot]
            table = self.tables[slot]
            if keys and table is not None:
                looked += len(keys)
                due = [key for key in keys if table[key].expires_at <= now]
                for key in due:
                    self._expire(key, slot)
        return looked

    def average_ttl(self, samples: int) -> int:
        """Milliseconds, by so many of the keys with an expiry, beginning where the sweep is; 0 if there are none."""
        total = count = 0
        now = self.clock.now_ms
        for step in range(SLOTS if self.volatile else 0):
            slot = (self.sweep_slot + step) & (SLOTS - 1)
            keys = self.volatile_keys[slot]
            table = self.tables[slot]
            if keys and table is not None:
                for key in islice(keys, samples - count):
                    total += max(0, table[key].expires_at - now)
                    count += 1
                if count >= samples:
                    break
        return total // count if count else 0

    def sweep_fields(self, limit: int) -> int:
        """Remove expired fields of the next hashes that have such, `limit` hashes at most; how many it looked at."""
        looked = 0
        for key in list(islice(self.expiring, limit)):
            looked += 1
            del self.expiring[key]
            value = self.look(key)
            if isinstance(value, Hash) and value.expiries:
                self.purge(key, value)
        return looked

    @property
    def pending(self) -> int:
        """Values and tables that `free_some` has still to let go of."""
        return len(self.trash)

    def free_some(self, count: int) -> None:
        """Let go of about so many elements of what nobody can reach any more. O(count)."""
        left: cython.longlong = count
        while self.trash and left > 0:
            item = self.trash[-1]
            if type(item) is list:
                if not item:
                    self.trash.pop()
                else:
                    table = item.pop()
                    left -= 1
                    if table:
                        self.trash.append(table)
            elif type(item) is dict:
                left -= self._free_table(item, left)
            elif type(item) is set:
                left -= len(item)
                self.trash.pop()
            else:
                left -= item.shed(left)
                if not len(item):
                    self.trash.pop()
                    self.freed += 1

    @cython.cfunc
    def _free_table(self, table: Any, count: cython.longlong) -> cython.longlong:
        done: cython.longlong = 0
        place = len(self.trash) - 1
        while table and done < count:
            _, entry = table.popitem()
            self._discard(entry.value)
            done += 1
        self.freed += done
        if not table:
            del self.trash[place]
        return done

    @cython.cfunc
    def _discard(self, value: Value) -> cython.void:
        """Nobody can reach a value any more: what is large is freed in steps."""
        if not isinstance(value, (bytes, bytearray)) and len(value) > LARGE:
            self.trash.append(value)

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
        entry: Entry
        for slot in range(SLOTS):
            if self.tables[slot] is None and self.volatile_keys[slot] is None:
                continue
            table = self.tables[slot] or {}
            keys = self.volatile_keys[slot] or set()
            size += len(table)
            volatile += len(keys)
            for key, entry in table.items():
                value = entry.value
                if not isinstance(value, (bytes, bytearray)):
                    value.check()
                    assert len(value), f"an empty {value.kind} is stored"
                assert entry.size == size_of(value), (key, entry.size, size_of(value))
                used += KEY_OVERHEAD + len(key) + entry.size
                assert (entry.expires_at != NO_EXPIRY) == (key in keys), f"{key!r} is volatile in one place only"
            used += EXPIRY_OVERHEAD * len(keys)
            assert all(key_slot(key) == slot for key in table), f"slot {slot} holds a key of another slot"
            assert keys <= table.keys(), f"slot {slot} has an expiry without a key"
        assert size == self.size, (size, self.size)
        assert volatile == self.volatile, (volatile, self.volatile)
        assert used == self.used_bytes, (used, self.used_bytes)

    # The places that touch the dictionaries

    @cython.cfunc
    def _store(self, key: bytes, slot: cython.Py_ssize_t, value: Value) -> Entry:
        table: dict[bytes, Entry] | None = self.tables[slot]
        if table is None:
            table = self.tables[slot] = {}
        if type(value) is Hash and value.expiries:
            self.expiring[key] = None
        entry: Entry | None = table.get(key)
        if entry is not None and entry.expires_at != NO_EXPIRY and entry.expires_at <= self.clock.now_ms:
            self._expire(key, slot)
            self.tables[slot] = table
            entry = None
        if entry is None:
            entry = Entry.__new__(Entry)
            entry.value = value
            entry.size = size_of(value)
            entry.expires_at = NO_EXPIRY
            table[key] = entry
            self.size += 1
            self.used_bytes += KEY_OVERHEAD + len(key) + entry.size
            if self.changes is not None:
                self.announce(key, "new")
        else:
            size: cython.longlong = size_of(value)
            self.used_bytes += size - entry.size
            entry.size = size
            if entry.value is not value:
                self._discard(entry.value)
                entry.value = value
        entry.used_at = self.clock.now_ms
        return entry

    @cython.cfunc
    def _drop(self, key: bytes, slot: cython.Py_ssize_t) -> Value:
        """Take a key out of the tables; its value is the caller's now."""
        table: dict[bytes, Entry] = self.tables[slot]
        entry: Entry = table.pop(key)
        self.size -= 1
        self.used_bytes -= KEY_OVERHEAD + len(key) + entry.size
        if entry.expires_at != NO_EXPIRY:
            self._clear_expiry(key, slot, entry)
        if not table:
            self.tables[slot] = None
        value: Value = entry.value
        return value

    @cython.cfunc
    def _set_expiry(self, key: bytes, slot: cython.Py_ssize_t, entry: Entry, at: cython.longlong) -> cython.void:
        if entry.expires_at == NO_EXPIRY:
            keys = self.volatile_keys[slot]
            if keys is None:
                keys = self.volatile_keys[slot] = set()
            keys.add(key)
            self.volatile += 1
            self.used_bytes += EXPIRY_OVERHEAD
        entry.expires_at = at

    @cython.cfunc
    def _clear_expiry(self, key: bytes, slot: cython.Py_ssize_t, entry: Entry) -> cython.void:
        """Of an entry that has one."""
        keys: set[bytes] = self.volatile_keys[slot]
        keys.discard(key)
        if not keys:
            self.volatile_keys[slot] = None
        entry.expires_at = NO_EXPIRY
        self.volatile -= 1
        self.used_bytes -= EXPIRY_OVERHEAD
