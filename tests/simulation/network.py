"""Virtual time, and the ways between those who take part."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from simulation.plan import MILLISECOND, Plan

API = 100
"""The place of the Kubernetes API; nodes are 0, 1, …, operators 10 and 11."""
OPERATORS = (10, 11)


class Clock:
    """A monotonic clock that starts anywhere and goes a little wrong."""

    __slots__ = ("base", "rate", "since")

    def __init__(self, base: int, rate: float, since: int = 0) -> None:
        self.base, self.rate, self.since = base, rate, since

    def read(self, real: int) -> int:
        return self.base + int((real - self.since) * self.rate)

    def real(self, local: int) -> int:
        """When it shows `local`."""
        return self.since + int((local - self.base) / self.rate)


class World:
    """The queue of events. One event is one function called at one time; equal times keep their order."""

    def __init__(self, plan: Plan, tell: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.random = Random(plan.seed)
        self.now = 0
        self.events = 0
        self.tell = tell
        self.cut: set[tuple[int, int]] = set()
        self.is_quiet = False
        """Whether faults are over: nothing is lost or late any more."""
        self._queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: int, call: Callable[..., None], *arguments: Any) -> None:
        self._count += 1
        heappush(self._queue, (self.now + delay, self._count, call, arguments))

    def run(self, until: int) -> None:
        queue = self._queue
        while queue and queue[0][0] <= until:
            self.now, _, call, arguments = heappop(queue)
            self.events += 1
            call(*arguments)
        self.now = until

    def send(self, sender: int, receiver: int, call: Callable[..., None], *arguments: Any) -> None:
        if (sender, receiver) in self.cut:
            return
        plan, draw = self.plan, self.random.random()
        if self.is_quiet:
            self.after(MILLISECOND + int(draw * MILLISECOND), call, *arguments)
            return
        if draw < plan.loss:
            return
        self.after(self._delay(), call, *arguments)
        if draw > 1 - plan.duplicates:
            self.after(self._delay(), call, *arguments)
        elif plan.replays and self.random.random() < plan.replays:
            self.after(int(self.random.random() * 8_000 * MILLISECOND), call, *arguments)

    def _delay(self) -> int:
        draw = self.random.random()
        slow = self.plan.slow
        if draw < slow:
            longest = 4_000 if draw < slow / 10 else 300
            return int(self.random.random() * longest * MILLISECOND)
        return MILLISECOND + int(draw * 2 * MILLISECOND)
