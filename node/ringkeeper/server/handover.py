"""A master that hands over: it holds back writes until its successor has all, gives up its term, and waits.

The rules are `cluster/handover.py`; the operator asks through the lease process, again and again until it has heard
that the term was given up. Clients notice a pause: what they say meanwhile is held back, and when the next master
serves they are sent there. Should that take longer than a lease lasts, they are told CLUSTERDOWN; the node itself waits
without end, since only a topology in another term lets it serve again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from ringkeeper.cluster.handover import Giving, Release
from ringkeeper.cluster.topology import Node as Member
from ringkeeper.resp.values import ReplyError

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.001
"""Between two looks at what the successor has confirmed."""
ASK_SECONDS = 0.005
"""Between two questions whether the next master serves, if it cannot be asked or does not wait to answer."""
MOST_BEHIND = 16 * 1024 * 1024
"""Bytes that a successor may lack when writes begin to be held back for it."""
HELD_BACK_MS = 1000
"""For which writes are held back at most, should the rules not end it before."""
HANDED_OVER = ReplyError("CLUSTERDOWN This master has handed over, and waits for the next topology")


class Handover:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.term = 0
        self.release = Release(node.run_id)
        self.timer: asyncio.TimerHandle | None = None
        self.paused_before: tuple[int, bool] | None = None
        """A pause that a client had asked for: until when, and whether of writes alone."""
        self.put_off = (0, "")
        """For which term and target people were told that it is too early."""
        self.until_ms = 0
        """Until when clients are held back by this."""
        self.began = 0.0
        self.held = False
        """Clients are held back."""
        self.asked_at = 0.0
        """When the operator asked last, in seconds of the monotonic clock."""
        self.waiter: asyncio.Task[None] | None = None
        self.successor: Member | None = None
        """The node, with its run, that was asked for last."""
        self.serving: asyncio.Task[None] | None = None
        """Done when the successor serves."""

    @property
    def state(self) -> str:
        return str(self.release.state)

    @property
    def is_under_way(self) -> bool:
        """Whether what comes now would be behind the offset that the next master has."""
        return self.release.state is not Giving.NOTHING

    def ask(self, term: int, target: str) -> None:
        """The operator asks this master to hand over to a node (its id)."""
        node, standing = self.node, self.node.membership.standing
        if not standing.serves or standing.term != term:
            return
        self.asked_at = time.monotonic()
        if term != self.term:
            self.term, self.release = term, Release(node.run_id)
        if self.release.state is Giving.RELEASED:
            self.tell()
        if self.release.state is not Giving.NOTHING:
            return
        node.replication.replicas.ask()
        offset = node.replication.offset  # behind the question: only who is there now can have confirmed that
        if target != node.membership.id and self.behind(target) > MOST_BEHIND:
            if (term, target) != self.put_off:
                self.put_off = term, target
                log.info("Not handing over to %s yet: it is not connected, or too far behind", self.name(target))
            return
        self.successor = node.membership.topology.node(target) if node.membership.topology is not None else None
        if self.successor is None:
            return
        self.hold_back()
        self.release.ask(self.successor.run_id, offset, self.confirmed(), time.monotonic_ns())
        log.info("Handing over to %s: writes wait until it has confirmed offset %d", self.successor.name, offset)
        self.timer = node.loop.call_later(LOOK_SECONDS, self.look)

    def behind(self, target: str) -> int:
        """Bytes of the stream that a replica has not confirmed."""
        lags = [feed.lag_bytes for feed in self.node.replication.replicas.listed if feed.online and feed.id == target]
        return min(lags, default=MOST_BEHIND + 1)

    def confirmed(self) -> int:
        """The offset up to which the target has everything: the run that the topology named, which may be appointed."""
        run = (self.successor.id, self.successor.run_id) if self.successor is not None else ("", "")
        feeds = self.node.replication.replicas.listed
        return max((feed.acknowledged for feed in feeds if (feed.id, feed.run_id) == run), default=-1)

    def look(self) -> None:
        release, now = self.release, time.monotonic_ns()
        self.timer = None
        if not self.node.effects.journal.held:  # else a reply still waits for the disk or for replicas
            release.confirm(release.target, self.confirmed(), now)
        lease = self.node.lease
        release.tick(now, holds_lease=lease.allows())
        if release.state is Giving.HOLDING:
            self.timer = self.node.loop.call_later(LOOK_SECONDS, self.look)
        elif release.state is Giving.RELEASED:
            self.give_up()
        else:
            self.let_go()
            log.warning("%s did not confirm in time: this master goes on", self.successor and self.successor.name)

    def give_up(self) -> None:
        """In this very iteration of the loop: what was answered leaves, and nothing more is."""
        node = self.node
        for session in node.clients.all():
            session.send()
        node.replication.note_position()
        node.lease.release()
        node.fence.shut(HANDED_OVER, waits_end=False)
        node.waiting.frozen = True
        self.pause(self.patience_ms(), writes_only=False)
        self.tell()
        self.ask_successor()
        log.info(
            "Gave up term %d of shard %s to %s at offset %d, after holding back writes for %.1f ms",
            self.term,
            node.membership.standing.shard,
            self.successor and self.successor.name,
            node.replication.offset,
            (time.monotonic() - self.began) * 1000,
        )
        self.timer = node.loop.call_later(self.patience_ms() / 1000, self.refuse)

    def ask_successor(self) -> None:
        """At once, though it can serve only when it is appointed: then it has nothing to do but to answer."""
        membership = self.node.membership
        if self.successor is not None and self.successor.id != membership.id:
            waiting = until_serving(self.successor, self.term + 1, membership.token or b"")
            self.serving = self.node.loop.create_task(waiting)

    def patience_ms(self) -> int:
        """How long clients are held back for the next topology."""
        topology = self.node.membership.topology
        return 0 if topology is None else topology.lease_ms

    def refuse(self) -> None:
        """There is no next topology for so long that clients had better hear of it."""
        log.warning("There is no next topology yet: clients are answered CLUSTERDOWN until there is")
        self.node.waiting.refuse(self.node.refusal_to_wait)
        self.let_go()

    def tell(self) -> None:
        if self.node.lease_keeper is not None:
            self.node.lease_keeper.tell_released(self.release.to)

    def follow(self) -> None:
        """Another topology is in force."""
        standing = self.node.membership.standing
        if self.release.state is Giving.NOTHING or (standing.serves and standing.term == self.term):
            return
        released = self.release.state is Giving.RELEASED
        self.release = Release(self.node.run_id)
        self.stop_timer()
        if released and self.held and standing.role == "replica":
            self.waiter = self.node.loop.create_task(self.wait_for_next())
        else:
            self.let_go()

    async def wait_for_next(self) -> None:
        """Hold clients back until the next master serves: sent there too early they would be sent back."""
        membership, term = self.node.membership, self.node.membership.standing.term
        master = membership.master()
        try:
            async with asyncio.timeout(self.patience_ms() / 1000):
                if self.serving is not None and term == self.term + 1 and is_same_place(master, self.successor):
                    await self.serving
                elif master is not None:
                    await until_serving(master, term, membership.token or b"")
        except TimeoutError:
            log.warning("%s does not serve yet: clients are sent there nevertheless", master and master.name)
        finally:
            self.let_go()
        log.info("Clients were held back for %.1f ms", (time.monotonic() - self.began) * 1000)

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    # Clients

    def hold_back(self) -> None:
        self.began = time.monotonic()
        self.held = True
        clients = self.node.clients
        if clients.paused:
            self.paused_before = clients.paused_until_ms, clients.pause_writes_only
        self.pause(HELD_BACK_MS, writes_only=True)

    def pause(self, milliseconds: int, *, writes_only: bool) -> None:
        clients = self.node.clients
        self.until_ms = clients.clock.now_ms + milliseconds
        clients.pause(self.until_ms, writes_only=writes_only)

    def let_go(self) -> None:
        """Hold back nobody any more, unless a client has asked for it."""
        self.stop_timer()
        if self.serving is not None:
            self.serving.cancel()
            self.serving = None
        self.held = False
        clients = self.node.clients
        self.node.waiting.frozen = False
        if clients.paused_until_ms > max(self.until_ms, self.paused_before[0] if self.paused_before else 0):
            self.paused_before = clients.paused_until_ms, True  # since then: this node is about to stop, for instance
        clients.unpause()
        if self.paused_before is not None:
            until_ms, writes_only = self.paused_before
            self.paused_before = None
            if until_ms > clients.clock.now_ms:
                clients.pause(until_ms, writes_only=writes_only)

    def name(self, id_: str) -> str:
        topology = self.node.membership.topology
        member = topology.node(id_) if topology is not None else None
        return member.name if member is not None else id_


def is_same_place(one: Member | None, other: Member | None) -> bool:
    """Whether both are a node that answers at the same address."""
    return (
        one is not None
        and other is not None
        and (one.id, one.address, one.admin_port) == (other.id, other.address, other.admin_port)
    )


async def until_serving(master: Member, term: int, token: bytes) -> None:
    """Until a node says that it serves as master in a term."""
    import aiohttp  # heavy; the admin port has loaded it by now

    host = f"[{master.address}]" if ":" in master.address else master.address
    headers = {"Authorization": f"Bearer {token.decode('utf-8', 'surrogateescape')}"}
    url = f"http://{host}:{master.admin_port}/control/state?serving={term}"
    async with aiohttp.ClientSession(headers=headers) as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, ValueError, KeyError, TypeError):
                async with session.get(url) as response:
                    state = await response.json()
                    if (state["role"], state["term"], state["lease"]["holds"]) == ("master", term, True):
                        return
            await asyncio.sleep(ASK_SECONDS)
