"""Sessions that wait for a key: who comes first is served first.

A blocking command that finds nothing answers `Blocked`. Its session then stands in line at each of its keys until one
of them holds what it needs; it runs anew, with the same words, and may find that somebody was faster.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ringkeeper.commands.blocking import Blocked
from ringkeeper.commands.table import Arguments
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.session import Session
from ringkeeper.store.keyspace import Clock, Keyspace

if TYPE_CHECKING:
    from ringkeeper.server.dispatch import Dispatcher, Entry
    from ringkeeper.server.effects import Effects

Place = tuple[int, bytes]
FROZEN_SECONDS = 0.01
"""How much later a wait ends that must not end now."""

UNBLOCKED = ReplyError("UNBLOCKED client unblocked via CLIENT UNBLOCK")
DEMOTED = ReplyError("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)")


class Wait:
    """A session's wait: what it runs again, where it stands in line, and the timer that ends it."""

    __slots__ = ("args", "blocked", "entry", "places", "session", "timer")

    def __init__(self, session: Session, entry: Entry, args: Arguments, blocked: Blocked) -> None:
        self.session = session
        self.entry = entry
        self.args = args
        self.blocked = blocked
        database = session.context.database
        self.places: list[Place] = [(database, key) for key in dict.fromkeys(blocked.keys)]
        self.timer: TimerHandle | None = None


class WaitingRoom:
    """One a node; implements `effects.Listener`."""

    def __init__(
        self,
        databases: list[Keyspace],
        clock: Clock,
        loop: AbstractEventLoop,
        effects: Effects,
        dispatcher: Dispatcher,
    ) -> None:
        self.databases = databases
        self.clock = clock
        self.loop = loop
        self.effects = effects
        self.dispatcher = dispatcher
        self.lines: dict[Place, dict[Wait, None]] = {}
        """In order of arrival."""
        self.ready: dict[Place, None] = {}
        """Keys with a line where something was put since, in that order."""
        self.serving = False
        self.frozen = False
        """No wait ends by its time: whether there is nothing is for the next master to say."""

    def waits(self) -> Iterable[Wait]:
        return list(dict.fromkeys(wait for line in self.lines.values() for wait in line))

    @property
    def count(self) -> int:
        return len({wait.session for line in self.lines.values() for wait in line})

    @property
    def timed(self) -> int:
        """Waits that a time ends."""
        return sum(wait.timer is not None for wait in self.waits())

    def enter(self, session: Session, entry: Entry, args: Arguments, blocked: Blocked) -> None:
        wait = Wait(session, entry, args, blocked)
        for place in wait.places:
            self.lines.setdefault(place, {})[wait] = None
        if blocked.deadline_ms:
            delay = max(0, blocked.deadline_ms - self.clock.now_ms) / 1000
            wait.timer = self.loop.call_later(delay, self.time_out, wait)
        session.wait = wait
        self.effects.update()

    def leave(self, wait: Wait) -> None:
        """The wait is over, however it ended."""
        if wait.timer is not None:
            wait.timer.cancel()
        for place in wait.places:
            line = self.lines.get(place)
            if line is not None:
                line.pop(wait, None)
                if not line:
                    del self.lines[place]
        wait.session.wait = None
        self.effects.update()

    def time_out(self, wait: Wait) -> None:
        if self.frozen:
            wait.timer = self.loop.call_later(FROZEN_SECONDS, self.time_out, wait)
            return
        self.leave(wait)
        wait.session.answer(wait.blocked.on_timeout)

    def unblock(self, session: Session, *, with_error: bool) -> bool:
        """CLIENT UNBLOCK; whether the session waited."""
        wait = session.wait
        if wait is None:
            return False
        self.leave(wait)
        wait.session.answer(UNBLOCKED if with_error else wait.blocked.on_timeout)
        return True

    def refuse(self, refusal: Callable[[Wait], ReplyError | None]) -> None:
        """End the waits that this node must not keep any more, for instance since it lost the slot."""
        for wait in self.waits():
            if error := refusal(wait):
                self.leave(wait)
                wait.session.answer(error)

    # effects.Listener

    @property
    def listening(self) -> bool:
        return bool(self.lines)

    def changed(self, database: int, event: str, key: bytes | None, author: Session | None) -> None:  # noqa: ARG002
        if key is not None:
            if (database, key) in self.lines:
                self.ready[database, key] = None
        elif event == "swapdb":
            self.ready.update((place, None) for place in self.lines if place[0] == database)

    def settled(self) -> None:
        """Serve the lines; what that changes may make further keys ready."""
        if self.serving:
            return
        self.serving = True
        try:
            while self.ready:
                place = next(iter(self.ready))
                del self.ready[place]
                self.serve(place)
                if self.effects.changes:
                    self.effects.tell(None)
        finally:
            self.serving = False

    def serve(self, place: Place) -> None:
        database, key = place
        for wait in list(self.lines.get(place, ())):
            value = self.databases[database].peek(key)
            if value is None:
                return
            if isinstance(value, wait.blocked.kind):
                reply = self.dispatcher.run_again(wait.session, wait.entry, wait.args)
                if type(reply) is not Blocked:
                    self.leave(wait)
                    wait.session.answer(reply)
                if self.effects.changes:
                    self.effects.tell_of(wait.session, wait.entry.command, wait.args, reply)
