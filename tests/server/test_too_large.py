"""A value larger than `maxmemory` that is being sent: it takes no memory, and drives nothing out."""

from collections.abc import Iterator

import pytest
from server_process import Server, serving
from wire import Wire

MEBI = 1 << 20
MAXMEMORY = 16 * MEBI
LARGE = b"x" * (3 * MAXMEMORY)
REFUSAL = "-OOM command not allowed: the value alone is larger than 'maxmemory'."
LIMITED = ("--maxmemory", str(MAXMEMORY), "--maxmemory-policy", "allkeys-lru")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("node"), *LIMITED) as server:
        client = server.client()
        for number in range(100):
            client.set(f"k:{number}", "v" * 100_000)
        yield server


def test_it_is_refused_and_the_connection_goes_on(server: Server) -> None:
    before = server.peak_memory()
    with Wire(server.port) as wire, Wire(server.port) as other:
        for _ in range(3):
            wire.send("PING")
            wire.send("SET", "large", LARGE)
            wire.send("APPEND", "k:0", "more")
            assert [wire.read(), wire.read(), wire.read()] == ["PONG", REFUSAL, wire("STRLEN k:0")]
        assert [other("DBSIZE"), other("EXISTS large")] == [100, 0]
        assert "evicted_keys:0\r\n" in other("INFO stats")
        assert "errorstat_OOM:count=3" in other("INFO errorstats")
    assert server.peak_memory() < before + len(LARGE) // 2


def test_its_bytes_are_not_counted_while_they_come(server: Server) -> None:
    with Wire(server.port) as wire, Wire(server.port) as other:
        wire("CLIENT SETNAME sender")
        wire.socket.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % len(LARGE) + LARGE[MEBI:])
        assert other("PING") == "PONG"
        (line,) = [each for each in other("CLIENT LIST").splitlines() if "name=sender" in each]
        assert " qbuf=31 " in f"{line} ", line
        wire.socket.sendall(LARGE[:MEBI] + b"\r\n")
        assert wire.read() == REFUSAL


def test_it_ends_a_transaction(server: Server) -> None:
    with Wire(server.port) as wire:
        assert wire("MULTI") == "OK"
        assert wire("SET", "large", LARGE) == REFUSAL
        assert wire("EXEC") == "-EXECABORT Transaction discarded because of previous errors."


def test_whoever_wants_no_reply_gets_none(server: Server) -> None:
    with Wire(server.port) as wire:
        for mode in ("SKIP", "OFF"):
            wire.send("CLIENT", "REPLY", mode)
            wire.send("SET", "large", LARGE)
            if mode == "OFF":
                wire.send("CLIENT", "REPLY", "ON")
                assert wire.read() == "OK"
            assert wire("PING") == "PONG"


def test_maxmemory_may_change_while_clients_are_there(server: Server) -> None:
    with Wire(server.port) as wire, Wire(server.port) as other:
        try:
            other("CONFIG SET maxmemory 0")
            assert wire("SET", "large", LARGE) == "OK"
            assert wire("DEL large") == 1
            other("CONFIG", "SET", "maxmemory", MAXMEMORY)
            assert wire("SET", "large", LARGE) == REFUSAL
            other("CONFIG SET maxmemory 1")
            wire.socket.sendall(b"*3\r\n$3\r\nGET\r\n$1000000\r\n")
            wire.socket.sendall(b"x" * 1_000_000 + b"\r\n$1\r\na\r\n")
            assert "wrong number of arguments" in wire.read(), "a small word may come in pieces"
        finally:
            other("CONFIG", "SET", "maxmemory", MAXMEMORY)
