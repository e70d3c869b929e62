"""What a client leaves lying, and what it sends without end, costs bounded memory and then its connection."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from laptop import eventually
from members import http
from real_redis import real_redis
from server_process import Server, serving
from wire import CLOSED, Wire

MEGABYTE = 1024 * 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as running:
        yield running


def disconnections(client: Wire) -> int:
    found = re.search(r"client_output_buffer_limit_disconnections:(\d+)", client("INFO stats"))
    assert found
    return int(found[1])


def clients(client: Wire) -> int:
    return len(client("CLIENT LIST").splitlines())


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_subscriber_that_takes_nothing_is_closed_and_costs_bounded_memory(server: Server, protocol: int) -> None:
    with Wire(server.port) as publisher, Wire(server.port, protocol, receive_buffer=4096) as slow:
        assert slow("SUBSCRIBE c")[-3:] == ["subscribe", "c", 1]
        before = server.memory()
        message = "x" * 65536
        for _ in range(1024):
            publisher("PUBLISH", "c", message)
            assert server.memory() - before < 60 * MEGABYTE, "its hard limit is 32 MiB"
        assert disconnections(publisher) == 1
        eventually(lambda: clients(publisher) == 1, "it is gone")
        assert publisher("PUBLISH", "c", "m") == 0
    assert "overcoming of output buffer limits" in server.log.read_text()
    assert "ringkeeper_output_limit_disconnections_total 1.0" in http(server, "/metrics")[1]


def test_what_a_client_sends_itself_counts_while_its_command_runs(server: Server) -> None:
    with Wire(server.port) as other, Wire(server.port, 3) as client:
        client("PSUBSCRIBE", *[f"[c{number}]" for number in range(1000)])
        before = server.memory()
        client.send("PUBLISH", "c", "x" * MEGABYTE)
        eventually(lambda: disconnections(other) == 1, "its hard limit is 32 MiB")
        assert server.peak_memory() - before < 60 * MEGABYTE, "1000 messages of 1 MiB were due"
        eventually(lambda: clients(other) == 1, "it is gone")


def test_a_subscriber_over_its_soft_limit_is_closed_without_further_traffic(server: Server) -> None:
    with Wire(server.port) as publisher, Wire(server.port, receive_buffer=4096) as slow:
        publisher("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 1mb 1")
        slow("SUBSCRIBE c")
        while not disconnections(publisher) and not re.search(r" omem=[1-9]\d{6}", publisher("CLIENT LIST")):
            publisher("PUBLISH", "c", "x" * MEGABYTE)
        eventually(lambda: disconnections(publisher) == 1, "its time is over")


def test_a_client_told_of_changed_keys_has_a_subscribers_limits_for_that(server: Server) -> None:
    with Wire(server.port) as writer, Wire(server.port, 3, receive_buffer=4096) as slow:
        writer("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
        slow("CLIENT TRACKING ON BCAST")
        for number in range(100_000):
            writer("SET", f"{'k' * 1000}:{number % 1000}", "v")
            if disconnections(writer):
                return
    raise AssertionError("it was not closed")


def test_a_large_reply_to_a_client_that_tracks_is_no_message(server: Server) -> None:
    with Wire(server.port, 3) as client:
        client("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
        client("CLIENT TRACKING ON")
        value = "x" * (8 * MEGABYTE)
        client("SET", "k", value)
        assert client("GET", "k") == value
        assert disconnections(client) == 0


def test_who_monitors_has_a_subscribers_limits(server: Server) -> None:
    with Wire(server.port) as client, Wire(server.port, receive_buffer=4096) as slow:
        client("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
        assert slow("MONITOR") == "OK"
        for _ in range(1000):
            client("ECHO", "x" * 65536)
            if disconnections(client):
                return
    raise AssertionError("it was not closed")


def test_what_a_transaction_has_queued_counts_as_unfinished_input(server: Server) -> None:
    with Wire(server.port) as client, Wire(server.port) as other:
        other("CONFIG", "SET", "client-query-buffer-limit", "1mb")
        assert client("MULTI") == "OK"
        reply = "QUEUED"
        for _ in range(100):
            if reply == CLOSED:
                break
            assert reply == "QUEUED"
            reply = client("SET", "k", "x" * 65536)
        assert reply == CLOSED
        assert "max query buffer length" in server.log.read_text()
        assert other("GET k") is None


def test_who_waits_or_listens_is_not_idle(server: Server) -> None:
    with (
        Wire(server.port) as idle,
        Wire(server.port) as listens,
        Wire(server.port) as waits,
        Wire(server.port) as client,
    ):
        listens("SUBSCRIBE c")
        waits.send_line("BLPOP k 0")
        idle("PING")
        client("CONFIG SET timeout 1")
        while clients(client) > 3:
            pass
        assert idle.read() == CLOSED
        assert client("PUBLISH c m") == 1
        assert client("RPUSH k v") == 1
        assert waits.read() == ["k", "v"]


LIMITS = [
    "normal 1mb 2mb 3", "pubsub 1 2", "foo 1 1 1", "normal x 1 1", "normal 1 1 -1", "normal 1 1 x", "normal 1 x 1",
    "replica 1 2 3 pubsub 4 5 6", "", "slave 1kb 1k 0", "pubsub 1 2 3 foo 1 1 1",
]  # fmt: skip


def test_limits_are_set_as_in_redis(server: Server, tmp_path: Path) -> None:
    with real_redis(tmp_path) as port, Wire(port) as theirs, Wire(server.port) as ours:
        for value in LIMITS:
            for words in (
                ("CONFIG", "SET", "client-output-buffer-limit", value),
                ("CONFIG GET client-output-buffer-limit",),
            ):
                assert ours(*words) == theirs(*words), value


def test_replies_keep_their_order_whatever_the_client_leaves_lying(server: Server) -> None:
    """The socket takes a part of them, the transport the rest, and what comes later goes behind that."""
    lengths = [1, 3_000_000, 10, 700_000, 0, 2_000_000] * 3
    with Wire(server.port, receive_buffer=4096) as client:
        for length in sorted(set(lengths)):
            assert client("SET", f"k{length}", b"x" * length) == "OK"
        for number, length in enumerate(lengths):
            client.send("GET", f"k{length}")
            client.send("ECHO", number)
        for number, length in enumerate(lengths):
            assert client.read() == "x" * length
            assert client.read() == str(number)
        assert client("PING") == "PONG"
