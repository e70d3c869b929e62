"""The sorted set group: what lies between two ranks, two scores or two members."""

from __future__ import annotations

from typing import Any

import cython

from ringkeeper.commands.numbers import SYNTAX, option_word
from ringkeeper.commands.scores import Bounds, by_member, by_rank, by_score
from ringkeeper.commands.table import Arguments, Function, KeySpec, Reply, command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import NO_EXPIRY
from ringkeeper.types.zset_tree import FLAT, MEMBERS, PAIRS

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.commands.numbers import integer
    from ringkeeper.commands.scores import parse_end
    from ringkeeper.types.zset import SortedSet
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.commands.numbers import integer  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.commands.scores import parse_end  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset import SortedSet  # type: ignore[no-redef]

RANGES = {"rank": by_rank, "score": by_score, "lex": by_member}
READERS = {b"byscore": "score", b"bylex": "lex"}
LIMIT_OF_RANKS = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
SCORES_OF_LEX = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"


@cython.final
@cython.cclass
class Options:
    """What follows the two ends of a range. `kind` and `reverse` may be the command's own, and then are not given."""

    kind = cython.declare(object, visibility="public")
    reverse = cython.declare(object, visibility="public")
    with_scores = cython.declare(cython.bint, visibility="public")
    offset = cython.declare(object, visibility="public")
    limit = cython.declare(object, visibility="public")

    def __init__(self, kind: str | None = None, reverse: bool | None = None) -> None:
        self.kind = kind
        self.reverse = reverse
        self.with_scores = False
        self.offset = 0
        self.limit = -1
        """Negative: all."""


def parse_options(words: Arguments, options: Options, *, storing: bool) -> None:
    index = 0
    while index < len(words):
        word = option_word(words[index])
        if word == b"withscores" and not storing:
            options.with_scores = True
        elif word == b"limit" and index + 2 < len(words):
            options.offset, options.limit = integer(words[index + 1]), integer(words[index + 2])
            index += 2
        elif word == b"rev" and options.reverse is None:
            options.reverse = True
        elif word in READERS and options.kind is None:
            options.kind = READERS[word]
        else:
            raise ReplyError(SYNTAX)
        index += 1
    if options.kind in (None, "rank"):
        if options.limit != -1:
            raise ReplyError(LIMIT_OF_RANKS)
        options.offset = 0
    if options.with_scores and options.kind == "lex":
        raise ReplyError(SCORES_OF_LEX)


def parse_bounds(low: bytes, high: bytes, options: Options) -> Bounds:
    """Ranges of scores and members that are reversed give their higher end first."""
    if options.reverse and options.kind in ("score", "lex"):
        low, high = high, low
    return RANGES[options.kind or "rank"](low, high)


def select(found: SortedSet, bounds: Bounds, options: Options, form: int) -> list[Any]:
    """The range, in its order. In PAIRS a list for each, in FLAT members and scores in turn."""
    count = len(found)
    start, stop = bounds(found)
    if options.reverse:
        if options.kind in (None, "rank"):
            start, stop = count - stop, count - start
        high = stop - options.offset if options.offset >= 0 else start
        low = max(start, high - options.limit) if options.limit >= 0 else start
        selected = found.range(low, high, PAIRS if form == FLAT else form)
        selected.reverse()
        return [word for pair in selected for word in pair] if form == FLAT else selected
    start = min(start + options.offset, stop) if options.offset >= 0 else stop
    if options.limit >= 0:
        stop = min(stop, start + options.limit)
    return found.range(start, stop, form)


@cython.cfunc
def ranked(context: Context, args: list[bytes]) -> list[Any]:
    """ZRANGE in its commonest form: the members from one index to another."""
    start: cython.longlong = integer(args[2])
    stop: cython.longlong = integer(args[3])
    found: SortedSet | None = context.keyspace.read_as(args[1], SortedSet)
    if found is None:
        return []
    count: cython.Py_ssize_t = found.length()
    if start < 0:
        start = max(start + count, 0)
    stop = stop + count if stop < 0 else min(stop, count - 1)
    selected: list[Any] = found.range(start, stop + 1) if start <= stop else []
    return selected


def _range(kind: str | None, reverse: bool | None) -> Function:
    by_index: cython.bint = kind is None and reverse is None

    def run(context: Context, args: Arguments) -> Reply:
        if by_index and len(args) == 4:
            return ranked(context, args)
        options = Options(kind, reverse)
        parse_options(args[4:], options, storing=False)
        bounds = parse_bounds(args[2], args[3], options)
        found = context.keyspace.read_as(args[1], SortedSet)
        if found is None:
            return []
        form = MEMBERS
        if options.with_scores:
            form = PAIRS if context.protocol > 2 else FLAT
        return select(found, bounds, options, form)

    return run


