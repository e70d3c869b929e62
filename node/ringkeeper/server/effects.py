"""What a change of data entails beside the data: told once, behind the command, from what the keyspaces recorded.

    keyspace -> changes -> journal, watchers of WATCH, waiting sessions, client tracking, keyspace notifications

While nobody listens, the keyspaces record nothing and a command pays one look at an empty list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.server.journal import TRANSLATED, Journal
from ringkeeper.server.session import Session
from ringkeeper.store.keyspace import Change, Keyspace


class Listener(Protocol):
    """Somebody who must know of changes. Called in the order of the changes, before the next command runs."""

    @property
    def listening(self) -> bool: ...

    def changed(self, database: int, event: str, key: bytes | None, author: Session | None) -> None:
        """`author` is the session whose command did it; None when the node itself did."""

    def settled(self) -> None:
        """All changes of a command, or of a whole transaction, have been told."""


class Effects:
    """One a node."""

    def __init__(self, databases: list[Keyspace]) -> None:
        self.databases = databases
        self.changes: list[Change] = []
        self.listeners: Sequence[tuple[Listener, bool]] = ()
        """With each, whether it wants to know of events that change nothing as well."""
        self.journal = Journal(databases, self.changes)
        self.held = 0
        """Above 0 a transaction runs: what follows from its changes waits for its end."""
        self.settling = False

    def attach(self, listeners: Sequence[tuple[Listener, bool]]) -> None:
        self.listeners = listeners
        self.update()

    def update(self) -> None:
        """To be called when a listener, or the journal, begins or ends to listen."""
        self.journal.choose()
        listening = any(listener.listening for listener, _ in self.listeners)
        self.journal.alone = not listening
        announcing = any(every and listener.listening for listener, every in self.listeners)
        for keyspace in self.databases:
            keyspace.announcing = announcing
            keyspace.changes = self.changes if listening or self.journal.on else None
            keyspace.purged = self.journal.purged if self.journal.on else None

    def tell(self, author: Session | None) -> None:
        """Of changes that no command made: keys that expired or were evicted."""
        if self.journal.on:
            self.journal.own()
        self.hand_on(author)

    def tell_of(self, author: Session, command: Command, args: Arguments, reply: Any) -> None:
        """Of what a command has changed."""
        if self.journal.on:
            self.journal.command(author, author.context, command, args, reply, TRANSLATED)
        self.hand_on(author)

    def hand_on(self, author: Session | None) -> None:
        """Tell the listeners. What they change themselves, by waking somebody, is told in the same way."""
        told = self.changes[:]
        self.changes.clear()
        active = [(listener, every) for listener, every in self.listeners if listener.listening]
        for database, event, key, changed in told:
            for listener, every in active:
                if changed or every:
                    listener.changed(database, event, key, author)
        if not self.held:
            self.settle()

    def settle(self) -> None:
        for listener, _ in self.listeners:
            listener.settled()
