"""Every rule of moving slots, left out in turn: the simulator must find what it was for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from simulation import moving_node
from simulation.moving import moving_plan
from simulation.moving_node import MovingNode, MovingProcess, Part
from simulation.moving_operator import MovingOperator
from simulation.mutations import Mutation, Patch
from simulation.plan import Plan

from ringkeeper.cluster import changes, migration
from ringkeeper.cluster.changes import EndMove, MoveChange
from ringkeeper.cluster.migration import Confirmation, Source, SourceMove, Target, TargetMove
from ringkeeper.cluster.topology import FEEDING, SETTLED, Move, Topology


@dataclass(frozen=True, slots=True)
class MovingMutation(Mutation):
    def plan(self, seed: int) -> Plan:
        return moving_plan(seed, self.kinds, **self.fixed)


MUTATIONS: dict[str, MovingMutation] = {}


def mutation(rule: str, *kinds: str, **fixed: Any) -> Callable[[Callable[[], list[Patch]]], Callable[[], list[Patch]]]:
    def register(patches: Callable[[], list[Patch]]) -> Callable[[], list[Patch]]:
        MUTATIONS[patches.__name__.replace("_", "-")] = MovingMutation(rule, patches, kinds, fixed)
        return patches

    return register


# --- the source


@mutation("Only a committed epoch ends a release.", "slow api", "kill operator", "pause operator")
def slots_taken_back_by_a_timeout() -> list[Patch]:
    tick = SourceMove.tick

    def impatient(self: SourceMove, now: int, *, holds_lease: bool) -> None:
        tick(self, now, holds_lease=holds_lease)
        if self.state is Source.RELEASED and now > self.until:
            self.state = Source.FEEDING

    return [(SourceMove, "tick", impatient)]


@mutation("A lost feed ends no release.", "break feed")
def slots_taken_back_with_the_feed() -> list[Patch]:
    fail = SourceMove.fail

    def forgetful(self: SourceMove, why: str) -> None:
        if self.state is Source.RELEASED:
            self.state = Source.FEEDING
        fail(self, why)

    return [(SourceMove, "fail", forgetful)]


@mutation("Who asks to cancel must commit it: the source goes on only by the epoch.", "cancel", "slow api")
def slots_taken_back_by_word() -> list[Patch]:
    cancel = MovingOperator._cancel

    def at_once(self: MovingOperator, move: Move) -> MoveChange | None:
        if cancel(self, move) is not None:
            for node in self.nodes.values():
                assert isinstance(node, MovingNode)
                self.world.send(self.place, node.index, take_back, node, move.id)
        return None

    def take_back(node: MovingNode, id_: int) -> None:
        process = node.process
        part = process.parts.get(id_) if isinstance(process, MovingProcess) else None
        if part is not None and isinstance(part.side, SourceMove):
            part.side.state = Source.FAILED

    return [(MovingOperator, "_cancel", at_once)]


@mutation("The slots are released when the target has confirmed all that was fed.", "stall", slow=0.1)
def slots_released_unconfirmed() -> list[Patch]:
    confirm = MovingNode.confirm

    def trusting(
        self: MovingNode, process: MovingProcess, part: Part, side: SourceMove, _confirmed: int, now: int
    ) -> None:
        confirm(self, process, part, side, self.end_of_feed(process, side), now)

    def settled(_: object, known: Topology, move: Move, *said: Confirmation | None) -> MoveChange | None:
        source, target = said
        if source is not None and target is not None and source.is_of(move) and target.is_of(move):
            target = replace(target, offset=source.offset)
        return migration.settled(known, move, source, target)

    return [(MovingNode, "confirm", trusting), (MovingOperator, "settled", settled)]


@mutation("Writes are held back from before the last confirmation.", "pause operator")
def writes_taken_while_holding() -> list[Patch]:
    """The end of the feed is then that of when it was asked."""
    confirm, ask = SourceMove.confirm, SourceMove.ask

    def confirmed_as_asked(self: SourceMove, confirmed: int, _end: int, now: int, *, holds_lease: bool) -> None:
        confirm(self, confirmed, self.offset, now, holds_lease=holds_lease)

    def remembering(self: SourceMove, _confirmed: int, end: int, now: int, *, holds_lease: bool) -> None:
        if self.state is Source.FEEDING:
            self.offset = end
        ask(self, -1, end, now, holds_lease=holds_lease)

    return [
        (SourceMove, "takes_writes", property(lambda self: self.answers)),
        (SourceMove, "confirm", confirmed_as_asked),
        (SourceMove, "ask", remembering),
    ]


@mutation("A release is of reads as well.", "slow api")
def released_slots_are_read() -> list[Patch]:
    return [(SourceMove, "answers", property(lambda self: self.state is not Source.HIDING))]


@mutation("A move's offset is of one feed, and one feed a move: another begins from nothing.", "break feed", "cancel")
def confirmed_by_an_earlier_feed() -> list[Patch]:
    take_part, confirm = MovingNode._take_part, MovingNode.confirm
    last: WeakKeyDictionary[MovingProcess, int] = WeakKeyDictionary()

    def remembering(self: MovingNode, process: MovingProcess, move: Move, term: int) -> None:
        take_part(self, process, move, term)
        part = process.parts[move.id]
        part.confirmed = max(last.get(process, -1), part.confirmed)

    def confirmed(
        self: MovingNode, process: MovingProcess, part: Part, side: SourceMove, confirmed: int, now: int
    ) -> None:
        last[process] = max(last.get(process, -1), confirmed)
        confirm(self, process, part, side, confirmed, now)

    def equal(_: object, known: Topology, move: Move, *said: Confirmation | None) -> MoveChange | None:
        source, target = said
        if source is not None and target is not None and source.is_of(move) and target.is_of(move):
            target = replace(target, offset=source.offset)
        return migration.settled(known, move, source, target)

    return [
        (MovingNode, "_take_part", remembering),
        (MovingNode, "confirm", confirmed),
        (MovingOperator, "settled", equal),
    ]


# --- the target


@mutation("The target serves nothing before an epoch says so.", "slow api")
def target_serves_what_it_holds() -> list[Patch]:
    owns = MovingNode.owns

    def early(self: MovingNode, slot: int) -> bool:
        parts = self.process.parts.values() if isinstance(self.process, MovingProcess) else ()
        sides = [part.side for part in parts if slot in part.side.move.slots]
        return owns(self, slot) or any(side.state is Target.HOLDING_ALL for side in sides)

    return [(MovingNode, "owns", early)]


@mutation("The target begins clean: leftovers of a former owner are never served again.", "cancel", "break feed")
def leftovers_served_again() -> list[Patch]:
    return [(MovingNode, "is_clean", lambda *_: True), (moving_node, "SWEEPS", 0.02)]


@mutation("The target drops nothing that it confirmed while the move is there.", "slow api", "break feed")
def target_begins_again_after_a_lost_feed() -> list[Patch]:
    def again(self: TargetMove) -> None:
        if self.state in (Target.FOLLOWING, Target.HOLDING_ALL):
            self.state = Target.CLEARING

    return [(TargetMove, "lose_feed", again)]


@mutation("The target's voters hold all before the slots are settled.", "cut link", "kill", min_acks=1)
def settled_before_the_voters_hold_it() -> list[Patch]:
    return [(MovingNode, "is_held", lambda *_: True)]


# --- the operator


@mutation("A slot is in one move at most, whatever its phase.", "kill shard", "kill", "slow api", "cut", min_acks=0)
def a_slot_in_two_moves() -> list[Patch]:
    return [(Topology, "moving_slots", property(lambda _: frozenset()))]


@mutation(
    "A move is settled with the terms and runs with which it began.",
    "crash in a move",
    "cut link",
    "cut",
    "hand over",
    slow=0.1,
    ends_known=1.0,
)
def settled_with_a_stale_term_or_run() -> list[Patch]:
    return [(Topology, "is_alive", lambda *_: True)]


@mutation(
    "Confirmations of another term or run count for nothing.",
    "crash in a move",
    "kill shard",
    "cut",
    "hand over",
    slow=0.1,
    ends_known=1.0,
)
def confirmations_of_any_term_and_run() -> list[Patch]:
    def is_of(self: Confirmation, move: Move) -> bool:
        return self.move == move.id

    return [(Topology, "is_alive", lambda *_: True), (Confirmation, "is_of", is_of)]


@mutation("Confirmations of another move count for nothing.", "cancel", "break feed", "slow api", replays=0.3)
def confirmation_of_an_earlier_move() -> list[Patch]:
    def settled(self: MovingOperator, known: Topology, move: Move, *_: Confirmation | None) -> MoveChange | None:
        for source in self.confirmations.values():
            target = self.confirmations.get((move.id, "target"))
            if target is not None and (source.role, source.state) == ("source", Source.RELEASED):
                as_now = replace(source, move=move.id, term=move.source_term, run_id=move.source_run)
                change = migration.settled(known, move, replace(as_now, offset=target.offset), target)
                if change is not None:
                    return change
        return None

    return [(MovingOperator, "settled", settled)]


@mutation("Both sides confirmed the same offset.", "stall", "pause", slow=0.1)
def settled_when_the_source_alone_confirmed() -> list[Patch]:
    def settled(_: object, known: Topology, move: Move, *said: Confirmation | None) -> MoveChange | None:
        source, target = said
        if source is not None and target is not None:
            held = target.held._replace(term=move.target_term)
            target = replace(target, offset=source.offset, state=Target.HOLDING_ALL, held=held)
        return migration.settled(known, move, source, target)

    return [(MovingOperator, "settled", settled)]


@mutation("A move that was settled ends when the target has confirmed once more.", "kill", "cut", "cut link")
def source_drops_before_the_target_confirmed_again() -> list[Patch]:
    def ended(_: object, known: Topology, move: Move, *said: Confirmation | None) -> MoveChange | None:
        if move.phase == SETTLED:
            run = known.master_run(move.target)
            assert run is not None
            return EndMove(move, *run)
        return migration.ended(known, move, *said)

    return [(MovingOperator, "ended", ended)]


@mutation(
    "Slots go back to their source when a master is appointed that lacks them.", "kill shard", min_acks=0, disks="none"
)
def appointed_without_the_slots() -> list[Patch]:
    return [(changes, "_without_lost_moves", lambda topology, *_: topology)]


@mutation("What was returned is served from the source's hidden copy.", "kill shard", min_acks=0, disks="none")
def source_hides_nothing() -> list[Patch]:
    def keeps(move: Move, shard: int) -> bool:
        return (move.phase, shard) == (FEEDING, move.target)

    return [(moving_node, "keeps_hidden", keeps)]


@mutation("A master that hands over takes no slots: its successor would not have what they bring.")
def slots_taken_while_handing_over() -> list[Patch]:
    return [(moving_node, "hands_over", lambda _: False)]


BEGIN = {
    "slots-taken-back-by-a-timeout": 1,
    "slots-taken-back-with-the-feed": 47,
    "slots-taken-back-by-word": 71,
    "slots-released-unconfirmed": 56,
    "writes-taken-while-holding": 295,
    "released-slots-are-read": 0,
    "confirmed-by-an-earlier-feed": 31,
    "target-serves-what-it-holds": 0,
    "leftovers-served-again": 64,
    "target-begins-again-after-a-lost-feed": 79,
    "settled-before-the-voters-hold-it": 0,
    "a-slot-in-two-moves": 26,
    "settled-with-a-stale-term-or-run": 613,
    "confirmations-of-any-term-and-run": 613,
    "confirmation-of-an-earlier-move": 1,
    "settled-when-the-source-alone-confirmed": 1,
    "source-drops-before-the-target-confirmed-again": 0,
    "appointed-without-the-slots": 47,
    "source-hides-nothing": 33,
    "slots-taken-while-handing-over": 3_025_428,
}
"""The first seed that shows it, when this was written: from there on the search is short."""
