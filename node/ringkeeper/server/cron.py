"""What a node does by itself, every 100 ms or so: remove expired keys, free, look at its clients."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ringkeeper.server.rates import Rates

if TYPE_CHECKING:
    from ringkeeper.server.node import Node


class Cron:
    """Rounds at `hz`, by the loop's own timer."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.timer: asyncio.TimerHandle | None = None
        self.rounds = 0
        self.paused = False
        """DEBUG PAUSE-CRON: the clock is all that goes on."""
        self.rates = Rates()

    def start(self) -> None:
        interval = 1 / self.node.config.number("hz")
        self.timer = self.node.loop.call_later(interval, self.round)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def round(self) -> None:
        """The next one is arranged first: it comes even where this one breaks off, as when memory is short."""
        self.start()
        loop = self.node.loop
        self.node.look_at_clocks()
        if self.paused or self.node.recovery.loading:
            return
        self.rounds += 1
        self.node.peak_bytes = max(self.node.peak_bytes, self.node.used_bytes)
        self.node.expiry.begin()
        self.node.evictor.overhead = self.node.upkeep.queue_bytes + self.node.survey.buffered
        self.node.upkeep.start()
        self.node.snapshots.round()
        self.node.append_only.round()
        self.node.replication.round()
        self.node.clients.close_slow()
        self.node.survey.round(self.node.config.number("hz"))
        if loop.time() - self.rates.sampled_at >= 1:
            self.rates.sample(loop.time(), self.node.totals())
            self.node.slot_rates.sample(time.monotonic())
            self.node.trimming.round(self.node.used_bytes)
