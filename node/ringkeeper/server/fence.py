"""What happens when a master's lease runs out, and when it has one again: gates shut and open, and people are told.

Whoever waits for a key is refused with it, and whose replies the system has not taken yet is closed: the rest of them
would come when another may be master.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from ringkeeper.resp.values import ReplyError
from ringkeeper.server import lease_layout

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

NOTICED_SECONDS = 0.5
"""A node whose loop goes round notices the end of its lease sooner."""
LEASE_LOST = ReplyError("CLUSTERDOWN The lease of this master has run out")
NO_LEASE_YET = ReplyError("CLUSTERDOWN This master has no lease yet")


class Fence:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.lease = node.lease
        self.lease.turned = self.turned
        self.shut_at: float | None = None
        """By the monotonic clock; None while this node may serve as far as a lease is concerned."""
        self.times = 0
        """How often a lease was lost."""
        self.openings: set[asyncio.Future[None]] = set()
        """Of those who wait until the gates are opened."""

    def follow(self) -> None:
        """To be called when another topology is in force, before anything is served under it."""
        standing = self.node.membership.standing
        needed = standing.needs_lease
        self.lease.follow(needed=needed, term=standing.term)
        if needed and not self.lease.open and self.shut_at is None:
            self.shut(NO_LEASE_YET)
            if self.node.lease_keeper is None:
                log.error("This master needs a lease, and nobody can grant one: start it with --admin-token-file FILE")
        elif not needed and not self.lease.released:
            self.open()

    def turned(self, is_open: bool) -> None:
        """The lease has come, or gone."""
        standing = self.node.membership.standing
        if is_open:
            since = "" if self.shut_at is None else f", after {time.monotonic() - self.shut_at:.3f} s without"
            self.open()
            log.info("This master of shard %s holds a lease in term %d%s", standing.shard, standing.term, since)
            return
        self.times += 1
        self.shut(LEASE_LOST)
        log.warning(
            "The lease of this master of shard %s in term %d has run out: it answers CLUSTERDOWN until it holds one "
            "again. %s",
            standing.shard,
            standing.term,
            self.explanation(),
        )

    def reason(self) -> str | None:
        """Why this node serves no data although it is master, or None."""
        fence = self.node.membership.routes.fence
        return None if fence is None else fence.text.partition(" ")[2]

    def explanation(self) -> str:
        """What a person needs to tell a stall of this machine from a network that is cut."""
        operator, beat = self.ago(lease_layout.OPERATOR_HEARD), self.ago(lease_layout.BEAT)
        deadline = self.lease.words[lease_layout.DEADLINE]
        late = (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - deadline) / 1e9 if deadline else 0.0
        stood = f"It ended {late:.1f} s ago, and this node stood still meanwhile. " if late > NOTICED_SECONDS else ""
        return f"{stood}The operator was heard {operator}; the lease process went round {beat}"

    def ago(self, word: int) -> str:
        then = self.lease.words[word]
        return f"{(time.monotonic_ns() - then) / 1e9:.1f} s ago" if then else "never"

    def shut(self, reason: ReplyError, *, waits_end: bool = True) -> None:
        """Answer for no data. `waits_end`: whether those who wait for a key are refused, or go on waiting."""
        node = self.node
        self.shut_at = time.monotonic()
        node.membership.routes.set_fence(reason)
        if waits_end:
            node.waiting.refuse(node.refusal_to_wait)
        for session in node.clients.all():
            is_client = session.peer is None and session.replica is None
            if is_client and session.leased and session.behind and session.transport.get_write_buffer_size():
                session.fall_silent()

    def open(self) -> None:
        self.shut_at = None
        self.node.membership.routes.set_fence(None)
        for opening in self.openings:
            if not opening.done():
                opening.set_result(None)

    def serves_in(self, term: int) -> bool:
        """Whether this node serves as master in a term."""
        standing = self.node.membership.standing
        return standing.serves and standing.term == term and self.lease.allows()

    async def await_serving(self, term: int, seconds: float) -> None:
        """Until this node serves as master in a term, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self.serves_in(term):
                    opening = self.node.loop.create_future()
                    self.openings.add(opening)
                    try:
                        await opening
                    finally:
                        self.openings.discard(opening)
