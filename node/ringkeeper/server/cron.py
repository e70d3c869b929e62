"""What a node does by itself, every 100 ms or so: remove expired keys, free, close idle clients."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ringkeeper.store.keyspace import Keyspace

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

LOOKED_AT_ONCE = 200
"""Keys that one sweep looks at before the clock is read again."""
SLICE_NS = 1_000_000
"""Nanoseconds that expiry may take of a round, times `active-expire-effort`."""


class Cron:
    """Rounds at `hz`, by the loop's own timer."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.timer: asyncio.TimerHandle | None = None
        self.delay_seconds = 0.0
        """How much later than asked the last round began: how long the loop was busy with something else."""
        self.longest_delay_seconds = 0.0
        self.rounds = 0
        self.due = 0.0
        self.active_expiry = True
        """DEBUG SET-ACTIVE-EXPIRE."""
        self.operations = 0
        self.operations_per_second = 0
        self.sampled_at = 0.0

    def start(self) -> None:
        interval = 1 / self.node.config.number("hz")
        self.due = self.node.loop.time() + interval
        self.timer = self.node.loop.call_at(self.due, self.round)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def round(self) -> None:
        loop = self.node.loop
        self.delay_seconds = max(0.0, loop.time() - self.due)
        self.longest_delay_seconds = max(self.longest_delay_seconds, self.delay_seconds)
        self.node.clock.now_ms = time.time_ns() // 1_000_000
        self.rounds += 1
        self.node.peak_bytes = max(self.node.peak_bytes, self.node.used_bytes)
        if self.active_expiry and not self.node.clients.paused:
            self.expire()
        self.node.freeing.start()
        self.node.clients.close_slow()
        if loop.time() - self.sampled_at >= 1:
            self.every_second(loop.time())
        self.start()

    def every_second(self, now: float) -> None:
        processed = self.node.dispatcher.processed
        self.operations_per_second = round(max(0, processed - self.operations) / (now - self.sampled_at))
        self.operations = processed
        self.sampled_at = now
        self.node.clients.close_idle()

    def expire(self) -> None:
        """Sweep while sweeping pays: a slot group without a fourth of expired keys ends the round, as does the time."""
        begin = time.monotonic_ns()
        end = begin + SLICE_NS * self.node.config.number("active-expire-effort")
        for keyspace in self.node.databases:
            sweep_until(keyspace, end)
            if keyspace.expiring and time.monotonic_ns() < end:
                keyspace.sweep_fields(LOOKED_AT_ONCE)
        if self.node.effects.changes:
            self.node.effects.tell(None)
        self.node.latency.add("expire-cycle", self.node.clock.now_ms, time.monotonic_ns() - begin)


def sweep_until(keyspace: Keyspace, end: int) -> None:
    """One turn through the volatile keys at most, until the monotonic clock says `end` (nanoseconds)."""
    left = keyspace.volatile
    while left > 0 and keyspace.volatile and time.monotonic_ns() < end:
        expired = keyspace.expired
        looked = keyspace.sweep(LOOKED_AT_ONCE)
        left -= looked
        if looked == 0 or (keyspace.expired - expired) * 4 < looked:
            break
