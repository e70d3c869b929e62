"""Scores and the ends of ranges, read as Redis reads them: by the C library's `strtod`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import cython

from ringkeeper.commands.numbers import NOT_A_FLOAT
from ringkeeper.resp.values import ReplyError

if not cython.compiled:
    from ringkeeper.commands.numbers import digits, integer
    from ringkeeper.types.zset import SortedSet
else:
    from cython.cimports.ringkeeper.commands.numbers import digits, integer  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset import SortedSet  # type: ignore[no-redef]

PLAIN = b"0123456789+-.eE"
"""What a decimal number consists of. Of such words, `float` takes those that `strtod` takes as a whole."""
BLANKS = b" \t\n\v\f\r"
BAD_RANGE = "ERR min or max is not a float"
BAD_LEX_RANGE = "ERR min or max not valid string range item"

INFINITIES = {b"+inf": math.inf, b"inf": math.inf, b"-inf": -math.inf}
"""As they are written most."""

_HEXADECIMAL = re.compile(rb"[+-]?0x(?:[0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)(?:p[+-]?[0-9]+)?", re.IGNORECASE)
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_NOT_ZERO = re.compile(rb"[+-]?(?:0x[0.]*[1-9a-f]|[0.]*[1-9])", re.IGNORECASE)

Interval = tuple[int, int]
End = tuple[float, bool]
"""Of a range of scores, and whether it is excluded."""
Bounds = Callable[[SortedSet], Interval]
"""From a set to the ranks of a range in it, half open; the first is never above the second."""


def parse_score(word: bytes, error: str = NOT_A_FLOAT) -> cython.double:
    """Raises `ReplyError` for what is no number as a whole, for NaN, and for what overflows or vanishes."""
    whole: cython.longlong = digits(word)
    if whole >= 0:
        return cython.cast(cython.double, whole)
    if not word.translate(None, PLAIN):
        try:
            number = float(word)
        except ValueError:
            raise ReplyError(error) from None
        if number and number - number == 0.0:
            return number
    found = strtod(word)
    if found is None or (math.isinf(found) and not _INFINITE.fullmatch(word)):
        raise ReplyError(error)
    if found == 0.0 and _NOT_ZERO.match(word):
        raise ReplyError(error)
    return found


def strtod(word: bytes) -> float | None:
    """What `strtod` makes of a whole word, infinities where it overflows; None for NaN and if it would leave a rest."""
    if _INFINITE.fullmatch(word):
        return -math.inf if word[:1] == b"-" else math.inf
    try:
        if not word.translate(None, PLAIN):
            return float(word)
        return float.fromhex(word.decode()) if _HEXADECIMAL.fullmatch(word) else None
    except ValueError:
        return None
    except OverflowError:
        return -math.inf if word[:1] == b"-" else math.inf


def by_rank(first: bytes, last: bytes) -> Bounds:
    """The range from one index to another, both included; negative ones count from the end."""
    start, stop = integer(first), integer(last)

    def bounds(found: SortedSet) -> Interval:
        count = len(found)
        low = max(start + count if start < 0 else start, 0)
        high = min(stop + count if stop < 0 else stop, count - 1) + 1
        return (low, high) if low < high else (0, 0)

    return bounds


def by_score(lowest: bytes, highest: bytes) -> Bounds:
    """The range from one score to another, `(` excluding it."""
    low, low_open = parse_end(lowest)
    high, high_open = parse_end(highest)

    def bounds(found: SortedSet) -> Interval:
        start = found.rank_of_score(low, low_open)
        return start, max(start, found.rank_of_score(high, not high_open))

    return bounds


def parse_end(word: bytes) -> End:
    """The end of a range of scores, and whether it is excluded. A NUL ends it; an empty one is 0, as in Redis."""
    whole: cython.longlong = digits(word)
    if whole >= 0:
        return cython.cast(cython.double, whole), False
    if word in INFINITIES:
        return INFINITIES[word], False
    is_open = word[:1] == b"("
    word = word[is_open:].partition(b"\0")[0]
    score = strtod(word.lstrip(BLANKS)) if word else 0.0
    if score is None:
        raise ReplyError(BAD_RANGE)
    return score, is_open


def by_member(lowest: bytes, highest: bytes) -> Bounds:
    """The range from one member to another among those of the same score: `[` includes, `(` excludes, `-` and `+`."""
    low, high = parse_lex_end(lowest), parse_lex_end(highest)

    def rank(found: SortedSet, end: bytes, after: bool) -> int:
        if end in (b"-", b"+"):
            return 0 if end == b"-" else len(found)
        return found.rank_of_member(end[1:], after)

    def bounds(found: SortedSet) -> Interval:
        if found.compact and found.at(0)[1] != found.at(len(found) - 1)[1]:
            return walked(found.range(0, len(found)), low, high)
        start = rank(found, low, low[:1] == b"(")
        return start, max(start, rank(found, high, high[:1] == b"["))

    return bounds


def walked(members: list[bytes], low: bytes, high: bytes) -> Interval:
    """The range as Redis finds it by walking through a listpack: defined even where scores differ, and clients ask."""

    def is_in(member: bytes, end: bytes, side: int) -> bool:
        if end in (b"-", b"+"):
            return (end == b"-") == (side > 0)
        order = (member > end[1:]) - (member < end[1:])
        return order == side or (order == 0 and end[:1] == b"[")

    if not is_in(members[-1], low, 1) or not is_in(members[0], high, -1):
        return 0, 0
    start = next(at for at, member in enumerate(members) if is_in(member, low, 1))
    return start, next((at for at in range(start, len(members)) if not is_in(members[at], high, -1)), len(members))


def parse_lex_end(word: bytes) -> bytes:
    if word[:1] in (b"[", b"("):
        return word
    word = word.partition(b"\0")[0]
    if word not in (b"-", b"+"):
        raise ReplyError(BAD_LEX_RANGE)
    return word
