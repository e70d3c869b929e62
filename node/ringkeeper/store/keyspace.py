"""The keyspace of one database: the only door to its data.

Keys lie in a table by slots, so that a slot can be counted, listed, moved and dropped without a look at the others, and
so that SCAN has a cursor that survives every insertion and deletion. The table is the compact one (`table.py`) where
modules are compiled, else one of dictionaries (`table_plain.py`); of either, a *record* is what is known of a key: the
value, when it expires, when it was made and used last. A record is valid until the table changes.

A string is immutable `bytes`, or a `bytearray` once a command has edited it in place (APPEND, SETRANGE, SETBIT); Redis
calls the latter's encoding `raw` whatever its length. Every other value is a `Collection`. Times are Unix milliseconds;
the clock is handed in.

What changes is recorded here and nowhere else: `dirty` counts it, and while somebody listens, `changes` tells it. So
the events of Redis's keyspace notifications are named where a value is stored, edited or deleted.

Memory is counted as it is allocated. It counts as free when a key goes, but the objects of a large collection and of
a flushed database lie in `trash` until `free_some` has let go of them in small steps: freeing a million elements at
once would stall everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Any, TypeVar

import cython

from ringkeeper.resp.values import ReplyError
from ringkeeper.store import policies
from ringkeeper.store.namespaces import NO_NAMESPACES, Namespace
from ringkeeper.store.slot import SLOTS
from ringkeeper.types.collection import Collection
from ringkeeper.types.hash import Hash
from ringkeeper.types.memory import text_memory

if not cython.compiled:
    from ringkeeper.store.eviction.engine import Engine
    from ringkeeper.store.namespaces import Namespaces
    from ringkeeper.store.slot import key_slot
    from ringkeeper.store.table_plain import KEEP, LABEL, LIVE, ROWS, Found, Record, Table
    from ringkeeper.store.table_plain import KEYS as EVERY_KEY
else:
    from cython.cimports.ringkeeper.store.eviction.engine import Engine  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.namespaces import Namespaces  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.slot import key_slot  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.table import (  # type: ignore[no-redef]
        KEEP,
        LABEL,
        LIVE,
        ROWS,
        Found,
        Record,
        Table,
    )
    from cython.cimports.ringkeeper.store.table import KEYS as EVERY_KEY  # type: ignore[no-redef]

Text = bytes | bytearray
Value = Text | Collection
Kind = TypeVar("Kind", bound=Collection)
Change = tuple[int, str, bytes | None, bool]
"""The database, the event (a name of `store/events.py`), the key (none means all of them), and whether it comes with a
change of data: who watches or caches a key need not know of what changed nothing."""

WRONG_TYPE = ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value")
TOO_LARGE = ReplyError("OOM command not allowed: the value alone is larger than 'maxmemory'.")
TOO_LARGE_HERE = ReplyError("OOM command not allowed: the value alone is larger than its namespace's maxMemory.")


NO_EXPIRY = -1
HEADER_BYTES = 16
"""What a record takes beyond key and value, rounding apart."""
EXPIRY_BYTES = 8
"""What its expiry takes."""
LARGE = 64
"""Elements from which a collection is freed in steps (as Redis's LAZYFREE_THRESHOLD)."""

TICK_BITS = 6
"""When a key was used last is kept in ticks of 64 ms, modulo 2^32: it wraps after 8.7 years."""
MOST_IDLE = 2**31
"""Ticks. A use that seems longer ago is one in the future, by a clock that was set back."""
AT_ONCE = 100
"""Keys gathered at once where all are gone through."""
SPARE_BYTES = 10
"""A key's share of the table's buckets, about."""
LISTED_BYTES = 60
"""Of a hash with fields that expire: its place among the keys of such, about."""


COUNTS_NOTHING = cython.declare(cython.int, policies.COUNTS_NOTHING)
COUNTS_FREQUENCY = cython.declare(cython.int, policies.COUNTS_FREQUENCY)
TELLS_OF_VOLATILE = cython.declare(cython.int, policies.TELLS_OF_VOLATILE)
INITIAL_FREQUENCY = cython.declare(cython.int, 5)
"""Of a new key, so that it is not the first to go (Redis's LFU_INIT_VAL)."""
DEFAULT_NAMESPACE = Namespace(b"", 0, "noeviction")
"""That of no prefix: the node's `maxmemory` and policy are its own."""


def is_listed(rule: Namespace) -> bool:
    """Whether a namespace's keys must be listed: those of a budget of its own that are chosen at random."""
    return rule.max_memory > 0 and rule.policy not in ("noeviction", *policies.QUEUED_POLICIES)


def no_engines(counting: bytes) -> tuple[list[int], list[Any]]:
    """The scopes and engines of so many namespaces where nothing has any."""
    return [-1] * len(counting), [None] * len(counting)


@cython.final
@cython.cclass
class Clock:
    """Unix time in milliseconds: set from outside, once per batch of commands, so that the store stays pure.

    Shared by every database of a node.
    """

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms


@cython.final
@cython.cclass
class Keyspace:
    """One database. No method is O(n) in the number of keys unless it says so."""

    def __init__(self, clock: Clock, randomness: Random | None = None, index: int = 0) -> None:
        self.index = index
        """The database's number."""
        self.changes: list[Change] | None = None
        """Where changes are told, one list for all databases; None while nobody listens. Dispatch empties it."""
        self.announcing = False
        """Whether events that change nothing are told as well."""
        self.purged: list[tuple[int, bytes, list[bytes]]] | None = None
        """Where fields that expired are told by name, as `changes`."""
        self.clock = clock
        self.wall = clock
        """By which uses and creations are dated."""
        self.following = False
        self.hiding = False
        """Keys and fields whose time has come are hidden and stay: this node's master says when they go."""
        self.random = randomness or Random()
        self.dirty = 0
        """Grows by one with every change; dispatch compares it before and after a command."""
        self.hits = 0
        self.misses = 0
        self.expired = 0
        """Keys removed because their time had come."""
        self.evicted = 0
        """Keys removed to make room."""
        self.freed = 0
        """Values, and keys of flushed databases, that `free_some` has let go of."""
        self.table = Table(self.random.getrandbits(32))
        self.expiring: dict[bytes, None] = {}
        """Keys of hashes with fields that expire, and perhaps some that were such. Values are None."""
        self.trash: list[Any] = []
        """What nobody can reach any more: collections, tables, whole tables."""
        self.last_key: bytes | None = None
        self.last_slot = 0
        """Of the key that was looked up last: a command that looks and then changes sums its key up only once."""
        self.touching = True
        """Whether lookups count as use; not so while a client with CLIENT NO-TOUCH is served."""
        self.namespaces: Namespaces = NO_NAMESPACES
        self.has_spaces = False
        """Whether there are namespaces beside the default one."""
        self.rules: tuple[Namespace, ...] = (DEFAULT_NAMESPACE,)
        """By number."""
        self.siblings: list[Keyspace] = [self]
        """The databases that share the namespaces' budgets."""
        self.over: dict[int, None] = {}
        """Namespaces that were seen above their budgets. Values are None."""
        self.largest = 0
        """`maxmemory`: no string may be larger; 0 for no limit."""
        self.label_cursor = 0
        """How far keys are counted to the namespaces that were set last; 0: all are."""
        self.wanted: Namespaces | None = None
        """Namespaces to be set when that is so."""
        self.wanted_counting = b""
        self.counting = b"\0"
        """By namespace: what its policy wants to know of uses."""
        self.scopes: list[int] = [-1]
        """By namespace: which of the engines its keys belong to; -1 for none."""
        self.engines: list[Any] = [None]
        self.wanted_engines: tuple[list[int], list[Any]] | None = None
        self.hidden: frozenset[int] = frozenset()
        """Slots whose keys are there and not shown: on their way to this node's shard, or from it."""
        self.lfu_log_factor = 10
        self.lfu_decay_minutes = 1

    def __len__(self) -> int:
        """Keys, those included whose time has come but that nobody has met yet (as DBSIZE counts)."""
        return int(self.table.size)

    @property
    def shown(self) -> int:
        """As `len`, without keys of hidden slots. O(hidden slots)."""
        return len(self) - sum(map(self.slot_count, self.hidden))

    @property
    def shown_volatile(self) -> int:
        """As `volatile`, without keys of hidden slots. O(hidden slots)."""
        return self.volatile - sum(self.table.slot_figures(slot)[1] for slot in self.hidden)

    @property
    def volatile(self) -> int:
        """Keys that have an expiry."""
        return int(self.table.volatile)

    @property
    def used_bytes(self) -> int:
        """What keys, values and the table take."""
        return int(self.table.used + self.table.structure)

    @property
    def structure_bytes(self) -> int:
        """What of `used_bytes` the table takes."""
        return int(self.table.structure)

    def reset_statistics(self) -> None:
        self.hits = self.misses = self.expired = self.evicted = 0
        self.table.reset_figures()

    # Looking up. What a command finds counts as used now, unless it only inspects.

    @cython.cfunc
    def _slot(self, key: bytes) -> cython.Py_ssize_t:
        if key is not self.last_key:
            self.last_slot = key_slot(key)
            self.last_key = key
        return self.last_slot

    @cython.cfunc
    @cython.inline
    def _alive(self, key: bytes, slot: cython.Py_ssize_t) -> Found:
        """The record of a key; one whose time has come goes."""
        record: Found = self.table.find(key, slot)
        if record:
            due: cython.longlong = self.table.expiry(record)
            if 0 <= due <= self.clock.now_ms:
                if not self.hiding:
                    self._expire(key, slot, record)
                return self.table.nothing()
        return record

    @cython.cfunc
    def _find(self, key: bytes, slot: cython.Py_ssize_t) -> Found:
        record: Found = self._alive(key, slot)
        if record and self.touching:
            self._touch(record)
        return record

    @cython.cfunc
    @cython.inline
    def _touch(self, record: Record) -> cython.void:
        """Note a use of a record."""
        counting: cython.p_const_uchar = self.counting
        how: cython.int = counting[self.table.number_of(record)]
        if how != 0:
            self._count_use(record, how)
        record.used_at = self._tick()

    @cython.cfunc
    def _count_use(self, record: Record, how: cython.int) -> cython.void:
        """Tell an engine of a use, or raise the record's frequency, the less likely the higher it is (as Redis's
        LFULogIncr)."""
        if how != COUNTS_FREQUENCY:
            self._tell_engine(record)
            return
        count: cython.int = self._frequency(record)
        if count < 255:
            above: cython.double = max(0, count - INITIAL_FREQUENCY)
            if self.table.chance() < 1.0 / (above * self.lfu_log_factor + 1):
                count += 1
        record.state = count

    @cython.cfunc
    def _tell_engine(self, record: Record) -> cython.void:
        """Of a use of the record that was looked up last, or that it is new."""
        number: cython.Py_ssize_t = self.table.number_of(record)
        if self.counting[number] == TELLS_OF_VOLATILE and self.table.expiry(record) < 0:
            return
        engine: Engine = self.engines[self.scopes[number]]
        slot: cython.ulonglong = self.last_slot
        engine.access(slot << 34 | self.table.code >> 30, self.table.handle_of(record))

    @cython.cfunc
    def _frequency(self, record: Record) -> cython.int:
        """A record's frequency now: one less for every so many minutes that nobody used it (LFUDecrAndReturn)."""
        count: cython.int = record.state
        idle: cython.longlong = self._idle(record.used_at)
        if idle >= 60_000 and self.lfu_decay_minutes:
            count = max(0, count - idle // 60_000 // self.lfu_decay_minutes)
        return count

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def _tick(self) -> cython.longlong:
        """When it is now, in ticks."""
        if cython.compiled:
            return cython.cast(cython.uint, self.wall.now_ms >> 6)
        return (self.wall.now_ms >> TICK_BITS) & 0xFFFFFFFF

    @cython.cfunc
    def _expire(self, key: bytes, slot: cython.Py_ssize_t, record: Record) -> cython.void:
        self.table.expired(record)
        self._drop(record, slot)
        self.expired += 1
        self.note(key, "expired")

    @cython.cfunc
    def _read(self, key: bytes) -> Found:
        record: Found = self._find(key, self._slot(key))
        if not record:
            self.misses += 1
            if self.has_spaces:
                self.table.miss(self._space(key))
            self.announce(key, "keymiss")
        else:
            self.hits += 1
            if self.has_spaces:
                self.table.hit(record)
        return record

    @cython.cfunc
    def _string(self, record: Found) -> Text | None:
        if not record:
            return None
        value: Value = self.table.value(record)
        if not isinstance(value, (bytes, bytearray)):
            raise WRONG_TYPE
        return value

    @cython.cfunc
    def _collection(self, record: Found, kind: type[Kind]) -> Kind | None:
        if not record:
            return None
        value: Value = self.table.value(record)
        if not isinstance(value, kind):
            raise WRONG_TYPE
        return value

    def read(self, key: bytes) -> Value | None:
        """The value, for a command that reads; counts a hit or a miss."""
        record: Found = self._read(key)
        return self.table.value(record) if record else None

    def read_string(self, key: bytes) -> Text | None:
        """As `read`, for a command that reads strings; raises WRONGTYPE for anything else."""
        text: Text | None = self._string(self._read(key))
        return text

    def read_as(self, key: bytes, kind: type[Kind]) -> Kind | None:
        """As `read`, for a command that reads one kind of collection; raises WRONGTYPE for anything else."""
        value: Kind | None = self._collection(self._read(key), kind)
        return value

    def peek(self, key: bytes) -> Value | None:
        """The value, for a command that writes; counts neither hit nor miss."""
        record: Found = self._find(key, self._slot(key))
        return self.table.value(record) if record else None

    def peek_string(self, key: bytes) -> Text | None:
        """As `peek`, for a command that writes strings; raises WRONGTYPE for anything else."""
        text: Text | None = self._string(self._find(key, self._slot(key)))
        return text

    def peek_as(self, key: bytes, kind: type[Kind]) -> Kind | None:
        """As `peek`, for a command that writes one kind of collection; raises WRONGTYPE for anything else."""
        value: Kind | None = self._collection(self._find(key, self._slot(key)), kind)
        return value

    def look(self, key: bytes) -> Value | None:
        """The value, for a command that tells of it (OBJECT, DEBUG, SCAN): counts nothing and is no use of it."""
        touching: cython.bint = self.touching
        self.touching = False
        value = self.peek(key)
        self.touching = touching
        return value

    def read_about(self, key: bytes) -> Value | None:
        """As `read`, for a command that asks about a key (TYPE, TTL, EXISTS): a hit or a miss, but no use."""
        touching: cython.bint = self.touching
        self.touching = False
        value = self.read(key)
        self.touching = touching
        return value

    @cython.cfunc
    def _record(self, key: bytes) -> Found:
        """As it stands, expired or not."""
        return self.table.find(key, self._slot(key))

    def expiry(self, key: bytes) -> int:
        """When the key expires, in Unix milliseconds, or `NO_EXPIRY`. For a key that exists."""
        record: Found = self._record(key)
        return int(self.table.expiry(record)) if record else NO_EXPIRY

    def idle_ms(self, key: bytes) -> int:
        """Since the last command that used the key's value, to 64 ms. For a key that exists."""
        record: Found = self._record(key)
        return self._idle(record.used_at) if record else 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def _idle(self, used_at: cython.longlong) -> cython.longlong:
        if cython.compiled:
            ticks: cython.uint = cython.cast(cython.uint, self._tick() - used_at)
            return 0 if ticks >> 31 else cython.cast(cython.longlong, ticks) << 6
        idle = (self._tick() - used_at) & 0xFFFFFFFF
        return 0 if idle >= MOST_IDLE else idle << TICK_BITS

    def set_idle(self, key: bytes, idle_ms: int) -> None:
        """Let a key that exists have been used so long ago, 4 years at most (RESTORE IDLETIME)."""
        record: Found = self._record(key)
        if record:
            record.used_at = (self._tick() - min(idle_ms >> TICK_BITS, MOST_IDLE - 1)) & 0xFFFFFFFF

    def frequency(self, key: bytes) -> int:
        """0 to 255, as LFU policies count it. For a key that exists."""
        record: Found = self._record(key)
        return int(self._frequency(record)) if record else 0

    def counts_frequency(self, key: bytes) -> bool:
        """Whether a policy asks for the frequency of this key."""
        return bool(self.counting[self._space(key)] == COUNTS_FREQUENCY)

    def set_frequency(self, key: bytes, frequency: int) -> None:
        """Of a key that exists (RESTORE FREQ)."""
        record: Found = self._record(key)
        if record:
            record.state = frequency

    def created_at(self, key: bytes) -> int:
        """When the key was made, in Unix seconds; a new value leaves that as it is. For a key that exists."""
        record: Found = self._record(key)
        return int(record.created_at) if record else 0

    def memory_of(self, key: bytes) -> int:
        """The bytes that a key and its value take, a share of the table included. For a key that exists."""
        record: Found = self._record(key)
        if not record:
            return 0
        listed = text_memory(len(key)) + LISTED_BYTES if key in self.expiring else 0
        return int(self.table.memory(record)) + SPARE_BYTES + listed

    # Changing. `event` is what keyspace notifications call it.

    def note(self, key: bytes | None, event: str) -> None:
        """Tell of an event that comes with a change that was counted already."""
        if self.changes is not None:
            self.changes.append((self.index, event, key, True))

    def announce(self, key: bytes, event: str) -> None:
        """Tell of an event that is no change of data."""
        if self.announcing and self.changes is not None:
            self.changes.append((self.index, event, key, False))

    @cython.cfunc
    def _changed(self, key: bytes | None, event: str) -> cython.void:
        self.dirty += 1
        if self.changes is not None:
            self.changes.append((self.index, event, key, True))

    def set(self, key: bytes, value: Value, expires_at: cython.longlong = NO_EXPIRY, event: str = "set") -> None:
        """Store a value, replacing what was there, its expiry included."""
        self._store(key, value, expires_at)
        self._changed(key, event)

    def update(self, key: bytes, value: Text, event: str | None = "set") -> None:
        """Store a new string under a key that holds one, keeping its expiry. Without an event it is the same string.

        A `bytearray` edited in place is handed back here too.
        """
        self._store(key, value, KEEP)
        if event is not None:
            self._changed(key, event)

    def increment(self, key: bytes, number: cython.longlong) -> int | None:
        """Add a number to the integer under a key; the sum.

        None, and nothing has changed, if the key holds no integer as Redis would write it, or the sum has more than 64
        bits.
        """
        record: Found = self._find(key, self._slot(key))
        total: int | None = self.table.plus(record, number) if record else None
        if total is not None:
            self._changed(key, "incrby")
        return total

    def edited(self, key: bytes, value: Collection, event: str, changes: cython.longlong = 1) -> None:
        """Take note of what a command did to a collection, which is the one under the key or a new one for it.

        `changes` is how many elements it changed; with 0 nothing is recorded, as with Redis. An empty collection goes.
        """
        record: Found = self._record(key)
        if not record or self.table.value(record) is not value:
            if not len(value):
                return
            record = self._store(key, value, KEEP)
        else:
            if type(value) is Hash and value.expiries:
                self.expiring[key] = None
            self.table.recount(record, self.last_slot, value.memory)
            if self.has_spaces:
                self._weigh(self.table.number_of(record))
        if changes:
            self._changed(key, event)
            self.dirty += changes - 1
        if not len(value):
            self.table.remove(record, self.last_slot)
            self.note(key, "del")

    def recount(self, key: bytes) -> None:
        """Behind a command that broke off: a collection under the key may have changed, and count other bytes."""
        record: Found = self._record(key)
        value = self.table.value(record) if record else b""
        if record and not isinstance(value, (bytes, bytearray)):
            self.edited(key, value, "", 0)

    def delete(self, key: bytes, event: str = "del") -> bool:
        """Whether there was such a key (one whose time had come does not count)."""
        record: Found = self._find(key, self._slot(key))
        if not record:
            return False
        self._drop(record, self.last_slot)
        self._changed(key, event)
        return True

    def clear(self, key: bytes) -> None:
        """Leave nothing under a destination. Nobody looks what is there: a key whose time has come counts as well."""
        if self._make_way(key):
            self._changed(key, "del")

    @cython.cfunc
    def _make_way(self, key: bytes) -> cython.bint:
        """Take away what stands under a key; whether there was anything."""
        record: Found = self._record(key)
        if not record:
            return False
        self._drop(record, self.last_slot)
        return True

    def replace(self, key: bytes, value: Value, expires_at: int, event: str) -> None:
        """As `set`, for COPY and RESTORE: the key is a new one, even where there was one."""
        self._make_way(key)
        self.set(key, value, expires_at, event)

    def load(self, key: bytes, value: Value, expires_at: int, idle_ms: int) -> None:
        """Put a key there, in place of what it held, that a snapshot had: no change of data, so nobody is told."""
        self._make_way(key)
        self.load_new(key, value, expires_at, idle_ms)

    def load_new(
        self,
        key: bytes,
        value: Value,
        expires_at: cython.longlong,
        idle_ms: cython.longlong = 0,
        frequency: cython.int = -1,
    ) -> cython.bint:
        """The same for a key that must not be there yet: whether it was put there.

        A frequency of -1 is none, and none is kept where no policy asks for it.
        """
        if self._record(key):
            return False
        changes, self.changes = self.changes, None
        record: Record = self._put(key, value, expires_at)
        if idle_ms:
            record.used_at = (self._tick() - min(idle_ms >> TICK_BITS, MOST_IDLE - 1)) & 0xFFFFFFFF
        if frequency >= 0 and self.counting[self.table.number_of(record)] == COUNTS_FREQUENCY:
            record.state = frequency
        self.changes = changes
        return True

    def follow(self, on: bool) -> None:
        """While this is on, do to the letter what a log tells: nothing expires by itself, nothing is too large, and no
        rule of a namespace gives or shortens times, since whoever told it has applied them."""
        self.following = on
        self.clock = Clock(0) if on else self.wall

    def hand_over(self, key: bytes, other: Keyspace, name: bytes, events: tuple[str, str]) -> None:
        """Give an existing key another name or database (RENAME, MOVE): it is a new one there, and keeps its expiry.

        The events are of the key that goes and of the one that comes.
        """
        record: Found = self._record(key)
        assert record
        expires_at = self.table.expiry(record)
        value: Value = self.table.value(record)
        existed = other.peek(name) is not None
        record = other._store(name, value, expires_at)
        if existed:
            record.created_at = self.wall.now_ms // 1000
            other.announce(name, "new")
        record = self._record(key)
        assert record
        self.table.remove(record, self.last_slot)
        self._changed(key, events[0])
        other._changed(name, events[1])

    def expire(self, key: bytes, expires_at: int) -> None:
        """Give an existing key an expiry; one in the past deletes it."""
        record: Found = self._record(key)
        assert record
        if expires_at <= self.clock.now_ms:
            self._drop(record, self.last_slot)
            self._changed(key, "del")
        else:
            if self.has_spaces and not self.following:
                expires_at = self._governed(self._space(key), expires_at)
            record = self.table.set_expiry(record, self.last_slot, expires_at)
            if self.counting[self.table.number_of(record)] == TELLS_OF_VOLATILE:
                self._tell_engine(record)
            self._changed(key, "expire")

    def persist(self, key: bytes) -> bool:
        """Take an existing key's expiry away, or let it be the latest that its namespace allows; whether it had one."""
        record: Found = self._record(key)
        if not record or self.table.expiry(record) == NO_EXPIRY:
            return False
        longest = self.rules[self._space(key)].max_ttl_ms if self.has_spaces and not self.following else 0
        record = self.table.set_expiry(record, self.last_slot, self.clock.now_ms + longest if longest else NO_EXPIRY)
        if self.counting[self.table.number_of(record)] == TELLS_OF_VOLATILE and not longest:
            record.state = 0
        self._changed(key, "persist")
        return True

    def flush(self) -> int:
        """Drop every key; how many there were."""
        dropped = len(self)
        if dropped:
            self.trash.append(self.table.flush())
        self.expiring = {}
        self._changed(None, "flushdb")
        self.dirty += max(dropped - 1, 0)
        return dropped

    def swap(self, other: Keyspace) -> None:
        """Exchange all the data with another database, and with it what governs and counts them.

        The two may be at different namespaces, of which each has counted a part of its keys. The engines' queues name
        keys of one table. What was counted of uses goes along too: it is told in sum over all databases only.
        """
        self.table, other.table = other.table, self.table
        self.expiring, other.expiring = other.expiring, self.expiring
        self.hits, other.hits = other.hits, self.hits
        self.misses, other.misses = other.misses, self.misses
        self.expired, other.expired = other.expired, self.expired
        self.evicted, other.evicted = other.evicted, self.evicted
        self._swap_rules(other)
        self._changed(None, "swapdb")
        other._changed(None, "swapdb")

    def take_over(self, other: Keyspace) -> None:
        """Have the data of another database, which nobody uses, instead of what is here: that goes in small steps."""
        figures = (self.hits, self.misses, self.expired, self.evicted)
        self.swap(other)
        self.hits, self.misses, self.expired, self.evicted = figures
        other.flush()
        self.trash += other.trash

    def _swap_rules(self, other: Keyspace) -> None:
        self.namespaces, other.namespaces = other.namespaces, self.namespaces
        self.has_spaces, other.has_spaces = other.has_spaces, self.has_spaces
        self.rules, other.rules = other.rules, self.rules
        self.over, other.over = other.over, self.over
        self.counting, other.counting = other.counting, self.counting
        self.scopes, other.scopes = other.scopes, self.scopes
        self.engines, other.engines = other.engines, self.engines
        self.label_cursor, other.label_cursor = other.label_cursor, self.label_cursor
        self.wanted, other.wanted = other.wanted, self.wanted
        self.wanted_counting, other.wanted_counting = other.wanted_counting, self.wanted_counting
        self.wanted_engines, other.wanted_engines = other.wanted_engines, self.wanted_engines
        for keyspace in (self, other):
            wanted = keyspace.wanted_engines[1] if keyspace.wanted_engines else []
            for engine in [*keyspace.engines, *wanted]:
                if engine is not None:
                    engine.residents.keyspace = keyspace

    def drop(self, keys: list[bytes]) -> None:
        """Drop keys, of which nobody is told: their slots are owned elsewhere."""
        for key in keys:
            self._make_way(key)

    # Going through

    def keys(self) -> Iterator[bytes]:
        """Every live key that is not hidden. Take care not to change the keyspace meanwhile. O(n)."""
        if self.hidden:
            yield from (key for key in self._gather(LIVE) if key_slot(key) not in self.hidden)
        else:
            yield from self._gather(LIVE)

    def entries(self) -> Iterator[tuple[bytes, Value, int, int]]:
        """What `load` takes, of every live key. Take care not to change the keyspace meanwhile. O(n)."""
        for key, value, expires_at, used_at, _ in self._gather(ROWS):
            yield key, value, expires_at, self._idle(used_at)

    def _gather(self, what: int) -> Iterator[Any]:
        cursor = 0
        while True:
            cursor, found = self.table.gather(cursor, AT_ONCE, what, self.clock.now_ms)
            yield from found
            if cursor == 0:
                return

    def slot_count(self, slot: int) -> int:
        return int(self.table.slot_figures(slot)[0])

    def slot_bytes(self, slot: int) -> int:
        """What the keys and values of a slot take."""
        return int(self.table.slot_figures(slot)[2])

    def filled_slots(self) -> list[int]:
        """Those that have keys, in their order. O(slots)."""
        return [slot for slot in range(SLOTS) if self.table.slot_figures(slot)[0]]

    def slot_keys(self, slot: int, limit: int | None = None) -> list[bytes]:
        """Up to `limit` keys of a slot. O(keys of the slot)."""
        count = self.slot_count(slot)
        limit = count if limit is None else min(count, limit)
        found: list[bytes] = self.table.gather(slot, limit, EVERY_KEY, 0)[1] if limit else []
        return found[:limit]

    def scan_slot(self, slot: int, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """As `scan`, of one slot, hidden or not: about `count` of its keys at a time, however many it has."""
        count = min(count, self.slot_count(slot))
        if count == 0:
            return 0, []
        following, found = self.table.gather(cursor or slot, count, EVERY_KEY, 0)
        if following != 0 and following & (SLOTS - 1) == slot:
            return following, found
        return 0, [key for key in found if key_slot(key) == slot]

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next keys behind a cursor, and the cursor behind them; both ends are 0.

        A key that exists throughout a full iteration is returned at least once. O(count).
        """
        following, found = self.table.gather(cursor, count, EVERY_KEY, 0)
        if self.hidden:
            found = [key for key in found if key_slot(key) not in self.hidden]
        return following, found

    def random_key(self) -> bytes | None:
        """A live key, each as likely as any other. O(1)."""
        for _ in range(100):
            record: Found = self.table.sample(False)
            if not record:
                return None
            key: bytes = self.table.key(record)
            if not self.hides(key) and self.look(key) is not None:
                return key
        return next(self.keys(), None)

    def sweep(self, limit: int) -> int:
        """Remove expired keys of the next slots, looking at about `limit` keys at most; how many it looked at.

        Those of hidden slots stay: who serves the slot says when they go.
        """
        removed: list[bytes] | None = None if self.changes is None else []
        before = self.table.swept
        looked = self.table.sweep(limit, self.clock.now_ms, removed, self.hidden)
        self.expired += self.table.swept - before
        self._settle()
        for key in removed or ():
            self.note(key, "expired")
        return int(looked)

    def average_ttl(self, samples: int) -> int:
        """Milliseconds, by so many keys with an expiry chosen at random, or all of a small database; 0 if there are
        none. Hidden ones do not count."""
        now = self.clock.now_ms
        left: list[int] = []
        if len(self) <= samples:
            left = [at - now for key, _, at, _ in self.entries() if at != NO_EXPIRY and not self.hides(key)]
        else:
            for _ in range(samples):
                record: Found = self.table.sample(True)
                if record and not self.hides(self.table.key(record)):
                    left.append(max(0, self.table.expiry(record) - now))
        return sum(left) // len(left) if left else 0

    def hides(self, key: bytes) -> bool:
        """Whether a key, if it is here, is of a hidden slot."""
        return len(self.hidden) > 0 and key_slot(key) in self.hidden

    def sweep_fields(self, limit: int) -> int:
        """Remove expired fields of the next hashes that have such, `limit` hashes at most; how many it looked at."""
        looked = 0
        for key in list(islice(self.expiring, limit)):
            looked += 1
            del self.expiring[key]
            if self.hides(key):
                self.expiring[key] = None
                continue
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
            held = len(item)
            left -= max(item.shed(left), 1)
            if type(item) is Table:
                self.freed += held - len(item)
            elif not len(item):
                self.freed += 1
            if not len(item):
                self.trash.pop()
            if type(item) is Table:
                for value in item.take_trash():
                    self._discard(value)

    @cython.cfunc
    def _discard(self, value: Value) -> cython.void:
        """Nobody can reach a value any more: what is large is freed in steps."""
        if not isinstance(value, (bytes, bytearray)) and len(value) > LARGE:
            self.trash.append(value)

    @cython.cfunc
    def _settle(self) -> cython.void:
        """Let go of what records owned that went."""
        if self.table.trash:
            for value in self.table.take_trash():
                self._discard(value)

    # Namespaces, and making room

    def set_namespaces(
        self, namespaces: Namespaces, counting: bytes, engines: tuple[list[int], list[Any]] | None = None
    ) -> None:
        """Count and govern by these namespaces from now on; keys that are there are counted anew by `label_some`.

        `counting` says of each, from number 0 on, what its policy wants to know of uses; `engines` which of the engines
        of its second list is told of them.
        """
        if self.label_cursor:
            self.wanted, self.wanted_counting, self.wanted_engines = namespaces, counting, engines
            return
        self.scopes, self.engines = engines or no_engines(counting)
        self.namespaces = self.table.labels = namespaces
        self.has_spaces = len(namespaces) > 0
        self.rules = (DEFAULT_NAMESPACE, *namespaces.items)
        self.counting = counting
        self.over.clear()
        self.table.set_spaces([is_listed(rule) for rule in self.rules])
        self.label_cursor = 1 if len(self) else 0

    @property
    def set_last(self) -> tuple[Namespaces, list[int], list[Any]]:
        """What `set_namespaces` was told last, in force already or to come: namespaces, scopes and engines."""
        if self.wanted is None:
            return self.namespaces, self.scopes, self.engines
        return (self.wanted, *(self.wanted_engines or no_engines(self.wanted_counting)))

    def set_counting(self, counting: bytes) -> None:
        """Say anew of each namespace whether its policy counts frequencies."""
        if self.wanted is not None:
            self.wanted_counting = counting
        else:
            self.counting = counting

    def label_some(self, count: int) -> bool:
        """Count about so many keys to their namespaces; whether some are left. O(count)."""
        if self.label_cursor:
            cursor, labelled = self.table.gather(self.label_cursor - 1, count, LABEL, 0)
            for key in labelled:
                if key is not None:
                    self._begin_counting(key)
            self.label_cursor = cursor + 1 if cursor else 0
            if not self.label_cursor:
                self._labelled()
        return self.label_cursor != 0

    def _begin_counting(self, key: bytes) -> None:
        """Of a key that was counted to its namespace just now."""
        record: Found = self._record(key)
        if record:
            how = self.counting[self.table.number_of(record)]
            record.state = INITIAL_FREQUENCY if how == COUNTS_FREQUENCY else 0
            if how not in (COUNTS_NOTHING, COUNTS_FREQUENCY):
                self._tell_engine(record)

    def _labelled(self) -> None:
        """All keys are counted to their namespaces."""
        if self.wanted is not None:
            wanted, self.wanted = self.wanted, None
            self.set_namespaces(wanted, self.wanted_counting, self.wanted_engines)
        else:
            for space in range(1, len(self.rules)):
                self._weigh(space)

    def space_used(self, space: int) -> int:
        """The bytes of a namespace in all databases."""
        return sum([keyspace.table.space_used(space) for keyspace in self.siblings])

    def space_figures(self) -> list[tuple[int, ...]]:
        """Of each namespace, from number 0 on: keys, bytes, hits, misses, evicted and expired keys. Here alone."""
        figures: list[tuple[int, ...]] = self.table.space_figures()
        if not self.has_spaces:
            keys, used = figures[0][:2]
            return [(keys, used, self.hits, self.misses, self.evicted, self.expired)]
        return figures

    @cython.cfunc
    def evict(self, record: Record, slot: cython.Py_ssize_t) -> cython.void:
        """Remove a record to make room."""
        key = None if self.changes is None else self.table.key(record)
        self.table.evicted(record)
        self._drop(record, slot)
        self.evicted += 1
        self.dirty += 1
        if key is not None:
            self.note(key, "evicted")

    def purge(self, key: bytes, value: Hash) -> int:
        """Remove the expired fields of a key's hash, and the key with the last one; how many fields are left."""
        removed = value.purge(self.clock.now_ms)
        if removed:
            if self.purged is not None:
                self.purged.append((self.index, key, removed))
            self.edited(key, value, "hexpired", len(removed))
        elif value.expiries:
            self.expiring[key] = None
        return len(value)

    def check(self) -> None:
        """Assert every invariant. O(n), for tests."""
        self.table.check()
        for key, value, _, _ in self.entries():
            if not isinstance(value, (bytes, bytearray)):
                value.check()
                assert len(value), f"an empty {value.kind} is stored"
            if type(value) is Hash and value.expiries:
                assert key in self.expiring, f"nobody watches the fields of {key!r}"

    # What changes the table

    @cython.cfunc
    def _store(self, key: bytes, value: Value, expires_at: cython.longlong) -> Record:
        """Put a value there, as a namespace and `maxmemory` allow; `KEEP` leaves an expiry as it is."""
        record: Record
        if self.has_spaces or self.largest:
            record = self._store_governed(key, value, expires_at)
        else:
            record = self._put(key, value, expires_at)
        return record

    @cython.cfunc
    def _store_governed(self, key: bytes, value: Value, expires_at: cython.longlong) -> Record:
        space: cython.Py_ssize_t = self._space(key)
        record: Record
        if self.following:
            record = self._put(key, value, expires_at)
            self._weigh(space)
            return record
        size = len(value) if isinstance(value, (bytes, bytearray)) else 0
        if self.largest and size > self.largest:
            raise TOO_LARGE
        budget = self.rules[space].max_memory
        if budget and size > budget:
            raise TOO_LARGE_HERE
        if self.has_spaces and (expires_at != KEEP or not self._find(key, self._slot(key))):
            expires_at = self._governed(space, expires_at)
        record = self._put(key, value, expires_at)
        self._weigh(space)
        return record

    @cython.cfunc
    def _space(self, key: bytes) -> cython.Py_ssize_t:
        """The number of a key's namespace."""
        number: cython.Py_ssize_t = self.namespaces.match(key) if self.has_spaces else 0
        return number

    @cython.cfunc
    def _governed(self, space: cython.Py_ssize_t, expires_at: cython.longlong) -> cython.longlong:
        """The expiry that a key gets in a namespace when a command wants this one, or none."""
        rule = self.rules[space]
        if expires_at < 0:
            ttl = rule.default_ttl_ms or rule.max_ttl_ms
            return self.clock.now_ms + ttl if ttl else NO_EXPIRY
        if rule.max_ttl_ms:
            return min(expires_at, self.clock.now_ms + rule.max_ttl_ms)
        return expires_at

    @cython.cfunc
    def _weigh(self, space: cython.Py_ssize_t) -> cython.void:
        """Note whether a namespace is above its budget."""
        budget: cython.longlong = self.rules[space].max_memory
        if budget and self.space_used(space) > budget:
            self.over[space] = None

    @cython.cfunc
    def _put(self, key: bytes, value: Value, expires_at: cython.longlong) -> Record:
        """Put a value there; `KEEP` leaves an expiry as it is."""
        slot: cython.Py_ssize_t = self._slot(key)
        if type(value) is not bytes and type(value) is Hash and value.expiries:
            self.expiring[key] = None
        record: Found = self._alive(key, slot)
        if record:
            record = self.table.assign(record, slot, value, expires_at)
            self._touch(record)
            if self.table.trash:
                self._settle()
            return record
        if expires_at == KEEP:
            expires_at = NO_EXPIRY
        now: cython.longlong = self.wall.now_ms
        record = self.table.add(key, slot, value, expires_at, self._space(key), self._tick(), now // 1000)
        how: cython.int = self.counting[self.table.number_of(record)]
        if how == COUNTS_FREQUENCY:
            record.state = INITIAL_FREQUENCY
        elif how != COUNTS_NOTHING:
            try:
                self._tell_engine(record)
            except MemoryError:
                self._drop(record, slot)
                raise
        if self.announcing:
            self.announce(key, "new")
        return record

    @cython.cfunc
    def _drop(self, record: Record, slot: cython.Py_ssize_t) -> cython.void:
        """Take a record out of the table, and let go of what it owned."""
        value = self.table.remove(record, slot)
        if value is not None:
            self._discard(value)
