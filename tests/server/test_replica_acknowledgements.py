"""`minAcks`: what is answered has been acknowledged by as many voters; replies that need not wait do not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lines import Client, connect, until

from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A master with one voter of two that must acknowledge."""
    node = Node(
        read_arguments(["--port", "0", "--bind", "127.0.0.1", "--dir", str(tmp_path)]), asyncio.get_running_loop()
    )
    await node.start()
    node.replication.replicas.voters = frozenset({("a", "run"), ("b", "run")})
    node.replication.replicas.min_acks = 1
    yield node
    await node.stop()


class Replica:
    """Takes what it is sent, and acknowledges what it is told to."""

    def __init__(self, node: Node, client: Client, name: str, run: str) -> None:
        self.node = node
        self.client = client
        self.name = name
        self.run = run
        self.received = b""
        self.task = asyncio.create_task(self.read())

    async def read(self) -> None:
        while data := await self.client.reader.read(1 << 16):
            self.received += data

    def acknowledge(self, offset: int) -> None:
        self.client.send(f"REPLCONF ACK {offset}")


async def follow(node: Node, name: str, run: str = "run") -> Replica:
    """A replica that has all there is, and has said nothing of it."""
    before = set(node.replication.replicas.feeds)
    replica = Replica(node, await connect(node), name, run)
    replica.client.send("PSYNC ? -1")
    await until(lambda: set(node.replication.replicas.feeds) - before)
    feed = next(node.replication.replicas.feeds[session] for session in set(node.replication.replicas.feeds) - before)
    feed.id, feed.run_id = name, run
    await until(lambda: feed.online)
    node.replication.replicas.need(1)
    return replica


async def test_a_reply_waits_for_the_acknowledgement_and_others_do_not(node: Node) -> None:
    replica = await follow(node, "a")
    writer, reader = await connect(node), await connect(node)
    replica.acknowledge(node.replication.offset)
    assert await reader.ask("EXISTS other") == b":0\r\n"
    writer.send("SET key 1")
    await until(lambda: node.effects.journal.held)
    assert await reader.ask("EXISTS other") == b":0\r\n", "it is in another slot"
    assert await reader.ask("PING") == b"+PONG\r\n"
    reader.send("EXISTS key")
    await until(lambda: len(node.effects.journal.held) == 2)
    await until(lambda: b"GETACK" in replica.received)
    replica.acknowledge(node.replication.offset)
    assert await writer.line() == b"+OK\r\n"
    assert await reader.line() == b":1\r\n"


async def test_what_sees_everything_waits_for_everything(node: Node) -> None:
    replica = await follow(node, "a")
    replica.acknowledge(node.replication.offset)
    writer, reader = await connect(node), await connect(node)
    writer.send("SET key 1")
    await until(lambda: node.effects.journal.held)
    reader.send("DBSIZE")
    await until(lambda: len(node.effects.journal.held) == 2)
    replica.acknowledge(node.replication.offset)
    assert await reader.line() == b":1\r\n"


async def test_only_voters_count(node: Node) -> None:
    voter = await follow(node, "a")
    voter.acknowledge(node.replication.offset)
    strangers = [await follow(node, "c"), await follow(node, "b", "another run")]
    writer = await connect(node)
    writer.send("SET key 1")
    await until(lambda: node.effects.journal.held)
    for each in strangers:
        each.acknowledge(node.replication.offset)
    await until(
        lambda: sum(feed.acknowledged == node.replication.offset for feed in node.replication.replicas.listed) == 2
    )
    assert node.effects.journal.held
    voter.acknowledge(node.replication.offset)
    assert await writer.line() == b"+OK\r\n"


async def test_what_a_new_master_has_may_be_known_to_nobody_else_and_is_not_shown_before_it_is(node: Node) -> None:
    replica = await follow(node, "a")
    reader = await connect(node)
    reader.send("EXISTS key")
    await until(lambda: node.effects.journal.held)
    replica.acknowledge(node.replication.offset)
    assert await reader.line() == b":0\r\n"


async def test_who_waits_is_not_answered_when_the_master_becomes_a_replica(node: Node) -> None:
    replica = await follow(node, "a")
    replica.acknowledge(node.replication.offset)
    writer = await connect(node)
    writer.send("SET key 1")
    await until(lambda: node.effects.journal.held)
    node.replication.become_replica("127.0.0.1", 1, 0)
    assert await writer.reader.read() == b""


async def test_a_transaction_waits_as_a_whole(node: Node) -> None:
    replica = await follow(node, "a")
    replica.acknowledge(node.replication.offset)
    writer = await connect(node)
    for line in ("MULTI", "SET key 1", "INCR key"):
        await writer.ask(line)
    writer.send("EXEC")
    await until(lambda: node.effects.journal.held)
    replica.acknowledge(node.replication.offset)
    assert [await writer.line() for _ in range(3)] == [b"*2\r\n", b"+OK\r\n", b":2\r\n"]


async def test_without_enough_voters_writes_are_refused(node: Node) -> None:
    node.replication.replicas.need(1)
    client = await connect(node)
    assert (await client.ask("SET key 1")).startswith(b"-NOREPLICAS")
