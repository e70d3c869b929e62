"""Reads the primitives of RDB: lengths, strings, numbers. Bounds every length before anything is made of it.

Source: `rdb.h` of Redis, and https://rdb.fnordig.de/file_format.html. A length's first byte holds in its upper two bits
what follows: 00 six bits of it, 01 fourteen, 10 (80 or 81 hexadecimal) 32 or 64 bits of their own, 11 no length but a
string in one of four other forms.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Protocol

import cython

from ringkeeper.persist.crc64 import crc64
from ringkeeper.persist.lzf import decompress

LONGEST_STRING = 512 * 1024 * 1024
"""What a compressed string may grow to: Redis's limit for strings, `proto-max-bulk-len`."""
MOST_GROWN = 4 * LONGEST_STRING
"""What all compressed strings of one value may grow to where the caller sets no other limit."""


class Corrupt(ValueError):
    """These bytes are no value. The text says for the log why."""


class Empty(Corrupt):
    """They are a collection without elements, which Redis passes over in a file: old versions wrote such."""


class Source(Protocol):
    """A file that is read from anywhere."""

    def read_at(self, position: int, count: int) -> bytes:
        """So many bytes from there on; fewer only where the file ends."""


WINDOW = cython.declare(cython.Py_ssize_t, 1 << 18)
"""Bytes that are read of a file at once, and the length from which a string is read on its own."""


@cython.final
@cython.cclass
class Reader:
    """A position in bytes. Every method raises `Corrupt` where the bytes end or are not what it reads.

    The bytes are all here, or a window of a file; longer strings are read in one piece of their own, so that no byte
    is twice in memory. Of a file the checksum is kept of what was read so far.
    """

    if TYPE_CHECKING:
        room: int

    def __init__(
        self, data: bytes, position: cython.Py_ssize_t = 0, end: cython.Py_ssize_t = -1, room: int = MOST_GROWN
    ) -> None:
        self.data = data
        self.position = position
        """Within `data`."""
        self.end = len(data) if end < 0 else end
        """Of what may be read of `data`."""
        self.offset = 0
        """Where `data` begins in the file."""
        self.total = self.end
        """The file's bytes."""
        self.source: Source | None = None
        self.room = room
        """Bytes that compressed strings may still grow to."""
        self.sum = 0
        self.summed = position
        """Up to where in `data` the bytes count in `sum`."""

    @staticmethod
    def of_file(source: Source, size: int, start: int = 0) -> Reader:
        """At the beginning of a file of so many bytes, or at another place of it."""
        reader = Reader(b"")
        reader.source = source
        reader.offset = start
        reader.total = size
        return reader

    @property
    def at(self) -> int:
        """The position in the file."""
        return int(self.offset + self.position)

    @property
    def left(self) -> int:
        return int(self.total - self.offset - self.position)

    def checksum(self) -> int:
        """CRC-64 of all that was read of the file so far."""
        if self.summed < self.position:
            self.sum = crc64(self.data[self.summed : self.position], self.sum)
            self.summed = self.position
        return int(self.sum)

    def _window(self, count: cython.Py_ssize_t) -> None:
        """Have at least so many bytes from the position on in `data`."""
        at: cython.longlong = self.offset + self.position
        if self.source is None or count > self.total - at:
            raise Corrupt("it ends too early")
        self.checksum()
        data: bytes = self.source.read_at(at, min(max(count, WINDOW), self.total - at))
        if len(data) < count:
            raise Corrupt("it ends too early")
        self.data = data
        self.end = len(data)
        self.offset = at
        self.position = self.summed = 0

    def _long(self, count: cython.Py_ssize_t) -> bytes:
        """As `take`, for more than a window."""
        at: cython.longlong = self.offset + self.position
        if self.source is None or count > self.total - at:
            raise Corrupt("it ends too early")
        self.checksum()
        text: bytes = self.source.read_at(at, count)
        if len(text) < count:
            raise Corrupt("it ends too early")
        self.sum = crc64(text, self.sum)
        self.data = b""
        self.offset = at + count
        self.position = self.summed = self.end = 0
        return text

    def take(self, count: cython.Py_ssize_t) -> bytes:
        """The next bytes."""
        start: cython.Py_ssize_t = self.position
        if count < 0:
            raise Corrupt("it ends too early")
        if count > self.end - start:
            if count >= WINDOW:
                text: bytes = self._long(count)
                return text
            self._window(count)
            start = 0
        self.position = start + count
        return self.data[start : start + count]

    def byte(self) -> cython.int:
        if self.position >= self.end:
            self._window(1)
        self.position += 1
        return self.data[self.position - 1]

    def length(self) -> int:
        """Up to 2**64 - 1: to be compared with what is there before it is used."""
        length: int = self._length_behind(self.byte())
        return length

    def _length_behind(self, first: cython.int) -> Any:
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.byte()
        if first == 0x80:
            return int.from_bytes(self.take(4), "big")
        if first == 0x81:
            return int.from_bytes(self.take(8), "big")
        raise Corrupt(f"{first:#x} begins no length")

    def count(self, least: cython.Py_ssize_t = 1) -> cython.Py_ssize_t:
        """How many elements follow, each of `least` bytes or more."""
        count = self.length()
        if count * least > self.left:
            raise Corrupt(f"{count} elements are announced, {self.left} bytes follow")
        return count

    def string(self) -> bytes:
        """In any of its forms. O(its length)."""
        first: cython.int = self.byte()
        text: bytes
        if first < 0x40:
            text = self.take(first)
            return text
        if first < 0xC0:
            text = self._taken(self._length_behind(first))
            return text
        if first == 0xC3:
            text = self._compressed()
            return text
        if first > 0xC2:
            raise Corrupt(f"{first:#x} begins no string")
        return b"%d" % int.from_bytes(self.take(1 << (first & 3)), "little", signed=True)

    def _taken(self, length: Any) -> bytes:
        """As `take`, for a length that may be more than an index can hold."""
        if length > self.total - self.offset - self.position:
            raise Corrupt("it ends too early")
        text: bytes = self.take(length)
        return text

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
