"""What stalled the node, by event: the samples that LATENCY shows. Events and limits are Redis's own.

command, fast-command    a command that took `latency-monitor-threshold` or longer
expire-cycle             a round of removing expired keys
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

KEPT_SAMPLES = 160


class Event:
    """One sample a second at most: the longest of it. Implements `commands.context.LatencyEvent`."""

    def __init__(self) -> None:
        self.samples: deque[tuple[int, int]] = deque(maxlen=KEPT_SAMPLES)
        """Unix seconds and milliseconds, the oldest first."""
        self.longest = 0
        """Milliseconds, since the event was reset."""

    def add(self, unix_seconds: int, milliseconds: int) -> None:
        self.longest = max(self.longest, milliseconds)
        if self.samples and self.samples[-1][0] == unix_seconds:
            milliseconds = max(milliseconds, self.samples.pop()[1])
        self.samples.append((unix_seconds, milliseconds))


class LatencyMonitor:
    """One a node; off while `threshold` is 0."""

    def __init__(self) -> None:
        self.threshold = 0
        """Milliseconds."""
        self.events: dict[str, Event] = {}

    def add(self, event: str, unix_ms: int, nanoseconds: int) -> None:
        milliseconds = nanoseconds // 1_000_000
        if 0 < self.threshold <= milliseconds:
            self.events.setdefault(event, Event()).add(unix_ms // 1000, milliseconds)

    # What commands see

    def all(self) -> Mapping[str, Event]:
        return self.events

    def reset(self, names: Iterable[str]) -> int:
        """Forget these events, or all; how many there were."""
        return sum(self.events.pop(name, None) is not None for name in list(names) or list(self.events))
