"""A number of 160 bits for what a key or a whole dataset holds: the same for the same data, on any server.

    sum(a)        SHA-1 of a
    xor(d, a)     d ^ sum(a): whatever the order
    mix(d, a)     sum(d ^ sum(a)): in this order

A dataset mixes in the number of each database that is not empty, then takes its keys in any order. A key mixes its name
and its type with what it holds: a list's elements in their order, a set's in any, and of each field or member of a
hash or sorted set one number, in any order. Whether a key expires counts, when it does not; of fields neither counts.

Source: `debug.c` of Redis, from 7.2 on, where scores are printed in their shortest form.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from hashlib import sha1

from ringkeeper.resp.doubles import format_double
from ringkeeper.store.keyspace import NO_EXPIRY, Keyspace, Value
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

SIZE = 20
"""Bytes of a digest."""
STRING, LIST, SET, ZSET, HASH = range(5)
"""Redis's numbers for the types."""
EXPIRES = b"!!expire!!"


def digest_of_dataset(databases: Iterable[Keyspace]) -> bytes:
    """Of the live keys. O(bytes of all)."""
    digest = 0
    for keyspace in databases:
        sums = [
            sum_of(whole(mix_value(mix(0, key), value, expires_at))) for key, value, expires_at, _ in keyspace.entries()
        ]
        if sums:
            digest = functools.reduce(operator.xor, sums, mix(digest, keyspace.index.to_bytes(4, "big")))
    return whole(digest)


def digest_of_value(value: Value | None, expires_at: int) -> bytes:
    """Of no value it is zero. O(its bytes)."""
    return whole(0 if value is None else mix_value(0, value, expires_at))


def mix_value(digest: int, value: Value, expires_at: int) -> int:
    if isinstance(value, (bytes, bytearray)):
        digest = mix(mix_type(digest, STRING), value)
    elif isinstance(value, List):
        digest = mix_type(digest, LIST)
        for element in value:
            digest = mix(digest, element)
    elif isinstance(value, Set):
        digest = mix_type(digest, SET)
        for member in value:
            digest ^= sum_of(member)
    elif isinstance(value, SortedSet):
        digest = mix_type(digest, ZSET)
        for member, score in value.items():
            digest ^= sum_of(whole(mix(mix(0, member), format_double(score))))
    elif isinstance(value, Hash):
        digest = mix_type(digest, HASH)
        for field, text in value.items():
            digest ^= sum_of(whole(mix(mix(0, field), text)))
    else:
        raise TypeError(f"{value.kind} has no digest")
    return digest if expires_at == NO_EXPIRY else digest ^ sum_of(EXPIRES)


def mix_type(digest: int, number: int) -> int:
    return mix(digest, number.to_bytes(4, "big"))


def mix(digest: int, text: bytes | bytearray) -> int:
    return sum_of(whole(digest ^ sum_of(text)))


def sum_of(text: bytes | bytearray) -> int:
    return int.from_bytes(sha1(text, usedforsecurity=False).digest(), "big")


def whole(digest: int) -> bytes:
    return digest.to_bytes(SIZE, "big")
