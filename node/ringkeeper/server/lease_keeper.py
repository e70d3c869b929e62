"""The lease process as its node sees it: started, told what is in force, listened to, and started again when it dies.

The process (`server/lease_process.py`) exchanges heartbeats beside the node, with a clock and an interpreter of its
own, so that a long command neither loses the lease nor hides that the node hangs. They share memory
(`server/lease_layout.py`) and a pair of sockets, over which they say JSON, a packet each. It dies with the node: the
kernel kills it, and should that not be so, the end of the socket tells it to go. While there is none, the node
serves until the deadline that stands in memory, and no longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringkeeper.cluster.topology import HEARTBEAT_MS, UNOWNED, Topology, encode
from ringkeeper.server import lease_layout
from ringkeeper.store.slot import SLOTS

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

PROGRAM = Path(__file__).with_name("lease_process.py")
LONGEST_PACKET = 128 * 1024
LOOKS = 4
"""At the lease and at the process, in a heartbeat's time. As often the node says that its loop goes on."""
HUNG_SECONDS = 5.0
"""Without a round of the lease process: it is ended, and another one started."""
CONFIRMED_SECONDS = 2.0
"""For the lease process to take a topology."""
FIRST_PAUSE, LAST_PAUSE = 0.05, 5.0
"""Seconds before it is started again; doubled as long as none lives for `SETTLED_SECONDS`."""
SETTLED_SECONDS = 10.0
REAP_SECONDS = 0.005


