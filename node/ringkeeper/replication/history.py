"""Whose history a node has, and who may go on in it.

An id names a history: the same id and offset mean the same data. A node that becomes master gives its history a new id
from that offset on; the old id is the second one, valid up to there, so that who followed the old master can go on.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringkeeper.cluster.position import NOTHING, Position

NO_ID = "0" * 40
TERMS_KEPT = 16
"""Of whose ends a node knows."""

Ends = tuple[Position, ...]
"""Where in a history the stream of each term ended that is part of it: the last ones, the latest last."""


@dataclass(frozen=True, slots=True)
class History:
    """An immutable value. Offsets count bytes told since the history began."""

    id: str
    id2: str = NO_ID
    until: int = -1
    """The offset up to which the second id names the same history; -1 without one."""

    def branched(self, id_: str, offset: int) -> History:
        """With a new id from an offset on."""
        return History(id_, self.id, offset)

    def includes(self, id_: str, offset: int) -> bool:
        """Whether who has so many bytes of that history has a part of this one."""
        return id_ == self.id or (id_ == self.id2 and offset <= self.until)


@dataclass(frozen=True, slots=True)
class Claim:
    """What a master of a cluster says of itself before it sends anything."""

    term: int
    """In which it was appointed."""
    offset: int
    """That it has now."""
    origin: Position
    """Where it was when it was appointed."""
    before: Ends = ()
    """The ends of earlier terms. A master of an older release tells none."""

    def encode(self) -> str:
        ends = [f"{end.term}:{end.offset}" for end in (self.origin, *self.before)]
        before = f" before={','.join(ends[1:])}" if self.before else ""
        return f"term={self.term} offset={self.offset} origin={ends[0]}{before}"

    @property
    def ends(self) -> Ends:
        """Those of all terms before its own."""
        return with_end(self.before, self.origin)


def claim_of(text: str) -> Claim | None:
    """What `Claim.encode` wrote; None for anything else."""
    pairs = dict(word.partition("=")[::2] for word in text.split())
    before = pairs["before"].split(",") if "before" in pairs else []
    ends = [end.partition(":")[::2] for end in (pairs.get("origin", ""), *before)]
    numbers = (pairs.get("term", ""), pairs.get("offset", ""), *(number for end in ends for number in end))
    if not all(number.isdecimal() and len(number) < 20 for number in numbers):
        return None
    origin, *others = [Position(int(term), int(offset)) for term, offset in ends]
    return Claim(int(numbers[0]), int(numbers[1]), origin, tuple(others))


def with_end(ends: Ends, end: Position) -> Ends:
    """With one more, if it is that of a term."""
    return (*ends, end)[-TERMS_KEPT:] if end.term else ends


def parting(mine: Position, ends: Ends, claim: Claim) -> int | None:
    """The offset from which on a master has not what a node has; None if that cannot be told.

    `mine` is the node's position and `ends` those of its own history. What two histories have of a term is the same as
    far as both have it: so they part in the first term that does not end in both at the same offset.
    """
    theirs = {end.term: end.offset for end in claim.ends} | {claim.term: claim.offset}
    common = None
    for end in (*ends, mine):
        if end.term not in theirs:
            if common is not None:
                return common
        elif theirs[end.term] != end.offset:
            return min(theirs[end.term], end.offset)
        else:
            common = end.offset
    return common


def objection(mine: Position, keys: int, claim: Claim) -> str | None:
    """Why a replica must not give up its data for that of a master, or None.

    `mine` is the replica's position, `keys` how many keys it has. In one term the history only grows: a master that has
    less of the same term than its replica has lost some of it. And nothing is no successor of something: a master that
    was appointed without any history would erase what its replicas have.
    """
    if not keys or not mine.term:
        return None
    if claim.term == mine.term and claim.offset < mine.offset:
        return (
            f"the master's history ends at {claim.offset} in term {claim.term}, and that of this replica at "
            f"{mine.offset}: the master has lost some of it"
        )
    if claim.origin == NOTHING and claim.term > mine.term:
        return (
            f"the master was appointed to term {claim.term} without any data, and this replica has {keys} keys of term "
            f"{mine.term}"
        )
    return None
