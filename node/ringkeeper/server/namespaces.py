"""Where the declared namespaces meet the databases: what is put into force, and what is told of each."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringkeeper.store import namespace_text
from ringkeeper.store.keyspace import COUNTS_FREQUENCY, COUNTS_NOTHING
from ringkeeper.store.namespaces import Namespaces

if TYPE_CHECKING:
    from ringkeeper.store.keyspace import Keyspace


@dataclass(frozen=True, slots=True)
class NamespaceFigures:
    """What `/metrics` tells of a namespace, in all databases. The default namespace has the prefix of no bytes."""

    prefix: bytes
    keys: int
    bytes: int
    hits: int
    misses: int
    evicted: int
    expired: int


@functools.lru_cache(2)
def declared(text: str) -> Namespaces:
    """What the directive's text declares; raises `ValueError` for one that cannot be used."""
    return Namespaces(namespace_text.parse(text))


def put_into_force(namespaces: Namespaces, policy: str, databases: Iterable[Keyspace]) -> None:
    """Called at start and whenever the directive `namespaces` or the node's policy has changed."""
    policies = [policy, *(item.policy for item in namespaces.items)]
    counting = bytes(
        COUNTS_FREQUENCY if policy.endswith("lfu") or each.endswith("lfu") else COUNTS_NOTHING for each in policies
    )
    for keyspace in databases:
        if keyspace.namespaces is namespaces:
            keyspace.set_counting(counting)
        else:
            keyspace.set_namespaces(namespaces, counting)


def evicted_keys(databases: Iterable[Keyspace]) -> int:
    """Keys that were removed to make room, in all databases."""
    return sum(keyspace.evicted for keyspace in databases)


def figures_of(namespaces: Namespaces, databases: Iterable[Keyspace]) -> Sequence[NamespaceFigures]:
    """A row for each namespace, the default one first."""
    prefixes = [b"", *(item.prefix for item in namespaces.items)]
    rows = [[0] * 6 for _ in prefixes]
    for keyspace in databases:
        for row, figures in zip(rows, keyspace.space_figures(), strict=False):
            for place, figure in enumerate(figures):
                row[place] += figure
    return [NamespaceFigures(prefix, *row) for prefix, row in zip(prefixes, rows, strict=True)]
