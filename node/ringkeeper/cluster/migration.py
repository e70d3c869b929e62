"""How slots go from one shard to another: a replication of these slots alone, followed by a handover of them.

A `Move` stands in the topology (`topology.py`). While it is *feeding*, the target's master follows a feed of the slots,
whose keys are hidden there: no client is shown them. Asked to, the source holds back writes to these slots until the
target has confirmed all that was fed, and then *releases* them: at that offset it answers neither reads nor writes of
them, and only a committed epoch ends that. When the target's voters (and disks) hold that offset too, the operator
commits that the target owns the slots, and the source hides its copy. It drops it when the target has confirmed once
more, in the new epoch, that its shard holds them: `EndMove`. To cancel is to commit an epoch as well.

Both masters tell what they did as a `Confirmation`; a fact told once stays true as long as its term and run last. So
neither a late nor a repeated one does harm, and whoever leads may commit by those of an earlier leader's time:

- One feed a move. A source that lost it fails; another move, of another id, begins from nothing.
- The target drops nothing that it has confirmed while the move is in the topology, not even when it fails.
- The target begins clean: it has no key of the slots.

No clock is read here: `now` is the node's monotonic clock, nanoseconds. Offsets are bytes of the feed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from ringkeeper.cluster.changes import EndMove, SettleMove
from ringkeeper.cluster.handover import CONFIRM_WITHIN
from ringkeeper.cluster.lease import majority
from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.topology import FEEDING, SETTLED, Move, Shard, Topology


class Source(StrEnum):
    """What the source's master does about a move."""

    WAITING = "waiting"
    """Until the target asks for the feed."""
    FEEDING = "feeding"
    """It serves the slots and tells the target all that it does to them."""
    HOLDING = "holding"
    """It holds back writes of the slots (and only these) until the target has confirmed the offset."""
    RELEASED = "released"
    """It answers nothing of the slots. Only an epoch ends this: without the move, or with it settled."""
    FAILED = "failed"
    """The feed was lost or could not keep up: it serves the slots, and this move cannot go on."""
    HIDING = "hiding"
    """The target owns them; the copy is kept hidden, until an epoch without the move."""
    RESTORING = "restoring"
    """The copy was needed: it serves the slots again, and waits for its voters."""
    RESTORED = "restored"
    """Its voters, and disk, hold that in the epoch that returned the slots."""


class Target(StrEnum):
    """What the target's master does about a move."""

    CLEARING = "clearing"
    """It drops what keys of the slots it has from before."""
    LOADING = "loading"
    """It follows the feed, and has not all slots yet."""
    FOLLOWING = "following"
    """It has all slots and what was written since; its voters or its disk do not yet."""
    HOLDING_ALL = "holding all"
    """Enough of its voters, and the disk if there is one, hold all that it received."""
    FAILED = "failed"
    """It can receive no more, and says why. What it confirmed it keeps."""
    ADOPTED = "adopted"
    """It owns the slots and serves them."""
    KEPT = "kept"
    """Its voters, and disk, hold them in the epoch that gave them: the source's copy is not needed any more."""


_BEFORE_THE_COMMIT = (Source.WAITING, Source.FEEDING, Source.HOLDING, Source.RELEASED, Source.FAILED)
SOURCE_TRANSITIONS = {
    (Source.WAITING, "followed"): Source.FEEDING,
    (Source.FEEDING, "asked"): Source.HOLDING,
    (Source.HOLDING, "confirmed"): Source.RELEASED,
    (Source.HOLDING, "too late"): Source.FEEDING,
    (Source.HOLDING, "lost its lease"): Source.FEEDING,
    (Source.WAITING, "failed"): Source.FAILED,
    (Source.FEEDING, "failed"): Source.FAILED,
    (Source.HOLDING, "failed"): Source.FAILED,
    **{(state, "settled"): Source.HIDING for state in _BEFORE_THE_COMMIT},
    **{(state, "returned"): Source.RESTORING for state in (*_BEFORE_THE_COMMIT, Source.HIDING)},
    (Source.RESTORING, "held"): Source.RESTORED,
}
"""Of a `SourceMove`. Anything else changes nothing; an epoch without the move ends it."""

_RECEIVING = (Target.CLEARING, Target.LOADING, Target.FOLLOWING, Target.HOLDING_ALL)
TARGET_TRANSITIONS = {
    (Target.CLEARING, "empty"): Target.LOADING,
    (Target.LOADING, "loaded"): Target.FOLLOWING,
    (Target.FOLLOWING, "held"): Target.HOLDING_ALL,
    (Target.HOLDING_ALL, "received"): Target.FOLLOWING,
    **{(state, "failed"): Target.FAILED for state in _RECEIVING},
    **{(state, "settled"): Target.ADOPTED for state in (*_RECEIVING, Target.FAILED)},
    (Target.ADOPTED, "held"): Target.KEPT,
    **{(state, "returned"): Target.FAILED for state in (*_RECEIVING, Target.ADOPTED, Target.KEPT)},
}
"""Of a `TargetMove`."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What one of the two masters says of a move; in JSON an entry of `/control/state`, beside other figures."""

    move: int
    role: str
    """`source` or `target`."""
    state: str
    term: int
    """Of who says it, as `run_id`."""
    run_id: str
    offset: int = 0
    """Of the feed: at which the source released, or up to which the target received (and, holding all, holds)."""
    held: Position = NOTHING
    """Target: its own stream at that offset."""
    why: str = ""
    """For people."""

    def is_of(self, move: Move) -> bool:
        """Said by the run, and in the term, with which the move began."""
        began = {"source": (move.source_term, move.source_run), "target": (move.target_term, move.target_run)}
        return self.move == move.id and began.get(self.role) == (self.term, self.run_id)


