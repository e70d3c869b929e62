# cython: boundscheck=False, wraparound=False, cdivision=True
"""Small collections read from RDB into the memory in which they will lie, without an object for each element.

What is taken here is what Redis writes: a listpack in which nothing is wrong, of elements that are packed here as well.
Anything else is answered with None or False; `values.py` then reads it by objects, and says what is wrong if something
is. This file is the compiled form only. `persist/packed.py` describes listpacks, `types/packed.py` and `types/chunk.py`
what is made of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
    from cython.cimports.cpython.conversion import PyOS_string_to_double
    from cython.cimports.libc.math import copysign
    from cython.cimports.libc.string import memcmp, memcpy, memset
    from cython.cimports.ringkeeper.persist.direct_reading import Digits, Numbers, Texts, Word
    from cython.cimports.ringkeeper.store.table import integer_in, write_integer
    from cython.cimports.ringkeeper.types.chunk import Chunk, packed_size
    from cython.cimports.ringkeeper.types.collection import Limits
    from cython.cimports.ringkeeper.types.hash import Hash
    from cython.cimports.ringkeeper.types.list import List
    from cython.cimports.ringkeeper.types.packed import PackedTexts
    from cython.cimports.ringkeeper.types.set import Set
    from cython.cimports.ringkeeper.types.zset import SortedSet, new_sorted_set
else:  # Names for the type checker; the headers declare them.
    Chunk = Limits = Hash = List = PackedTexts = Set = SortedSet = Any
    Digits = Numbers = Texts = new_sorted_set = Any
    Word = int

END = cython.declare(cython.int, 0xFF)
UNCOUNTED = cython.declare(cython.Py_ssize_t, 0xFFFF)
HEAD = cython.declare(cython.Py_ssize_t, 6)
LONGEST = cython.declare(cython.Py_ssize_t, 255)
LARGEST = cython.declare(cython.Py_ssize_t, 8192)
MOST = cython.declare(cython.Py_ssize_t, 128)
"""What may be packed: bytes of a text, bytes of all, members. As `types/indexed.py` and `types/zset_packed.py`."""
LONGEST_SCORE = cython.declare(cython.Py_ssize_t, 9)
MOST_AT_ONCE = cython.declare(cython.Py_ssize_t, 1 << 20)
"""Bytes of a list's chunk, as `types/chunk.py`."""
LONG = cython.declare(cython.Py_ssize_t, 255)
FACTOR = cython.declare(Word, 0x9E3779B97F4A7C15)
"""Multiplied by it, numbers that are near each other come to differ in their highest bits (Knuth, volume 3, 6.4)."""


