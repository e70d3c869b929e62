"""A node of one of two shards: what it does about slots that move, and which of them it answers for."""

from __future__ import annotations

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


class MovingProcess(Process):
    def __init__(self, run_id: str, rules: NodeLease, head: Entry | None, stream_term: int) -> None:
        super().__init__(run_id, rules, head, stream_term)
        self.side: SourceMove | TargetMove | None = None
        self.feed_at = 0
        """Real time: when the other side of the feed was heard last."""
        self.number = 0
        """Of the last pull."""
        self.loaded = 0
        """How many of the slots have come."""
        self.confirmed = -1
        """Of the feed, what the target has applied; -1 while it has not all slots."""
        self.mark: int | None = None
        """The offset of its stream that has what its side waits for its voters to hold."""


class MovingNode(SimNode):
    checks: MovingChecks
    everybody: list[MovingNode]

    def new_process(self, run_id: str, rules: NodeLease, head: Entry | None, stream_term: int) -> Process:
        return MovingProcess(run_id, rules, head, stream_term)

    # --- what it answers for

    def owns(self, slot: int) -> bool:
        return self.topology is not None and self.topology.owners[slot] == self.shard

    def answers_for(self, process: MovingProcess, slot: int) -> bool:
        """As far as its topology and its side of a move go; leases apart."""
        side = process.side
        return self.owns(slot) and (not isinstance(side, SourceMove) or slot not in side.move.slots or side.answers)

    def write(self) -> None:
        """A client writes to a slot that it has, if it is let."""
        process = self.process
        if not isinstance(process, MovingProcess) or not process.is_awake(self.world.now):
            return
        now = self._report(process)
        if process.release is not None:
            self._settle_release(process, now)
        self._tick_side(process, now)
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
        side = process.side
        return self.answers_for(process, slot) and (
            not isinstance(side, SourceMove) or slot not in side.move.slots or side.takes_writes
        )

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
            process.side = None
            return
        move = topology.move_of(self.shard)
        self._take_side(process, move, lease.term)
        if move is None:
            return
        before = state = state_of(process.head)
        for slot in move.slots:
            if takes_from_shelf(move, self.shard) and state.main[slot] is None:
                state = state.main_with(slot, state.shelf[slot]).shelf_with(slot, None)
            elif keeps_hidden(move, self.shard) and move.source == self.shard and state.main[slot] is not None:
                state = state.shelf_with(slot, state.main[slot]).main_with(slot, None)
        if state != before:
            self._append(process, state)
            self._stream(process)
        if takes_from_shelf(move, self.shard) and process.mark is None:
            process.mark = offset_of(process.head)
            self.checks.everything.watch("taken", move)

    def _take_side(self, process: MovingProcess, move: Move | None, term: int) -> None:
        side = process.side
        if move is None:
            process.side = None
        elif side is None or side.move.id != move.id or side.term != term:
            kind = SourceMove if move.source == self.shard else TargetMove
            process.side = kind(move, term=term, run_id=process.run_id)
            process.number = process.loaded = 0
            process.confirmed, process.mark = -1, None
        elif side.move != move:
            side.follow(move)
            process.mark = None

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
        side = process.side
        if side is not None:
            self._tick_side(process, now)
            self._notice_silence(process)
            if isinstance(side, TargetMove):
                self._pull(process, side)
            self._confirm_held(process)
            self._tell(process)
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
        move, side = self.topology.move_of(self.shard), process.side
        if move is None or slot not in move.slots:
            return False
        is_clearing = isinstance(side, TargetMove) and side.state is Target.CLEARING and side.is_mine
        return takes_from_shelf(move, self.shard) or (keeps_hidden(move, self.shard) and not is_clearing)

    def _tick_side(self, process: MovingProcess, now: int) -> None:
        if isinstance(process.side, SourceMove):
            process.side.tick(now, holds_lease=process.serves_until() > now)

    def _notice_silence(self, process: MovingProcess) -> None:
        side = process.side
        if self.world.now - process.feed_at > SILENCE:
            self.break_feed(process, side)

    def break_feed(self, process: MovingProcess | None, side: SourceMove | TargetMove | None) -> None:
        """What a closed connection tells either side, sooner or later."""
        if process is None or side is None or process is not self.process or process.side is not side:
            return
        if isinstance(side, TargetMove):
            side.lose_feed()
        elif side.state is not Source.WAITING:
            side.fail("the feed was lost")

    # --- the feed: the target's side

    def _pull(self, process: MovingProcess, side: TargetMove) -> None:
        assert self.topology is not None
        state = state_of(process.head)
        if side.state is Target.CLEARING and self.is_clean(state, side.move) and side.empty():
            process.feed_at = self.world.now
        if side.state in (Target.LOADING, Target.FOLLOWING, Target.HOLDING_ALL):
            process.number += 1
            pull = Pull(side.move.id, side.term, side.run_id, process.loaded, side.offset, process.number)
            master = self.topology.shards[side.move.source].master
            source = next(node for node in self.everybody if node.id == master)
            self.world.send(self.index, source.index, source.pulled, None, side.move.source_run, self, process, pull)

    def is_clean(self, state: State, move: Move) -> bool:
        return all(state.main[slot] is None and state.shelf[slot] is None for slot in move.slots)

    def fed(self, process: MovingProcess, piece: Piece) -> None:
        if self._postponed(process, self.fed, process, piece) or not process.is_awake(self.world.now):
            return
        side = process.side
        if not isinstance(side, TargetMove) or (side.move.id, process.number) != (piece.move, piece.number):
            return
        if side.state not in (Target.LOADING, Target.FOLLOWING, Target.HOLDING_ALL) or process.rules.lease is None:
            return
        process.feed_at = self.world.now
        before = state = state_of(process.head)
        for slot, value in zip(side.move.slots, piece.values, strict=False):
            state = state.shelf_with(slot, loaded_over(state.shelf[slot], value))
        if state != before:
            self._append(process, state)
            self._stream(process)
        process.mark = offset_of(process.head)
        process.loaded = len(piece.values)
        side.received(sum(offset_of(value) for value in piece.values))
        if process.loaded == len(side.move.slots):
            side.loaded()
        self._confirm_held(process)

    # --- the feed: the source's side

    def pulled(
        self, process: MovingProcess | None, run_id: str, target: MovingNode, follower: MovingProcess, pull: Pull
    ) -> None:
        process = process or self._moving()
        if process is None or self._postponed(process, self.pulled, process, run_id, target, follower, pull):
            return
        side = process.side
        if process.run_id != run_id or not isinstance(side, SourceMove) or side.move.id != pull.move:
            return
        if not process.is_awake(self.world.now):
            return
        state = state_of(process.head)
        if side.state is Source.WAITING:
            shelf_is_clean = all(state.shelf[slot] is None for slot in side.move.slots)
            if not shelf_is_clean or not side.followed(pull.target_term, pull.target_run):
                return
        if side.state not in (Source.FEEDING, Source.HOLDING, Source.RELEASED):
            return
        process.feed_at = self.world.now
        values = tuple(state.main[slot] for slot in side.move.slots)
        now = self._report(process)
        self.confirm(process, side, pull.offset if pull.loaded == len(values) else -1, now)
        piece = Piece(pull.move, pull.number, values[: pull.loaded + 1])
        self.world.send(self.index, target.index, target.fed, follower, piece)

    def _moving(self) -> MovingProcess | None:
        return self.process if isinstance(self.process, MovingProcess) else None

    def end_of_feed(self, process: MovingProcess, side: SourceMove) -> int:
        state = state_of(process.head)
        return sum(offset_of(state.main[slot]) for slot in side.move.slots)

    def confirm(self, process: MovingProcess, side: SourceMove, confirmed: int, now: int) -> None:
        process.confirmed = max(process.confirmed, confirmed)
        if side.state is Source.HOLDING:
            end = self.end_of_feed(process, side)
            side.confirm(confirmed, end, now, holds_lease=process.serves_until() > now)
            self._released(process, side)

    def asked_to_release(self, process: MovingProcess | None, move: int, leader: int) -> None:
        process = process or self._moving()
        if process is None or self._postponed(process, self.asked_to_release, process, move, leader):
            return
        side = process.side
        if not isinstance(side, SourceMove) or side.move.id != move or leader < process.rules.voter.leader:
            return
        if not process.is_awake(self.world.now):
            return
        now = self._report(process)
        end = self.end_of_feed(process, side)
        side.ask(process.confirmed, end, now, holds_lease=process.serves_until() > now)
        self._released(process, side)

    def _released(self, process: MovingProcess, side: SourceMove) -> None:
        if side.state is Source.RELEASED:
            self.checks.saw("slots released")
            self.checks.everything.watch("released", side.move)
            if self.world.tell:
                self.world.tell(f"{self.name} releases slots {side.move.slots} at {side.offset}")
            self._tell(process)

    # --- confirmations

    def _confirm_held(self, process: MovingProcess) -> None:
        side, topology = process.side, self.topology
        if side is None or topology is None or process.mark is None:
            return
        shard = topology.shards[self.shard]
        have = [process.acked.get(voter.run_id, 0) for voter in topology.voter_runs(shard)]
        if self.is_held(have, process.mark):
            before = side.state
            if isinstance(side, TargetMove):
                side.held(side.offset, Position(side.term, process.mark))
            else:
                side.held()
            if side.state != before:
                self.checks.everything.confirms(self, side, process.mark)
                self.checks.everything.watch("held", side.move)
                self._tell(process)

    def is_held(self, have: list[int], mark: int) -> bool:
        assert self.topology is not None
        return enough(have, self.topology.shards[self.shard], mark)

    def _reply(self, process: Process, now: int) -> None:
        super()._reply(process, now)
        assert isinstance(process, MovingProcess)
        self._confirm_held(process)

    def _apply(self, process: Process, run_id: str, term: int, head: Entry | None) -> None:
        super()._apply(process, run_id, term, head)
        self.checks.everything.has_had(self.shard, term, process.run_id, offset_of(head))

    def _tell(self, process: MovingProcess) -> None:
        if process.side is None or process.operator not in OPERATORS:
            return
        operator: Any = self.operators[process.operator]
        told: MovingOperator = operator
        self.world.send(self.index, told.place, told.told, process.side.confirmation())

    def someone_breaks(self, random: Random) -> None:
        """The feed's connection closes; this side hears of it within a second."""
        process = self._moving()
        if process is not None and process.side is not None:
            delay = int(random.random() * 1_000 * MILLISECOND)
            self.world.after(delay, self.break_feed, process, process.side)