class LeaseKeeper:
    """One a node that is in a cluster and has an admin token. Its process is a child of the event loop's thread."""

    def __init__(self, node: Node, token: bytes) -> None:
        self.node = node
        self.token = token
        self.lease = node.lease
        self.memory = os.memfd_create("ringkeeper-lease")
        os.ftruncate(self.memory, lease_layout.SIZE)
        self.lease.share(mmap.mmap(self.memory, lease_layout.SIZE))
        self.sockets: list[socket.socket] = []
        """For datagrams. They outlive a lease process, so that nothing is lost between two of them."""
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.started_at = 0.0
        self.ready = False
        self.restarts = 0
        self.pause = FIRST_PAUSE
        self.topology: Topology | None = None
        """What the process is to follow."""
        self.confirmed: asyncio.Future[None] | None = None
        """Done when it does."""
        self.on_pledge: Callable[[int], None] = lambda _: None
        """Called to stop replication streams of terms before this one: nothing of them is applied from then on, and
        the position noted last is what there is."""
        self.interval = HEARTBEAT_MS / 1000 / LOOKS
        self.timer: asyncio.TimerHandle | None = None
        self.restarting: asyncio.TimerHandle | None = None
        self.stopping = False

    # The process

    def start(self, sockets: list[socket.socket]) -> None:
        """Begin, with these sockets for datagrams; raises `OSError`."""
        self.sockets = sockets
        self.spawn()
        self.look()

    def spawn(self) -> None:
        """On the loop's own thread: the kernel would end the process together with any other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        passed = [theirs.fileno(), self.memory, *(each.fileno() for each in self.sockets)]
        # The system copies nothing of this process (vfork), however much data there is.
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(PROGRAM), *map(str, passed)], pass_fds=passed, stdin=subprocess.DEVNULL
            )
        ours.setblocking(False)
        self.control = ours
        self.ready = False
        self.started_at = time.monotonic()
        self.lease.words[lease_layout.BEAT] = time.monotonic_ns()
        self.node.loop.add_reader(ours.fileno(), self.read)
        self.tell(
            {
                "kind": "begin",
                "token": self.token.hex(),
                "folder": str(self.node.membership.folder.resolve()),
                "id": self.node.membership.id,
                "runId": self.node.run_id,
                "parent": os.getpid(),
                "restarted": self.restarts > 0,
            }
        )
        if self.topology is not None:
            self.tell_topology(self.topology)
        if self.node.handover.release.to:
            self.tell_released(self.node.handover.release.to)

    def tell_released(self, to: str) -> None:
        """This node gave up its term, which memory says as well, to this run."""
        self.tell({"kind": "released", "to": to})

    def tell_leaving(self, leaving: bool) -> None:
        """This node was told to end, or stays after all."""
        self.lease.words[lease_layout.LEAVING] = 1 if leaving else 0
        self.tell({"kind": "leaving"})

    def tell(self, message: dict[str, Any]) -> None:
        """What cannot be told is told to the next process, since this one is as good as dead."""
        if self.control is None:
            return
        try:
            self.control.send(json.dumps(message, separators=(",", ":")).encode())
        except OSError as error:
            log.warning("The lease process takes no messages (%s): ending it", error.strerror)
            self.end_process()

    def read(self) -> None:
        while self.control is not None:
            try:
                packet = self.control.recv(LONGEST_PACKET)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self.lost()
                return
            self.take(json.loads(packet))

    def take(self, message: dict[str, Any]) -> None:
        kind = message["kind"]
        if kind == "ready":
            self.ready = True
            log.info("Lease process %d is ready after %.3f s", message["pid"], time.monotonic() - self.started_at)
        elif kind == "following":
            confirmed = self.confirmed
            if confirmed is not None and self.topology is not None and message["epoch"] == self.topology.epoch:
                self.confirmed = None
                if not confirmed.done():
                    confirmed.set_result(None)
        elif kind == "granted":
            self.lease.begin_turn(time.monotonic_ns())
        elif kind == "release":
            self.node.handover.ask(message["term"], message["target"])
        elif kind == "pledge":
            self.on_pledge(message["term"])
            self.tell({"kind": "pledged", "term": message["term"]})
        elif kind == "log":
            log.log(logging.getLevelName(message["level"]), "%s", message["text"])

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None else None

    def end_process(self) -> None:
        if self.process is not None:
            self.process.kill()

    async def ended(self) -> None:
        """End the process that there is now, and wait until there is none of it."""
        self.end_process()
        process = self.process
        while process is not None and process.poll() is None:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(REAP_SECONDS)

    def lost(self) -> None:
        """The process ended: begin to wait for it, so that no zombie is left, and then for another."""
        assert self.control is not None
        self.node.loop.remove_reader(self.control.fileno())
        self.control.close()
        self.control = None
        self.end_process()
        self.reap()

    def reap(self) -> None:
        process = self.process
        assert process is not None
        code = process.poll()
        if code is None:
            self.node.loop.call_later(REAP_SECONDS, self.reap)
            return
        self.process = None
        self.ready = False
        if self.stopping:
            return
        self.restarts += 1
        if time.monotonic() - self.started_at > SETTLED_SECONDS:
            self.pause = FIRST_PAUSE
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        log.warning(
            "The lease process %d %s: another one is started in %.2f s. Until then this node gets no lease beyond the "
            "%.3f s that it has, and gives no grants",
            process.pid, how, self.pause, self.lease.remaining_ns() / 1e9,
        )  # fmt: skip
        self.restarting = self.node.loop.call_later(self.pause, self.restart)
        self.pause = min(2 * self.pause, LAST_PAUSE)

    def restart(self) -> None:
        try:
            self.spawn()
        except OSError as error:
            log.error("Cannot start a lease process: %s. Trying again in %.2f s", error.strerror, self.pause)
            self.restarting = self.node.loop.call_later(self.pause, self.restart)
            self.pause = min(2 * self.pause, LAST_PAUSE)

    # Topologies

    def follow(self, topology: Topology) -> None:
        """Another topology is in force in this node: have the process count by it.

        Where there is no process, what the last one counted by an older one is void.
        """
        self.topology = topology
        self.interval = topology.heartbeat_ms / 1000 / LOOKS
        if self.control is None:
            self.forget_lease()
        else:
            self.tell_topology(topology)

    async def followed(self) -> None:
        """Until the process counts by the topology in force. Only then may anybody hear that this node has it: who
        changed the voters relies upon their grants being counted so."""
        topology = self.topology
        if topology is None or self.control is None or self.lease.words[lease_layout.EPOCH] == topology.epoch:
            return
        self.confirmed = self.node.loop.create_future()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.confirmed, CONFIRMED_SECONDS)
            return
        log.warning("The lease process has not taken the topology of epoch %d: ending it", topology.epoch)
        await self.ended()
        self.forget_lease()

    def forget_lease(self) -> None:
        self.lease.words[lease_layout.DEADLINE] = 0

    def tell_topology(self, topology: Topology) -> None:
        """What concerns this node's shard: of a large cluster the rest would not fit into a packet."""
        me = topology.node(self.node.membership.id)
        shard = None if me is None else topology.shard(me.shard)
        own = replace(
            topology,
            nodes=tuple(node for node in topology.nodes if me is not None and node.shard == me.shard),
            shards=() if shard is None else (shard,),
            owners=(UNOWNED,) * SLOTS,
            moves=(),
        )
        self.tell({"kind": "follow", "topology": encode(own)})

    # Looking

    def look(self) -> None:
        """Say that the loop goes on, see whether there is a lease, and whether the process lives."""
        self.timer = self.node.loop.call_later(self.interval, self.look)
        now = time.monotonic_ns()
        asleep = (now - self.lease.words[lease_layout.PROGRESS]) / 1e9
        self.lease.begin_turn(now)
        silent = (now - self.lease.words[lease_layout.BEAT]) / 1e9
        if silent > HUNG_SECONDS + 2 * asleep and self.control is not None and self.process is not None:
            log.warning("The lease process %d has not gone round for %.1f s: ending it", self.process.pid, silent)
            self.lease.words[lease_layout.BEAT] = now
            self.end_process()

    async def stop(self) -> None:
        self.stopping = True
        for timer in (self.timer, self.restarting):
            if timer is not None:
                timer.cancel()
        await self.ended()
        for each in self.sockets:
            each.close()