@cython.final
@cython.cclass
class Entries:
    """Goes through a listpack: `begin`, `next` as long as it says so, `ended` whether all was right."""

    if TYPE_CHECKING:
        data: bytes
        start: Any
        at: int
        end: int
        counted: int
        seen: int
        text: Any
        size: int
        number: int
        is_number: bool
        digits: Any

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def begin(self, data: bytes) -> cython.bint:
        """Whether head and end are right."""
        self.data = data
        self.start = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(data))
        self.at = HEAD
        self.end = len(data) - 1
        self.seen = 0
        if self.end < HEAD or self.start[self.end] != END:
            return False
        total: Word = cython.cast(Word, self.start[3]) << 24 | self.start[2] << 16 | self.start[1] << 8 | self.start[0]
        self.counted = self.start[5] << 8 | self.start[4]
        return total == cython.cast(Word, self.end + 1)

    @cython.cfunc
    @cython.exceptval(check=False)
    def next(self) -> cython.bint:
        """Whether there is an entry more: `text` and `size`, and `number` if it `is_number`."""
        at: cython.Py_ssize_t = self.at
        width: cython.Py_ssize_t = 1
        shift: cython.Py_ssize_t
        if at >= self.end:
            return False
        entry: cython.Py_ssize_t = self.body(at, self.start[at])
        if entry == 0 or at + entry >= self.end:
            return False
        if entry > 127:
            width = 2 if entry < 16383 else 3 if entry < 2097151 else 4 if entry < 268435455 else 5
        at += entry
        if at + width > self.end:
            return False
        for shift in range(width):
            expected: cython.Py_ssize_t = (entry >> 7 * shift & 0x7F) | (0x80 if shift < width - 1 else 0)
            if self.start[at + width - 1 - shift] != expected:
                return False
        self.at = at + width
        self.seen += 1
        if self.is_number:
            end: cython.p_uchar = self.digits + 24
            self.size = write_integer(self.number, end)
            self.text = end - self.size
        return True

    @cython.cfunc
    @cython.exceptval(check=False)
    def body(self, at: cython.Py_ssize_t, first: cython.int) -> cython.Py_ssize_t:
        """The bytes of an entry without the size behind it, 0 if it is none; it may reach beyond the end."""
        i: cython.Py_ssize_t
        width: cython.Py_ssize_t
        length: Word
        bits: Word = 0
        left: cython.Py_ssize_t = self.end - at
        self.is_number = False
        if first < 0x80:
            self.is_number = True
            self.number = first
            return 1
        if first < 0xC0:
            self.text = self.start + at + 1
            self.size = first & 0x3F
            return 1 + self.size
        if left < 5 and (left < 2 or first == 0xF0):
            return 0
        if first < 0xE0:
            self.is_number = True
            self.number = (first & 0x1F) << 8 | self.start[at + 1]
            if self.number >= 0x1000:
                self.number -= 0x2000
            return 2
        if first < 0xF0:
            self.text = self.start + at + 2
            self.size = (first & 0xF) << 8 | self.start[at + 1]
            return 2 + self.size
        if first == 0xF0:
            length = cython.cast(Word, self.start[at + 4]) << 24 | self.start[at + 3] << 16 | self.start[at + 2] << 8
            length |= self.start[at + 1]
            self.text = self.start + at + 5
            self.size = cython.cast(cython.Py_ssize_t, length)
            return 5 + self.size
        width = 8 if first == 0xF4 else first - 0xF1 + 2
        if first > 0xF4 or left < 1 + width:
            return 0
        for i in range(width):
            bits |= cython.cast(Word, self.start[at + 1 + i]) << 8 * i
        if width < 8 and bits >> (8 * width - 1):
            bits -= cython.cast(Word, 1) << 8 * width
        self.is_number = True
        self.number = cython.cast(cython.longlong, bits)
        return 1 + width

    @cython.cfunc
    @cython.exceptval(check=False)
    def ended(self) -> cython.bint:
        return self.at == self.end and (self.counted == UNCOUNTED or self.counted == self.seen)


