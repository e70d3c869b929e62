"""A node of one of two shards: what it does about slots that move, and which of them it answers for."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.data import Entry, offset_of
from simulation.network import OPERATORS
from simulation.node import Process, SimNode
from simulation.plan import MILLISECOND
from simulation.slots import COUNT, Effect, State, Value, loaded_over, state_of

from ringkeeper.cluster.handover import Giving
from ringkeeper.cluster.lease import NodeLease
from ringkeeper.cluster.migration import (
    Source,
    SourceMove,
    Target,
    TargetMove,
    enough,
    keeps_hidden,
)
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import RETURNED, SETTLED, Move

if TYPE_CHECKING:
    from simulation.moving_checks import MovingChecks
    from simulation.moving_operator import MovingOperator

BEAT = 60 * MILLISECOND
SWEEPS = 0.3
"""How often a leftover goes, of so many beats."""
SILENCE = 1_500 * MILLISECOND
"""After which either side takes the feed for lost."""


class Pull(NamedTuple):
    """The target asks for more of the feed, and confirms what it has applied."""

    move: int
    target_term: int
    target_run: str
    loaded: int
    """How many of the move's slots it has."""
    offset: int
    number: int


class Piece(NamedTuple):
    """The source's answer: the slots up to one that the target had not, each with its last write."""

    move: int
    number: int
    values: tuple[Entry | None, ...]


def takes_from_shelf(move: Move, shard: int) -> bool:
    """Whether a master of `shard` serves these slots by what was hidden, unless it does already."""
    return (move.phase, shard) in ((SETTLED, move.target), (RETURNED, move.source))


@dataclass(slots=True)
class Part:
    """A process's part in a move."""

    side: SourceMove | TargetMove
    feed_at: int = 0
    """Real time: when the other side of the feed was heard last."""
    number: int = 0
    """Of the last pull."""
    loaded: int = 0
    """How many of the slots have come."""
    confirmed: int = -1
    """Of the feed, what the target has applied; -1 while it has not all slots."""
    mark: int | None = None
    """The offset of its stream that has what its side waits for its voters to hold."""


def hands_over(process: Process) -> bool:
    """Whether what comes now would be behind the offset that the next master has."""
    return process.release is not None and process.release.state is not Giving.NOTHING


class MovingProcess(Process):
    def __init__(self, run_id: str, rules: NodeLease, head: Entry | None, stream_term: int) -> None:
        super().__init__(run_id, rules, head, stream_term)
        self.parts: dict[int, Part] = {}
        """By move."""

    def sources(self, slot: int) -> list[SourceMove]:
        """The sides of moves by which it gives the slot away: one at most."""
        sides = [part.side for part in self.parts.values()]
        return [side for side in sides if isinstance(side, SourceMove) and slot in side.move.slots]

    def given(self) -> set[int]:
        """The slots for which it answers no more, although its topology may say so."""
        sides = [part.side for part in self.parts.values()]
        return {slot for side in sides if isinstance(side, SourceMove) and not side.answers for slot in side.move.slots}


