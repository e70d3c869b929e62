"""The Kubernetes API, as far as the operator leans on it: one Lease and one topology, both by compare-and-set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simulation.checks import Checks
from simulation.network import API, World
from simulation.plan import MILLISECOND

from ringkeeper.cluster.topology import Topology

LEASE_DURATION = 4_000 * MILLISECOND
TIMEOUT = 600 * MILLISECOND
"""After which the one who asked takes the outcome for uncertain."""


class Api:
    def __init__(self, world: World, checks: Checks, topology: Topology) -> None:
        self.world, self.checks = world, checks
        self.topology, self.version = topology, 1
        self.holder, self.renewals = -1, 0
        self.slow_until = 0
        """Until then a request may take up to two seconds."""

    def request(self, place: int, call: Callable[..., Any], answer: Callable[[Any], None], *arguments: Any) -> None:
        """Runs `call` here, once, when the request arrives; the answer may get lost."""

        def arrive() -> None:
            result = call(*arguments)
            self.world.send(API, place, answer, result)

        world = self.world
        if (place, API) in world.cut:
            return
        delay = 2 * MILLISECOND
        if world.now < self.slow_until and world.random.random() < 0.6:
            delay = int(world.random.random() * world.random.choice([1_000, 2_500, 8_000]) * MILLISECOND)
        world.after(delay, arrive)

    def read(self) -> tuple[Topology, int]:
        return self.topology, self.version

    def lease(self) -> tuple[int, int]:
        return self.holder, self.renewals

    def take_lease(self, who: int, seen: tuple[int, int]) -> bool:
        """Renewing is taking what one holds."""
        if self.lease() != seen:
            return False
        self.holder, self.renewals = who, self.renewals + 1
        return True

    def commit(
        self, topology: Topology, change: object, version: int, number: int, is_late: Callable[[], bool]
    ) -> int | None:
        """The new version, or None: another was committed meanwhile."""
        if is_late():
            self.checks.saw("late commit")
        if not self.accepts(version):
            return None
        self.topology, self.version = topology, self.version + 1
        self.checks.committed(topology, number)
        self.checks.changed(topology, change)
        return self.version

    def accepts(self, version: int) -> bool:
        return version == self.version
