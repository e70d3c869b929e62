"""What befalls a shard in one history: all of it follows from the seed, and can be thinned out to find the cause."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Any

MILLISECOND = 1_000_000
FAULTS = {
    "kill": 7,
    "reboot": 2,
    "kill lease process": 8,
    "pause": 4,
    "stall": 3,
    "cut": 7,
    "cut one way": 5,
    "cut link": 4,
    "cut api": 3,
    "pause operator": 2,
    "kill operator": 2,
    "slow api": 9,
    "hand over": 4,
    "leave": 4,
    "change min acks": 2,
    "scale": 3,
}
"""Kinds and how often they come."""


@dataclass(frozen=True, slots=True)
class Fault:
    at: int
    """Real time, nanoseconds."""
    kind: str
    lasts: int
    """Nanoseconds; how long a pause, a cut or an absence is."""
    draw: int
    """Seeds what else is to be chosen: whom it hits, what the disk keeps."""


@dataclass(frozen=True, slots=True)
class Plan:
    seed: int
    replicas: int
    min_acks: int
    policy: str
    disks: str
    """`kept`: whoever restarts has all of its data; `behind`: nearly all; `none`: nothing."""
    loss: float
    duplicates: float
    replays: float
    """Share of the messages that arrive once more, many seconds later."""
    slow: float
    """Share of the messages that take up to seconds."""
    drift: float
    """Of the clocks: rates between 1 - drift and 1 + drift."""
    ends_known: float
    """Share of the crashes of which the operator learns for certain."""
    faults: tuple[Fault, ...]
    lasts: int
    """Nanoseconds."""
    calms: bool
    """Whether it goes on without faults until the shard is well."""


def plan(seed: int, kinds: tuple[str, ...] = (), **fixed: Any) -> Plan:
    """`kinds`: only these faults, and more of them; `fixed`: fields that do not follow from the seed."""
    random = Random(seed)
    lasts = random.randint(9_000, 14_000) * MILLISECOND
    replicas = random.choice([1, 1, 2, 2, 2, 3])
    stormy = random.random() < 0.6
    drawn = Plan(
        seed=seed,
        replicas=replicas,
        min_acks=random.choice([0, 1, 1, 1, 2]) if replicas > 1 else random.choice([0, 1]),
        policy=random.choice(["waitForAll", "mostRecent", "startEmpty"]),
        disks=random.choice(["kept", "behind", "none"]),
        loss=random.choice([0.0, 0.02, 0.2]) if stormy else 0.0,
        duplicates=random.choice([0.0, 0.05]) if stormy else 0.0,
        replays=random.choice([0.0, 0.01]) if stormy else 0.0,
        slow=random.choice([0.0, 0.02, 0.1]) if stormy else 0.0,
        drift=random.choice([0.0, 0.05]),
        ends_known=random.choice([0.0, 0.5, 1.0]),
        faults=tuple(_fault(random, lasts, kinds) for _ in range(random.randint(2, 7) + 2 * bool(kinds))),
        lasts=lasts,
        calms=seed % 8 == 0,
    )
    return replace(drawn, **fixed)


def _fault(random: Random, lasts: int, kinds: tuple[str, ...]) -> Fault:
    kind = random.choice(kinds) if kinds else random.choices(list(FAULTS), list(FAULTS.values()))[0]
    return Fault(
        at=random.randint(1_500 * MILLISECOND, lasts - 2_500 * MILLISECOND),
        kind=kind,
        lasts=random.choice([100, 600, 1_500, 3_000, 6_000]) * random.randint(500, 1_500) * MILLISECOND // 1_000,
        draw=random.getrandbits(32),
    )
