"""MONITOR shows the same commands in the same words and order as Redis does."""

import re
from typing import Any

import pytest
from wire import Wire
from worlds import World

LINES = """
PING
set k v
FOO x
GET
GET k
MULTI
SET k w
INCR k
FOO
EXEC
MULTI
SET k w
INCR k
EXEC
MULTI
GET k
DISCARD
SELECT 3
GET k
LPUSH k x
AUTH x
AUTH default y
HELLO 2 AUTH a b
HELLO 3
HELLO 2
CONFIG SET timeout 0
CONFIG GET port
CLIENT LIST
CLIENT ID
ACL WHOAMI
INFO server
COMMAND COUNT
DEBUG SLEEP 0
SLOWLOG GET
SUBSCRIBE c
PING
UNSUBSCRIBE
PUBLISH c m
BLPOP l 0.01
WATCH k
UNWATCH
OBJECT ENCODING k
MEMORY USAGE k
LATENCY LATEST
SORT k
DBSIZE
FLUSHALL
CLIENT KILL ID 999999
RESET
QUIT
"""


def shown(message: Any) -> str:
    """Without the time and the client's port."""
    assert re.match(r"\d{10}\.\d{6} \[\d+ 127\.0\.0\.1:\d+\] ", message), message
    return re.sub(r"^[\d.]+ |127\.0\.0\.1:\d+", "", message)


def of(port: int, *commands: str | tuple[bytes, ...], protocol: int = 2) -> list[str]:
    """What one connection sees of another's commands."""
    with Wire(port, protocol) as monitor, Wire(port) as client, Wire(port) as last:
        assert monitor("MONITOR") == "OK"
        for command in commands:
            client(*command) if isinstance(command, tuple) else client(command)
        last("ECHO", "the end")
        seen = []
        while (line := shown(monitor.read())) != '[0 ] "ECHO" "the end"':
            seen.append(line)
        return seen


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_same_is_shown_as_elsewhere(all_servers: dict[str, int], protocol: int) -> None:
    lines = LINES.split("\n")[1:-1]
    seen = {name: of(port, *lines, protocol=protocol) for name, port in all_servers.items()}
    assert seen["node"] == seen["redis"]
    assert seen["node"] == seen["valkey"]


def test_every_byte_is_shown_so_that_it_can_be_read(all_servers: dict[str, int]) -> None:
    words = (b"ECHO", bytes(range(256)))
    seen = {name: of(port, words, (b"SET", b"k", b"")) for name, port in all_servers.items()}
    assert seen["node"] == seen["redis"] == seen["valkey"]


def test_a_woken_pop_is_shown_once(world: World) -> None:
    with Wire(world.port) as monitor, Wire(world.port) as waiter:
        monitor("MONITOR")
        waiter.send_line("BLPOP l 0")
        assert shown(monitor.read()) == '[0 ] "BLPOP" "l" "0"'
        world.other("RPUSH l v")
        assert waiter.read() == ["l", "v"]
        world.other("PING")
        assert [shown(monitor.read()) for _ in range(2)] == ['[0 ] "RPUSH" "l" "v"', '[0 ] "PING"']


def test_who_monitors_may_not_touch_data(world: World) -> None:
    with Wire(world.port) as monitor:
        monitor("MONITOR")
        for line in ("GET k", "SET k v", "PUBLISH c m"):
            assert monitor(line) == "-ERR Replica can't interact with the keyspace"
        assert monitor("GET").startswith("-ERR wrong number of arguments")
        assert monitor("FOO").startswith("-ERR unknown command")
        monitor.send_line("MONITOR")
        monitor.send_line("CLIENT ID")
        assert isinstance(monitor.read(), int), "said again it is not answered"


def test_behind_reset_a_monitor_is_a_client_as_any_other(world: World) -> None:
    with Wire(world.port) as monitor:
        monitor("MONITOR")
        assert monitor("RESET") == "RESET"
        world.other("SET k v")
        assert monitor("GET k") == "v"


def test_a_transaction_cannot_begin_to_monitor(world: World) -> None:
    with Wire(world.port) as client:
        client("MULTI")
        client("MONITOR")
        assert client("EXEC") == ["-ERR MONITOR isn't allowed for DENY BLOCKING client"]
        world.other("SET k v")
        assert client("GET k") == "v"