@cython.final
@cython.cclass
class Pack:
    """Texts in the form of `types/packed.py`, in memory that serves for all of them one after the other."""

    if TYPE_CHECKING:
        data: Any
        size: int
        count: int
        longest: int
        offsets: Any

    def __init__(self) -> None:
        if not cython.compiled:
            return
        self.scratch = new_sorted_set(Limits())
        self.scratch.splice(0, 0, LARGEST + LONGEST + 1)
        self.data = self.scratch.pack

    @cython.cfunc
    @cython.exceptval(check=False)
    def begin(self) -> cython.void:
        self.size = self.count = self.longest = 0

    @cython.cfunc
    @cython.exceptval(check=False)
    def add(self, text: cython.p_const_uchar, size: cython.Py_ssize_t, is_member: cython.bint) -> cython.bint:
        """Whether a member or a value could be packed."""
        if size > LONGEST or self.size + 1 + size > LARGEST or self.count + is_member > MOST:
            return False
        if is_member:
            self.offsets[self.count] = cython.cast(cython.ushort, self.size)
            self.count += 1
        self.data[self.size] = cython.cast(cython.uchar, size)
        memcpy(self.data + self.size + 1, text, size)
        self.size += 1 + size
        self.longest = max(self.longest, size)
        return True

    @cython.cfunc
    @cython.exceptval(check=False)
    def add_score(self, score: cython.double) -> cython.bint:
        if self.size + LONGEST_SCORE > LARGEST:
            return False
        self.size = self.scratch.write_score(self.size, score)
        return True

    @cython.cfunc
    @cython.exceptval(check=False)
    def has_twins(self) -> cython.bint:
        """Whether a member is there twice."""
        taken = cython.declare(Numbers)
        number: cython.Py_ssize_t
        memset(taken, 0, 256)
        for number in range(self.count):
            member: cython.p_uchar = self.data + self.offsets[number]
            size: cython.Py_ssize_t = member[0]
            bits: Word = 0
            code: Word = size
            memcpy(cython.address(bits), member + 1, min(size, 8))
            code = (code ^ bits) * FACTOR
            bits = 0
            if size > 8:
                memcpy(cython.address(bits), member + size - 7, 8)
            place: cython.int = cython.cast(cython.int, ((code ^ (code >> 32) ^ bits) * FACTOR) >> 56)
            while taken[place] != 0:
                if memcmp(self.data + self.offsets[taken[place] - 1], member, size + 1) == 0:
                    return True
                place = (place + 1) & 255
            taken[place] = cython.cast(cython.uchar, number + 1)
        return False

    @cython.cfunc
    def give(self, value: PackedTexts) -> None:
        """Copy all of it to an empty collection."""
        if self.size:  # else there is no block
            value.splice(0, 0, self.size)
            memcpy(value.pack, self.data, self.size)
        value.count = cython.cast(cython.short, self.count)


ENTRIES = cython.declare(Entries, Entries())
PACK = cython.declare(Pack, Pack())
"""Who does it, one collection after the other. From `begin` on until all is copied nothing may run that could let
another thread in: no object is made meanwhile that the cyclic collector tracks, and nothing is called in Python."""


@cython.cfunc
def read_hash(data: bytes, limits: Limits) -> Hash:
    """Of a listpack of fields and values in turn; None unless it is packed."""
    is_field: cython.bint = True
    value: Hash = Hash(limits)
    if not ENTRIES.begin(data):
        return None
    PACK.begin()
    while ENTRIES.next():
        if not PACK.add(ENTRIES.text, ENTRIES.size, is_field):
            return None
        is_field = not is_field
    if not ENTRIES.ended() or not is_field or PACK.has_twins():
        return None
    PACK.give(value)
    value.memory += value.pack_memory()
    if PACK.longest > limits.hash_max_listpack_value or PACK.count > limits.hash_max_listpack_entries:
        value.compact = False
    return value


@cython.cfunc
@cython.exceptval(-1, check=False)
def score_of(entries: Entries, score: cython.p_double) -> cython.bint:
    """Whether an entry is a plain decimal number: which."""
    i: cython.Py_ssize_t
    digits = cython.declare(Digits)
    if entries.is_number:
        score[0] = cython.cast(cython.double, entries.number)
        return True
    if not 0 < entries.size < 24:
        return False
    for i in range(entries.size):
        here: cython.int = entries.text[i]
        if not (48 <= here <= 57 or here in (43, 45, 46, 69, 101)):
            return False
    memcpy(digits, entries.text, entries.size)
    digits[entries.size] = 0
    try:
        score[0] = PyOS_string_to_double(cython.cast(cython.p_char, digits), cython.NULL, cython.NULL)
    except ValueError:
        return False
    return score[0] != 0.0 or copysign(1.0, score[0]) > 0


@cython.cfunc
@cython.exceptval(check=False)
def follows(before: cython.p_const_uchar, text: cython.p_const_uchar, size: cython.Py_ssize_t) -> cython.bint:
    """Whether a text stands behind a packed one in the order of their bytes."""
    here: cython.Py_ssize_t = before[0]
    order: cython.int = memcmp(before + 1, text, min(here, size))
    return order < 0 or (order == 0 and here < size)


