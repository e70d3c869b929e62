"""The compact table of one database: keys, strings and what is known of each, in memory of its own.

A *record* is one allocation: a header of 16 bytes (last use, creation, the eviction engine's bits, kind, namespace,
lengths), the expiry if there is one, the key, and the value where that is a short string or an integer. A longer string
and any collection is an object beside it, which the record owns.

Each slot has its own small hash table, so that a slot is counted, listed and dropped without a look at the others, and
so that growing never touches more than a few hundred keys. It is made of buckets of eight words (a cache line); a word
holds a record's address, 16 bits of the key's hash, and whether the record has an expiry. The bucket follows from these
16 bits: a table of n buckets is ordered by them, whatever n is, so that it can grow by an eighth at a time without
looking at a single key, and a SCAN's cursor can be a place in that order. A full bucket spills into the next one
(linear probing by buckets); removal pulls back what had spilled. With more than `MOST_BUCKETS` buckets a *part* is
split in two by further bits of the hash, as in extendible hashing (Fagin et al., 1979), so that even ten million keys
of one hash tag never stall anybody.

The hash is CPython's for bytes: SipHash-1-3 with a secret of the process, so nobody can choose keys that collide; what
an attacker can choose is the slot, and within a slot that helps nothing.

Memory comes from Python's allocator, which packs what is up to 512 bytes by multiples of 16 without a header of its
own. `used` counts blocks as they are taken, rounding included; `structure` what the buckets take.

This file is the compiled form only. `table_plain.py` does the same with dictionaries: it is what runs without a
compiler, and what this one is tested against. Times: `used_at` in ticks of 64 ms (modulo 2^32), `created_at` in Unix
seconds, expiries in Unix milliseconds. Nothing here reads a clock.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import cython

from ringkeeper.store.block import FloatText, object_memory
from ringkeeper.store.namespaces import NO_NAMESPACES

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.cpython.mem import PyMem_Calloc, PyMem_Free, PyMem_Malloc
    from cython.cimports.cpython.object import PyObject
    from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
    from cython.cimports.libc.string import memcmp, memcpy, memset
else:  # Names for the type checker; the header declares them.
    Record = Any
    Found = Any
    Spot = Any
    Part = Any
    Slot = Any
    PartPointer = Any
    SlotPointer = Any
    PartsPointer = Any
    ObjectPointer = Any
    Counts = Any
    Sides = Any
    IntegerPointer = Any
    prefetch = Any
    hash_bytes = Any
    View = Any
    ViewPointer = Any
    Space = Any
    SpacePointer = Any
    RecordPointer = Any
    int64_t = int
    uint8_t = int
    uint16_t = int
    uint32_t = int
    uint64_t = int
    TEXT = INTEGER = OBJECT = KIND = VOLATILE = LONG_KEY = FLOAT = GENERATION = LISTED = LABEL = KEEP = KEYS = LIVE = 0
    ROWS = SLOTS = NEVER = WIDTH = MOST_BUCKETS = MOST_DEPTH = COLLAPSED = GROUPS = GROUP_SIZE = HEADER = EMBEDDED = 0
    MOST_DRAWN = TRIES = 0


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def record_of(word: uint64_t) -> Record:
    return cython.cast(Record, word << 16 >> 20 << 4)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def behind_header(record: Record) -> cython.p_char:
    """Where the value's word stands, if there is one: behind the expiry and the place in a list."""
    place: cython.p_char = cython.cast(cython.p_char, record) + HEADER
    if record.flags & VOLATILE:
        place += 8
    if record.flags & LISTED:
        place += 8
    return place


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def list_place(record: Record) -> IntegerPointer:
    """Where a listed record's place in its namespace's list stands."""
    place: cython.p_char = cython.cast(cython.p_char, record) + (HEADER + 8 if record.flags & VOLATILE else HEADER)
    return cython.cast(IntegerPointer, place)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def words_behind(flags: cython.int) -> cython.Py_ssize_t:
    """Bytes between expiry and key: an integer; an object and what of its memory was counted; a long key's length."""
    kind: cython.int = flags & KIND
    long_key: cython.Py_ssize_t = 8 if flags & LONG_KEY else 0
    return long_key + (0 if kind == TEXT else 8 if kind == INTEGER else 16)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def key_start(record: Record) -> cython.p_char:
    return behind_header(record) + words_behind(record.flags)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def key_length(record: Record) -> cython.Py_ssize_t:
    if record.flags & LONG_KEY:
        return cython.cast(cython.pointer(int64_t), key_start(record) - 8)[0]
    return record.key_length


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def record_size(record: Record) -> cython.Py_ssize_t:
    start: cython.p_char = key_start(record)
    return (start - cython.cast(cython.p_char, record)) + key_length(record) + record.text_length


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def block(size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """As `block_size`, inlined."""
    return (size + 15) & ~15 if size <= 512 else (size + 23) & ~15


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def room(size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """What of such a block the record may use: `_assign_in_place` lets a text grow to the block's end."""
    return block(size) if size <= 512 else block(size) - 8


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def equals(record: Record, key: cython.p_const_char, length: cython.Py_ssize_t) -> cython.bint:
    return key_length(record) == length and memcmp(key_start(record), key, length) == 0


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def seconds_of(milliseconds: cython.longlong) -> uint32_t:
    """Of an expiry, for comparison; what does not fit is `NEVER`, which is some 80 years from now."""
    seconds: cython.longlong = milliseconds // 1000
    return NEVER if seconds >= NEVER else cython.cast(uint32_t, seconds) if seconds > 0 else 0


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def around(distance: cython.Py_ssize_t, count: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """A distance between buckets, going forward over the end."""
    return distance + count if distance < 0 else distance


@cython.cfunc
@cython.exceptval(check=False)
def take_out(bucket: Spot, place: cython.int) -> cython.bint:
    """Take a word out of a bucket, whose last one comes in its place; whether the bucket was full."""
    last: cython.int = WIDTH - 1
    was_full: cython.bint = bucket[last] != 0
    while bucket[last] == 0:
        last -= 1
    bucket[place] = bucket[last]
    bucket[last] = 0
    return was_full


@cython.cfunc
@cython.exceptval(check=False)
def swap_contents(space: SpacePointer, other: SpacePointer) -> cython.void:
    """Exchange what two accounts hold; what was counted of hits and the like stays."""
    space.keys, other.keys = other.keys, space.keys
    space.used, other.used = other.used, space.used
    space.listed, other.listed = other.listed, space.listed
    space.count, other.count = other.count, space.count
    space.capacity, other.capacity = other.capacity, space.capacity


@cython.cfunc
@cython.exceptval(check=False)
def reads_as_integer(text: cython.p_const_char, length: cython.Py_ssize_t, number: IntegerPointer) -> cython.bint:
    """Whether a text is an integer of 64 bits as Redis would write it, so that it can be kept as one."""
    place: cython.Py_ssize_t = 0
    digit: cython.uint
    total: uint64_t = 0
    if length == 0 or length > 20:
        return False
    negative: cython.bint = text[0] == 45
    if negative:
        place = 1
    if length - place < 1 or length - place > 19 or (text[place] == 48 and length > 1):
        return False
    while place < length:
        digit = cython.cast(cython.uint, cython.cast(cython.uchar, text[place])) - 48
        if digit > 9:
            return False
        total = total * 10 + digit
        place += 1
    if total > (cython.cast(uint64_t, 1) << 63) - (0 if negative else 1):
        return False
    number[0] = cython.cast(int64_t, 0 - total if negative else total)
    return True


@cython.cfunc
@cython.exceptval(check=False)
def integer_in(text: cython.p_const_uchar, length: cython.Py_ssize_t, is_integer: cython.p_bint) -> int64_t:
    """As `reads_as_integer`, for other modules."""
    number = cython.declare(int64_t, 0)
    is_integer[0] = reads_as_integer(cython.cast(cython.p_const_char, text), length, cython.address(number))
    return number  # type: ignore[no-any-return]


@cython.cfunc
@cython.exceptval(check=False)
def write_integer(number: int64_t, end: cython.p_uchar) -> cython.Py_ssize_t:
    """Write an integer before a place, where 20 bytes must be free; how many bytes it takes."""
    place: cython.Py_ssize_t = 0
    rest: uint64_t = 0 - cython.cast(uint64_t, number) if number < 0 else cython.cast(uint64_t, number)
    while True:
        place += 1
        (end - place)[0] = cython.cast(cython.uchar, 48 + rest % 10)
        rest = rest // 10
        if rest == 0:
            break
    if number < 0:
        place += 1
        (end - place)[0] = 45
    return place


@cython.cfunc
def integer_text(number: int64_t) -> bytes:
    digits = cython.declare(cython.uchar[24])
    end: cython.p_uchar = digits + 24
    length: cython.Py_ssize_t = write_integer(number, end)
    text: bytes = PyBytes_FromStringAndSize(cython.cast(cython.p_char, end - length), length)
    return text


AHEAD = cython.declare(cython.Py_ssize_t, 16)
"""Records that are fetched into the cache before `walk` comes to them."""
FACTOR = cython.declare(uint64_t, cython.cast(uint64_t, 0x2545F491) << 32 | 0x4F6CDD1D)
"""What a random number is multiplied by, so that its upper bits follow from all (Vigna, 2016)."""

failing = cython.declare(cython.longlong, 0)
"""For tests: the so manieth allocation from now on fails; 0 for none."""


def fail_allocation(number: int) -> None:
    """Let the so manieth allocation from now on fail, once; 0 for none. For tests."""
    global failing
    failing = number


@cython.cclass
class Visitor:
    """Somebody to be shown every record."""

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def visit(self, view: ViewPointer) -> cython.int:
        raise NotImplementedError


@cython.final
@cython.no_gc
@cython.cclass
class Table:
    """The records of one database. O(1) where nothing else is said, growing by an eighth of a part included.

    `find` and `add` hand out records; any change of the table may move them.
    """

    if TYPE_CHECKING:
        spaces: SpacePointer
        space_count: int
        generation: int
        group_sizes: list[int]
        group_volatiles: list[int]
        aims: list[int]
        drawn: list[Record]
        marks: list[int]
        sweep_slot: int
        sweep_part: int
        sweep_due: int
        shed_slot: int
        shed_part: int

    def __cinit__(self) -> None:
        self.slots = cython.cast(SlotPointer, PyMem_Calloc(SLOTS, cython.sizeof(Slot)))
        if self.slots == cython.NULL:
            raise MemoryError

    def __init__(self, seed: int = 1) -> None:
        self.labels = NO_NAMESPACES
        """The namespaces by which records are labelled."""
        self.set_spaces([False])
        self.size = 0
        self.volatile = 0
        """Keys that have an expiry."""
        self.used = 0
        """Bytes of records and of the objects they own."""
        self.structure = 0
        """Bytes of buckets."""
        self.random_state = cython.cast(uint64_t, seed | 1)
        self.aims[0] = self._next_random() >> 2
        self.aims[1] = self._next_random() >> 2
        self.swept = 0
        """Records that `sweep` removed, ever."""
        self.trash: list[Any] = []
        """Objects that records owned that went: the keyspace lets go of them."""

    def __dealloc__(self) -> None:
        if self.slots != cython.NULL:
            self.shed(1 << 62)
            self._free_spaces()
            PyMem_Free(self.slots)

    def __len__(self) -> int:
        return int(self.size)

    # Finding

    @cython.cfunc
    @cython.inline
    def _part(self, home: SlotPointer, code: uint64_t) -> PartPointer:
        if home.depth == 0:
            return cython.address(home.whole)
        return home.parts[cython.cast(uint32_t, code >> 16) >> (32 - home.depth)]

    @cython.cfunc
    def _locate(self, part: PartPointer, code: uint64_t, key: cython.p_const_char, length: cython.Py_ssize_t) -> Spot:
        tag: uint64_t = code >> 48
        count: uint64_t = part.buckets
        if count == 0:
            return cython.NULL
        at: uint64_t = (tag * count) >> 16
        bucket: Spot
        word: uint64_t
        place: cython.int
        for _ in range(count):
            bucket = part.words + at * WIDTH
            for place in range(WIDTH):
                word = bucket[place]
                if word >> 48 == tag and word != 0 and equals(record_of(word), key, length):
                    return bucket + place
                if word == 0:
                    return cython.NULL
            at += 1
            if at == count:
                at = 0
        return cython.NULL

    @cython.cfunc
    def find(self, key: bytes, slot: cython.Py_ssize_t) -> Record:
        home: SlotPointer = self.slots + slot
        if home.count == 0:
            return cython.NULL
        code: uint64_t = cython.cast(uint64_t, hash(key))
        self.code = code
        self.spot = self._locate(self._part(home, code), code, PyBytes_AS_STRING(key), len(key))
        return cython.NULL if self.spot == cython.NULL else record_of(self.spot[0])

    @cython.cfunc
    def find_ident(self, ident: uint64_t) -> Found:
        """The record of a slot and the first 34 bits of a key's hash; NULL if there is none."""
        home: SlotPointer = self.slots + (ident >> 34)
        code: uint64_t = ident << 30
        if home.count == 0:
            return cython.NULL
        part: PartPointer = self._part(home, code)
        count: cython.Py_ssize_t = part.buckets
        at: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, ((code >> 48) * part.buckets) >> 16)
        bucket: Spot
        place: cython.int
        for _ in range(count):
            bucket = part.words + at * WIDTH
            for place in range(WIDTH):
                if bucket[place] == 0:
                    return cython.NULL
                if bucket[place] >> 48 == code >> 48 and self._code(record_of(bucket[place])) >> 30 == code >> 30:
                    self.spot = bucket + place
                    return record_of(bucket[place])
            at += 1
            if at == count:
                at = 0
        return cython.NULL

    @cython.cfunc
    @cython.exceptval(check=False)
    def find_marked(self, handle: uint64_t, mark: uint64_t) -> Found:
        """The record that had this handle when it was drawn and was marked so, if it is still there; else NULL.

        No key is read, nor is what the handle points to unless a word says that it is there. So a record that has moved
        is not found; and one that came to stand in the place of another is taken for it if it has its slot and the same
        16 bits of its hash.
        """
        home: SlotPointer = self.slots + (mark >> 48)
        code: uint64_t = mark << 16
        if home.count == 0:
            return cython.NULL
        part: PartPointer = self._part(home, code)
        count: cython.Py_ssize_t = part.buckets
        at: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, ((code >> 48) * part.buckets) >> 16)
        word: uint64_t = code >> 48 << 48 | handle
        bucket: Spot
        place: cython.int
        for _ in range(count):
            bucket = part.words + at * WIDTH
            for place in range(WIDTH):
                if bucket[place] & ~cython.cast(uint64_t, 15) == word:
                    self.spot = bucket + place
                    return record_of(word)
                if bucket[place] == 0:
                    return cython.NULL
            at += 1
            if at == count:
                at = 0
        return cython.NULL

    @cython.cfunc
    @cython.exceptval(check=False)
    def mark_of(self, record: Record, slot: cython.Py_ssize_t) -> uint64_t:
        """Where to look for a record: its slot, and the first 48 bits of its key's hash."""
        mark: uint64_t = cython.cast(uint64_t, slot) << 48 | self._code(record) >> 16
        return mark

    @cython.cfunc
    @cython.exceptval(check=False)
    def mark_of_ident(self, ident: uint64_t) -> uint64_t:
        """The same of what `find_ident` takes, whose hash is shorter: it serves in slots of up to 2^18 parts."""
        mark: uint64_t = ident >> 34 << 48 | (ident & ((cython.cast(uint64_t, 1) << 34) - 1)) << 14
        return mark

    @cython.cfunc
    @cython.exceptval(check=False)
    def slot_of(self, mark: uint64_t) -> cython.Py_ssize_t:
        slot: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, mark >> 48)
        return slot

    @cython.cfunc
    @cython.exceptval(check=False)
    def handle_of(self, record: Record) -> uint64_t:
        """A number for a record as long as it stays where it is."""
        handle: uint64_t = cython.cast(uint64_t, record)
        return handle

    @cython.cfunc
    @cython.exceptval(check=False)
    def record_at(self, handle: uint64_t) -> Record:
        return cython.cast(Record, handle)

    @cython.cfunc
    def _spot_of(self, record: Record, slot: cython.Py_ssize_t) -> Spot:
        """Where a record's word stands; most often `find` was there last."""
        if self.spot != cython.NULL and record_of(self.spot[0]) == record:
            return self.spot
        code: uint64_t = self._code(record)
        self.spot = self._locate(self._part(self.slots + slot, code), code, key_start(record), key_length(record))
        return self.spot

    @cython.cfunc
    @cython.exceptval(check=False)
    def _code(self, record: Record) -> uint64_t:
        """The hash of a record's key, as that of a `bytes` would be, but none is made."""
        code: uint64_t = cython.cast(uint64_t, hash_bytes(key_start(record), key_length(record)))
        return code

    # Buckets

    @cython.cfunc
    @cython.exceptval(check=False)
    def _place(self, part: PartPointer, word: uint64_t) -> cython.void:
        """Put a word into the first bucket from its own on that has room. There is room in the part."""
        at: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, ((word >> 48) * part.buckets) >> 16)
        bucket: Spot = part.words + at * WIDTH
        place: cython.int = 0
        while bucket[WIDTH - 1] != 0:
            at += 1
            if at == part.buckets:
                at = 0
            bucket = part.words + at * WIDTH
        while bucket[place] != 0:
            place += 1
        bucket[place] = word

    @cython.cfunc
    @cython.exceptval(check=False)
    def _erase(self, part: PartPointer, spot: Spot) -> cython.void:
        """Take a word out. What had spilled over its bucket, if that was full, comes back."""
        count: cython.Py_ssize_t = part.buckets
        hole: cython.Py_ssize_t = (spot - part.words) // WIDTH
        at: cython.Py_ssize_t = hole
        bucket: Spot = part.words + hole * WIDTH
        place: cython.int
        home: cython.Py_ssize_t
        self.spot = cython.NULL
        part.count -= 1
        if not take_out(bucket, cython.cast(cython.int, spot - bucket)):
            return
        for _ in range(count - 1):
            at += 1
            if at == count:
                at = 0
            bucket = part.words + at * WIDTH
            was_full: cython.bint = bucket[WIDTH - 1] != 0
            for place in range(WIDTH):
                if bucket[place] == 0:
                    break
                home = cython.cast(cython.Py_ssize_t, ((bucket[place] >> 48) * part.buckets) >> 16)
                if around(at - home, count) >= around(at - hole, count):
                    part.words[hole * WIDTH + WIDTH - 1] = bucket[place]
                    take_out(bucket, place)
                    hole = at
                    break
            if not was_full:
                return

    @cython.cfunc
    def _resize(self, part: PartPointer, buckets: cython.Py_ssize_t) -> cython.int:
        """Move all words of a part into so many buckets."""
        words: Spot = cython.cast(Spot, self._allocate(buckets * WIDTH * 8))
        if words == cython.NULL:
            raise MemoryError
        memset(words, 0, buckets * WIDTH * 8)
        old: Spot = part.words
        count: cython.Py_ssize_t = part.buckets * WIDTH
        index: cython.Py_ssize_t
        part.words = words
        part.buckets = cython.cast(uint16_t, buckets)
        self.structure += block(buckets * WIDTH * 8)
        self.spot = cython.NULL
        if old != cython.NULL:
            for index in range(count):
                if old[index] != 0:
                    self._place(part, old[index])
            self.structure -= block(count * 8)
            PyMem_Free(old)
        return 0

    @cython.cfunc
    def _make_room(self, home: SlotPointer, part: PartPointer, code: uint64_t) -> cython.int:
        """Let there be room for one more in the part of a key: it grows by an eighth, or is split."""
        while part.count + 1 > cython.cast(uint32_t, part.buckets) * (WIDTH - 1):
            if part.buckets < MOST_BUCKETS or part.depth >= MOST_DEPTH:
                self._resize(part, part.buckets + (part.buckets >> 3) + 1)
            else:
                self._split(home, part, code)
                part = self._part(home, code)
        return 0

    @cython.cfunc
    def _split(self, home: SlotPointer, part: PartPointer, code: uint64_t) -> cython.int:
        """Divide a part in two by one more bit of the hash. O(MOST_BUCKETS)."""
        sides = cython.declare(Sides)
        counts = cython.declare(Counts)
        total: cython.Py_ssize_t = part.buckets * WIDTH
        index: cython.Py_ssize_t
        side: cython.int
        depth: cython.int = part.depth
        counts[0] = counts[1] = 0
        for index in range(total):
            if part.words[index] != 0:
                side = (self._code(record_of(part.words[index])) >> (47 - depth)) & 1
                sides[index] = side
                counts[side] += 1
        left: PartPointer = self._new_part(counts[0], depth + 1)
        right: PartPointer = self._new_part(counts[1], depth + 1)
        parts: PartsPointer = cython.NULL
        if home.depth == depth:
            parts = cython.cast(PartsPointer, self._allocate((2 << depth) * 8))
        if left == cython.NULL or right == cython.NULL or (home.depth == depth and parts == cython.NULL):
            self._drop_part(left)
            self._drop_part(right)
            PyMem_Free(parts)
            raise MemoryError
        for index in range(total):
            if part.words[index] != 0:
                self._place(right if sides[index] else left, part.words[index])
        left.count, right.count = counts[0], counts[1]
        if parts != cython.NULL:
            self._deepen(home, parts)
        self._put_halves(home, code, left, right)
        if depth == 0:
            self._drop_words(part)
        else:
            self._drop_part(part)
        return 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def _new_part(self, count: cython.Py_ssize_t, depth: cython.int) -> PartPointer:
        """An empty one for so many keys; NULL if there is no memory."""
        part: PartPointer = cython.cast(PartPointer, self._allocate(cython.sizeof(Part)))
        if part == cython.NULL:
            return part
        self.structure += block(cython.sizeof(Part))
        memset(part, 0, cython.sizeof(Part))
        part.depth = cython.cast(uint8_t, depth)
        try:
            self._resize(part, count // 6 + 1)
        except MemoryError:
            self._drop_part(part)
            return cython.NULL
        return part

    @cython.cfunc
    @cython.exceptval(check=False)
    def _drop_words(self, part: PartPointer) -> cython.void:
        if part.words != cython.NULL:
            self.structure -= block(cython.cast(cython.Py_ssize_t, part.buckets) * WIDTH * 8)
            PyMem_Free(part.words)
        part.words = cython.NULL
        part.buckets = 0
        part.count = 0
        self.spot = cython.NULL

    @cython.cfunc
    @cython.exceptval(check=False)
    def _drop_part(self, part: PartPointer) -> cython.void:
        if part != cython.NULL:
            self._drop_words(part)
            self.structure -= block(cython.sizeof(Part))
            PyMem_Free(part)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _deepen(self, home: SlotPointer, parts: PartsPointer) -> cython.void:
        """Give a slot a directory of twice the size, in which each two entries stand for the one that was."""
        size: cython.Py_ssize_t = (1 << home.depth) if home.parts != cython.NULL else 0
        index: cython.Py_ssize_t
        for index in range(size):
            parts[2 * index] = parts[2 * index + 1] = home.parts[index]
        if home.parts != cython.NULL:
            self.structure -= block(size * 8)
            PyMem_Free(home.parts)
        home.parts = parts
        home.depth += 1
        self.structure += block((1 << home.depth) * 8)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _put_halves(self, home: SlotPointer, code: uint64_t, left: PartPointer, right: PartPointer) -> cython.void:
        """Where the directory had a part with a key of this hash, let it have its two halves."""
        half: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, 1) << (home.depth - left.depth)
        first: cython.Py_ssize_t = cython.cast(uint32_t, code >> 16) >> (32 - home.depth)
        index: cython.Py_ssize_t
        first = first & ~(2 * half - 1)
        for index in range(half):
            home.parts[first + index] = left
            home.parts[first + half + index] = right

    @cython.cfunc
    @cython.exceptval(check=False)
    def _shrink(self, home: SlotPointer, part: PartPointer) -> cython.void:
        """Behind removals: give back what a part, or a whole slot, needs no more. Never fails."""
        if home.count == 0 or (home.depth > 0 and home.count < COLLAPSED):
            self._collapse(home)
        elif part.count < cython.cast(uint32_t, part.buckets) * 3 and part.buckets > 1:
            with contextlib.suppress(MemoryError):
                self._resize(part, part.count // 6 + 1)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _collapse(self, home: SlotPointer) -> cython.void:
        """Let a slot with few keys be one part again, or none."""
        whole = cython.declare(Part)
        memset(cython.address(whole), 0, cython.sizeof(Part))
        part: PartPointer
        index: cython.Py_ssize_t
        if home.count > 0:
            try:
                self._resize(cython.address(whole), home.count // 6 + 1)
            except MemoryError:
                return
        if home.depth == 0:
            self._drop_words(cython.address(home.whole))
        for index in range((1 << home.depth) if home.depth else 0):
            part = home.parts[index]
            if index + 1 < (1 << home.depth) and home.parts[index + 1] == part:
                continue
            for place in range(part.buckets * WIDTH):
                if part.words[place] != 0:
                    self._place(cython.address(whole), part.words[place])
            self._drop_part(part)
        if home.parts != cython.NULL:
            self.structure -= block((1 << home.depth) * 8)
            PyMem_Free(home.parts)
            home.parts = cython.NULL
        home.depth = 0
        whole.count = home.count
        home.whole = whole

    # Records

    @cython.cfunc
    @cython.exceptval(check=False)
    def _allocate(self, size: cython.size_t) -> cython.p_void:
        global failing
        if failing > 0:
            failing -= 1
            if failing == 0:
                return cython.NULL
        return PyMem_Malloc(room(size))

    @cython.cfunc
    def _make(
        self,
        key: cython.p_const_char,
        length: cython.Py_ssize_t,
        value: object,
        expires_at: cython.longlong,
        listed: cython.bint,
    ) -> Record:
        """A record with a key, a value and perhaps an expiry; the other fields are the caller's to fill."""
        number = cython.declare(int64_t, 0)
        text: cython.p_const_char = cython.NULL
        text_length: cython.Py_ssize_t = 0
        memory: cython.longlong = 0
        flags: cython.int = OBJECT
        if type(value) is bytes:
            text = PyBytes_AS_STRING(value)
            text_length = len(cython.cast(bytes, value))
            if reads_as_integer(text, text_length, cython.address(number)):
                flags = INTEGER
                text_length = 0
            elif HEADER + length + text_length <= EMBEDDED:
                flags = TEXT
        elif type(value) is FloatText and HEADER + length + len(value) <= EMBEDDED:
            text = PyBytes_AS_STRING(value)
            text_length = len(value)
            flags = TEXT | FLOAT
        if flags == OBJECT:
            text_length = 0
            memory = object_memory(value)
        if expires_at >= 0:
            flags |= VOLATILE
        if length > 0xFFFF:
            flags |= LONG_KEY
        if listed:
            flags |= LISTED
        size: cython.Py_ssize_t = HEADER + (8 if expires_at >= 0 else 0) + (8 if listed else 0)
        size += words_behind(flags) + length + text_length
        record: Record = cython.cast(Record, self._allocate(size))
        if record == cython.NULL:
            raise MemoryError
        record.flags = cython.cast(uint8_t, flags)
        record.state = 0
        record.space = 0
        record.key_length = cython.cast(uint16_t, length if length <= 0xFFFF else 0)
        record.text_length = cython.cast(uint16_t, text_length)
        place: cython.p_char = cython.cast(cython.p_char, record) + HEADER
        if expires_at >= 0:
            cython.cast(cython.pointer(int64_t), place)[0] = expires_at
        place = behind_header(record)
        if flags & KIND == INTEGER:
            cython.cast(cython.pointer(int64_t), place)[0] = number
        elif flags & KIND == OBJECT:
            Py_INCREF(value)
            cython.cast(ObjectPointer, place)[0] = cython.cast(cython.pointer(PyObject), value)
            cython.cast(cython.pointer(int64_t), place)[1] = memory
        place = key_start(record)
        if flags & LONG_KEY:
            cython.cast(cython.pointer(int64_t), place - 8)[0] = length
        memcpy(place, key, length)
        if text_length > 0:
            memcpy(place + length, text, text_length)
        return record

    @cython.cfunc
    def _free(self, record: Record) -> object:
        """Give a record's memory back; the object that it owned, if it did, is the caller's now."""
        value: object = None
        if record.flags & KIND == OBJECT:
            value = cython.cast(object, cython.cast(ObjectPointer, behind_header(record))[0])
            Py_DECREF(value)
        PyMem_Free(record)
        return value

    @cython.cfunc
    @cython.exceptval(check=False)
    def memory(self, record: Record) -> cython.longlong:
        """The bytes of a record and of the object that it owns, as they are counted."""
        size: cython.longlong = block(record_size(record))
        if record.flags & KIND == OBJECT:
            size += cython.cast(cython.pointer(int64_t), behind_header(record))[1]
        return size

    @cython.cfunc
    def key(self, record: Record) -> bytes:
        key: bytes = PyBytes_FromStringAndSize(key_start(record), key_length(record))
        return key

    @cython.cfunc
    def value(self, record: Record) -> object:
        kind: cython.int = record.flags & KIND
        if kind == TEXT:
            text = PyBytes_FromStringAndSize(key_start(record) + key_length(record), record.text_length)
            return FloatText(text) if record.flags & FLOAT else text
        if kind == INTEGER:
            return integer_text(cython.cast(cython.pointer(int64_t), behind_header(record))[0])
        return cython.cast(object, cython.cast(ObjectPointer, behind_header(record))[0])

    @cython.cfunc
    def plus(self, record: Record, number: int64_t) -> object:
        """The sum of a number and the integer that a record holds, which becomes the record's value; None if the record
        holds no integer, or the sum has more than 64 bits."""
        if record.flags & KIND != INTEGER:
            return None
        held: IntegerPointer = cython.cast(IntegerPointer, behind_header(record))
        total: int64_t = cython.cast(int64_t, cython.cast(uint64_t, held[0]) + cython.cast(uint64_t, number))
        if (number >= 0) != (total >= held[0]):
            return None
        held[0] = total
        return total

    @cython.cfunc
    @cython.exceptval(check=False)
    def expiry(self, record: Record) -> cython.longlong:
        """Unix milliseconds, or -1."""
        if record.flags & VOLATILE:
            return cython.cast(cython.pointer(int64_t), cython.cast(cython.p_char, record) + HEADER)[0]
        return -1

    @cython.cfunc
    @cython.exceptval(check=False)
    def space_of(self, record: Record) -> SpacePointer:
        """The account of a record: its namespace's, or the first one as long as it is not labelled anew."""
        if record.flags & GENERATION == self.generation:
            return self.spaces + record.space + 1
        return self.spaces

    @cython.cfunc
    @cython.exceptval(check=False)
    def number_of(self, record: Record) -> cython.Py_ssize_t:
        """Of a record's namespace; 0 as long as it is not labelled anew."""
        return record.space if record.flags & GENERATION == self.generation else 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def count_bytes(self, home: SlotPointer, record: Record, change: cython.longlong) -> cython.void:
        home.used += change
        self.used += change
        self.space_of(record).used += change

    @cython.cfunc
    @cython.exceptval(check=False)
    def _count_volatile(
        self, home: SlotPointer, slot: cython.Py_ssize_t, was: cython.int, at: cython.longlong
    ) -> cython.void:
        """Behind a change of a record's expiry: `was` are its flags before, `at` is what it has now."""
        change: cython.int = (1 if at >= 0 else 0) - (1 if was & VOLATILE else 0)
        due: uint32_t = seconds_of(at)
        if at >= 0 and (home.volatile_count == 0 or due < home.next_due):
            home.next_due = due
        if change != 0:
            home.volatile_count += change
            self.volatile += change
            self.group_volatiles[slot // GROUP_SIZE] += change

    @cython.cfunc
    def add(
        self,
        key: bytes,
        slot: cython.Py_ssize_t,
        value: object,
        at: cython.longlong,
        space: cython.Py_ssize_t,
        used_at: uint32_t,
        created_at: uint32_t,
    ) -> Record:
        """Store a value, with an expiry unless `at` is -1, under a key of a namespace that is not there.

        Raises `MemoryError`, and nothing has changed then.
        """
        code: uint64_t = cython.cast(uint64_t, hash(key))
        home: SlotPointer = self.slots + slot
        self.code = code
        account: SpacePointer = self.spaces + space + 1
        self._make_room(home, self._part(home, code), code)
        if account.is_listed:
            self._room_to_list(account)
        record: Record = self._make(PyBytes_AS_STRING(key), len(key), value, at, account.is_listed)
        record.flags |= self.generation
        record.space = cython.cast(uint16_t, space)
        record.used_at = used_at
        record.created_at = created_at
        part: PartPointer = self._part(home, code)
        self._place(part, (code >> 48 << 48) | cython.cast(uint64_t, record) | (1 if at >= 0 else 0))
        part.count += 1
        home.count += 1
        self.spot = cython.NULL
        self.size += 1
        self.group_sizes[slot // GROUP_SIZE] += 1
        self._count_volatile(home, slot, 0, at)
        self.count_bytes(home, record, self.memory(record))
        account.keys += 1
        if account.is_listed:
            self._enlist(account, record)
        return record

    @cython.cfunc
    def assign(self, record: Record, slot: cython.Py_ssize_t, value: object, at: cython.longlong) -> Record:
        """Give a record another value and expiry (`KEEP`: the one it has; -1: none); all else stays.

        The object that it owned before is put into `trash` unless it is the same. Raises `MemoryError`, and nothing has
        changed then.
        """
        home: SlotPointer = self.slots + slot
        if at == KEEP or (at < 0 and not record.flags & VOLATILE):
            if type(value) is bytes and self._assign_in_place(record, value):
                return record
            if record.flags & KIND == OBJECT and self.value(record) is value:
                self.recount(record, slot, object_memory(value))
                return record
        if at == KEEP:
            at = self.expiry(record)
        new: Record = self._make(key_start(record), key_length(record), value, at, record.flags & LISTED)
        new.used_at = record.used_at
        new.created_at = record.created_at
        new.state = record.state
        new.space = record.space
        new.flags |= record.flags & GENERATION
        if self._is_in_list(new):
            list_place(new)[0] = list_place(record)[0]
            self.space_of(new).listed[list_place(new)[0]] = new
        spot: Spot = self._spot_of(record, slot)
        spot[0] = (spot[0] >> 48 << 48) | cython.cast(uint64_t, new) | (1 if at >= 0 else 0)
        self._count_volatile(home, slot, record.flags, at)
        self.count_bytes(home, new, self.memory(new) - self.memory(record))
        old: object = self._free(record)
        if old is not None and old is not value:
            self.trash.append(old)
        return new

    @cython.cfunc
    @cython.exceptval(check=False)
    def _assign_in_place(self, record: Record, value: bytes) -> cython.bint:
        """Whether a text or an integer could be put where one of its size was."""
        number = cython.declare(int64_t, 0)
        length: cython.Py_ssize_t = len(value)
        kind: cython.int = record.flags & (KIND | FLOAT)
        size: cython.Py_ssize_t
        if kind > INTEGER or length >= EMBEDDED:
            return False
        is_integer: cython.bint = reads_as_integer(PyBytes_AS_STRING(value), length, cython.address(number))
        if is_integer != (kind == INTEGER):
            return False
        if is_integer:
            cython.cast(cython.pointer(int64_t), behind_header(record))[0] = number
            return True
        size = record_size(record)
        if block(size - record.text_length + length) != block(size):
            return False
        memcpy(key_start(record) + key_length(record), PyBytes_AS_STRING(value), length)
        record.text_length = cython.cast(uint16_t, length)
        return True

    @cython.cfunc
    @cython.exceptval(check=False)
    def recount(self, record: Record, slot: cython.Py_ssize_t, memory: cython.longlong) -> cython.void:
        """Count the memory of a record's object anew."""
        counted: IntegerPointer = cython.cast(cython.pointer(int64_t), behind_header(record)) + 1
        self.count_bytes(self.slots + slot, record, memory - counted[0])
        counted[0] = memory

    @cython.cfunc
    def set_expiry(self, record: Record, slot: cython.Py_ssize_t, at: cython.longlong) -> Record:
        """Give a record an expiry, or with -1 none. Raises `MemoryError`, and nothing has changed then."""
        home: SlotPointer = self.slots + slot
        was: cython.int = record.flags
        if at < 0 and not was & VOLATILE:
            return record
        if at >= 0 and was & VOLATILE:
            cython.cast(cython.pointer(int64_t), cython.cast(cython.p_char, record) + HEADER)[0] = at
        else:
            spot: Spot = self._spot_of(record, slot)
            record = self._with_or_without_expiry(record, home, at)
            spot[0] = (spot[0] >> 48 << 48) | cython.cast(uint64_t, record) | (1 if at >= 0 else 0)
        self._count_volatile(home, slot, was, at)
        return record

    @cython.cfunc
    def _with_or_without_expiry(self, record: Record, home: SlotPointer, at: cython.longlong) -> Record:
        """A copy in the place of a record, 8 bytes longer or shorter; an object goes along."""
        size: cython.Py_ssize_t = record_size(record)
        head: cython.Py_ssize_t = HEADER + 8 if record.flags & VOLATILE else HEADER
        new_head: cython.Py_ssize_t = HEADER + (8 if at >= 0 else 0)
        new: Record = cython.cast(Record, self._allocate(size - head + new_head))
        if new == cython.NULL:
            raise MemoryError
        memcpy(new, record, HEADER)
        memcpy(cython.cast(cython.p_char, new) + new_head, cython.cast(cython.p_char, record) + head, size - head)
        new.flags = cython.cast(uint8_t, (record.flags & ~VOLATILE) | (VOLATILE if at >= 0 else 0))
        if at >= 0:
            cython.cast(cython.pointer(int64_t), cython.cast(cython.p_char, new) + HEADER)[0] = at
        if self._is_in_list(new):
            self.space_of(new).listed[list_place(new)[0]] = new
        self.count_bytes(home, new, block(size - head + new_head) - block(size))
        PyMem_Free(record)
        return new

    @cython.cfunc
    def remove(self, record: Record, slot: cython.Py_ssize_t) -> object:
        """Take a record out and free it; the object that it owned, or None."""
        home: SlotPointer = self.slots + slot
        spot: Spot = self._spot_of(record, slot)
        part: PartPointer = cython.address(home.whole)
        if home.depth > 0:
            part = self._part(home, self._code(record))
        value: object = self._take(home, part, spot, slot)
        self._shrink(home, part)
        return value

    @cython.cfunc
    def _take(self, home: SlotPointer, part: PartPointer, spot: Spot, slot: cython.Py_ssize_t) -> object:
        """As `remove`, but buckets stay as many as they are."""
        record: Record = record_of(spot[0])
        self._erase(part, spot)
        home.count -= 1
        self.size -= 1
        self.group_sizes[slot // GROUP_SIZE] -= 1
        if record.flags & VOLATILE:
            home.volatile_count -= 1
            self.volatile -= 1
            self.group_volatiles[slot // GROUP_SIZE] -= 1
        self.count_bytes(home, record, -self.memory(record))
        self.space_of(record).keys -= 1
        if self._is_in_list(record):
            self._delist(record)
        return self._free(record)

    # Namespaces

    @cython.cfunc
    def _room_to_list(self, space: SpacePointer) -> cython.int:
        """Let there be room for one more record in a namespace's list, which grows by an eighth."""
        capacity: cython.Py_ssize_t = space.count + (space.count >> 3) + 8
        if space.count < space.capacity:
            return 0
        listed: RecordPointer = cython.cast(RecordPointer, self._allocate(capacity * 8))
        if listed == cython.NULL:
            raise MemoryError
        if space.listed != cython.NULL:
            memcpy(listed, space.listed, space.count * 8)
            self.structure -= block(cython.cast(cython.Py_ssize_t, space.capacity) * 8)
            PyMem_Free(space.listed)
        space.listed = listed
        space.capacity = cython.cast(uint32_t, capacity)
        self.structure += block(capacity * 8)
        return 0

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def _is_in_list(self, record: Record) -> cython.bint:
        """Not so before it is labelled, even if it has room for a place."""
        return record.flags & LISTED != 0 and record.flags & GENERATION == self.generation

    @cython.cfunc
    @cython.exceptval(check=False)
    def _enlist(self, space: SpacePointer, record: Record) -> cython.void:
        list_place(record)[0] = space.count
        space.listed[space.count] = record
        space.count += 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def _delist(self, record: Record) -> cython.void:
        """The last one of the list takes the place."""
        space: SpacePointer = self.space_of(record)
        place: cython.Py_ssize_t = list_place(record)[0]
        space.count -= 1
        space.listed[place] = space.listed[space.count]
        list_place(space.listed[place])[0] = place

    @cython.cfunc
    @cython.exceptval(check=False)
    def _free_spaces(self) -> cython.void:
        index: cython.Py_ssize_t
        if self.spaces == cython.NULL:
            return
        for index in range(self.space_count + 1):
            if self.spaces[index].listed != cython.NULL:
                self.structure -= block(cython.cast(cython.Py_ssize_t, self.spaces[index].capacity) * 8)
                PyMem_Free(self.spaces[index].listed)
        PyMem_Free(self.spaces)
        self.spaces = cython.NULL

    def set_spaces(self, listed: Any) -> object:
        """Begin to count by other namespaces: for each, from number 0 on, whether its records are listed, so that one
        can be chosen at random.

        No record is labelled then: `gather` with `LABEL` does that in steps, and must have come to its end before
        namespaces change again. Figures begin at 0. O(namespaces).
        """
        spaces = cython.cast(SpacePointer, PyMem_Calloc(len(listed) + 1, cython.sizeof(Space)))
        if spaces == cython.NULL:
            raise MemoryError
        index: cython.Py_ssize_t
        for index in range(len(listed)):
            spaces[index + 1].is_listed = 1 if listed[index] else 0
        self._free_spaces()
        spaces[0].keys = self.size
        spaces[0].used = self.used
        self.spaces = spaces
        self.space_count = len(listed)
        self.generation = self.generation ^ GENERATION
        return None

    @cython.cfunc
    def _relabel(self, home: SlotPointer, spot: Spot) -> cython.int:
        """Count a record to the namespace that its key belongs to now."""
        record: Record = record_of(spot[0])
        if record.flags & GENERATION == self.generation:
            return 0
        number: cython.int = self.labels.match_at(
            cython.cast(cython.p_const_uchar, key_start(record)), key_length(record)
        )
        account: SpacePointer = self.spaces + number + 1
        before: cython.longlong = self.memory(record)
        if account.is_listed:
            self._room_to_list(account)
        if account.is_listed != (1 if record.flags & LISTED else 0):
            record = self._with_or_without_place(record, account.is_listed)
            spot[0] = (spot[0] >> 48 << 48) | (spot[0] & 15) | cython.cast(uint64_t, record)
            home.used += self.memory(record) - before
            self.used += self.memory(record) - before
        record.flags = record.flags ^ GENERATION
        record.space = cython.cast(uint16_t, number)
        self.spaces.keys -= 1
        self.spaces.used -= before
        account.keys += 1
        account.used += self.memory(record)
        if account.is_listed:
            self._enlist(account, record)
        return 0

    @cython.cfunc
    def _with_or_without_place(self, record: Record, listed: cython.bint) -> Record:
        """A copy of a record, 8 bytes longer or shorter; an object goes along."""
        size: cython.Py_ssize_t = record_size(record)
        head: cython.Py_ssize_t = HEADER + 8 if record.flags & VOLATILE else HEADER
        tail: cython.p_char = behind_header(record)
        length: cython.Py_ssize_t = cython.cast(cython.p_char, record) + size - tail
        new: Record = cython.cast(Record, self._allocate(head + (8 if listed else 0) + length))
        if new == cython.NULL:
            raise MemoryError
        memcpy(new, record, head)
        new.flags = new.flags ^ LISTED
        memcpy(behind_header(new), tail, length)
        self.spot = cython.NULL
        PyMem_Free(record)
        return new

    def space_figures(self) -> object:
        """Of each namespace, from number 0 on: keys, bytes, hits, misses, evicted and expired keys.

        Records that are not labelled yet count to number 0.
        """
        figures = []
        index: cython.Py_ssize_t
        for index in range(1, self.space_count + 1):
            space: SpacePointer = self.spaces + index
            figures.append((space.keys, space.used, space.hits, space.misses, space.evicted, space.expired))
        if self.spaces.keys:
            keys, used, *rest = figures[0]
            figures[0] = (keys + self.spaces.keys, used + self.spaces.used, *rest)
        return figures

    def reset_figures(self) -> object:
        """Count hits, misses, evicted and expired keys from 0 again."""
        index: cython.Py_ssize_t
        for index in range(self.space_count + 1):
            self.spaces[index].hits = self.spaces[index].misses = 0
            self.spaces[index].evicted = self.spaces[index].expired = 0
        return None

    @cython.cfunc
    @cython.exceptval(check=False)
    def nothing(self) -> Found:
        """No record."""
        return cython.NULL

    @cython.cfunc
    @cython.exceptval(check=False)
    def hit(self, record: Record) -> cython.void:
        self.space_of(record).hits += 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def miss(self, space: cython.Py_ssize_t) -> cython.void:
        self.spaces[space + 1].misses += 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def expired(self, record: Record) -> cython.void:
        self.space_of(record).expired += 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def evicted(self, record: Record) -> cython.void:
        self.space_of(record).evicted += 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def space_keys(self, space: cython.Py_ssize_t) -> cython.longlong:
        return self.spaces[space + 1].keys

    def space_used(self, space: cython.Py_ssize_t) -> cython.longlong:
        """The bytes of a namespace."""
        return self.spaces[space + 1].used

    @cython.cfunc
    @cython.exceptval(check=False)
    def sample_space(self, number: cython.Py_ssize_t) -> Record:
        """A record of a namespace whose records are listed, each as likely as any other; NULL if it has none."""
        space: SpacePointer = self.spaces + number + 1
        if space.count == 0:
            return cython.NULL
        return space.listed[((self._next_random() >> 32) * space.count) >> 32]

    # Expiry

    @cython.cfunc
    def sweep(self, limit: cython.Py_ssize_t, now_ms: cython.longlong, removed: Any, hidden: Any) -> cython.longlong:
        """Remove records whose time has come, beginning where the last sweep ended, until about `limit` records with
        an expiry were looked at or every slot was; how many were looked at.

        The keys are put into `removed` unless that is None, objects into `trash`; `swept` counts the records. Slots
        in which nothing can be due are passed over by a look at one number, `hidden` ones as well.
        O(limit) + O(SLOTS).
        """
        looked: cython.longlong = 0
        now: uint32_t = seconds_of(now_ms)
        home: SlotPointer
        part: PartPointer
        for _ in range(SLOTS):
            home = self.slots + self.sweep_slot
            while home.volatile_count > 0 and (self.sweep_part > 0 or home.next_due <= now):
                if looked >= limit:
                    return looked
                if hidden and self.sweep_slot in hidden:
                    break
                if self.sweep_part == 0:
                    self.sweep_due = NEVER
                part = home.parts[self.sweep_part] if home.depth > 0 else cython.address(home.whole)
                looked += self._sweep_part(home, part, now_ms, removed)
                if home.depth > 0:
                    self.sweep_part = self._next_part(home, self.sweep_part)
                    depth: cython.int = home.depth
                    self._shrink(home, part)
                    if home.depth == depth and self.sweep_part < (1 << depth):
                        continue
                else:
                    self._shrink(home, part)
                home.next_due = self.sweep_due
                break
            self.sweep_part = 0
            self.sweep_slot = (self.sweep_slot + 1) & (SLOTS - 1)
            if self.volatile == 0:
                break
        return looked

    @cython.cfunc
    @cython.exceptval(check=False)
    def _next_part(self, home: SlotPointer, index: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where in a directory the part behind that of an index begins."""
        span: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, 1) << (home.depth - home.parts[index].depth)
        return (index & ~(span - 1)) + span

    @cython.cfunc
    def _sweep_part(
        self, home: SlotPointer, part: PartPointer, now_ms: cython.longlong, removed: Any
    ) -> cython.longlong:
        looked: cython.longlong = 0
        index: cython.Py_ssize_t = 0
        total: cython.Py_ssize_t = part.buckets * WIDTH
        due: cython.longlong
        record: Record
        value: object
        while index < total:
            if part.words[index] & 1 == 0:
                index += 1
                continue
            looked += 1
            record = record_of(part.words[index])
            due = self.expiry(record)
            if due > now_ms:
                index += 1
                if seconds_of(due) < self.sweep_due:
                    self.sweep_due = seconds_of(due)
                continue
            if removed is not None:
                removed.append(self.key(record))
            self.space_of(record).expired += 1
            value = self._take(home, part, part.words + index, self.sweep_slot)
            if value is not None:
                self.trash.append(value)
            self.swept += 1
        return looked

    # Choosing at random

    @cython.cfunc
    @cython.exceptval(check=False)
    def _next_random(self) -> uint64_t:
        """xorshift64* (Vigna, 2016): good enough to choose keys by, and 2 ns."""
        state: uint64_t = self.random_state
        state ^= state >> 12
        state ^= state << 25
        state ^= state >> 27
        self.random_state = state
        state *= FACTOR
        return state

    @cython.cfunc
    @cython.exceptval(check=False)
    def chance(self) -> cython.double:
        """A random number from 0 to 1."""
        return cython.cast(cython.double, self._next_random() >> 11) / 9007199254740992.0

    @cython.cfunc
    @cython.exceptval(check=False)
    def _random_slot(self, volatile: cython.bint) -> cython.Py_ssize_t:
        """A slot, each as likely as it has keys (with an expiry). There is one. O(GROUPS + GROUP_SIZE)."""
        rest: cython.longlong = cython.cast(
            cython.longlong,
            ((self._next_random() >> 32) * cython.cast(uint64_t, self.volatile if volatile else self.size)) >> 32,
        )
        group: cython.Py_ssize_t = 0
        count: cython.longlong
        slot: cython.Py_ssize_t
        while group < GROUPS - 1:
            count = self.group_volatiles[group] if volatile else self.group_sizes[group]
            if rest < count:
                break
            rest -= count
            group += 1
        slot = group * GROUP_SIZE
        while slot < group * GROUP_SIZE + GROUP_SIZE - 1:
            count = self.slots[slot].volatile_count if volatile else self.slots[slot].count
            if rest < count:
                break
            rest -= count
            slot += 1
        return slot

    @cython.cfunc
    @cython.exceptval(check=False)
    def sample(self, volatile: cython.bint) -> Record:
        """A record chosen at random, each as likely as any other; of those with an expiry nearly so. NULL if there is
        none, or if those with an expiry are so few in a huge slot that none was found."""
        if (self.volatile if volatile else self.size) == 0:
            return cython.NULL
        self.sampled_slot = self._random_slot(volatile)
        home: SlotPointer = self.slots + self.sampled_slot
        part: PartPointer = cython.address(home.whole)
        chance: uint64_t
        index: cython.Py_ssize_t
        for _ in range(10000):
            chance = self._next_random()
            if home.depth > 0:
                index = cython.cast(cython.Py_ssize_t, (chance >> 20) & cython.cast(uint64_t, (1 << home.depth) - 1))
                part = home.parts[index]
                if volatile == 0 and index != (index >> (home.depth - part.depth)) << (home.depth - part.depth):
                    continue
            if volatile:
                index = self._volatile_from(part, cython.cast(cython.Py_ssize_t, (chance >> 44) * part.buckets >> 20))
                if index >= 0:
                    return record_of(part.words[index])
                continue
            # A place among those of the largest part: parts of fewer buckets are chosen less often.
            index = cython.cast(cython.Py_ssize_t, chance >> 44)
            index = index % ((MOST_BUCKETS + MOST_BUCKETS // 8 + 2) * WIDTH if home.depth > 0 else part.buckets * WIDTH)
            if index < part.buckets * WIDTH and part.words[index] != 0:
                return record_of(part.words[index])
        return cython.NULL

    @cython.cfunc
    @cython.exceptval(check=False)
    def _volatile_from(self, part: PartPointer, bucket: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The index of the first word of a record with an expiry from a bucket on; -1 if the part has none."""
        total: cython.Py_ssize_t = part.buckets * WIDTH
        index: cython.Py_ssize_t = bucket * WIDTH
        for _ in range(total):
            if part.words[index] & 1:
                return index
            index += 1
            if index == total:
                index = 0
        return -1

    @cython.cfunc
    @cython.exceptval(check=False)
    def draw(self, volatile: cython.bint, most: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Put so many records (at most `MOST_DRAWN`) chosen at random into `drawn`, and where each is to be found into
        `marks`; how many. O(most).

        For eviction: each record is nearly as likely to be drawn as any other, but not independently of its neighbours:
        from a place in a slot on, as many are taken as the part has, then from another. So they share the cache misses
        that finding slot and bucket takes. And of the first place, these and the records' own are over when they
        matter: places are chosen two draws ahead, and fetched meanwhile.
        """
        count: cython.Py_ssize_t
        aim: uint64_t = self.aims[0]
        if (self.volatile if volatile else self.size) == 0:
            return 0
        if most > MOST_DRAWN:
            most = MOST_DRAWN
        self.aims[0] = self.aims[1]
        self.aims[1] = self._aim(volatile)
        for count in range(self._collect(self.aims[0], volatile, 0, most)):
            prefetch(self.drawn[count])
        count = self._collect(aim, volatile, 0, most)
        for _ in range(most):
            if count >= most:
                break
            count = self._collect(self._aim(volatile), volatile, count, most)
        if count == 0:
            self.drawn[0] = self.sample(volatile)
            if self.drawn[0] != cython.NULL:
                self.marks[0] = self.mark_of(self.drawn[0], self.sampled_slot)
                count = 1
        return count

    @cython.cfunc
    @cython.exceptval(check=False)
    def _aim(self, volatile: cython.bint) -> uint64_t:
        """A place chosen at random, as a mark tells it, whose bucket is fetched. There are records (with an expiry)."""
        slot: uint64_t = cython.cast(uint64_t, self._random_slot(volatile))
        mark: uint64_t = slot << 48 | self._next_random() >> 16
        part: PartPointer = self._part(self.slots + slot, mark << 16)
        prefetch(part.words + (((mark >> 32 & 0xFFFF) * part.buckets) >> 16) * WIDTH)
        return mark

    @cython.cfunc
    @cython.exceptval(check=False)
    def _collect(
        self, aim: uint64_t, volatile: cython.bint, count: cython.Py_ssize_t, most: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Add those of one part from a place on to the `count` that were drawn; how many there are now."""
        home: SlotPointer = self.slots + (aim >> 48)
        if (home.volatile_count if volatile else home.count) == 0:
            return count
        part: PartPointer = self._part(home, aim << 16)
        total: cython.Py_ssize_t = part.buckets * WIDTH
        chance: uint64_t = aim << 16
        first: cython.Py_ssize_t = 0
        if total == 0:
            return count
        for _ in range(TRIES):
            first = cython.cast(cython.Py_ssize_t, (chance >> 48) * total >> 16)
            if part.words[first] != 0:
                break
            chance = chance * FACTOR  # what stands behind a gap should not be met more often
        index: cython.Py_ssize_t = first
        for _ in range(2):
            while index < total and count < most:
                word: uint64_t = part.words[index]
                if word & 1 if volatile else word != 0:
                    self.drawn[count] = record_of(word)
                    self.marks[count] = (aim & ~(cython.cast(uint64_t, 0xFFFF) << 32)) | word >> 48 << 32
                    count += 1
                index = index + 1 if word != 0 else (index | (WIDTH - 1)) + 1
            index, total = 0, first
        return count

    # Going through

    def gather(self, cursor: Any, count: cython.Py_ssize_t, what: cython.int, now_ms: cython.longlong) -> object:
        """The next about `count` records behind a cursor, and the cursor behind them; both ends are 0.

        What: `KEYS` gives keys, `LIVE` those that have not expired, `ROWS` key, value, expiry, `used_at` and
        `created_at` of these; `LABEL` counts each to its namespace, and gives the keys of those that were not so far,
        None for the others. A cursor is a slot and a place in the order of its keys' hashes, which no growing changes:
        whoever is there throughout is given at least once (as SCAN promises), and exactly once if the table did not
        change meanwhile. O(count), and O(SLOTS) for empty slots.
        """
        position: uint64_t = cursor
        slot: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, position & (SLOTS - 1))
        divided: cython.bint = (position >> 14) & 1
        tag: uint64_t = (position >> 15) & 0xFFFF
        prefix: uint64_t = position >> 31
        home: SlotPointer
        part: PartPointer
        at: cython.Py_ssize_t
        found: list[Any] = []
        while slot < SLOTS:
            home = self.slots + slot
            if home.depth == 0 and divided:
                tag = prefix = 0
            while home.count > 0:
                part = cython.address(home.whole)
                if home.depth > 0:
                    part = home.parts[prefix >> (32 - home.depth)]
                while tag < 0x10000 and part.buckets > 0:
                    if len(found) >= count:
                        return slot | ((1 if home.depth > 0 else 0) << 14) | tag << 15 | prefix << 31, found
                    at = cython.cast(cython.Py_ssize_t, tag * part.buckets >> 16)
                    self._gather_bucket(home, part, at, tag, found, what, now_ms)
                    tag = ((cython.cast(uint64_t, at + 1) << 16) + part.buckets - 1) // part.buckets
                tag = 0
                if home.depth == 0:
                    break
                prefix = ((prefix >> (32 - part.depth)) + 1) << (32 - part.depth)
                if prefix >> 32:
                    break
            slot += 1
            tag = prefix = 0
            divided = False
            if len(found) >= count:
                break
        return (slot if slot < SLOTS else 0), found

    @cython.cfunc
    def _gather_bucket(
        self,
        home: SlotPointer,
        part: PartPointer,
        first: cython.Py_ssize_t,
        tag: uint64_t,
        found: Any,
        what: cython.int,
        now_ms: cython.longlong,
    ) -> cython.int:
        """What belongs into a bucket, from a tag on, wherever it spilled to."""
        at: cython.Py_ssize_t = first
        bucket: Spot
        place: cython.int
        for _ in range(part.buckets):
            bucket = part.words + at * WIDTH
            for place in range(WIDTH):
                if bucket[place] == 0:
                    return 0
                if (
                    bucket[place] >> 48 >= tag
                    and cython.cast(cython.Py_ssize_t, ((bucket[place] >> 48) * part.buckets) >> 16) == first
                ):
                    self._gather(home, bucket + place, found, what, now_ms)
            at += 1
            if at == part.buckets:
                at = 0
        return 0

    @cython.cfunc
    def _gather(
        self, home: SlotPointer, spot: Spot, found: Any, what: cython.int, now_ms: cython.longlong
    ) -> cython.int:
        record: Record = record_of(spot[0])
        due: cython.longlong = self.expiry(record)
        if what in (LIVE, ROWS) and due >= 0 and due <= now_ms:
            return 0
        if what == LABEL:
            found.append(None if record.flags & GENERATION == self.generation else self.key(record))
            self._relabel(home, spot)
        elif what == ROWS:
            found.append((self.key(record), self.value(record), due, record.used_at, record.created_at))
        else:
            found.append(self.key(record))
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def walk(self, visitor: Visitor) -> cython.int:
        """Show every record, expired ones too, to somebody who changes nothing. No memory is written to, so that a
        forked child copies none. O(n)."""
        view = cython.declare(View)
        slot: cython.Py_ssize_t
        at: cython.Py_ssize_t
        index: cython.Py_ssize_t
        end: cython.Py_ssize_t
        for slot in range(SLOTS):
            home: SlotPointer = self.slots + slot
            index = 0
            while home.count > 0 and index < (1 << home.depth):
                part: PartPointer = home.parts[index] if home.depth > 0 else cython.address(home.whole)
                index = self._next_part(home, index) if home.depth > 0 else 1
                end = part.buckets * WIDTH
                for at in range(min(end, AHEAD)):
                    prefetch(record_of(part.words[at]))
                for at in range(end):
                    if at + AHEAD < end:
                        prefetch(record_of(part.words[at + AHEAD]))
                    if part.words[at] != 0:
                        self._view(record_of(part.words[at]), cython.address(view))
                        visitor.visit(cython.address(view))
        return 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def _view(self, record: Record, view: ViewPointer) -> cython.void:
        kind: cython.int = record.flags & KIND
        view.record = record
        view.key = cython.cast(cython.p_const_uchar, key_start(record))
        view.key_length = key_length(record)
        view.expires_at = self.expiry(record)
        view.text = cython.NULL
        view.value = cython.NULL
        view.is_number = kind == INTEGER
        if kind == TEXT:
            view.text = view.key + view.key_length
            view.text_length = record.text_length
        elif kind == INTEGER:
            view.number = cython.cast(cython.pointer(int64_t), behind_header(record))[0]
        else:
            view.value = cython.cast(ObjectPointer, behind_header(record))[0]

    def slot_figures(self, slot: cython.Py_ssize_t) -> object:
        """Keys of a slot, how many of them have an expiry, and the bytes that were counted for them."""
        home: SlotPointer = self.slots + slot
        return home.count, home.volatile_count, home.used

    # All at once

    def flush(self) -> object:
        """Let go of everything: what is returned holds it until its `shed` has freed it in steps."""
        remains = Table()
        remains.set_spaces([self.spaces[index + 1].is_listed for index in range(self.space_count)])
        remains.generation = self.generation
        self.swap(remains)
        return remains

    def swap(self, other: Table) -> object:
        """Exchange all records with another table that counts by the same namespaces."""
        self.slots, other.slots = other.slots, self.slots
        self.size, other.size = other.size, self.size
        self.volatile, other.volatile = other.volatile, self.volatile
        self.used, other.used = other.used, self.used
        self.structure, other.structure = other.structure, self.structure
        self.generation, other.generation = other.generation, self.generation
        self.spot = other.spot = cython.NULL
        index: cython.Py_ssize_t
        for index in range(GROUPS):
            self.group_sizes[index], other.group_sizes[index] = other.group_sizes[index], self.group_sizes[index]
            self.group_volatiles[index], other.group_volatiles[index] = (
                other.group_volatiles[index],
                self.group_volatiles[index],
            )
        for index in range(self.space_count + 1):
            swap_contents(self.spaces + index, other.spaces + index)
        return None

    def shed(self, count: cython.longlong) -> cython.longlong:
        """Free about so many records of a table that nobody uses any more; how many, empty slots included."""
        done: cython.longlong = 0
        home: SlotPointer
        part: PartPointer
        while self.shed_slot < SLOTS and done < count and self.size > 0:
            home = self.slots + self.shed_slot
            done += 1
            while home.count > 0 and done < count:
                part = home.parts[self.shed_part] if home.depth > 0 else cython.address(home.whole)
                done += self._shed_part(home, part)
            if home.count == 0:
                self._collapse(home)
                self.shed_slot += 1
                self.shed_part = 0
        return done

    @cython.cfunc
    def _shed_part(self, home: SlotPointer, part: PartPointer) -> cython.longlong:
        index: cython.Py_ssize_t
        value: object
        freed: cython.longlong = part.count
        for index in range(part.buckets * WIDTH):
            if part.words[index] != 0:
                value = self._free(record_of(part.words[index]))
                if value is not None:
                    self.trash.append(value)
        home.count -= part.count
        self.size -= freed
        if home.depth == 0:
            self._drop_words(part)
            return freed
        self.shed_part = self._next_part(home, self.shed_part)
        self._drop_words(part)
        return freed

    def take_trash(self) -> list[Any]:
        """The objects that records owned that went since the last call."""
        trash, self.trash = self.trash, []
        return trash

    def check(self) -> object:
        """Assert every invariant. O(n), for tests."""
        slot: cython.Py_ssize_t
        total: cython.longlong = 0
        volatile: cython.longlong = 0
        self.checked_used = self.checked_structure = 0
        for slot in range(SLOTS):
            home: SlotPointer = self.slots + slot
            total += home.count
            volatile += home.volatile_count
            if home.count > 0 or home.depth > 0 or home.whole.words != cython.NULL:
                self._check_slot(home)
        self._check_spaces()
        for slot in range(GROUPS):
            first: cython.Py_ssize_t = slot * GROUP_SIZE
            assert self.group_sizes[slot] == sum([self.slots[first + i].count for i in range(GROUP_SIZE)])
            assert self.group_volatiles[slot] == sum([self.slots[first + i].volatile_count for i in range(GROUP_SIZE)])
        assert total == self.size, (total, self.size)
        assert volatile == self.volatile, (volatile, self.volatile)
        assert self.checked_used == self.used, (self.checked_used, self.used)
        assert self.checked_structure == self.structure, (self.checked_structure, self.structure)
        return None

    @cython.cfunc
    def _check_spaces(self) -> cython.int:
        index: cython.Py_ssize_t
        place: cython.Py_ssize_t
        space: SpacePointer
        keys: cython.longlong = 0
        used: cython.longlong = 0
        for index in range(self.space_count + 1):
            space = self.spaces + index
            keys += space.keys
            used += space.used
            self.checked_structure += block(cython.cast(cython.Py_ssize_t, space.capacity) * 8)
            assert space.count == (space.keys if space.is_listed else 0), "a namespace's list is incomplete"
            for place in range(space.count):
                assert list_place(space.listed[place])[0] == place
                assert self.space_of(space.listed[place]) == space
        assert (keys, used) == (self.size, self.used), (keys, used, self.size, self.used)
        return 0

    @cython.cfunc
    def _check_slot(self, home: SlotPointer) -> cython.int:
        count: cython.Py_ssize_t = 0
        before: cython.longlong = self.checked_used
        self.checked_volatile = 0
        index: cython.Py_ssize_t = 0
        part: PartPointer
        if home.depth == 0:
            self._check_part(home, cython.address(home.whole))
            count = home.whole.count
        else:
            self.checked_structure += block((1 << home.depth) * 8)
        while home.depth > 0 and index < (1 << home.depth):
            part = home.parts[index]
            assert 0 < part.depth <= home.depth
            self.checked_structure += block(cython.sizeof(Part))
            self._check_part(home, part)
            count += part.count
            following: cython.Py_ssize_t = self._next_part(home, index)
            while index < following:
                assert home.parts[index] == part
                index += 1
        assert count == home.count, (count, home.count)
        assert self.checked_volatile == home.volatile_count
        assert self.checked_used - before == cython.cast(cython.longlong, home.used)
        return 0

    @cython.cfunc
    def _check_part(self, home: SlotPointer, part: PartPointer) -> cython.int:
        count: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t
        place: cython.int
        word: uint64_t
        record: Record
        code: uint64_t
        if part.words != cython.NULL:
            self.checked_structure += block(cython.cast(cython.Py_ssize_t, part.buckets) * WIDTH * 8)
        for at in range(part.buckets):
            ended: cython.bint = False
            for place in range(WIDTH):
                word = part.words[at * WIDTH + place]
                assert not (ended and word != 0), "a gap in a bucket"
                ended = word == 0
                if ended:
                    continue
                count += 1
                record = record_of(word)
                code = self._code(record)
                assert code >> 48 == word >> 48
                assert self._part(home, code) == part, "a key stands in another part than its own"
                assert (
                    self._locate(part, code, key_start(record), key_length(record)) == part.words + at * WIDTH + place
                ), "a key is not found"
                assert (word & 1) == (1 if record.flags & VOLATILE else 0)
                if record.flags & VOLATILE:
                    self.checked_volatile += 1
                    assert home.next_due <= seconds_of(self.expiry(record)), "a slot's next expiry is too late"
                if record.flags & KIND == OBJECT:
                    value: object = self.value(record)
                    counted: cython.longlong = cython.cast(cython.pointer(int64_t), behind_header(record))[1]
                    assert counted == object_memory(value), (counted, object_memory(value))
                self.checked_used += self.memory(record)
        assert count == part.count, (count, part.count)
        return 0
