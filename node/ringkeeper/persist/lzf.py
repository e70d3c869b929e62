"""LZF, the compression of strings in RDB files (Marc Lehmann's LibLZF, format as its documentation describes it).

A control byte below 32 announces one more literal bytes than its value. Any other holds a length in its upper three
bits (7: a byte with the rest follows) and the upper five of a distance whose lower eight come last; so many bytes and
two more are repeated from so far behind and one more.
"""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.libc.string import memcpy, memset
    from cython.cimports.ringkeeper.persist.lzf import Places
else:
    Places = None

MOST_LITERALS = cython.declare(cython.Py_ssize_t, 32)
LONGEST_MATCH = cython.declare(cython.Py_ssize_t, 264)
FARTHEST = cython.declare(cython.Py_ssize_t, 8192)
MOST_GROWTH = cython.declare(cython.Py_ssize_t, 88)
"""A byte of compressed text stands for so many at most: three for a match of the longest kind."""
HASH_FACTOR = cython.declare(cython.uint, 2654435761)
WORD = cython.declare(cython.uint, 0xFFFFFFFF)
MOST_BITS = cython.declare(cython.int, 15)
SEEN = cython.declare(Places)
"""For every hash of three bytes, where they were seen last, counted from `BASE`; what is not above it is of texts that
were compressed before. So nobody has to clear the table for every short string."""
BASE = cython.declare(cython.uint, 0)
if not cython.compiled:
    SEEN = [0] * 32768


@cython.final
@cython.cclass
class Unpacker:
    """Makes a text of pieces of what it was compressed to: `begin`, `feed` with each, `finish`."""

    def __init__(self) -> None:
        self.text: bytes | None = None
        self.grown: bytearray | None = None
        self.size = self.at = 0

    def begin(self, size: cython.Py_ssize_t) -> None:
        """The text is to have so many bytes."""
        self.size = size
        self.at = 0
        if cython.compiled:
            self.text = PyBytes_FromStringAndSize(cython.NULL, size)
        else:
            self.grown = bytearray(size)

    @cython.locals(text=cython.p_const_uchar, made=cython.p_uchar)
    def feed(self, data: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Unpack what is whole of a piece; where it begins that is not, or -1 if the piece is damaged. O(bytes)."""
        i: cython.Py_ssize_t = start
        at: cython.Py_ssize_t = self.at
        k: cython.Py_ssize_t
        length: cython.Py_ssize_t
        distance: cython.Py_ssize_t
        size: cython.Py_ssize_t = self.size
        text = data
        made: Any = cython.cast(cython.p_uchar, PyBytes_AS_STRING(self.text)) if cython.compiled else self.grown
        while i < end:
            start = i
            length = text[i]
            i += 1
            if length < MOST_LITERALS:
                length += 1
                if i + length > end:
                    i = start
                    break
                if at + length > size:
                    return -1
                if cython.compiled and at + MOST_LITERALS <= size and i + MOST_LITERALS <= end:
                    memcpy(made + at, text + i, 32)  # a fixed length takes two instructions; what is too much goes
                elif cython.compiled:
                    memcpy(made + at, text + i, length)
                else:
                    made[at : at + length] = text[i : i + length]
                i += length
                at += length
                continue
            distance = (length & 31) << 8
            length = length >> 5
            if i + (2 if length == 7 else 1) > end:
                i = start
                break
            if length == 7:
                length += text[i]
                i += 1
            distance += text[i] + 1
            i += 1
            length += 2
            if distance > at or at + length > size:
                return -1
            if cython.compiled and length <= 16 and distance >= 16 and at + 16 <= size:
                memcpy(made + at, made + at - distance, 16)
            elif cython.compiled and distance >= length:
                memcpy(made + at, made + at - distance, length)
            else:
                for k in range(length):
                    made[at + k] = made[at + k - distance]
            at += length
        self.at = at
        return i

    def finish(self) -> bytes | None:
        """The text, or None if it is not complete."""
        text: bytes | None = self.text
        if not cython.compiled:
            text = bytes(self.grown or b"")
        self.text = self.grown = None
        return text if self.at == self.size else None


def decompress(data: bytes, size: cython.Py_ssize_t) -> bytes | None:
    """The text of exactly `size` bytes, or None if that is not what `data` holds.

    Takes no memory for a size that so little data cannot hold. O(size).
    """
    if not 0 <= size <= MOST_GROWTH * len(data):
        return None
    unpacker: Unpacker = Unpacker()
    unpacker.begin(size)
    return unpacker.finish() if unpacker.feed(data, 0, len(data)) == len(data) else None


def compress(data: bytes) -> bytes | None:
    """A form that is at least four bytes shorter, or None if this finds none. O(n)."""
    if len(data) <= 4:
        return None
    made = bytearray(len(data))
    length: cython.Py_ssize_t = compress_into(data, len(data), made, len(data) - 4)
    return bytes(made[:length]) if length else None


@cython.cfunc
@cython.exceptval(check=False)
def compress_into(
    text: cython.p_const_uchar, size: cython.Py_ssize_t, made: cython.p_uchar, room: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """The bytes of `made` that were filled; 0 if there is not so much room. Pieces of a text that are compressed each
    on its own can stand one behind the other as what the whole was compressed to. O(size)."""
    global BASE
    i: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t
    at: cython.Py_ssize_t = 0
    start: cython.Py_ssize_t = 0
    before: cython.Py_ssize_t
    length: cython.Py_ssize_t
    longest: cython.Py_ssize_t
    place: cython.uint
    shift: cython.int = 31
    while shift > 32 - MOST_BITS and size >> (31 - shift):
        shift -= 1
    if BASE + size >= WORD:
        BASE = 0
        if cython.compiled:
            memset(SEEN, 0, cython.sizeof(Places))
        else:
            SEEN[:] = [0] * len(SEEN)
    base: cython.Py_ssize_t = BASE
    BASE += cython.cast(cython.uint, size)
    while i + 2 < size:
        place = text[i] << 16 | text[i + 1] << 8 | text[i + 2]
        place = (place * HASH_FACTOR & WORD) >> shift
        before = SEEN[place] - base - 1
        SEEN[place] = cython.cast(cython.uint, base + i + 1)
        if (
            before < 0
            or i - before > FARTHEST
            or text[before] != text[i]
            or text[before + 1] != text[i + 1]
            or text[before + 2] != text[i + 2]
        ):
            i += 1
            continue
        longest = min(size - i, LONGEST_MATCH)
        length = 3
        while length < longest and text[before + length] == text[i + length]:
            length += 1
        at = _literals(text, start, i, made, at, room)
        if at < 0 or at + 3 > room:
            return 0
        at = _match(made, at, i - before - 1, length - 2)
        i += length
        start = i
        for k in range(i - 2, min(i, size - 2)):
            place = text[k] << 16 | text[k + 1] << 8 | text[k + 2]
            SEEN[(place * HASH_FACTOR & WORD) >> shift] = cython.cast(cython.uint, base + k + 1)
    at = _literals(text, start, size, made, at, room)
    return max(at, 0)


@cython.cfunc
@cython.exceptval(check=False)
def _match(
    made: cython.p_uchar, at: cython.Py_ssize_t, distance: cython.Py_ssize_t, length: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Where the next control byte goes behind one that repeats; both numbers as they are written."""
    if length < 7:
        made[at] = length << 5 | distance >> 8
    else:
        made[at] = 7 << 5 | distance >> 8
        at += 1
        made[at] = length - 7
    made[at + 1] = distance & 0xFF
    return at + 2


@cython.cfunc
@cython.exceptval(check=False)
def _literals(
    text: cython.p_const_uchar,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    made: cython.p_uchar,
    at: cython.Py_ssize_t,
    room: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    """Where the next control byte goes behind these bytes as they are, or -1 if there is no room for them."""
    length: cython.Py_ssize_t
    while start < end:
        length = min(end - start, MOST_LITERALS)
        if at + 1 + length > room:
            return -1
        made[at] = length - 1
        if cython.compiled:
            memcpy(made + at + 1, text + start, length)
        else:
            made[at + 1 : at + 1 + length] = text[start : start + length]
        at += 1 + length
        start += length
    return at
