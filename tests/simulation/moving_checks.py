"""The invariants of slots that move, beside those of each shard (`checks.py`).

4. A slot is answered by one owner at a time, and by no earlier one after a later one: owners are counted by the commits
   that change a slot's shard or that shard's term.
5. What was acknowledged of a slot is with whoever answers for it, whatever moved meanwhile, and nothing else is.
   Excepted is what a shard loses by an appointment without a quorum, or (with `minAcks: 0`) by any that is no handover:
   but not what was settled in a move that has not ended, since the source still has it.
6. A copy that may be dropped is not the last: the other side's voters were seen to hold what it confirmed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simulation.checks import Checks, Violation
from simulation.data import Entry, holds
from simulation.network import World
from simulation.slots import COUNT, Effect, Value, state_of

from ringkeeper.cluster.changes import Appoint, EndMove, SettleMove
from ringkeeper.cluster.topology import FEEDING, RETURNED, SETTLED, Move, Topology

if TYPE_CHECKING:
    from simulation.moving_node import MovingNode, MovingProcess
    from simulation.node import Process, SimNode

    from ringkeeper.cluster.migration import SourceMove, TargetMove


class MovingChecks(Checks):
    """Of one shard."""

    everything: SlotChecks

    def serving(self, node: SimNode, process: Process) -> bool:
        answers = super().serving(node, process)
        if answers:
            self.everything.answers(node, process)
        return answers

    def changed(self, topology: Topology, change: object) -> None:
        if isinstance(change, Appoint) and change.basis.shard == self.shard:
            super().changed(topology, change)


class SlotChecks(Checks):
    def __init__(self, world: World, topology: Topology) -> None:
        super().__init__(world, topology)
        self.shards = tuple(MovingChecks(world, topology, shard.index) for shard in topology.shards)
        for of in self.shards:
            of.everything = self
            of.seen, of.transitions = self.seen, self.transitions
            of.failures = 99  # several shards are hit: what one lacks may be due to more than one failure
        self.topology = topology
        self.claims = {topology.epoch: (0,) * COUNT}
        """By epoch, how often each slot had another owner until then, in shard or term."""
        self.answered = [0] * COUNT
        """The latest of them that answered, by slot."""
        self.acked: list[Entry | None] = [None] * COUNT
        """By slot, the last acknowledged write."""
        self.lost = [0] * COUNT
        """By slot, the last claim with which writes may have been lost."""
        self.settled: dict[int, Entry | None] = {}
        """What was acknowledged of a slot when its move was settled; as long as the source keeps it."""
        self.had: dict[tuple[int, int, str], int] = {}
        """By shard, term and run, how much of that term's stream a replica applied."""
        self.confirmed: dict[tuple[int, str, int, str], int] = {}
        """By move, phase, term and run: the offset that the voters of a master held when it said so."""
        self.watch: Callable[[str, Move], None] = lambda *_: None
        """Told of every step of a move, for faults that come just then."""
        self.answering: dict[tuple[str, int], tuple[int, Entry | None]] = {}
        """By run and slot, what was seen last: nothing is looked at twice."""

    def loses_disk(self) -> None:
        for of in self.shards:
            of.loses_disk()

    # --- 4 and 5

    def answers(self, node: MovingNode, process: MovingProcess) -> None:
        """The process answers clients at present."""
        if node.topology is None:
            return
        main = state_of(process.head).main
        claims = self.claims[node.topology.epoch]
        given = process.given()
        for slot in range(COUNT):
            if slot in given or not node.owns(slot):
                continue
            seen = (claims[slot], main[slot])
            if self.answering.get((process.run_id, slot)) != seen or claims[slot] < self.answered[slot]:
                self.answering[process.run_id, slot] = seen
                self._answers(node, process, slot, claims[slot], main[slot])

    def _answers(self, node: MovingNode, process: MovingProcess, slot: int, claim: int, value: Entry | None) -> None:
        if claim < self.answered[slot]:
            raise Violation(f"{node.name} answers for slot {slot} after a later owner did")
        if isinstance(value, Value) and value.is_mixed:
            raise Violation(f"{node.name} answers for slot {slot} with leftovers of an earlier time")
        if not holds(value, self.acked[slot]):
            raise Violation(f"{node.name} answers for slot {slot} with {value} and lacks {self.acked[slot]}")
        if claim == self.answered[slot]:
            return
        self.answered[slot] = claim
        for other in node.everybody:
            old = other.process
            if old is None or old is process or other.topology is None or not old.could_answer_later(self.world.now):
                continue
            if other.answers_for(old, slot) and self.claims[other.topology.epoch][slot] < claim:
                raise Violation(f"{node.name} answers for slot {slot} while {other.name}, its former owner, may still")

    def acknowledge_write(self, node: MovingNode, entry: Effect, slot: int) -> None:
        """The reply may be late: what a later owner lost meanwhile, or is newer than this, stays as it is."""
        value = entry.state.main[slot]
        if entry.claim < self.lost[slot]:
            return
        if not holds(self.acked[slot], value):
            if not holds(value, self.acked[slot]):
                raise Violation(f"{node.name} acknowledges {value} of slot {slot} without {self.acked[slot]}")
            self.acked[slot] = value

    # --- 6

    def has_had(self, shard: int, term: int, run_id: str, offset: int) -> None:
        key = (shard, term, run_id)
        self.had[key] = max(offset, self.had.get(key, 0))

    def confirms(self, node: MovingNode, side: SourceMove | TargetMove, offset: int) -> None:
        """A master says that its shard holds `offset`. Nothing is noted if they do not."""
        assert node.topology is not None
        shard = node.topology.shards[node.shard]
        voters = node.topology.voter_runs(shard)
        had = sum(self.had.get((node.shard, side.term, voter.run_id), 0) >= offset for voter in voters)
        if had >= max(1, shard.min_acks) or not voters or offset == 0:
            self.confirmed[side.move.id, side.move.phase, side.term, side.run_id] = offset

    # --- commits

    def committed(self, topology: Topology, number: int) -> None:
        for of in self.shards:
            of.committed(topology, number)
        before, self.topology = self.topology, topology
        counts = list(self.claims[before.epoch])
        for slot in range(COUNT):
            old, new = before.owners[slot], topology.owners[slot]
            counts[slot] += old != new or before.shards[old].term != topology.shards[new].term
        self.claims[topology.epoch] = tuple(counts)
        for move in before.moves:
            if move not in topology.moves and all(move.id != other.id for other in topology.moves):
                self._forget(move)

    def _forget(self, move: Move) -> None:
        for slot in move.slots:
            self.settled.pop(slot, None)

    def changed(self, topology: Topology, change: object) -> None:
        for of in self.shards:
            of.changed(topology, change)
        if isinstance(change, Appoint):
            self._appointed(topology, change)
        elif isinstance(change, SettleMove):
            self.saw("settled")
            move = change.move
            if self.confirmed.get((move.id, FEEDING, move.target_term, move.target_run), -1) < change.held.offset:
                raise Violation(f"move {move.id} is settled, and nobody but the target's master has all of it")
            self.settled |= {slot: self.acked[slot] for slot in move.slots}
            self.watch("settled", move)
        elif isinstance(change, EndMove):
            self._ended(change)

    def _ended(self, change: EndMove) -> None:
        move = change.move
        self.saw({FEEDING: "cancelled", SETTLED: "moved", RETURNED: "came back"}[move.phase])
        if move.phase == FEEDING:
            return
        if (move.id, move.phase, change.term, change.run_id) not in self.confirmed:
            raise Violation(f"move {move.id} ends, and the copy that goes may be the last")

    def _appointed(self, topology: Topology, change: Appoint) -> None:
        """Who may be lost by it."""
        shard = topology.shards[change.basis.shard]
        no_acks = any(min_acks == 0 for _, min_acks in change.basis.electorates)
        if change.cause == "handover" or not (change.is_recovery or no_acks):
            return
        for move in topology.moves:
            if move.source == shard.index:
                self._forget(move)
            if move.phase == RETURNED and move.target == shard.index:
                self.saw("returned")
        for slot in range(COUNT):
            was_here = any(
                (move.phase, move.target) == (RETURNED, shard.index) and slot in move.slots for move in topology.moves
            )
            if was_here or topology.owners[slot] == shard.index:
                self.acked[slot] = self.settled.get(slot)
                self.lost[slot] = self.claims[topology.epoch][slot]