@cython.cfunc
def read_sorted_set(data: bytes, limits: Limits) -> SortedSet:
    """Of a listpack of members and scores in turn, in order; None unless it is packed."""
    score: cython.double = 0.0
    last: cython.double = 0.0
    value: SortedSet = new_sorted_set(limits)
    if not ENTRIES.begin(data):
        return None
    PACK.begin()
    while ENTRIES.next():
        if not PACK.add(ENTRIES.text, ENTRIES.size, True):
            return None
        if not ENTRIES.next() or not score_of(ENTRIES, cython.address(score)) or not PACK.add_score(score):
            return None
        if PACK.count > 1 and not last < score:
            member: cython.p_uchar = PACK.data + PACK.offsets[PACK.count - 1]
            if last != score or not follows(PACK.data + PACK.offsets[PACK.count - 2], member + 1, member[0]):
                return None
        last = score
    if not ENTRIES.ended() or PACK.has_twins():
        return None
    PACK.give(value)
    value.count_memory()
    value.expect(PACK.count, PACK.longest)
    return value


@cython.cfunc
def read_set(members: Texts, limits: Limits) -> Set:
    """Of members; None unless they are packed. The encoding is the one to which they would have come one by one."""
    member: bytes
    numbers: cython.Py_ssize_t = 0
    is_integer: cython.bint = True
    value: Set = Set(limits)
    PACK.begin()
    for member in members:
        text: cython.p_const_uchar = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(member))
        if not PACK.add(text, len(member), True):
            return None
        if is_integer:
            integer_in(text, len(member), cython.address(is_integer))
            numbers += is_integer
    if PACK.has_twins():
        return None
    PACK.give(value)
    value.memory += value.pack_memory()
    if numbers > limits.set_max_intset_entries:
        value.encoding = "hashtable"
    elif numbers < PACK.count:
        fits: cython.bint = PACK.count <= limits.set_max_listpack_entries
        value.encoding = "listpack" if fits and PACK.longest <= limits.set_max_listpack_value else "hashtable"
    return value


@cython.cfunc
@cython.exceptval(-1, check=False)
def add_chunk(value: List, data: bytes) -> cython.bint:
    """Whether a listpack could be put behind a list that is being filled, as a chunk of its own."""
    total: cython.Py_ssize_t = 0
    size: cython.Py_ssize_t = 7
    if not ENTRIES.begin(data):
        return False
    while ENTRIES.next():
        total += ENTRIES.size + (2 if ENTRIES.size < LONG else 10)
        size += packed_size(ENTRIES.text, ENTRIES.size)
    if not ENTRIES.ended() or ENTRIES.seen == 0 or total > MOST_AT_ONCE:
        return False
    chunk: Chunk = Chunk()
    if not chunk.resize(total, False):
        raise MemoryError
    ENTRIES.begin(data)
    while ENTRIES.next():
        chunk.end += cython.cast(cython.int, write_entry(chunk.pack + chunk.end, ENTRIES.text, ENTRIES.size))
    chunk.count = cython.cast(cython.int, ENTRIES.seen)
    chunk.size = size
    value.count += chunk.count
    value.link(chunk, value.last)
    return True


@cython.cfunc
@cython.exceptval(check=False)
def write_entry(to: cython.p_uchar, text: cython.p_const_uchar, size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """An element of a chunk, between its length and its length again; its bytes."""
    i: cython.Py_ssize_t
    if size < LONG:
        to[0] = to[1 + size] = cython.cast(cython.uchar, size)
        memcpy(to + 1, text, size)
        return size + 2
    to[0] = to[9 + size] = LONG
    memcpy(to + 5, text, size)
    for i in range(4):
        to[1 + i] = to[5 + size + i] = cython.cast(cython.uchar, size >> 8 * i & 255)
    return size + 10
