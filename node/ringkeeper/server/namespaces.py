"""Where the declared namespaces meet the databases: what is put into force, and what is told of each."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add
from typing import TYPE_CHECKING

from ringkeeper.store import namespace_text
from ringkeeper.store.eviction.engine import Engine
from ringkeeper.store.evictor import Evictor
from ringkeeper.store.namespaces import Namespaces
from ringkeeper.store.policies import COUNTS_FREQUENCY, COUNTS_NOTHING, TELLS_ENGINE, TELLS_OF_VOLATILE
from ringkeeper.store.queued import Scope, kinds_of, make_engines, scopes_of

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


FIGURES = len(dataclasses.fields(NamespaceFigures)) - 1


@functools.lru_cache(2)
def declared(text: str) -> Namespaces:
    """What the directive's text declares; raises `ValueError` for one that cannot be used."""
    return Namespaces(namespace_text.parse(text))


def put_into_force(namespaces: Namespaces, evictor: Evictor, databases: Iterable[Keyspace]) -> None:
    """Called at start and whenever the directive `namespaces` or the node's policy has changed.

    O(namespaces), and as much again for each database.
    """
    scopes = scopes_of(namespaces, evictor.policy)
    kinds = kinds_of(namespaces, evictor.policy, scopes)
    counting = counting_of(namespaces, evictor.policy, scopes)
    for keyspace in databases:
        last, last_scopes, engines = keyspace.set_last
        if last is namespaces and last_scopes == scopes and [kind_of(engine) for engine in engines] == kinds:
            keyspace.set_counting(counting)
        else:
            keyspace.set_namespaces(namespaces, counting, (scopes, make_engines(keyspace, evictor, kinds)))


def kind_of(engine: Engine | None) -> str | None:
    """What must be the same for an engine to stay."""
    return engine.residents.policy if engine is not None and isinstance(engine.residents, Scope) else None


def counting_of(namespaces: Namespaces, policy: str, scopes: Sequence[int]) -> bytes:
    """By namespace, what the policies want to know of uses. `policy` is the node's."""
    policies = [policy, *(item.policy for item in namespaces.items)]
    found = []
    for number, scope in enumerate(scopes):
        if scope >= 0:
            found.append(TELLS_OF_VOLATILE if policies[scope].startswith("volatile-") else TELLS_ENGINE)
        else:
            counted = policy.endswith("lfu") or policies[number].endswith("lfu")
            found.append(COUNTS_FREQUENCY if counted else COUNTS_NOTHING)
    return bytes(found)


def evicted_keys(databases: Iterable[Keyspace]) -> int:
    """Keys that were removed to make room, in all databases."""
    return sum(keyspace.evicted for keyspace in databases)


def figures_of(
    namespaces: Namespaces, databases: Iterable[Keyspace], most: int
) -> tuple[list[NamespaceFigures], NamespaceFigures | None]:
    """A row for the default namespace and for each of the first `most`, and the sum of the others if there are any.

    O(namespaces) for each database that was ever used.
    """
    rows = [[0] * FIGURES for _ in range(min(most, len(namespaces)) + 1)]
    rest = [0] * FIGURES
    for keyspace in databases:
        if not (len(keyspace) or keyspace.hits or keyspace.misses or keyspace.expired or keyspace.evicted):
            continue
        figures = keyspace.space_figures()
        if keyspace.namespaces is not namespaces:
            figures = rearranged(figures, keyspace.namespaces, namespaces)
        for row, each in zip(rows, figures, strict=False):
            row[:] = map(add, row, each)
        rest = list(map(add, rest, map(sum, zip(*figures[len(rows) :], strict=True)))) or rest
    prefixes = (b"", *(item.prefix for item in namespaces.items[: len(rows) - 1]))
    shown = [NamespaceFigures(prefix, *row) for prefix, row in zip(prefixes, rows, strict=True)]
    return shown, NamespaceFigures(b"", *rest) if len(namespaces) >= len(rows) else None


def rearranged(figures: Sequence[tuple[int, ...]], by: Namespaces, to: Namespaces) -> list[tuple[int, ...]]:
    """Figures by other namespaces as by these, by prefix: a database changes over when it has counted its keys."""
    found = {item.prefix: each for item, each in zip(by.items, figures[1:], strict=False)}
    return [figures[0], *(found.get(item.prefix, (0,) * FIGURES) for item in to.items)]
