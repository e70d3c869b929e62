"""Writes the primitives of RDB, each in its shortest form: what `reader` reads.

What is written is gathered, and handed on in chunks of some 64 KiB with their checksum kept up: however long a string
is, no more of it is copied at once than a piece (`PIECE`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cython

if not cython.compiled:
    from ringkeeper.persist.crc64 import crc64
    from ringkeeper.persist.lzf import compress_into
else:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Realloc
    from cython.cimports.libc.string import memcpy
    from cython.cimports.ringkeeper.persist.crc64 import crc64_of
    from cython.cimports.ringkeeper.persist.lzf import compress_into  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.table import integer_in, write_integer

LONGEST_INTEGER = cython.declare(cython.Py_ssize_t, 11)
"""Digits and sign of a number of 32 bits."""
SHORTEST_COMPRESSED = cython.declare(cython.Py_ssize_t, 20)
"""Longer strings are compressed, if that helps."""
SAVED = cython.declare(cython.Py_ssize_t, 4)
"""Bytes by which it must be shorter for that."""
PIECE = cython.declare(cython.Py_ssize_t, 1 << 20)
"""Bytes that are compressed at once. Of a longer string the pieces are compressed twice: first to learn how long they
become together, which stands before them."""
CHUNK = cython.declare(cython.Py_ssize_t, 1 << 16)
"""Bytes that are gathered before they are handed on."""


@cython.final
@cython.cclass
class Writer:
    """Hands on what is written to `write`; without it, gathers all of it. Text is named by where it begins and its
    length; in the pure form it is `bytes`. O(bytes) each."""

    if TYPE_CHECKING:
        data: Any
        room: int
        scratch: Any
        scratch_room: int

    def __init__(
        self, write: Callable[[bytes], object] | None = None, compressing: bool = True, summing: bool = True
    ) -> None:
        self.write = write
        self.compressing = compressing
        self.summing = summing
        """Whether a checksum is kept: of what was handed on."""
        self.out = bytearray()
        """What is gathered: in the pure form."""
        self.used = 0
        """Bytes that are gathered: compiled, at `data`."""
        self.maker: object = None
        """What makes listpacks for it (`direct_writing.py`)."""
        self.sum = 0
        self.written = 0
        """Bytes that were handed on."""

    def __dealloc__(self) -> None:
        PyMem_Free(self.data)
        PyMem_Free(self.scratch)

    @cython.cfunc
    def reserve(self, count: cython.Py_ssize_t) -> None:
        """See to room for so many bytes more. Compiled only."""
        if self.used + count <= self.room:
            return
        if self.write is not None and self.used:
            self.hand_on()
        if self.used + count > self.room:
            room: cython.Py_ssize_t = max(self.used + count, CHUNK if self.write is not None else 2 * self.room)
            block: cython.p_void = PyMem_Realloc(self.data, room)
            if block is cython.NULL:
                raise MemoryError
            self.data = cython.cast(cython.p_uchar, block)
            self.room = room

    @cython.cfunc
    def reserve_scratch(self, count: cython.Py_ssize_t) -> None:
        """Let there be so many bytes for what is compressed."""
        if not cython.compiled:
            self.scratch = bytearray(count)
        elif count > self.scratch_room:
            block: cython.p_void = PyMem_Realloc(self.scratch, count)
            if block is cython.NULL:
                raise MemoryError
            self.scratch = cython.cast(cython.p_uchar, block)
            self.scratch_room = count

    def byte(self, byte: cython.int) -> None:
        if not cython.compiled:
            self.out.append(byte)
            return
        self.reserve(1)
        self.data[self.used] = cython.cast(cython.uchar, byte)
        self.used += 1

    @cython.cfunc
    def raw(self, text: cython.p_const_uchar, size: cython.Py_ssize_t) -> None:
        """Bytes as they are."""
        part: cython.Py_ssize_t
        if not cython.compiled:
            for start in range(0, size, CHUNK):
                self.out += text[start : min(start + CHUNK, size)]
                if len(self.out) >= CHUNK and self.write is not None:
                    self.hand_on()
            return
        if self.write is None or size <= CHUNK:
            self.reserve(size)
            memcpy(self.data + self.used, text, size)
            self.used += size
            return
        while size > 0:
            part = min(size, CHUNK)
            self.reserve(part)
            memcpy(self.data + self.used, text, part)
            self.used += part
            text += part
            size -= part

    def length(self, length: cython.ulonglong) -> None:
        shift: cython.int
        if length < 0x40:
            self.byte(cython.cast(cython.int, length))
        elif length < 0x4000:
            self.byte(0x40 | cython.cast(cython.int, length >> 8))
            self.byte(length & 0xFF)
        else:
            self.byte(0x80 if length < 1 << 32 else 0x81)
            for shift in range(24 if length < 1 << 32 else 56, -1, -8):
                self.byte(length >> shift & 0xFF)

    @cython.cfunc
    def string(self, text: cython.p_const_uchar, size: cython.Py_ssize_t) -> None:
        """As an integer where it is one, compressed where that is shorter."""
        if size <= LONGEST_INTEGER and self.put_integer(text, size):
            return
        if size > SHORTEST_COMPRESSED and self.compressing and self.put_compressed(text, size):
            return
        self.length(size)
        self.raw(text, size)

    def text(self, text: bytes) -> None:
        """As `string`."""
        if cython.compiled:
            self.string(cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(text)), len(text))
        else:
            self.string(text, len(text))

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def put_integer(self, text: cython.p_const_uchar, size: cython.Py_ssize_t) -> cython.bint:
        """Whether it is one of 32 bits at most, in the one way in which it would be read back."""
        is_integer: cython.bint = False
        if cython.compiled:
            number: cython.longlong = integer_in(text, size, cython.address(is_integer))
            return is_integer and -(1 << 31) <= number < 1 << 31 and self.integer(number)
        if not text or not (text[0] == 0x2D or 0x30 <= text[0] <= 0x39):
            return False
        try:
            exact = int(text)
        except ValueError:
            return False
        return b"%d" % exact == text and -(1 << 31) <= exact < 1 << 31 and self.integer(exact)

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def integer(self, number: cython.longlong) -> cython.bint:
        """A string that is an integer of 64 bits: True."""
        width: cython.int = 0 if -128 <= number < 128 else 1 if -32768 <= number < 32768 else 2
        if width == 2 and not -(1 << 31) <= number < 1 << 31:
            if not cython.compiled:
                self.text(b"%d" % number)
                return True
            digits = cython.declare(cython.uchar[24])
            end: cython.p_uchar = digits + 24
            size: cython.Py_ssize_t = write_integer(number, end)
            self.length(size)
            self.raw(end - size, size)
            return True
        self.byte(0xC0 | width)
        shift: cython.int
        for shift in range(0, 8 << width, 8):
            self.byte(number >> shift & 0xFF)
        return True

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def pack(self, text: cython.p_const_uchar, start: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Compress the piece of a text that begins there, into the scratch; its length."""
        part: cython.Py_ssize_t = min(size - start, PIECE)
        room: cython.Py_ssize_t = part + part // 32 + 8
        self.reserve_scratch(room)
        if cython.compiled:
            return compress_into(text + start, part, self.scratch, room)
        return int(compress_into(text[start : start + part], part, self.scratch, room))

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def put_compressed(self, text: cython.p_const_uchar, size: cython.Py_ssize_t) -> cython.bint:
        """Whether that made it shorter."""
        start: cython.Py_ssize_t
        packed: cython.Py_ssize_t
        if size <= PIECE:
            self.reserve_scratch(size)
            packed = compress_into(text, size, self.scratch, size - SAVED)
            if packed == 0:
                return False
        else:
            packed = 0
            for start in range(0, size, PIECE):
                packed += self.pack(text, start, size)
                if packed > size - SAVED:
                    return False
        self.byte(0xC3)
        self.length(packed)
        self.length(size)
        if size <= PIECE:
            self.raw(self.scratch, packed)
        else:
            for start in range(0, size, PIECE):
                packed = self.pack(text, start, size)
                self.raw(self.scratch, packed)
        return True

    def double(self, number: cython.double) -> None:
        bits: cython.ulonglong = 0
        shift: cython.int
        if not cython.compiled:
            self.out += struct.pack("<d", number)
            return
        memcpy(cython.address(bits), cython.address(number), 8)
        for shift in range(0, 64, 8):
            self.byte(bits >> shift & 0xFF)

    def milliseconds(self, time: cython.longlong) -> None:
        """-1 for none."""
        shift: cython.int
        for shift in range(0, 64, 8):
            self.byte(time >> shift & 0xFF)

    def checksum(self) -> None:
        """Of all before it; 0 if none was kept."""
        shift: cython.int
        self.hand_on()
        total: cython.ulonglong = self.sum
        for shift in range(0, 64, 8):
            self.byte(total >> shift & 0xFF)
        self.hand_on()

    def hand_on(self) -> None:
        """Give what is gathered to `write`."""
        chunk: bytes
        if cython.compiled:
            chunk = PyBytes_FromStringAndSize(cython.cast(cython.p_char, self.data), self.used)
            if self.summing:
                self.sum = crc64_of(self.data, self.used, self.sum)
        else:
            chunk = bytes(self.out)
            self.out.clear()
            if self.summing:
                self.sum = crc64(chunk, self.sum)
        self.used = 0
        self.written += len(chunk)
        if self.write is not None:
            self.write(chunk)

    def whole(self) -> bytes:
        """All that is gathered."""
        if not cython.compiled:
            return bytes(self.out)
        whole: bytes = PyBytes_FromStringAndSize(cython.cast(cython.p_char, self.data), self.used)
        return whole
