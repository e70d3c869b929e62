"""A dictionary whose members also stand in a row: one can be chosen at random, and all be scanned in parts.

While it has few members there is no row but the dictionary alone, whose order serves: most hashes and sets are small,
and stay so.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import cython

SMALL = 32
"""Members up to which a table that never had more does without a row."""
MOST_WITHOUT_ROW = cython.declare(cython.Py_ssize_t, SMALL)


@cython.no_gc
@cython.cclass
class IndexedTable:
    """Members and a value of each. In the row, the last one takes a removed one's place. O(1) where nothing else is
    said, `SMALL` being a constant.

    Scanning goes from the end of the row to its beginning, and members only ever move towards the beginning, so none
    that stays is missed. Nor is one seen twice by the scan that asked last: `border` is where it stands, and a gap
    before that is filled from just before it, which leaves the new gap at the border, where the scan has been.
    """

    def __init__(self) -> None:
        self.places: dict[bytes, Any] = {}
        """Member -> its value while there is no row, then its number in the row."""
        self.members: list[bytes] | None = None
        """The row."""
        self.values: list[Any] | None = None
        """As in the row."""
        self.cursor = 0
        """The last one given out by `scan`; 0 if that scan came to its end."""
        self.border = 0
        """What that cursor means now: the members before have not been seen by that scan."""

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, member: bytes) -> bool:
        return member in self.places

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.places if self.members is None else self.members)

    def get(self, member: bytes) -> Any:
        """None if there is no such member."""
        place = self.places.get(member)
        return place if self.values is None or place is None else self.values[place]

    def put(self, member: bytes, value: Any) -> Any:
        """The value that the member had before; None if it is new."""
        place = self.places.get(member)
        if self.values is None or self.members is None:
            self.places[member] = value
            if place is None and len(self.places) > MOST_WITHOUT_ROW:
                self.form_row()
            return place
        if place is not None:
            before = self.values[place]
            self.values[place] = value
            return before
        self.places[member] = len(self.members)
        self.members.append(member)
        self.values.append(value)
        return None

    @cython.cfunc
    def enter(self, member: bytes) -> cython.bint:
        """Put a member without a value; whether it is new."""
        if member in self.places:
            return False
        if self.values is not None and self.members is not None:
            self.places[member] = len(self.values)
            self.members.append(member)
            self.values.append(None)
            return True
        self.places[member] = None
        if len(self.places) > MOST_WITHOUT_ROW:
            self.form_row()
        return True

    @cython.cfunc
    def form_row(self) -> cython.void:
        self.members = list(self.places)
        self.values = list(self.places.values())
        self.places = {member: number for number, member in enumerate(self.members)}

    def pop(self, member: bytes) -> Any:
        """Remove a member; its value, or None if there was none."""
        place = self.places.pop(member, None)
        if self.values is None or self.members is None or place is None:
            return place
        value = self.values[place]
        if place < self.border:
            self.border -= 1
            if place < self.border:
                self.move(self.border, place)
                place = self.border
        last_member = self.members.pop()
        last_value = self.values.pop()
        if place < len(self.members):
            self.members[place] = last_member
            self.values[place] = last_value
            self.places[last_member] = place
        return value

    @cython.cfunc
    def move(self, source: cython.Py_ssize_t, target: cython.Py_ssize_t) -> cython.void:
        """Put a member in another's place in the row."""
        members, values = self.members, self.values
        assert members is not None
        assert values is not None
        member: bytes = members[source]
        members[target] = member
        values[target] = values[source]
        self.places[member] = target

    def listed(self) -> list[bytes]:
        """O(n)."""
        return list(self.places if self.members is None else self.members)

    def all_values(self) -> list[Any]:
        """As `listed`. O(n)."""
        return list(self.places.values() if self.values is None else self.values)

    def as_dict(self) -> dict[bytes, Any]:
        """O(n)."""
        if self.values is None or self.members is None:
            return self.places.copy()
        return dict(zip(self.members, self.values, strict=True))

    def random(self, randomness: Random) -> bytes:
        """Any member, each as likely. For a table that is not empty."""
        members = self.listed() if self.members is None else self.members
        member: bytes = members[randomness.randrange(len(members))]
        return member

    def sample(self, randomness: Random, count: int) -> list[bytes]:
        """So many different members, in random order, or all. O(count)."""
        members = self.listed() if self.members is None else self.members
        if count >= len(members):
            return list(members)
        return randomness.sample(members, count)

    def scan(self, cursor: int, count: int) -> tuple[int, list[bytes]]:
        """The next `count` members behind a cursor and the cursor behind them; both ends are 0. O(count).

        A member that is there throughout an iteration is returned at least once; if no other iteration asks meanwhile,
        exactly once. Without a row, all come at once.
        """
        if self.members is None:
            return 0, list(self.places)
        length = len(self.members)
        end = length if cursor == 0 else min(self.border if cursor == self.cursor else cursor, length)
        start = max(end - max(count, 1), 0)
        self.cursor = self.border = start
        return start, self.members[start:end]

    def copy(self) -> IndexedTable:
        """One that shares nothing but the values themselves. O(n)."""
        other = IndexedTable()
        other.places = self.places.copy()
        if self.members is not None and self.values is not None:
            other.members = self.members.copy()
            other.values = self.values.copy()
        return other

    def shed(self, count: int) -> int:
        """Remove some of the last members; how many. O(count)."""
        if self.members is None or self.values is None:
            shed = len(self.places)
            self.places.clear()
            return shed
        going = self.members[-count:]
        for member in going:
            del self.places[member]
        del self.members[-count:]
        del self.values[-count:]
        self.border = min(self.border, len(self.members))
        return len(going)

    def check(self) -> None:
        assert (self.members is None) == (self.values is None)
        if self.members is None or self.values is None:
            assert len(self.places) <= SMALL
            return
        assert len(self.places) == len(self.members) == len(self.values)
        assert 0 <= self.border <= len(self.members)
        assert all(self.members[place] == member for member, place in self.places.items())
