"""Small collections as Redis keeps them in one string: listpack, ziplist, zipmap, intset. All are read, listpacks
and intsets written as well.

Each reader gives the elements in their order, numbers as text, and raises `Corrupt` for what Redis's own deep
check (`sanitize-dump-payload yes`) would refuse. O(bytes). Sources: `listpack.c`, `ziplist.c`, `zipmap.c`, `intset.c`
of Redis, whose first comments describe the formats.
"""

from __future__ import annotations

import struct

import cython

from ringkeeper.persist.reader import Corrupt

END = cython.declare(cython.int, 0xFF)
UNCOUNTED = cython.declare(cython.int, 0xFFFF)
"""The count in a head that has no room for the count."""


@cython.cfunc
def _little(data: bytes, at: cython.Py_ssize_t, width: cython.Py_ssize_t) -> object:
    return int.from_bytes(data[at : at + width], "little")


@cython.cfunc
def _number(data: bytes, at: cython.Py_ssize_t, width: cython.Py_ssize_t) -> bytes:
    return b"%d" % int.from_bytes(data[at : at + width], "little", signed=True)


# Listpack: total bytes (4), count (2), entries, 0xFF. An entry: encoding, bytes, its size so far, last digit first.


def listpack(data: bytes) -> list[bytes]:
    """A list, set, hash or sorted set since Redis 7."""
    i: cython.Py_ssize_t = 6
    end: cython.Py_ssize_t = len(data) - 1
    size: cython.Py_ssize_t
    head: cython.Py_ssize_t
    first: cython.int
    entries: list[bytes] = []
    if end < 6 or _little(data, 0, 4) != end + 1 or data[end] != END:
        raise Corrupt("a listpack's head or end is wrong")
    while i < end:
        first = data[i]
        if first < 0x80:
            size = 1
            entries.append(b"%d" % first)
        elif first < 0xC0:
            size = 1 + (first & 0x3F)
            entries.append(data[i + 1 : i + size])
        elif first < 0xE0:
            size = 2
            first = (first & 0x1F) << 8 | data[i + 1]
            entries.append(b"%d" % (first if first < 0x1000 else first - 0x2000))
        elif first < 0xF1:
            head = 2 if first < 0xF0 else 5
            size = head + ((first & 0xF) << 8 | data[i + 1] if first < 0xF0 else _little(data, i + 1, 4))
            entries.append(data[i + head : i + size])
        elif first < 0xF5:
            size = 9 if first == 0xF4 else first - 0xF1 + 3
            entries.append(_number(data, i + 1, size - 1))
        else:
            raise Corrupt(f"{first:#x} begins no entry of a listpack")
        if i + size >= end:
            raise Corrupt("an entry of a listpack reaches beyond its end")
        i = _behind_size(data, i + size, size, end)
    if (data[4] | data[5] << 8) not in (UNCOUNTED, len(entries)):
        raise Corrupt("a listpack has not the entries that it counts")
    return entries


@cython.cfunc
def _behind_size(
    data: bytes, at: cython.Py_ssize_t, size: cython.Py_ssize_t, end: cython.Py_ssize_t
) -> cython.Py_ssize_t:
    """Where the next entry begins, if the present one's size stands here rightly: seven bits a byte, highest first."""
    width: cython.Py_ssize_t = 1
    shift: cython.Py_ssize_t
    if size > 127:
        width = 2 if size < 16383 else 3 if size < 2097151 else 4 if size < 268435455 else 5
    if at + width > end:
        raise Corrupt("an entry of a listpack reaches beyond its end")
    for shift in range(width):
        if data[at + width - 1 - shift] != ((size >> 7 * shift & 0x7F) | (0x80 if shift < width - 1 else 0)):
            raise Corrupt("the size behind an entry of a listpack is wrong")
    return at + width


def write_listpack(elements: list[bytes]) -> bytes:
    """O(bytes)."""
    element: bytes
    start: cython.Py_ssize_t
    out = bytearray(6)
    for element in elements:
        start = len(out)
        if not 0 < len(element) <= 20 or element[0] > 0x39 or not _write_integer(out, element):
            _write_text(out, element)
        _write_size(out, len(out) - start)
    out.append(END)
    out[0:4] = len(out).to_bytes(4, "little")
    out[4:6] = min(len(elements), 0xFFFF).to_bytes(2, "little")
    return bytes(out)


@cython.cfunc
def _write_text(out: bytearray, text: bytes) -> cython.void:
    length: cython.Py_ssize_t = len(text)
    if length < 64:
        out.append(0x80 | length)
    elif length < 4096:
        out.append(0xE0 | length >> 8)
        out.append(length & 0xFF)
    else:
        out.append(0xF0)
        out += length.to_bytes(4, "little")
    out += text


@cython.cfunc
def _write_integer(out: bytearray, text: bytes) -> cython.bint:
    """Whether it is one of 64 bits, written as it would be read back."""
    width: cython.Py_ssize_t
    try:
        exact = int(text)
    except ValueError:
        return False
    if b"%d" % exact != text or not -(2**63) <= exact < 2**63:
        return False
    number: cython.longlong = exact
    if 0 <= number < 128:
        out.append(number)
    elif -4096 <= number < 4096:
        out.append(0xC0 | (number >> 8 & 0x1F))
        out.append(number & 0xFF)
    else:
        width = 2 if -(2**15) <= number < 2**15 else 3 if -(2**23) <= number < 2**23 else 4
        if not -(2**31) <= number < 2**31:
            width = 8
        out.append(0xF4 if width == 8 else 0xF1 + width - 2)
        out += exact.to_bytes(width, "little", signed=True)
    return True