def told_rate(count: int) -> str:
    """Bytes a second, roughly, for people: what is told of them is not to change all the time."""
    return f"{float(f'{count:.1g}') / 1e6:g} MB/s"


def encode(confirmation: Confirmation) -> dict[str, Any]:
    return {
        "id": confirmation.move,
        "role": confirmation.role,
        "state": confirmation.state,
        "term": confirmation.term,
        "runId": confirmation.run_id,
        "offset": confirmation.offset,
        "held": list(confirmation.held),
        "why": confirmation.why,
    }


def decode(document: Any) -> Confirmation | None:
    """The reverse of `encode`, for a document from anywhere that may have more fields; None if it is no such one."""
    match document:
        case {
            "id": int(move),
            "role": str(role),
            "state": str(state),
            "term": int(term),
            "runId": str(run_id),
            "offset": int(offset),
            "held": [int(held_term), int(held_offset)],
        }:
            held = Position(held_term, held_offset)
            return Confirmation(move, role, state, term, run_id, offset, held, str(document.get("why", "")))
    return None


def progress_of(said: Iterable[Confirmation]) -> str:
    """What is news about moves when it changes: how far each side is, and at which offset once that decides."""
    decisive = (Source.RELEASED, Target.HOLDING_ALL)
    told = (f"{each.move}-{each.state}-{each.offset if each.state in decisive else ''}" for each in said)
    return ",".join(told).replace(" ", "-")


class _Side:
    """One object for a move and a term; the node's command loop owns it."""

    transitions: ClassVar[Mapping[tuple[Any, str], Any]]

    def __init__(self, move: Move, *, term: int, run_id: str, first: Any) -> None:
        self.move, self.term, self.run_id = move, term, run_id
        self.state: Any = first
        self.offset = 0
        """Of the feed: where the source released, or how much the target received."""
        self.why = ""
        self.follow(move)

    def follow(self, move: Move) -> None:
        """What the topology says of the move now."""
        self.move = move
        if move.phase != FEEDING:
            self._step(move.phase)

    def fail(self, why: str) -> None:
        """It cannot go on. What is released or confirmed stays so."""
        if self._step("failed"):
            self.why = why

    def _step(self, event: str) -> bool:
        after = self.transitions.get((self.state, event))
        self.state = after or self.state
        return after is not None


class SourceMove(_Side):
    """The source's side.

    In `HOLDING` the node executes no write of the slots, its own expiry included, and from `RELEASED` on it answers
    nothing of them, in the same iteration of its loop. A master of another term or run than the move's feeds nothing.
    """

    state: Source
    transitions = SOURCE_TRANSITIONS

    def __init__(self, move: Move, *, term: int, run_id: str) -> None:
        self.until = 0
        super().__init__(move, term=term, run_id=run_id, first=Source.WAITING)

    @property
    def answers(self) -> bool:
        """Whether it answers for the slots at all, as far as this move goes."""
        return self.state not in (Source.RELEASED, Source.HIDING)

    @property
    def takes_writes(self) -> bool:
        return self.answers and self.state is not Source.HOLDING

    def followed(self, target_term: int, target_run: str) -> bool:
        """The target asks for the feed: whether it may begin."""
        move = self.move
        is_theirs = (target_term, target_run) == (move.target_term, move.target_run)
        is_mine = (self.term, self.run_id) == (move.source_term, move.source_run)
        return is_theirs and is_mine and move.phase == FEEDING and self._step("followed")

    def ask(self, confirmed: int, end: int, now: int, *, holds_lease: bool) -> None:
        """Release the slots. `end`: of the feed; `confirmed`: the last offset that the target acknowledged."""
        if holds_lease and self._step("asked"):
            self.until = now + CONFIRM_WITHIN
        self.confirm(confirmed, end, now, holds_lease=holds_lease)

    def confirm(self, confirmed: int, end: int, now: int, *, holds_lease: bool) -> None:
        """An acknowledgement of the one feed of this move."""
        self.tick(now, holds_lease=holds_lease)
        if self.state is Source.HOLDING and confirmed >= end:
            self.offset = end
            self._step("confirmed")

    def tick(self, now: int, *, holds_lease: bool) -> None:
        if self.state is Source.HOLDING and not holds_lease:
            self._step("lost its lease")
        elif self.state is Source.HOLDING and now > self.until:
            self._step("too late")

    def held(self) -> None:
        """Its voters and its disk hold what it serves again."""
        self._step("held")

    def confirmation(self) -> Confirmation:
        return Confirmation(self.move.id, "source", self.state, self.term, self.run_id, self.offset, why=self.why)


