"""A dictionary whose members also stand in a row: one can be chosen at random, and all be scanned in parts."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import cython


@cython.no_gc
@cython.cclass
class IndexedTable:
    """Members and a value of each. The last one takes a removed one's place. O(1) where nothing else is said.

    Scanning goes from the end of the row to its beginning, and members only ever move towards the beginning, so none
    that stays is missed. Nor is one seen twice by the scan that asked last: `border` is where it stands, and a gap
    before that is filled from just before it, which leaves the new gap at the border, where the scan has been.
    """

    positions = cython.declare(dict, visibility="readonly")
    members = cython.declare(list, visibility="readonly")
    values = cython.declare(list, visibility="readonly")
    cursor: cython.Py_ssize_t
    """The last one given out by `scan`; 0 if that scan came to its end."""
    border: cython.Py_ssize_t
    """What that cursor means now: the members before have not been seen by that scan."""

    def __init__(self) -> None:
        self.positions = {}
        self.members = []
        self.values = []
        self.cursor = self.border = 0

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, member: bytes) -> bool:
        return member in self.positions

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.members)

    def get(self, member: bytes, default: Any = None) -> Any:
        position = self.positions.get(member)
        return default if position is None else self.values[position]

    def put(self, member: bytes, value: Any) -> bool:
        """Whether the member is new."""
        position = self.positions.get(member)
        if position is not None:
            self.values[position] = value
            return False
        self.positions[member] = len(self.members)
        self.members.append(member)
        self.values.append(value)
        return True

    def pop(self, member: bytes, default: Any = None) -> Any:
        """Remove a member; its value, or `default` if there was none."""
        position = self.positions.pop(member, None)
        if position is None:
            return default
        value = self.values[position]
        if position < self.border:
            self.border -= 1
            if position < self.border:
                self.move(self.border, position)
                position = self.border
        last_member = self.members.pop()
        last_value = self.values.pop()
        if position < len(self.members):
            self.members[position] = last_member
            self.values[position] = last_value
            self.positions[last_member] = position
        return value

    @cython.cfunc
    def move(self, source: cython.Py_ssize_t, target: cython.Py_ssize_t) -> None:
        """Put a member in another's place."""
        member: bytes = self.members[source]
        self.members[target] = member
        self.values[target] = self.values[source]
        self.positions[member] = target

    def items(self) -> Iterator[tuple[bytes, Any]]:
        return zip(self.members, self.values, strict=True)

    def random(self, randomness: Random) -> bytes:
        """Any member, each as likely. For a table that is not empty."""
        member: bytes = self.members[randomness.randrange(len(self.members))]
        return member

    def sample(self, randomness: Random, count: int) -> list[bytes]:
        """So many different members, in random order, or all. O(count)."""
        if count >= len(self.members):
            return list(self.members)
        return randomness.sample(self.members, count)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next `count` members behind a cursor and the cursor behind them; both ends are 0. O(count).

        A member that is there throughout an iteration is returned at least once; if no other iteration asks meanwhile,
        exactly once.
        """
        length = len(self.members)
        end = length if cursor == 0 else min(self.border if cursor == self.cursor else cursor, length)
        start = max(end - max(count, 1), 0)
        self.cursor = self.border = start
        return start, self.members[start:end]

    def copy(self) -> IndexedTable:
        """One that shares nothing but the values themselves. O(n)."""
        other = IndexedTable()
        other.positions = dict(self.positions)
        other.members = list(self.members)
        other.values = list(self.values)
        return other

    def shed(self, count: int) -> int:
        """Remove some of the last members; how many. O(count)."""
        going = self.members[-count:]
        for member in going:
            del self.positions[member]
        del self.members[-count:]
        del self.values[-count:]
        self.border = min(self.border, len(self.members))
        return len(going)

    def check(self) -> None:
        assert len(self.positions) == len(self.members) == len(self.values)
        assert 0 <= self.border <= len(self.members)
        assert all(self.members[position] == member for member, position in self.positions.items())
