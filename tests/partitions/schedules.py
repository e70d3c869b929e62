"""What goes wrong, and when: made from a seed before anything happens."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

from partitions.network import Link
from process_faults import DEATH, FAULTS

OPERATOR = "operator"
MASTER, REPLICA, OTHER = "master", "replica", "other"
"""Roles, as they are when a step begins."""
NODES = (MASTER, REPLICA, OTHER)
EVERYBODY = (OPERATOR, *NODES)


def one_way(sources: tuple[str, ...], targets: tuple[str, ...]) -> frozenset[Link]:
    return frozenset((source, target) for source, target in product(sources, targets) if source != target)


def both_ways(some: tuple[str, ...], others: tuple[str, ...] = EVERYBODY) -> frozenset[Link]:
    others = tuple(name for name in others if name not in some)
    return one_way(some, others) | one_way(others, some)


PARTITIONS: dict[str, frozenset[Link]] = {
    "master alone": both_ways((MASTER,)),
    "master with operator": both_ways((MASTER, OPERATOR)),
    "operator alone": both_ways((OPERATOR,)),
    "replica alone": both_ways((REPLICA,)),
    "master with a replica": both_ways((MASTER, REPLICA)),
    "each alone": both_ways((MASTER,)) | both_ways((OPERATOR,)) | both_ways((REPLICA,)),
    "nodes do not see each other": both_ways((MASTER,), NODES) | both_ways((REPLICA,), NODES),
    "master and operator do not see each other": both_ways((MASTER,), (OPERATOR,)),
    "nodes to operator": one_way(NODES, (OPERATOR,)),
    "operator to nodes": one_way((OPERATOR,), NODES),
    "master to operator": one_way((MASTER,), (OPERATOR,)),
    "operator to master": one_way((OPERATOR,), (MASTER,)),
    "master to replicas": one_way((MASTER,), (REPLICA, OTHER)),
    "replicas to master": one_way((REPLICA, OTHER), (MASTER,)),
    "master to a replica": one_way((MASTER,), (REPLICA,)),
    "a replica to master": one_way((REPLICA,), (MASTER,)),
    "master to everybody": one_way((MASTER,), EVERYBODY),
    "everybody to master": one_way(EVERYBODY, (MASTER,)),
    "none": frozenset(),
}
"""The links that are cut."""
FLAPPING = ("master alone", "master with operator", "operator alone", "master to replicas")
KINDS = (*(kind for kind in PARTITIONS if kind != "none"), *(f"flapping: {kind}" for kind in FLAPPING))
"""Each is the first step of a schedule in turn."""
OPERATOR_FAULTS = (DEATH, "stop")
"""It has no lease process."""
LONG_SECONDS, SHORT_SECONDS = 1.6, 0.7
"""At heartbeats of 200 ms: enough for a failover and for a former master to be asked; enough to notice something."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that happens to a process while the links are cut."""

    name: str
    target: str
    after: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.name} of {self.target} after {self.after:.2f} s, {self.seconds:.2f} s"


@dataclass(frozen=True, slots=True)
class Step:
    """Links that are cut for a while, or by turns cut and whole."""

    partition: str
    links: frozenset[Link]
    seconds: float
    flap: float = 0.0
    """Seconds between two changes; 0: the links stay cut."""
    trouble: Trouble | None = None
    pause: float = 0.0
    """Seconds until the next step, in which all links are whole; 0: the next one's cut replaces this one's."""

    def __str__(self) -> str:
        cut = "" if self.partition in PARTITIONS else f" ({', '.join(sorted(map(' to '.join, self.links)))})"
        words = [f"{self.partition}{cut} for {self.seconds:.2f} s"]
        words += [f"flapping every {self.flap:.2f} s"] if self.flap else []
        words += [f"with {self.trouble}"] if self.trouble else []
        return ", ".join([*words, f"then {self.pause:.2f} s whole" if self.pause else "then at once"])


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    steps: tuple[Step, ...]
    deadly: bool = field(default=False)
    """Whether a node is killed: only once, since acknowledged writes survive one failure."""

    def __str__(self) -> str:
        return f"{self.seed}: " + "; ".join(map(str, self.steps))


def schedule(seed: int, *, short: bool = False, deadly: bool = True) -> Schedule:
    """`short`: two steps, all kinds in turn, and nothing else. `deadly`: nodes may be killed."""
    generator = random.Random(seed)
    if short:
        kinds = [KINDS[(2 * seed + index) % len(KINDS)] for index in range(2)]
        return Schedule(seed, tuple(_step(generator, kind, lambda _: None, _seconds(kind)) for kind in kinds))
    first = KINDS[seed % len(KINDS)]
    dead: list[Trouble] = []

    def trouble(seconds: float) -> Trouble | None:
        if generator.random() < 0.5:
            return None
        target = generator.choice((MASTER, MASTER, REPLICA, OTHER, OPERATOR))
        names = [name for name in FAULTS if name != DEATH or (deadly and not dead)]
        name = generator.choice(OPERATOR_FAULTS if target == OPERATOR else names)
        found = Trouble(name, target, generator.uniform(0, seconds), generator.uniform(0.1, 2.5))
        if name == DEATH and target != OPERATOR:
            dead.append(found)
        return found

    kinds = [first, *generator.choices([*KINDS, "none", "random"], k=generator.randrange(3))]
    steps = tuple(_step(generator, kind, trouble, generator.uniform(0.2, 3.0)) for kind in kinds)
    return Schedule(seed, steps, bool(dead))


def _seconds(kind: str) -> float:
    """Long if a lease is lost by it."""
    links = PARTITIONS[kind.removeprefix("flapping: ")]
    heard = [{(MASTER, peer), (peer, MASTER)}.isdisjoint(links) for peer in EVERYBODY if peer != MASTER]
    return SHORT_SECONDS if heard[0] or all(heard[1:]) else LONG_SECONDS


def _step(generator: random.Random, kind: str, trouble: Callable[[float], Trouble | None], seconds: float) -> Step:
    name = kind.removeprefix("flapping: ")
    flap = generator.uniform(0.05, 0.9) if name != kind else 0.0
    if name == "random":
        links = frozenset(link for link in one_way(EVERYBODY, EVERYBODY) if generator.random() < 0.4)
    else:
        links = PARTITIONS[name]
    pause = generator.uniform(0.1, 1.5) if generator.random() < 0.7 else 0.0
    return Step(name, links, seconds, flap, trouble(seconds), pause)
