# cython: boundscheck=False, wraparound=False, cdivision=True
"""A chunk of a list: neighbours that lie one behind the other in one block of memory, or one element that is too large.

An entry of the block is an element between its length and its length again, so that it can be read from both ends: a
byte each, or, from 255 on, the byte 255 on the outer side and four bytes, the lowest first, on the inner one. There may
be room before the first entry and behind the last. Redis's listpack is much the same, but has its lengths behind each
other and packs numbers (https://github.com/antirez/listpack/blob/master/listpack.md). How long a chunk would be as a
listpack is kept up here, since Redis cuts lists by that.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.types.memory import block_size, text_memory, usable_size
else:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Malloc
    from cython.cimports.libc.string import memcmp, memcpy, memmove
    from cython.cimports.ringkeeper.types.memory import (  # type: ignore[no-redef]
        block_size,
        text_memory,
        usable_size,
    )

OBJECT_BYTES = cython.declare(cython.Py_ssize_t, 80)
"""The object itself."""
LONG = cython.declare(cython.Py_ssize_t, 255)
"""The least length that does not go into one byte."""
MOST_BYTES = cython.declare(cython.Py_ssize_t, 1 << 30)
"""Of a block. What would make it longer fails as if memory had run out."""
MOST_AT_ONCE = cython.declare(cython.Py_ssize_t, 1 << 20)
"""Bytes from which on elements that come together go into several chunks: no chunk of Redis's is so long."""
SMALL_BLOCK = cython.declare(cython.Py_ssize_t, 512)
"""Bytes up to which moving all entries costs nothing that counts."""
TIGHT = cython.declare(cython.Py_ssize_t, 64)
"""Bytes of a block that is not worth making smaller."""
LISTPACK_OVERHEAD = cython.declare(cython.Py_ssize_t, 7)
"""Header and end mark."""

Elements = list[bytes]
Numbers = list[int]
"""By these names, Cython takes the types from `chunk.pxd`."""


