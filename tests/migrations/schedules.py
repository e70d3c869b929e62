"""What goes wrong while slots move, and when: made from a seed before anything happens."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import combinations

from partitions.network import Link
from partitions.schedules import both_ways, one_way
from process_faults import DEATH

OPERATOR, CLIENTS = "operator", "clients"
SOURCE, TARGET = "source", "target"
SOURCE_REPLICA, TARGET_REPLICA = "source's replica", "target's replica"
"""Roles, as they are when something happens to them."""
NODES = (SOURCE, TARGET, SOURCE_REPLICA, TARGET_REPLICA)
EVERYBODY = (*NODES, OPERATOR)

BEGUN, SETTLED, ENDED = "begun", "settled", "ended"
MOMENTS = (BEGUN, SETTLED, ENDED)
"""When the first batch has begun, has another owner, and when its former copy is not needed any more."""
STOPS = ("stop", "stop with the lease process")
CUTS: dict[str, frozenset[Link]] = {
    **{f"{role} alone": both_ways((role,), EVERYBODY) for role in EVERYBODY},
    **{f"{one} and {other} do not see each other": both_ways((one,), (other,)) for one, other in
       combinations(EVERYBODY, 2)},
    **{f"{one} to {other}": one_way((one,), (other,)) for one, other in
       ((SOURCE, TARGET), (TARGET, SOURCE), (OPERATOR, SOURCE), (TARGET, OPERATOR))},
    "shards do not see each other": both_ways((SOURCE, SOURCE_REPLICA), (TARGET, TARGET_REPLICA)),
    "clients see nobody": both_ways((CLIENTS,), NODES),
}  # fmt: skip

LOSSY = "lossy link: "
"""Before the name of a cut: links that drop what is sent, and do not, by turns."""
DROPPED, SLOW, FULL = "dropped connections", "slow link", "full disk"
"""All connections of a node end; what it is sent comes at 1 MB/s; its files cannot grow."""
TOLD_TO_END = "told to end"
"""A master hands over first, if it can."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens once."""

    name: str
    """`death`, `told to end`, a way to be stopped, a cut, or one of the above."""
    target: str
    """A role; empty for a cut."""
    moment: str
    after: float
    """Seconds since the moment."""
    seconds: float

    @property
    def is_end(self) -> bool:
        """Whether it ends a node's process."""
        return self.name in (DEATH, TOLD_TO_END) and self.target != OPERATOR

    def __str__(self) -> str:
        of = f" of {self.target}" if self.target else ""
        return f"{self.name}{of} {self.after:.3f} s after {self.moment}, {self.seconds:.2f} s"


SHORT_SECONDS, LONG_SECONDS = 0.9, 2.5
"""At most, at heartbeats of 200 ms; after 600 ms without one a master is suspected."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Of a cluster, which serves for some schedules."""

    name: str
    min_acks: int
    persistence: str


SETTINGS = (
    Setting("a replica must have each write", 1, ""),
    Setting("every node keeps its data", 1, "{size: 1Gi, mode: aof}"),
    Setting("writes may be lost", 0, ""),
)
SAME_SETTING = 10
"""Schedules by seed, one after another."""


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    part: float
    """Of all slots, by which the target's share is to be beyond the source's."""
    troubles: tuple[Trouble, ...]

    @property
    def deadly(self) -> bool:
        """Whether a node ends: only once, since acknowledged writes survive one failure."""
        return any(trouble.is_end for trouble in self.troubles)

    def __str__(self) -> str:
        return f"{self.seed}: {self.part:.0%} to the target; " + "; ".join(map(str, self.troubles))


def setting(seed: int) -> Setting:
    """Of two schedules in three each write must be on a replica."""
    return SETTINGS[seed // SAME_SETTING % len(SETTINGS)]


def schedule(seed: int, *, short: bool = False) -> Schedule:
    """`short`: a single trouble, soon over."""
    generator = random.Random(seed)
    troubles: list[Trouble] = []
    for _ in range(1 if short else generator.choice((1, 1, 2, 3))):
        dead = any(each.is_end for each in troubles)
        seconds = SHORT_SECONDS if short else LONG_SECONDS
        troubles.append(_trouble(generator, seconds, may_kill=not dead, has_files=bool(setting(seed).persistence)))
    return Schedule(seed, generator.uniform(0.1, 0.3), tuple(sorted(troubles, key=lambda each: each.after)))


def _trouble(generator: random.Random, longest: float, *, may_kill: bool, has_files: bool) -> Trouble:
    moment = generator.choices(MOMENTS, (4, 2, 1))[0]
    after = generator.choice((generator.uniform(0, 0.05), generator.uniform(0, 0.5)))
    seconds = generator.uniform(0.1, longest)
    kind = generator.random()
    if kind < 0.3:
        lossy = LOSSY if kind < 0.1 else ""
        return Trouble(lossy + generator.choice(sorted(CUTS)), "", moment, after, seconds)
    if kind < 0.45:
        name = generator.choice((DROPPED, SLOW, FULL if has_files else SLOW))
        return Trouble(name, generator.choice((SOURCE, TARGET, TARGET, TARGET_REPLICA)), moment, after, seconds)
    target = generator.choice(EVERYBODY)
    if kind < 0.8 and (may_kill or target == OPERATOR):
        name = DEATH if kind < 0.65 or target == OPERATOR else TOLD_TO_END
        return Trouble(name, target, moment, after, 0.4 * seconds)
    name = STOPS[0] if target == OPERATOR else generator.choice(STOPS)
    return Trouble(name, target, moment, after, seconds)
