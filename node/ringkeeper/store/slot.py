"""From a key to its slot. Source: the Redis Cluster specification, "Key distribution model" and "Hash tags"."""

from __future__ import annotations

import binascii

import cython

SLOTS = 16384


def crc_of(byte: int) -> int:
    """What one byte contributes to the sum: CRC16 with the polynomial 0x1021."""
    crc = byte << 8
    for _ in range(8):
        crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
    return crc & 0xFFFF


HIGH = bytes(crc_of(byte) >> 8 for byte in range(256))
LOW = bytes(crc_of(byte) & 0xFF for byte in range(256))


@cython.locals(data=cython.p_const_uchar, high=cython.p_const_uchar, low=cython.p_const_uchar, x=cython.uint)
def key_slot(key: bytes) -> int:
    """CRC16 (XMODEM) of the key, or of what stands between its first `{` and the next `}` if that is not empty."""
    i: cython.Py_ssize_t
    crc: cython.uint = 0
    if b"{" in key:
        start = key.find(b"{")
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    if not cython.compiled:
        return binascii.crc_hqx(key, 0) & (SLOTS - 1)
    # The same sum: a call of binascii costs more than a short key does here.
    data, high, low = key, HIGH, LOW
    for i in range(len(key)):
        x = (crc >> 8) ^ data[i]
        crc = ((crc & 0xFF) << 8) ^ (high[x] << 8) ^ low[x]
    return int(crc & 0x3FFF)
