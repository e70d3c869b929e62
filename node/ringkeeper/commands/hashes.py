"""The hash group. Fields that expire are in `hash_expiry.py`."""

from __future__ import annotations

import cython

from ringkeeper.commands import long_double
from ringkeeper.commands.collections import choose, matcher, random_count, scan_options
from ringkeeper.commands.generic import parse_cursor
from ringkeeper.commands.numbers import INT64_MAX, INT64_MIN, NOT_A_FLOAT, integer, parse_integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import ARRAY, MAP, OK, Bulks, ReplyError

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.types.hash import Hash
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.hash import Hash  # type: ignore[no-redef]


@cython.ccall
def read(context: Context, key: bytes) -> Hash | None:
    """The hash under a key, without the fields whose time has come; counts a hit or a miss."""
    found: Hash | None = live(context, key, context.keyspace.read_as(key, Hash))
    return found


@cython.ccall
def peek(context: Context, key: bytes) -> Hash | None:
    """As `read`, for a command that writes."""
    found: Hash | None = live(context, key, context.keyspace.peek_as(key, Hash))
    return found


@cython.ccall
def live(context: Context, key: bytes, found: Hash | None) -> Hash | None:
    if found is not None and found.expiries:
        if context.keyspace.hiding:
            return unexpired(found, context.keyspace.clock.now_ms)
        if not context.keyspace.purge(key, found):
            return None
    return found


def unexpired(found: Hash, now: int) -> Hash | None:
    """What of a hash is shown while fields whose time has come must stay in it. O(its fields) where there are such."""
    if found.next_expiry > now:
        return found
    shown = found.copy()
    shown.purge(now)
    return shown if len(shown) else None


@cython.ccall
def peek_or_new(context: Context, key: bytes) -> Hash:
    found: Hash | None = peek(context, key)
    return Hash(context.limits) if found is None else found


@cython.cfunc
def _hset(context: Context, args: list[bytes]) -> cython.Py_ssize_t:
    count: cython.Py_ssize_t = len(args)
    if count & 1:
        name = args[0].decode("utf-8", "replace").lower()
        raise ReplyError(f"ERR wrong number of arguments for '{name}' command")
    key: bytes = args[1]
    found: Hash = peek_or_new(context, key)
    added: cython.Py_ssize_t = 0
    index: cython.Py_ssize_t
    for index in range(2, count, 2):
        field: bytes = args[index]
        added += found.set(field, args[index + 1])
        if found.expiries:
            found.persist(field)
    context.keyspace.edited(key, found, "hset", (count - 2) >> 1)
    return added


@command(
    "HSET",
    arity=-4,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW update",
    group="hash",
    since="2.0.0",
    complexity="O(1) for each field/value pair added, so O(N) to add N field/value pairs when the command is called "
    "with multiple field/value pairs.",
    summary="Creates or modifies the value of a field in a hash.",
)
def hset(context: Context, args: Arguments) -> Reply:
    return _hset(context, args)


@command(
    "HMSET",
    arity=-4,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW update",
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the number of fields being set.",
    summary="Sets the values of multiple fields.",
)
def hmset(context: Context, args: Arguments) -> Reply:
    _hset(context, args)
    return OK


@command(
    "HSETNX",
    arity=4,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW insert",
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Sets the value of a field in a hash only when the field doesn't exist.",
)
def hsetnx(context: Context, args: Arguments) -> Reply:
    key, field, value = args[1:]
    found = peek_or_new(context, key)
    if field in found:
        return 0
    found.set(field, value)
    context.keyspace.edited(key, found, "hset")
    return 1


