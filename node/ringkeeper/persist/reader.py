"""Reads the primitives of RDB: lengths, strings, numbers. Bounds every length before anything is made of it.

Source: `rdb.h` of Redis, and https://rdb.fnordig.de/file_format.html. A length's first byte holds in its upper two bits
what follows: 00 six bits of it, 01 fourteen, 10 (80 or 81 hexadecimal) 32 or 64 bits of their own, 11 no length but a
string in one of four other forms.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Protocol

import cython

if not cython.compiled:
    from ringkeeper.persist.crc64 import crc64
    from ringkeeper.persist.lzf import Unpacker
else:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.libc.string import memcpy
    from cython.cimports.ringkeeper.persist.crc64 import crc64_of
    from cython.cimports.ringkeeper.persist.lzf import Unpacker  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.table import write_integer

LONGEST_STRING = cython.declare(cython.ulonglong, 512 * 1024 * 1024)
"""What a compressed string may grow to: Redis's limit for strings, `proto-max-bulk-len`."""
MOST_GROWN = 4 * 512 * 1024 * 1024
"""What all compressed strings of one value may grow to where the caller sets no other limit."""


class Corrupt(ValueError):
    """These bytes are no value. The text says for the log why."""


class Empty(Corrupt):
    """They are a collection without elements, which Redis passes over in a file: old versions wrote such."""


class Source(Protocol):
    """A file that is read from anywhere."""

    def read_at(self, position: int, count: int) -> bytes:
        """So many bytes from there on; fewer only where the file ends."""


