"""The operator's side of heartbeats: one UDP socket for all clusters, an `Arbiter` for each of their shards.

The rules are pure and stand in `ringkeeper.cluster.arbiter`; here they meet the clock and the network. Nothing here
waits for a reconcile loop: its rounds may take seconds. A verdict that changed wakes the loop (`Watch.when_changed`).

A datagram is believed if its seal is of the cluster's admin token (`ringkeeper.cluster.seal`), and is taken for the
cluster whose node has the address that it came from.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ringkeeper.cluster.arbiter import Arbiter, Recovery, Verdict
from ringkeeper.cluster.changes import Appoint
from ringkeeper.cluster.handover import Policy
from ringkeeper.cluster.lease import Sent
from ringkeeper.cluster.messages import NEVER, MessageError, decode, encode
from ringkeeper.cluster.seal import Sealer
from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import AskHandover, Spec
from ringkeeper_operator.plan.size import leaving
from ringkeeper_operator.status import has_no_master

log = logging.getLogger(__name__)

Address = tuple[str, int]
SHORTEST_PAUSE, LONGEST_PAUSE = 5_000_000, 500_000_000
"""Nanoseconds between two looks at the clock, if nothing arrives."""
FAMILIES = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}


def boot_time_ns() -> int:
    """A clock that neither jumps nor stops while the machine sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Timing:
    """Of an outage, nanoseconds of the watch's clock."""

    heard: int
    """When the master was heard last."""
    suspected: int