@cython.exceptval(check=False)
def packed_size(data: cython.p_const_uchar, length: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Bytes of an element in a listpack: numbers are packed, and each entry says how long it is at its end as well."""
    if 0 < length <= 20 and data[0] <= 0x39:
        packed: cython.Py_ssize_t = packed_integer(data, length)
        if packed:
            return packed + 1
    entry: cython.Py_ssize_t = length + (1 if length < 64 else 2 if length < 4096 else 5)
    if entry < 128:
        return entry + 1
    if entry < 16383:
        return entry + 2
    return entry + (3 if entry < 2097151 else 4 if entry < 268435455 else 5)


@cython.cfunc
@cython.exceptval(check=False)
@cython.locals(number=cython.ulonglong)
def packed_integer(data: cython.p_const_uchar, length: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Bytes of a signed 64-bit number in its one canonical form; 0 if the element is none."""
    start: cython.Py_ssize_t = 1 if data[0] == 0x2D else 0
    if length - start == 0 or length - start > 19:
        return 0
    if data[start] == 0x30:
        return 1 if length == 1 else 0
    number = 0
    i: cython.Py_ssize_t
    for i in range(start, length):
        if not 0x30 <= data[i] <= 0x39:
            return 0
        number = number * 10 + (data[i] - 0x30)
    if not start and number < 128:
        return 1
    # -4096 is as short as 4095.
    number -= start
    if number < 1 << 12:
        return 2
    if number < 1 << 15:
        return 3
    if number < 1 << 23:
        return 4
    if number < 1 << 31:
        return 5
    return 9 if number < 1 << 63 else 0


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def entry_bytes(length: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Of an element of that length."""
    return length + (2 if length < LONG else 10)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def digits_of(number: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """How many decimal digits."""
    digits: cython.Py_ssize_t = 1
    while number >= 10:
        number //= 10
        digits += 1
    return digits


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def write_bulk(target: cython.p_char, source: cython.p_const_uchar, length: cython.Py_ssize_t) -> cython.p_char:
    """A text as a bulk string of RESP; where that ends. Compiled only."""
    left: cython.Py_ssize_t = length
    digit: cython.Py_ssize_t = digits_of(length)
    body: cython.p_char = target + digit + 3
    target[0] = 36
    while digit > 0:
        target[digit] = 48 + left % 10
        left //= 10
        digit -= 1
    memcpy(body - 2, b"\r\n", 2)
    memcpy(body, source, length)
    memcpy(body + length, b"\r\n", 2)
    return body + length + 2


@cython.final
@cython.no_gc
@cython.cclass
class Chunk:
    """An offset is counted in bytes from the beginning of the block, a number in elements. None of them is checked.

    What is called `plain` has one large element, which is an object, and no block; an entry of it has no bytes. What
    allocates raises `MemoryError`, and nothing has changed then. O(bytes) each where nothing else is said; a move of
    some kilobytes takes a tenth of a microsecond.
    """

    def __init__(self) -> None:
        if not cython.compiled:
            self.pack = bytearray()
        self.start = 0
        self.end = 0
        """The offsets of the first entry and behind the last."""
        self.room = 0
        """Bytes of the block."""
        self.count = 0
        self.size = LISTPACK_OVERHEAD
        """Bytes as a listpack; of a plain one, those of its element."""
        self.element: bytes | None = None
        self.next: Chunk | None = None
        self.previous: Chunk | None = None
        """The neighbours, which the list unlinks before it goes."""

    def __dealloc__(self) -> None:
        PyMem_Free(self.pack)

    @property
    def plain(self) -> bool:
        return self.element is not None

    @property
    def elements(self) -> list[bytes]:
        """New objects."""
        found: list[bytes] = self.texts(0, self.count)
        return found

    # Entries

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def length_at(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The length of the element whose entry begins there. O(1), and so are the next four."""
        length: cython.Py_ssize_t = self.pack[at]
        if length == LONG:
            length = self.pack[at + 1] | self.pack[at + 2] << 8 | self.pack[at + 3] << 16 | self.pack[at + 4] << 24
        return length

    @cython.cfunc
    @cython.exceptval(check=False)
    def entry_at(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The bytes of the entry that begins there."""
        return 0 if self.element is not None else entry_bytes(self.length_at(at))

    @cython.cfunc
    @cython.exceptval(check=False)
    def entry_before(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The bytes of the entry that ends there."""
        if self.element is not None:
            return 0
        length: cython.Py_ssize_t = self.pack[at - 1]
        if length == LONG:
            length = self.pack[at - 5] | self.pack[at - 4] << 8 | self.pack[at - 3] << 16 | self.pack[at - 2] << 24
        return entry_bytes(length)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def body_at(self, at: cython.Py_ssize_t, length: cython.Py_ssize_t) -> cython.p_const_uchar:
        """The element itself."""
        at += 1 if length < LONG else 5
        if not cython.compiled:
            return bytes(self.pack[at : at + length])
        return cython.cast(cython.p_const_uchar, self.pack + at)

    @cython.cfunc
    @cython.exceptval(check=False)
    def size_at(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The element's bytes in a listpack."""
        length: cython.Py_ssize_t = self.length_at(at)
        return packed_size(self.body_at(at, length), length)

    @cython.cfunc
    def text_at(self, at: cython.Py_ssize_t) -> bytes:
        text: bytes
        if self.element is not None:
            return self.element
        length: cython.Py_ssize_t = self.length_at(at)
        if cython.compiled:
            text = PyBytes_FromStringAndSize(cython.cast(cython.p_char, self.body_at(at, length)), length)
        else:
            text = self.body_at(at, length)
        return text

    @cython.cfunc
    @cython.exceptval(check=False)
    def equals(self, at: cython.Py_ssize_t, element: bytes) -> cython.bint:
        length: cython.Py_ssize_t = len(element)
        if not cython.compiled:
            return self.text_at(at) == element
        data: cython.p_const_uchar = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(element))
        body: cython.p_const_uchar
        if self.element is not None:
            if len(cython.cast(bytes, self.element)) != length:
                return False
            body = cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(self.element))
        else:
            if self.length_at(at) != length:
                return False
            body = self.body_at(at, length)
        # The last byte is what differs most often.
        return length == 0 or (body[length - 1] == data[length - 1] and memcmp(body, data, length) == 0)

    @cython.cfunc
    @cython.exceptval(check=False)
    def offset_of(self, number: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the entry of a number begins, or the last one ends. O(elements to the nearer end)."""
        at: cython.Py_ssize_t = self.start
        if 2 * number <= self.count:
            while number > 0:
                at += self.entry_at(at)
                number -= 1
            return at
        at = self.end
        while number < self.count:
            at -= self.entry_before(at)
            number += 1
        return at

    @cython.cfunc
    def texts(self, first: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> Elements:
        """The elements of some numbers, as new objects."""
        at: cython.Py_ssize_t = self.offset_of(first)
        found: list[bytes] = []
        while first < stop:
            found.append(self.text_at(at))
            at += self.entry_at(at)
            first += 1
        return found

    @cython.cfunc
    @cython.exceptval(check=False)
    def index_of(self, element: bytes) -> cython.Py_ssize_t:
        """The number of the first that equals an element, or -1."""
        number: cython.Py_ssize_t
        at: cython.Py_ssize_t = self.start
        for number in range(self.count):
            if self.equals(at, element):
                return number
            at += self.entry_at(at)
        return -1

    @cython.cfunc
    def matches(
        self, element: bytes, forward: cython.bint, looked_at: cython.Py_ssize_t, most: cython.Py_ssize_t
    ) -> Numbers:
        """How far from an end those are that equal an element: of so many elements looked at, `most` at most."""
        number: cython.Py_ssize_t
        found: list[int] = []
        at: cython.Py_ssize_t = self.start if forward else self.end
        for number in range(looked_at):
            if not forward:
                at -= self.entry_before(at)
            if self.equals(at, element):
                found.append(number)
                if len(found) == most:
                    break
            if forward:
                at += self.entry_at(at)
        return found

    @cython.cfunc
    @cython.exceptval(check=False)
    def occurrences(self, element: bytes) -> cython.Py_ssize_t:
        """How many equal an element."""
        found: cython.Py_ssize_t = 0
        left: cython.Py_ssize_t = self.count
        at: cython.Py_ssize_t = self.start
        while left > 0:
            found += self.equals(at, element)
            at += self.entry_at(at)
            left -= 1
        return found

    # As a reply: compiled only

    @cython.cfunc
    @cython.exceptval(check=False)
    def bulks_size(self, first: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Bytes of the elements of some numbers as bulk strings."""
        total: cython.Py_ssize_t = 0
        length: cython.Py_ssize_t
        if self.element is not None:
            length = len(cython.cast(bytes, self.element))
            return length + digits_of(length) + 5 if first < stop else 0
        at: cython.Py_ssize_t = self.offset_of(first)
        while first < stop:
            length = self.length_at(at)
            total += length + digits_of(length) + 5
            at += entry_bytes(length)
            first += 1
        return total

    @cython.cfunc
    @cython.exceptval(check=False)
    def write_bulks(self, target: cython.p_char, first: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> cython.p_char:
        """Write them; where they end."""
        length: cython.Py_ssize_t
        if self.element is not None:
            length = len(cython.cast(bytes, self.element))
            if first < stop:
                source: cython.p_char = PyBytes_AS_STRING(self.element)
                target = write_bulk(target, cython.cast(cython.p_const_uchar, source), length)
            return target
        at: cython.Py_ssize_t = self.offset_of(first)
        while first < stop:
            length = self.length_at(at)
            target = write_bulk(target, self.body_at(at, length), length)
            at += entry_bytes(length)
            first += 1
        return target

    # The block

    @cython.cfunc
    @cython.exceptval(check=False)
    def move(self, target: cython.Py_ssize_t, source: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.void:
        """Copy bytes to another offset, which may overlap."""
        if cython.compiled:
            memmove(self.pack + target, self.pack + source, size)
        else:
            self.pack[target : target + size] = self.pack[source : source + size]

    @cython.cfunc
    @cython.exceptval(check=False)
    def resize(self, room: cython.Py_ssize_t, left: cython.bint) -> cython.bint:
        """Move to a block of so many bytes, what is free of it before the entries or behind; whether there is one."""
        begin: cython.Py_ssize_t = self.start
        used: cython.Py_ssize_t = self.end - begin
        room = usable_size(room)
        start: cython.Py_ssize_t = room - used if left else 0
        if cython.compiled:
            block: cython.p_void = PyMem_Malloc(room)
            if block is cython.NULL:
                return False
            pack: cython.p_uchar = cython.cast(cython.p_uchar, block)
            if used:
                memcpy(pack + start, self.pack + begin, used)
            PyMem_Free(self.pack)
            self.pack = pack
        else:
            self.pack = bytearray(start) + self.pack[begin : self.end] + bytearray(room - start - used)
        self.room = room
        self.start = start
        self.end = start + used
        return True

    @cython.cfunc
    def make_space(self, size: cython.Py_ssize_t, left: cython.bint, generous: cython.bint) -> None:
        """See to so many free bytes before the first entry or behind the last. O(size) amortised."""
        used: cython.Py_ssize_t = self.end - self.start
        need: cython.Py_ssize_t = used + size
        if need > MOST_BYTES:
            raise MemoryError
        if need <= self.room and (self.room <= SMALL_BLOCK or 4 * (self.room - used) >= used):
            start: cython.Py_ssize_t = self.room - used if left else 0
            self.move(start, self.start, used)
            self.start = start
            self.end = start + used
        elif not self.resize(need + (need // 2 if generous else need // 8), left):
            raise MemoryError

    @cython.cfunc
    @cython.exceptval(check=False)
    def relax(self) -> cython.void:
        """Give back what is free if that is more than half of the block. O(1) amortised."""
        used: cython.Py_ssize_t = self.end - self.start
        if 2 * used < self.room and self.room > TIGHT:
            self.resize(used + used // 8, False)

    @cython.cfunc
    @cython.exceptval(check=False)
    def fit(self) -> cython.void:
        """Give back whatever is free."""
        used: cython.Py_ssize_t = self.end - self.start
        if block_size(used) < block_size(self.room):
            self.resize(used, False)

    # Changes

    @cython.cfunc
    @cython.exceptval(check=False)
    def write(self, at: cython.Py_ssize_t, element: bytes) -> cython.void:
        """Put an entry where there is room for it."""
        i: cython.Py_ssize_t
        length: cython.Py_ssize_t = len(element)
        body: cython.Py_ssize_t = at + 1
        if length < LONG:
            self.pack[at] = self.pack[at + 1 + length] = length
        else:
            body = at + 5
            self.pack[at] = self.pack[at + 9 + length] = LONG
            for i in range(4):
                self.pack[at + 1 + i] = self.pack[body + length + i] = length >> 8 * i & 255
        if cython.compiled:
            memcpy(self.pack + body, PyBytes_AS_STRING(element), length)
        else:
            self.pack[body : body + length] = element

    @cython.cfunc
    def put(self, offset: cython.Py_ssize_t, element: bytes, generous: cython.bint) -> None:
        """Put an element before the entry at an offset, or behind the last. A `generous` chunk will grow further."""
        length: cython.Py_ssize_t = len(element)
        entry: cython.Py_ssize_t = entry_bytes(length)
        front: cython.Py_ssize_t = offset - self.start
        behind: cython.Py_ssize_t = self.end - offset
        left: cython.bint = front < behind
        if entry > (self.start if left else self.room - self.end):
            self.make_space(entry, left, generous)
        if left:
            if front:
                self.move(self.start - entry, self.start, front)
            self.start -= entry
        else:
            if behind:
                self.move(self.end - behind + entry, self.end - behind, behind)
            self.end += entry
        self.write(self.start + front, element)
        self.count += 1
        self.size += packed_size(element, length)

    @cython.cfunc
    @cython.exceptval(check=False)
    def cut(self, offset: cython.Py_ssize_t) -> cython.void:
        """Take away the element whose entry begins there."""
        if self.element is None:
            entry: cython.Py_ssize_t = self.entry_at(offset)
            self.size -= self.size_at(offset)
            front: cython.Py_ssize_t = offset - self.start
            behind: cython.Py_ssize_t = self.end - offset - entry
            if front < behind:
                self.move(self.start + entry, self.start, front)
                self.start += entry
            else:
                self.move(offset, offset + entry, behind)
                self.end -= entry
        self.count -= 1

    @cython.cfunc
    def pop(self, left: cython.bint) -> bytes:
        """The first element or the last. O(its length)."""
        if self.element is not None:
            self.count = 0
            return self.element
        at: cython.Py_ssize_t = self.start if left else self.end - self.entry_before(self.end)
        element: bytes = self.text_at(at)
        length: cython.Py_ssize_t = len(element)
        if left:
            self.start += entry_bytes(length)
        else:
            self.end = at
        self.count -= 1
        self.size -= packed_size(element, length)
        return element

    @cython.cfunc
    def put_back(self, element: bytes, left: cython.bint) -> None:
        """Undo `pop`, right after it. There is room for that."""
        if self.element is not None:
            self.count = 1
        else:
            self.put(self.start if left else self.end, element, False)

    @cython.cfunc
    @cython.exceptval(check=False)
    def drop(self, count: cython.Py_ssize_t, left: cython.bint) -> cython.void:
        """Take away so many elements of one end. O(count)."""
        self.count -= count
        if self.element is not None:
            return
        while count > 0:
            if left:
                self.size -= self.size_at(self.start)
                self.start += self.entry_at(self.start)
            else:
                self.end -= self.entry_before(self.end)
                self.size -= self.size_at(self.end)
            count -= 1

    @cython.cfunc
    @cython.exceptval(check=False)
    def remove(self, element: bytes, skip: cython.Py_ssize_t, most: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Take away those that equal an element, but the first `skip` of them, and `most` at most; how many."""
        removed: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = self.start
        to: cython.Py_ssize_t = at
        left: cython.Py_ssize_t = self.count
        while left > 0:
            entry: cython.Py_ssize_t = self.entry_at(at)
            equal: cython.bint = removed < most and self.equals(at, element)
            if equal and skip == 0:
                removed += 1
            else:
                skip -= equal
                if to != at:
                    self.move(to, at, entry)
                to += entry
            at += entry
            left -= 1
        self.end = to
        self.count -= removed
        if self.element is None:
            self.size -= removed * packed_size(element, len(element))
        return removed

    @cython.cfunc
    def replace(self, number: cython.Py_ssize_t, element: bytes) -> None:
        """Put another element in the place of one, of the same kind if this is plain."""
        if self.element is not None:
            self.element = element
            self.size = len(element)
            return
        at: cython.Py_ssize_t = self.offset_of(number)
        length: cython.Py_ssize_t = len(element)
        if self.length_at(at) == length:
            self.size += packed_size(element, length) - self.size_at(at)
            self.write(at, element)
            return
        self.put(at, element, False)
        self.cut(self.offset_of(number + 1))

    @cython.cfunc
    def tail(self, number: cython.Py_ssize_t) -> Chunk:
        """Another of what is from a number on, which stays here as well."""
        other: Chunk = Chunk()
        at: cython.Py_ssize_t = self.offset_of(number)
        if not other.resize(self.end - at, False):
            raise MemoryError
        if cython.compiled:
            memcpy(other.pack, self.pack + at, self.end - at)
        else:
            other.pack[: self.end - at] = self.pack[at : self.end]
        other.end = self.end - at
        other.count = self.count - number
        while at < self.end:
            other.size += self.size_at(at)
            at += self.entry_at(at)
        return other

    @cython.cfunc
    @cython.exceptval(check=False)
    def absorb(self, other: Chunk) -> cython.bint:
        """Take another's elements behind these; whether there was memory for that."""
        source: cython.Py_ssize_t = other.start
        size: cython.Py_ssize_t = other.end - source
        if self.room - self.end < size and not self.resize(self.end - self.start + size, False):
            return False
        target: cython.Py_ssize_t = self.end
        if cython.compiled:
            memcpy(self.pack + target, other.pack + source, size)
        else:
            self.pack[target : target + size] = other.pack[source : source + size]
        self.end += size
        self.count += other.count
        self.size += other.size - LISTPACK_OVERHEAD
        return True

    @cython.cfunc
    def twin(self) -> Chunk:
        """One with the same elements, and linked to nothing."""
        other: Chunk = Chunk() if self.element is None else plain_chunk(self.element)
        if self.element is None and not other.absorb(self):
            raise MemoryError
        return other

    @cython.cfunc
    @cython.exceptval(check=False)
    def memory(self) -> cython.Py_ssize_t:
        """Bytes of all that this is. O(1)."""
        if self.element is not None:
            return OBJECT_BYTES + text_memory(len(cython.cast(bytes, self.element)))
        return OBJECT_BYTES + block_size(self.room)

    def check(self) -> None:
        """Assert every invariant."""
        assert self.count > 0, "an empty chunk"
        if self.element is not None:
            assert self.count == 1
            assert self.room == self.end == 0
            assert self.size == len(self.element)
            return
        assert 0 <= self.start < self.end <= self.room
        elements = self.elements
        assert sum(entry_bytes(len(each)) for each in elements) == self.end - self.start
        assert LISTPACK_OVERHEAD + sum(packed_size(each, len(each)) for each in elements) == self.size
        at = self.end
        for each in reversed(elements):
            at -= self.entry_before(at)
            assert self.text_at(at) == each


@cython.cfunc
def plain_chunk(element: bytes) -> Chunk:
    chunk: Chunk = Chunk()
    chunk.element = element
    chunk.size = len(element)
    chunk.count = 1
    return chunk


@cython.cfunc
def chunk_of(elements: Elements, start: cython.Py_ssize_t) -> Chunk:
    """Of those from `start` on: of all, unless they are too long together. There is at least one."""
    chunk: Chunk = Chunk()
    element: bytes
    stop: cython.Py_ssize_t = start
    size: cython.Py_ssize_t = 0
    while stop < len(elements) and size < MOST_AT_ONCE:
        element = elements[stop]
        size += entry_bytes(len(element))
        stop += 1
    if size > MOST_BYTES or not chunk.resize(size, False):
        raise MemoryError
    while start < stop:
        element = elements[start]
        chunk.put(chunk.end, element, False)
        start += 1
    return chunk
