"""What is lost with the end of a stream that nobody else has: a master that came back counts it before it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ringkeeper.resp.reader import CommandReader
from ringkeeper.resp.values import ProtocolError

SAMPLES = 10
LONGEST_KEY = 100
NO_CHANGES = frozenset((b"PING", b"REPLCONF", b"SELECT", b"MULTI", b"EXEC"))


@dataclass(frozen=True, slots=True)
class Lost:
    """`writes` is -1 where the bytes are no more there to be counted."""

    term: int
    bytes: int
    writes: int = -1
    keys: tuple[str, ...] = ()
    """Some of those that were changed."""

    def encode(self) -> dict[str, Any]:
        """As JSON values."""
        return {"term": self.term, "bytes": self.bytes, "writes": self.writes, "keys": list(self.keys)}

    def __str__(self) -> str:
        count = f"{self.writes} commands, " if self.writes >= 0 else ""
        return f"{count}{self.bytes} bytes; keys such as {', '.join(self.keys) or '(unknown)'}"


def lost_in(stream: bytes | None, term: int, size: int) -> Lost:
    """What a piece of the stream says, which begins at a command; None if it is no more there. `size` is its bytes."""
    if stream is None:
        return Lost(term, size)
    reader = CommandReader()
    reader.feed(stream)
    writes = 0
    keys: dict[str, None] = {}
    try:
        while (args := reader.next()) is not None:
            if args[0].upper() in NO_CHANGES:
                continue
            writes += 1
            if len(keys) < SAMPLES and len(args) > 1:
                keys[args[1][:LONGEST_KEY].decode("utf-8", "backslashreplace")] = None
    except ProtocolError:
        return Lost(term, size)
    return Lost(term, size, writes, tuple(keys))
