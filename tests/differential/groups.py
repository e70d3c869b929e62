"""The groups of commands that random sequences are made of, by name; each is a class of a module of this folder."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from generator import Generator

GROUPS = {
    "strings": "generator.Generator",
    "hashes": "hashes.Hashes",
    "sets": "hashes.Sets",
    "hash-expiry": "hashes.HashExpiry",
    "lists": "lists.Lists",
    "serial": "serial.Serial",
    "sort": "serial.Sort",
    "sorted-sets": "sorted_sets.SortedSets",
    "sorted-sets-any-score": "sorted_sets.AnyScores",
    "all": "everything.Everything",
    "all-and-newer": "everything.EverythingNewer",
}
PEERS = {
    "hash-expiry": ("valkey",),
    "serial": ("valkey",),
    "sort": ("redis",),
    "sorted-sets": ("redis",),
    "sorted-sets-any-score": ("valkey",),
    "all": ("redis",),
    "all-and-newer": ("valkey",),
}
"""Beside one only: Redis 7.0 lacks fields that expire, sets as listpacks, scores in few digits; Valkey's numbers are
not C's."""


def peers_of(group: str) -> tuple[str, ...]:
    return PEERS.get(group, ("redis", "valkey"))


def generator_for(group: str, seed: int) -> Generator:
    module, _, name = GROUPS[group].partition(".")
    return cast(Generator, getattr(import_module(module), name)(seed))
