"""From the words of a command to its reply: look it up, pass its gates, run it, note what it did.

Every command that this node knows has one `Entry`: the table's command, the gates that stand before it on this node,
as it is configured now, and its statistics. Gates are asked in order (`server/gates.py` says which and why); the first
that objects ends the command. What a write entails happens here, once, behind the function: no command remembers it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable
from time import monotonic_ns
from typing import TYPE_CHECKING

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import write

if TYPE_CHECKING:
    from ringkeeper.server.session import Session
    from ringkeeper.server.slowlog import SlowLog

log = logging.getLogger(__name__)

Gate = Callable[["Session", Command, Arguments], ReplyError | None]
Choice = Callable[[Command], tuple[Gate, ...]]
"""The gates of a command on this node, as it is configured at present."""

ERROR_KINDS = 128
"""Redis stops to count errors by code beyond this many codes, since a client can make them up."""


class Entry:
    """A command on this node. Times are nanoseconds, from the end of the command before to the reply's last byte."""

    __slots__ = ("calls", "command", "failed", "function", "gates", "nanoseconds", "rejected", "subentries")

    def __init__(self, command: Command) -> None:
        self.command = command
        self.function = command.function
        self.gates: tuple[Gate, ...] = ()
        self.subentries: dict[bytes, Entry] | None = None
        self.reset()

    def reset(self) -> None:
        self.calls = 0
        self.nanoseconds = 0
        self.rejected = 0
        """Refused by a gate."""
        self.failed = 0
        """Answered with an error by the command itself."""


class Dispatcher:
    """One a node. `mark` is when the previous command ended; a session sets it before a batch."""

    __slots__ = ("changed", "commands", "entries", "errors", "mark", "processed", "reported", "slow_log", "slower_than")

    def __init__(self, commands: dict[bytes, Command], slow_log: SlowLog, changed: Callable[[], None]) -> None:
        self.commands: dict[bytes, Entry] = {}
        """By lower-case name."""
        self.entries: dict[bytes, Entry] = {}
        """By the name as clients write it: lower and upper case; any other case takes the slow way."""
        for name, command in commands.items():
            entry = self.commands[name] = Entry(command)
            if command.subcommands:
                entry.subentries = {word: Entry(subcommand) for word, subcommand in command.subcommands.items()}
            self.entries[name] = self.entries[name.upper()] = entry
        self.changed = changed
        """Called behind every command that changed data."""
        self.slow_log = slow_log
        self.slower_than = -1
        """Nanoseconds from which a command is slow; negative means that none is."""
        self.mark = 0
        self.processed = 0
        self.errors: dict[str, int] = {}
        """Error replies by their code."""
        self.reported: set[tuple[str, int]] = set()
        """Where commands failed that should not: each place is logged once."""

    def all(self) -> Iterable[Entry]:
        for entry in self.commands.values():
            yield entry
            yield from (entry.subentries or {}).values()

    def choose_gates(self, choice: Choice) -> None:
        """Set every command's gates anew: at start, and when what they depend on has changed."""
        for entry in self.all():
            entry.gates = choice(entry.command)

    def reset_statistics(self) -> None:
        for entry in self.all():
            entry.reset()
        self.errors.clear()
        self.processed = 0

    def execute(self, session: Session, args: Arguments, out: bytearray) -> None:
        """Run one command (at least one word) and put its reply behind `out`, in the session's protocol."""
        entry = self.entries.get(args[0])
        if entry is None or entry.subentries is not None:
            try:
                entry = self.find(args)
            except ReplyError as error:
                self.refuse(session, error, out)
                return
        session.last_command = entry.command
        for gate in entry.gates:
            refusal = gate(session, entry.command, args)
            if refusal is not None:
                entry.rejected += 1
                self.refuse(session, refusal, out)
                return
        start = len(out)
        context = session.context
        keyspace = context.keyspace
        dirty = keyspace.dirty
        try:
            reply = entry.function(context, args)
            if type(reply) is ReplyError:
                entry.failed += 1
                self.count(reply)
            write(out, reply, session.protocol)
        except ReplyError as error:
            entry.failed += 1
            self.count(error)
            write(out, error, session.protocol)
        except Exception as error:
            del out[start:]
            entry.failed += 1
            write(out, self.internal_error(entry.command, error), session.protocol)
        if keyspace.dirty != dirty:
            self.changed()
        entry.calls += 1
        self.processed += 1
        now = monotonic_ns()
        spent = now - self.mark
        self.mark = now
        entry.nanoseconds += spent
        if 0 <= self.slower_than <= spent:
            self.slow_log.add(session, entry.command, args, spent // 1000)

    def find(self, args: Arguments) -> Entry:
        """The entry of a command written in any case, or of a container's subcommand; raises `ReplyError`."""
        entry = self.commands.get(args[0].lower())
        if entry is None:
            raise ReplyError(unknown_command(args))
        if entry.subentries is None or len(args) == 1:
            return entry
        subentry = entry.subentries.get(args[1].lower())
        if subentry is None:
            name = entry.command.name.upper()
            raise ReplyError(f"ERR unknown subcommand '{printable(args[1][:128])}'. Try {name} HELP.")
        return subentry

    def refuse(self, session: Session, error: ReplyError, out: bytearray) -> None:
        self.count(error)
        write(out, error, session.protocol)

    def count(self, error: ReplyError) -> None:
        code = error.code
        if code in self.errors or len(self.errors) < ERROR_KINDS:
            self.errors[code] = self.errors.get(code, 0) + 1

    def internal_error(self, command: Command, error: Exception) -> ReplyError:
        """A fault of ours, not of the client's: logged with its traceback the first time that it happens there."""
        frames = traceback.extract_tb(error.__traceback__)
        place = (frames[-1].filename, frames[-1].lineno or 0) if frames else (command.name, 0)
        if place not in self.reported:
            self.reported.add(place)
            log.error("The command %s failed unexpectedly; please report this", command.name, exc_info=error)
        reply = ReplyError(f"ERR internal error in '{command.name}' ({type(error).__name__}), see the server's log")
        self.count(reply)
        return reply


def unknown_command(args: Arguments) -> str:
    """Redis's text: the name, and what of the arguments fits 128 characters."""
    preview = ""
    for word in args[1:]:
        if len(preview) >= 128:
            break
        preview += f"'{printable(word[: 128 - len(preview)])}' "
    return f"ERR unknown command '{printable(args[0][:128])}', with args beginning with: {preview}"


def printable(word: bytes) -> str:
    """A client's bytes inside an error line: no line ends, and nothing behind a NUL, as C would print it."""
    text = word.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return text.replace("\r", " ").replace("\n", " ")
