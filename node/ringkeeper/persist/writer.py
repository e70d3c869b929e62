"""Writes the primitives of RDB, each in its shortest form: what `reader` reads."""

from __future__ import annotations

import struct

import cython

from ringkeeper.persist.lzf import compress

LONGEST_INTEGER = cython.declare(cython.Py_ssize_t, 11)
"""Digits and sign of a number of 32 bits."""
SHORTEST_COMPRESSED = cython.declare(cython.Py_ssize_t, 20)
"""Longer strings are compressed, if that helps."""


def write_length(out: bytearray, length: cython.Py_ssize_t) -> None:
    if length < 0x40:
        out.append(length)
    elif length < 0x4000:
        out.append(0x40 | length >> 8)
        out.append(length & 0xFF)
    elif length < 1 << 32:
        out += b"\x80" + length.to_bytes(4, "big")
    else:
        out += b"\x81" + length.to_bytes(8, "big")


def write_string(out: bytearray, text: bytes) -> None:
    """As an integer where it is one, compressed where that is shorter. O(its length)."""
    size: cython.Py_ssize_t = len(text)
    if size <= LONGEST_INTEGER and _write_integer(out, text):
        return
    if size > SHORTEST_COMPRESSED:
        packed = compress(text)
        if packed is not None:
            out.append(0xC3)
            write_length(out, len(packed))
            write_length(out, size)
            out += packed
            return
    write_length(out, size)
    out += text


@cython.cfunc
def _write_integer(out: bytearray, text: bytes) -> bool:
    """Whether it is one of 32 bits at most, in the one way in which it would be read back."""
    if not text or not (text[0] == 0x2D or 0x30 <= text[0] <= 0x39):
        return False
    try:
        number = int(text)
    except ValueError:
        return False
    if b"%d" % number != text:
        return False
    for width in (0, 1, 2):
        if -(128 << 8 * ((1 << width) - 1)) <= number < 128 << 8 * ((1 << width) - 1):
            out.append(0xC0 | width)
            out += number.to_bytes(1 << width, "little", signed=True)
            return True
    return False


def write_double(out: bytearray, number: float) -> None:
    out += struct.pack("<d", number)


def write_milliseconds(out: bytearray, time: cython.longlong) -> None:
    """-1 for none."""
    out += int(time).to_bytes(8, "little", signed=True)
