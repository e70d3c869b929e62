"""What nodes and the operator tell each other about leases: one message, one UDP datagram.

Times are nanoseconds of the sender's own monotonic clock and mean nothing on another; only durations (`*_age`,
`remaining`, `lease`) may be used by the one who receives them. Every message says for which shard and term it holds and
from which run it is; who receives one about another term, run or leader discards it. As JSON, a list: the kind, then
the fields in the order below.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ringkeeper.cluster.position import Position

LARGEST = 1400
"""Bytes of a datagram: one packet on any network."""
NEVER = 2**63 - 1
"""A lease's end where none is needed."""


class MessageError(ValueError):
    """A datagram that is no message: says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Operator → node, every heartbeat interval: I lead; send me your heartbeat."""

    shard: int
    leader: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Node → operator, in answer to `Hello`; master → voters, every heartbeat interval."""

    shard: int
    term: int
    """Of the topology by which the sender acts; 0 if it has none."""
    id: str
    run_id: str
    epoch: int
    """Of that topology: its node and its lease process both act by it."""
    role: str
    """`master`, `replica` or `unassigned` (as `member.standing` says)."""
    stamp: int
    """The sender's clock now; a grant repeats it."""
    lease_until: int
    """Until when a master may serve, by its clock; 0: it may not, `NEVER`: it needs no lease."""
    progress_age: int
    """How long ago the node's command loop last made progress, nanoseconds."""
    position: Position
    candidate: bool
    """Whether it could be a master: it has loaded its data, and is in no full sync without keeping the old."""
    promised: int
    """The highest term that it promised; 0 if none."""
    released: str
    """Of a master that gave up this term for good: the run that confirmed `position`. Else empty."""
    leaving: bool = False
    """It was told to end: it is no candidate, and if it is master it wants to hand over first."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Voter or operator → master: serve until your `stamp` + `lease`."""

    shard: int
    term: int
    run_id: str
    """Of the voter that grants; empty if it is the operator."""
    to: str
    """The run id of the master."""
    stamp: int
    lease: int
    """Nanoseconds."""
    leader: int
    """The leader number of an operator that grants; 0 from a voter."""


@dataclass(frozen=True, slots=True)
class AskPromise:
    """Operator → every node of a shard: promise that you will be no voter of a term before `term` again."""

    shard: int
    term: int
    """The term to come."""
    leader: int
    ended: str
    """A run whose end is certain: hearing it a moment ago is no reason to refuse. Empty if none is."""


@dataclass(frozen=True, slots=True)
class Promise:
    """Node → operator. On the disk, and the stream of the old term stopped, before it was sent."""

    shard: int
    term: int
    id: str
    run_id: str
    leader: int
    """The one who asked."""
    position: Position
    """Will not change before the node obeys a topology of this term or a later one."""
    candidate: bool
    remaining: int
    """How long, at most, a grant that this run gave can still be in force, nanoseconds."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Node → operator: no promise."""

    shard: int
    term: int
    id: str
    run_id: str
    leader: int
    why: str
    """A key of `REFUSALS`."""


@dataclass(frozen=True, slots=True)
class AskRelease:
    """Operator → master, every heartbeat interval until it hears that it was done: hand over to `target`."""

    shard: int
    term: int
    """The master's own."""
    run_id: str
    """The master's."""
    leader: int
    target: str
    """Node id. The master's own: give up this term, to be appointed anew in the next."""


Message = Hello | Heartbeat | Grant | AskPromise | Promise | Refusal | AskRelease

REFUSALS = {
    "master": "it is master, or hears one that holds a lease and makes progress",
    "leader": "it has obeyed a later leader",
    "term": "it has a topology of that term or a later one",
    "promised": "it promised a later term",
    "disk": "its disk does not keep what it promises",
    "forgot": "its lease process lost what it had promised",
}
"""Why a promise is refused, in words."""


def encode(message: Message) -> bytes:
    """Raises `MessageError` if it does not fit into a datagram: ids are 40 letters at most, so it always does."""
    fields = [getattr(message, name) for name, _ in _FIELDS[type(message).__name__]]
    data = json.dumps([type(message).__name__, *fields], separators=(",", ":"), ensure_ascii=True).encode()
    if len(data) > LARGEST:
        raise MessageError(f"{type(message).__name__}: {len(data)} bytes, must be at most {LARGEST}")
    return data


def decode(data: bytes) -> Message:
    """The reverse of `encode`, for bytes from anywhere; raises `MessageError`."""
    if len(data) > LARGEST:
        raise MessageError(f"{len(data)} bytes, must be at most {LARGEST}")
    try:
        words = json.loads(data)
    except (ValueError, RecursionError):
        raise MessageError(f"{data[:40]!r}: no JSON") from None
    if not (isinstance(words, list) and words and isinstance(words[0], str) and words[0] in _KINDS):
        raise MessageError(f"{data[:40]!r}: must be a list that begins with one of {', '.join(_KINDS)}")
    kind, *values = words
    fields = _FIELDS[kind]
    if not _FEWEST[kind] <= len(values) <= len(fields):
        raise MessageError(f"{kind}: {len(values)} fields, must be {len(fields)}")
    checked = {}
    for (name, check), value in zip(fields, values, strict=False):
        try:
            checked[name] = check(value)
        except ValueError as error:
            raise MessageError(f"{kind}.{name}: {value!r:.60}, must be {error}") from None
    message: Message = _KINDS[kind](**checked)
    return message


def _number(value: object) -> int:
    if type(value) is int and 0 <= value < 2**63:
        return value
    raise ValueError("a whole number from 0")


def _word(value: object) -> str:
    if isinstance(value, str) and len(value) <= 64 and all("!" <= character <= "~" for character in value):
        return value
    raise ValueError("at most 64 ASCII characters without spaces")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("true or false")


def _position(value: object) -> Position:
    if isinstance(value, list) and len(value) == 2:
        return Position(_number(value[0]), _number(value[1]))
    raise ValueError("[term, offset]")


_KINDS: dict[str, Any] = {
    kind.__name__: kind for kind in (Hello, Heartbeat, Grant, AskPromise, Promise, Refusal, AskRelease)
}
_CHECKS: dict[str, Callable[[object], object]] = {"int": _number, "str": _word, "bool": _flag, "Position": _position}
_FIELDS = {
    name: [(field.name, _CHECKS[str(field.type)]) for field in dataclasses.fields(kind)]
    for name, kind in _KINDS.items()
}
_FEWEST = {
    name: sum(field.default is dataclasses.MISSING for field in dataclasses.fields(kind))
    for name, kind in _KINDS.items()
}
"""Fields with a default came later: a node of an earlier version does not say them."""
