"""The sorted set group: unions, intersections and differences of sorted sets and plain sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cython

from ringkeeper.commands.numbers import SYNTAX, integer, option_word
from ringkeeper.commands.scores import parse_score
from ringkeeper.commands.sorted_sets_ranges import store
from ringkeeper.commands.table import Arguments, Function, KeySpec, Reply, command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import WRONG_TYPE
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

if not cython.compiled:
    from ringkeeper.commands.context import Context
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]

Scores = dict[bytes, float]
Aggregate = Callable[[float, float], float]


@dataclass(slots=True)
class Source:
    """An input and its weight. Members of a plain set have the score 1; a key that is not there has none."""

    value: SortedSet | Set | None
    weight: float = 1.0

    def __len__(self) -> int:
        return 0 if self.value is None else len(self.value)

    def items(self) -> Iterable[tuple[bytes, float]]:
        if isinstance(self.value, SortedSet):
            return self.value.items()
        return ((member, 1.0) for member in self.value or ())

    def score(self, member: bytes) -> float | None:
        if isinstance(self.value, SortedSet):
            return self.value.score(member)
        return 1.0 if self.value is not None and member in self.value else None

    def weighted(self, score: float) -> float:
        """0 for the product of 0 and infinity, which is no number."""
        product = self.weight * score
        return product if product == product else 0.0


def add(left: float, right: float) -> float:
    """0 for the sum of both infinities, and of whatever else is no number."""
    total = left + right
    return total if total == total else 0.0


AGGREGATES: dict[bytes, Aggregate] = {
    b"sum": add,
    b"min": lambda left, right: right if right < left else left,
    b"max": lambda left, right: right if right > left else left,
}


@dataclass(slots=True)
class Request:
    """What a command combines, and how."""

    sources: list[Source]
    aggregate: Aggregate = add
    with_scores: bool = False
    limit: int = 0
    """Of ZINTERCARD: where to stop; 0 for nowhere."""


# The three operations. Inputs are taken from the smallest on, as in Redis: sums depend on the order.


def unite(request: Request) -> Scores:
    """O(N): all members of all inputs."""
    scores: Scores = {}
    for source in sorted(request.sources, key=len):
        for member, score in source.items():
            weighted = source.weighted(score)
            old = scores.get(member)
            scores[member] = weighted if old is None else request.aggregate(old, weighted)
    return scores


def intersect(request: Request) -> Scores:
    """O(N*M): the members of the smallest input times the number of inputs."""
    first, *others = sorted(request.sources, key=len)
    scores: Scores = {}
    for member, score in first.items():
        total = first.weighted(score)
        for other in others:
            found = other.score(member)
            if found is None:
                break
            total = request.aggregate(total, other.weight * found)
        else:
            scores[member] = total
            if len(scores) == request.limit:
                break
    return scores


def subtract(request: Request) -> Scores:
    """O(N): the members of the first input times the number of inputs."""
    first, *others = request.sources
    return {
        member: score for member, score in first.items() if not any(other.score(member) is not None for other in others)
    }


# Their words


def parse_request(context: Context, args: Arguments, at: int, name: str, options: frozenset[bytes]) -> Request:
    """`numkeys key [key ...]` at a position, and those of the options behind them that the command has."""
    count = integer(args[at])
    if count < 1:
        raise ReplyError(f"ERR at least 1 input key is needed for '{name}' command")
    if count > len(args) - at - 1:
        raise ReplyError(SYNTAX)
    request = Request([read_source(context, key) for key in args[at + 1 : at + 1 + count]])
    index = at + 1 + count
    while index < len(args):
        word, left = option_word(args[index]), len(args) - index - 1
        if word not in options:
            raise ReplyError(SYNTAX)
        index += 1
        if word == b"weights" and left >= count:
            for source in request.sources:
                source.weight = parse_score(args[index], "ERR weight value is not a float")
                index += 1
        elif word == b"aggregate" and left and option_word(args[index]) in AGGREGATES:
            request.aggregate = AGGREGATES[option_word(args[index])]
            index += 1
        elif word == b"limit" and left:
            request.limit = integer(args[index], "ERR LIMIT can't be negative")
            if request.limit < 0:
                raise ReplyError("ERR LIMIT can't be negative")
            index += 1
        elif word == b"withscores":
            request.with_scores = True
        else:
            raise ReplyError(SYNTAX)
    return request


def read_source(context: Context, key: bytes) -> Source:
    value = context.keyspace.read(key)
    if value is not None and not isinstance(value, (SortedSet, Set)):
        raise WRONG_TYPE
    return Source(value)


# The commands

Operation = Callable[[Request], Scores]


def _answer(operation: Operation, name: str, options: frozenset[bytes]) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        request = parse_request(context, args, 1, name, options | {b"withscores"})
        ordered = sorted((score, member) for member, score in operation(request).items())
        if not request.with_scores:
            return [member for _, member in ordered]
        if context.protocol > 2:
            return [[member, score] for score, member in ordered]
        return [word for score, member in ordered for word in (member, score)]

    return run


def _store(operation: Operation, name: str, options: frozenset[bytes]) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        scores = operation(parse_request(context, args, 2, name, options))
        result = SortedSet(context.limits)
        result.expect(len(scores), max(map(len, scores), default=0))
        for member, score in scores.items():
            result.add(member, score)
        return store(context, args[1], result, name)

    return run


_WEIGHTED = frozenset({b"weights", b"aggregate"})
for _name, _operation, _options, _since, _complexity, _summary in (
    (
        "ZUNION",
        unite,
        _WEIGHTED,
        "2.0.0",
        "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being the number of "
        "elements in the resulting sorted set.",
        "Returns the union of multiple sorted sets.",
    ),
    (
        "ZINTER",
        intersect,
        _WEIGHTED,
        "2.0.0",
        "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of input sorted "
        "sets and M being the number of elements in the resulting sorted set.",
        "Returns the intersect of multiple sorted sets.",
    ),
    (
        "ZDIFF",
        subtract,
        frozenset(),
        "6.2.0",
        "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N is the size of the "
        "first set, and K is the size of the result set.",
        "Returns the difference between multiple sorted sets.",
    ),
):
    command(
        _name,
        arity=-3,
        flags="readonly movablekeys",
        key_specs=(KeySpec("RO access", 1, counted=True),),
        group="sorted_set",
        since="6.2.0",
        complexity=_complexity,
        summary=_summary,
    )(_answer(_operation, _name.lower(), _options))
    command(
        f"{_name}STORE",
        arity=-4,
        flags="write denyoom movablekeys",
        keys=(1, 1, 1),
        key_specs=(KeySpec("OW update", 1), KeySpec("RO access", 2, counted=True)),
        group="sorted_set",
        since=_since,
        complexity=_complexity,
        summary=f"{_summary[:-1].replace('Returns', 'Stores').replace('between', 'of')} in a key.",
    )(_store(_operation, f"{_name.lower()}store", _options))


@command(
    "ZINTERCARD",
    arity=-3,
    flags="readonly movablekeys",
    key_specs=(KeySpec("RO access", 1, counted=True),),
    group="sorted_set",
    since="7.0.0",
    complexity="O(N*K) worst case with N being the smallest input sorted set, K being the number of input sorted sets.",
    summary="Returns the number of members of the intersect of multiple sorted sets.",
)
def zintercard(context: Context, args: Arguments) -> Reply:
    return len(intersect(parse_request(context, args, 1, "zintercard", frozenset({b"limit"}))))
