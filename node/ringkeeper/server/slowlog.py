"""SLOWLOG: the commands that took longest lately. Limits on what is kept of a command are Redis's own."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.server.redaction import redacted

if TYPE_CHECKING:
    from ringkeeper.server.session import Session

KEPT_ARGUMENTS = 32
KEPT_BYTES = 128


@dataclass(frozen=True, slots=True)
class SlowCommand:
    id: int
    unix_seconds: int
    microseconds: int
    args: list[bytes]
    address: str
    client_name: bytes


class SlowLog:
    """The last `max_length` slow commands, newest first."""

    def __init__(self, max_length: int = 128) -> None:
        self.slower_than = -1
        """Microseconds from which a command is slow; negative means that none is."""
        self.next_id = 0
        self.entries: deque[SlowCommand] = deque(maxlen=max_length)

    def resize(self, max_length: int) -> None:
        if max_length != self.entries.maxlen:
            self.entries = deque(list(self.entries)[:max_length], maxlen=max_length)

    def add(self, session: Session, command: Command, args: Arguments, microseconds: int) -> None:
        if not 0 <= self.slower_than <= microseconds or "skip_slowlog" in command.flags:
            return
        seconds = session.context.keyspace.clock.now_ms // 1000
        words = shortened(redacted(command, args))
        entry = SlowCommand(self.next_id, seconds, microseconds, words, session.address, session.name)
        self.entries.appendleft(entry)
        self.next_id += 1


def shortened(args: Arguments) -> list[bytes]:
    kept = args if len(args) <= KEPT_ARGUMENTS else args[: KEPT_ARGUMENTS - 1]
    words = [
        word if len(word) <= KEPT_BYTES else b"%b... (%d more bytes)" % (word[:KEPT_BYTES], len(word) - KEPT_BYTES)
        for word in kept
    ]
    if kept is not args:
        words.append(b"... (%d more arguments)" % (len(args) - KEPT_ARGUMENTS + 1))
    return words
