"""What a command did, as commands that do the same to equal data at any other time: for the append-only file.

Nothing in them depends on the clock, on chance or on the order in which a set happens to lie: a time to live is told as
the moment at which it ends, SPOP as SREM, a floating point sum as its result. Whoever executes them lets nothing expire
by itself: that a key or a field has gone is told like anything else. Most commands are told as they were written; how
the others are told is read from what they left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from ringkeeper.commands.context import Context
from ringkeeper.commands.hash_expiry import where_fields
from ringkeeper.commands.numbers import option_word
from ringkeeper.commands.table import Arguments, Command
from ringkeeper.store.keyspace import NO_EXPIRY, Change, Keyspace
from ringkeeper.types.hash import NO_EXPIRY as NO_FIELD_EXPIRY
from ringkeeper.types.hash import Hash

Told = tuple[int, Arguments]
"""A database, and a command to be executed in it."""
Translation = Callable[[Context, Arguments, Any], list[Arguments]]
"""Of a command's words and reply."""

GONE: Final = frozenset({"expired", "evicted"})
"""Events of keys that nobody deleted."""


def propagated(
    context: Context,
    command: Command,
    args: Arguments,
    reply: Any,
    changes: Sequence[Change],
    purged: Sequence[tuple[int, bytes, list[bytes]]],
) -> list[Told]:
    """What a command that has just run did, with what expired or was evicted before it.

    `changes` is what the keyspaces recorded, `purged` the fields that expired: database, key and names. O(changes).
    """
    told: list[Told] = [(index, [b"DEL", key]) for index, event, key, _ in changes if event in GONE and key is not None]
    told += [(index, [b"HDEL", key, *fields]) for index, key, fields in purged]
    if not command.write or not any(changed and event not in GONE for _, event, _, changed in changes):
        return told
    translation = TRANSLATIONS.get(command.name)
    database = context.database
    words = [args] if translation is None else translation(context, args, reply)
    told += [(database, each) for each in words]
    return told + times_given(context.databases, changes)


def times_given(databases: Sequence[Keyspace], changes: Sequence[Change]) -> list[Told]:
    """Expiries that a namespace gave to keys, or shortened."""
    places = {
        (index, key): None
        for index, event, key, changed in changes
        if changed and key is not None and event not in GONE and databases[index].has_spaces
    }
    return [
        (index, [b"PEXPIREAT", key, b"%d" % at])
        for index, key in places
        if databases[index].peek(key) is not None and (at := databases[index].expiry(key)) != NO_EXPIRY
    ]


# Keys


def whole_string(context: Context, args: Arguments, reply: Any) -> list[Arguments]:  # noqa: ARG001
    """The string that the first key holds now, with its expiry."""
    key = args[1]
    value: Any = context.keyspace.peek(key)
    if value is None:
        return [[b"DEL", key]]
    at = context.keyspace.expiry(key)
    return [[b"SET", key, bytes(value), *([] if at == NO_EXPIRY else [b"PXAT", b"%d" % at])]]


def expiry(context: Context, args: Arguments, reply: Any) -> list[Arguments]:  # noqa: ARG001
    """The expiry that the first key has now."""
    key = args[1]
    if context.keyspace.peek(key) is None:
        return [[b"DEL", key]]
    at = context.keyspace.expiry(key)
    return [[b"PERSIST", key] if at == NO_EXPIRY else [b"PEXPIREAT", key, b"%d" % at]]


def restored(context: Context, args: Arguments, reply: Any) -> list[Arguments]:  # noqa: ARG001
    key = args[1]
    if context.keyspace.peek(key) is None:
        return [[b"DEL", key]]
    at = context.keyspace.expiry(key)
    time = b"0" if at == NO_EXPIRY else b"%d" % at
    return [[b"RESTORE", key, time, args[3], b"REPLACE", b"ABSTTL"]]


def popped_members(context: Context, args: Arguments, reply: Any) -> list[Arguments]:
    key = args[1]
    if context.keyspace.peek(key) is None:
        return [[b"DEL", key]]
    return [[b"SREM", key, *([reply] if isinstance(reply, bytes) else reply)]]


def sorted_list(context: Context, args: Arguments, reply: Any) -> list[Arguments]:  # noqa: ARG001
    """SORT ... STORE: what it stored, since unsorted members come in an order of their own."""
    places = [at for at in range(2, len(args) - 1) if option_word(args[at]) == b"store"]
    if not places:
        return []
    key = args[places[-1] + 1]
    value: Any = context.keyspace.peek(key)
    return [[b"DEL", key], *([] if value is None else [[b"RPUSH", key, *value]])]


# Fields


def fields_of(keyspace: Keyspace, key: bytes, fields: Sequence[bytes], *, values: bool) -> list[Arguments]:
    """The fields as they are now: their values, if wanted, and their expiries, or that they are gone."""
    value: Any = keyspace.peek(key)
    if not isinstance(value, Hash):
        return [[b"DEL", key]]
    told: list[Arguments] = []
    for field in dict.fromkeys(fields):
        if field not in value:
            told.append([b"HDEL", key, field])
            continue
        if values:
            told.append([b"HSET", key, field, value.get(field) or b""])
        at = value.expiry(field)
        if at != NO_FIELD_EXPIRY:
            told.append([b"HPEXPIREAT", key, b"%d" % at, b"FIELDS", b"1", field])
        elif not values:
            told.append([b"HPERSIST", key, b"FIELDS", b"1", field])
    return told


def field_times(context: Context, args: Arguments, reply: Any) -> list[Arguments]:  # noqa: ARG001
    return fields_of(context.keyspace, args[1], args[where_fields(args, 2) + 2 :], values=False)


def fields_with_times(context: Context, args: Arguments, reply: Any) -> list[Arguments]:  # noqa: ARG001
    return fields_of(context.keyspace, args[1], args[where_fields(args, 2) + 2 :: 2], values=True)


def field_sum(context: Context, args: Arguments, reply: Any) -> list[Arguments]:  # noqa: ARG001
    return fields_of(context.keyspace, args[1], [args[2]], values=True)


# Commands that may have waited


def popped(name: bytes) -> Translation:
    """A pop from the one key that the reply names."""
    return lambda context, args, reply: [[name, reply[0]]]  # noqa: ARG005


def without_waiting(name: bytes, start: int, end: int | None = None) -> Translation:
    """The same words without those for the timeout."""
    return lambda context, args, reply: [[name, *args[start:end]]]  # noqa: ARG005


TRANSLATIONS: Final[dict[str, Translation]] = {
    **dict.fromkeys(("set", "setex", "psetex", "setnx", "getset", "incrbyfloat"), whole_string),
    **dict.fromkeys(("expire", "pexpire", "expireat", "pexpireat", "getex", "persist"), expiry),
    **dict.fromkeys(("restore", "restore-asking"), restored),
    "spop": popped_members,
    "sort": sorted_list,
    **dict.fromkeys(("hexpire", "hpexpire", "hexpireat", "hpexpireat", "hgetex"), field_times),
    "hsetex": fields_with_times,
    "hincrbyfloat": field_sum,
    "blpop": popped(b"LPOP"),
    "brpop": popped(b"RPOP"),
    "bzpopmin": popped(b"ZPOPMIN"),
    "bzpopmax": popped(b"ZPOPMAX"),
    "blmove": without_waiting(b"LMOVE", 1, 5),
    "brpoplpush": without_waiting(b"RPOPLPUSH", 1, 3),
    "blmpop": without_waiting(b"LMPOP", 2),
    "bzmpop": without_waiting(b"ZMPOP", 2),
}
"""Of the commands that are not told as they were written."""