class Heartbeats(asyncio.DatagramProtocol):
    """The socket (two, where there is IPv6), and who listens to which node."""

    def __init__(self) -> None:
        self.transports: dict[socket.AddressFamily, asyncio.DatagramTransport] = {}
        self.watches: dict[Address, Watch] = {}
        """By the address of each node that is listened to."""

    async def open(self) -> None:
        events = asyncio.get_running_loop()
        for family, anywhere in FAMILIES.items():
            with contextlib.suppress(OSError):
                transport, _ = await events.create_datagram_endpoint(lambda: self, (anywhere, 0), family=family)
                self.transports[family] = transport

    def close(self) -> None:
        for transport in self.transports.values():
            transport.close()
        self.transports.clear()

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        watch = self.watches.get((addr[0], addr[1]))
        if watch is not None:
            watch.received(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens at a node's port: its silence says enough."""

    def send(self, datagram: bytes, address: Address) -> None:
        transport = self.transports.get(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if transport is not None:
            transport.sendto(datagram, address)


class Watch:
    """One cluster's heartbeats, from `follow` to `close`."""

    def __init__(
        self, heartbeats: Heartbeats, *, leads_until: Callable[[], int] = lambda: NEVER,
        clock: Callable[[], int] = boot_time_ns,
    ) -> None:  # fmt: skip
        """`leads_until`: on this clock, until when nobody else can lead."""
        self.heartbeats = heartbeats
        self.leads_until = leads_until
        self.clock = clock
        self.recovery = Recovery()
        self.lasting_nodes: int | None = None
        """How many nodes of a shard are to stay; None: all."""
        self.when_changed: Callable[[bool], None] = lambda urgent: None  # noqa: ARG005
        """Called when a verdict changed that concerns the loop; with True when a master is to be appointed."""
        self.arbiters: dict[int, Arbiter] = {}
        self.verdicts: dict[int, Verdict] = {}
        self.timings: dict[int, Timing] = {}
        """Of the shards that have had no healthy master."""
        self.addresses: dict[str, Address] = {}
        """By node id."""
        self.sealer: Sealer | None = None
        self.token = ""
        self.ticking: asyncio.Task[None] | None = None

    def heed(self, spec: Spec) -> None:
        """What the manifest says for when all nodes of a shard were down, and how many of them are to stay."""
        rules = spec.failover
        self.recovery = Recovery(Policy(rules.recovery_policy), int(rules.recovery_seconds * 1e9))
        self.lasting_nodes = spec.lasting_nodes

    def follow(self, topology: Topology, leader: int, token: str, moved: Mapping[str, Address]) -> None:
        """Listen to the nodes of a committed topology as leader `leader`; `moved` are newer addresses, by node id."""
        now = self.clock()
        if token != self.token:
            self.token, self.sealer = token, Sealer(token.encode())
        self._listen({node.id: (node.address, node.port) for node in topology.nodes if node.address} | dict(moved))
        for index in self.arbiters.keys() - {shard.index for shard in topology.shards}:
            del self.arbiters[index], self.verdicts[index]
        gone = leaving(topology, self.lasting_nodes) if self.lasting_nodes is not None else frozenset()
        for shard in topology.shards:
            arbiter = self.arbiters.setdefault(shard.index, Arbiter(shard.index))
            arbiter.recovery, arbiter.leaving = self.recovery, gone
            if arbiter.number != leader:
                arbiter.lead(leader, topology, now=now, until=self.leads_until())
            else:
                arbiter.follow(topology, now)
            self._look_at(arbiter, now)
        if self.ticking is None:
            self.ticking = asyncio.create_task(self._tick())

    def end(self, runs: Iterable[str]) -> None:
        """These runs are over for certain: the process was reaped."""
        now = self.clock()
        ended = list(runs)
        for arbiter in self.arbiters.values():
            for run in ended:
                arbiter.end(run, now)
            self._look_at(arbiter, now)

    def hand_over(self, request: AskHandover) -> None:
        """Ask the master of a shard to make room for a node, if it is still the one that was meant."""
        arbiter = self.arbiters.get(request.shard)
        if arbiter is not None and arbiter.term == request.term:
            arbiter.hand_over(request.target, insists=request.insists)
            self._look_at(arbiter, self.clock())

    def forget_handover(self, shard: int) -> None:
        """Nobody wants it any more."""
        if arbiter := self.arbiters.get(shard):
            arbiter.hand_over(None)

    @property
    def handovers(self) -> dict[int, str]:
        """Shards whose master is asked to make room, and for which node."""
        return {index: arbiter.wanted for index, arbiter in self.arbiters.items() if arbiter.wanted is not None}

    @property
    def alarming(self) -> bool:
        """Whether a shard has no master, as far as heartbeats tell."""
        return any(
            arbiter.topology is not None and has_no_master(arbiter.topology, index, self.verdicts.get(index))
            for index, arbiter in self.arbiters.items()
        )

    def pause(self) -> None:
        """Say nothing more: who leads is in doubt."""
        if self.ticking is not None:
            self.ticking.cancel()
            self.ticking = None
        self.arbiters.clear()
        self.verdicts.clear()
        self._listen({})

    close = pause

    def received(self, datagram: bytes) -> None:
        said = self.sealer.open(datagram) if self.sealer is not None else None
        if said is None:
            return
        try:
            message = decode(said)
        except MessageError as error:
            log.info("a datagram with our seal is no message: %s", error)
            return
        arbiter = self.arbiters.get(message.shard)
        if arbiter is not None:
            now = self.clock()
            self._transmit(arbiter.on(message, now))
            self._look_at(arbiter, now)

    def look(self) -> int:
        """Send what is due and judge every master anew; answers when to look again, by the clock."""
        now = self.clock()
        for arbiter in self.arbiters.values():
            arbiter.renewed(self.leads_until(), now)
            self._look_at(arbiter, now)
        return min((arbiter.due(now) for arbiter in self.arbiters.values()), default=NEVER)

    async def _tick(self) -> None:
        while True:
            next_ = self.look()
            await asyncio.sleep(min(max(next_ - self.clock(), SHORTEST_PAUSE), LONGEST_PAUSE) / 1e9)

    def _look_at(self, arbiter: Arbiter, now: int) -> None:
        """Send what is due, and tell of a verdict that changed."""
        self._transmit(arbiter.tick(now))
        verdict = arbiter.verdict(now)
        if verdict.since:
            self.timings[arbiter.index] = Timing(arbiter.heard_master_at, verdict.since)
        before = self.verdicts.get(arbiter.index)
        self.verdicts[arbiter.index] = verdict
        if before is None or (before.state, before.change) != (verdict.state, verdict.change):
            self._transmit(arbiter.tick(now))
            self.when_changed(isinstance(verdict.change, Appoint))

    def _transmit(self, sent: Iterable[Sent]) -> None:
        if self.sealer is None:
            return
        for node, message in sent:
            address = self.addresses.get(node)
            if address is not None:
                self.heartbeats.send(self.sealer.seal(encode(message)), address)

    def _listen(self, addresses: dict[str, Address]) -> None:
        addresses = {node: address for node, address in addresses.items() if _is_numeric(address[0])}
        if addresses == self.addresses:
            return
        for address in self.addresses.values():
            if self.heartbeats.watches.get(address) is self:
                del self.heartbeats.watches[address]
        self.addresses = addresses
        self.heartbeats.watches.update(dict.fromkeys(addresses.values(), self))


def _is_numeric(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
