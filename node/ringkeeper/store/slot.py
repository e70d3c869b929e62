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
    TABLE = cython.declare(cython.ushort[256])
    number: cython.int
    for number in range(256):
        TABLE[number] = crc_of(number)


def hashed_part(key: bytes) -> bytes:
    """What stands between the key's first `{` and the next `}` if that is not empty, or else the key."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            return key[start + 1 : end]
    return key


@cython.locals(data=cython.p_const_uchar, i=cython.Py_ssize_t, crc=cython.uint)
def key_slot(key: bytes) -> int:
    """CRC16 (XMODEM) of the `hashed_part` of a key."""
    if not cython.compiled:
        return binascii.crc_hqx(hashed_part(key), 0) & (SLOTS - 1)
    # The same sum: a call of binascii costs more than a short key does here.
    data = key
    if memchr(data, 0x7B, len(key)) != cython.NULL:
        key = hashed_part(key)
        data = key
    crc = 0
    for i in range(len(key)):
        crc = ((crc & 0xFF) << 8) ^ TABLE[(crc >> 8) ^ data[i]]
    return int(crc & 0x3FFF)
