"""The set group."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cython

from ringkeeper.commands.collections import choose, matcher, random_count, scan_options
from ringkeeper.commands.generic import parse_cursor
from ringkeeper.commands.numbers import SYNTAX, integer, option_word
from ringkeeper.commands.table import Arguments, Function, KeySpec, Reply, command
from ringkeeper.resp.values import SET, Bulks, ReplyError, SetReply
from ringkeeper.store.keyspace import NO_EXPIRY

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.types.set import Set
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.set import Set  # type: ignore[no-redef]


@command(
    "SADD",
    arity=-3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW insert",
    group="set",
    since="1.0.0",
    complexity="O(1) for each element added, so O(N) to add N elements when the command is called with multiple "
    "arguments.",
    summary="Adds one or more members to a set. Creates the key if it doesn't exist.",
)
def sadd(context: Context, args: Arguments) -> Reply:
    key: bytes = args[1]
    found: Set | None = context.keyspace.peek_as(key, Set)
    if found is None:
        found = Set(context.limits)
    if len(args) > 3:
        found.expect(args[2], len(args) - 2)
    added: cython.Py_ssize_t = 0
    index: cython.Py_ssize_t
    for index in range(2, len(args)):
        added += found.add(args[index])
    context.keyspace.edited(key, found, "sadd", added)
    return added


@command(
    "SREM",
    arity=-3,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW delete",
    group="set",
    since="1.0.0",
    complexity="O(N) where N is the number of members to be removed.",
    summary="Removes one or more members from a set. Deletes the set if the last member was removed.",
)
def srem(context: Context, args: Arguments) -> Reply:
    found: Set | None = context.keyspace.peek_as(args[1], Set)
    if found is None:
        return 0
    removed = sum(found.remove(member) for member in args[2:])
    context.keyspace.edited(args[1], found, "srem", removed)
    return removed


@command(
    "SISMEMBER",
    arity=3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="set",
    since="1.0.0",
    complexity="O(1)",
    summary="Determines whether a member belongs to a set.",
)
def sismember(context: Context, args: Arguments) -> Reply:
    found: Set | None = context.keyspace.read_as(args[1], Set)
    return int(found is not None and args[2] in found)


@command(
    "SMISMEMBER",
    arity=-3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="set",
    since="6.2.0",
    complexity="O(N) where N is the number of elements being checked for membership",
    summary="Determines whether multiple members belong to a set.",
)
def smismember(context: Context, args: Arguments) -> Reply:
    found: Set | None = context.keyspace.read_as(args[1], Set)
    return [int(found is not None and member in found) for member in args[2:]]


@command(
    "SCARD",
    arity=2,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="set",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the number of members in a set.",
)
def scard(context: Context, args: Arguments) -> Reply:
    found: Set | None = context.keyspace.read_as(args[1], Set)
    return 0 if found is None else len(found)


@command(
    "SMEMBERS",
    arity=2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="set",
    since="1.0.0",
    complexity="O(N) where N is the set cardinality.",
    tips="nondeterministic_output_order",
    summary="Returns all members of a set.",
)
def smembers(context: Context, args: Arguments) -> Reply:
    found: Set | None = context.keyspace.read_as(args[1], Set)
    if found is not None and found.rows is None:
        return Bulks(SET, len(found), found.bulks(0, 1))
    return SetReply(() if found is None else found.members())


@command(
    "SMOVE",
    arity=4,
    flags="write fast",
    keys=(1, 2, 1),
    key_specs=(
        KeySpec("RW access delete", 1),
        KeySpec("RW insert", 2),
    ),
    group="set",
    since="1.0.0",
    complexity="O(1)",
    summary="Moves a member from one set to another.",
)
def smove(context: Context, args: Arguments) -> Reply:
    source_key, target_key, member = args[1:]
    keyspace = context.keyspace
    for key in (source_key, target_key):
        keyspace.peek(key)  # both are looked up before either is looked at
    source = keyspace.peek_as(source_key, Set)
    if source is None:
        return 0
    target = keyspace.peek_as(target_key, Set)
    if source is target:
        return int(member in source)
    if not source.remove(member):
        return 0
    keyspace.edited(source_key, source, "srem")
    if target is None:
        target = Set(context.limits)
    keyspace.edited(target_key, target, "sadd", int(target.add(member)))
    return 1


@command(
    "SPOP",
    arity=-2,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access delete",
    group="set",
    since="1.0.0",
    complexity="Without the count argument O(1), otherwise O(N) where N is the value of the passed count.",
    tips="nondeterministic_output",
    summary="Returns one or more random members from a set after removing them. Deletes the set if the last member was "
    "popped.",
)
def spop(context: Context, args: Arguments) -> Reply:
    if len(args) > 3:
        raise ReplyError(SYNTAX)
    count = 1
    if len(args) == 3:
        count = integer(args[2], "ERR value is out of range, must be positive")
        if count < 0:
            raise ReplyError("ERR value is out of range, must be positive")
    found: Set | None = context.keyspace.peek_as(args[1], Set)
    if found is None:
        return None if len(args) == 2 else SetReply()
    popped = found.sample(context.random, count)
    for member in popped:
        found.remove(member)
    context.keyspace.edited(args[1], found, "spop", len(popped))
    return popped[0] if len(args) == 2 else SetReply(popped)


@command(
    "SRANDMEMBER",
    arity=-2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="set",
    since="1.0.0",
    complexity="Without the count argument O(1), otherwise O(N) where N is the absolute value of the passed count.",
    tips="nondeterministic_output",
    summary="Get one or multiple random members from a set",
)
def srandmember(context: Context, args: Arguments) -> Reply:
    if len(args) > 3:
        raise ReplyError(SYNTAX)
    count = random_count(args)[0] if len(args) == 3 else None
    found: Set | None = context.keyspace.read_as(args[1], Set)
    if count is None:
        return None if found is None else found.random(context.random)
    return [] if found is None else choose(found, context.random, count)


@command(
    "SSCAN",
    arity=-3,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="set",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
    "return back to 0. N is the number of elements inside the collection.",
    tips="nondeterministic_output",
    summary="Iterates over members of a set.",
)
def sscan(context: Context, args: Arguments) -> Reply:
    cursor = parse_cursor(args[2])
    found: Set | None = context.keyspace.read_as(args[1], Set)
    if found is None:
        return [b"0", []]
    count, pattern, _ = scan_options(args)
    cursor, members = found.scan(cursor, count)
    return [b"%d" % cursor, list(filter(matcher(pattern), members))]


# Several sets


def intersect(sets: list[Set | None], limit: int = 0) -> list[bytes]:
    """The members of all of them, `limit` at most if it is above 0. O(N*M): the smallest times the number of sets."""
    if None in sets:
        return []
    present = sorted((each for each in sets if each is not None), key=len)
    found: list[bytes] = []
    for member in present[0]:
        if all(member in other for other in present[1:]):
            found.append(member)
            if limit and len(found) == limit:
                break
    return found


def unite(sets: list[Set | None]) -> list[bytes]:
    """O(N): all members of all sets."""
    return list(dict.fromkeys(member for each in sets if each is not None for member in each))


def subtract(sets: list[Set | None]) -> list[bytes]:
    """The members of the first that no other has. O(N): all members of the first times the number of sets."""
    first, others = sets[0], [each for each in sets[1:] if each is not None]
    if first is None:
        return []
    return [member for member in first if not any(member in other for other in others)]


Operation = Callable[[list["Set | None"]], list[bytes]]


def _answer(operation: Operation) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        return SetReply(operation([context.keyspace.read_as(key, Set) for key in args[1:]]))

    return run


def _store(operation: Operation, event: str) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        members = operation([context.keyspace.read_as(key, Set) for key in args[2:]])
        return store(context, args[1], members, event)

    return run


def store(context: Context, key: bytes, members: Iterable[bytes], event: str) -> int:
    """Put a set of these members under a key, or nothing if there are none; how many there are."""
    result = Set(context.limits)
    for member in members:
        result.add(member)
    if len(result):
        context.keyspace.set(key, result, NO_EXPIRY, event)
    else:
        context.keyspace.clear(key)
    return len(result)


for _name, _operation, _since, _complexity, _summary in (
    (
        "SINTER",
        intersect,
        "1.0.0",
        "O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
        "Returns the intersect of multiple sets.",
    ),
    (
        "SUNION",
        unite,
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets.",
        "Returns the union of multiple sets.",
    ),
    (
        "SDIFF",
        subtract,
        "1.0.0",
        "O(N) where N is the total number of elements in all given sets.",
        "Returns the difference of multiple sets.",
    ),
):
    command(
        _name,
        arity=-2,
        flags="readonly",
        keys=(1, -1, 1),
        access="RO access",
        group="set",
        since=_since,
        complexity=_complexity,
        tips="nondeterministic_output_order",
        summary=_summary,
    )(_answer(_operation))
    command(
        f"{_name}STORE",
        arity=-3,
        flags="write denyoom",
        keys=(1, -1, 1),
        key_specs=(KeySpec("RW update" if _name == "SINTER" else "OW update", 1), KeySpec("RO access", 2, last=-1)),
        group="set",
        since=_since,
        complexity=_complexity,
        summary=f"{_summary[:-1].replace('Returns', 'Stores')} in a key.",
    )(_store(_operation, f"{_name.lower()}store"))


@command(
    "SINTERCARD",
    arity=-3,
    flags="readonly movablekeys",
    key_specs=(KeySpec("RO access", 1, counted=True),),
    group="set",
    since="7.0.0",
    complexity="O(N*M) worst case where N is the cardinality of the smallest set and M is the number of sets.",
    summary="Returns the number of members of the intersect of multiple sets.",
)
def sintercard(context: Context, args: Arguments) -> Reply:
    positive = "ERR numkeys should be greater than 0"
    count = integer(args[1], positive)
    if count < 1:
        raise ReplyError(positive)
    if count > len(args) - 2:
        raise ReplyError("ERR Number of keys can't be greater than number of args")
    limit = 0
    index = 2 + count
    while index < len(args):
        if option_word(args[index]) != b"limit" or index + 1 >= len(args):
            raise ReplyError(SYNTAX)
        limit = integer(args[index + 1], "ERR LIMIT can't be negative")
        if limit < 0:
            raise ReplyError("ERR LIMIT can't be negative")
        index += 2
    return len(intersect([context.keyspace.read_as(key, Set) for key in args[2 : 2 + count]], limit))
