"""Executes a master's stream in databases that follow (`Keyspace.follow`), command by command.

The stream's bytes are kept until what they say is done: then they are told to this node's own replicas and to its file
as they came. A transaction is executed when its end has come, and counts as done only then. The feed of slots that move
here is such a stream as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import cython

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.values import ProtocolError, ReplyError

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.resp.reader import CommandReader
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.resp.reader import CommandReader  # type: ignore[no-redef]

PASSED = frozenset((b"ping", b"function", b"script"))
"""What a master may say that changes no key here."""
LONGEST_WORD = 512 * 1024 * 1024


class Diverged(Exception):
    """The stream cannot be applied to the data that is here; the text says why."""


@cython.final
@cython.cclass
class Applier:
    """One a connection to a master. `changes` is what the keyspaces record; `settle` is called with what one command,
    or a whole transaction, left there; `asked` when the master wants to know the offset. `own` are commands of the
    stream that are for this node alone, and are not among the bytes that are taken."""

    context = cython.declare(object, visibility="readonly")
    table: dict[bytes, Command]
    changes: list[Any]
    settle: Any
    asked: Any
    own: dict[bytes, Any]
    functions: dict[bytes, Any]
    reader: CommandReader
    fresh: Any
    kept: Any
    cut: cython.Py_ssize_t
    fed: cython.longlong
    given: cython.longlong
    done: cython.longlong
    left_out: list[tuple[int, int]]
    group: list[Arguments] | None
    commands = cython.declare(cython.longlong, visibility="readonly")

    def __init__(
        self,
        context: Context,
        table: dict[bytes, Command],
        changes: list[Any],
        settle: Callable[[], object],
        asked: Callable[[], object],
        own: Mapping[bytes, Callable[[Arguments], object]] | None = None,
    ) -> None:
        self.context = context
        self.table = table
        self.changes = changes
        self.settle = settle
        self.asked = asked
        self.own = dict(own or {})
        self.functions = {}
        """Of the commands met so far, by their names as they are written there."""
        self.reader = CommandReader()
        self.reader.proto_max_bulk_len = LONGEST_WORD
        self.reader.most_kept = LONGEST_WORD
        self.fresh = deque[bytes]()
        """What was fed and the reader does not have yet."""
        self.kept = deque[bytes]()
        """What the reader was given and has not been taken; of the first, not what is before `cut`."""
        self.cut = 0
        self.fed = 0
        self.given = 0
        """Bytes, to the reader."""
        self.done = 0
        """Bytes up to which all is executed, of those that were fed."""
        self.left_out = []
        """Where in them commands of `own` begin and end that have not been passed by `take`."""
        self.group = None
        """The commands of a transaction whose end has not come."""
        self.commands = 0

    @property
    def waiting(self) -> int:
        """Bytes that were fed and not executed."""
        return int(self.fed - self.done)

    def feed(self, data: bytes) -> None:
        self.fresh.append(data)
        self.fed += len(data)

    def some(self, count: cython.Py_ssize_t) -> bool:
        """Execute so many commands at most; whether there may be more. Raises `Diverged`."""
        for _ in range(count):
            args: Arguments | None = self._next()
            if args is None:
                return False
            known = self.functions.get(args[0])
            if known is not None and self.group is None:
                self._run(known, args)
                if self.changes:
                    self.settle()
            else:
                self._take(args)
            if self.group is None:
                self.done = self.given - self.reader.buffered
        return True

    @cython.cfunc
    def _next(self) -> Any:
        """The next command, or None until more has come."""
        while True:
            try:
                args = self.reader.next()
            except ProtocolError as why:
                raise Diverged(f"the stream cannot be read: {why}") from None
            if args is not None or not self.fresh:
                return args
            data: bytes = self.fresh.popleft()
            self.reader.feed(data)
            self.kept.append(data)
            self.given += len(data)

    def take(self) -> bytes:
        """The bytes of all that was executed since the last time."""
        if not self.kept:
            return b""
        at: cython.longlong = self.given + self.cut - sum(map(len, self.kept))  # where in the stream they begin
        parts: list[Any] = []
        for start, end in self.left_out:
            self._take_until(at, start, parts)
            self._take_until(start, end, None)
            at = end
        self._take_until(at, self.done, parts)
        self.left_out.clear()
        return parts[0] if len(parts) == 1 and type(parts[0]) is bytes else b"".join(parts)

    @cython.cfunc
    def _take_until(self, at: cython.longlong, end: cython.longlong, parts: list[Any] | None) -> cython.void:
        """Move what is kept from here in the stream to there into `parts`, or let go of it."""
        while at < end:
            data: bytes = self.kept[0]
            stop: cython.Py_ssize_t = min(len(data), self.cut + end - at)
            if parts is not None:
                parts.append(data if stop - self.cut == len(data) else memoryview(data)[self.cut : stop])
            at += stop - self.cut
            self.cut = stop
            if stop == len(data):
                self.kept.popleft()
                self.cut = 0

    def _take(self, args: Arguments) -> None:
        name = args[0].lower()
        if name == b"multi":
            self.group = []
        elif name == b"exec":
            group, self.group = self.group or [], None
            for each in group:
                self._execute(each[0].lower(), each)
            if self.changes:
                self.settle()
        elif self.group is not None:
            self.group.append(args)
        elif args[0] in self.own:
            self.own[args[0]](args)
            self.left_out.append((self.done, self.given - self.reader.buffered))
        else:
            self._execute(name, args)
            if self.changes:
                self.settle()

    def _execute(self, name: bytes, args: Arguments) -> None:
        if name == b"select":
            self._select(args)
        elif name == b"replconf":
            if len(args) > 1 and args[1].lower() == b"getack":
                self.asked()
        elif name in (b"publish", b"spublish") and len(args) == 3:
            self.context.pubsub.receive("channel" if name == b"publish" else "shard", args[1], args[2])
        elif name not in PASSED:
            known = self.functions.get(args[0])
            if known is None:
                command = self.table.get(name)
                if command is None or not command.write:
                    raise Diverged(
                        f"there is {printable(name)} in the stream, which is no command of this node that changes data"
                    )
                known = self.functions[args[0]] = (command.function, command.name)
            self._run(known, args)

    @cython.cfunc
    def _run(self, known: tuple[Any, str], args: Arguments) -> object:
        """A command's function and its name."""
        self.commands += 1
        reply: object
        try:
            reply = known[0](self.context, args)
        except ReplyError as error:
            reply = error
        except MemoryError:
            raise
        except Exception as error:
            raise Diverged(f"{known[1]} cannot be executed ({type(error).__name__}: {error})") from error
        if type(reply) is ReplyError:
            raise Diverged(f"{known[1]} cannot be executed: {reply.text}")
        return reply

    def _select(self, args: Arguments) -> None:
        number = args[1] if len(args) == 2 else b""
        databases = self.context.databases
        if not number.isdigit() or int(number) >= len(databases):
            raise Diverged(
                f"the master's stream selects database {printable(number)}, and there are {len(databases)} here"
            )
        self.context.database = int(number)
        self.context.keyspace = databases[int(number)]


def printable(word: bytes) -> str:
    return word[:50].decode("utf-8", "backslashreplace")
