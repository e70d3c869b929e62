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
}
PEERS = {
    "hash-expiry": "valkey",
    "lists": "valkey",
    "serial": "valkey",
    "sets": "valkey",
    "sorted-sets-any-score": "valkey",
}
"""Where Redis 7.0 lacks what is compared: fields that expire, lists and sets as listpacks, scores in few digits."""


UNCODED = {"sort"}
"""Beside Redis 7.0 all the same: its lists are never listpacks, so encodings are not compared."""


def generator_for(group: str, seed: int) -> Generator:
    module, _, name = GROUPS[group].partition(".")
    return cast(Generator, getattr(import_module(module), name)(seed))
