"""The sorted set group: taking the lowest or highest members, and waiting for some."""

from __future__ import annotations

from typing import Any

import cython

from ringkeeper.commands.blocking import Blocked, deadline
from ringkeeper.commands.numbers import INT64_MAX, SYNTAX, option_word, parse_integer
from ringkeeper.commands.table import Arguments, Function, KeySpec, Reply, command
from ringkeeper.resp.values import NULL_ARRAY, ReplyError
from ringkeeper.types.zset_tree import PAIRS

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.types.zset import SortedSet
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset import SortedSet  # type: ignore[no-redef]

NOT_POSITIVE = "ERR value is out of range, must be positive"
ENDS = {b"min": False, b"max": True}


def pop(context: Context, key: bytes, found: SortedSet, count: int, *, highest: bool) -> list[list[object]]:
    """Take up to `count` members with their scores from one end of the set under a key, the outermost first."""
    length = len(found)
    count = min(count, length)
    start, stop = (length - count, length) if highest else (0, count)
    pairs = found.range(start, stop, PAIRS)
    if highest:
        pairs.reverse()
    found.remove_range(start, stop)
    context.keyspace.edited(key, found, "zpopmax" if highest else "zpopmin", count)
    return pairs


@cython.cfunc
def pop_one(context: Context, key: bytes, found: SortedSet, highest: cython.bint) -> list[Any]:
    """As `pop`, of a single member: it and its score."""
    rank: cython.Py_ssize_t = found.length() - 1 if highest else 0
    pair: list[Any] = found.range(rank, rank + 1, 1)  # FLAT
    found.remove(pair[0])
    context.keyspace.edited(key, found, "zpopmax" if highest else "zpopmin", 1)
    return pair


def positive(word: bytes, least: int, error: str) -> int:
    number = parse_integer(word)
    if number is None or number < least:
        raise ReplyError(error)
    return number


def _pop(*, highest: bool) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        if len(args) > 3:
            raise ReplyError(SYNTAX)
        count = positive(args[2], 0, NOT_POSITIVE) if len(args) == 3 else 1
        found: SortedSet | None = context.keyspace.peek_as(args[1], SortedSet)
        if found is None or count == 0:
            return []
        if len(args) == 2:
            return pop_one(context, args[1], found, highest)
        pairs = pop(context, args[1], found, count, highest=highest)
        if context.protocol > 2:
            return pairs
        return [word for pair in pairs for word in pair]

    return run


def _blocking_pop(*, highest: bool) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        keys = args[1:-1]
        until = deadline(context, args[-1])
        for key in keys:
            found = context.keyspace.peek_as(key, SortedSet)
            if found is not None:
                return [key, *pop_one(context, key, found, highest)]
        return Blocked(tuple(keys), SortedSet, until, NULL_ARRAY)

    return run


for _name, _highest, _adjective in (("ZPOPMIN", False, "lowest"), ("ZPOPMAX", True, "highest")):
    command(
        _name,
        arity=-2,
        flags="write fast",
        keys=(1, 1, 1),
        access="RW access delete",
        group="sorted_set",
        since="5.0.0",
        complexity="O(log(N)*M) with N being the number of elements in the sorted set, and M being the number of "
        "elements popped.",
        summary=f"Returns the {_adjective}-scoring members from a sorted set after removing them. Deletes the sorted "
        "set if the last member was popped.",
    )(_pop(highest=_highest))
    command(
        f"B{_name}",
        arity=-3,
        flags="write noscript blocking fast",
        keys=(1, -2, 1),
        access="RW access delete",
        group="sorted_set",
        since="5.0.0",
        complexity="O(log(N)) with N being the number of elements in the sorted set.",
        summary=f"Removes and returns the member with the {_adjective} score from one or more sorted sets. Blocks "
        "until a member is available otherwise. Deletes the sorted set if the last element was popped.",
    )(_blocking_pop(highest=_highest))


def parse_mpop(args: Arguments, index: int) -> tuple[list[bytes], bool, int]:
    """Keys, whether from the highest end, and the count, of `numkeys key [key ...] MIN | MAX [COUNT count]`."""
    count = positive(args[index], 1, "ERR numkeys should be greater than 0")
    where = index + 1 + min(count, INT64_MAX // 2)
    if where >= len(args) or option_word(args[where]) not in ENDS:
        raise ReplyError(SYNTAX)
    keys, rest = args[index + 1 : where], args[where + 1 :]
    most = 1
    if rest:
        if len(rest) == 1 or option_word(rest[0]) != b"count":
            raise ReplyError(SYNTAX)
        most = positive(rest[1], 1, "ERR count should be greater than 0")
        if len(rest) > 2:
            raise ReplyError(SYNTAX)
    return keys, ENDS[option_word(args[where])], most


def pop_first(context: Context, keys: list[bytes], count: int, *, highest: bool) -> Reply:
    """From the first of the keys that has a set: the key, and pairs. None if there is no such key."""
    for key in keys:
        found = context.keyspace.peek_as(key, SortedSet)
        if found is not None:
            return [key, pop(context, key, found, count, highest=highest)]
    return None


@command(
    "ZMPOP",
    arity=-4,
    flags="write movablekeys",
    key_specs=(KeySpec("RW access delete", 1, counted=True),),
    group="sorted_set",
    since="7.0.0",
    complexity="O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the "
    "sorted set, and M being the number of elements popped.",
    summary="Returns the highest- or lowest-scoring members from one or more sorted sets after removing them. Deletes "
    "the sorted set if the last member was popped.",
)
def zmpop(context: Context, args: Arguments) -> Reply:
    keys, highest, count = parse_mpop(args, 1)
    return pop_first(context, keys, count, highest=highest) or NULL_ARRAY


@command(
    "BZMPOP",
    arity=-5,
    flags="write blocking movablekeys",
    key_specs=(KeySpec("RW access delete", 2, counted=True),),
    group="sorted_set",
    since="7.0.0",
    complexity="O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of elements in the "
    "sorted set, and M being the number of elements popped.",
    summary="Removes and returns a member by score from one or more sorted sets. Blocks until a member is available "
    "otherwise. Deletes the sorted set if the last element was popped.",
)
def bzmpop(context: Context, args: Arguments) -> Reply:
    keys, highest, count = parse_mpop(args, 2)
    until = deadline(context, args[1])
    reply = pop_first(context, keys, count, highest=highest)
    return Blocked(tuple(keys), SortedSet, until, NULL_ARRAY) if reply is None else reply