class MovingNode(SimNode):
    checks: MovingChecks
    everybody: list[MovingNode]

    def new_process(self, run_id: str, rules: NodeLease, head: Entry | None, stream_term: int) -> Process:
        return MovingProcess(run_id, rules, head, stream_term)

    # --- what it answers for

    def owns(self, slot: int) -> bool:
        return self.topology is not None and self.topology.owners[slot] == self.shard

    def answers_for(self, process: MovingProcess, slot: int) -> bool:
        """As far as its topology and its sides of moves go; leases apart."""
        return self.owns(slot) and slot not in process.given()

    def write(self) -> None:
        """A client writes to a slot that it has, if it is let."""
        process = self.process
        if not isinstance(process, MovingProcess) or not process.is_awake(self.world.now):
            return
        now = self._report(process)
        if process.release is not None:
            self._settle_release(process, now)
        self._tick_sides(process, now)
        self.checks.serving(self, process)
        lease = process.rules.lease
        if lease is None or process.release is None or process.release.state is not Giving.NOTHING:
            return
        slot = self.world.random.randrange(COUNT)
        if process.serves_until() <= now or not self.takes_writes(process, slot):
            return
        state = state_of(process.head)
        assert self.topology is not None
        claim = self.checks.everything.claims[self.topology.epoch][slot]
        self._append(process, state.main_with(slot, Value(lease.term, state.main[slot])), slot, claim)
        if not self.topology.shards[self.shard].min_acks:
            self._acknowledge(process.head)
        else:
            assert process.head is not None
            process.pending.append(process.head)
        self.checks.serving(self, process)
        self._stream(process)

    def takes_writes(self, process: MovingProcess, slot: int) -> bool:
        return self.answers_for(process, slot) and all(side.takes_writes for side in process.sources(slot))

    def _append(self, process: Process, state: State, slot: int | None = None, claim: int = 0) -> None:
        assert process.rules.lease is not None
        process.head = Effect(process.rules.lease.term, process.head, state, slot, claim)

    def _replied(self, done: list[Entry]) -> None:
        super()._replied(done)
        for entry in done:
            self._acknowledge(entry)

    def _acknowledge(self, entry: Entry | None) -> None:
        if isinstance(entry, Effect) and entry.slot is not None:
            self.checks.everything.acknowledge_write(self, entry, entry.slot)

    # --- topologies

    def _align(self, process: Process) -> None:
        """Served and shelved is what owners and moves say; what there is no reason for goes later (`_sweep`)."""
        assert isinstance(process, MovingProcess)
        lease, topology = process.rules.lease, self.topology
        if lease is None or topology is None:
            process.parts.clear()
            return
        moves = topology.moves_of(self.shard)
        for id_ in process.parts.keys() - {move.id for move in moves}:
            del process.parts[id_]
        for move in moves:
            self._take_part(process, move, lease.term)
        for move in moves:
            self._align_slots(process, move)

    def _align_slots(self, process: MovingProcess, move: Move) -> None:
        before = state = state_of(process.head)
        for slot in move.slots:
            if takes_from_shelf(move, self.shard) and state.main[slot] is None:
                state = state.main_with(slot, state.shelf[slot]).shelf_with(slot, None)
            elif keeps_hidden(move, self.shard) and move.source == self.shard and state.main[slot] is not None:
                state = state.shelf_with(slot, state.main[slot]).main_with(slot, None)
        if state != before:
            self._append(process, state)
            self._stream(process)
        part = process.parts[move.id]
        if takes_from_shelf(move, self.shard) and part.mark is None:
            part.mark = offset_of(process.head)
            self.checks.everything.watch("taken", move)

    def _take_part(self, process: MovingProcess, move: Move, term: int) -> None:
        part = process.parts.get(move.id)
        if part is None or part.side.term != term:
            kind = SourceMove if move.source == self.shard else TargetMove
            process.parts[move.id] = Part(kind(move, term=term, run_id=process.run_id))
        elif part.side.move != move:
            part.side.follow(move)
            part.mark = None

    # --- the beat of a move

    def beat(self) -> None:
        """All the time, of whichever process runs."""
        process = self.process
        self.world.after(BEAT, self.beat)
        if not isinstance(process, MovingProcess) or not process.is_awake(self.world.now):
            return
        if process.rules.lease is None or self.topology is None:
            return
        self._sweep(process)
        now = self._report(process)
        self._tick_sides(process, now)
        for part in process.parts.values():
            if self.world.now - part.feed_at > SILENCE:
                self.break_feed(process, part)
            if isinstance(part.side, TargetMove):
                self._pull(process, part, part.side)
            self._confirm_held(process, part)
            self._tell(process, part)
        self.checks.serving(self, process)

    def _sweep(self, process: MovingProcess) -> None:
        """In the background: one slot at a time, in no hurry."""
        if self.world.random.random() > SWEEPS:
            return
        state = state_of(process.head)
        for slot in range(COUNT):
            for place, values in (("main", state.main), ("shelf", state.shelf)):
                if values[slot] is not None and not self._has_reason(process, slot, place):
                    clean = state.main_with(slot, None) if place == "main" else state.shelf_with(slot, None)
                    self.checks.saw("leftover removed")
                    self._append(process, clean)
                    self._stream(process)
                    return

    def has_leftovers(self, process: Process) -> bool:
        main, shelf = state_of(process.head)
        return any(main[slot] is not None and not self.owns(slot) for slot in range(COUNT)) or any(shelf)

    def _has_reason(self, process: MovingProcess, slot: int, place: str) -> bool:
        assert self.topology is not None
        if place == "main":
            return self.owns(slot)
        moves = [move for move in self.topology.moves_of(self.shard) if slot in move.slots]
        return any(self._keeps_shelf(process, move) for move in moves)

    def _keeps_shelf(self, process: MovingProcess, move: Move) -> bool:
        part = process.parts.get(move.id)
        side = None if part is None else part.side
        is_clearing = isinstance(side, TargetMove) and side.state is Target.CLEARING and side.is_mine
        return takes_from_shelf(move, self.shard) or (keeps_hidden(move, self.shard) and not is_clearing)

    def _tick_sides(self, process: MovingProcess, now: int) -> None:
        for part in process.parts.values():
            if isinstance(part.side, SourceMove):
                part.side.tick(now, holds_lease=process.serves_until() > now)

    def break_feed(self, process: MovingProcess, part: Part) -> None:
        """What a closed connection tells either side, sooner or later."""
        side = part.side
        if process is not self.process or process.parts.get(side.move.id) is not part:
            return
        if isinstance(side, TargetMove):
            side.lose_feed()
        elif side.state is not Source.WAITING:
            side.fail("the feed was lost")

    # --- the feed: the target's side

    def _pull(self, process: MovingProcess, part: Part, side: TargetMove) -> None:
        assert self.topology is not None
        state = state_of(process.head)
        if side.state is Target.CLEARING and self.is_clean(state, side.move) and side.empty():
            part.feed_at = self.world.now
        if side.state in (Target.LOADING, Target.FOLLOWING, Target.HOLDING_ALL):
            part.number += 1
            pull = Pull(side.move.id, side.term, side.run_id, part.loaded, side.offset, part.number)
            master = self.topology.shards[side.move.source].master
            source = next(node for node in self.everybody if node.id == master)
            self.world.send(self.index, source.index, source.pulled, None, side.move.source_run, self, process, pull)

    def is_clean(self, state: State, move: Move) -> bool:
        return all(state.main[slot] is None and state.shelf[slot] is None for slot in move.slots)

    def fed(self, process: MovingProcess, piece: Piece) -> None:
        if self._postponed(process, self.fed, process, piece) or not process.is_awake(self.world.now):
            return
        part = process.parts.get(piece.move)
        if part is None or part.number != piece.number or not isinstance(part.side, TargetMove):
            return
        side = part.side
        if side.state not in (Target.LOADING, Target.FOLLOWING, Target.HOLDING_ALL) or process.rules.lease is None:
            return
        if hands_over(process):
            return
        part.feed_at = self.world.now
        part.number += 1  # a feed is a stream: nothing comes twice, though the question and its answer may here
        before = state = state_of(process.head)
        for slot, value in zip(side.move.slots, piece.values, strict=False):
            state = state.shelf_with(slot, loaded_over(state.shelf[slot], value))
        if state != before:
            self._append(process, state)
            self._stream(process)
        part.mark = offset_of(process.head)
        part.loaded = len(piece.values)
        side.received(sum(offset_of(value) for value in piece.values))
        if part.loaded == len(side.move.slots):
            side.loaded()
        self._confirm_held(process, part)

    # --- the feed: the source's side

    def pulled(
        self, process: MovingProcess | None, run_id: str, target: MovingNode, follower: MovingProcess, pull: Pull
    ) -> None:
        process = process or self._moving()
        if process is None or self._postponed(process, self.pulled, process, run_id, target, follower, pull):
            return
        part = process.parts.get(pull.move)
        if process.run_id != run_id or part is None or not isinstance(part.side, SourceMove):
            return
        side = part.side
        if not process.is_awake(self.world.now):
            return
        state = state_of(process.head)
        if side.state is Source.WAITING:
            shelf_is_clean = all(state.shelf[slot] is None for slot in side.move.slots)
            if not shelf_is_clean or not side.followed(pull.target_term, pull.target_run):
                return
        if side.state not in (Source.FEEDING, Source.HOLDING, Source.RELEASED):
            return
        part.feed_at = self.world.now
        values = tuple(state.main[slot] for slot in side.move.slots)
        now = self._report(process)
        self.confirm(process, part, side, pull.offset if pull.loaded == len(values) else -1, now)
        piece = Piece(pull.move, pull.number, values[: pull.loaded + 1])
        self.world.send(self.index, target.index, target.fed, follower, piece)

    def _moving(self) -> MovingProcess | None:
        return self.process if isinstance(self.process, MovingProcess) else None

    def end_of_feed(self, process: MovingProcess, side: SourceMove) -> int:
        state = state_of(process.head)
        return sum(offset_of(state.main[slot]) for slot in side.move.slots)

    def confirm(self, process: MovingProcess, part: Part, side: SourceMove, confirmed: int, now: int) -> None:
        part.confirmed = max(part.confirmed, confirmed)
        if side.state is Source.HOLDING:
            end = self.end_of_feed(process, side)
            side.confirm(confirmed, end, now, holds_lease=process.serves_until() > now)
            self._released(process, part, side)

    def asked_to_release(self, process: MovingProcess | None, move: int, leader: int) -> None:
        process = process or self._moving()
        if process is None or self._postponed(process, self.asked_to_release, process, move, leader):
            return
        part = process.parts.get(move)
        if part is None or not isinstance(part.side, SourceMove) or leader < process.rules.voter.leader:
            return
        side = part.side
        if not process.is_awake(self.world.now):
            return
        now = self._report(process)
        end = self.end_of_feed(process, side)
        side.ask(part.confirmed, end, now, holds_lease=process.serves_until() > now)
        self._released(process, part, side)

    def _released(self, process: MovingProcess, part: Part, side: SourceMove) -> None:
        if side.state is Source.RELEASED:
            self.checks.saw("slots released")
            self.checks.everything.watch("released", side.move)
            if self.world.tell:
                self.world.tell(f"{self.name} releases slots {side.move.slots} at {side.offset}")
            self._tell(process, part)

    # --- confirmations

    def _confirm_held(self, process: MovingProcess, part: Part) -> None:
        side, topology = part.side, self.topology
        if topology is None or part.mark is None or hands_over(process):
            return
        shard = topology.shards[self.shard]
        have = [process.acked.get(voter.run_id, 0) for voter in topology.voter_runs(shard)]
        if self.is_held(have, part.mark):
            before = side.state
            if isinstance(side, TargetMove):
                side.held(side.offset, Position(side.term, part.mark))
            else:
                side.held()
            if side.state != before:
                self.checks.everything.confirms(self, side, part.mark)
                self.checks.everything.watch("held", side.move)
                self._tell(process, part)

    def is_held(self, have: list[int], mark: int) -> bool:
        assert self.topology is not None
        return enough(have, self.topology.shards[self.shard], mark)

    def _reply(self, process: Process, now: int) -> None:
        super()._reply(process, now)
        assert isinstance(process, MovingProcess)
        for part in process.parts.values():
            self._confirm_held(process, part)

    def _apply(self, process: Process, run_id: str, term: int, head: Entry | None) -> None:
        super()._apply(process, run_id, term, head)
        self.checks.everything.has_had(self.shard, term, process.run_id, offset_of(head))

    def _tell(self, process: MovingProcess, part: Part) -> None:
        if process.operator not in OPERATORS:
            return
        operator: Any = self.operators[process.operator]
        told: MovingOperator = operator
        self.world.send(self.index, told.place, told.told, part.side.confirmation())

    def someone_breaks(self, random: Random) -> None:
        """The connection of a feed closes; this side hears of it within a second."""
        process = self._moving()
        if process is not None and process.parts:
            part = random.choice(list(process.parts.values()))
            delay = int(random.random() * 1_000 * MILLISECOND)
            self.world.after(delay, self.break_feed, process, part)
