"""Executes what the parts of an append-only file tell, in databases that follow (`Keyspace.follow`).

Commands are cut from the file by the compiled reader that cuts them from sockets. Where that meets anything but whole
commands, `aof.LogReader` looks at the same place again and says what is wrong.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import cython

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.persist.aof import LogReader, Torn, facts_of
from ringkeeper.persist.rdb import Damaged
from ringkeeper.persist.reader import Source
from ringkeeper.resp.values import ProtocolError, ReplyError

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.resp.reader import CommandReader
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.resp.reader import CommandReader  # type: ignore[no-redef]

WINDOW: Final = 1 << 18
"""Bytes that are read at once."""
ENDLESS: Final = 2**62
PASSED: Final = frozenset((b"ping", b"replconf", b"publish", b"spublish", b"function", b"script"))
"""What the stream to replicas holds that changes no key."""


@cython.final
@cython.cclass
class Replay:
    """Goes through a part, from a position on; the same `Context` serves all parts."""

    def __init__(
        self, source: Source, size: int, context: Context, table: dict[bytes, Command], start: int = 0
    ) -> None:
        self.source = source
        self.size = size
        self.context = context
        self.table = table
        self.functions: dict[bytes, Any] = {}
        """Of the commands met so far, by their names as they are written there, with how many words they may have."""
        self.reader = CommandReader()
        self.read = start
        """Bytes of the file that were read."""
        self.began = start
        """Where the command begins that was read last."""
        self.group: list[Arguments] | None = None
        """The commands of a transaction whose end has not come."""
        self.group_began = 0
        self.commands = 0
        self.facts: dict[str, str] = {}
        """What the last annotation of ours said."""
        self.facts_end = start
        """Where it ends."""

    @property
    def at(self) -> int:
        """What stands before it is whole and executed."""
        return int(self.read - self.reader.size())

    def some(self, count: cython.Py_ssize_t) -> bool:
        """Execute so many commands at most; False at the end. Raises `Torn` if the file ends amid a command or a
        transaction, of which nothing was executed, and `Damaged`. Both name the last whole command's end as `at`, or
        where the damage is."""
        for _ in range(count):
            self.began = self.read - self.reader.size()
            args: Arguments | None = self._next()
            if args is None:
                if self.group is not None:
                    raise Torn(self.group_began, "the file ends within a transaction")
                return False
            known = self.functions.get(args[0]) if self.group is None else None
            if known is None:
                self._take(args)
            else:
                self._run(known, args)
        return True

    @cython.cfunc
    def _next(self) -> Arguments | None:
        while True:
            try:
                args = self.reader.next()
            except ProtocolError as why:
                self._diagnose(str(why))
            if args is not None:
                return args
            if self.read == self.size:
                if self.began == self.size:
                    return None
                self._diagnose("the file ends amid a command")
            data = self.source.read_at(self.read, min(WINDOW, self.size - self.read))
            if not data:
                raise Torn(self.began, "the file has become shorter")
            self.read += len(data)
            self.reader.feed(data)

    def _diagnose(self, why: str) -> NoReturn:
        """Say what is wrong with the command that begins at `began`."""
        try:
            LogReader(self.source, self.size, self.began).next()
        except Torn as torn:
            raise Torn(self.began if self.group is None else self.group_began, torn.why) from None
        raise Damaged(self.began, why)

    def _take(self, args: Arguments) -> None:
        name = args[0].lower()
        if name.startswith(b"#"):
            facts = facts_of(args[0][1:])
            if facts:
                self.facts, self.facts_end = facts, self.at
        elif name == b"multi":
            self.group, self.group_began = [], self.began
        elif name == b"exec":
            group, self.group = self.group or [], None
            for each in group:
                self._execute(each)
        elif self.group is not None:
            self.group.append(args)
        else:
            self._execute(args)

    def _execute(self, args: Arguments) -> None:
        name = args[0].lower()
        if name == b"select":
            self._select(args)
            return
        known = self.functions.get(args[0])
        if known is None:
            if name in PASSED:
                return
            command = self.table.get(name)
            if command is None or not command.write:
                LogReader(self.source, self.size, self.began).next()  # raises if the file is damaged here
                raise Damaged(self.began, f"{name[:50]!r} is no command of this node that changes data")
            most = command.arity if command.arity > 0 else ENDLESS
            known = self.functions[args[0]] = (command.function, abs(command.arity), most, command.name)
        self._run(known, args)

    @cython.cfunc
    def _run(self, known: tuple[Any, int, int, str], args: Arguments) -> cython.void:
        """A command's function, the least and the most words that it takes, and its name."""
        self.commands += 1
        if not known[1] <= len(args) <= known[2]:
            raise Damaged(self.began, f"{known[3]} has {len(args) - 1} arguments")
        try:
            reply = known[0](self.context, args)
        except ReplyError as error:
            reply = error
        except MemoryError:
            raise
        except Exception as error:
            raise Damaged(self.began, f"{known[3]} cannot be executed ({type(error).__name__}: {error})") from error
        if type(reply) is ReplyError:
            raise Damaged(self.began, f"{known[3]} cannot be executed: {reply.text}")

    def _select(self, args: Arguments) -> None:
        number = args[1] if len(args) == 2 else b""
        databases = self.context.databases
        if not number.isdigit() or int(number) >= len(databases):
            raise Damaged(self.began, f"there is no database {number[:20]!r}: there are {len(databases)}")
        self.context.database = int(number)
        self.context.keyspace = databases[int(number)]
