"""Heartbeats over real sockets: the operator's side, with nodes that are the pure rules behind a socket each."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator

import pytest

from ringkeeper.cluster.changes import Appoint, carried_out
from ringkeeper.cluster.lease import OPERATOR, NodeLease, Pledge, Sent
from ringkeeper.cluster.messages import decode, encode
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.seal import Sealer
from ringkeeper.cluster.topology import Node, Shard, Topology, node_id
from ringkeeper_operator.runtime.heartbeats import Address, Heartbeats, Watch, boot_time_ns

TOKEN = "secret"
DEADLINE = 30.0
INTERVAL_MS = 50


class FakeNode(asyncio.DatagramProtocol):
    """A node's lease process."""

    def __init__(self, name: str, token: str = TOKEN) -> None:
        self.name = name
        self.id = node_id("uid", name)
        self.rules = NodeLease(self.id, f"run-of-{name}")
        self.sealer = Sealer(token.encode())
        self.operator: Address | None = None
        self.peers: dict[str, Address] = {}

    async def open(self) -> None:
        events = asyncio.get_running_loop()
        self.transport, _ = await events.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self.address: Address = self.transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        said = self.sealer.open(data)
        if said is None:
            return
        message = decode(said)
        if type(message).__name__ in ("Hello", "AskPromise", "AskRelease"):
            self.operator = addr
        self.live()
        answer = self.rules.on(message, boot_time_ns())
        if isinstance(answer, Pledge):
            answer = self.rules.pledged(answer, Position(1, 5), candidate=True, now=boot_time_ns())
        self.send(answer)

    def live(self) -> None:
        self.rules.node_says(Position(1, 5), candidate=True, progress_at=boot_time_ns())

    def send(self, sent: list[Sent]) -> None:
        for to, message in sent:
            address = self.operator if to == OPERATOR else self.peers[to]
            if address is not None:
                self.transport.sendto(self.sealer.seal(encode(message)), address)

    def follow(self, topology: Topology) -> None:
        self.peers = {node.id: (node.address, node.port) for node in topology.nodes}
        self.live()
        self.send(self.rules.follow(topology, boot_time_ns()))


def topology_of(*nodes: FakeNode) -> Topology:
    """One shard; the first is master, the others vote."""
    return Topology(
        cluster="c",
        uid="uid",
        epoch=1,
        leader=1,
        vnodes_per_shard=1,
        nodes=tuple(
            Node(node.id, node.name, 0, "", *node.address, 1, "replica" if index else "master", node.rules.run_id)
            for index, node in enumerate(nodes)
        ),
        shards=(Shard(0, 1, nodes[0].id, tuple(node.id for node in nodes[1:])),),
        owners=(0,) * 16384,
        heartbeat_ms=INTERVAL_MS,
    )


@contextlib.asynccontextmanager
async def two_nodes(token: str = TOKEN) -> AsyncIterator[tuple[Watch, FakeNode, FakeNode, Topology]]:
    heartbeats = Heartbeats()
    await heartbeats.open()
    nodes = FakeNode("c-0-0", token), FakeNode("c-0-1", token)
    for node in nodes:
        await node.open()
    watch = Watch(heartbeats)
    topology = topology_of(*nodes)
    try:
        for node in nodes:
            node.follow(topology)
        yield watch, *nodes, topology
    finally:
        watch.close()
        heartbeats.close()
        for node in nodes:
            node.transport.close()


async def eventually(watch: Watch, state: str) -> None:
    async with asyncio.timeout(DEADLINE):
        while watch.verdicts[0].state != state:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_master_that_is_heard_gets_its_lease_from_the_operator() -> None:
    async with two_nodes() as (watch, master, _, topology):
        watch.follow(topology, 1, TOKEN, {})
        await eventually(watch, "healthy")
        async with asyncio.timeout(DEADLINE):
            while master.rules.lease is None or master.rules.lease.operator_until < boot_time_ns():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def test_a_run_that_is_over_for_certain_is_followed_by_a_voter_and_the_loop_is_woken() -> None:
    async with two_nodes() as (watch, master, replica, topology):
        told: list[bool] = []
        watch.when_changed = told.append
        watch.follow(topology, 1, TOKEN, {})
        await eventually(watch, "healthy")
        master.transport.close()
        watch.end(["another", master.rules.run_id])
        await eventually(watch, "appoint")
        assert told[-1]
        change = watch.verdicts[0].change
        assert isinstance(change, Appoint)
        assert (change.master.id, change.position) == (replica.id, Position(1, 5))
        assert watch.timings[0].suspected >= watch.timings[0].heard
        after = carried_out(topology, change)
        assert after is not None
        watch.follow(after, 1, TOKEN, {})
        replica.follow(after)
        await eventually(watch, "healthy")


async def test_a_master_that_falls_silent_is_replaced_when_its_leases_have_run_out() -> None:
    async with two_nodes() as (watch, master, replica, topology):
        watch.follow(topology, 1, TOKEN, {})
        await eventually(watch, "healthy")
        master.transport.close()
        await eventually(watch, "appoint")
        change = watch.verdicts[0].change
        assert isinstance(change, Appoint)
        assert change.master.id == replica.id
        assert watch.clock() - watch.timings[0].heard >= 3 * INTERVAL_MS * 1_000_000


async def test_who_does_not_have_the_token_is_not_heard() -> None:
    async with two_nodes(token="another") as (watch, _, _, topology):
        watch.follow(topology, 1, TOKEN, {})
        await eventually(watch, "suspected")


async def test_who_leads_no_more_says_nothing() -> None:
    async with two_nodes() as (watch, master, _, topology):
        watch.follow(topology, 1, TOKEN, {})
        await eventually(watch, "healthy")
        watch.pause()
        assert (watch.verdicts, watch.heartbeats.watches) == ({}, {})
        master.send([(OPERATOR, master.rules.heartbeat(boot_time_ns()))])
        watch.leads_until = lambda: 0
        watch.follow(topology, 1, TOKEN, {})
        assert watch.verdicts[0].state == "following"


async def test_a_node_that_moved_is_heard_at_its_new_address() -> None:
    async with two_nodes() as (watch, master, replica, topology):
        old = dataclasses.replace(topology.nodes[0], address="127.0.0.1", port=9)
        stale = dataclasses.replace(topology, nodes=(old, topology.nodes[1]))
        watch.follow(stale, 1, TOKEN, {master.id: master.address})
        await eventually(watch, "healthy")
        assert set(watch.heartbeats.watches) == {master.address, replica.address}


@pytest.mark.parametrize("garbage", [b"", b"x" * 32, b"x" * 1500])
async def test_garbage_is_dropped(garbage: bytes) -> None:
    async with two_nodes() as (watch, master, _, topology):
        watch.follow(topology, 1, TOKEN, {})
        watch.received(garbage)
        watch.received(master.sealer.seal(b'["Heartbeat", 1]'))
        await eventually(watch, "healthy")
