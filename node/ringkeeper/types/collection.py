"""What the keyspace needs to know of a value that is no string."""

from __future__ import annotations

from typing import Protocol, Self

import cython


class Collection(Protocol):
    """A hash, list, set or sorted set. Commands change it by its own methods, then call `Keyspace.edited`.

    Nothing that a collection holds leads back to it, so its class is `no_gc`: the cyclic collector never looks at it.
    """

    memory: int
    """Estimated bytes, kept up by the collection with every change."""

    @property
    def kind(self) -> str:
        """Redis's TYPE: hash, list, set, zset."""

    @property
    def encoding(self) -> str:
        """Redis's OBJECT ENCODING, by the thresholds of `Limits`."""

    def __len__(self) -> int:
        """Elements (fields of a hash). O(1)."""

    def copy(self) -> Self:
        """One that shares nothing that changes. O(n)."""

    def shed(self, count: int) -> int:
        """Let go of about so many elements of a collection that nobody will ask again; how many. O(count).

        `memory` and the like need not be kept up. In such steps a huge collection is freed without stalling anybody.
        """

    def check(self) -> None:
        """Assert every invariant. O(n), for tests."""


@cython.final
@cython.cclass
class Limits:
    """The directives that say up to where a collection counts as compact, and how long a string may be; one object a
    node, changed by CONFIG SET.

    Defaults are Redis 7.2's. A collection keeps the reference that it was made with and asks it when it grows.
    """

    def __init__(self, **changed: int) -> None:
        self.hash_max_listpack_entries = 512
        self.hash_max_listpack_value = 64
        self.list_max_listpack_size = -2
        """Elements if positive; -1 to -5 mean 4, 8, 16, 32, 64 KiB."""
        self.list_compress_depth = 0
        self.set_max_intset_entries = 512
        self.set_max_listpack_entries = 128
        self.set_max_listpack_value = 64
        self.zset_max_listpack_entries = 128
        self.zset_max_listpack_value = 64
        self.proto_max_bulk_len = 512 * 1024 * 1024
        """Bytes of the longest string, whether it comes so or grows."""
        for name, value in changed.items():
            setattr(self, name, value)


LIMITS = (
    "hash_max_listpack_entries", "hash_max_listpack_value", "list_max_listpack_size", "list_compress_depth",
    "set_max_intset_entries", "set_max_listpack_entries", "set_max_listpack_value", "zset_max_listpack_entries",
    "zset_max_listpack_value", "proto_max_bulk_len",
)  # fmt: skip
"""The attributes of `Limits`: the names of the directives, with underscores."""