MOST_GROWTH = cython.declare(cython.ulonglong, 88)
"""As `lzf` has it: what a byte of a compressed string stands for, at most."""
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
        self.unpacker: Unpacker = Unpacker()
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
        self.summing = True

    @staticmethod
    def of_file(source: Source, size: int, start: int = 0, summing: bool = True) -> Reader:
        """At the beginning of a file of so many bytes, or at another place of it; `summing`: with a checksum."""
        reader = Reader(b"")
        reader.summing = summing
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
        """CRC-64 of all that was read of the file so far; 0 if none is kept."""
        if self.summed < self.position:
            self._add_up(self.data, self.summed, self.position)
            self.summed = self.position
        return int(self.sum)

    def _add_up(self, data: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> None:
        if not self.summing:
            return
        if cython.compiled:
            text: cython.p_const_uchar = data
            self.sum = crc64_of(text + start, end - start, self.sum)
        else:
            self.sum = crc64(data[start:end], self.sum)

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
        self._add_up(text, 0, count)
        self.data = b""
        self.offset = at + count
        self.position = self.summed = self.end = 0
        return text

    def take(self, count: cython.Py_ssize_t) -> bytes:
        """The next bytes."""
        text: bytes
        start: cython.Py_ssize_t = self.position
        if count < 0:
            raise Corrupt("it ends too early")
        if count > self.end - start:
            if count >= WINDOW:
                text = self._long(count)
                return text
            self._window(count)
            start = 0
        self.position = start + count
        if cython.compiled:
            text = PyBytes_FromStringAndSize(PyBytes_AS_STRING(self.data) + start, count)
            return text
        return self.data[start : start + count]

    def byte(self) -> cython.int:
        if self.position >= self.end:
            self._window(1)
        self.position += 1
        return self.data[self.position - 1]

    @cython.cfunc
    @cython.exceptval(1, check=True)
    def fixed(self, width: cython.Py_ssize_t, from_highest: cython.bint) -> cython.ulonglong:
        """A number without a sign, of so many bytes; the lowest is the first or the last."""
        i: cython.Py_ssize_t
        number: cython.ulonglong = 0
        if width > self.end - self.position:
            self._window(width)
        text: cython.p_const_uchar = self.data
        for i in range(width):
            if from_highest:
                number = number << 8 | text[self.position + i]
            else:
                number |= cython.cast(cython.ulonglong, text[self.position + i]) << 8 * i
        self.position += width
        return number

    def length(self) -> int:
        """Up to 2**64 - 1: to be compared with what is there before it is used."""
        length: cython.ulonglong = self.length_behind(self.byte())
        return int(length)

    @cython.cfunc
    @cython.exceptval(1, check=True)
    def length_behind(self, first: cython.int) -> cython.ulonglong:
        if first < 0x40:
            return first
        if first < 0x80:
            return (first & 0x3F) << 8 | self.byte()
        if first == 0x80:
            return self.fixed(4, True)
        if first == 0x81:
            return self.fixed(8, True)
        raise Corrupt(f"{first:#x} begins no length")

    @cython.cfunc
    @cython.exceptval(check=False)
    def bytes_left(self) -> cython.ulonglong:
        return cython.cast(cython.ulonglong, self.total - self.offset - self.position)

    def count(self, least: cython.Py_ssize_t = 1) -> cython.Py_ssize_t:
        """How many elements follow, each of `least` bytes or more."""
        count: cython.ulonglong = self.length_behind(self.byte())
        if count > self.bytes_left() // cython.cast(cython.ulonglong, least):
            raise Corrupt(f"{count} elements are announced, {self.left} bytes follow")
        return cython.cast(cython.Py_ssize_t, count)

    def string(self) -> bytes:
        """In any of its forms. O(its length)."""
        first: cython.int = self.byte()
        text: bytes
        if first < 0x40:
            text = self.take(first)
            return text
        if first < 0xC0:
            text = self._taken(self.length_behind(first))
            return text
        if first == 0xC3:
            text = self._compressed()
            return text
        if first > 0xC2:
            raise Corrupt(f"{first:#x} begins no string")
        text = self._integer(1 << (first & 3))
        return text

    def _integer(self, width: cython.Py_ssize_t) -> bytes:
        """As text."""
        if not cython.compiled:
            return b"%d" % int.from_bytes(self.take(width), "little", signed=True)
        number: cython.longlong = self.fixed(width, False)
        if number >> (8 * width - 1):
            number -= cython.cast(cython.longlong, 1) << 8 * width
        digits = cython.declare(cython.uchar[24])
        end: cython.p_uchar = digits + 24
        size: cython.Py_ssize_t = write_integer(number, end)
        text: bytes = PyBytes_FromStringAndSize(cython.cast(cython.p_char, end - size), size)
        return text

    def _taken(self, length: cython.ulonglong) -> bytes:
        """As `take`, for a length that may be more than an index can hold."""
        if length > self.bytes_left():
            raise Corrupt("it ends too early")
        text: bytes = self.take(cython.cast(cython.Py_ssize_t, length))
        return text

    def _compressed(self) -> bytes:
        """What it was compressed to is never here as a whole: a long one is read by windows."""
        held: cython.ulonglong = self.length_behind(self.byte())
        size: cython.ulonglong = self.length_behind(self.byte())
        if held > self.bytes_left():
            raise Corrupt("it ends too early")
        if size > LONGEST_STRING or size > self.room:
            raise Corrupt(f"{size} compressed bytes are too many")
        self.room -= size
        if size > MOST_GROWTH * held:
            raise Corrupt("a compressed string is damaged")
        self.unpacker.begin(cython.cast(cython.Py_ssize_t, size))
        left: cython.Py_ssize_t = cython.cast(cython.Py_ssize_t, held)
        while left > 0:
            done: cython.Py_ssize_t = min(left, WINDOW)
            if done > self.end - self.position:
                self._window(done)
            done = self.unpacker.feed(self.data, self.position, self.position + done) - self.position
            if done <= 0:
                raise Corrupt("a compressed string is damaged")
            self.position += done
            left -= done
        text: bytes | None = self.unpacker.finish()
        if text is None:
            raise Corrupt("a compressed string is damaged")
        return text

    def double(self) -> cython.double:
        """Eight bytes."""
        if not cython.compiled:
            return float(struct.unpack("<d", self.take(8))[0])
        bits: cython.ulonglong = self.fixed(8, False)
        number: cython.double = 0.0
        memcpy(cython.address(number), cython.address(bits), 8)
        return number

    def milliseconds(self) -> cython.Py_ssize_t:
        """A time, or -1 for none."""
        time: cython.ulonglong = self.fixed(8, False)
        if not cython.compiled and time >> 63:
            return time - (1 << 64)
        return cython.cast(cython.Py_ssize_t, time)
