"""A node that was told to end (SIGTERM, SHUTDOWN), and what it waits for before it stops.

A master of a cluster whose shard has a replica that has caught up goes on serving and says in its heartbeats that it is
leaving. The operator then asks it to hand over (`server/handover.py`), so that nothing has to be noticed, waited for or
lost; when another is master and clients were sent there, it stops. The replica need not be a voter yet: the epoch that
makes it one may be on its way. It stops too when it shows that nobody will take over: no replica is connected (all of
them end as well), or there is no operator that asks. A master without a cluster does as Redis does: it takes no more
writes, and waits until its replicas have all that there is (`shutdown-timeout`). Everybody else stops at once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ringkeeper.cluster.handover import Giving
from ringkeeper.commands.blocking import Blocked
from ringkeeper.resp.values import ReplyError
from ringkeeper.server import lease_layout
from ringkeeper.server.waiting import UNBLOCKED, Wait

if TYPE_CHECKING:
    from ringkeeper.server.node import Node
    from ringkeeper.server.session import Session

log = logging.getLogger(__name__)

LONGEST_SECONDS = 4.0
"""For all of it; a laptop's supervisor kills after 5 s, the kubelet after 30 s or more."""
ASKED_SECONDS = 1.0
"""To be asked by the operator, or appointed another; or a lease's time, if that is longer."""
LINGER_SECONDS = 0.2
"""For clients to be sent to the next master, rather than to find their connections closed."""
LOOK_SECONDS = 0.01
FOR_GOOD_MS = 10**11
"""Three years."""
FAILED = ReplyError("ERR Errors trying to SHUTDOWN. Check logs.")


@dataclass(frozen=True, slots=True)
class Manner:
    """How to stop, as SHUTDOWN has it."""

    save: bool | None = None
    """Whether a snapshot is taken first; None leaves it to the configuration."""
    force: bool = False
    """Even if what is here cannot be kept."""


class Departure:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.task: asyncio.Task[None] | None = None
        self.leaving = False
        self.manner = Manner()
        self.began = 0.0
        self.succeeded_at = 0.0
        """When another was master first, by the monotonic clock; 0 while none is."""
        self.waits: list[Wait] = []
        """Of the clients that said SHUTDOWN."""
        self.holds_writes = False

    @property
    def waiting(self) -> bool:
        return self.task is not None and not self.task.done()

    def begin(self, manner: Manner | None = None, *, now: bool = False) -> None:
        """Once: wait for whoever is to have the data, then stop. Once more, or `now`: stop."""
        if self.waiting or now:
            self.stop_waiting()
            self.manner = manner or self.manner
            self.say(leaving=True)
            self.node.end(save=self.manner.save, force=self.manner.force)
            return
        self.manner = manner or Manner()
        self.began, self.succeeded_at = time.monotonic(), 0.0
        self.say(leaving=True)
        if not self.is_master() or not self.why_wait():
            self.node.end(save=self.manner.save, force=self.manner.force)
            return
        if self.node.cluster_enabled:
            log.info("Going on until another is master, for %.1f s at most", self.longest())
        else:
            log.info("Waiting for replicas before stopping, for %.1f s at most", self.longest())
            self.hold_writes()
            self.node.replication.replicas.ask()
        self.task = self.node.loop.create_task(self.run())

    def is_master(self) -> bool:
        node = self.node
        return node.membership.standing.serves if node.cluster_enabled else node.replication.role == "master"

    def ask(self, session: Session, *, save: bool | None, force: bool, now: bool) -> None:
        """SHUTDOWN, whose client waits for the end, or for the word that there is none; raises `ReplyError`."""
        if not self.waiting or now:
            self.begin(Manner(save, force), now=now)
        if not self.leaving:
            raise FAILED
        entry = self.node.dispatcher.commands[b"shutdown"]
        session.wait = Wait(session, entry, [], Blocked((), type(None), 0, on_timeout=UNBLOCKED))
        self.waits.append(session.wait)

    def abort(self) -> bool:
        """Stay after all; whether there was something to wait for."""
        if not self.waiting:
            return False
        self.stop_waiting()
        log.info("The shutdown was aborted")
        self.failed()
        return True

    def failed(self) -> None:
        """This node stays."""
        if self.leaving:
            self.say(leaving=False)
        if self.holds_writes:
            self.holds_writes = False
            self.node.clients.unpause()
        waits, self.waits = self.waits, []
        for wait in waits:
            if wait.session.wait is wait:
                self.node.waiting.leave(wait)
                wait.session.answer(FAILED)

    def hold_writes(self) -> None:
        """Nothing changes any more, unless this node stays."""
        self.holds_writes = True
        self.node.clients.pause(self.node.clock.now_ms + FOR_GOOD_MS, writes_only=True)

    def stop_waiting(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def say(self, *, leaving: bool) -> None:
        self.leaving = leaving
        if self.node.lease_keeper is not None:
            self.node.lease_keeper.tell_leaving(leaving)

    def reason(self) -> str:
        """Why no further clients are to come; empty if they may."""
        return "this node is about to end" if self.leaving else ""

    async def run(self) -> None:
        waited_for = ""
        while why := self.why_wait():
            waited_for = why
            await asyncio.sleep(LOOK_SECONDS)
        seconds = time.monotonic() - self.began
        if self.succeeded_at:
            log.info("Another is master; stopping after %.3f s", seconds)
        elif self.node.cluster_enabled:
            log.warning("Stopping after %.3f s without a successor; waited last for %s", seconds, waited_for)
        elif self.lagging():
            log.warning("Stopping after %.3f s although not all replicas have everything", seconds)
        else:
            log.info("All replicas have everything; stopping after %.3f s", seconds)
        self.node.end(save=self.manner.save, force=self.manner.force)

    def longest(self) -> float:
        return LONGEST_SECONDS if self.node.cluster_enabled else self.node.config.number("shutdown-timeout")

    def why_wait(self) -> str:
        """For what it waits now; empty if for nothing."""
        now = time.monotonic()
        if now - self.began >= self.longest():
            return ""
        if self.node.cluster_enabled:
            return self.why_wait_for_another(now)
        return "replicas that lack something" if self.lagging() else ""

    def lagging(self) -> bool:
        replication = self.node.replication
        return any(feed.online and feed.acknowledged < replication.offset for feed in replication.replicas.listed)

    def why_wait_for_another(self, now: float) -> str:
        node, standing = self.node, self.node.membership.standing
        if not standing.serves:
            self.succeeded_at = self.succeeded_at or now
            return "clients" if node.handover.held or now - self.succeeded_at < LINGER_SECONDS else ""
        if now - max(self.began, node.handover.asked_at) > self.patience():
            return ""
        if node.handover.state == Giving.RELEASED:
            return "the appointment of another"
        silent = now - node.lease.words[lease_layout.OPERATOR_HEARD] / 1e9
        return "the operator" if self.has_heir() and silent < self.patience() else ""

    def has_heir(self) -> bool:
        """Whether a node of the shard has caught up; not a replica that somebody else let follow."""
        return any(feed.online and feed.id for feed in self.node.replication.replicas.listed)

    def patience(self) -> float:
        topology = self.node.membership.topology
        return max(ASKED_SECONDS, topology.lease_ms / 1000 if topology is not None else 0.0)
