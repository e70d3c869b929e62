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
from typing import TYPE_CHECKING, Any

import cython

from ringkeeper.commands.blocking import Blocked
from ringkeeper.commands.table import Arguments, Command, Reply
from ringkeeper.resp.values import Raw, ReplyError
from ringkeeper.server.journal import FAILED, how_told

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.resp.reader import remember
    from ringkeeper.resp.writer import write
    from ringkeeper.server.journal import Journal
    from ringkeeper.server.slot_counts import SlotCounts
else:
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING
    from cython.cimports.cpython.ref import Py_DECREF
    from cython.cimports.posix.time import CLOCK_MONOTONIC, clock_gettime, timespec
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.resp.reader import remember  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.resp.writer import Py_SET_SIZE, write  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.journal import Journal  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.slot_counts import SlotCounts  # type: ignore[no-redef]

if TYPE_CHECKING:
    from ringkeeper.server.session import Session
    from ringkeeper.store.keyspace import Change

log = logging.getLogger(__name__)

Gate = Callable[["Session", Command, Arguments], ReplyError | None]
Gates = tuple[Gate, ...]
Choice = Callable[[Command], tuple[Gates, Gates]]
"""The gates of a command on this node, as it is configured at present; and those for a restricted session."""

NO_MEMORY = ReplyError("OOM the system gave this node no memory for the command; free some, or lower maxmemory")
NOTHING = Raw(b"")
"""The reply of a command that will answer later."""
ENDLESS = 2**62
"""More words than any command has, and longer than any takes."""
ERROR_KINDS = 128
"""Redis stops to count errors by code beyond this many codes, since a client can make them up."""


DURATIONS = 3072
"""Counters of a histogram of durations: `server/latency.py` says which counts what."""


@cython.cfunc
@cython.exceptval(check=False)
def nanoseconds() -> cython.longlong:
    """Of `time.monotonic_ns`, without a Python integer."""
    if not cython.compiled:
        return monotonic_ns()
    now = cython.declare(timespec)
    clock_gettime(CLOCK_MONOTONIC, cython.address(now))
    return now.tv_sec * 1_000_000_000 + now.tv_nsec


@cython.cfunc
def empty(items: list[Change]) -> None:
    """As `items.clear()`, but the list keeps its memory: the next command fills it again."""
    if not cython.compiled:
        items.clear()
        return
    count: cython.Py_ssize_t = len(items)
    while count:
        count -= 1
        last: object = items[count]
        Py_SET_SIZE(items, count)
        Py_DECREF(last)


@cython.final
@cython.cclass
class Entry:
    """A command on this node. Times are nanoseconds, from the end of the command before to the reply's last byte."""

    command = cython.declare(object, visibility="readonly")
    function = cython.declare(object, visibility="public")
    gates = cython.declare(tuple, visibility="public")
    restricted_gates = cython.declare(tuple, visibility="public")
    subentries = cython.declare(object, visibility="public")
    least: cython.Py_ssize_t
    most: cython.Py_ssize_t
    blocking: cython.bint
    told: cython.int
    calls = cython.declare(cython.longlong, visibility="public")
    nanoseconds = cython.declare(cython.longlong, visibility="public")
    rejected = cython.declare(cython.longlong, visibility="public")
    failed = cython.declare(cython.longlong, visibility="public")
    counters: object
    durations: cython.p_longlong

    def __init__(self, command: Command) -> None:
        self.command = command
        self.function = command.function
        self.gates = ()
        self.restricted_gates = ()
        """For sessions to which not every command is open."""
        self.subentries = None
        self.blocking = "blocking" in command.flags
        self.told = how_told(command)
        self.least = abs(command.arity)
        self.most = command.arity if command.arity >= 0 else ENDLESS
        self.reset()

    def reset(self) -> None:
        self.calls = 0
        self.nanoseconds = 0
        self.rejected = 0
        """Refused before it ran."""
        self.failed = 0
        """Answered with an error by the command itself."""
        self.counters = None
        """Holds the memory of `durations`, from the first call on."""

    @cython.cfunc
    def took(self, spent: cython.longlong) -> cython.void:
        """Count a call by its duration; all that take longer than a second as one that takes a second."""
        if self.counters is None:
            if cython.compiled:
                self.counters = bytearray(DURATIONS * cython.sizeof(cython.longlong))
                self.durations = cython.cast(cython.p_longlong, PyByteArray_AS_STRING(self.counters))
            else:
                self.counters = self.durations = [0] * DURATIONS
        index: cython.int = 0
        if spent > 1_000_000_000:
            spent = 1_000_000_000
        while spent >= 256:
            spent >>= 1
            index += 128
        self.durations[index + spent] += 1

    def histogram(self) -> list[int]:
        """Calls by duration, to be read by `server/latency.py`; empty if none was counted."""
        return [] if self.counters is None else [self.durations[index] for index in range(DURATIONS)]

    def grouped(self, ends: tuple[int, ...]) -> list[int]:
        """The same by groups of counters, each up to one of these (without it), and the rest; O(counters), in C."""
        if self.counters is None:
            return [0] * (len(ends) + 1)
        groups = []
        index: cython.Py_ssize_t = 0
        end: cython.Py_ssize_t
        calls: cython.longlong
        for end in (*ends, DURATIONS):
            calls = 0
            while index < end:
                calls += self.durations[index]
                index += 1
            groups.append(calls)
        return groups


