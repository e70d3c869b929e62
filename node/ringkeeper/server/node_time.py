"""What time it is for a node: Unix time that never jumps, whatever is done to the wall clock.

Keys expire by it. If it followed a wall clock that is set forward by an hour, every key with less than an hour to live
would go at once; set back, none would go for an hour. So the node asks the wall clock once, when it starts, and from
then on counts the time that passes, that in which the machine was suspended included. Where the wall clock says
something else, the node's time moves towards it by at most a tenth of the time that passes, and never backwards: a
duration is off by 10 % at most, and a step of an hour is made up for in ten.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import cython

if not cython.compiled:
    from ringkeeper.store.keyspace import Clock
else:
    from cython.cimports.ringkeeper.store.keyspace import Clock  # type: ignore[no-redef]

SLOWNESS = cython.declare(cython.longlong, 10)
"""A difference is made up for by one part in so many of the time that passes."""
STEP_NS = 1_000_000_000
"""A wall clock that differs by more from one look to the next was set; what is less is left to NTP."""


class Reading(NamedTuple):
    """Of three clocks, in nanoseconds, taken together."""

    monotonic: int
    """Stands still while the machine is suspended; the cheapest to read."""
    boot: int
    """As it, but goes on."""
    wall: int
    """Unix time, which may be set."""


def read_clocks() -> Reading:
    """What they say now. Whatever comes between two of them lets a suspension look shorter, never longer."""
    boot = time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
    return Reading(time.monotonic_ns(), boot, time.time_ns())


@cython.final
@cython.cclass
class NodeTime:
    """One a node: sets its clock. `look` is called several times a second; in between a monotonic clock is enough."""

    def __init__(self, clock: Clock, reading: Reading) -> None:
        self.clock = clock
        self.anchor = reading.monotonic
        """When the clocks were looked at last."""
        self.base = reading.wall
        """The node's time then."""
        self.difference = 0
        """How far the wall clock was ahead of the node's time then."""
        self.suspended = reading.boot - reading.monotonic
        self.wall_ahead = reading.wall - reading.boot
        """Of the clock that is never set; it changes where the wall clock is set."""
        self.advance(reading.monotonic)

    def at(self, monotonic: cython.longlong) -> cython.longlong:
        """The node's time when the monotonic clock says this, both in nanoseconds. Not before the last look."""
        elapsed: cython.longlong = max(monotonic - self.anchor, 0)
        made_up: cython.longlong = elapsed // SLOWNESS
        if self.difference < 0:
            return self.base + elapsed - min(made_up, -self.difference)
        return self.base + elapsed + min(made_up, self.difference)

    def advance(self, monotonic: cython.longlong) -> None:
        """Set the clock."""
        self.clock.now_ms = self.at(monotonic) // 1_000_000

    def look(self, reading: Reading) -> int:
        """Compare with the wall clock; by how many nanoseconds somebody has set it meanwhile, or 0."""
        now = self.at(reading.monotonic)
        suspended = reading.boot - reading.monotonic
        if suspended > self.suspended:
            now += suspended - self.suspended
            self.suspended = suspended
        ahead = reading.wall - reading.boot
        step = ahead - self.wall_ahead
        self.wall_ahead = ahead
        self.base, self.anchor, self.difference = now, reading.monotonic, reading.wall - now
        self.advance(reading.monotonic)
        return step if abs(step) > STEP_NS else 0
