"""Garbage, half and hostile RESP: a protocol error and a closed connection; others are served, memory is bounded."""

import contextlib
from collections.abc import Iterator

import pytest
from server_process import Server, serving, until_closed

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("locked"), "--requirepass", "secret") as running:
        yield running


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"*18446744073709551617\r\n", b"invalid multibulk length"),
        (b"*1048577\r\n", b"invalid multibulk length"),
        (b"*1\r\n$18446744073709551617\r\n", b"invalid bulk length"),
        (b"*1\r\n$-1\r\n", b"invalid bulk length"),
        (b"*1\r\n$-99\r\n", b"invalid bulk length"),
        (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
        (b"*2\r\n*1\r\n$1\r\na\r\n", b"expected '$', got '*'"),
        (b"*1\r\n" * 3, b"expected '$', got '*'"),
        (b"set a 'b\r\n", b"unbalanced quotes in request"),
        (b"x" * 70000, b"too big inline request"),
        (b"*" + b"1" * 70000, b"too big mbulk count string"),
    ],
)
def test_a_broken_stream_gets_a_protocol_error_and_is_closed(server: Server, stream: bytes, error: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(stream)
        answer = until_closed(connection)
    assert answer.startswith(b"-ERR Protocol error: " + error), answer
    assert server.client().ping()


def test_a_million_nested_arrays_cost_nothing(server: Server) -> None:
    before = server.memory()
    with server.connect() as connection, contextlib.suppress(ConnectionError):  # it closes at the second level
        connection.sendall(b"*1\r\n" * 1_000_000)
        until_closed(connection)
    assert server.memory() - before < 16 * MIB
    assert server.client().ping()


def test_a_stranger_cannot_make_the_node_wait_for_a_gigabyte(locked: Server) -> None:
    before = locked.memory()
    for stream in (b"*1\r\n$1073741824\r\n", b"*1\r\n$16385\r\n", b"*11\r\n"):
        with locked.connect() as connection:
            connection.sendall(stream)
            assert b"Protocol error: " in until_closed(connection)
    assert locked.memory() - before < 8 * MIB


def test_a_stream_that_drips_byte_by_byte_is_answered(server: Server) -> None:
    with server.connect() as connection:
        for byte in b"*3\r\n$3\r\nSET\r\n$1\r\nd\r\n$2\r\nv1\r\n":
            connection.send(bytes([byte]))
        assert connection.recv(100) == b"+OK\r\n"


def test_a_client_may_leave_at_every_byte_of_a_command(server: Server) -> None:
    stream = b"*3\r\n$3\r\nSET\r\n$5\r\nleave\r\n$2\r\nv1\r\n"
    for length in range(len(stream)):
        with server.connect() as connection:
            connection.sendall(stream[:length])
    assert server.client().exists("leave") == 0
    assert server.client().ping()


def test_a_client_that_does_not_read_is_not_answered_without_bound(server: Server) -> None:
    client = server.client()
    client.set("big", b"x" * MIB)
    before = server.memory()
    with server.connect() as connection:
        connection.sendall(b"*2\r\n$3\r\nGET\r\n$3\r\nbig\r\n" * 2000)
        for _ in range(50):
            assert client.ping()
        assert server.memory() - before < 64 * MIB, "2,000 answers of 1 MiB wait for a client that reads none"
        received = 0
        while received < 3 * MIB:
            received += len(connection.recv(MIB))
    assert client.ping()


def test_many_commands_of_one_client_let_another_in_between(server: Server) -> None:
    with server.connect() as connection:
        connection.sendall(b"*1\r\n$6\r\nDBSIZE\r\n" * 200_000)
        assert server.client().ping()