@cython.cfunc
def objection(session: Session, entry: Entry, args: Arguments, restricted: cython.bint) -> ReplyError | None:
    """What a gate says against a command, arity being the first; None if it may run."""
    count: cython.Py_ssize_t = len(args)
    if count < entry.least or count > entry.most:
        entry.rejected += 1
        return ReplyError(f"ERR wrong number of arguments for '{entry.command.name}' command")
    gates: tuple[Gate, ...] = entry.restricted_gates if restricted else entry.gates
    for gate in gates:
        refusal: ReplyError | None = gate(session, entry.command, args)
        if refusal is not None:
            entry.rejected += 1
            return refusal
    return None


@cython.final
@cython.cclass
class Dispatcher:
    """One a node. `mark` is when the previous command ended; a session sets it before a batch."""

    def __init__(self, commands: dict[bytes, Command]) -> None:
        self.commands: dict[bytes, Entry] = {}
        """By lower-case name."""
        self.entries: dict[bytes, Entry] = {}
        """By the name as clients write it: lower and upper case; any other case takes the slow way."""
        for name, command in commands.items():
            entry = self.commands[name] = Entry(command)
            if command.subcommands:
                entry.subentries = {word: Entry(subcommand) for word, subcommand in command.subcommands.items()}
            for word in (name, name.upper()):
                self.entries[word] = entry
                remember(word)
        self.on_slow: Any = None
        """Called with session, command, words and nanoseconds when a command took `slower_than` or longer."""
        self.slower_than = ENDLESS
        """Nanoseconds."""
        self.counts_durations = True
        self.mark = 0
        self.processed = 0
        self.turn_ends = 0
        """When, by the same clock, the session that executes has had its share of the loop."""
        self.last: Command | None = None
        """The command that runs, or ran last."""
        self.changes: list[Change] = []
        """What the keyspaces recorded: `Effects.changes`."""
        self.journal = Journal([], [])
        self.slot_counts = SlotCounts()
        self.effects: Any = None
        self.waiting: Any = None
        """The `WaitingRoom`."""
        self.transactions: Any = None
        self.permission: Any = None
        """The gate of the users' rules, for commands that run again."""
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
            entry.gates, entry.restricted_gates = choice(entry.command)

    def reset_statistics(self) -> None:
        for entry in self.all():
            entry.reset()
        self.errors.clear()
        self.processed = 0

    @property
    def turn_over(self) -> bool:
        return bool(self.mark > self.turn_ends)

    def end_turn(self) -> None:
        """Let the session that executes stop behind the present command."""
        self.turn_ends = 0

    def execute(
        self, session: Session, context: Context, args: Arguments, out: bytearray, restricted: cython.bint = False
    ) -> bool:
        """Run one command (at least one word) and put its reply behind `out`, in the session's protocol.

        Whether the session's turn is over.
        """
        entry: Entry | None = self.entries.get(args[0])
        if entry is None or entry.subentries is not None:
            try:
                entry = self.find(args)
            except ReplyError as error:
                self.refuse(session, error, out)
                return False
        self.last = entry.command
        refusal = objection(session, entry, args, restricted)
        if refusal is not None:
            self.refuse(session, refusal, out, entry.command.name)
            return False
        length: cython.Py_ssize_t = len(out)
        reply: object = FAILED
        try:
            reply = entry.function(context, args)
            if entry.blocking and type(reply) is Blocked:
                if session.executing:
                    write(out, reply.in_transaction, context.protocol)
                else:
                    self.waiting.enter(session, entry, args, reply)
                reply = NOTHING
            if type(reply) is ReplyError:
                entry.failed += 1
                self.count(reply)
            write(out, reply, context.protocol)
        except ReplyError as error:
            entry.failed += 1
            self.count(error)
            write(out, error, context.protocol)
        except MemoryError:
            del out[length:]
            entry.failed += 1
            write(out, self.out_of_memory(context, entry.command, args), context.protocol)
        except Exception as error:
            del out[length:]
            entry.failed += 1
            write(out, self.internal_error(entry.command, error), context.protocol)
        if self.changes:
            if self.journal.on:
                self.journal.command(session, context, entry.command, args, reply, entry.told)
            if self.journal.replicas_wait:
                self.journal.depend(session, entry.command, args)
            if self.journal.alone:
                empty(self.changes)
            else:
                self.effects.hand_on(session)
        elif self.journal.replicas_wait:
            self.journal.depend(session, entry.command, args)
        entry.calls += 1
        self.processed += 1
        now: cython.longlong = nanoseconds()
        spent: cython.longlong = now - self.mark
        self.mark = now
        entry.nanoseconds += spent
        if self.counts_durations:
            entry.took(spent)
        if spent >= self.slower_than:
            self.on_slow(session, entry.command, args, spent)
        return bool(now > self.turn_ends)

    def objection_to(self, session: Session, args: Arguments) -> ReplyError | None:
        """What there is against running a command now or, behind MULTI, later."""
        try:
            entry = self.find(args)
        except ReplyError as error:
            return error
        self.slot_counts.step = 0
        try:
            refusal: ReplyError | None = objection(session, entry, args, session.restricted)
        finally:
            self.slot_counts.step = 1
        if refusal is None and "no_multi" in entry.command.flags:
            return ReplyError("ERR Command not allowed inside a transaction")
        return refusal

    def run_again(self, session: Session, entry: Entry, args: Arguments) -> Reply:
        """The reply of a command that waited, or once more `Blocked`. What its user may do can have changed."""
        try:
            if session.restricted and (refusal := self.permission(session, entry.command, args)):
                raise refusal
            return entry.command.function(session.context, args)
        except ReplyError as error:
            entry.failed += 1
            self.count(error)
            return error

    def find(self, args: Arguments) -> Entry:
        """The entry of a command written in any case, or of a container's subcommand; raises `ReplyError`."""
        entry: Entry | None = self.commands.get(args[0].lower())
        if entry is None:
            raise ReplyError(unknown_command(args))
        if entry.subentries is None or len(args) == 1:
            return entry
        subentry: Entry | None = entry.subentries.get(args[1].lower())
        if subentry is None:
            name = entry.command.name.upper()
            raise ReplyError(f"ERR unknown subcommand '{printable(args[1][:128])}'. Try {name} HELP.")
        return subentry

    def refuse(self, session: Session, error: ReplyError, out: bytearray, name: str = "") -> None:
        """Answer a command that does not run. Behind MULTI that ends the transaction, and EXEC's answer says so."""
        if session.transaction is not None:
            session.transaction.aborted = True
        if name == "exec":
            error = self.transactions.abort(session, error)
        if error.code == "MOVED":
            session.sent_away(error.text)
        self.count(error)
        write(out, error, session.protocol)

    def count(self, error: ReplyError) -> None:
        code = error.code
        if code in self.errors or len(self.errors) < ERROR_KINDS:
            self.errors[code] = self.errors.get(code, 0) + 1

    def out_of_memory(self, context: Context, command: Command, args: Arguments) -> ReplyError:
        """The system gave no memory. A key is then as it was before; a collection may have taken some of the elements,
        and is counted anew."""
        for position in command.key_positions(args):
            context.keyspace.recount(args[position])
        self.count(NO_MEMORY)
        return NO_MEMORY

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
    """Redis's text: the name, and what of the arguments fits 128 bytes."""
    preview = b""
    for word in args[1:]:
        if len(preview) >= 128:
            break
        preview += b"'%b' " % word[: 128 - len(preview)].partition(b"\0")[0]
    return f"ERR unknown command '{printable(args[0][:128])}', with args beginning with: {printable(preview)}"


def printable(word: bytes) -> str:
    """A client's bytes inside an error line: no line ends, and nothing behind a NUL, as C would print it."""
    text = word.partition(b"\0")[0].decode("utf-8", "surrogateescape")
    return text.replace("\r", " ").replace("\n", " ")
