"""What commands did, as bytes for the append-only file and for the replicas; and whose replies wait for either.

    commands, or a master's stream -> buffer -> the file's thread (`take`)
                                             -> the replicas' backlog (`give`)

The offset counts every byte that was ever told; annotations are the file's alone and do not count. Where replies wait,
a session notes the offset behind its last change (`awaited`), and sends nothing until the disk, and the replicas that
are asked for, have that (`durable`).
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cython

from ringkeeper.commands.propagation import GONE, TRANSLATIONS, propagated
from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.slot import SLOTS

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.resp.writer import clear, write_command
    from ringkeeper.store.slot import key_slot
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.resp.writer import clear, write_command  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.slot import key_slot  # type: ignore[no-redef]

if TYPE_CHECKING:
    from ringkeeper.store.keyspace import Change, Keyspace

NO_GROUP = cython.declare(cython.Py_ssize_t, -1)
PLAIN = cython.declare(cython.int, 1)
NOTHING = cython.declare(cython.int, 0)
MORE = cython.declare(cython.int, 2)
LARGE = cython.declare(cython.Py_ssize_t, 128 * 1024)
"""Bytes that should not wait for more: they are still in the processor's cache, and more would leave it."""
MOST_KEPT = cython.declare(cython.Py_ssize_t, 512 * 1024)
"""Bytes of memory that a spare buffer keeps."""
VERBATIM, VERBATIM_IF_SHORT, TRANSLATED = 0, 1, 2
"""How a command is told."""
FAILED: Any = object()
"""In place of the reply of a command that raised an error."""


def how_told(command: Command) -> int:
    """Whether a command that changed something is told as it was written: always, if it has two arguments, or not."""
    if command.name == "set":
        return VERBATIM_IF_SHORT
    return VERBATIM if command.write and command.name not in TRANSLATIONS else TRANSLATED


