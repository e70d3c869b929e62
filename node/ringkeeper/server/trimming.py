"""Giving back the memory that the C library holds free, when it is much.

Values above 512 bytes come from the C library. Where their sizes are mixed and they come and go, its heap has holes,
and the pages of the holes stay resident: with values of 50 B to 1 MB, a fifth of all. Two things are done about it.

What is larger than 512 KiB is mapped on its own (`memory.set_up_allocator`): half of that fifth goes. It costs, since
every such value is mapped, cleared and unmapped anew: 2 to 2.5 times the CPU time of a SET or GET of 600 kB or 1 MB
(some 0.4 ms for 1 MB); with a lower bound smaller values would pay the same.

`malloc_trim` hands the holes back in one go, which nothing can interrupt: some 15 ms for each 100 MB of holes. So it is
done only when there is much to gain, and then not again for 2,000 times as long as it took. `bench/soak.py` shows what
resident memory comes to.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ringkeeper.server.memory import give_back, resident_bytes

SLACK = 0.1
"""Holes may take such a part of what is used,"""
SLACK_BYTES = 32 << 20
"""and as much besides."""
LOOK_SECONDS = 1.0
LEAST_SECONDS = 10.0
"""Between two trims."""
REST = 2_000
"""For so many times as long as a trim took there is no other. What it took is the processor time of its thread: then
a busy machine does not make it slow."""
IN_VAIN = 0.01
"""A trim that gives back a smaller part of what is resident was no use;"""
IN_VAIN_SECONDS = 600.0
"""then what is resident is something else, and the next one waits for so long."""


class Trimming:
    """One a node. Times are in seconds by the monotonic clock."""

    def __init__(
        self,
        *,
        resident: Callable[[], int] = resident_bytes,
        trim: Callable[[], None] = give_back,
        clock: Callable[[], float] = time.monotonic,
        processor_time: Callable[[], float] = time.thread_time,
    ) -> None:
        self.resident = resident
        self.trim = trim
        self.clock = clock
        self.processor_time = processor_time
        self.own = resident()
        """What a node takes that holds nothing, about."""
        self.next_look = 0.0
        self.trims = 0

    def round(self, used: int) -> None:
        """Trim if it is time, and worth it beside so many bytes in use. To be called now and then."""
        now = self.clock()
        if now < self.next_look:
            return
        self.next_look = now + LOOK_SECONDS
        before = self.resident()
        if before <= self.own + SLACK_BYTES + used * (1 + SLACK):
            return
        began = self.processor_time()
        self.trim()
        took = self.processor_time() - began
        self.trims += 1
        in_vain = before - self.resident() < before * IN_VAIN
        self.next_look = self.clock() + max(LEAST_SECONDS, took * REST, IN_VAIN_SECONDS if in_vain else 0)
