"""The table of one database made of dictionaries: the form that runs without a compiler, and the model of `table.py`.

It says what the compact one must do. What is counted is what the compact one would take, so that both give the same
figures but for the buckets.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from random import Random
from typing import Any

from ringkeeper.store.block import FloatText, block_size, object_memory
from ringkeeper.store.namespaces import NO_NAMESPACES
from ringkeeper.store.slot import SLOTS, key_slot

HEADER = 16
EMBEDDED = 512
KEYS, LIVE, ROWS, LABEL = 0, 1, 2, 3
SLOT_BITS = 14
POSITION_MASK = (1 << 48) - 1
NO_EXPIRY, KEEP = -1, -2


@dataclass(slots=True, eq=False)
class Record:
    """What is known of a key. `counted` is what of its bytes was counted, `at` the expiry or -1."""

    name: bytes
    held: Any
    used_at: int
    created_at: int
    counted: int = 0
    at: int = NO_EXPIRY
    state: int = 0
    space: int = 0
    generation: int = 0
    place: int = -1
    """In its namespace's list; -1 where there is none."""


@dataclass(slots=True)
class Space:
    """What is counted of a namespace."""

    is_listed: bool = False
    """Whether its records are listed, and take the 8 bytes of a place."""
    members: list[Record] = field(default_factory=list)
    keys: int = 0
    used: int = 0
    hits: int = 0
    misses: int = 0
    evicted: int = 0
    expired: int = 0


Found = Record | None


def code_of(key: bytes) -> int:
    """A key's hash as 64 bits without a sign."""
    return hash(key) & 0xFFFFFFFFFFFFFFFF


def reads_as_integer(text: bytes) -> bool:
    """Whether a text is an integer of 64 bits as Redis would write it."""
    if not 0 < len(text) <= 20 or not text.removeprefix(b"-").isdigit():
        return False
    number = int(text)
    return -(2**63) <= number < 2**63 and b"%d" % number == text


def memory_of(key: bytes, value: Any, at: int, listed: bool) -> int:
    """The bytes that a record takes, an object of its own included."""
    size = HEADER + len(key) + 8 * ((at >= 0) + (len(key) > 0xFFFF) + listed)
    if type(value) is bytes and reads_as_integer(value):
        return block_size(size + 8)
    if type(value) in (bytes, FloatText) and HEADER + len(key) + len(value) <= EMBEDDED:
        return block_size(size + len(value))
    return block_size(size + 16) + object_memory(value)


def exchange(one: object, other: object, *names: str) -> None:
    """The attributes of these names."""
    for name in names:
        mine, theirs = getattr(one, name), getattr(other, name)
        setattr(one, name, theirs)
        setattr(other, name, mine)


class Visitor:
    """For the compiled form alone."""


