"""An operator of two shards that moves slots between them as people wish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulation.operators import SimOperator
from simulation.plan import MILLISECOND
from simulation.slots import COUNT

from ringkeeper.cluster import migration
from ringkeeper.cluster.arbiter import Verdict
from ringkeeper.cluster.changes import BeginMove, EndMove, MoveChange, basis, carried_out
from ringkeeper.cluster.migration import Confirmation
from ringkeeper.cluster.topology import FEEDING, Move, Topology

if TYPE_CHECKING:
    from simulation.moving_node import MovingNode

ASKS_EVERY = 150 * MILLISECOND
PATIENCE = 4_000 * MILLISECOND
"""After which a move that has not come to its release is begun again."""
MOST = 3
"""Moves at once."""


class MovingOperator(SimOperator):
    shards = 2

    def reset(self) -> None:
        self.confirmations: dict[tuple[int, str], Confirmation] = {}
        self.cancels = False
        self.asked_at: dict[int, int] = {}
        """By move id."""
        self.known_since: dict[int, int] = {}
        """By move id, when this operator saw it first."""
        if not hasattr(self, "wanted"):
            self.wanted: dict[int, int] = {}
            """By slot, the shard that is to own it: the manifest's, so it outlives the process."""
        super().reset()

    def told(self, confirmation: Confirmation) -> None:
        if not self.is_leading:
            return
        if self.world.now < self.paused_until:
            self.world.after(self.paused_until - self.world.now, self.told, confirmation)
            self.world.events -= 1
            return
        if self.world.tell:
            self.world.tell(f"operator {self.place} hears {confirmation}")
        self.confirmations[confirmation.move, confirmation.role] = confirmation
        self._act(self.now)

    def _next(self, verdicts: tuple[Verdict, ...]) -> tuple[Topology | None, object]:
        topology, change = super()._next(verdicts)
        if topology is not None or self.known is None:
            return topology, change
        for move_change in self._moves(self.known):
            topology = carried_out(self.known, move_change)
            if topology is not None:
                return topology, move_change
        return None, None

    def _moves(self, known: Topology) -> list[MoveChange]:
        """What is to become of the moves that there are, or a new one."""
        changes: list[MoveChange] = []
        for move in known.moves:
            source, target = (self.confirmations.get((move.id, role)) for role in ("source", "target"))
            change = self.settled(known, move, source, target) or self.ended(known, move, source, target)
            if change is None and move.phase == FEEDING:
                change = self._cancel(move)
            if change is not None:
                changes.append(change)
            elif migration.may_ask_release(source, target, move):
                self._ask_release(known, move)
        return changes + (self._begin(known) if len(known.moves) < MOST else [])

    def settled(
        self, known: Topology, move: Move, source: Confirmation | None, target: Confirmation | None
    ) -> MoveChange | None:
        return migration.settled(known, move, source, target)

    def ended(
        self, known: Topology, move: Move, source: Confirmation | None, target: Confirmation | None
    ) -> MoveChange | None:
        return migration.ended(known, move, source, target)

    def _begin(self, known: Topology) -> list[MoveChange]:
        """Some of the slots that are wanted elsewhere and are in no move; the others are for another one."""
        moving, random = known.moving_slots, self.world.random
        for target in random.sample(range(self.shards), self.shards):
            wanted = [
                slot
                for slot in range(COUNT)
                if slot not in moving and known.owners[slot] != self.wanted.get(slot, known.owners[slot]) == target
            ]
            slots = tuple(slot for slot in wanted if random.random() < 0.6) or tuple(wanted)
            if slots:
                source = 1 - target
                return [BeginMove(basis(known, known.shards[source]), basis(known, known.shards[target]), slots)]
        return []

    def _cancel(self, move: Move) -> MoveChange | None:
        since = self.known_since.setdefault(move.id, self.now)
        if not self.cancels and self.now - since < PATIENCE:
            return None
        self.cancels = False
        self.known_since[move.id] = self.now
        return EndMove(move, cause="it was cancelled, or took too long")

    def _ask_release(self, known: Topology, move: Move) -> None:
        if self.now - self.asked_at.get(move.id, 0) < ASKS_EVERY:
            return
        self.asked_at[move.id] = self.now
        source: MovingNode = self.nodes[known.shards[move.source].master]
        self.world.send(self.place, source.index, source.asked_to_release, None, move.id, known.leader)
