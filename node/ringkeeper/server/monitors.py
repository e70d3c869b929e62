"""MONITOR: every command that was executed, shown to those who asked; what administers the node is not.

While somebody monitors, each command's function is one that shows it when it is done: queued commands therefore come
with their EXEC and before it, and refused ones never. While nobody does, nothing of this is there.

Source: https://redis.io/docs/latest/commands/monitor/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from ringkeeper.commands.context import Context
from ringkeeper.commands.table import Arguments, Command, Function, Reply
from ringkeeper.resp.values import Simple
from ringkeeper.server.redaction import redacted
from ringkeeper.server.session import Session

if TYPE_CHECKING:
    from ringkeeper.server.dispatch import Dispatcher

ESCAPES = {0x5C: "\\\\", 0x22: '\\"', 0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x07: "\\a", 0x08: "\\b"}
UNMONITORED = frozenset({"admin", "skip_monitor"})


class Monitors:
    """One a node."""

    def __init__(self, dispatcher: Dispatcher, sessions: dict[Session, None]) -> None:
        self.dispatcher = dispatcher
        self.sessions = sessions
        """Those that monitor."""

    def update(self) -> None:
        """To be called when a session begins or ends to monitor."""
        for entry in self.dispatcher.all():
            command = entry.command
            shown = self.sessions and not command.flags & UNMONITORED
            entry.function = self.showing(command) if shown else command.function

    def showing(self, command: Command) -> Function:
        def run(context: Context, args: Arguments) -> Reply:
            try:
                return command.function(context, args)
            finally:
                self.show(context, command, args)

        return run

    def show(self, context: Context, command: Command, args: Arguments) -> None:
        now_us = context.node.now_us()
        author = cast(Session, context.client)
        line = f"{now_us // 1_000_000}.{now_us % 1_000_000:06} [{context.database} {author.address}]"
        shown = Simple(" ".join([line, *map(quoted, redacted(command, args))]).encode())
        for session in self.sessions:
            session.deliver(shown)


def quoted(word: bytes) -> str:
    """What is not printable, a quote or a backslash escaped (Redis's `sdscatrepr`)."""
    shown = "".join(ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in word)
    return f'"{shown}"'
