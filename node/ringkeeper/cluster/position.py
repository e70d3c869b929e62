"""How far a node's data has come."""

from __future__ import annotations

from typing import NamedTuple


class Position(NamedTuple):
    """Greater is more recent: a later term's stream goes before any offset of an earlier one.

    Of two histories with the same term the longer one holds all of the shorter; offsets go on from term to term.
    """

    term: int
    """Of the last stream applied; a master's own term."""
    offset: int
    """Bytes of the stream."""


NOTHING = Position(0, 0)
