"""Make what is missing, mend what drifted."""

from __future__ import annotations

import re

from ringkeeper_operator.model import ApplyPieces, Observed, RemovePieces, Spec
from ringkeeper_operator.plan.nodes import names
from ringkeeper_operator.plan.size import running_topology

NODE_KINDS = frozenset({"Process", "StatefulSet"})
"""The kinds of pieces that carry nodes: when one of them vanished, a shard is not served."""


def apply_pieces(spec: Spec, observed: Observed) -> ApplyPieces | None:
    pieces = observed.pieces
    absent = tuple(piece for piece, state in pieces.items() if state == "absent")
    drifted = tuple(piece for piece, state in pieces.items() if state == "drifted")
    if not absent and not drifted:
        return None
    todo = tuple(piece for piece in pieces if pieces[piece] != "current")
    if not absent:
        return ApplyPieces(reason="Updating", message=f"{names(drifted)}: changed to what is asked for", pieces=todo)
    if lost := [piece for piece in absent if _carried_nodes(spec, observed, piece)]:
        return ApplyPieces(
            reason="Restarting", message=f"{names(lost)}: vanished, made again", warning=True, pieces=todo
        )
    return ApplyPieces(reason="Creating", message=f"{names(absent)}: made", pieces=todo)


def _carried_nodes(spec: Spec, observed: Observed, piece: str) -> bool:
    """Whether a shard is not served without it: it carries nodes, and its shard is there."""
    topology, place = running_topology(spec, observed), _place_of(spec, piece)
    if topology is None or place is None or piece.partition("/")[0] not in NODE_KINDS:
        return False
    return topology.shard(place[0]) is not None


def remove_obsolete(spec: Spec, observed: Observed) -> RemovePieces | None:
    """What carries nodes goes when they, or their shard, have left the topology. A pod may be of one
    PodDisruptionBudget only, or no drain goes on.
    """
    obsolete = tuple(piece for piece in observed.obsolete if _may_go(spec, observed, piece))
    if not obsolete:
        return None
    return RemovePieces(reason="Removing", message=f"{names(obsolete)}: no longer asked for", pieces=obsolete)


def _may_go(spec: Spec, observed: Observed, piece: str) -> bool:
    if piece.partition("/")[0] not in NODE_KINDS:
        return True
    place = _place_of(spec, piece)
    if observed.topology is None or place is None:
        return False
    shard, ordinal = place
    if shard >= spec.shards:
        return observed.topology.shard(shard) is None
    name = piece.partition("/")[2]
    is_beyond = ordinal is not None and ordinal >= spec.nodes_per_shard
    return is_beyond and all(node.name != name for node in observed.topology.nodes)


def _place_of(spec: Spec, piece: str) -> tuple[int, int | None] | None:
    """Shard, and ordinal where the piece is of one node."""
    found = re.fullmatch(rf"{re.escape(spec.name)}-(\d+)(?:-(\d+))?", piece.partition("/")[2])
    return (int(found[1]), int(found[2]) if found[2] else None) if found is not None else None
