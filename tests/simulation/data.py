"""What a node has: a stream of writes, as a chain of entries. A position in it is an entry, a prefix an ancestor."""

from __future__ import annotations


class Entry:
    """One write of a master's term. Equal histories share their entries."""

    __slots__ = ("offset", "parent", "term")

    def __init__(self, term: int, parent: Entry | None) -> None:
        self.term = term
        self.parent = parent
        self.offset: int = parent.offset + 1 if parent else 1

    def __repr__(self) -> str:
        return f"{self.term}:{self.offset}"


def offset_of(head: Entry | None) -> int:
    return head.offset if head else 0


def at_offset(head: Entry | None, offset: int) -> Entry | None:
    """The prefix that ends there; takes as many steps as entries are cut off."""
    while head is not None and head.offset > offset:
        head = head.parent
    return head


def holds(head: Entry | None, entry: Entry | None) -> bool:
    """Whether a history that ends in `head` has `entry`."""
    return entry is None or at_offset(head, entry.offset) is entry
