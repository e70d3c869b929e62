"""A small key as one command that makes it elsewhere; a large one is told in parts (`slot_parts`), so that nobody is
stalled. Nothing is compressed: that would take more processor time than all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic_ns
from typing import Any, cast

import cython

from ringkeeper.persist.payload import dump
from ringkeeper.resp.doubles import format_double
from ringkeeper.store.keyspace import NO_EXPIRY, Value
from ringkeeper.types.zset_tree import TUPLES

if not cython.compiled:
    from ringkeeper.resp.writer import write_command
    from ringkeeper.store.keyspace import Keyspace
    from ringkeeper.types.hash import Hash
    from ringkeeper.types.list import List
    from ringkeeper.types.set import Set
    from ringkeeper.types.zset import SortedSet
else:
    from cython.cimports.ringkeeper.resp.writer import write_command  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.keyspace import Keyspace  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.hash import Hash  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.list import List  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.set import Set  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset import SortedSet  # type: ignore[no-redef]

LARGE = 256 * 1024
"""Bytes of a value that is told in parts."""
AT_ONCE = 256
"""Elements that are read at once, at most."""
ATTEMPTS = 3
"""At telling a large key in parts; then it is told whole, which takes the loop for as long as copying it does."""
USED = b"RINGKEEPER.USED"
"""What the uses of keys were, three words each: key, milliseconds since the last one, and its frequency, or -1 if
nobody counts it. For the target alone: a replica's uses are its own."""
JUST_NOW = 1000
"""Milliseconds since the last use, of which nothing is told: a key that has just come counts as used."""


def tell_small(
    keyspace: Keyspace,
    left: dict[bytes, Any],
    again: set[bytes],
    attempts: dict[bytes, int],
    out: bytearray,
    end: cython.longlong,
    most: cython.Py_ssize_t,
) -> tuple[int, bytes | None]:
    """Tell keys of `left` as they are now, one at least, until the monotonic clock says `end` or they are `most` bytes;
    DEL for one that has gone since it was listed. Answers how many, and the key that it ended before because it is to
    be told in parts; it is out of `left`, too.

    One that was changed again and again while that was tried is told whole.
    """
    count: cython.Py_ssize_t = 0
    began: cython.Py_ssize_t = len(out)
    used: list[bytes] = [USED]
    large: bytes | None = None
    while left:
        key: bytes = left.popitem()[0]
        value = keyspace.look(key)
        if value is None:
            write_command(out, [b"DEL", key])
        else:
            count += 1
            if keyspace.memory_of(key) > LARGE and attempts.get(key, 0) < ATTEMPTS:
                large = key
                break
            write_command(out, whole(keyspace, key, value, fresh=key not in again))
            used += uses(keyspace, key)
        if len(out) - began >= most or monotonic_ns() >= end:
            break
    if len(used) > 1:
        write_command(out, used)
    return count, large


def whole(keyspace: Keyspace, key: bytes, value: Value, *, fresh: bool) -> list[bytes]:
    """One command that makes the key, and when it expires; `fresh` if there is none of that name yet. O(value).

    RESTORE can tell everything, and takes twice as long to carry out as what clients write small values with.
    """
    expiry: cython.longlong = keyspace.expiry(key)
    if isinstance(value, (bytes, bytearray)):
        words = [b"SET", key, bytes(value)]
        return words if expiry == NO_EXPIRY else [*words, b"PXAT", b"%d" % expiry]
    timed = expiry != NO_EXPIRY or (isinstance(value, Hash) and value.expiries)
    if fresh and not timed and len(value) <= AT_ONCE:
        name, added = few(value)
        return [name, key, *added]
    at = b"0" if expiry == NO_EXPIRY else b"%d" % expiry
    return [b"RESTORE", key, at, dump(value, compressing=False), b"REPLACE", b"ABSTTL"]


def uses(keyspace: Keyspace, key: bytes) -> list[bytes]:
    """The words of `USED` for a key; none if there is nothing to tell."""
    idle: cython.longlong = keyspace.idle_ms(key)
    if keyspace.counts_frequency(key):
        return [key, b"%d" % idle, b"%d" % keyspace.frequency(key)]
    return [key, b"%d" % idle, b"-1"] if idle >= JUST_NOW else []


def note_uses(keyspace: Keyspace, args: list[bytes]) -> None:
    """As `USED` tells it."""
    at: cython.Py_ssize_t
    for at in range(1, len(args) - 2, 3):
        key: bytes = args[at]
        frequency: cython.longlong = int(args[at + 2])
        if frequency >= 0 and keyspace.counts_frequency(key):
            keyspace.set_frequency(key, frequency)
        else:
            keyspace.set_idle(key, int(args[at + 1]))


def few(value: Value) -> tuple[bytes, list[bytes]]:
    """By which command the elements of a collection are added, and with which words. O(elements)."""
    if isinstance(value, List):
        return b"RPUSH", value.range(0, -1)
    if isinstance(value, SortedSet):
        pairs = value.range(0, len(value), TUPLES)
        return b"ZADD", [word for member, score in pairs for word in (format_double(score), member)]
    if isinstance(value, Hash):
        return b"HSET", [word for pair in value.items() for word in pair]
    assert isinstance(value, Set)
    return b"SADD", value.members()


def scanned(value: Value, count: int) -> Iterator[tuple[bytes, list[bytes]]]:
    """The same of a hash or a set, about `count` elements at a time."""
    assert isinstance(value, (Hash, Set))
    cursor = 0
    while True:
        cursor, found = value.scan(cursor, count)
        if isinstance(value, Hash):
            yield b"HSET", [word for field in found for word in (field, cast(bytes, value.get(field)))]
        else:
            yield b"SADD", found
        if cursor == 0:
            return
