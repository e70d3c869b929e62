"""The time that the store goes by: set from outside, once per batch of commands, so that the store stays pure."""


class Clock:
    """Unix time in milliseconds, as last set. Shared by every database of a node."""

    __slots__ = ("now_ms",)

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms
