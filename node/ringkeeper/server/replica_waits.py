"""Who waits for replicas: WAIT and WAITAOF. Nobody else is held up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.commands.blocking import Blocked
from ringkeeper.resp.values import Raw, ReplyError
from ringkeeper.server.session import Session
from ringkeeper.server.waiting import DEMOTED, UNBLOCKED, Wait

if TYPE_CHECKING:
    from ringkeeper.commands.context import Client
    from ringkeeper.server.replicas import Replicas

NO_REPLY = Raw(b"")
ON_REPLICA = (
    "cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be "
    "writable (which is not the default) writes to replicas are just local and are not propagated."
)
NO_LOG = ReplyError("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
DISK_SECONDS = 0.01
"""How often it is looked what the disk has, while somebody waits for it."""


class Waiting:
    """A client's wait: for what, and what it is answered."""

    def __init__(self, wait: Wait, done: Callable[[], bool], answer: Callable[[], Any]) -> None:
        self.wait = wait
        self.done = done
        self.answer = answer

    @property
    def over(self) -> bool:
        """The client has gone, or was unblocked."""
        return self.wait.session.wait is not self.wait


class ReplicaWaits:
    """One a node."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.replication = replicas.replication
        self.waits: list[Waiting] = []
        self.timer: asyncio.TimerHandle | None = None
        """Looks after those who wait for a disk."""

    def wait(self, client: Client, replicas: int, timeout_ms: int) -> Any:
        """Until so many replicas have all that was changed so far."""
        self.refuse_on_replica("WAIT")
        target = self.replication.written

        def count() -> int:
            return sum(feed.acknowledged >= target for feed in self.replicas.feeds.values() if feed.online)

        return self.enter(client, "wait", lambda: count() >= replicas, count, timeout_ms)

    def wait_for_disks(self, client: Client, local: int, replicas: int, timeout_ms: int) -> Any:
        self.refuse_on_replica("WAITAOF")
        replication = self.replication
        if local and replication.node.append_only.appender is None:
            raise NO_LOG
        target = replication.written

        def counts() -> list[int]:
            here = replication.node.append_only.appender is not None and replication.offset_on_disk >= target
            return [int(here), sum(feed.on_disk >= target for feed in self.replicas.feeds.values() if feed.online)]

        def done() -> bool:
            found = counts()
            return found[0] >= local and found[1] >= replicas

        reply = self.enter(client, "waitaof", done, counts, timeout_ms)
        self.look_again()
        return reply

    def refuse_on_replica(self, name: str) -> None:
        if self.replication.role == "replica":
            raise ReplyError(f"ERR {name} {ON_REPLICA}")

    def enter(
        self, client: Client, name: str, done: Callable[[], bool], answer: Callable[[], Any], timeout_ms: int
    ) -> Any:
        session = cast(Session, client)
        if done() or session.executing:
            return answer()
        node = self.replication.node
        command = node.dispatcher.commands[name.encode()]
        wait = Wait(session, command, [], Blocked((), type(None), 0, on_timeout=UNBLOCKED))
        waiting = Waiting(wait, done, answer)
        if timeout_ms:
            wait.timer = node.loop.call_later(timeout_ms / 1000, self.end, waiting)
        session.wait = wait
        self.waits.append(waiting)
        self.replicas.ask()
        return NO_REPLY

    def refuse(self) -> None:
        """This node is another thing from now on."""
        waits, self.waits = self.waits, []
        for waiting in waits:
            if not waiting.over:
                self.replication.node.waiting.leave(waiting.wait)
                waiting.wait.session.answer(DEMOTED)

    def end(self, waiting: Waiting) -> None:
        self.waits.remove(waiting)
        if not waiting.over:
            self.replication.node.waiting.leave(waiting.wait)
            waiting.wait.session.answer(waiting.answer())

    def look(self) -> None:
        """A replica or the disk has more."""
        for waiting in list(self.waits):
            if waiting.over or waiting.done():
                self.end(waiting)

    def look_again(self) -> None:
        if self.timer is None and self.waits:
            self.timer = self.replication.node.loop.call_later(DISK_SECONDS, self.look_at_disk)

    def look_at_disk(self) -> None:
        self.timer = None
        self.look()
        self.look_again()
