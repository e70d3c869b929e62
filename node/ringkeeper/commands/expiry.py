"""When keys go: EXPIRE and its relatives, TTL and its relatives, PERSIST. Redis counts them to the generic group."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.numbers import INT64_MAX, INT64_MIN, integer, option_word
from ringkeeper.commands.table import Arguments, Function, Reply, command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import NO_EXPIRY

CONDITIONS = (b"nx", b"xx", b"gt", b"lt")


def conditions(words: Arguments) -> frozenset[bytes]:
    chosen = frozenset(map(option_word, words))
    for word in words:
        if option_word(word) not in CONDITIONS:
            shown = word.partition(b"\0")[0].decode("utf-8", "surrogateescape")
            raise ReplyError(f"ERR Unsupported option {shown}")
    if b"nx" in chosen and len(chosen) > 1:
        raise ReplyError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if b"gt" in chosen and b"lt" in chosen:
        raise ReplyError("ERR GT and LT options at the same time are not compatible")
    return chosen


def allows(chosen: frozenset[bytes], present: int, wanted: int) -> bool:
    """Whether NX, XX, GT and LT let `wanted` replace `present`; a key without expiry counts as endless."""
    if b"nx" in chosen and present != NO_EXPIRY:
        return False
    if b"xx" in chosen and present == NO_EXPIRY:
        return False
    if b"gt" in chosen and (present == NO_EXPIRY or wanted <= present):
        return False
    return not (b"lt" in chosen and present != NO_EXPIRY and wanted >= present)


def _expire(name: str, *, unit_ms: int, absolute: bool) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        keyspace = context.keyspace
        chosen = conditions(args[3:])
        invalid = ReplyError(f"ERR invalid expire time in '{name}' command")
        number = integer(args[2])
        if not INT64_MIN // unit_ms < number <= INT64_MAX // unit_ms and unit_ms > 1:
            raise invalid
        at = number * unit_ms + (0 if absolute else keyspace.clock.now_ms)
        if at > INT64_MAX:
            raise invalid
        if keyspace.peek(args[1]) is None or not allows(chosen, keyspace.expiry(args[1]), at):
            return 0
        keyspace.expire(args[1], at)
        return 1

    return run


def _time_of(*, unit_ms: int, absolute: bool) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        keyspace = context.keyspace
        if keyspace.read_about(args[1]) is None:
            return -2
        at = keyspace.expiry(args[1])
        if at == NO_EXPIRY:
            return -1
        milliseconds = at if absolute else max(0, at - keyspace.clock.now_ms)
        return milliseconds if unit_ms == 1 else (milliseconds + 500) // 1000

    return run


for _name, _unit, _absolute, _since, _summary in (
    ("EXPIRE", 1000, False, "1.0.0", "Sets the expiration time of a key in seconds."),
    ("PEXPIRE", 1, False, "2.6.0", "Sets the expiration time of a key in milliseconds."),
    ("EXPIREAT", 1000, True, "1.2.0", "Sets the expiration time of a key to a Unix timestamp."),
    ("PEXPIREAT", 1, True, "2.6.0", "Sets the expiration time of a key to a Unix milliseconds timestamp."),
):
    command(
        _name,
        arity=-3,
        flags="write fast",
        keys=(1, 1, 1),
        access="RW update",
        group="generic",
        since=_since,
        complexity="O(1)",
        summary=_summary,
    )(_expire(_name.lower(), unit_ms=_unit, absolute=_absolute))

for _name, _unit, _absolute, _since, _summary in (
    ("TTL", 1000, False, "1.0.0", "Returns the expiration time in seconds of a key."),
    ("PTTL", 1, False, "2.6.0", "Returns the expiration time in milliseconds of a key."),
    ("EXPIRETIME", 1000, True, "7.0.0", "Returns the expiration time of a key as a Unix timestamp."),
    ("PEXPIRETIME", 1, True, "7.0.0", "Returns the expiration time of a key as a Unix milliseconds timestamp."),
):
    command(
        _name,
        arity=2,
        flags="readonly fast",
        keys=(1, 1, 1),
        access="RO access",
        group="generic",
        since=_since,
        complexity="O(1)",
        tips="" if _absolute else "nondeterministic_output",
        summary=_summary,
    )(_time_of(unit_ms=_unit, absolute=_absolute))


@command(
    "PERSIST",
    arity=2,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW update",
    group="generic",
    since="2.2.0",
    complexity="O(1)",
    summary="Removes the expiration time of a key.",
)
def persist(context: Context, args: Arguments) -> Reply:
    keyspace = context.keyspace
    return int(keyspace.peek(args[1]) is not None and keyspace.persist(args[1]))
