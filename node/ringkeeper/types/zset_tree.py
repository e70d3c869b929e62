# cython: boundscheck=False, wraparound=False
"""A B+-tree of (score, member) that counts: what has a rank, which rank something has, how many lie in a range.

A node keeps its scores in an array of doubles, so that finding a place reads no member unless scores are equal. Inner
nodes count what is below each child. Compiled, the arrays are memory of the node's own; in the pure form, lists.

Bounds are not checked in compiled code: every position here comes from a search in the same node or from a count that
was just read. A caller removes and moves only what is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

if not cython.compiled:
    from ringkeeper.types.memory import block_size, list_memory
else:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_GET_SIZE
    from cython.cimports.cpython.mem import PyMem_Free, PyMem_Realloc
    from cython.cimports.libc.string import memcmp
    from cython.cimports.ringkeeper.types.memory import block_size, list_memory  # type: ignore[no-redef]

WIDTH = 128
"""Entries of a full node. Few enough to be moved in no time, enough to keep nodes rare."""
MEMBERS, FLAT, PAIRS, TUPLES = 0, 1, 2, 3
"""Forms of a range: members alone; members and scores in turn; lists of the two; tuples of the two."""
Entries = list[Any]
"""By this name, Cython takes the type from `zset_tree.pxd`."""
NODE_BYTES = cython.declare(cython.Py_ssize_t, 96)
TREE_BYTES = cython.declare(cython.Py_ssize_t, 48)
"""The objects themselves, of a node and of a tree."""
TAKEN = cython.declare(cython.longlong, 0)
"""Bytes that nodes came to take, less those that they gave back; a tree looks by how much it changes meanwhile."""


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def precedes(first: bytes, second: bytes, after: cython.bint) -> cython.bint:
    """Whether a member comes before another in the order of their bytes; with `after`, the same one does too."""
    if cython.compiled:
        here: cython.Py_ssize_t = PyBytes_GET_SIZE(first)
        there: cython.Py_ssize_t = PyBytes_GET_SIZE(second)
        shared: cython.Py_ssize_t = here if here < there else there
        order: cython.int = memcmp(PyBytes_AS_STRING(first), PyBytes_AS_STRING(second), shared)
        if order != 0:
            return order < 0
        return here <= there if after else here < there
    return first <= second if after else first < second


@cython.cfunc
@cython.exceptval(check=False)
def take_note(bytes_more: cython.Py_ssize_t) -> cython.void:
    global TAKEN
    TAKEN += bytes_more


@cython.final
@cython.no_gc
@cython.cclass
class Node:
    """`count` entries in order. Those of a leaf are the tree's own; entry i of an inner node bounds its child i.

    All that is below child i is at or behind entry i, and before entry i + 1. Entry 0 of an inner node bounds nothing
    (its parent does, and it may be out of date): it counts as lower than anything.
    """

    if TYPE_CHECKING:
        scores: Any
        sizes: Any

    @cython.cfunc
    def begin(self, width: cython.Py_ssize_t, leaf: cython.bint) -> None:
        self.width = width
        self.leaf = leaf
        self.count = 0
        self.room = 0
        """Entries that the arrays have room for."""
        self.members: list[bytes] = []
        self.children: list[Node] = NO_CHILDREN if leaf else []
        if not cython.compiled:
            self.scores = []
            self.sizes = []
            """Of an inner node: the tree's entries below each child."""
        take_note(self.own())

    def __dealloc__(self) -> None:
        PyMem_Free(self.scores)
        PyMem_Free(self.sizes)

    # The node alone. O(width), searches O(log width).

    @cython.cfunc
    @cython.exceptval(check=False)
    def place(self, score: cython.double, member: bytes, after: cython.bint) -> cython.Py_ssize_t:
        """How many entries come before (score, member); with `after`, that one counts too if it is here."""
        low: cython.Py_ssize_t = 0 if self.leaf else 1
        high: cython.Py_ssize_t = self.count
        while low < high:
            middle: cython.Py_ssize_t = (low + high) >> 1
            found: cython.double = self.scores[middle]
            if found < score or (found == score and precedes(cython.cast(bytes, self.members[middle]), member, after)):
                low = middle + 1
            else:
                high = middle
        return low

    @cython.cfunc
    @cython.exceptval(check=False)
    def place_of_score(self, score: cython.double, after: cython.bint) -> cython.Py_ssize_t:
        """How many entries have a lower score; with `after`, a lower one or this one."""
        low: cython.Py_ssize_t = 0 if self.leaf else 1
        high: cython.Py_ssize_t = self.count
        while low < high:
            middle: cython.Py_ssize_t = (low + high) >> 1
            found: cython.double = self.scores[middle]
            if found < score or (after and found == score):
                low = middle + 1
            else:
                high = middle
        return low

    @cython.cfunc
    @cython.exceptval(check=False)
    def before(self, at: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The tree's entries below the children before this one."""
        total: cython.Py_ssize_t = 0
        i: cython.Py_ssize_t
        for i in range(at):
            total += self.sizes[i]
        return total

    @cython.cfunc
    @cython.exceptval(check=False)
    def total(self) -> cython.Py_ssize_t:
        """The tree's entries here and below."""
        return self.count if self.leaf else self.before(self.count)

    @cython.cfunc
    @cython.exceptval(check=False)
    def own(self) -> cython.Py_ssize_t:
        """The bytes of this node, without the members."""
        array: cython.Py_ssize_t = block_size(8 * self.room) if self.room else 0
        if self.leaf:
            return NODE_BYTES + list_memory(self.members) + array
        return NODE_BYTES + list_memory(self.members) + list_memory(self.children) + 2 * array

    @cython.cfunc
    def whole(self) -> cython.Py_ssize_t:
        """The bytes of this node and of all below, without the members. O(nodes)."""
        i: cython.Py_ssize_t
        total: cython.Py_ssize_t = self.own()
        if not self.leaf:
            for i in range(self.count):
                total += cython.cast(Node, self.children[i]).whole()
        return total

    @cython.cfunc
    def reserve(self, count: cython.Py_ssize_t) -> None:
        """Let the arrays have room for so many entries."""
        if count <= self.room:
            return
        room: cython.Py_ssize_t = max(count, min(2 * self.room, self.width), 4)
        if not cython.compiled:
            self.scores += [0.0] * (room - self.room)
            self.sizes += [0] * (room - self.room)
        else:
            scores: cython.p_void = PyMem_Realloc(self.scores, room * cython.sizeof(cython.double))
            if scores is cython.NULL:
                raise MemoryError
            self.scores = cython.cast(cython.p_double, scores)
            if not self.leaf:
                sizes: cython.p_void = PyMem_Realloc(self.sizes, room * cython.sizeof(cython.longlong))
                if sizes is cython.NULL:
                    raise MemoryError
                self.sizes = cython.cast(cython.p_longlong, sizes)
        self.room = room

    @cython.cfunc
    def insert(self, at: cython.Py_ssize_t, score: cython.double, member: bytes, child: Node | None) -> None:
        i: cython.Py_ssize_t
        before: cython.Py_ssize_t = self.own()
        self.reserve(self.count + 1)
        for i in range(self.count, at, -1):
            self.scores[i] = self.scores[i - 1]
        self.scores[at] = score
        self.members.insert(at, member)
        if child is not None:
            for i in range(self.count, at, -1):
                self.sizes[i] = self.sizes[i - 1]
            self.sizes[at] = child.total()
            self.children.insert(at, child)
        self.count += 1
        take_note(self.own() - before)

    @cython.cfunc
    def delete(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> None:
        i: cython.Py_ssize_t
        gone: cython.Py_ssize_t = stop - start
        before: cython.Py_ssize_t = self.own()
        for i in range(stop, self.count):
            self.scores[i - gone] = self.scores[i]
        del self.members[start:stop]
        if not self.leaf:
            for i in range(stop, self.count):
                self.sizes[i - gone] = self.sizes[i]
            del self.children[start:stop]
        self.count -= gone
        take_note(self.own() - before)

    @cython.cfunc
    def append(self, other: Node, start: cython.Py_ssize_t) -> None:
        """Put another node's entries from `start` on behind those of this one."""
        i: cython.Py_ssize_t
        before: cython.Py_ssize_t = self.own()
        self.reserve(self.count + other.count - start)
        for i in range(start, other.count):
            self.scores[self.count + i - start] = other.scores[i]
        self.members += other.members[start:]
        if not self.leaf:
            for i in range(start, other.count):
                self.sizes[self.count + i - start] = other.sizes[i]
            self.children += other.children[start:]
        self.count += other.count - start
        take_note(self.own() - before)

    @cython.cfunc
    def split(self, at: cython.Py_ssize_t) -> Node:
        """Move the entries from `at` on to a new node, which follows this one."""
        other: Node = new_node(self.width, self.leaf)
        other.append(self, at)
        self.delete(at, self.count)
        return other

    @cython.cfunc
    def add(self, at: cython.Py_ssize_t, score: cython.double, member: bytes, child: Node | None) -> Node | None:
        """Insert an entry; a full node is split, and the new one returned. One that grows at its end stays full."""
        if self.count < self.width:
            self.insert(at, score, member, child)
            return None
        other: Node = self.split(at if at == self.count else self.count // 2)
        if at > self.count or other.count == 0:
            other.insert(at - self.count, score, member, child)
        else:
            self.insert(at, score, member, child)
        return other

    # The node and what is below. O(log n) where nothing else is said.

    @cython.cfunc
    def put(self, score: cython.double, member: bytes) -> Node | None:
        """Insert an entry that is not here; the node that follows this one if it had to be split."""
        other: Node | None
        if self.leaf:
            other = self.add(self.place(score, member, False), score, member, None)
            return other
        at: cython.Py_ssize_t = self.place(score, member, True) - 1
        child: Node = cython.cast(Node, self.children[at])
        other = child.put(score, member)
        if other is None:
            self.sizes[at] += 1
            return None
        self.sizes[at] = child.total()
        other = self.add(at + 1, other.scores[0], cython.cast(bytes, other.members[0]), other)
        return other

    @cython.cfunc
    def take(self, score: cython.double, member: bytes) -> None:
        """Remove an entry that is here."""
        at: cython.Py_ssize_t
        if self.leaf:
            at = self.place(score, member, False)
            self.delete(at, at + 1)
            return
        at = self.place(score, member, True) - 1
        child: Node = cython.cast(Node, self.children[at])
        child.take(score, member)
        self.sizes[at] -= 1
        if child.count < self.width // 4:
            self.mend(at)

    @cython.cfunc
    def cut(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> None:
        """Remove the entries of these ranks, at least one. O(log n + nodes that go)."""
        if self.leaf:
            self.delete(start, stop)
            return
        at: cython.Py_ssize_t = 0
        while start >= self.sizes[at]:
            start -= self.sizes[at]
            stop -= self.sizes[at]
            at += 1
        first: cython.Py_ssize_t = at
        while start < stop:
            here: cython.Py_ssize_t = min(stop, self.sizes[at])
            stop -= self.sizes[at]
            if here - start == self.sizes[at]:
                take_note(-cython.cast(Node, self.children[at]).whole())
                self.delete(at, at + 1)
            else:
                cython.cast(Node, self.children[at]).cut(start, here)
                self.sizes[at] -= here - start
                at += 1
            start = 0
        if first + 1 < self.count:
            self.mend(first + 1)
        if first < self.count:
            self.mend(first)

    @cython.cfunc
    def mend(self, at: cython.Py_ssize_t) -> None:
        """A child has lost entries: drop it if it has none, level it with a neighbour if it has few."""
        child: Node = cython.cast(Node, self.children[at])
        if child.count == 0:
            take_note(-child.own())
            self.delete(at, at + 1)
            return
        if child.count >= self.width // 4 or self.count == 1:
            return
        left: cython.Py_ssize_t = at - 1 if at > 0 else 0
        right: cython.Py_ssize_t = left + 1
        child = cython.cast(Node, self.children[left])
        other: Node = cython.cast(Node, self.children[right])
        if not other.leaf:
            other.scores[0] = self.scores[right]
            other.members[0] = self.members[right]
        child.append(other, 0)
        take_note(-other.own())
        self.delete(right, right + 1)
        if child.count > 3 * self.width // 4:
            other = child.split(child.count // 2)
            self.insert(right, other.scores[0], cython.cast(bytes, other.members[0]), other)
        self.sizes[left] = child.total()

    @cython.cfunc
    def collect(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t, form: cython.int, found: Entries) -> None:
        """Put what has these ranks behind `found`. O(log n + stop - start)."""
        i: cython.Py_ssize_t
        if self.leaf:
            if form == MEMBERS:
                found += self.members[start:stop]
            elif form == FLAT:
                for i in range(start, stop):
                    found.append(self.members[i])
                    found.append(self.scores[i])
            elif form == PAIRS:
                for i in range(start, stop):
                    found.append([self.members[i], self.scores[i]])
            else:
                for i in range(start, stop):
                    found.append((self.members[i], self.scores[i]))
            return
        for i in range(self.count):
            size: cython.Py_ssize_t = self.sizes[i]
            if start < size:
                cython.cast(Node, self.children[i]).collect(max(start, 0), min(stop, size), form, found)
            start -= size
            stop -= size
            if stop <= 0:
                return

    @cython.cfunc
    def copy(self) -> Node:
        """O(n)."""
        i: cython.Py_ssize_t
        other: Node = new_node(self.width, self.leaf)
        other.append(self, 0)
        if not self.leaf:
            for i in range(self.count):
                other.children[i] = cython.cast(Node, self.children[i]).copy()
        return other

    def check(self, root: bool) -> tuple[int, list[tuple[float, bytes]]]:
        """Assert every invariant; the height, and the tree's entries here and below. O(n)."""
        entries = [(self.scores[i], self.members[i]) for i in range(self.count)]
        assert self.count == len(self.members) <= self.room or not self.count
        assert 0 < self.count <= self.width or (root and self.leaf and not self.count)
        if self.leaf:
            assert entries == sorted(entries)
            return 0, entries
        assert len(self.children) == self.count > int(root)
        assert entries[1:] == sorted(entries[1:])
        below: list[tuple[float, bytes]] = []
        heights = set()
        for i in range(self.count):
            child: Node = self.children[i]
            height, found = child.check(False)
            assert self.sizes[i] == len(found)
            assert i == 0 or max(below) < entries[i] <= found[0]
            heights.add(height)
            below += found
        assert len(heights) == 1
        return heights.pop() + 1, below


@cython.cfunc
def new_node(width: cython.Py_ssize_t, leaf: cython.bint) -> Node:
    node: Node = Node.__new__(Node)
    node.begin(width, leaf)
    return node


NO_CHILDREN: list[Node] = []
"""Of every leaf."""


@cython.final
@cython.no_gc
@cython.cclass
class CountedTree:
    """Entries in order, each once. Ranks count from 0, intervals of them are half open. O(log n) if nothing is said."""

    def __init__(self, width: int = WIDTH) -> None:
        """`width` is for tests, which want high trees of few entries; at least 4."""
        self.begin(width)

    @cython.cfunc
    def begin(self, width: cython.Py_ssize_t) -> None:
        self.root = new_node(width, True)
        self.memory = TREE_BYTES + self.root.own()
        """Bytes of all of it, without the members."""

    def add(self, score: cython.double, member: bytes) -> None:
        """An entry that is not here yet."""
        before: cython.longlong = TAKEN
        other: Node | None = self.root.put(score, member)
        if other is not None:
            root: Node = new_node(self.root.width, False)
            root.insert(0, self.root.scores[0], cython.cast(bytes, self.root.members[0]), self.root)
            root.insert(1, other.scores[0], cython.cast(bytes, other.members[0]), other)
            self.root = root
        self.memory += TAKEN - before

    def remove(self, score: cython.double, member: bytes) -> None:
        """An entry that is here."""
        before: cython.longlong = TAKEN
        self.root.take(score, member)
        self.lower()
        self.memory += TAKEN - before

    def move(self, old: cython.double, member: bytes, score: cython.double) -> None:
        """Give an entry that is here another score. One that passes no other stays where it is."""
        node: Node = self.root
        while not node.leaf:
            node = cython.cast(Node, node.children[node.place(old, member, True) - 1])
        at: cython.Py_ssize_t = node.place(old, member, False)
        if 0 < at < node.count - 1 and (node.scores[at - 1] < score) and (score < node.scores[at + 1]):
            node.scores[at] = score
            return
        self.remove(old, member)
        self.add(score, member)

    def remove_range(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> None:
        """O(log n + stop - start)."""
        before: cython.longlong = TAKEN
        if start < stop:
            self.root.cut(start, stop)
            self.lower()
        self.memory += TAKEN - before

    def rank(self, score: cython.double, member: bytes, after: cython.bint) -> int:
        """How many come before (score, member); with `after`, that one counts too if it is here."""
        rank: cython.Py_ssize_t = 0
        node: Node = self.root
        while not node.leaf:
            at: cython.Py_ssize_t = node.place(score, member, True) - 1
            rank += node.before(at)
            node = cython.cast(Node, node.children[at])
        return int(rank + node.place(score, member, after))

    def rank_of_score(self, score: cython.double, after: cython.bint) -> int:
        """How many have a lower score; with `after`, a lower one or this one."""
        rank: cython.Py_ssize_t = 0
        node: Node = self.root
        while not node.leaf:
            at: cython.Py_ssize_t = node.place_of_score(score, after) - 1
            rank += node.before(at)
            node = cython.cast(Node, node.children[at])
        return int(rank + node.place_of_score(score, after))

    def range(self, start: cython.Py_ssize_t, stop: cython.Py_ssize_t, form: cython.int) -> Entries:
        """What has these ranks, in one of the forms. O(log n + stop - start)."""
        found: list[Any] = []
        if start < stop:
            self.root.collect(start, stop, form, found)
        return found

    def copy(self) -> CountedTree:
        """O(n)."""
        other: CountedTree = CountedTree()
        other.root = self.root.copy()
        other.memory = TREE_BYTES + other.root.whole()
        return other

    def check(self) -> list[tuple[float, bytes]]:
        """Assert every invariant; all entries. O(n)."""
        entries: list[tuple[float, bytes]] = self.root.check(True)[1]
        assert self.memory == TREE_BYTES + self.root.whole(), (self.memory, self.root.whole())
        return entries

    @cython.cfunc
    def lower(self) -> None:
        """No root with a single child, or none."""
        while not self.root.leaf and self.root.count <= 1:
            take_note(-self.root.own())
            self.root = cython.cast(Node, self.root.children[0]) if self.root.count else new_node(self.root.width, True)


def new_tree(width: cython.Py_ssize_t) -> CountedTree:
    """As `CountedTree(width)`, without Python's way to make an object."""
    tree: CountedTree = CountedTree.__new__(CountedTree)
    tree.begin(width)
    return tree
