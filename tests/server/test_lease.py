"""A master serves while the deadline in memory has not passed; behind it, not even what it had executed is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ringkeeper.cluster.topology import Node as Member
from ringkeeper.cluster.topology import Shard, Topology
from ringkeeper.resp.writer import encode_command
from ringkeeper.server import lease_layout
from ringkeeper.server.config import read_arguments
from ringkeeper.server.lease import Lease
from ringkeeper.server.node import Node
from ringkeeper.store.slot import SLOTS

MINUTE = 60 * 10**9
REFUSED = b"-CLUSTERDOWN The lease of this master has run out\r\n"
NEVER_HELD = b"-CLUSTERDOWN This master has no lease yet\r\n"


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def grant(lease: Lease, term: int, for_ns: int = MINUTE) -> None:
    """What the lease process writes."""
    lease.words[lease_layout.LEASE_TERM] = term
    lease.words[lease_layout.DEADLINE] = now() + for_ns


def test_a_lease_holds_until_its_deadline_in_its_own_term() -> None:
    lease = Lease()
    lease.follow(needed=True, term=3)
    assert not lease.holds()
    grant(lease, 3)
    assert lease.holds()
    assert 0 < lease.remaining_ns() <= MINUTE
    grant(lease, 2)
    assert not lease.holds(), "of an older term"
    assert lease.remaining_ns() == 0
    grant(lease, 3, for_ns=-1)
    assert not lease.holds()
    assert lease.remaining_ns() == 0


def test_a_released_term_is_never_served_again() -> None:
    lease = Lease()
    lease.follow(needed=True, term=3)
    grant(lease, 3)
    lease.release()
    assert not lease.holds()
    grant(lease, 3)
    lease.follow(needed=True, term=3)
    assert not lease.holds()
    assert lease.words[lease_layout.RELEASED_TERM] == 3
    lease.follow(needed=True, term=4)
    grant(lease, 4)
    assert lease.holds(), "appointed again"


def test_looking_turns_the_gates_once_for_each_change() -> None:
    lease = Lease()
    turns: list[bool] = []
    lease.turned = turns.append
    lease.follow(needed=True, term=1)
    assert turns == [], "they were shut"
    grant(lease, 1)
    lease.look()
    lease.look()
    grant(lease, 1, for_ns=0)
    lease.begin_turn(5)
    lease.begin_turn(6)
    assert turns == [True, False]
    assert lease.words[lease_layout.PROGRESS] == 6


def test_a_voter_that_has_promised_acknowledges_no_older_stream() -> None:
    lease = Lease()
    assert lease.may_acknowledge(4, 100)
    lease.words[lease_layout.PROMISED_TERM] = 5
    assert not lease.may_acknowledge(4, 200)
    assert lease.may_acknowledge(5, 250)
    words = lease.words
    assert [words[lease_layout.STREAM_TERM], words[lease_layout.OFFSET]] == [5, 250]
    assert words[lease_layout.POSITION_CHANGES] % 2 == 0


class Served:
    """A master with a voter, in this process, and connections to it."""

    def __init__(self, node: Node, port: int) -> None:
        self.node = node
        self.port = port
        self.lease = node.clients.traffic.lease

    async def connect(self) -> Connection:
        return Connection(*await asyncio.open_connection("127.0.0.1", self.port))


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *commands: str) -> None:
        self.writer.write(b"".join(encode_command([word.encode() for word in line.split()]) for line in commands))

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.readexactly(size)

    async def expect(self, reply: bytes) -> None:
        assert await self.read(len(reply)) == reply

    async def until_closed(self) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.read()


def topology(node: Node, *, epoch: int = 1, term: int = 1, voting: bool = True) -> Topology:
    me = node.membership.id
    other = "b" * 40
    return Topology(
        cluster="c", uid="uid", epoch=epoch, leader=1, vnodes_per_shard=10,
        nodes=(
            Member(me, "c-0-0", 0, "", "127.0.0.1", 1, 2, "master", node.run_id),
            Member(other, "c-0-1", 0, "", "127.0.0.1", 3, 4, "replica", "run"),
        ),
        shards=(Shard(0, term, me, (other,) if voting else ()),), owners=(0,) * SLOTS,
    )  # fmt: skip


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    options = ["--port", "0", "--bind", "127.0.0.1", "--dir", str(tmp_path), "--cluster-enabled", "yes"]
    node = Node(read_arguments([*options, "--cluster-uid", "uid", "--node-name", "c-0-0"]), asyncio.get_running_loop())
    server = await node.loop.create_server(node.clients.new_session, "127.0.0.1", 0)
    node.clients.traffic.lease.share(bytearray(lease_layout.SIZE))
    node.membership.enforce(topology(node), b"{}")
    yield Served(node, server.sockets[0].getsockname()[1])
    server.close()
    for session in node.clients.all():
        session.transport.abort()


async def test_without_a_lease_a_master_with_voters_refuses_data_and_nothing_else(served: Served) -> None:
    client = await served.connect()
    client.send("GET k", "SET k v", "DBSIZE", "KEYS *", "SPUBLISH c m", "PING")
    await client.expect(NEVER_HELD * 5 + b"+PONG\r\n")
    grant(served.lease, 1)
    client.send("SET k v", "GET k", "DBSIZE")
    await client.expect(b"+OK\r\n$1\r\nv\r\n:1\r\n")
    grant(served.lease, 1, for_ns=-1)
    client.send("GET k", "DBSIZE", "PING")
    await client.expect(REFUSED * 2 + b"+PONG\r\n")
    client.send("CLUSTER INFO")
    assert b"cluster_state:fail" in await client.read(40)
    client = await served.connect()
    grant(served.lease, 1)
    client.send("GET k")
    await client.expect(b"$1\r\nv\r\n")
    assert served.node.fence.times == 1


async def test_a_master_without_voters_needs_no_lease(served: Served) -> None:
    served.node.membership.enforce(topology(served.node, epoch=2, voting=False), b"{}")
    client = await served.connect()
    client.send("SET k v")
    await client.expect(b"+OK\r\n")


async def test_what_ran_under_a_lease_that_is_gone_by_then_is_not_answered(served: Served) -> None:
    """The command outlives the lease; it ran, its reply does not leave, and the connection is closed."""
    grant(served.lease, 1)
    client = await served.connect()
    client.send("SET k v")
    await client.expect(b"+OK\r\n")

    def outlast(_: float) -> None:
        grant(served.lease, 1, for_ns=-1)

    served.node.sleep = outlast  # type: ignore[method-assign]
    served.node.gatehouse.debug = "yes"
    served.node.choose_gates()
    client.send("GET k", "DEBUG SLEEP 1", "GET k")
    assert await client.until_closed() == b""
    other = await served.connect()
    other.send("GET k")
    await other.expect(REFUSED)


async def test_a_transaction_runs_as_a_whole_or_is_refused_as_one(served: Served) -> None:
    grant(served.lease, 1)
    client = await served.connect()
    client.send("MULTI", "SET k v", "PING")
    await client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n")
    grant(served.lease, 1, for_ns=-1)
    client.send("EXEC", "EXEC")
    await client.expect(REFUSED + b"-ERR EXEC without MULTI\r\n")
    client.send("MULTI", "PING", "EXEC", "MULTI", "DBSIZE", "EXEC")
    await client.expect(b"+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n+OK\r\n" + REFUSED)
    await client.expect(b"-EXECABORT Transaction discarded because of previous errors.\r\n")


async def test_with_stale_reads_a_master_without_a_lease_answers_what_only_reads(served: Served) -> None:
    served.node.config.set([("cluster-allow-reads-when-down", "yes")])
    client = await served.connect()
    grant(served.lease, 1)
    client.send("SET k v")
    await client.expect(b"+OK\r\n")
    grant(served.lease, 1, for_ns=-1)
    client.send("GET k", "DBSIZE", "SET k w", "FLUSHALL")
    await client.expect(b"$1\r\nv\r\n:1\r\n" + REFUSED * 2)
    client.send("MULTI", "GET k", "GET k", "EXEC", "MULTI", "GET k", "SET k w", "EXEC")
    await client.expect(b"+OK\r\n" + b"+QUEUED\r\n" * 2 + b"*2\r\n" + b"$1\r\nv\r\n" * 2)
    await client.expect(
        b"+OK\r\n+QUEUED\r\n" + REFUSED + b"-EXECABORT Transaction discarded because of previous errors.\r\n"
    )
    served.node.config.set([("cluster-allow-reads-when-down", "no")])
    client.send("GET k")
    await client.expect(REFUSED)


async def test_whoever_waits_for_a_key_is_refused_when_the_lease_goes(served: Served) -> None:
    grant(served.lease, 1)
    waiting, other = await served.connect(), await served.connect()
    waiting.send("BLPOP list 0")
    other.send("SET k v")
    await other.expect(b"+OK\r\n")
    async with asyncio.timeout(20):
        while not served.node.waiting.count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    grant(served.lease, 1, for_ns=-1)
    other.send("GET k")
    await other.expect(REFUSED)
    await waiting.expect(REFUSED)


async def test_a_wait_that_ends_without_a_lease_before_anybody_looked_is_not_answered(served: Served) -> None:
    grant(served.lease, 1)
    waiting = await served.connect()
    waiting.send("BLPOP list 0.05")
    async with asyncio.timeout(20):
        while not served.node.waiting.count:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    grant(served.lease, 1, for_ns=-1)
    assert await waiting.until_closed() == b""


async def test_what_waited_for_the_disk_is_not_answered_in_a_later_term(served: Served) -> None:
    grant(served.lease, 1)
    client = await served.connect()
    client.send("SET k v")
    await client.expect(b"+OK\r\n")
    journal = served.node.effects.journal
    (session,) = served.node.clients.all()
    session.awaited = 10**9
    client.send("SET k w")
    async with asyncio.timeout(20):
        while not journal.held:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    served.node.membership.enforce(topology(served.node, epoch=2, term=3), b"{}")
    grant(served.lease, 3)
    served.lease.look()
    session.awaited = 0
    session.release()
    assert await client.until_closed() == b""


async def test_a_new_term_needs_a_lease_of_its_own(served: Served) -> None:
    grant(served.lease, 1)
    client = await served.connect()
    client.send("SET k v")
    await client.expect(b"+OK\r\n")
    served.node.membership.enforce(topology(served.node, epoch=2, term=2), b"{}")
    client.send("GET k")
    await client.expect(REFUSED)
    grant(served.lease, 2)
    client.send("GET k")
    await client.expect(b"$1\r\nv\r\n")


async def test_whoever_asks_when_it_serves_is_told_as_soon_as_it_does(served: Served) -> None:
    fence = served.node.fence
    waiting = asyncio.create_task(fence.await_serving(2, 60))
    too_long = asyncio.create_task(fence.await_serving(3, 0.01))
    grant(served.lease, 1)
    served.lease.look()
    await too_long
    assert not waiting.done(), "it is master of a term before that"
    served.node.membership.enforce(topology(served.node, epoch=2, term=2), b"{}")
    await asyncio.sleep(0)
    assert not waiting.done(), "it has no lease yet"
    grant(served.lease, 2)
    served.lease.look()
    async with asyncio.timeout(20):
        await waiting
    assert fence.serves_in(2)
    served.node.membership.enforce(topology(served.node, epoch=3, term=3, voting=False), b"{}")
    await fence.await_serving(3, 60)
    assert not fence.openings