@command(
    "HGET",
    arity=3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Returns the value of a field in a hash.",
)
def hget(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    return None if found is None else found.get(args[2])


@command(
    "HMGET",
    arity=-3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the number of fields being requested.",
    summary="Returns the values of all fields in a hash.",
)
def hmget(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    return [None if found is None else found.get(field) for field in args[2:]]


@command(
    "HGETALL",
    arity=2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
    tips="nondeterministic_output_order",
    summary="Returns all fields and values in a hash.",
)
def hgetall(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    if found is None:
        return {}
    if found.rows is None:
        return Bulks(MAP, 2 * len(found), found.bulks(0, 1))
    return found.as_dict()


@command(
    "HKEYS",
    arity=2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
    tips="nondeterministic_output_order",
    summary="Returns all fields in a hash.",
)
def hkeys(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    if found is None:
        return []
    return Bulks(ARRAY, len(found), found.bulks(0, 2)) if found.rows is None else found.fields()


@command(
    "HVALS",
    arity=2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the size of the hash.",
    tips="nondeterministic_output_order",
    summary="Returns all values in a hash.",
)
def hvals(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    if found is None:
        return []
    return Bulks(ARRAY, len(found), found.bulks(1, 2)) if found.rows is None else found.values()


@command(
    "HLEN",
    arity=2,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Returns the number of fields in a hash.",
)
def hlen(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    return 0 if found is None else len(found)


@command(
    "HSTRLEN",
    arity=3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="hash",
    since="3.2.0",
    complexity="O(1)",
    summary="Returns the length of the value of a field.",
)
def hstrlen(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    return 0 if found is None else len(found.get(args[2]) or b"")


@command(
    "HEXISTS",
    arity=3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Determines whether a field exists in a hash.",
)
def hexists(context: Context, args: Arguments) -> Reply:
    found: Hash | None = read(context, args[1])
    return int(found is not None and args[2] in found)


@command(
    "HDEL",
    arity=-3,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW delete",
    group="hash",
    since="2.0.0",
    complexity="O(N) where N is the number of fields to be removed.",
    summary="Deletes one or more fields and their values from a hash. Deletes the hash if no fields remain.",
)
def hdel(context: Context, args: Arguments) -> Reply:
    found = peek(context, args[1])
    if found is None:
        return 0
    deleted = sum(found.delete(field) for field in args[2:])
    context.keyspace.edited(args[1], found, "hdel", deleted)
    return deleted


@command(
    "HINCRBY",
    arity=4,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="hash",
    since="2.0.0",
    complexity="O(1)",
    summary="Increments the integer value of a field in a hash by a number. Uses 0 as initial value if the field "
    "doesn't exist.",
)
def hincrby(context: Context, args: Arguments) -> Reply:
    key, field = args[1], args[2]
    by = integer(args[3])
    found = peek_or_new(context, key)
    value = found.get(field)
    number = 0 if value is None else parse_integer(value)
    if number is None:
        raise ReplyError("ERR hash value is not an integer")
    number += by
    if not INT64_MIN <= number <= INT64_MAX:
        raise ReplyError("ERR increment or decrement would overflow")
    found.set(field, b"%d" % number)
    context.keyspace.edited(key, found, "hincrby")
    return number


@command(
    "HINCRBYFLOAT",
    arity=4,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="hash",
    since="2.6.0",
    complexity="O(1)",
    summary="Increments the floating point value of a field by a number. Uses 0 as initial value if the field doesn't "
    "exist.",
)
def hincrbyfloat(context: Context, args: Arguments) -> Reply:
    key, field = args[1], args[2]
    try:
        by = long_double.parse(args[3])
    except ValueError:
        raise ReplyError(NOT_A_FLOAT) from None
    if by is None:
        raise ReplyError("ERR value is NaN or Infinity")
    found = peek_or_new(context, key)
    try:
        value = found.get(field)
        number = (0, 0) if value is None else long_double.parse(value)
    except ValueError:
        raise ReplyError("ERR hash value is not a float") from None
    total = None if number is None else long_double.add(number, by)
    if total is None:
        raise ReplyError("ERR increment would produce NaN or Infinity")
    text = long_double.show(total)
    found.set(field, text)
    context.keyspace.edited(key, found, "hincrbyfloat")
    return text


@command(
    "HRANDFIELD",
    arity=-2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="hash",
    since="6.2.0",
    complexity="O(N) where N is the number of fields returned",
    tips="nondeterministic_output",
    summary="Returns one or more random fields from a hash.",
)
def hrandfield(context: Context, args: Arguments) -> Reply:
    if len(args) == 2:
        found: Hash | None = read(context, args[1])
        return None if found is None else found.random(context.random)
    count, with_values = random_count(args, b"withvalues")
    found = read(context, args[1])
    if found is None:
        return []
    fields = choose(found, context.random, count)
    if not with_values:
        return fields
    pairs = [[field, found.get(field)] for field in fields]
    return pairs if context.protocol > 2 else [word for pair in pairs for word in pair]


NOVALUES = frozenset({b"novalues"})


@command(
    "HSCAN",
    arity=-3,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="hash",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
    "return back to 0. N is the number of elements inside the collection.",
    tips="nondeterministic_output",
    summary="Iterates over fields and values of a hash.",
)
def hscan(context: Context, args: Arguments) -> Reply:
    cursor = parse_cursor(args[2])
    found: Hash | None = read(context, args[1])
    if found is None:
        return [b"0", []]
    count, pattern, flags = scan_options(args, flags=NOVALUES)
    cursor, fields = found.scan(cursor, count)
    matches = matcher(pattern)
    fields = [field for field in fields if matches(field)]
    if not flags:
        fields = [word for field in fields for word in (field, found.get(field) or b"")]
    return [b"%d" % cursor, fields]
