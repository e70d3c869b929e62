"""A replica as its master sees it: what it has been sent, what it has acknowledged, and how it is sent the rest.

snapshot -> sent (it has the snapshot, and has not said so) -> online
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from ringkeeper.replication.greeting import REST
from ringkeeper.server.full_sync import Snapshot
from ringkeeper.server.session import Session

if TYPE_CHECKING:
    from ringkeeper.server.replicas import Replicas

log = logging.getLogger(__name__)

CHUNK = 256 * 1024
PACE_SECONDS = 0.001
"""Between two pieces of a snapshot: others are served meanwhile."""
SIGN_SECONDS = 1.0
"""Between two signs of life while a snapshot is made."""


class Feed:
    """Its session's commands are REPLCONF alone; what it is sent goes past the session's replies."""

    def __init__(self, replicas: Replicas, session: Session) -> None:
        self.replicas = replicas
        self.replication = replicas.replication
        self.session = session
        self.state = "greeting"
        self.port = 0
        """That the replica listens on, as it says."""
        self.host = ""
        self.id = self.run_id = ""
        """Of a node of this cluster."""
        self.takes_mark = False
        """Its snapshot may end with a mark."""
        self.takes_rest = False
        """It can go on with a snapshot of which it has a part."""
        self.snapshot: Snapshot | None = None
        """That it is sent."""
        self.part = (b"", 0)
        """The mark of a snapshot and how much of it it has."""
        self.knows_ids = False
        """It understands `+CONTINUE id`."""
        self.position = 0
        """Of the history, up to which it was sent."""
        self.acknowledged = -1
        self.on_disk = -1
        """What it has on its disk, as far as it says so."""
        self.heard = time.monotonic()
        """When it acknowledged something."""
        self.behind_since = 0.0
        """Since when it has not acknowledged all; 0 if it has."""
        self.over_soft_since = 0.0
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.task: asyncio.Task[None] | None = None

    @property
    def online(self) -> bool:
        return self.state == "online"

    @property
    def address(self) -> str:
        host = self.host or self.session.address.rpartition(":")[0].strip("[]")
        return f"{host}:{self.port}"

    @property
    def lag_bytes(self) -> int:
        return self.replication.offset - max(self.acknowledged, 0)

    @property
    def lag_ms(self) -> int:
        """For how long it has not acknowledged all there was then."""
        return int((time.monotonic() - self.behind_since) * 1000) if self.behind_since else 0

    # Sending

    def begin(self, snapshot: Snapshot | None) -> None:
        """Send a snapshot and what follows it, or go on in the stream."""
        if snapshot is None:
            self.state = "online"
            self.heard = time.monotonic()
            self.replication.node.loop.call_soon(self.pump)
            return
        self.state = "snapshot"
        self.snapshot = snapshot
        snapshot.readers += 1
        self.task = asyncio.create_task(self.send_snapshot(snapshot))

    async def send_snapshot(self, snapshot: Snapshot) -> None:
        try:
            await asyncio.sleep(0)  # the answer to PSYNC goes first
            if await self.copy(snapshot):
                self.state = "sent" if self.takes_mark else "online"
                self.heard = time.monotonic()
                self.pump()
            else:
                self.replicas.drop(self, f"the snapshot for it failed: {snapshot.error}")
        except OSError as error:
            self.replicas.drop(self, f"the snapshot for it cannot be read: {error.strerror}")
        finally:
            self.replicas.read_to_the_end(snapshot)

    async def copy(self, snapshot: Snapshot) -> bool:
        """Whether all of it was sent."""
        transport = self.session.transport
        position = self.part[1] if self.takes_mark and snapshot.has(*self.part) else 0
        if position:
            self.replicas.resumed_full_syncs += 1
            log.info("Replica %s has %d bytes of that snapshot, and gets the rest", self.address, position)
            transport.write(b"%b%b:%d\r\n" % (REST, snapshot.mark, position))
        elif self.takes_mark:
            transport.write(b"$EOF:%b\r\n" % snapshot.mark)
        else:
            while not snapshot.finished:
                transport.write(b"\n")
                await self.wait_for(snapshot)
            transport.write(b"$%d\r\n" % snapshot.size)
        while not snapshot.error:
            complete = bool(snapshot.finished)
            data = await snapshot.read(position)
            if data:
                transport.write(data)
                self.replicas.bytes_out += len(data)
                position += len(data)
                await self.may_write.wait()
                await asyncio.sleep(PACE_SECONDS)
            elif complete:
                if self.takes_mark:
                    transport.write(snapshot.mark)
                return not snapshot.error
            else:
                await asyncio.sleep(PACE_SECONDS * 10)
        return False

    async def wait_for(self, snapshot: Snapshot) -> None:
        try:
            async with asyncio.timeout(SIGN_SECONDS):
                await snapshot.grown.wait()
        except TimeoutError:
            pass

    def pump(self) -> None:
        """Send what it has not been sent, as much as the transport takes."""
        if self.state != "online" or self.session.closing:
            return
        backlog = self.replication.backlog
        assert backlog is not None
        while self.may_write.is_set() and self.position < backlog.end:
            data = backlog.read(self.position, CHUNK)
            self.position += len(data)
            self.session.transport.write(data)
            self.replicas.bytes_out += len(data)

    def hold(self) -> None:
        """The transport has enough."""
        self.may_write.clear()

    def resume(self) -> None:
        self.may_write.set()
        self.pump()

    # Hearing

    def acknowledge(self, offset: int, on_disk: int) -> None:
        self.acknowledged = offset
        self.on_disk = on_disk
        now = time.monotonic()
        self.heard = now
        if self.state == "sent":
            self.state = "online"
            self.pump()
        self.behind_since = 0.0 if offset >= self.replication.offset else self.behind_since or now

    def over_limit(self, limit: Any) -> str:
        """Why it is to be dropped: it leaves too much lying. Empty if it does not."""
        waiting = self.replication.offset - self.position + self.session.output_bytes
        size = self.replication.backlog.size if self.replication.backlog else 0
        if limit.hard and waiting > max(limit.hard, size):
            return f"{waiting} bytes wait for it"
        if not limit.soft or waiting <= max(limit.soft, size):
            self.over_soft_since = 0.0
            return ""
        now = time.monotonic()
        self.over_soft_since = self.over_soft_since or now
        late = now - self.over_soft_since > limit.seconds
        return f"{waiting} bytes have waited for it for {limit.seconds} seconds" if late else ""

    def end(self) -> None:
        if self.state == "snapshot" and self.takes_rest and self.snapshot is not None:
            self.snapshot.interrupted_at = time.monotonic()  # at once: else what it needs of the backlog might go
        self.state = "gone"
        self.may_write.set()
        if self.task is not None:
            self.task.cancel()
