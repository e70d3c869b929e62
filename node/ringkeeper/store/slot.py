"""From a key to its slot. Source: the Redis Cluster specification, "Key distribution model" and "Hash tags"."""

from __future__ import annotations

import binascii

import cython

if cython.compiled:
    from cython.cimports.libc.string import memchr

SLOTS = 16384


def crc_of(byte: int) -> int:
    """What one byte contributes to the sum: CRC16 with the polynomial 0x1021."""
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
    return crc & 0xFFFF


if cython.compiled:
    TABLES = cython.declare(cython.ushort[2048])
    """What a byte contributes that is the last of the eight that are summed up at once; then that of the one before,
    and so on."""
    number: cython.int
    for number in range(256):
        TABLES[number] = crc_of(number)
    for number in range(256, 2048):
        TABLES[number] = ((TABLES[number - 256] << 8) & 0xFFFF) ^ TABLES[TABLES[number - 256] >> 8]


def hashed_part(key: bytes) -> bytes:
    """What stands between the key's first `{` and the next `}` if that is not empty, or else the key."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return key[start + 1 : end]
    return key


@cython.locals(opening=cython.p_const_uchar, closing=cython.p_const_uchar)
@cython.locals(data=cython.p_const_uchar, at=cython.Py_ssize_t, length=cython.Py_ssize_t, crc=cython.uint)
def key_slot(key: bytes) -> int:
    """CRC16 (XMODEM) of the `hashed_part` of a key."""
    if not cython.compiled:
        return binascii.crc_hqx(hashed_part(key), 0) & (SLOTS - 1)
    # The same sum: a call of binascii costs more than a short key does here. Eight bytes are summed up at once
    # (Kounavis and Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators", 2005).
    data = key
    length = len(key)
    opening = cython.cast(cython.p_const_uchar, memchr(data, 0x7B, length))
    if opening != cython.NULL:
        opening += 1
        closing = cython.cast(cython.p_const_uchar, memchr(opening, 0x7D, length - (opening - data)))
        if closing != cython.NULL and closing > opening:
            data = opening
            length = closing - opening
    at = 0
    crc = 0
    while length - at >= 8:
        crc = (
            TABLES[1792 + (data[at] ^ (crc >> 8))]
            ^ TABLES[1536 + (data[at + 1] ^ (crc & 0xFF))]
            ^ TABLES[1280 + data[at + 2]]
            ^ TABLES[1024 + data[at + 3]]
            ^ TABLES[768 + data[at + 4]]
            ^ TABLES[512 + data[at + 5]]
            ^ TABLES[256 + data[at + 6]]
            ^ TABLES[data[at + 7]]
        )
        at += 8
    while at < length:
        crc = ((crc & 0xFF) << 8) ^ TABLES[(crc >> 8) ^ data[at]]
        at += 1
    return int(crc & 0x3FFF)
