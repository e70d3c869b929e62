"""LZF, the compression of strings in RDB files (Marc Lehmann's LibLZF, format as its documentation describes it).

A control byte below 32 announces one more literal bytes than its value. Any other holds a length in its upper three
bits (7: a byte with the rest follows) and the upper five of a distance whose lower eight come last; so many bytes and
two more are repeated from so far behind and one more.
"""

from __future__ import annotations

import cython

if cython.compiled:
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING

MOST_LITERALS = cython.declare(cython.Py_ssize_t, 32)
LONGEST_MATCH = cython.declare(cython.Py_ssize_t, 264)
FARTHEST = cython.declare(cython.Py_ssize_t, 8192)
MOST_GROWTH = cython.declare(cython.Py_ssize_t, 88)
"""A byte of compressed text stands for so many at most: three for a match of the longest kind."""
HASH_FACTOR = cython.declare(cython.uint, 2654435761)
WORD = cython.declare(cython.uint, 0xFFFFFFFF)


def decompress(data: bytes, size: cython.Py_ssize_t) -> bytes | None:
    """The text of exactly `size` bytes, or None if that is not what `data` holds.

    Takes no memory for a size that so little data cannot hold. O(size).
    """
    if not 0 <= size <= MOST_GROWTH * len(data):
        return None
    out = bytearray(size)
    return bytes(out) if _decompress(data, out) else None


@cython.cfunc
@cython.locals(text=cython.p_const_uchar, made=cython.p_uchar)
def _decompress(data: bytes, out: bytearray) -> bool:
    """Fill `out`; whether it was filled exactly."""
    i: cython.Py_ssize_t = 0
    at: cython.Py_ssize_t = 0
    k: cython.Py_ssize_t
    length: cython.Py_ssize_t
    distance: cython.Py_ssize_t
    end: cython.Py_ssize_t = len(data)
    size: cython.Py_ssize_t = len(out)
    text = data
    made = cython.cast(cython.p_uchar, PyByteArray_AS_STRING(out)) if cython.compiled else out
    while i < end:
        length = text[i]
        i += 1
        if length < MOST_LITERALS:
            length += 1
            if i + length > end or at + length > size:
                return False
            for k in range(length):
                made[at + k] = text[i + k]
            i += length
            at += length
            continue
        distance = (length & 31) << 8
        length = length >> 5
        if length == 7:
            if i >= end:
                return False
            length += text[i]
            i += 1
        if i >= end:
            return False
        distance += text[i] + 1
        i += 1
        length += 2
        if distance > at or at + length > size:
            return False
        for k in range(length):
            made[at + k] = made[at + k - distance]
        at += length
    return bool(at == size)


def compress(data: bytes) -> bytes | None:
    """A form that is at least four bytes shorter, or None if this finds none. O(n)."""
    if len(data) <= 4:
        return None
    out = bytearray(len(data))
    bits = min(max(len(data).bit_length(), 8), 15)
    length = _compress(data, out, bytearray(4 << bits) if cython.compiled else [0] * (1 << bits), 32 - bits)
    return bytes(out[:length]) if length else None


@cython.cfunc
@cython.locals(text=cython.p_const_uchar, made=cython.p_uchar, seen=cython.p_int)
def _compress(data: bytes, out: bytearray, table: bytearray | list[int], shift: cython.int) -> cython.Py_ssize_t:
    """The bytes of `out` that were filled; 0 if they do not suffice.

    `table` has a place for every hash of three bytes: one more than where they were seen last.
    """
    i: cython.Py_ssize_t = 0
    at: cython.Py_ssize_t = 0
    start: cython.Py_ssize_t = 0
    before: cython.Py_ssize_t
    length: cython.Py_ssize_t
    longest: cython.Py_ssize_t
    place: cython.uint
    end: cython.Py_ssize_t = len(data)
    room: cython.Py_ssize_t = end - 4
    text = data
    if cython.compiled:
        made = cython.cast(cython.p_uchar, PyByteArray_AS_STRING(out))
        seen = cython.cast(cython.p_int, cython.cast(cython.p_uchar, PyByteArray_AS_STRING(table)))
    else:
        made, seen = out, table
    while i + 2 < end:
        place = text[i] << 16 | text[i + 1] << 8 | text[i + 2]
        place = (place * HASH_FACTOR & WORD) >> shift
        before = seen[place] - 1
        seen[place] = i + 1
        if (
            before < 0
            or i - before > FARTHEST
            or text[before] != text[i]
            or text[before + 1] != text[i + 1]
            or text[before + 2] != text[i + 2]
        ):
            i += 1
            continue
        longest = min(end - i, LONGEST_MATCH)
        length = 3
        while length < longest and text[before + length] == text[i + length]:
            length += 1
        at = _literals(text, start, i, made, at, room)
        if at < 0 or at + 3 > room:
            return 0
        at = _match(made, at, i - before - 1, length - 2)
        i += length
        start = i
    at = _literals(text, start, end, made, at, room)
    return max(at, 0)


@cython.cfunc
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
def _literals(
    text: cython.p_const_uchar,
    start: cython.Py_ssize_t,
    end: cython.Py_ssize_t,
    made: cython.p_uchar,
    at: cython.Py_ssize_t,
    room: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    """Where the next control byte goes behind these bytes as they are, or -1 if there is no room for them."""
    k: cython.Py_ssize_t
    length: cython.Py_ssize_t
    while start < end:
        length = min(end - start, MOST_LITERALS)
        if at + 1 + length > room:
            return -1
        made[at] = length - 1
        for k in range(length):
            made[at + 1 + k] = text[start + k]
        at += 1 + length
        start += length
    return at
