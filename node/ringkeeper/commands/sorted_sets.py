"""The sorted set group: members and their scores. Ranges, pops and combinations are in the modules beside this one."""

from __future__ import annotations

import cython

from ringkeeper.commands.collections import choose, matcher, random_count, scan_options
from ringkeeper.commands.generic import parse_cursor
from ringkeeper.commands.numbers import SYNTAX, option_word
from ringkeeper.commands.table import Arguments, Function, Reply, command
from ringkeeper.resp.doubles import format_double
from ringkeeper.resp.values import NULL_ARRAY, ReplyError
from ringkeeper.types import zset

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.commands.scores import parse_score
    from ringkeeper.types.zset import SortedSet, new_sorted_set
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.commands.scores import parse_score  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset import SortedSet, new_sorted_set  # type: ignore[no-redef]

ADDED = cython.declare(cython.int, zset.ADDED)
UNCHANGED = cython.declare(cython.int, zset.UNCHANGED)

NAN = "ERR resulting score is not a number (NaN)"
ZADD_OPTIONS = frozenset({b"nx", b"xx", b"gt", b"lt", b"ch", b"incr"})
NO_OPTIONS: frozenset[bytes] = frozenset()


def zadd_options(args: Arguments) -> tuple[frozenset[bytes], int]:
    """The options of ZADD, and where its scores begin."""
    index = 2
    while index < len(args) and args[index][:1].isalpha() and option_word(args[index]) in ZADD_OPTIONS:
        index += 1
    if index == 2:
        return NO_OPTIONS, 2
    return frozenset(map(option_word, args[2:index])), index


def check_options(options: frozenset[bytes], pairs: int) -> None:
    if {b"nx", b"xx"} <= options:
        raise ReplyError("ERR XX and NX options at the same time are not compatible")
    if len(options & {b"gt", b"lt", b"nx"}) > 1:
        raise ReplyError("ERR GT, LT, and/or NX options at the same time are not compatible")
    if b"incr" in options and pairs > 1:
        raise ReplyError("ERR INCR option supports a single increment-element pair")


def allowed(options: frozenset[bytes], old: float | None, score: float) -> bool:
    """Whether the options let a member get this score."""
    if old is None:
        return b"xx" not in options
    if b"nx" in options:
        return False
    return not (b"gt" in options and score <= old) and not (b"lt" in options and score >= old)


