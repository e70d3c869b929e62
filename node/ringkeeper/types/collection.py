"""What the keyspace needs to know of a value that is no string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self


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


@dataclass
class Limits:
    """The directives that say up to where a collection counts as compact, and how long a string may be; one object a
    node, changed by CONFIG SET.

    Defaults are Redis 7.2's. A collection keeps the reference that it was made with and asks it when it grows.
    """

    hash_max_listpack_entries: int = 512

    hash_max_listpack_value: int = 64
    list_max_listpack_size: int = -2
    """Elements if positive; -1 to -5 mean 4, 8, 16, 32, 64 KiB."""
    list_compress_depth: int = 0
    set_max_intset_entries: int = 512
    set_max_listpack_entries: int = 128
    set_max_listpack_value: int = 64
    zset_max_listpack_entries: int = 128
    zset_max_listpack_value: int = 64
    proto_max_bulk_len: int = 512 * 1024 * 1024
    """Bytes of the longest string, whether it comes so or grows."""
