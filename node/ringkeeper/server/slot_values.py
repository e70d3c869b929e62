"""A key as commands that make it elsewhere: a small one as RESTORE, a large one in parts, so that nobody is stalled.

A part reads the value as it is then: who takes the parts of a value that changes meanwhile must begin again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from ringkeeper.commands.context import Serializer
from ringkeeper.resp.writer import encode_command
from ringkeeper.store.keyspace import NO_EXPIRY, Keyspace, Value
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

LARGE = 256 * 1024
"""Bytes of a value that is told in parts."""
PART = 64 * 1024
"""Bytes of a part, about."""
AT_ONCE = 256
"""Elements that are read at once."""
USED = b"RINGKEEPER.USED"
"""What a key's uses were: key, milliseconds since the last one, and its frequency, or -1 if nobody counts it."""


def whole(keyspace: Keyspace, key: bytes, value: Value, serializer: Serializer) -> bytes:
    """One RESTORE, with the times and uses of the key. O(value)."""
    expiry = keyspace.expiry(key)
    at = b"0" if expiry == NO_EXPIRY else b"%d" % expiry
    words = [b"RESTORE", key, at, serializer.dump(value), b"REPLACE", b"ABSTTL"]
    if keyspace.counts_frequency(key):
        words += [b"FREQ", b"%d" % keyspace.frequency(key)]
    else:
        words += [b"IDLETIME", b"%d" % (keyspace.idle_ms(key) // 1000)]
    return encode_command(words)


def parts(keyspace: Keyspace, key: bytes, value: Value) -> Iterator[bytes]:
    """Commands that make the key, whatever was there before. A string comes as one, since it is copied only."""
    if isinstance(value, (bytes, bytearray)):
        yield encode_command([b"SET", key, bytes(value)])
    else:
        yield encode_command([b"DEL", key])
        name, words = (b"", [])
        size = 0
        for name, found in elements(value):
            words += found
            size += sum(map(len, found))
            if size >= PART:
                yield encode_command([name, key, *words])
                words, size = [], 0
        if words:
            yield encode_command([name, key, *words])
        if isinstance(value, Hash):
            yield from expiries(key, value)
    if (at := keyspace.expiry(key)) != NO_EXPIRY:
        yield encode_command([b"PEXPIREAT", key, b"%d" % at])
    frequency = keyspace.frequency(key) if keyspace.counts_frequency(key) else -1
    yield encode_command([USED, key, b"%d" % keyspace.idle_ms(key), b"%d" % frequency])


def elements(value: Value) -> Iterator[tuple[bytes, list[bytes]]]:
    """By which command elements are added, and with which words; some at a time."""
    if isinstance(value, List):
        for start in range(0, len(value), AT_ONCE):
            yield b"RPUSH", value.range(start, start + AT_ONCE - 1)
    elif isinstance(value, SortedSet):
        for start in range(0, len(value), AT_ONCE):
            members = cast(list[bytes], value.range(start, min(start + AT_ONCE, len(value))))  # the stop excluded
            yield b"ZADD", [word for member in members for word in (b"%.17g" % (value.score(member) or 0.0), member)]
    else:
        assert isinstance(value, (Hash, Set))
        cursor = 0
        while True:
            cursor, found = value.scan(cursor, AT_ONCE)
            if isinstance(value, Hash):
                yield b"HSET", [word for field in found for word in (field, cast(bytes, value.get(field)))]
            else:
                yield b"SADD", found
            if cursor == 0:
                return


def expiries(key: bytes, value: Hash) -> Iterator[bytes]:
    """Of the fields that have one."""
    for field, at in list((value.expiries or {}).items()):
        yield encode_command([b"HPEXPIREAT", key, b"%d" % at, b"FIELDS", b"1", field])
