"""Reads the primitives of RDB: lengths, strings, numbers. Bounds every length before anything is made of it.

Source: `rdb.h` of Redis, and https://rdb.fnordig.de/file_format.html. A length's first byte holds in its upper two bits
what follows: 00 six bits of it, 01 fourteen, 10 (80 or 81 hexadecimal) 32 or 64 bits of their own, 11 no length but a
string in one of four other forms.
"""

from __future__ import annotations

import struct

import cython

from ringkeeper.persist.lzf import decompress

LONGEST_STRING = 512 * 1024 * 1024
"""What a compressed string may grow to: Redis's limit for strings, `proto-max-bulk-len`."""
MOST_GROWN = 4 * LONGEST_STRING
"""What all compressed strings of one value may grow to where the caller sets no other limit."""


class Corrupt(ValueError):
    """These bytes are no value. The text says for the log why."""


@cython.final
@cython.cclass
class Reader:
    """A position in bytes. Every method raises `Corrupt` where the bytes end or are not what it reads."""

    data: bytes
    position = cython.declare(cython.Py_ssize_t, visibility="readonly")
    end: cython.Py_ssize_t
    room: cython.longlong

    def __init__(
        self, data: bytes, position: cython.Py_ssize_t = 0, end: cython.Py_ssize_t = -1, room: int = MOST_GROWN
    ) -> None:
        self.data = data
        self.position = position
        self.end = len(data) if end < 0 else end
        self.room = room
        """Bytes that compressed strings may still grow to."""

    @property
    def left(self) -> int:
        return int(self.end - self.position)

    @cython.ccall
    def take(self, count: cython.Py_ssize_t) -> bytes:
        """The next bytes."""
        start: cython.Py_ssize_t = self.position
        if count < 0 or count > self.end - start:
            raise Corrupt("it ends too early")
        self.position = start + count
        return self.data[start : start + count]

    @cython.ccall
    def byte(self) -> cython.int:
        if self.position >= self.end:
            raise Corrupt("it ends too early")
        self.position += 1
        return self.data[self.position - 1]

    @cython.ccall
    def length(self) -> object:
        """Up to 2**64 - 1: to be compared with what is there before it is used."""
        return self._length_behind(self.byte())

    @cython.cfunc
    def _length_behind(self, first: cython.int) -> object:
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.byte()
        if first == 0x80:
            return int.from_bytes(self.take(4), "big")
        if first == 0x81:
            return int.from_bytes(self.take(8), "big")
        raise Corrupt(f"{first:#x} begins no length")

    @cython.ccall
    def count(self, least: cython.Py_ssize_t = 1) -> cython.Py_ssize_t:
        """How many elements follow, each of `least` bytes or more."""
        count = self.length()
        if count * least > self.end - self.position:
            raise Corrupt(f"{count} elements are announced, {self.end - self.position} bytes follow")
        return count

    @cython.ccall
    def string(self) -> bytes:
        """In any of its forms. O(its length)."""
        first: cython.int = self.byte()
        text: bytes
        if first < 0xC0:
            text = self._taken(self._length_behind(first))
            return text
        if first == 0xC3:
            text = self._compressed()
            return text
        if first > 0xC2:
            raise Corrupt(f"{first:#x} begins no string")
        return b"%d" % int.from_bytes(self.take(1 << (first & 3)), "little", signed=True)

    @cython.cfunc
    def _taken(self, length: object) -> bytes:
        """As `take`, for a length that may be more than an index can hold."""
        if length > self.end - self.position:
            raise Corrupt("it ends too early")
        text: bytes = self.take(length)
        return text

    @cython.cfunc
    def _compressed(self) -> bytes:
        held = self.length()
        size = self.length()
        packed: bytes = self._taken(held)
        if size > LONGEST_STRING or size > self.room:
            raise Corrupt(f"{size} compressed bytes are too many")
        self.room -= size
        text = decompress(packed, size)
        if text is None:
            raise Corrupt("a compressed string is damaged")
        return text

    def double(self) -> float:
        """Eight bytes."""
        number: float = struct.unpack("<d", self.take(8))[0]
        return number

    def milliseconds(self) -> int:
        """A time, or -1 for none."""
        return int.from_bytes(self.take(8), "little", signed=True)
