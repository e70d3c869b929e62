"""What nodes of `operator_world.py` do while slots move: obedient, at once, one step each time that time passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringkeeper.cluster.migration import Confirmation
from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.topology import FEEDING, RETURNED, SETTLED, Move, Topology
from ringkeeper_operator.model import MoveReport

if TYPE_CHECKING:
    from operator_world import FakeNode, World

NEXT = {"clearing": "loading", "loading": "following", "adopted": "kept"}


def current_moves(node: FakeNode) -> list[tuple[Move, str]]:
    """The moves that this run takes part in by the topology that it holds, and its role in each."""
    standing = node.standing()
    if node.held is None or not standing.serves or standing.shard is None:
        return []
    return [
        (move, "source" if move.source == standing.shard else "target")
        for move in node.held.moves_of(standing.shard)
        if node.held.is_alive(move)
    ]


def advance(world: World) -> None:
    """Every node that runs takes one step in every move."""
    for node in world.nodes.values():
        if node.phase == "running":
            for move, role in current_moves(node):
                node.moving[move.id] = _stepped(world, node, move, role, node.moving.get(move.id))


def _stepped(world: World, node: FakeNode, move: Move, role: str, state: str | None) -> str:
    if move.phase == FEEDING:
        return _feeding(world, move, role, state)
    if move.phase == SETTLED and role == "target":
        return "kept" if state in ("adopted", "kept") else "adopted"
    if move.phase == SETTLED:
        if node.held is not None and node.shard not in node.held.owners:
            node.keys = 0
        return "hiding"
    again = "restored" if state in ("restoring", "restored") else "restoring"
    return again if role == "source" else "failed"


def _feeding(world: World, move: Move, role: str, state: str | None) -> str:
    other = state_of(world, move, "target" if role == "source" else "source")
    if role == "source":
        return "feeding" if state in (None, "waiting") and other in ("loading", "following") else state or "waiting"
    if state == "following" and other == "released":
        return "holding all"
    return NEXT.get(state, state) if state else "clearing"


def state_of(world: World, move: Move, role: str) -> str:
    """What the node of that role says, if it can be reached."""
    for node in world.nodes.values():
        if node.phase == "running" and node.reachable:
            for current, its_role in current_moves(node):
                if (current.id, its_role) == (move.id, role):
                    return node.moving.get(move.id, "")
    return ""


def reports(node: FakeNode) -> tuple[MoveReport, ...]:
    return tuple(_report(node, move, role) for move, role in current_moves(node) if move.id in node.moving)


def _report(node: FakeNode, move: Move, role: str) -> MoveReport:
    state, term = node.moving[move.id], node.standing().term
    offset = move.id if state in ("released", "holding all") else 0
    held = Position(term, node.position.offset) if state == "holding all" else NOTHING
    return MoveReport(Confirmation(move.id, role, state, term, node.run_id, offset, held, node.why))


def release(world: World, topology: Topology, ids: tuple[int, ...]) -> None:
    """What sources make of being asked: those that hear it give up the slots if the target follows."""
    for node in world.nodes.values():
        if node.phase != "running" or not node.reachable or node.held is None or topology.leader < node.held.leader:
            continue
        for move, role in current_moves(node):
            may = role == "source" and node.moving.get(move.id) == "feeding"
            if move.id in ids and may and state_of(world, move, "target") == "following":
                node.moving[move.id] = "released"


def judge(world: World, old: Topology, new: Topology) -> None:
    """Slots change hands only by a move whose ends are at one, and nobody forgets a copy that is still needed."""
    said: dict[int, list[Confirmation]] = {move.id: [] for move in old.moves}
    for node in world.nodes.values():
        for told in reports(node):
            said.setdefault(told.said.move, []).append(told.said)
    after = {move.id: move for move in new.moves}
    moved: dict[int, int] = {}
    for move in old.moves:
        is_settled = move.phase == FEEDING and move.id in after and after[move.id].phase == SETTLED
        if is_settled:
            moved |= dict.fromkeys(move.slots, move.target)
            ends = {one.role: one for one in said[move.id] if one.state in ("released", "holding all")}
            assert ends["source"].offset == ends["target"].offset
            assert (ends["source"].run_id, ends["target"].run_id) == (move.source_run, move.target_run)
            assert old.is_alive(move)
        elif move.phase == SETTLED and move.id in after and after[move.id].phase == RETURNED:
            moved |= dict.fromkeys(move.slots, move.source)
        elif move.phase == SETTLED and move.id not in after:
            assert any((one.state, one.role) == ("kept", "target") for one in said[move.id])
        elif move.phase == RETURNED and move.id not in after:
            assert any(one.state == "restored" for one in said[move.id])
    for slot, (before, now) in enumerate(zip(old.owners, new.owners, strict=True)):
        assert now == moved.get(slot, before), f"slot {slot} moved by itself from {before} to {now}"
