"""From a key to its slot. Source: the Redis Cluster specification, "Key distribution model" and "Hash tags"."""

from __future__ import annotations

import binascii

import cython

SLOTS = 16384


@cython.locals(data=cython.p_const_uchar)
def key_slot(key: bytes) -> int:
    """CRC16 (XMODEM) of the key, or of what stands between its first `{` and the next `}` if that is not empty."""
    i: cython.Py_ssize_t
    crc: cython.uint = 0
    x: cython.uint
    if b"{" in key:
        start = key.find(b"{")
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    if not cython.compiled:
        return binascii.crc_hqx(key, 0) & (SLOTS - 1)
    # The same sum without a table, a byte at a time: a call of binascii costs more than a short key does here.
    data = key
    for i in range(len(key)):
        x = ((crc >> 8) ^ data[i]) & 0xFF
        x ^= x >> 4
        crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xFFFF
    return int(crc & 0x3FFF)
