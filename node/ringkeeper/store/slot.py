"""From a key to its slot. Source: the Redis Cluster specification, "Key distribution model" and "Hash tags"."""

from __future__ import annotations

import binascii

SLOTS = 16384


def key_slot(key: bytes) -> int:
    """CRC16 (XMODEM) of the key, or of what stands between its first `{` and the next `}` if that is not empty."""
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return binascii.crc_hqx(key, 0) & (SLOTS - 1)
