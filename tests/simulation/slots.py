"""What nodes have of each slot: where it lies (served, or on a shelf that no client sees), and its last write."""

from __future__ import annotations

from typing import NamedTuple

from simulation.data import Entry, holds

COUNT = 4
"""So many slots have writes and move; the others lie still."""


class Value(Entry):
    """A slot's last write: a chain of its own, which goes with the slot from shard to shard."""

    __slots__ = ("is_mixed",)

    def __init__(self, term: int, parent: Entry | None) -> None:
        super().__init__(term, parent)
        self.is_mixed = isinstance(parent, Value) and parent.is_mixed
        """Whether it has keys that are no part of its history: leftovers of an earlier time."""


Values = tuple[Entry | None, ...]


class State(NamedTuple):
    """By slot."""

    main: Values
    shelf: Values

    def main_with(self, slot: int, value: Entry | None) -> State:
        return State(_with(self.main, slot, value), self.shelf)

    def shelf_with(self, slot: int, value: Entry | None) -> State:
        return State(self.main, _with(self.shelf, slot, value))


NO_VALUES: Values = (None,) * COUNT
EMPTY = State(NO_VALUES, NO_VALUES)


def _with(values: Values, slot: int, value: Entry | None) -> Values:
    return (*values[:slot], value, *values[slot + 1 :])


class Effect(Entry):
    """An entry of a shard's stream, and what the shard has after it."""

    __slots__ = ("claim", "slot", "state")

    def __init__(self, term: int, parent: Entry | None, state: State, slot: int | None = None, claim: int = 0) -> None:
        super().__init__(term, parent)
        self.state = state
        self.slot = slot
        """Of a client's write."""
        self.claim = claim
        """As the how-manieth owner of the slot it was written."""


def state_of(head: Entry | None) -> State:
    return head.state if isinstance(head, Effect) else EMPTY


def loaded_over(before: Entry | None, fed: Entry | None) -> Entry | None:
    """What a slot has when it is fed to a place that has `before` of it."""
    if holds(fed, before):
        return fed
    mixed = Value(0, fed)
    mixed.is_mixed = True
    return mixed
