"""When the system gives the node no more memory: an error for the command, and nothing else."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis
from server_process import DEADLINE, Server

from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node

ROOM = 48 * 2**20
"""Bytes that the process may still take."""


def store_until_refused(client: redis.Redis, size: int) -> int:
    """How many values were stored. A value that is still to be read when there is no memory costs the connection."""
    for stored in range(2 * ROOM // size):
        try:
            client.set(f"k{stored}", b"x" * size)
        except (redis.ConnectionError, redis.exceptions.OutOfMemoryError):
            return stored
    return 2 * ROOM // size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of a running process is Linux's")
@pytest.mark.parametrize("size", [1_000_000, 3_000_000])
def test_a_command_without_memory_is_refused_and_the_node_goes_on(tmp_path: Path, size: int) -> None:
    server = Server(tmp_path)
    try:
        client = server.client(socket_timeout=30)
        client.set("first", "1")
        status = Path(f"/proc/{server.process.pid}/status").read_text().split()
        limit = int(status[status.index("VmSize:") + 1]) * 1024 + ROOM
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        stored = store_until_refused(client, size)
        assert 3 < stored < 2 * ROOM // size
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        client = server.client()
        assert client.get("first") == b"1"
        assert client.strlen("k0") == client.strlen(f"k{stored - 1}") == size
        assert client.dbsize() == stored + 1
        assert client.set("again", b"y" * size)
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    words = ["--port", "0", "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    node = Node(read_arguments(words), asyncio.get_running_loop())
    await node.start()
    yield node
    await node.stop()


async def test_a_round_that_breaks_off_is_not_the_last_one(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.loop.set_exception_handler(lambda *_: None)
    broken = asyncio.Event()

    def fail() -> None:
        broken.set()
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(node.upkeep, "start", fail)
        await asyncio.wait_for(broken.wait(), DEADLINE)
    went_on = asyncio.Event()
    monkeypatch.setattr(node.upkeep, "start", went_on.set)
    await asyncio.wait_for(went_on.wait(), DEADLINE)


async def test_a_client_whose_transport_could_not_tell_that_it_closed_does_not_wait_forever(node: Node) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b"PING\r\n")
    assert await reader.readline() == b"+PONG\r\n"
    (session,) = node.clients.all()
    transport: Any = session.transport
    transport.pause_reading()
    transport._closing = True
    node.survey.look_at(session)
    assert not session.closing, "it may be about to be told"
    node.survey.look_at(session)
    assert session.closing
    assert await asyncio.wait_for(reader.read(), DEADLINE) == b""
    assert not node.clients.all()
    transport._sock.close()
    writer.close()
