"""Removing keys whose time has come and that nobody asks for: in slices of a millisecond, a bounded share of the time.

A round of the node's background work begins a turn through all slots, unless one is under way. A slice sweeps for
`SLICE_NS`; if the turn has not come round by then, the next slice follows after a pause, such that expiry has its share
of the time: a tenth, more with a higher `active-expire-effort`, and half while the node has little else to do. So the
more keys are due, the more of the share is used, and no more than that even if millions are due in one second. Slots in
which nothing can be due cost next to nothing (`store/table.py`), so a turn in which nothing is due takes microseconds.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ringkeeper.store.keyspace import Keyspace

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

LOOKED_AT_ONCE = 200
"""Keys that one sweep looks at, about, before the clock is read again."""
SLICE_NS = 1_000_000
SHARE = 0.10
"""Of the time, at `active-expire-effort` 1; each further step adds `SHARE_PER_EFFORT`."""
SHARE_PER_EFFORT = 0.04
IDLE_SHARE = 0.5
IDLE = 0.25
"""A node is idle if it used less than this part of the time for all else since the last slice."""


class Expiry:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.timer: asyncio.TimerHandle | None = None
        self.active = True
        """DEBUG SET-ACTIVE-EXPIRE."""
        self.left: list[list[Any]] = []
        """The databases that this turn has still to go through, and at how many keys of each it may still look."""
        self.spent_ns = 0
        """In all slices."""
        self.timeouts = 0
        """Slices that ended before the turn did."""
        self.stale_fraction = 0.0
        """Of the keys with an expiry, how many are past it; a moving average over what the sweeps met."""
        self.ended_ns = 0
        self.ended_cpu_ns = 0
        """The clock and the thread's processor time when the last slice ended."""

    @property
    def may_run(self) -> bool:
        following = self.node.effects.journal.following
        held = self.node.clients.traffic.paused or self.node.cron.paused
        return self.active and not following and not held

    def begin(self) -> None:
        """Begin a turn, unless one is under way."""
        if self.timer is None and self.may_run:
            self.left = [[each, each.volatile] for each in self.node.databases if each.volatile or each.expiring]
            if self.left:
                self.slice()

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def slice(self) -> None:
        self.timer = None
        if not self.may_run:
            return
        begin = time.monotonic_ns()
        share = self.share(begin)
        self.node.time.advance(begin)
        self.sweep(begin + SLICE_NS)
        if self.node.effects.changes:
            self.node.effects.tell(None)
        self.ended_ns, self.ended_cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        spent = self.ended_ns - begin
        self.spent_ns += spent
        self.node.latency.add("expire-cycle", self.node.clock.now_ms, spent)
        if self.left:
            self.timeouts += 1
            self.timer = self.node.loop.call_later(spent * (1 - share) / share / 1e9, self.slice)

    def share(self, now: int) -> float:
        """What part of the time expiry may have now."""
        elapsed = now - self.ended_ns
        busy = time.thread_time_ns() - self.ended_cpu_ns
        if busy < IDLE * elapsed:
            return IDLE_SHARE
        return SHARE + SHARE_PER_EFFORT * (self.node.config.number("active-expire-effort") - 1)

    def sweep(self, end: int) -> None:
        """Go on with the turn until it is complete or the monotonic clock says `end` (nanoseconds)."""
        looked = expired = 0
        while self.left and time.monotonic_ns() < end:
            keyspace: Keyspace = self.left[-1][0]
            before = keyspace.expired
            found = keyspace.sweep(LOOKED_AT_ONCE)
            looked += found
            expired += keyspace.expired - before
            if keyspace.expiring:
                keyspace.sweep_fields(LOOKED_AT_ONCE)
            self.left[-1][1] -= found
            if found < LOOKED_AT_ONCE or self.left[-1][1] <= 0:
                self.left.pop()
        if looked:
            self.stale_fraction += (expired / looked - self.stale_fraction) / 20
