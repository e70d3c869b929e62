"""How late the event loop is: for how long something that became ready had to wait for what ran before it.

A timer asks every 20 ms, on a fixed grid. One answer stands for all points of the grid that it is late for: after a
stall of a second, fifty things that had come at even distances would have waited between 0 and 1 s each, not one of
them for a second. So the quantiles are those of a moment chosen at random, and a long stall weighs as much as it lasts.
The loop's timers count in milliseconds, so an idle node shows about 1 ms.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left

INTERVAL = 0.02
"""Seconds."""
BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds. What took longer has a counter too."""


class LoopDelay:
    """Since the process started; times are in seconds."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.counts = [0] * (len(BOUNDS) + 1)
        """Moments by how long they had to wait, a counter for each bound and one for the rest."""
        self.total = 0.0
        self.last = 0.0
        self.longest = 0.0
        self.due = 0.0
        self.timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.due = time.monotonic() + INTERVAL
        self.wait()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def wait(self) -> None:
        self.timer = self.loop.call_at(self.due, self.look)

    def look(self) -> None:
        self.due = self.count(self.due, time.monotonic())
        self.wait()

    def count(self, due: float, now: float) -> float:
        """Count every moment of the grid from `due` to `now`; the first one behind. Loops' timers may be early."""
        self.last = max(0.0, now - due)
        self.longest = max(self.longest, self.last)
        delay = self.last
        while True:
            self.counts[bisect_left(BOUNDS, delay)] += 1
            self.total += delay
            due += INTERVAL
            if due > now:
                return due
            delay = now - due
