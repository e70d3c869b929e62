"""The checksum of RDB files and of DUMP payloads: CRC-64 with the polynomial of D. T. Jones.

Reflected, starting from 0, nothing added in the end; the sum of `123456789` is 0xe9c6d914c4b8d9ca. Eight bytes are
taken at a time, with a table for the place of each ("slicing by 8", Kounavis and Berry 2005).
"""

from __future__ import annotations

from array import array
from typing import Final

import cython

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING

POLYNOMIAL: Final = 0x95AC9329AC4BC9B5
"""0xad93d23594c935a9 with its bits reversed."""


def make_tables() -> array[int]:
    """256 sums of one byte; behind them those of the byte with one zero byte after it, with two, ... with seven."""
    sums = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (POLYNOMIAL if byte & 1 else 0)
        sums.append(byte)
    tables = array("Q", sums)
    for place in range(1, 8):
        tables.extend(
            sums[tables[256 * (place - 1) + byte] & 0xFF] ^ (tables[256 * (place - 1) + byte] >> 8)
            for byte in range(256)
        )
    return tables


TABLES: Final = make_tables()
TABLE_BYTES: Final = TABLES.tobytes()
TABLE = cython.declare(cython.p_ulonglong, cython.NULL)
"""Where these bytes are."""
if cython.compiled:
    TABLE = cython.cast(cython.p_ulonglong, PyBytes_AS_STRING(TABLE_BYTES))


def crc64(data: bytes, crc: cython.ulonglong = 0) -> int:
    """The sum of `data`, continuing that of what came before it. O(n)."""
    if not cython.compiled:
        return crc64_plain(data, crc)
    total: cython.ulonglong = crc64_of(data, len(data), crc)
    return int(total)


@cython.cfunc
@cython.exceptval(check=False)
@cython.locals(table=cython.p_ulonglong, word=cython.ulonglong)
def crc64_of(text: cython.p_const_uchar, length: cython.Py_ssize_t, crc: cython.ulonglong) -> cython.ulonglong:
    """The same of what stands somewhere in memory. Compiled only."""
    i: cython.Py_ssize_t = 0
    table = TABLE
    while i + 8 <= length:
        word = crc ^ (
            cython.cast(cython.ulonglong, text[i])
            | cython.cast(cython.ulonglong, text[i + 1]) << 8
            | cython.cast(cython.ulonglong, text[i + 2]) << 16
            | cython.cast(cython.ulonglong, text[i + 3]) << 24
            | cython.cast(cython.ulonglong, text[i + 4]) << 32
            | cython.cast(cython.ulonglong, text[i + 5]) << 40
            | cython.cast(cython.ulonglong, text[i + 6]) << 48
            | cython.cast(cython.ulonglong, text[i + 7]) << 56
        )
        crc = (
            table[1792 + (word & 0xFF)]
            ^ table[1536 + (word >> 8 & 0xFF)]
            ^ table[1280 + (word >> 16 & 0xFF)]
            ^ table[1024 + (word >> 24 & 0xFF)]
            ^ table[768 + (word >> 32 & 0xFF)]
            ^ table[512 + (word >> 40 & 0xFF)]
            ^ table[256 + (word >> 48 & 0xFF)]
            ^ table[word >> 56]
        )
        i += 8
    while i < length:
        crc = table[(crc ^ text[i]) & 0xFF] ^ (crc >> 8)
        i += 1
    return crc


def crc64_plain(data: bytes, crc: int) -> int:
    """A byte at a time."""
    for byte in data:
        crc = TABLES[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc
