"""Random commands of all groups, on the same keys: each type meets every other."""

from __future__ import annotations

from generator import Arguments, Generator
from hashes import Collections, Hashes, HashExpiry, Sets
from lists import Lists
from serial import Serial, Sort
from sorted_sets import AnyScores, SortedSets


class Everything(Collections):
    """Beside Redis."""

    parts: tuple[type[Generator], ...] = (Generator, Hashes, Sets, Lists, SortedSets)
    serial: type[Serial] = Sort

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.generators = [self.made_of(part, seed) for part in self.parts]
        self.payloads = self.serial(seed).payloads
        for generator in self.generators:
            generator.random = self.random
        self.makers = {self.of_a_group: 60, **self.common}

    def made_of(self, part: type[Generator], seed: int) -> Generator:
        """Sets of other types have members of the score 1, so there are no runs of members of one score alone."""
        made = part(seed)
        while isinstance(made, SortedSets) and made.lexical:
            made = part(seed := seed + 1)
        return made

    def of_a_group(self) -> Arguments:
        generator = self.random.choice(self.generators)
        generator.keys = self.keys
        generator.made = self.made
        return generator.command()

    def spoiled(self, command: Arguments) -> Arguments:
        """Its own group has done that, where it may be done."""
        return command

    def dump(self) -> Arguments:
        return [b"DUMP", self.key()]

    def restore(self) -> Arguments:
        time = self.relative(1) if self.chance(0.2) else b"0"
        return [b"RESTORE", self.key(), time, self.pick(self.payloads), *self.random.choice([[b"REPLACE"], []])]

    def sort(self) -> Arguments:
        """By bytes: the order of equals, and of what is not sorted, is each server's own affair."""
        store = [self.option(b"STORE"), self.key()] if self.chance(0.4) else []
        return [b"SORT", self.key(), self.option(b"ALPHA"), *self.random.choice([[], [b"DESC"]]), *store]


class EverythingNewer(Everything):
    """Beside Valkey: what is newer than Redis 7.0 as well."""

    parts = (Generator, Hashes, HashExpiry, Sets, Lists, AnyScores)
    serial = Serial
