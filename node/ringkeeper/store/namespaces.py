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
from typing import TYPE_CHECKING

import cython

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING

from ringkeeper.store.policies import NAMESPACE_DEFAULT

MOST_NAMESPACES = 10_000
LONGEST_PREFIX = 128
"""Bytes."""

START = 0
LENGTH = 1
NUMBER = 2
CHILDREN = 3
COUNT = 4
CELLS = 5
"""What a node has: where its label starts and how long it is, the namespace that ends there (0: none), and its first
child and how many there are."""


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
        cells: Sequence[int]
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
        self.labels, cells = tree_of(prefixes)
        if cython.compiled:
            storage = array("i", cells).tobytes()
            self.storage = storage
            self.cells = cython.cast(cython.p_int, PyBytes_AS_STRING(storage))
        else:
            self.cells = cells
            self.first = [0] * 256
        byte: cython.int
        for byte in range(256):
            self.first[byte] = 0
        for node in range(cells[CHILDREN], cells[CHILDREN] + cells[COUNT]):
            self.first[self.labels[cells[node * CELLS + START]]] = node

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
            start = self.cells[node * CELLS + START]
            end = start + self.cells[node * CELLS + LENGTH]
            if end - start > length - at:
                break
            while start < end and key[at] == labels[start]:
                start += 1
                at += 1
            if start < end:
                break
            if self.cells[node * CELLS + NUMBER] != 0:
                found = self.cells[node * CELLS + NUMBER]
            if at == length:
                break
            node = self.child(node, key[at])
        return found

    @cython.cfunc
    @cython.exceptval(check=False)
    def child(self, node: cython.int, byte: cython.int) -> cython.int:
        """The child whose label begins with a byte, by bisection; 0 if there is none."""
        labels: cython.p_const_uchar = self.labels
        low: cython.int = self.cells[node * CELLS + CHILDREN]
        high: cython.int = low + self.cells[node * CELLS + COUNT]
        middle: cython.int
        begins: cython.int
        while low < high:
            self.steps += 1
            middle = (low + high) >> 1
            begins = labels[self.cells[middle * CELLS + START]]
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


def tree_of(prefixes: Sequence[tuple[bytes, int]]) -> tuple[bytes, list[int]]:
    """All labels, and the cells of all nodes, the root first, level by level; of sorted prefixes with their numbers."""
    labels = bytearray()
    cells: list[int] = []
    nodes = 1
    waiting = deque([(0, len(prefixes), 0, 0)])
    while waiting:
        low, high, begin, end = waiting.popleft()
        ends_here = low < high and end > 0 and len(prefixes[low][0]) == end
        label = prefixes[low][0][begin:end] if low < high else b""
        children = list(branches(prefixes, low + ends_here, high, end))
        cells += (len(labels), len(label), prefixes[low][1] if ends_here else 0, nodes, len(children))
        labels += label
        nodes += len(children)
        waiting.extend(children)
    return bytes(labels), cells


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