_LIMITED = (
    "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements being returned. If "
    "M is constant (e.g. always asking for the first 10 elements with LIMIT), you can consider it O(log(N))."
)
_RETURNED = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements returned."
for _name, _kind, _reverse, _since, _complexity, _summary in (
    ("ZRANGE", None, None, "1.2.0", _RETURNED, "Returns members in a sorted set within a range of indexes."),
    (
        "ZREVRANGE",
        "rank",
        True,
        "1.2.0",
        _RETURNED,
        "Returns members in a sorted set within a range of indexes in reverse order.",
    ),
    ("ZRANGEBYSCORE", "score", False, "1.0.5", _LIMITED, "Returns members in a sorted set within a range of scores."),
    (
        "ZREVRANGEBYSCORE",
        "score",
        True,
        "2.2.0",
        _LIMITED,
        "Returns members in a sorted set within a range of scores in reverse order.",
    ),
    ("ZRANGEBYLEX", "lex", False, "2.8.9", _LIMITED, "Returns members in a sorted set within a lexicographical range."),
    (
        "ZREVRANGEBYLEX",
        "lex",
        True,
        "2.8.9",
        _LIMITED,
        "Returns members in a sorted set within a lexicographical range in reverse order.",
    ),
):
    command(
        _name,
        arity=-4,
        flags="readonly",
        keys=(1, 1, 1),
        access="RO access",
        group="sorted_set",
        since=_since,
        complexity=_complexity,
        summary=_summary,
    )(_range(_kind, _reverse))


@command(
    "ZRANGESTORE",
    arity=-5,
    flags="write denyoom",
    keys=(1, 2, 1),
    key_specs=(KeySpec("OW update", 1), KeySpec("RO access", 2)),
    group="sorted_set",
    since="6.2.0",
    complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements stored "
    "into the destination key.",
    summary="Stores a range of members from sorted set in a key.",
)
def zrangestore(context: Context, args: Arguments) -> Reply:
    options = Options()
    parse_options(args[5:], options, storing=True)
    bounds = parse_bounds(args[3], args[4], options)
    found = context.keyspace.read_as(args[2], SortedSet)
    result = SortedSet(context.limits)
    for member, score in [] if found is None else select(found, bounds, options, PAIRS):
        result.add(member, score)
    return store(context, args[1], result, "zrangestore")


def store(context: Context, key: bytes, result: SortedSet, event: str) -> int:
    """Put a set under a key, or nothing if it is empty; how many members it has."""
    if len(result):
        context.keyspace.set(key, result, NO_EXPIRY, event)
    else:
        context.keyspace.clear(key)
    return len(result)


# Counting and removing


@command(
    "ZCOUNT",
    arity=4,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="sorted_set",
    since="2.0.0",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
    summary="Returns the count of members in a sorted set that have scores within a range.",
)
def zcount(context: Context, args: Arguments) -> Reply:
    low, low_open = parse_end(args[2])
    high, high_open = parse_end(args[3])
    found: SortedSet | None = context.keyspace.read_as(args[1], SortedSet)
    if found is None:
        return 0
    start: cython.Py_ssize_t = found.rank_of_score(low, low_open)
    stop: cython.Py_ssize_t = found.rank_of_score(high, not high_open)
    return max(stop - start, 0)


@command(
    "ZLEXCOUNT",
    arity=4,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="sorted_set",
    since="2.8.9",
    complexity="O(log(N)) with N being the number of elements in the sorted set.",
    summary="Returns the number of members in a sorted set within a lexicographical range.",
)
def zlexcount(context: Context, args: Arguments) -> Reply:
    bounds = by_member(args[2], args[3])
    found = context.keyspace.read_as(args[1], SortedSet)
    if found is None:
        return 0
    start, stop = bounds(found)
    return stop - start


def _remove(kind: str, event: str) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        bounds = RANGES[kind](args[2], args[3])
        found = context.keyspace.peek_as(args[1], SortedSet)
        if found is None:
            return 0
        start, stop = bounds(found)
        found.remove_range(start, stop)
        context.keyspace.edited(args[1], found, event, stop - start)
        return stop - start

    return run


for _kind, _since, _what in (
    ("rank", "2.0.0", "range of indexes"),
    ("score", "1.2.0", "range of scores"),
    ("lex", "2.8.9", "lexicographical range"),
):
    command(
        f"ZREMRANGEBY{_kind.upper()}",
        arity=4,
        flags="write",
        keys=(1, 1, 1),
        access="RW delete",
        group="sorted_set",
        since=_since,
        complexity="O(log(N)+M) with N being the number of elements in the sorted set and M the number of elements "
        "removed by the operation.",
        summary=f"Removes members in a sorted set within a {_what}. Deletes the sorted set if all members were "
        "removed.",
    )(_remove(_kind, f"zremrangeby{_kind}"))
