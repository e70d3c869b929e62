"""Make what is missing, mend what drifted."""

from __future__ import annotations

import re

from ringkeeper_operator.model import ApplyPieces, Observed, Spec
from ringkeeper_operator.plan.nodes import names

NODE_KINDS = frozenset({"Process", "StatefulSet"})
"""The kinds of pieces that carry nodes: when one of them vanished, a shard is not served."""


def apply_pieces(spec: Spec, observed: Observed) -> ApplyPieces | None:
    pieces = {piece: state for piece, state in observed.pieces.items() if not _is_beyond(spec, piece)}
    absent = tuple(piece for piece, state in pieces.items() if state == "absent")
    drifted = tuple(piece for piece, state in pieces.items() if state == "drifted")
    if not absent and not drifted:
        return None
    todo = tuple(piece for piece in pieces if pieces[piece] != "current")
    if not absent:
        return ApplyPieces(reason="Updating", message=f"{names(drifted)}: changed to what is asked for", pieces=todo)
    existed = observed.topology is not None or observed.newest_held is not None
    if existed and (lost := [piece for piece in absent if piece.partition("/")[0] in NODE_KINDS]):
        return ApplyPieces(
            reason="Restarting", message=f"{names(lost)}: vanished, made again", warning=True, pieces=todo
        )
    return ApplyPieces(reason="Creating", message=f"{names(absent)}: made", pieces=todo)


def _is_beyond(spec: Spec, piece: str) -> bool:
    """Whether it belongs to a shard that the spec does not have: that of a refused change of `shards`."""
    kind, _, name = piece.partition("/")
    match = re.fullmatch(rf"{re.escape(spec.name)}-(\d+)(?:-\d+)?", name)
    return kind in NODE_KINDS and match is not None and int(match[1]) >= spec.shards
