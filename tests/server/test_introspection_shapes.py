"""What the introspection commands answer, beside Redis 7.0.15 and Valkey 9.1: the same errors, the same shapes.

A shape is a reply without its figures: the kinds of its parts and the names of its fields. Of a list whose elements
look alike one stands for all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from differential.compare import Peer
from real_redis import real_redis
from server_process import serving

from ringkeeper.resp.values import ReplyError, SetReply, Simple, Verbatim


@dataclass(frozen=True)
class Ports:
    ours: int
    redis: int
    valkey: int


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ports]:
    with (
        serving(tmp_path_factory.mktemp("ours"), "--enable-debug-command", "yes") as server,
        real_redis(tmp_path_factory.mktemp("redis")) as redis,
        real_redis(tmp_path_factory.mktemp("valkey"), "valkey") as valkey,
    ):
        yield Ports(server.port, redis, valkey)


def shape(reply: Any) -> Any:
    match reply:
        case ReplyError():
            return f"-{reply.text}"
        case Simple() | Verbatim():
            return type(reply).__name__
        case dict():
            return {key: shape(value) for key, value in reply.items()}
        case list():
            parts = [shape(part) for part in reply]
            alike = len(parts) > 1 and all(part == parts[0] for part in parts)
            return (type(reply).__name__, parts[:1] if alike or isinstance(reply, SetReply) else parts)
    return type(reply).__name__


def pairs(reply: list[Any]) -> Any:
    """A map as RESP2 writes it."""
    return dict(zip(reply[::2], reply[1::2], strict=True))


def split(line: str) -> list[bytes]:
    return [word.encode() for word in line.split()]


def answers(port: int, protocol: int, lines: str) -> list[Any]:
    """Of commands, one a line, on a connection of their own."""
    peer = Peer(port, protocol)
    try:
        return peer.run([split(line) for line in lines.splitlines() if line.strip()])
    finally:
        peer.close()


SLOW = """
CONFIG SET latency-monitor-threshold 1
LATENCY RESET
DEBUG SLEEP 0.01
"""


ODD_NUMBERS = ["+1", " 1", "1x", "01", "1.5", "-1", "-0", "", "0x1", "99999999999", "3"]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(
    "lines",
    [
        f"{SLOW}LATENCY HISTORY command",
        f"{SLOW}LATENCY GRAPH command",
        f"{SLOW}LATENCY DOCTOR",
        f"{SLOW}LATENCY LATEST",
        f"{SLOW}LATENCY RESET none command\nLATENCY RESET command",
        "LATENCY GRAPH nothing",
        "LATENCY HISTORY nothing",
        "LATENCY HISTORY",
        "LATENCY GRAPH a b",
        "LATENCY LATEST a",
        "LATENCY NOTHING",
        "LATENCY HELP",
        "LATENCY",
        "CONFIG RESETSTAT\nLATENCY HISTOGRAM get nothing",
        "SLOWLOG GET x\nSLOWLOG GET -2\nSLOWLOG GET 1 2\nSLOWLOG FOO\nSLOWLOG LEN x\nSLOWLOG RESET x",
        "CONFIG SET slowlog-log-slower-than 0\nSLOWLOG RESET\nSET k v\nSLOWLOG GET 1\n"
        "CONFIG SET slowlog-log-slower-than 10000",
        "SLOWLOG HELP",
        "LOLWUT VERSION x\nLOLWUT VERSION",
        "OBJECT HELP\nOBJECT FOO k\nOBJECT HELP x",
        "MEMORY USAGE no\nMEMORY USAGE k SAMPLES\nMEMORY FOO",
        "COMMAND FOO\nCOMMAND COUNT x\nCOMMAND LIST FILTERBY FOO x\nCOMMAND LIST FILTERBY MODULE x",
        "COMMAND GETKEYS FOO x\nCOMMAND GETKEYS PING x\nCOMMAND INFO foo\nCOMMAND DOCS foo",
        *(f'COMMAND GETKEYS ZUNIONSTORE a "{n}" b c\nCOMMAND GETKEYS SINTERCARD "{n}" b c' for n in ODD_NUMBERS),
        "CONFIG GET\nCONFIG SET foo\nCONFIG SET foo bar\nCONFIG FOO\nCONFIG SET maxmemory x\nCONFIG HELP",
        "MEMORY USAGE nothing",
        "SET k v\nMEMORY USAGE k",
        "SADD s a b c\nMEMORY USAGE s SAMPLES 0",
        "MEMORY USAGE k SAMPLES",
        "MEMORY USAGE k SAMPLES x",
        "MEMORY USAGE k SAMPLES -1",
        "MEMORY USAGE k SAMPLES 0 SAMPLES 5",
        "MEMORY USAGE k NOTHING 1",
        "MEMORY DOCTOR",
        "MEMORY PURGE",
        "MEMORY STATS x",
        "MEMORY HELP",
    ],
)
def test_redis_own_shapes_and_errors(ports: Ports, protocol: int, lines: str) -> None:
    assert shape(answers(ports.ours, protocol, lines)) == shape(answers(ports.redis, protocol, lines))


def test_command_list_names_the_subcommands_too(ports: Ports) -> None:
    ours, theirs = (set(answers(port, 3, "COMMAND LIST")[-1]) for port in (ports.ours, ports.redis))
    subcommands = {name for name in theirs if b"|" in name and name.partition(b"|")[0] in ours}
    assert len(subcommands) > 90
    assert not subcommands - ours


@pytest.mark.parametrize("protocol", [2, 3])
def test_latency_histogram_has_redis_own_shape(ports: Ports, protocol: int) -> None:
    lines = "CONFIG RESETSTAT\nSET k v\nCONFIG GET port\nLATENCY HISTOGRAM set config get"
    ours, theirs = (answers(port, protocol, lines)[-1] for port in (ports.ours, ports.redis))
    if protocol == 2:
        ours, theirs = ([pairs(each) if isinstance(each, list) else each for each in reply] for reply in (ours, theirs))
        ours, theirs = pairs(ours), pairs(theirs)
    assert ours.keys() >= {b"set", b"config|get"}
    assert b"get" not in ours
    for reply in (ours, theirs):
        times = reply[b"set"].pop(b"histogram_usec")
        calls = dict(times) if protocol == 3 else pairs(times)
        assert list(calls.values())[-1] == 1
        assert all(isinstance(key, int) for key in calls)
    assert ours[b"set"] == theirs[b"set"] == {b"calls": 1}


@pytest.mark.parametrize("protocol", [2, 3])
def test_memory_stats_has_redis_own_fields_of_redis_own_kinds(ports: Ports, protocol: int) -> None:
    lines = "FLUSHALL\nSET k v EX 100\nSELECT 3\nSET k v\nMEMORY STATS"
    ours, theirs = (answers(port, protocol, lines)[-1] for port in (ports.ours, ports.redis))
    if protocol == 2:
        both = [[pairs(each) if isinstance(each, list) else each for each in reply] for reply in (ours, theirs)]
        ours, theirs = map(pairs, both)
    assert shape(ours) == shape(theirs)
    assert list(ours) == list(theirs)


@pytest.mark.parametrize(
    "lines",
    [
        f"SET k {'x' * 6000}",
        f"RPUSH k {'x ' * 5000}",
        f"SADD k {' '.join(map(str, range(5000)))}",
        f"HSET k {' '.join(f'{number} v' for number in range(2500))}",
    ],
)
def test_memory_usage_counts_what_a_value_holds(ports: Ports, lines: str) -> None:
    replies = answers(ports.ours, 2, f"DEL k\n{lines}\nMEMORY USAGE k\nEXPIRE k 100\nMEMORY USAGE k")
    assert replies[2] > 5000
    assert replies[4] >= replies[2]


def test_without_latency_tracking_nothing_is_counted(ports: Ports) -> None:
    lines = """
CONFIG SET latency-tracking no
CONFIG RESETSTAT
SET k v
LATENCY HISTOGRAM
INFO latencystats
CONFIG SET latency-tracking yes
"""
    for port in (ports.ours, ports.redis):
        histograms, text = answers(port, 3, lines)[3:5]
        assert histograms == {}
        assert text.text == b"# Latencystats\r\n"


def test_the_lines_that_every_help_has_are_those_since_redis_7_2(ports: Ports) -> None:
    ours, theirs = (answers(port, 2, "PUBSUB HELP")[0] for port in (ports.ours, ports.valkey))
    assert (ours[0], ours[-2:]) == (theirs[0], theirs[-2:])
