"""The string group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cython

from ringkeeper.commands import long_double
from ringkeeper.commands.lcs import longest_common_subsequence
from ringkeeper.commands.long_double import LongDouble
from ringkeeper.commands.numbers import INT64_MAX, INT64_MIN, SYNTAX, integer, option_word
from ringkeeper.commands.table import Arguments, KeyUse, Reply, command
from ringkeeper.resp.values import OK, ReplyError
from ringkeeper.store.block import FloatText
from ringkeeper.store.keyspace import NO_EXPIRY, Text

if not cython.compiled:
    from ringkeeper.commands.context import Context
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]

TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"


def check_length(context: Context, length: int) -> None:
    if length > context.limits.proto_max_bulk_len:
        raise ReplyError(TOO_LONG)


def expiry_at(context: Context, word: bytes, *, unit_ms: int, absolute: bool, name: str) -> int:
    """The Unix time in milliseconds that EX, PX, EXAT or PXAT (or SETEX, …) names; `name` is for the error."""
    number = integer(word)
    invalid = ReplyError(f"ERR invalid expire time in '{name}' command")
    if number <= 0 or number > INT64_MAX // unit_ms:
        raise invalid
    at = number * unit_ms + (0 if absolute else context.keyspace.clock.now_ms)
    if at > INT64_MAX:
        raise invalid
    return at


EXPIRY_OPTIONS = {b"ex": (1000, False), b"px": (1, False), b"exat": (1000, True), b"pxat": (1, True)}


@dataclass(slots=True)
class SetOptions:
    """SET's and GETEX's options behind the key (and value)."""

    expiry: tuple[bytes, int, bool] | None = None
    """The time as text, its unit in milliseconds, and whether it is absolute."""
    word: bytes = b""
    """Which of EX, PX, EXAT, PXAT it was: the same one may come again, another may not."""
    keep_ttl: bool = False
    persist: bool = False
    only_if: str = ""
    """`nx`, `xx` or nothing."""
    get: bool = False


def parse_options(args: Arguments, start: int, *, is_set: bool) -> SetOptions:
    options = SetOptions()
    index = start
    while index < len(args):
        word = option_word(args[index])
        timed = options.keep_ttl or options.persist or options.word not in (b"", word)
        if is_set and word in (b"nx", b"xx") and options.only_if in ("", word.decode()):
            options.only_if = word.decode()
        elif is_set and word == b"get":
            options.get = True
        elif is_set and word == b"keepttl" and options.expiry is None:
            options.keep_ttl = True
        elif not is_set and word == b"persist" and options.expiry is None:
            options.persist = True
        elif word in EXPIRY_OPTIONS and not timed and index + 1 < len(args):
            index += 1
            options.expiry = (args[index], *EXPIRY_OPTIONS[word])
            options.word = word
        else:
            raise ReplyError(SYNTAX)
        index += 1
    return options


def _set_key(args: Arguments) -> list[KeyUse]:
    """With GET it reads the key as well."""
    reads = any(word.lower() == b"get" for word in args[3:])
    return [(1, "RW access update" if reads else "OW update")]


@command(
    "SET",
    arity=-3,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="RW access update variable_flags",
    find_keys=_set_key,
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Sets the string value of a key, ignoring its type. The key is created if it doesn't exist.",
)
def set_(context: Context, args: Arguments) -> Reply:
    key, value = args[1], args[2]
    keyspace = context.keyspace
    if len(args) == 3:
        keyspace.set(key, value)
        return OK
    options = parse_options(args, 3, is_set=True)
    expires_at = NO_EXPIRY
    if options.expiry is not None:
        word, unit_ms, absolute = options.expiry
        expires_at = expiry_at(context, word, unit_ms=unit_ms, absolute=absolute, name="set")
    old = keyspace.read_string(key) if options.get else None
    exists = old is not None if options.get else keyspace.peek(key) is not None
    reply = (bytes(old) if old is not None else None) if options.get else OK
    if (options.only_if == "nx" and exists) or (options.only_if == "xx" and not exists):
        return reply if options.get else None
    if options.keep_ttl and exists:
        expires_at = keyspace.expiry(key)
        keyspace.set(key, value, expires_at)
    else:
        store(context, key, value, expires_at)
    return reply


def store(context: Context, key: bytes, value: bytes, expires_at: int) -> None:
    """SET with an expiry; one that has passed leaves a key that the next look removes."""
    context.keyspace.set(key, value, expires_at)
    if expires_at != NO_EXPIRY:
        context.keyspace.note(key, "expire")


@command(
    "SETNX",
    arity=3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="OW insert",
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Set the string value of a key only when the key doesn't exist.",
)
def setnx(context: Context, args: Arguments) -> Reply:
    if context.keyspace.peek(args[1]) is not None:
        return 0
    context.keyspace.set(args[1], args[2])
    return 1


def _setex(name: str, unit_ms: int) -> Callable[[Context, Arguments], Reply]:
    def run(context: Context, args: Arguments) -> Reply:
        expires_at = expiry_at(context, args[2], unit_ms=unit_ms, absolute=False, name=name)
        store(context, args[1], args[3], expires_at)
        return OK

    return run


command(
    "SETEX",
    arity=4,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="OW update",
    group="string",
    since="2.0.0",
    complexity="O(1)",
    summary="Sets the string value and expiration time of a key. Creates the key if it doesn't exist.",
)(_setex("setex", 1000))
command(
    "PSETEX",
    arity=4,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="OW update",
    group="string",
    since="2.6.0",
    complexity="O(1)",
    summary="Sets both string value and expiration time in milliseconds of a key.",
)(_setex("psetex", 1))


@command(
    "GET",
    arity=2,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the string value of a key.",
)
def get(context: Context, args: Arguments) -> Reply:
    return context.keyspace.read_string(args[1])


@command(
    "GETDEL",
    arity=2,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access delete",
    group="string",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns the string value of a key after deleting the key.",
)
def getdel(context: Context, args: Arguments) -> Reply:
    value = context.keyspace.read_string(args[1])
    if value is not None:
        context.keyspace.delete(args[1])
    return value


@command(
    "GETEX",
    arity=-2,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="string",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns the string value of a key after setting its expiration time.",
)
def getex(context: Context, args: Arguments) -> Reply:
    options = parse_options(args, 2, is_set=False)
    value = context.keyspace.read_string(args[1])
    if value is None:
        return None
    if options.persist:
        context.keyspace.persist(args[1])
    elif options.expiry is not None:
        word, unit_ms, absolute = options.expiry
        context.keyspace.expire(args[1], expiry_at(context, word, unit_ms=unit_ms, absolute=absolute, name="getex"))
    return value


@command(
    "GETSET",
    arity=3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the previous string value of a key after setting it to a new value.",
)
def getset(context: Context, args: Arguments) -> Reply:
    old = context.keyspace.read_string(args[1])
    context.keyspace.set(args[1], args[2])
    return old


@command(
    "MGET",
    arity=-2,
    flags="readonly fast",
    keys=(1, -1, 1),
    access="RO access",
    group="string",
    since="1.0.0",
    complexity="O(N) where N is the number of keys to retrieve.",
    tips="request_policy:multi_shard",
    summary="Atomically returns the string values of one or more keys.",
)
def mget(context: Context, args: Arguments) -> Reply:
    values = (context.keyspace.read(key) for key in args[1:])
    return [value if isinstance(value, (bytes, bytearray)) else None for value in values]


def pairs(args: Arguments, name: str) -> list[tuple[bytes, bytes]]:
    if len(args) % 2 == 0:
        raise ReplyError(f"ERR wrong number of arguments for '{name}' command")
    return list(zip(args[1::2], args[2::2], strict=True))


@command(
    "MSET",
    arity=-3,
    flags="write denyoom",
    keys=(1, -1, 2),
    access="OW update",
    group="string",
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
    tips="request_policy:multi_shard response_policy:all_succeeded",
    summary="Atomically creates or modifies the string values of one or more keys.",
)
def mset(context: Context, args: Arguments) -> Reply:
    for key, value in pairs(args, "mset"):
        context.keyspace.set(key, value)
    return OK


@command(
    "MSETNX",
    arity=-3,
    flags="write denyoom",
    keys=(1, -1, 2),
    access="OW insert",
    group="string",
    since="1.0.1",
    complexity="O(N) where N is the number of keys to set.",
    summary="Atomically modifies the string values of one or more keys only when all keys don't exist.",
)
def msetnx(context: Context, args: Arguments) -> Reply:
    wanted = pairs(args, "msetnx")
    if any(context.keyspace.peek(key) is not None for key, _ in wanted):
        return 0
    for key, value in wanted:
        context.keyspace.set(key, value)
    return 1


@command(
    "APPEND",
    arity=3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW insert",
    group="string",
    since="2.0.0",
    complexity="O(1)",
    summary="Appends a string to the value of a key. Creates the key if it doesn't exist.",
)
def append(context: Context, args: Arguments) -> Reply:
    key, tail = args[1], args[2]
    value = context.keyspace.peek_string(key)
    if value is None:
        context.keyspace.set(key, tail, NO_EXPIRY, "append")
        return len(tail)
    check_length(context, len(value) + len(tail))
    edit(context, key, lambda buffer: buffer.extend(tail), "append")
    return len(value) if isinstance(value, bytearray) else len(value) + len(tail)


def edit(context: Context, key: bytes, change: Callable[[bytearray], object], event: str | None) -> None:
    """Change the string of a key that exists in place; from then on it is a `bytearray`. No event: nothing changes."""
    value = context.keyspace.peek_string(key)
    assert value is not None
    if isinstance(value, bytearray):
        change(value)
        context.keyspace.update(key, value, event)
    else:
        buffer = bytearray(value)
        change(buffer)
        context.keyspace.update(key, buffer, event=event)


@command(
    "STRLEN",
    arity=2,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="string",
    since="2.2.0",
    complexity="O(1)",
    summary="Returns the length of a string value.",
)
def strlen(context: Context, args: Arguments) -> Reply:
    value = context.keyspace.read_string(args[1])
    return 0 if value is None else len(value)


@command(
    "SETRANGE",
    arity=4,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="RW update",
    group="string",
    since="2.2.0",
    complexity="O(1), not counting the time taken to copy the new string in place.",
    summary="Overwrites a part of a string value with another by an offset. Creates the key if it doesn't exist.",
)
def setrange(context: Context, args: Arguments) -> Reply:
    key, part = args[1], args[3]
    offset = integer(args[2])
    if offset < 0:
        raise ReplyError("ERR offset is out of range")
    value = context.keyspace.peek_string(key)
    if not part:
        return 0 if value is None else len(value)
    end = offset + len(part)
    check_length(context, end)

    def overwrite(buffer: bytearray) -> None:
        if len(buffer) < end:
            buffer.extend(bytes(end - len(buffer)))
        buffer[offset:end] = part

    if value is None:
        fresh = bytearray()
        overwrite(fresh)
        context.keyspace.set(key, fresh, NO_EXPIRY, "setrange")
        return end
    length = max(len(value), end)
    edit(context, key, overwrite, "setrange")
    return length


def _getrange(context: Context, args: Arguments) -> Reply:
    start, end = integer(args[2]), integer(args[3])
    value = context.keyspace.read_string(args[1])
    if value is None:
        return b""
    length = len(value)
    if start < 0 and end < 0 and start > end:
        return b""
    start = max(start + length, 0) if start < 0 else start
    end = max(end + length, 0) if end < 0 else min(end, length - 1)
    return bytes(value[start : end + 1]) if start <= end and length else b""


command(
    "GETRANGE",
    arity=4,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="string",
    since="2.4.0",
    complexity="O(N) where N is the length of the returned string.",
    summary="Returns a substring of the string stored at a key.",
)(_getrange)
command(
    "SUBSTR",
    arity=4,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="string",
    since="1.0.0",
    complexity="O(N) where N is the length of the returned string.",
    summary="Returns a substring from a string value.",
)(_getrange)


def increment(context: Context, key: bytes, by: int) -> int:
    if INT64_MIN <= by <= INT64_MAX:
        total = context.keyspace.increment(key, by)
        if total is not None:
            return total
    value = context.keyspace.peek_string(key)
    number = 0 if value is None else integer(value)
    number += by
    if not INT64_MIN <= number <= INT64_MAX:
        raise ReplyError("ERR increment or decrement would overflow")
    text = b"%d" % number
    if value is None:
        context.keyspace.set(key, text, NO_EXPIRY, "incrby")
    else:
        context.keyspace.update(key, text, event="incrby")
    return number


@command(
    "INCR",
    arity=2,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Increments the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
)
def incr(context: Context, args: Arguments) -> Reply:
    return increment(context, args[1], 1)


@command(
    "DECR",
    arity=2,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Decrements the integer value of a key by one. Uses 0 as initial value if the key doesn't exist.",
)
def decr(context: Context, args: Arguments) -> Reply:
    return increment(context, args[1], -1)


@command(
    "INCRBY",
    arity=3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Increments the integer value of a key by a number. Uses 0 as initial value if the key doesn't exist.",
)
def incrby(context: Context, args: Arguments) -> Reply:
    return increment(context, args[1], integer(args[2]))


@command(
    "DECRBY",
    arity=3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="string",
    since="1.0.0",
    complexity="O(1)",
    summary="Decrements a number from the integer value of a key. Uses 0 as initial value if the key doesn't exist.",
)
def decrby(context: Context, args: Arguments) -> Reply:
    by = integer(args[2])
    if by == INT64_MIN:
        raise ReplyError("ERR decrement would overflow")
    return increment(context, args[1], -by)


def number_of(word: bytes | bytearray) -> LongDouble | None:
    """None for an infinite number, which Redis reads but does not store."""
    try:
        return long_double.parse(bytes(word))
    except ValueError:
        raise ReplyError("ERR value is not a valid float") from None


@command(
    "INCRBYFLOAT",
    arity=3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="string",
    since="2.6.0",
    complexity="O(1)",
    summary="Increment the floating point value of a key by a number. Uses 0 as initial value if it doesn't exist.",
)
def incrbyfloat(context: Context, args: Arguments) -> Reply:
    key = args[1]
    value = context.keyspace.peek_string(key)
    number = number_of(b"0" if value is None else value)
    by = number_of(args[2])
    total = None if number is None or by is None else long_double.add(number, by)
    if total is None:
        raise ReplyError("ERR increment would produce NaN or Infinity")
    text = FloatText(long_double.show(total))
    if value is None:
        context.keyspace.set(key, text, NO_EXPIRY, "incrbyfloat")
    else:
        context.keyspace.update(key, text, event="incrbyfloat")
    return text


@command(
    "LCS",
    arity=-3,
    flags="readonly",
    keys=(1, 2, 1),
    access="RO access",
    group="string",
    since="7.0.0",
    complexity="O(N*M) where N and M are the lengths of s1 and s2, respectively",
    summary="Finds the longest common substring.",
)
def lcs(context: Context, args: Arguments) -> Reply:
    left, right = (context.keyspace.read(key) or b"" for key in args[1:3])
    if not (isinstance(left, Text) and isinstance(right, Text)):
        raise ReplyError("ERR The specified keys must contain string values")
    want_length = want_positions = with_lengths = False
    least = 0
    index = 3
    while index < len(args):
        word = option_word(args[index])
        if word == b"len":
            want_length = True
        elif word == b"idx":
            want_positions = True
        elif word == b"withmatchlen":
            with_lengths = True
        elif word == b"minmatchlen" and index + 1 < len(args):
            index += 1
            least = max(0, integer(args[index]))
        else:
            raise ReplyError(SYNTAX)
        index += 1
    if want_length and want_positions:
        raise ReplyError("ERR If you want both the length and indexes, please just use IDX.")
    if (len(left) + 1) * (len(right) + 1) * 4 > context.limits.proto_max_bulk_len:
        raise ReplyError("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
    common, matches = longest_common_subsequence(bytes(left), bytes(right))
    if want_length:
        return len(common)
    if not want_positions:
        return common
    shown = [
        [[a, a + length - 1], [b, b + length - 1], *([length] if with_lengths else [])]
        for a, b, length in matches
        if length >= least
    ]
    return {b"matches": shown, b"len": len(common)}
