"""What a node does by itself, every 100 ms or so: remove expired keys, free, look at its clients."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ringkeeper.server.rates import Rates
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
        self.rounds = 0
        self.active_expiry = True
        """DEBUG SET-ACTIVE-EXPIRE."""
        self.paused = False
        """DEBUG PAUSE-CRON: the clock is all that goes on."""
        self.rates = Rates()
        self.expire_ns = 0
        """Spent on expiry in all rounds."""
        self.expire_timeouts = 0
        """Rounds in which expiry used up its time."""
        self.stale_fraction = 0.0
        """Of the keys with an expiry, how many are past it; a moving average over what the sweeps met."""

    def start(self) -> None:
        interval = 1 / self.node.config.number("hz")
        self.timer = self.node.loop.call_later(interval, self.round)

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def round(self) -> None:
        loop = self.node.loop
        self.node.clock.now_ms = time.time_ns() // 1_000_000
        if self.paused:
            self.start()
            return
        self.rounds += 1
        self.node.peak_bytes = max(self.node.peak_bytes, self.node.used_bytes)
        if self.active_expiry and not self.node.clients.traffic.paused:
            self.expire()
        self.node.upkeep.start()
        self.node.clients.close_slow()
        self.node.survey.round(self.node.config.number("hz"))
        if loop.time() - self.rates.sampled_at >= 1:
            self.rates.sample(loop.time(), self.node.totals())
        self.start()

    def expire(self) -> None:
        """Sweep while sweeping pays: a slot group without a fourth of expired keys ends the round, as does the time."""
        begin = time.monotonic_ns()
        end = begin + SLICE_NS * self.node.config.number("active-expire-effort")
        looked = expired = 0
        for keyspace in self.node.databases:
            before = keyspace.expired
            looked += sweep_until(keyspace, end)
            expired += keyspace.expired - before
            if keyspace.expiring and time.monotonic_ns() < end:
                keyspace.sweep_fields(LOOKED_AT_ONCE)
        if self.node.effects.changes:
            self.node.effects.tell(None)
        spent = time.monotonic_ns() - begin
        self.expire_ns += spent
        self.expire_timeouts += begin + spent >= end
        if looked:
            self.stale_fraction += (expired / looked - self.stale_fraction) / 20
        self.node.latency.add("expire-cycle", self.node.clock.now_ms, spent)


def sweep_until(keyspace: Keyspace, end: int) -> int:
    """One turn through the volatile keys at most, until the monotonic clock says `end` (nanoseconds).

    How many keys it looked at.
    """
    total = 0
    left = keyspace.volatile
    while left > 0 and keyspace.volatile and time.monotonic_ns() < end:
        expired = keyspace.expired
        looked = keyspace.sweep(LOOKED_AT_ONCE)
        total += looked
        left -= looked
        if looked == 0 or (keyspace.expired - expired) * 4 < looked:
            break
    return total
