"""What clients were answered, and what of that cannot be."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

REFUSALS = frozenset({"-MOVED", "-CLUSTERDOWN", "-NOREPLICAS", "-LOADING"})
"""What a node may answer that is not (or not now) to serve: then nothing was done."""


class Answer(Protocol):
    """Of a node that answered as master: when the command was sent, when the answer came."""

    @property
    def sent(self) -> float: ...
    @property
    def received(self) -> float: ...
    @property
    def node(self) -> int: ...


def turns_out_of_order(answers: Iterable[Answer], masters: Sequence[int | None]) -> list[str]:
    """Whether nobody answered as master after the next one had begun to. `masters` are the nodes that were appointed,
    term after term; None stands for one that is not known.
    """
    by_end = sorted(answers, key=lambda answer: answer.received)
    terms = iter(masters)
    before = None
    for answer in by_end:
        is_another = before is None or answer.node != before.node
        if is_another and not any(master in (None, answer.node) for master in terms):
            return [f"masters were {masters}, and this one's time was over:\n  {before}\n  then {answer}"]
        before = answer
    return []


@dataclass(frozen=True, slots=True)
class Count:
    """An INCR that was answered with a number: when it was sent, when the answer came, of which node."""

    sent: float
    received: float
    node: int
    value: int


def objections(counts: list[Count], term: int) -> list[str]:
    """What in these histories cannot be, the counter being one and its shard having had so many masters."""
    found = []
    by_value = sorted(counts, key=lambda count: count.value)
    for one, other in itertools.pairwise(by_value):
        if one.value == other.value:
            found.append(f"two clients were told the same: {one}, {other}")
    by_end = sorted(counts, key=lambda count: count.received)
    ends = [count.received for count in by_end]
    highest = [0]
    for count in by_end:
        highest.append(max(highest[-1], count.value))
    for count in counts:
        before = highest[bisect.bisect_left(ends, count.sent)]
        if before >= count.value:
            found.append(f"{before} had been answered before {count} was asked for")
    return found + turns_out_of_order(counts, [None] * term)
