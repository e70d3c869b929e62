"""INFO: the sections and fields that monitoring tools read are those of a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from differential.compare import Peer
from laptop import eventually
from real_redis import real_redis
from server_process import Server, serving

NOT_HERE = {
    "redis_build_id": "there is no one build of a Python package",
    "atomicvar_api": "of C",
    "gcc_version": "of C",
}
SINCE_7_2 = {
    "server": {"listener0"},
    "clients": {"total_blocking_keys", "total_blocking_keys_on_nokey"},
    "stats": {"acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"},
}
"""Redis 7.2 has besides: `eventloop_cycles`, `eventloop_duration_sum`, `eventloop_duration_cmd_sum` and
`instantaneous_eventloop_*`, which uvloop does not tell; `loop_delay_usec` says here how busy the loop is."""
PREFIX = {"commandstats": "cmdstat_", "latencystats": "latency_percentiles_usec_"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("node")) as server:
        yield server


def info(port: int, *sections: str) -> dict[str, dict[str, str]]:
    """Section -> field -> value; before them commands that every section has something to say of."""
    peer = Peer(port, 2)
    peer.run([[b"CONFIG", b"RESETSTAT"], [b"SET", b"k", b"v", b"EX", b"100"], [b"GET"]])
    text = peer.run([[b"INFO", *map(str.encode, sections)]])[0].decode()
    peer.close()
    assert text == "" or text.endswith("\r\n")
    found: dict[str, dict[str, str]] = {}
    fields: dict[str, str] = {}
    for line in text.split("\r\n"):
        if line.startswith("# "):
            fields = found[line[2:].lower()] = {}
        elif line:
            name, _, value = line.partition(":")
            assert name not in fields, f"{name} is told twice"
            fields[name] = value
    return found


def test_every_field_of_redis_is_there_and_in_its_section(node: Server, tmp_path: Path) -> None:
    with real_redis(tmp_path) as port:
        theirs = info(port, "everything")
    ours = info(node.port, "everything")
    assert list(ours) == list(theirs)
    missing = {
        section: sorted(names)
        for section, fields in theirs.items()
        if section not in PREFIX
        and (names := (fields.keys() | SINCE_7_2.get(section, set())) - ours[section].keys() - NOT_HERE.keys())
    }
    assert not missing
    assert not NOT_HERE.keys() & {name for fields in ours.values() for name in fields}
    for section, prefix in PREFIX.items():
        assert ours[section].keys() >= {f"{prefix}{name}" for name in ("set", "config|resetstat")}


def test_values_are_written_as_redis_writes_them(node: Server, tmp_path: Path) -> None:
    """A number where there is one, a ratio with as many digits behind the point, a size for people."""
    with real_redis(tmp_path) as port:
        theirs = info(port, "everything")
    ours = info(node.port, "everything")
    different = {
        name: (ours[section][name], value)
        for section, fields in theirs.items()
        for name, value in fields.items()
        if name in ours[section] and look(ours[section][name]) != look(value)
    }
    assert different.keys() == {"redis_version"}


def look(value: str) -> str:
    """Digits before a point as one 9, those behind it as so many; words as `a`, and a unit as `K`."""
    if value[-1:] in "KMGB%" and value[:1].isdigit():
        return "K" if value[-1] != "%" else "%"
    if "=" in value:
        return ",".join(part.partition("=")[0] for part in value.split(","))
    whole, _, behind = value.lstrip("-").partition(".")
    return f"9{'.' if behind else ''}{len(behind) or ''}" if whole.isdigit() and len(value) < 30 else "a"


@pytest.mark.parametrize(
    "sections", ["", "default", "all", "everything", "server keyspace", "SERVER", "none", "all none"]
)
def test_the_sections_asked_for_are_redis_own(node: Server, tmp_path: Path, sections: str) -> None:
    with real_redis(tmp_path) as port:
        assert list(info(node.port, *sections.split())) == list(info(port, *sections.split()))


def test_clients_are_counted_by_what_they_do(node: Server) -> None:
    subscriber, watcher, waiter = (Peer(node.port, 3) for _ in range(3))
    subscriber.run([[b"SUBSCRIBE", b"c"]])
    watcher.run([[b"WATCH", b"a", b"b"]])
    waiter.socket.sendall(b"BLPOP l 0\r\n")
    client = node.client()

    def counted() -> tuple[int, ...]:
        figures = client.info("clients")
        names = ("pubsub_clients", "watching_clients", "total_watched_keys", "blocked_clients", "total_blocking_keys")
        return tuple(figures[name] for name in names)

    eventually(lambda: counted() == (1, 1, 2, 1, 1), "each is counted once")
    assert client.info("clients")["clients_in_timeout_table"] == 0
    for peer in (subscriber, watcher, waiter):
        peer.close()
    eventually(lambda: counted() == (0, 0, 0, 0, 0), "none is left")


def test_the_mean_time_to_live_is_that_of_the_keys(node: Server) -> None:
    client = node.client()
    client.flushall()
    for number in range(50):
        client.set(f"k{number}", "v", px=1_000_000 if number % 2 else 3_000_000)
    assert 1_900_000 < client.info("keyspace")["db0"]["avg_ttl"] <= 2_000_000
    client.flushall()
    client.set("k", "v")
    assert client.info("keyspace")["db0"]["avg_ttl"] == 0


def test_rates_are_sampled_each_second(node: Server) -> None:
    client = node.client()

    def busy() -> bool:
        client.set("k", "v" * 10_000)
        figures = client.info("stats")
        return bool(figures["instantaneous_ops_per_sec"] > 0 and figures["instantaneous_input_kbps"] > 0)

    eventually(busy, "what it does is seen")


def test_only_the_idle_are_closed_not_those_that_wait(tmp_path: Path) -> None:
    with serving(tmp_path, "--timeout", "1") as node:
        idle, subscriber, waiter = (Peer(node.port, 3) for _ in range(3))
        subscriber.run([[b"SUBSCRIBE", b"c"]])
        waiter.socket.sendall(b"BLPOP l 0\r\n")
        assert idle.socket.recv(1) == b""
        client = node.client()
        assert client.publish("c", "m") == 1
        client.rpush("l", "x")
        eventually(lambda: client.llen("l") == 0, "the one that waited was served")
        for peer in (idle, subscriber, waiter):
            peer.close()


def test_a_reset_forgets_what_is_counted(node: Server) -> None:
    client = node.client()
    client.get("k")
    with pytest.raises(redis.ResponseError):
        client.execute_command("GET")
    client.config_resetstat()
    figures = client.info("stats")
    assert figures["total_error_replies"] == figures["keyspace_misses"] == 0
    assert "cmdstat_get" not in client.info("commandstats")