@cython.cfunc
def prepared(context: Context, found: SortedSet | None, args: list[bytes], first: cython.Py_ssize_t) -> SortedSet:
    """The set, or a new one. Redis chooses the encoding by the members that are named, whether they come in or not:
    every other word from `first` on."""
    index: cython.Py_ssize_t
    longest: cython.Py_ssize_t = 0
    if found is None:
        found = new_sorted_set(context.limits)
    if found.compact:
        for index in range(first, len(args), 2):
            longest = max(longest, len(args[index]))
        found.expect((len(args) - first + 1) // 2, longest)
    return found


@command(
    "ZADD",
    arity=-4,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW update",
    group="sorted_set",
    since="1.2.0",
    complexity="O(log(N)) for each item added, where N is the number of elements in the sorted set.",
    summary="Adds one or more members to a sorted set, or updates their scores. Creates the key if it doesn't exist.",
)
def zadd(context: Context, args: list[bytes]) -> Reply:
    count: cython.Py_ssize_t = len(args)
    first: cython.Py_ssize_t = 2
    options = NO_OPTIONS
    if args[2][:1].isalpha():
        options, first = zadd_options(args)
    if count == first or (count - first) & 1:
        raise ReplyError(SYNTAX)
    if options:
        check_options(options, (count - first) // 2)
    index: cython.Py_ssize_t
    scores: list[float] = [parse_score(args[index]) for index in range(first, count, 2)]
    if options and b"incr" in options:
        return increase(context, args, first, options)
    found: SortedSet | None = context.keyspace.peek_as(args[1], SortedSet)
    if found is None and options and b"xx" in options:
        return 0
    found = prepared(context, found, args, first + 1)
    added: cython.Py_ssize_t = 0
    updated: cython.Py_ssize_t = 0
    for index in range(first, count, 2):
        member: bytes = args[index + 1]
        score: cython.double = scores[(index - first) // 2]
        if options and not allowed(options, found.score(member), score):
            continue
        result: cython.int = found.add(member, score)
        if result == ADDED:
            added += 1
        elif result != UNCHANGED:
            updated += 1
    context.keyspace.edited(args[1], found, "zadd", added + updated)
    return added + updated if options and b"ch" in options else added


def increase(context: Context, args: Arguments, first: int, options: frozenset[bytes]) -> float | None:
    """Add the score at `first` to that of the member behind it: its new score, None if the options do not allow it."""
    by = parse_score(args[first])
    member = args[first + 1]
    found: SortedSet | None = context.keyspace.peek_as(args[1], SortedSet)
    if found is None and b"xx" in options:
        return None
    found = prepared(context, found, args, first + 1)
    old = found.score(member)
    score: float = by if old is None else old + by
    if not allowed(options, old, score):
        return None
    if score != score:
        raise ReplyError(NAN)
    changed = found.add(member, score) != UNCHANGED
    context.keyspace.edited(args[1], found, "zincr", int(changed))
    return score


@command(
    "ZINCRBY",
    arity=4,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="sorted_set",
    since="1.2.0",
    complexity="O(log(N)) where N is the number of elements in the sorted set.",
    summary="Increments the score of a member in a sorted set.",
)
def zincrby(context: Context, args: Arguments) -> Reply:
    return increase(context, args, 2, NO_OPTIONS)


@command(
    "ZREM",
    arity=-3,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW delete",
    group="sorted_set",
    since="1.2.0",
    complexity="O(M*log(N)) with N being the number of elements in the sorted set and M the number of elements to be "
    "removed.",
    summary="Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
)
def zrem(context: Context, args: Arguments) -> Reply:
    found: SortedSet | None = context.keyspace.peek_as(args[1], SortedSet)
    if found is None:
        return 0
    removed = sum(found.remove(member) for member in args[2:])
    context.keyspace.edited(args[1], found, "zrem", removed)
    return removed


@command(
    "ZCARD",
    arity=2,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="sorted_set",
    since="1.2.0",
    complexity="O(1)",
    summary="Returns the number of members in a sorted set.",
)
def zcard(context: Context, args: Arguments) -> Reply:
    found: SortedSet | None = context.keyspace.read_as(args[1], SortedSet)
    return 0 if found is None else len(found)


@command(
    "ZSCORE",
    arity=3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="sorted_set",
    since="1.2.0",
    complexity="O(1)",
    summary="Returns the score of a member in a sorted set.",
)
def zscore(context: Context, args: Arguments) -> Reply:
    found: SortedSet | None = context.keyspace.read_as(args[1], SortedSet)
    return None if found is None else found.score(args[2])


@command(
    "ZMSCORE",
    arity=-3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="sorted_set",
    since="6.2.0",
    complexity="O(N) where N is the number of members being requested.",
    summary="Returns the score of one or more members in a sorted set.",
)
def zmscore(context: Context, args: Arguments) -> Reply:
    found: SortedSet | None = context.keyspace.read_as(args[1], SortedSet)
    return [None if found is None else found.score(member) for member in args[2:]]


def _rank(*, reverse: bool) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        with_score = len(args) > 3
        if len(args) > 4:
            name = args[0].decode("utf-8", "replace").lower()
            raise ReplyError(f"ERR wrong number of arguments for '{name}' command")
        if with_score and option_word(args[3]) != b"withscore":
            raise ReplyError(SYNTAX)
        found: SortedSet | None = context.keyspace.read_as(args[1], SortedSet)
        rank = None if found is None else found.rank(args[2])
        if found is None or rank is None:
            return NULL_ARRAY if with_score else None
        if reverse:
            rank = len(found) - 1 - rank
        return [rank, found.score(args[2])] if with_score else rank

    return run


for _name, _reverse, _order in (("ZRANK", False, "ascending"), ("ZREVRANK", True, "descending")):
    command(
        _name,
        arity=-3,
        flags="readonly fast",
        keys=(1, 1, 1),
        access="RO access",
        group="sorted_set",
        since="2.0.0",
        complexity="O(log(N))",
        summary=f"Returns the index of a member in a sorted set ordered by {_order} scores.",
    )(_rank(reverse=_reverse))


@command(
    "ZRANDMEMBER",
    arity=-2,
    flags="readonly",
    tips="nondeterministic_output",
    keys=(1, 1, 1),
    access="RO access",
    group="sorted_set",
    since="6.2.0",
    complexity="O(N) where N is the number of members returned",
    summary="Returns one or more random members from a sorted set.",
)
def zrandmember(context: Context, args: Arguments) -> Reply:
    found: SortedSet | None
    if len(args) == 2:
        found = context.keyspace.read_as(args[1], SortedSet)
        return None if found is None else found.random(context.random)
    count, with_scores = random_count(args, b"withscores")
    found = context.keyspace.read_as(args[1], SortedSet)
    if found is None:
        return []
    members = choose(found, context.random, count)
    if not with_scores:
        return members
    pairs = [[member, found.score(member)] for member in members]
    return pairs if context.protocol > 2 else [word for pair in pairs for word in pair]


NOSCORES = frozenset({b"noscores"})


@command(
    "ZSCAN",
    arity=-3,
    flags="readonly",
    tips="nondeterministic_output",
    keys=(1, 1, 1),
    access="RO access",
    group="sorted_set",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration, including enough command calls for the cursor to "
    "return back to 0. N is the number of elements inside the collection.",
    summary="Iterates over members and scores of a sorted set.",
)
def zscan(context: Context, args: Arguments) -> Reply:
    """Scores come as text in RESP3, too. Those of a set that is not compact have 17 digits, as in Redis."""
    cursor = parse_cursor(args[2])
    found: SortedSet | None = context.keyspace.read_as(args[1], SortedSet)
    if found is None:
        return [b"0", []]
    count, pattern, flags = scan_options(args, flags=NOSCORES)
    cursor, members = found.scan(cursor, count)
    matches = matcher(pattern)
    members = [member for member in members if matches(member)]
    if flags:
        return [b"%d" % cursor, members]
    words: list[bytes] = []
    for member in members:
        score = found.score(member)
        assert score is not None
        words += (member, format_double(score) if found.compact else b"%.17g" % score)
    return [b"%d" % cursor, words]