class Table:
    """The records of one database. `find` and `add` hand out records; `value` and `expiry` say what is in them."""

    def __init__(self, seed: int = 1) -> None:
        self.slots: list[dict[bytes, Record] | None] = [None] * SLOTS
        self.volatile_keys: list[set[bytes] | None] = [None] * SLOTS
        self.size = 0
        self.volatile = 0
        self.used = 0
        self.structure = 0
        self.swept = 0
        self.sweep_slot = 0
        self.sampled_slot = 0
        self.drawn: list[Record] = []
        self.marks: list[int] = []
        self.random = Random(seed)
        self.trash: list[Any] = []
        self.last = b""
        self.handles: dict[int, Record] = {}
        self.generation = 0
        self.spaces = [Space(), Space()]
        """What is not labelled yet, and each namespace from number 0 on."""
        self.labels = NO_NAMESPACES

    def __len__(self) -> int:
        return self.size

    def find(self, key: bytes, slot: int) -> Found:
        self.last = key
        table = self.slots[slot]
        return None if table is None else table.get(key)

    def find_ident(self, ident: int) -> Found:
        """The record of a slot and the first 34 bits of a key's hash; None if there is none. O(keys of the slot)."""
        for key, record in (self.slots[ident >> 34] or {}).items():
            if code_of(key) >> 30 == ident & (1 << 34) - 1:
                return record
        return None

    @property
    def code(self) -> int:
        """The hash of the key that was looked up or added last."""
        return code_of(self.last)

    def handle_of(self, record: Record) -> int:
        """A number for a record as long as it is there."""
        self.handles[id(record)] = record
        return id(record)

    def record_at(self, handle: int) -> Record:
        return self.handles[handle]

    def mark_of(self, record: Record, slot: int) -> int:  # noqa: ARG002
        """Where to look for a record: here, its slot."""
        return slot

    def mark_of_ident(self, ident: int) -> int:
        """The same of what `find_ident` takes."""
        return ident >> 34

    def slot_of(self, mark: int) -> int:
        return mark

    def find_marked(self, handle: int, mark: int) -> Found:
        """The record that had this handle when it was drawn and was marked so, if it is still there."""
        record = self.handles.get(handle)
        there = record is not None and (self.slots[mark] or {}).get(record.name) is record
        return record if there else None

    def key(self, record: Record) -> bytes:
        return record.name

    def value(self, record: Record) -> Any:
        return record.held

    def plus(self, record: Record, number: int) -> int | None:
        """The sum of a number and the integer that a record holds, which becomes the record's value; None if the record
        holds no integer, or the sum has more than 64 bits."""
        if type(record.held) is not bytes or not reads_as_integer(record.held):
            return None
        total = int(record.held) + number
        if not -(2**63) <= total < 2**63:
            return None
        record.held = b"%d" % total
        return total

    def expiry(self, record: Record) -> int:
        return record.at

    def memory(self, record: Record) -> int:
        return record.counted

    def add(self, key: bytes, slot: int, value: Any, at: int, space: int, used_at: int, created_at: int) -> Record:
        self.last = key
        table = self.slots[slot]
        if table is None:
            table = self.slots[slot] = {}
        record = table[key] = Record(key, value, used_at, created_at, space=space, generation=self.generation)
        self._enlist(record)
        self.size += 1
        return self.set_expiry(record, slot, at)

    def _count(self, record: Record) -> None:
        memory = memory_of(record.name, record.held, record.at, record.place >= 0)
        self.used += memory - record.counted
        self.space_of(record).used += memory - record.counted
        record.counted = memory

    def assign(self, record: Record, slot: int, value: Any, at: int) -> Record:
        if record.held is not value:
            self._let_go(record.held)
        record.held = value
        return self.set_expiry(record, slot, record.at if at == KEEP else at)

    def _let_go(self, value: Any) -> None:
        if not isinstance(value, (bytes, bytearray)):
            self.trash.append(value)

    def recount(self, record: Record, slot: int, memory: int) -> None:  # noqa: ARG002
        self._count(record)

    def set_expiry(self, record: Record, slot: int, at: int) -> Record:
        keys = self.volatile_keys[slot]
        if keys is None:
            keys = self.volatile_keys[slot] = set()
        self.volatile += (at >= 0) - (record.at >= 0)
        if at >= 0:
            keys.add(record.name)
        else:
            keys.discard(record.name)
        if not keys:
            self.volatile_keys[slot] = None
        record.at = at
        self._count(record)
        return record

    def remove(self, record: Record, slot: int) -> Any:
        """Take a record out; the object that it owned."""
        if record.at >= 0:
            self.set_expiry(record, slot, NO_EXPIRY)
        table = self.slots[slot]
        assert table is not None
        del table[record.name]
        self.handles.pop(id(record), None)
        if not table:
            self.slots[slot] = None
        self.size -= 1
        self.used -= record.counted
        self._delist(record)
        return None if isinstance(record.held, bytes) else record.held

    def space_of(self, record: Record) -> Space:
        return self.spaces[record.space + 1 if record.generation == self.generation else 0]

    def number_of(self, record: Record) -> int:
        """Of a record's namespace; 0 as long as it is not labelled anew."""
        return record.space if record.generation == self.generation else 0

    def set_spaces(self, listed: list[bool]) -> None:
        """Begin to count by other namespaces; `gather` with `LABEL` labels the records that are there."""
        self.spaces = [Space(keys=self.size, used=self.used), *map(Space, listed)]
        self.generation ^= 1

    def _relabel(self, record: Record) -> bytes | None:
        if record.generation == self.generation:
            return None
        self._delist(record)
        self.used -= record.counted
        record.counted = 0
        record.generation, record.space = self.generation, self.labels.match(record.name)
        self._enlist(record)
        self._count(record)
        return record.name

    def _enlist(self, record: Record) -> None:
        account = self.space_of(record)
        account.keys += 1
        record.place = -1
        if account.is_listed:
            record.place = len(account.members)
            account.members.append(record)

    def _delist(self, record: Record) -> None:
        account = self.space_of(record)
        account.keys -= 1
        account.used -= record.counted
        if account.is_listed:
            last = account.members.pop()
            if last is not record:
                account.members[record.place] = last
                last.place = record.place

    def space_figures(self) -> list[tuple[int, ...]]:
        """Of each namespace, from number 0 on: keys, bytes, hits, misses, evicted and expired keys."""
        waiting, first, *others = self.spaces
        rows = [replace(first, keys=first.keys + waiting.keys, used=first.used + waiting.used), *others]
        return [(row.keys, row.used, row.hits, row.misses, row.evicted, row.expired) for row in rows]

    def space_keys(self, space: int) -> int:
        return self.spaces[space + 1].keys

    def space_used(self, space: int) -> int:
        """The bytes of a namespace."""
        return self.spaces[space + 1].used

    def reset_figures(self) -> None:
        """Count hits, misses, evicted and expired keys from 0 again."""
        for space in self.spaces:
            space.hits = space.misses = space.evicted = space.expired = 0

    def nothing(self) -> Found:
        """No record."""
        return None

    def hit(self, record: Record) -> None:
        self.space_of(record).hits += 1

    def miss(self, space: int) -> None:
        self.spaces[space + 1].misses += 1

    def expired(self, record: Record) -> None:
        self.space_of(record).expired += 1

    def evicted(self, record: Record) -> None:
        self.space_of(record).evicted += 1

    def sample_space(self, space: int) -> Found:
        """A record of a namespace whose records are listed, chosen at random."""
        members = self.spaces[space + 1].members
        return self.random.choice(members) if members else None

    def sweep(self, limit: int, now_ms: int, removed: list[bytes] | None, hidden: frozenset[int]) -> int:
        """Remove records whose time has come, of the next slots that are not hidden; how many with an expiry it
        looked at."""
        looked = 0
        for _ in range(SLOTS):
            if looked >= limit or not self.volatile:
                break
            slot = self.sweep_slot
            self.sweep_slot = (slot + 1) & (SLOTS - 1)
            keys, table = self.volatile_keys[slot], self.slots[slot]
            if keys and table is not None and slot not in hidden:
                looked += len(keys)
                for record in [table[key] for key in keys if table[key].at <= now_ms]:
                    if removed is not None:
                        removed.append(record.name)
                    self._let_go(record.held)
                    self.expired(record)
                    self.remove(record, slot)
                    self.swept += 1
        return looked

    def chance(self) -> float:
        """A random number from 0 to 1."""
        return self.random.random()

    def sample(self, volatile: bool) -> Found:
        """A record chosen at random. O(SLOTS)."""
        total = self.volatile if volatile else self.size
        if not total:
            return None
        index = self.random.randrange(total)
        for slot in range(SLOTS):
            names = self.volatile_keys[slot] if volatile else self.slots[slot]
            if names is None:
                continue
            if index < len(names):
                self.sampled_slot = slot
                return self.find(next(islice(names, index, None)), slot)
            index -= len(names)
        return None

    def draw(self, volatile: bool, most: int) -> int:
        """Put records chosen at random into `drawn`, and where each is to be found into `marks`; how many."""
        self.drawn, self.marks = [], []
        for _ in range(most):
            record = self.sample(volatile)
            if record is not None:
                self.drawn.append(record)
                self.marks.append(self.mark_of(record, self.sampled_slot))
        return len(self.drawn)

    def gather(self, cursor: int, count: int, what: int, now_ms: int) -> tuple[int, list[Any]]:
        """The next about `count` records behind a cursor, and the cursor behind them; both ends are 0.

        Slots are given whole while they are small; within a large one the place is the key's hash.
        """
        slot = cursor & (SLOTS - 1)
        position = cursor >> SLOT_BITS
        found: list[Record] = []
        while slot < SLOTS:
            table = self.slots[slot]
            if table:
                room = max(count - len(found), 1)
                if position == 0 and len(table) <= room:
                    found.extend(table.values())
                else:
                    ordered = sorted((hash(key) & POSITION_MASK, key) for key in table)
                    rest = [entry for entry in ordered if entry[0] >= position]
                    taken = rest[:room]
                    while len(taken) < len(rest) and taken and rest[len(taken)][0] == taken[-1][0]:
                        taken.append(rest[len(taken)])
                    found.extend(table[key] for _, key in taken)
                    if len(taken) < len(rest):
                        return (rest[len(taken)][0] << SLOT_BITS) | slot, self._shown(found, what, now_ms)
            slot += 1
            position = 0
            if len(found) >= count:
                break
        return (slot if slot < SLOTS else 0), self._shown(found, what, now_ms)

    def _shown(self, records: list[Record], what: int, now_ms: int) -> list[Any]:
        if what in (LIVE, ROWS):
            records = [record for record in records if record.at < 0 or record.at > now_ms]
        if what == LABEL:
            return [self._relabel(record) for record in records]
        if what == ROWS:
            return [(each.name, each.held, each.at, each.used_at, each.created_at) for each in records]
        return [record.name for record in records]

    def walk(self, visitor: Visitor) -> int:
        """Records are shown as they lie in memory, where none lie here."""
        raise NotImplementedError

    def slot_figures(self, slot: int) -> tuple[int, int, int]:
        """Keys of a slot, how many of them have an expiry, and the bytes that were counted for them."""
        table = self.slots[slot] or {}
        return len(table), len(self.volatile_keys[slot] or ()), sum(record.counted for record in table.values())

    def flush(self) -> Table:
        """Let go of everything: what is returned holds it until its `shed` has freed it in steps."""
        remains = Table()
        remains.set_spaces([account.is_listed for account in self.spaces[1:]])
        self.swap(remains)
        return remains

    def swap(self, other: Table) -> None:
        exchange(self, other, "slots", "volatile_keys", "size", "volatile", "used", "generation")
        for account, others in zip(self.spaces, other.spaces, strict=True):
            exchange(account, others, "keys", "used", "members")

    def shed(self, count: int) -> int:
        """Free about so many records of a table that nobody uses any more; how many."""
        done = 0
        while self.slots and done < count:
            table = self.slots[-1]
            while table and done < count:
                _, record = table.popitem()
                self._let_go(record.held)
                self.size -= 1
                done += 1
            if not table:
                self.slots.pop()
                done += 1
        return done

    def take_trash(self) -> list[Any]:
        """The objects that records owned that went since the last call."""
        trash, self.trash = self.trash, []
        return trash

    def check(self) -> None:
        """Assert every invariant. O(n), for tests."""
        size = used = volatile = 0
        found: dict[int, int] = defaultdict(int)
        for slot, key, record in self._all():
            assert key == record.name
            assert key_slot(key) == slot, f"slot {slot} holds a key of another slot"
            assert record.counted == memory_of(key, record.held, record.at, record.place >= 0), key
            assert (record.at >= 0) == (key in (self.volatile_keys[slot] or ())), f"{key!r} is volatile in one place"
            size += 1
            used += record.counted
            volatile += record.at >= 0
            found[id(self.space_of(record))] += record.counted
        assert [found[id(account)] for account in self.spaces] == [account.used for account in self.spaces]
        assert sum(account.keys for account in self.spaces) == size
        assert volatile == sum(len(keys) for keys in self.volatile_keys if keys)
        assert (size, used, volatile) == (self.size, self.used, self.volatile)

    def _all(self) -> Iterator[tuple[int, bytes, Record]]:
        for slot, table in enumerate(self.slots):
            for key, record in (table or {}).items():
                yield slot, key, record
