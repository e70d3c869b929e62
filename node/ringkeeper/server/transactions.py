"""MULTI, EXEC, DISCARD, WATCH and UNWATCH: queued commands run together, or not at all.

Source: https://redis.io/docs/latest/develop/using-commands/transactions/ and the commands' own pages.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import TYPE_CHECKING, cast

from ringkeeper.commands.context import Client
from ringkeeper.commands.table import Arguments, Command, Reply
from ringkeeper.resp.values import NULL_ARRAY, OK, Raw, ReplyError
from ringkeeper.server.gates import CROSS_SLOT
from ringkeeper.server.session import Session
from ringkeeper.store.keyspace import Keyspace
from ringkeeper.store.slot import key_slot

if TYPE_CHECKING:
    from ringkeeper.server.dispatch import Dispatcher
    from ringkeeper.server.effects import Effects

Place = tuple[int, bytes]
"""A key's database and the key."""

WORD_OVERHEAD, COMMAND_OVERHEAD = 41, 64
"""Bytes of an object's header and its place in a list; without them a queue of tiny words would seem to be small."""
ELSEWHERE = frozenset(("MOVED", "CLUSTERDOWN"))
"""Where it could run elsewhere, or later, that is what clients look for in the first word."""
ABORTED = ReplyError("EXECABORT Transaction discarded because of previous errors.")


class Transaction:
    """What a session has queued since MULTI."""

    __slots__ = ("aborted", "growing", "judged", "queue", "sent_away", "size", "slot")

    def __init__(self) -> None:
        self.queue: list[Arguments] = []
        self.growing: list[tuple[Command, Arguments]] = []
        """Those that may need memory: EXEC asks for them all whether there is room."""
        self.size = 0
        """Bytes of the words in the queue, with what the objects around them take."""
        self.aborted = False
        """A command was refused while it was queued: EXEC will run none."""
        self.slot: int | None = None
        """That of its first key, which all others share."""
        self.judged: Command | None = None
        """The command by which it is judged whether this node may run it all: one that writes, else one that reads."""
        self.sent_away: dict[int, ReplyError] = {}
        """By slot, what the first command that was refused for its slot was told."""

    def add(self, command: Command, args: Arguments) -> None:
        self.queue.append(args)
        if command.denyoom:
            self.growing.append((command, args))
        if self.slot is None and (positions := command.key_positions(args)):
            self.slot = key_slot(args[positions[0]])
        touches_data = command.write or "readonly" in command.flags or self.slot is not None
        if touches_data and (self.judged is None or (command.write and not self.judged.write)):
            self.judged = command
        self.size += sum(map(len, args)) + WORD_OVERHEAD * len(args) + COMMAND_OVERHEAD

    def told(self, refusal: ReplyError, command: Command, args: Arguments) -> ReplyError:
        """What the client is told of a slot that is served elsewhere, or by nobody at present (`ELSEWHERE`).

        That is the same for all commands, although the topology may change between two of them: ioredis for one sends
        a transaction elsewhere only if all that were refused were told the same.
        """
        positions = command.key_positions(args)
        return self.sent_away.setdefault(key_slot(args[positions[0]]), refusal) if positions else refusal


