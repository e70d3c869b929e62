"""Where the declared namespaces meet the databases: what is put into force, and what is told of each."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringkeeper.store import namespace_text
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


def put_into_force(namespaces: Namespaces, databases: Iterable[Keyspace]) -> None:
    """Called at start and whenever the directive `namespaces` has changed."""


def evicted_keys(databases: Iterable[Keyspace]) -> int:  # noqa: ARG001
    """Keys that were removed to make room, in all databases. Nothing evicts yet."""
    return 0


def figures_of(databases: Iterable[Keyspace]) -> Sequence[NamespaceFigures]:  # noqa: ARG001
    """A row for each namespace, the default one first. None as long as no keyspace counts by namespace."""
    return ()
