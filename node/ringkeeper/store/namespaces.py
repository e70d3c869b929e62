"""Which namespace a key belongs to: the one with the longest declared prefix that the key starts with.

The prefixes form a radix tree (D. R. Morrison, "PATRICIA", 1968) in one flat array of integers. A node stands for the
bytes between two branches, its label; siblings lie side by side, in the order of their labels' first bytes, and no two
of them share one. A search compares each byte of the key at most once, and at each node looks for the next byte among
at most 256 siblings: O(length of the key), whatever the number of namespaces. A key whose first byte begins no prefix
is done after one look.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import cython

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING

from ringkeeper.store.policies import NAMESPACE_DEFAULT

MOST_NAMESPACES = 10_000
LONGEST_PREFIX = 128
"""Bytes."""


class TreeNode(NamedTuple):
    """The bytes between two branches. Searches read it as the header's struct `Place`, where they are compiled."""

    start: int
    """Where its label begins, in `Namespaces.labels`."""
    length: int
    """Of the label."""
    number: int
    """The namespace whose prefix ends here; 0 for none."""
    child: int
    """The first one."""
    children: int


@dataclass(frozen=True, slots=True)
class Namespace:
    """The keys that start with `prefix`, and what is wanted for them."""

    prefix: bytes
    max_memory: int = 0
    """Bytes; 0 means no limit of its own."""
    policy: str = NAMESPACE_DEFAULT
    default_ttl_ms: int = 0
    """What a write that sets no expiry sets; 0 means none."""
    max_ttl_ms: int = 0
    """The longest time to live; 0 means no limit."""


@cython.final
@cython.cclass
class Namespaces:
    """All of a node's, numbered from 1 in the order in which they were declared. Never changed: a new one is made.

    Number 0 is the default namespace, that of no prefix.
    """

    if TYPE_CHECKING:
        items: tuple[Namespace, ...]
        steps: int
        labels: bytes
        storage: object
        nodes: Sequence[TreeNode]
        first: list[int]

    def __init__(self, items: Sequence[Namespace] = ()) -> None:
        """O(n log n). Raises `ValueError` for an empty prefix and for one that stands twice."""
        self.items = tuple(items)
        self.steps = 0
        """Nodes and siblings that all searches so far looked at."""
        prefixes = sorted((item.prefix, number) for number, item in enumerate(self.items, 1))
        if prefixes and not prefixes[0][0]:
            raise ValueError("a namespace must have a prefix")
        for (prefix, _), (other, _) in pairwise(prefixes):
            if prefix == other:
                raise ValueError(f"two namespaces have the prefix {prefix!r}")
        self.labels, nodes = tree_of(prefixes)
        if cython.compiled:
            self.storage = array("i", [figure for node in nodes for figure in node]).tobytes()
            self.nodes = cython.cast("Place *", PyBytes_AS_STRING(self.storage))
        else:
            self.nodes = nodes
            self.first = [0] * 256
        byte: cython.int
        for byte in range(256):
            self.first[byte] = 0
        for place in range(nodes[0].child, nodes[0].child + nodes[0].children):
            self.first[self.labels[nodes[place].start]] = place

    def __len__(self) -> int:
        return len(self.items)

    def match(self, key: bytes) -> int:
        """The number of the namespace that a key belongs to; 0 for the default one. O(length of the key)."""
        return int(self.match_at(key, len(key)))

    @cython.cfunc
    @cython.exceptval(check=False)
    def match_at(self, key: cython.p_const_uchar, length: cython.Py_ssize_t) -> cython.int:
        """The same for the bytes at an address."""
        if length == 0:
            return 0
        node: cython.int = self.first[key[0]]
        if node == 0:
            return 0
        labels: cython.p_const_uchar = self.labels
        found: cython.int = 0
        at: cython.Py_ssize_t = 0
        start: cython.int
        end: cython.int
        while node != 0:
            self.steps += 1
            start = self.nodes[node].start
            end = start + self.nodes[node].length
            if end - start > length - at:
                break
            while start < end and key[at] == labels[start]:
                start += 1
                at += 1
            if start < end:
                break
            if self.nodes[node].number != 0:
                found = self.nodes[node].number
            if at == length:
                break
            node = self.child_of(node, key[at])
        return found

    @cython.cfunc
    @cython.exceptval(check=False)
    def child_of(self, node: cython.int, byte: cython.int) -> cython.int:
        """The child whose label begins with a byte, by bisection; 0 if there is none."""
        labels: cython.p_const_uchar = self.labels
        low: cython.int = self.nodes[node].child
        high: cython.int = low + self.nodes[node].children
        middle: cython.int
        begins: cython.int
        while low < high:
            self.steps += 1
            middle = (low + high) >> 1
            begins = labels[self.nodes[middle].start]
            if begins == byte:
                return middle
            if begins < byte:
                low = middle + 1
            else:
                high = middle
        return 0

    def check(self) -> None:
        """Every prefix finds itself, and so does every key that only it begins."""
        for number, item in enumerate(self.items, 1):
            assert self.match(item.prefix) == number, item


def tree_of(prefixes: Sequence[tuple[bytes, int]]) -> tuple[bytes, list[TreeNode]]:
    """All labels, and all nodes, the root first, level by level; of sorted prefixes with their numbers."""
    labels = bytearray()
    nodes: list[TreeNode] = []
    known = 1
    waiting = deque([(0, len(prefixes), 0, 0)])
    while waiting:
        low, high, begin, end = waiting.popleft()
        ends_here = low < high and end > 0 and len(prefixes[low][0]) == end
        label = prefixes[low][0][begin:end] if low < high else b""
        children = branches(prefixes, low + ends_here, high, end)
        nodes.append(TreeNode(len(labels), len(label), prefixes[low][1] if ends_here else 0, known, len(children)))
        labels += label
        known += len(children)
        waiting.extend(children)
    return bytes(labels), nodes


def branches(prefixes: Sequence[tuple[bytes, int]], low: int, high: int, at: int) -> list[tuple[int, int, int, int]]:
    """Where each part of a range of sorted prefixes lies that shares the byte `at`, and where its label does."""
    found = []
    while low < high:
        byte = prefixes[low][0][at]
        last = low
        while last < high and prefixes[last][0][at] == byte:
            last += 1
        found.append((low, last, at, common_length(prefixes[low][0], prefixes[last - 1][0])))
        low = last
    return found


def common_length(one: bytes, other: bytes) -> int:
    """How many bytes two texts have in common at their beginning."""
    length = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        length += 1
    return length


NO_NAMESPACES = Namespaces()
