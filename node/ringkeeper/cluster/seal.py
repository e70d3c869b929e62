"""Who may say something in a datagram: HMAC-SHA256 by the admin token in front of what is said, 32 bytes.

It tells that the sender has the token; what makes an old datagram worthless are the stamps, terms and run ids inside.
Written upon the hash alone, which Python brings as a small module: `hmac` and `hashlib` load all of OpenSSL, and the
lease process, one beside every node, is to stay small.

Sources: RFC 2104, RFC 6234; the test vectors of RFC 4231.
"""

from __future__ import annotations

from typing import Any

try:
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:
        from hashlib import sha256

from _operator import _compare_digest

SEAL = 32
"""Bytes."""
BLOCK = 64
INNER, OUTER = bytes(i ^ 0x36 for i in range(256)), bytes(i ^ 0x5C for i in range(256))


class Sealer:
    """Seals and opens with one token."""

    def __init__(self, token: bytes) -> None:
        key = (sha256(token).digest() if len(token) > BLOCK else token).ljust(BLOCK, b"\0")
        self.inner: Any = sha256(key.translate(INNER))
        self.outer: Any = sha256(key.translate(OUTER))

    def of(self, data: bytes) -> bytes:
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        seal: bytes = outer.digest()
        return seal

    def seal(self, data: bytes) -> bytes:
        """The datagram that says this."""
        return self.of(data) + data

    def open(self, datagram: bytes) -> bytes | None:
        """What a datagram says, or None if its sender does not have the token."""
        data = datagram[SEAL:]
        return data if _compare_digest(datagram[:SEAL], self.of(data)) else None
