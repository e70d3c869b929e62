"""Work that is done in small slices between other things, half of the loop's time at most: so nobody waits for it.

Redis hands some of it to threads. Here a thread would hold the interpreter's lock just as long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

SLICE_NS = 1_000_000
"""A slice's length."""
PAUSE_SECONDS = 0.001
"""Between two slices."""


class Slices:
    """A piece of work that `work` brings forward by some 100 µs at most; whether any is left."""

    def __init__(self, work: Callable[[], bool], loop: asyncio.AbstractEventLoop) -> None:
        self.work = work
        self.loop = loop
        self.timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, if it was not begun yet. To be called now and then."""
        if self.timer is None:
            self.step()

    def step(self) -> None:
        self.timer = None
        end = time.monotonic_ns() + SLICE_NS
        while self.work():
            if time.monotonic_ns() >= end:
                self.timer = self.loop.call_later(PAUSE_SECONDS, self.step)
                return

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
