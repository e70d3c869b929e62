"""Letting go, in small steps, of what the keyspaces threw away: huge collections, flushed databases, what expired.

Redis hands such work to a thread. Here a thread would hold the interpreter's lock just as long, so the loop does it
between other things, half of its time at most: whoever deletes or flushes never waits for it, nor does anybody else.
"""

from __future__ import annotations

import asyncio
import time

from ringkeeper.store.keyspace import Keyspace

STEP_NS = 1_000_000
"""A step's length."""
PAUSE_SECONDS = 0.001
"""Between two steps."""
AT_ONCE = 500
"""Elements between two looks at the clock."""


class Freeing:
    """One a node."""

    def __init__(self, databases: list[Keyspace], loop: asyncio.AbstractEventLoop) -> None:
        self.databases = databases
        self.loop = loop
        self.timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        """Values and tables still to be freed (INFO's `lazyfree_pending_objects`)."""
        return sum(keyspace.pending for keyspace in self.databases)

    @property
    def freed(self) -> int:
        return sum(keyspace.freed for keyspace in self.databases)

    def start(self) -> None:
        """Begin, if there is anything to free and it was not begun yet. To be called now and then."""
        if self.timer is None and any(keyspace.pending for keyspace in self.databases):
            self.step()

    def step(self) -> None:
        self.timer = None
        end = time.monotonic_ns() + STEP_NS
        for keyspace in self.databases:
            while keyspace.pending:
                keyspace.free_some(AT_ONCE)
                if time.monotonic_ns() >= end:
                    self.timer = self.loop.call_later(PAUSE_SECONDS, self.step)
                    return

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
