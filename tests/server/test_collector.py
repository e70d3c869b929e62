"""The server spares the cyclic collector, so what comes and goes must be free of cycles."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringkeeper import _compiled
from ringkeeper.resp.writer import encode_command
from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node
from ringkeeper.server.session import Session
from ringkeeper.store.keyspace import Clock, Keyspace
from ringkeeper.types.collection import Limits
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set

LIVES = (
    [["PING"]],
    [["MULTI"], ["SET", "k", "v"], ["EXEC"]],
    [["WATCH", "k"], ["MULTI"]],
    [["HELLO", "3"], ["CLIENT", "TRACKING", "ON"], ["GET", "k"]],
    [["SUBSCRIBE", "c"]],
    [["BLPOP", "none", "0"]],
    [["MONITOR"]],
    [["NOSUCHCOMMAND"], ["INCRBY", "k", "x"]],
)
"""What clients say before they go."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def sessions() -> int:
    return sum(type(each) is Session for each in gc.get_objects())


@pytest.mark.usefixtures("no_collector")
async def test_a_session_whose_connection_ended_is_gone_without_the_collector(tmp_path: Path) -> None:
    config = read_arguments(["--port", "0", "--admin-port", "0", "--bind", "127.0.0.1", "--dir", str(tmp_path)])
    node = Node(config, asyncio.get_running_loop())
    server = await node.loop.create_server(node.clients.new_session, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    before = sessions()
    for life in LIVES:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(encode_command([word.encode() for word in command]) for command in life))
        await until(lambda: node.dispatcher.processed > 0 or node.dispatcher.errors)
        writer.close()
        await writer.wait_closed()
    await until(lambda: not node.clients.sessions)
    await until(lambda: sessions() == before)
    server.close()


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_data_is_nothing_to_the_collector() -> None:
    """But for the plain lists and dictionaries inside; there are a few of those in a collection, however long it is."""
    keyspace = Keyspace(Clock(0))
    tracked = len(gc.get_objects())
    for number in range(1000):
        keyspace.set(b"string:%d" % number, b"value")
    compiled = _compiled.form("ringkeeper.store.keyspace") == "compiled"
    assert len(gc.get_objects()) - tracked < (50 if compiled else 5000)
    for kind in (Set, Hash, List):
        assert gc.is_tracked(kind(Limits())) != compiled