@cython.cfunc
def _write_size(out: bytearray, size: cython.Py_ssize_t) -> cython.void:
    """What `_behind_size` reads."""
    shift: cython.int = 0
    if size > 127:
        shift = 7 if size < 16383 else 14 if size < 2097151 else 21 if size < 268435455 else 28
    out.append(size >> shift)
    while shift:
        shift -= 7
        out.append(0x80 | (size >> shift & 0x7F))


# Ziplist: total bytes (4), offset of the last entry (4), count (2), entries, 0xFF. An entry: the size of the one before
# it (1 byte, or 0xFE and 4), encoding, bytes.


def ziplist(data: bytes) -> list[bytes]:
    """A list, hash or sorted set before Redis 7."""
    i: cython.Py_ssize_t = 10
    end: cython.Py_ssize_t = len(data) - 1
    start: cython.Py_ssize_t = i
    before: cython.Py_ssize_t = 0
    size: cython.Py_ssize_t
    first: cython.int
    entries: list[bytes] = []
    if end < 10 or _little(data, 0, 4) != end + 1 or data[end] != END:
        raise Corrupt("a ziplist's head or end is wrong")
    while i < end:
        start = i
        if data[i] < 0xFE:
            size = data[i]
            i += 1
        else:
            size = _little(data, i + 1, 4)
            i += 5
        if data[start] == END or size != before or i >= end:
            raise Corrupt("the size before an entry of a ziplist is wrong")
        first = data[i]
        if first < 0xC0:
            size, width = _ziplist_string(data, i, end)
            entries.append(data[i + width : i + size])
        elif 0xF1 <= first <= 0xFD:
            size = 1
            entries.append(b"%d" % (first - 0xF1))
        else:
            size = 1 + _ziplist_width(first)
            entries.append(_number(data, i + 1, size - 1))
        i += size
        if i > end:
            raise Corrupt("an entry of a ziplist reaches beyond its end")
        before = i - start
    if _little(data, 4, 4) != start or (data[8] | data[9] << 8) not in (UNCOUNTED, len(entries)):
        raise Corrupt("a ziplist has not the entries that it counts")
    return entries


@cython.cfunc
def _ziplist_string(data: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> tuple[int, int]:
    """The sizes of a string's entry from its encoding on, and of the encoding alone."""
    first: cython.int = data[at]
    if first < 0x40:
        return 1 + first, 1
    if at + 5 > end and not (first < 0x80 and at + 2 <= end):
        raise Corrupt("an entry of a ziplist reaches beyond its end")
    if first < 0x80:
        return 2 + ((first & 0x3F) << 8 | data[at + 1]), 2
    return 5 + int.from_bytes(data[at + 1 : at + 5], "big"), 5


@cython.cfunc
def _ziplist_width(first: cython.int) -> cython.Py_ssize_t:
    """Of a number's bytes."""
    if first == 0xFE:
        return 1
    if first == 0xC0:
        return 2
    if first == 0xD0:
        return 4
    if first == 0xE0:
        return 8
    if first == 0xF0:
        return 3
    raise Corrupt(f"{first:#x} begins no entry of a ziplist")


# Zipmap: count of pairs (1), pairs, 0xFF. A pair: field size, field, value size, unused bytes behind the value (1),
# value, those bytes. A size is 1 byte, or 0xFE and 4.


def zipmap(data: bytes) -> list[bytes]:
    """A hash before Redis 2.6: fields and values in turn."""
    i: cython.Py_ssize_t = 1
    end: cython.Py_ssize_t = len(data) - 1
    size: cython.Py_ssize_t
    unused: cython.Py_ssize_t
    entries: list[bytes] = []
    if end < 1 or data[end] != END:
        raise Corrupt("a zipmap's head or end is wrong")
    while i < end:
        unused = 0
        size = _zipmap_size(data, i, end)
        i += 1 if data[i] < 0xFE else 5
        if len(entries) & 1:
            if i >= end:
                raise Corrupt("a pair of a zipmap reaches beyond its end")
            unused = data[i]
            i += 1
        if size + unused > end - i:
            raise Corrupt("a pair of a zipmap reaches beyond its end")
        entries.append(data[i : i + size])
        i += size + unused
    if len(entries) & 1 or (data[0] < 0xFE and data[0] != len(entries) // 2):
        raise Corrupt("a zipmap has not the pairs that it counts")
    return entries


@cython.cfunc
def _zipmap_size(data: bytes, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
    if data[at] < 0xFE:
        return data[at]
    if data[at] == END or at + 5 > end:
        raise Corrupt("a size in a zipmap is wrong")
    return _little(data, at + 1, 4)


# Intset: bytes a number (4), count (4), the numbers in ascending order.


def intset(data: bytes) -> list[bytes]:
    """A set of integers."""
    if len(data) < 8:
        raise Corrupt("an intset's head is missing")
    width = _little(data, 0, 4)
    count = _little(data, 4, 4)
    if width not in (2, 4, 8) or count * width + 8 != len(data):
        raise Corrupt("an intset has not the numbers that it counts")
    numbers = [int.from_bytes(data[at : at + width], "little", signed=True) for at in range(8, len(data), width)]
    if any(numbers[at] <= numbers[at - 1] for at in range(1, len(numbers))):
        raise Corrupt("an intset is not in order")
    return [b"%d" % number for number in numbers]


def write_intset(members: list[bytes]) -> bytes:
    """Of integers of 64 bits as text. O(n log n)."""
    numbers = sorted(map(int, members))
    widest = max(numbers[-1], -1 - numbers[0])
    width, code = (2, "h") if widest < 2**15 else (4, "i") if widest < 2**31 else (8, "q")
    return struct.pack(f"<II{len(numbers)}{code}", width, len(numbers), *numbers)