class TargetMove(_Side):
    """The target's side.

    It never serves before an epoch says so, and in that epoch only what it holds then.
    """

    state: Target
    transitions = TARGET_TRANSITIONS

    def __init__(self, move: Move, *, term: int, run_id: str) -> None:
        self.position = NOTHING
        """Its own stream when its voters held what was received."""
        super().__init__(move, term=term, run_id=run_id, first=Target.CLEARING)

    @property
    def is_mine(self) -> bool:
        """Whether this master is the one that is to follow the feed."""
        return (self.term, self.run_id) == (self.move.target_term, self.move.target_run)

    def empty(self) -> bool:
        """It has no key of the slots: whether it is to ask for the feed now."""
        return self.is_mine and self._step("empty")

    def received(self, offset: int) -> None:
        """More of the feed was applied."""
        if offset > self.offset and self.state in (Target.LOADING, Target.FOLLOWING, Target.HOLDING_ALL):
            self.offset = offset
            self._step("received")

    def loaded(self) -> None:
        """All slots have come."""
        self._step("loaded")

    def held(self, offset: int, position: Position) -> None:
        """Enough voters (`enough`), and the disk, hold `position` of its stream, with all of the feed up to `offset`;
        once it owns the slots, with all of them where they are served."""
        if self.state is Target.ADOPTED or (self.state is Target.FOLLOWING and offset == self.offset):
            self.position = position
            self._step("held")

    def lose_feed(self) -> None:
        """The feed ended. With all slots there it may have been released: the source says whether it was."""
        if self.state is Target.LOADING:
            self.fail("the feed was lost")

    def confirmation(self) -> Confirmation:
        return Confirmation(
            self.move.id, "target", self.state, self.term, self.run_id, self.offset, self.position, self.why
        )


def enough(acknowledged: Iterable[int], shard: Shard, offset: int) -> bool:
    """Whether so many voters have `offset` that whoever is appointed by promises has it; `acknowledged`: one each.

    As many as a write waits for; where writes wait for none, a majority.
    """
    return sum(one >= offset for one in acknowledged) >= needed_voters(shard)


def needed_voters(shard: Shard) -> int:
    """How many of a shard's voters must hold what moves there."""
    return shard.min_acks or (majority(len(shard.voters)) if shard.voters else 0)


def keeps_hidden(move: Move, shard: int) -> bool:
    """Whether nodes of `shard` keep keys of these slots which it does not own: what is fed, or the source's copy."""
    return (move.phase, shard) in ((FEEDING, move.target), (SETTLED, move.source))


# --- what the operator may commit


def may_ask_release(source: Confirmation | None, target: Confirmation | None, move: Move) -> bool:
    """Whether the target has come so far that the source may be asked to release the slots."""
    return (
        source is not None
        and target is not None
        and source.is_of(move)
        and target.is_of(move)
        and source.state in (Source.FEEDING, Source.HOLDING)
        and target.state in (Target.FOLLOWING, Target.HOLDING_ALL)
    )


def settled(
    topology: Topology, move: Move, source: Confirmation | None, target: Confirmation | None
) -> SettleMove | None:
    """The change that gives the slots to the target, if both have confirmed the same offset."""
    if (
        source is None
        or target is None
        or move.phase != FEEDING
        or not topology.is_alive(move)
        or not (source.is_of(move) and target.is_of(move))
        or (source.state, target.state) != (Source.RELEASED, Target.HOLDING_ALL)
        or source.offset != target.offset
        or target.held.term != move.target_term
    ):
        return None
    return SettleMove(move, target.held)


def ended(topology: Topology, move: Move, source: Confirmation | None, target: Confirmation | None) -> EndMove | None:
    """The change that takes the move away, if it is dead, one side failed, or its spare copy is not needed any more.

    A feeding move may be cancelled for any other reason too.
    """
    if move.phase == FEEDING:
        return _cancelled(topology, move, source, target)
    said, done = (target, Target.KEPT) if move.phase == SETTLED else (source, Source.RESTORED)
    if (
        said is None
        or (said.move, said.role, said.state) != (move.id, "target" if move.phase == SETTLED else "source", done)
        or topology.master_run(move.owner) != (said.term, said.run_id)
    ):
        return None
    return EndMove(move, said.term, said.run_id, cause=f"shard {move.owner} holds the slots")


def _cancelled(
    topology: Topology, move: Move, source: Confirmation | None, target: Confirmation | None
) -> EndMove | None:
    if not topology.is_alive(move):
        return EndMove(move, cause="its source or its target has another master now")
    for said, state in ((source, Source.FAILED), (target, Target.FAILED)):
        if said is not None and said.is_of(move) and said.state == state:
            return EndMove(move, cause=f"the {said.role} failed: {said.why}")
    return None
