"""The links to the other nodes of the cluster, over which published messages reach their subscribers everywhere.

A link goes one way: this node connects to a peer's data port, says who it is with the token that all nodes of the
cluster share (RINGKEEPER.PEER), and then sends messages (RINGKEEPER.PUBLISH). The peer delivers them to its own
subscribers and never hands them on, so no message goes round; for the other way it has a link of its own.

A message is sent at most once, and those of one link stay in order. A peer that does not take them makes nobody wait:
beyond `cluster-link-sendbuf-limit` the oldest are dropped. While a link is down they are kept for a moment only, since
whoever subscribes after an interruption does not expect what was said during it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import Any, cast

from ringkeeper.cluster.topology import Node as Peer
from ringkeeper.commands.context import Client
from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ProtocolError, ReplyError
from ringkeeper.resp.writer import encode_command
from ringkeeper.server.session import Session

log = logging.getLogger(__name__)

FIRST_PAUSE, LAST_PAUSE = 0.1, 5.0
"""Seconds between attempts to connect: each pause is twice the one before, more or less."""
ANSWER_SECONDS = 5.0
"""For the connection and its greeting; and the pause between two signs of life, which must be answered by then."""
KEPT_SECONDS = 1.0
"""How long a link that is down keeps messages."""
CHUNK_BYTES = 64 * 1024
HIGH_WATER = 256 * 1024
"""Bytes in the transport's buffer at which further messages wait in the queue, where they can be dropped."""