@cython.final
@cython.cclass
class Journal:
    """One a node."""

    def __init__(self, databases: list[Keyspace], changes: list[Change]) -> None:
        self.databases = databases
        self.changes = changes
        """What the keyspaces recorded: `Effects.changes`."""
        self.purged: list[tuple[int, bytes, list[bytes]]] = []
        """Fields that expired."""
        self.on = False
        """Commands are to be told."""
        self.filing = False
        """There is an append-only file."""
        self.feeding = False
        """There is a backlog for replicas."""
        self.following = False
        """What is told comes from a master, as bytes."""
        self.alone = True
        """Nobody else wants to know what the keyspaces recorded."""
        self.waits = False
        """Replies wait for the disk, or for replicas."""
        self.disk_waits = False
        self.replicas_wait = False
        self.offset = 1
        """Bytes told so far, and one: who awaits 0 awaits nothing."""
        self.written = 1
        """The offset behind the last change, which signs of life and questions to replicas may follow."""
        self.durable = 0
        """Bytes that nobody needs to wait for any more."""
        self.on_disk = 0
        """Bytes that are on the disk, or that need not be there before a reply."""
        self.acknowledged = 0
        """Bytes that so many replicas have as a reply waits for."""
        self.buffer = bytearray()
        """What the thread has not taken yet; whole commands, except amid a transaction."""
        self.spare: bytearray | None = None
        """Empty, with memory that the system need not find again."""
        self.given = 0
        """Bytes of it that the backlog has."""
        self.tap: Callable[[Arguments], object] | None = None
        """Hears every command that is told here, while slots are on their way to another shard."""
        self.feed: Callable[[bytes | bytearray], object] = lambda _: None
        """Takes whole commands for the replicas."""
        self.schedule_feed: Callable[[], object] = lambda: None
        """Called when there is something for them; again only after `give`."""
        self.feed_scheduled = False
        self.slots = array("q", bytes(8 * SLOTS))
        """Behind the last change of each slot, while replies wait for replicas."""
        self.floor = 0
        """What was here when this node became master: nobody knows which replicas have it."""
        self.held: list[Any] = []
        """Sessions that wait for `durable` to reach what they did."""
        self.schedule: Callable[[], object] = lambda: None
        """Called when the buffer has something; again only after `take`."""
        self.hurry: Callable[[], object] = lambda: None
        """Called when the buffer has become large."""
        self.scheduled = False
        self.database = -1
        """That of the last command; -1 if the next must name its own."""
        self.group = NO_GROUP
        """Where a transaction begins in the buffer."""
        self.grouped = 0
        """Commands in it."""

    def command(
        self, session: Any, context: Context, command: Command, args: Arguments, reply: Any, how: cython.int
    ) -> None:
        """Tell what a command did that has just run, of which the keyspaces have recorded something; `how` is that of
        `how_told`."""
        kind: cython.int = self._plain()
        if kind == NOTHING:
            return
        verbatim: cython.bint = how == 0 or (how == 1 and len(args) == 3)
        if reply is FAILED or type(reply) is ReplyError:
            self.states(context)
        elif verbatim and kind == PLAIN and not context.keyspace.has_spaces:
            self.append(context.database, args)
        else:
            for database, words in propagated(context, command, args, reply, self.changes, self.purged):
                self.append(database, words)
            self.purged.clear()
        if self.waits:
            session.awaited = self.offset

    def states(self, context: Context) -> None:
        """Tell what all changed keys hold: a command broke off amid its changes."""
        for database, key in dict.fromkeys((change[0], change[2]) for change in self.changes if change[3]):
            if key is None:
                continue
            keyspace = self.databases[database]
            value = keyspace.peek(key)
            self.append(database, [b"DEL", key])
            if value is not None:
                at = b"%d" % max(keyspace.expiry(key), 0)
                self.append(database, [b"RESTORE", key, at, context.serializer.dump(value), b"ABSTTL"])
        self.purged.clear()

    def own(self) -> None:
        """Tell what the node did by itself: keys that expired or were evicted, fields that expired."""
        for database, event, key, _ in self.changes:
            if event in GONE and key is not None:
                self.append(database, [b"DEL", key])
        for database, key, fields in self.purged:
            self.append(database, [b"HDEL", key, *fields])
        self.purged.clear()

    @cython.cfunc
    @cython.exceptval(-1)
    def _plain(self) -> cython.int:
        """Whether the changes are a command's alone, or nothing, or more than that."""
        found: cython.int = NOTHING
        if self.purged:
            return MORE
        change: tuple[int, str, bytes | None, bool]
        for change in self.changes:
            if change[3]:
                event: str = change[1]
                if event == "expired" or event == "evicted":
                    return MORE
                found = PLAIN
        return found

    def append(self, database: cython.int, args: Arguments) -> None:
        """A command, and in which database it is to be executed."""
        if self.tap is not None:
            self.tap(args)
            if not self.filing and not self.feeding:
                return
        length: cython.Py_ssize_t = self._select(database)
        write_command(self.buffer, args)
        self.grouped += 1
        self._written(length)

    def pass_on(self, database: cython.int, data: bytes | bytearray) -> None:
        """Whole commands that were executed in a database, as somebody else has written them."""
        if self.filing or self.feeding:
            length: cython.Py_ssize_t = self._select(database)
            self.buffer += data
            self._written(length)

    @cython.cfunc
    def _select(self, database: cython.int) -> cython.Py_ssize_t:
        """See to it that this is the database of what follows; the buffer's length before that."""
        length: cython.Py_ssize_t = len(self.buffer)
        if database != self.database:
            self.database = database
            write_command(self.buffer, [b"SELECT", b"%d" % database])
        return length

    @cython.cfunc
    def _written(self, length: cython.Py_ssize_t) -> cython.void:
        """Changes were put behind what was `length` bytes long."""
        size: cython.Py_ssize_t = len(self.buffer)
        self.offset += size - length
        self.written = self.offset
        self._announce(length, size)

    @cython.cfunc
    def _announce(self, length: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.void:
        """The buffer has grown."""
        if self.feeding and not self.feed_scheduled:
            self.feed_scheduled = True
            self.schedule_feed()
        if self.filing:
            if not self.scheduled:
                self.scheduled = True
                self.schedule()
            if size >= LARGE and length < LARGE:
                self.hurry()

    def tell(self, args: Arguments) -> None:
        """What is no change of a database: signs of life and questions to replicas."""
        length: cython.Py_ssize_t = len(self.buffer)
        write_command(self.buffer, args)
        self.offset += len(self.buffer) - length
        self._announce(length, len(self.buffer))

    def relay(self, data: bytes | bytearray, database: cython.int) -> None:
        """Whole commands of a master, behind which this is the stream's database."""
        length: cython.Py_ssize_t = len(self.buffer)
        self.buffer += data
        self.offset += len(data)
        self.database = database
        self._announce(length, len(self.buffer))

    # Transactions

    def begin(self) -> None:
        """What follows is to be found whole after a crash, or not at all."""
        self.group = len(self.buffer)
        self.grouped = 0

    def end(self, session: Any) -> None:
        if self.grouped > 1 and self.on:
            before: cython.Py_ssize_t = len(self.buffer)
            opening = bytearray()
            write_command(opening, [b"MULTI"])
            self.buffer[self.group : self.group] = opening
            write_command(self.buffer, [b"EXEC"])
            self.offset += len(self.buffer) - before
            self.written = self.offset
            if self.waits:
                session.awaited = self.offset
        self.group = NO_GROUP

    # Who is told. `Effects.update` puts it into force.

    def choose(self) -> None:
        """Commands are told if anybody wants to know, unless they come from a master as bytes."""
        self.on = (self.filing or self.feeding or self.tap is not None) and not self.following

    # The thread's side

    def take(self) -> bytearray:
        """All that has come since the last time."""
        if self.feeding:
            self.give()
        taken = self.buffer
        self.buffer = bytearray() if self.spare is None else self.spare
        self.spare = None
        self.given = 0
        self.scheduled = False
        return taken

    def give_back(self, buffer: bytearray) -> None:
        """What was taken, and is no longer needed."""
        if self.spare is None:
            clear(buffer, MOST_KEPT)
            self.spare = buffer

    def note(self, line: bytes) -> None:
        """Put in an annotation for the file, behind the last command."""
        if self.feeding:
            self.give()
        if self.filing:
            self.buffer += line
            self.given = len(self.buffer)

    def forget(self) -> None:
        """A file begins: the next command must name its database. Of a master's stream, the file alone is told it."""
        if not self.following:
            self.forget_database()
        elif self.filing and self.database > 0:
            opening = bytearray()
            write_command(opening, [b"SELECT", b"%d" % self.database])
            self.note(bytes(opening))

    def forget_database(self) -> None:
        """The next command must name its database; what comes from a master is told as it came."""
        if not self.following:
            self.database = -1

    # The replicas' side

    def give(self) -> None:
        """Feed the replicas all that has come since the last time."""
        self.feed_scheduled = False
        size: cython.Py_ssize_t = len(self.buffer)
        given: cython.Py_ssize_t = self.given
        if size == given:
            return
        if self.filing:
            self.given = size
            self.feed(self.buffer[given:])
        else:
            data = self.buffer[given:] if given else self.buffer
            self.buffer = bytearray()
            self.given = 0
            self.feed(data)

    # Who waits

    def reached(self, durable: int) -> None:
        """The disk has all up to this offset, or none of it need be there."""
        self.on_disk = durable
        self.let_go()

    def depend(self, session: Any, command: Command, args: Arguments) -> None:
        """A command has run: its reply waits for what it changed, and for what of others it may have seen."""
        slots = {key_slot(args[position]) for position in command.key_positions(args)}
        if self.changes and command.write:
            for slot in slots:
                self.slots[slot] = self.written
        if slots:
            seen = max(self.slots[slot] for slot in slots)
        elif command.write or "readonly" in command.flags:
            seen = self.written
        else:
            return
        session.awaited = max(session.awaited, seen, self.floor)

    def replicated(self, offset: int) -> None:
        """So many replicas as are asked for have all up to this offset."""
        self.acknowledged = offset
        self.let_go()

    def let_go(self) -> None:
        """Release who waited for what there is now. To be called when what replies wait for has changed as well."""
        self.waits = self.disk_waits or self.replicas_wait
        durable = self.on_disk if self.disk_waits else self.offset
        if self.replicas_wait:
            durable = min(durable, self.acknowledged)
        self.durable = durable
        held, self.held = self.held, []
        for session in held:
            session.release()
