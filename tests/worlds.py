"""A server, ours or a real one, with connections that see what comes without being asked for."""

import contextlib
from typing import Any

from wire import Wire


class World:
    """A server with connections; `other` is one that tracks nothing."""

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self.port = port
        self.exits = contextlib.ExitStack()
        self.other = self.wire(2)
        self.other("FLUSHALL")

    def wire(self, protocol: int = 3) -> Wire:
        return self.exits.enter_context(Wire(self.port, protocol))

    def told(self, wire: Wire) -> list[Any]:
        """What has come over a connection without being asked for."""
        for _ in range(2):
            self.other("PING")
        wire.send("PING")
        messages = []
        while (message := wire.read()) not in ("PONG", ["pong", ""]):
            messages.append(message)
        return messages

    def figure(self, name: str) -> int:
        lines = self.other("INFO all").split("\r\n")
        return next(int(line.partition(":")[2]) for line in lines if line.startswith(f"{name}:"))