class Link(asyncio.Protocol):
    """To one peer; an asyncio protocol of the connection that it has at present."""

    def __init__(self, peers: Peers, peer: Peer) -> None:
        self.peers = peers
        self.peer = peer
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.is_open = False
        """The peer has accepted who we are."""
        self.created_ms = 0
        """When the connection was made, in Unix milliseconds; 0 without one."""
        self.sent = 0
        self.dropped = 0
        self.dropping = False
        """An episode of drops goes on; it was logged."""
        self.transport: Any = None
        self.reader = ReplyReader()
        self.writing_paused = False
        self.drain_scheduled = False
        self.unanswered = 0
        """Signs of life that were sent and not answered."""
        self.down_since = time.monotonic()
        self.refused = ""
        """Why the peer would not have us; logged once."""
        self.changed = asyncio.Event()
        """Set when the link opens and when its connection ends."""
        self.task = asyncio.create_task(self.keep())

    # Keeping a connection

    async def keep(self) -> None:
        """Connect, and connect again, until cancelled."""
        pause = FIRST_PAUSE
        try:
            while True:
                if await self.connect():
                    pause = FIRST_PAUSE
                    await self.watch()
                self.forget_old()
                await asyncio.sleep(pause * self.peers.random.uniform(0.5, 1.5))
                pause = min(pause * 2, LAST_PAUSE)
        finally:
            self.abort()

    async def connect(self) -> bool:
        """Whether the link is open now."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self.peers.loop.create_connection(lambda: self, self.peer.address, self.peer.port)
                while not self.is_open and self.transport is not None:
                    self.changed.clear()
                    await self.changed.wait()
        except (OSError, TimeoutError) as error:
            log.debug("No link to %s: %s", self.peer.name, error or type(error).__name__)
            self.abort()
        return self.is_open

    async def watch(self) -> None:
        """Until the connection ends: by itself, or since the peer gives no sign of life."""
        while self.transport is not None:
            self.changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self.changed.wait()
                continue
            if self.unanswered:
                log.debug("%s gives no sign of life", self.peer.name)
                self.abort()
            elif self.transport is not None:
                self.greet()

    def greet(self) -> None:
        self.unanswered += 1
        self.transport.write(self.peers.greeting)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
            self.connection_lost(None)

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)
        self.reader = ReplyReader()
        self.created_ms = time.time_ns() // 1_000_000
        self.unanswered = 0
        self.greet()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if self.transport is None:
            return
        if self.is_open:
            self.down_since = time.monotonic()
        self.transport = None
        self.created_ms = 0
        self.is_open = self.writing_paused = False
        self.changed.set()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        self.drain()

    def data_received(self, data: bytes) -> None:
        """Nothing but answers to the greeting comes this way."""
        try:
            self.reader.feed(data)
            while (reply := self.reader.next()) is not NOT_READY:
                self.answered(reply)
        except ProtocolError as error:
            log.debug("%s does not speak the protocol: %s", self.peer.name, error)
            self.abort()

    def answered(self, reply: object) -> None:
        self.unanswered = 0
        if isinstance(reply, ReplyError):
            if reply.text != self.refused:
                log.warning("%s refuses the link of this node: %s", self.peer.name, reply.text)
            self.refused = reply.text
            self.abort()
        elif not self.is_open:
            self.refused = ""
            self.is_open = True
            self.forget_old()
            self.changed.set()
            self.drain()

    # Sending

    def send(self, message: bytes) -> None:
        """Take a message, rendered as a command, in its turn."""
        if not self.is_open and time.monotonic() - self.down_since > KEPT_SECONDS:
            self.drop(1)
            return
        self.queue.append(message)
        self.queued_bytes += len(message)
        if self.queued_bytes > self.peers.limit:
            self.make_room()
        if self.is_open and not self.writing_paused and not self.drain_scheduled:
            self.drain_scheduled = True
            self.peers.loop.call_soon(self.drain)

    def drain(self) -> None:
        """Hand what waits to the transport, until that has enough."""
        self.drain_scheduled = False
        while self.queue and self.is_open and not self.writing_paused:
            chunk = []
            size = 0
            while self.queue and size < CHUNK_BYTES:
                message = self.queue.popleft()
                size += len(message)
                chunk.append(message)
            self.queued_bytes -= size
            self.sent += len(chunk)
            self.transport.write(b"".join(chunk))
        if self.dropping and self.is_open and not self.queue:
            self.dropping = False
            log.warning(
                "%s takes messages again; %d were dropped since this node started", self.peer.name, self.dropped
            )

    def make_room(self) -> None:
        """Drop the oldest beyond the limit; a single message may be longer than that."""
        dropped = 0
        while self.queued_bytes > self.peers.limit and len(self.queue) > 1:
            self.queued_bytes -= len(self.queue.popleft())
            dropped += 1
        self.drop(dropped)

    def forget_old(self) -> None:
        """What was kept for a link that has been down for long is no news any more."""
        if self.queue and time.monotonic() - self.down_since > KEPT_SECONDS:
            dropped = len(self.queue)
            self.queue.clear()
            self.queued_bytes = 0
            self.drop(dropped)

    def drop(self, count: int) -> None:
        if not count:
            return
        self.dropped += count
        if not self.dropping:
            self.dropping = True
            why = "does not take them fast enough" if self.is_open else "cannot be reached"
            log.warning("Published messages to %s are dropped: it %s", self.peer.name, why)

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        return self.queued_bytes + (self.transport.get_write_buffer_size() if self.transport is not None else 0)


class Peers:
    """The links of a node, and who of its sessions is a peer's link. Without a token there are neither."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        random: Random,
        *,
        token: bytes | None,
        my_id: str,
        my_name: str,
        kill: Callable[[Client], None],
    ) -> None:
        self.loop = loop
        self.random = random
        self.token = token
        self.kill = kill
        self.greeting = encode_command([b"RINGKEEPER.PEER", token or b"", my_id.encode(), my_name.encode()])
        self.limit = 16 * 1024**2
        """`cluster-link-sendbuf-limit`, bytes."""
        self.my_shard: int | None = None
        self.links: dict[str, Link] = {}
        """By node id."""
        self.inbound: dict[str, Session] = {}
        """The sessions over which peers send, by node id."""
        self.sent_before = 0
        self.dropped_before = 0
        """Over links that are no more."""

    def update(self, peers: Iterable[Peer], my_shard: int | None) -> None:
        """Have a link to each of these, and to nobody else."""
        self.my_shard = my_shard
        if self.token is None:
            return
        wanted = {peer.id: peer for peer in peers if peer.address and peer.port}
        for id_, link in list(self.links.items()):
            peer = wanted.get(id_)
            if peer is None or (peer.address, peer.port) != (link.peer.address, link.peer.port):
                self.close(id_)
            else:
                link.peer = peer
        for id_, peer in wanted.items():
            if id_ not in self.links:
                self.links[id_] = Link(self, peer)

    def close(self, id_: str) -> None:
        link = self.links.pop(id_)
        self.sent_before += link.sent
        self.dropped_before += link.dropped + len(link.queue)
        link.task.cancel()

    def stop(self) -> None:
        for id_ in list(self.links):
            self.close(id_)

    # Sending: `PubSub.forward`

    def forward(self, channel: bytes, message: bytes) -> None:
        """To every other node."""
        if self.links:
            command = encode_command([b"RINGKEEPER.PUBLISH", b"channel", channel, message])
            for link in self.links.values():
                link.send(command)

    def forward_to_shard(self, channel: bytes, message: bytes) -> None:
        """To the other nodes of this node's shard."""
        links = [link for link in self.links.values() if link.peer.shard == self.my_shard]
        if links:
            command = encode_command([b"RINGKEEPER.PUBLISH", b"shard", channel, message])
            for link in links:
                link.send(command)

    # Receiving

    def welcome(self, client: Client, token: bytes, id_: str, name: str) -> None:
        """The session is the link of a peer, if it knows the token; raises `ReplyError` if not."""
        session = cast(Session, client)
        self.check(session, token, name)
        older = self.inbound.get(id_)
        if older is session:
            return
        self.inbound[id_] = session
        session.become_peer(id_)
        if older is not None:
            # What may still lie in its buffers is older than what comes now.
            self.kill(older)

    def check(self, session: Session, token: bytes, name: str) -> None:
        """Whether a client knows the token; raises `ReplyError` if not."""
        if self.token is None:
            raise ReplyError("ERR this node has no peer-token-file and takes no messages of other nodes")
        if not hmac.compare_digest(token, self.token):
            log.warning("%s says that it is the node %.60s, with a wrong peer token", session.address, name)
            raise ReplyError("WRONGPASS invalid peer token")

    def farewell(self, session: Session) -> None:
        """The session of a peer is gone."""
        if self.inbound.get(session.peer) is session:
            del self.inbound[session.peer]

    # Figures

    @property
    def sent(self) -> int:
        return self.sent_before + sum(link.sent for link in self.links.values())

    @property
    def dropped(self) -> int:
        return self.dropped_before + sum(link.dropped for link in self.links.values())

    @property
    def connections(self) -> int:
        return sum(link.transport is not None for link in self.links.values()) + len(self.inbound)

    def unreachable(self, seconds: float) -> list[str]:
        """Ids of the nodes to which there has been no link for so long."""
        since = time.monotonic() - seconds
        return [id_ for id_, link in self.links.items() if not link.is_open and link.down_since < since]

    def describe(self) -> list[dict[str, Any]]:
        """CLUSTER LINKS: node by node, the link to it before the one from it."""
        outbound = {
            link.peer.id: description("to", link.peer.id, link.created_ms, link.buffered)
            for link in self.links.values()
            if link.transport is not None
        }
        inbound = {
            id_: description("from", id_, session.connected_at, session.output_bytes)
            for id_, session in self.inbound.items()
        }
        return [links[id_] for id_ in outbound | inbound for links in (outbound, inbound) if id_ in links]


def description(direction: str, id_: str, created_ms: int, buffered: int) -> dict[str, Any]:
    events = "rw" if buffered else "r"
    return {
        "direction": direction, "node": id_, "create-time": created_ms, "events": events,
        "send-buffer-allocated": buffered, "send-buffer-used": buffered,
    }  # fmt: skip