class Transactions:
    """One a node; implements `commands.context.Transactions` and `effects.Listener`."""

    def __init__(self, databases: list[Keyspace], dispatcher: Dispatcher, effects: Effects) -> None:
        self.databases = databases
        self.dispatcher = dispatcher
        self.effects = effects
        self.watchers: dict[Place, set[Session]] = {}
        self.watching: set[Session] = set()
        self.cluster_enabled = False
        self.run_one: Callable[[Session, Arguments, bytearray], bool] = self.run_plainly
        """Runs a queued command, in the session's modes."""

    def run_plainly(self, session: Session, args: Arguments, out: bytearray) -> bool:
        return bool(self.dispatcher.execute(session, session.context, args, out))

    # Queueing

    def begin(self, client: Client) -> Reply:
        session = cast(Session, client)
        if session.transaction is not None:
            raise ReplyError("ERR MULTI calls can not be nested")
        session.transaction = Transaction()
        session.update_mode()
        return OK

    def discard(self, client: Client) -> Reply:
        session = cast(Session, client)
        if session.transaction is None:
            raise ReplyError("ERR DISCARD without MULTI")
        self.end(session)
        return OK

    def end(self, session: Session) -> None:
        session.transaction = None
        session.update_mode()
        self.forget(session)

    def abort(self, session: Session, error: ReplyError) -> ReplyError:
        """EXEC itself is refused: the transaction is over, and this is what its client is told."""
        self.end(session)
        if error.code in ELSEWHERE:
            return error
        return ReplyError(f"EXECABORT Transaction discarded because of: {error.text.removeprefix('ERR ')}")

    def execute(self, client: Client) -> Reply:
        session = cast(Session, client)
        transaction = session.transaction
        if transaction is None:
            raise ReplyError("ERR EXEC without MULTI")
        self.meet_expired(session)
        touched = session.watch_touched
        self.end(session)
        if self.cluster_enabled and self.spans_slots(transaction.queue):
            raise CROSS_SLOT
        if transaction.aborted:
            raise ABORTED
        if touched:
            return NULL_ARRAY
        return self.run(session, transaction.queue)

    def run(self, session: Session, queue: list[Arguments]) -> Raw:
        out = bytearray(b"*%d\r\n" % len(queue))
        began = self.dispatcher.mark
        session.executing = True
        self.effects.held += 1
        journal = self.effects.journal
        journal.begin()
        try:
            for args in queue:
                self.run_one(session, args, out)
        finally:
            journal.end(session)
            self.effects.held -= 1
            session.executing = False
        self.effects.settle()
        self.dispatcher.mark = began
        return Raw(bytes(out))

    def spans_slots(self, queue: list[Arguments]) -> bool:
        slots: set[int] = set()
        for args in queue:
            command = self.dispatcher.find(args).command
            slots.update(key_slot(args[position]) for position in command.key_positions(args))
        return len(slots) > 1

    # Watching

    def watch(self, client: Client, keys: list[bytes]) -> Reply:
        session = cast(Session, client)
        if session.transaction is not None:
            raise ReplyError("ERR WATCH inside MULTI is not allowed")
        if session.watched is None:
            session.watched = {}
            self.watching.add(session)
        database = session.context.database
        found = {key: session.context.keyspace.look(key) is not None for key in keys}
        if self.effects.changes:
            self.effects.tell(session)  # a key that has expired was none already
        for key, is_there in found.items():
            place = (database, key)
            if place not in session.watched:
                session.watched[place] = is_there
                self.watchers.setdefault(place, set()).add(session)
        self.effects.update()
        return OK

    def unwatch(self, client: Client) -> Reply:
        self.forget(cast(Session, client))
        return OK

    def forget(self, session: Session) -> None:
        """Whatever it watched; also when it is gone."""
        for place in session.watched or ():
            watchers = self.watchers[place]
            watchers.discard(session)
            if not watchers:
                del self.watchers[place]
        if session.watched is not None:
            session.watched = None
            self.watching.discard(session)
            self.effects.update()
        session.watch_touched = False

    def meet_expired(self, session: Session) -> None:
        """A watched key whose time has come counts as changed; looking at it tells so."""
        for database, key in session.watched or ():
            self.databases[database].look(key)
        if self.effects.changes:
            self.effects.tell(session)

    def part(self, slots: Set[int]) -> None:
        """These slots are served elsewhere: whether a watched key of theirs changes is not seen here any more."""
        for (_, key), sessions in self.watchers.items():
            if key_slot(key) in slots:
                for session in sessions:
                    session.watch_touched = True

    # effects.Listener

    @property
    def listening(self) -> bool:
        return bool(self.watchers)

    def changed(self, database: int, event: str, key: bytes | None, author: Session | None) -> None:  # noqa: ARG002
        if key is None:
            self.all_changed(database)
            return
        for session in self.watchers.get((database, key), ()):
            session.watch_touched = True

    def all_changed(self, database: int) -> None:
        """FLUSHDB and SWAPDB touch a watched key that was there before, or is there now."""
        for (number, key), sessions in self.watchers.items():
            if number == database:
                is_there = self.databases[database].look(key) is not None
                for session in sessions:
                    assert session.watched is not None
                    if is_there or session.watched[number, key]:
                        session.watch_touched = True

    def settled(self) -> None:
        pass
