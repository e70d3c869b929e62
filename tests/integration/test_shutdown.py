"""SHUTDOWN: who is waited for, and how that is cut short or called off; Redis does the same."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from following import client, follow, stopped, until
from real_redis import real_redis
from server_process import Server, serving
from wire import Wire

FAILED = "-ERR Errors trying to SHUTDOWN. Check logs."


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "replica").mkdir()
    with serving(tmp_path / "replica") as server:
        yield server


@pytest.fixture(params=["redis", "ringkeeper"])
def master(request: pytest.FixtureRequest, tmp_path: Path, replica: Server) -> Iterator[int]:
    """The port of one that `replica` follows."""
    with contextlib.ExitStack() as stack:
        if request.param == "redis":
            port = stack.enter_context(real_redis(tmp_path, "redis", "--shutdown-timeout", "600"))
        else:
            port = stack.enter_context(serving(tmp_path, "--shutdown-timeout", "600")).port
        follow(replica.port, port)
        client(port).set("early", 1)
        assert client(port).wait(1, 20_000) == 1
        yield port


def has_ended(port: int) -> bool:
    try:
        client(port).ping()
    except redis.ConnectionError:
        return True
    return False


def test_a_master_stops_when_its_replicas_have_everything(master: int, replica: Server) -> None:
    with Wire(master) as asking, Wire(master) as writing:
        with stopped(replica):
            assert writing("SET late 2") == "OK"
            asking.send_line("SHUTDOWN")
            until(lambda: "shutdown" in {each["cmd"] for each in client(master).client_list()}, "it waits")
            writing.send_line("SET later 3")
            assert client(master).get("late") == b"2", "readers are answered"
        until(lambda: has_ended(master), "it ends")
    assert replica.client().get("late") == b"2"
    assert replica.client().get("later") is None, "no write was taken meanwhile"


def test_a_shutdown_that_waits_can_be_called_off(master: int, replica: Server) -> None:
    with Wire(master) as asking, Wire(master) as writing, Wire(master) as other:
        assert other("SHUTDOWN ABORT") == "-ERR No shutdown in progress."
        with stopped(replica):
            assert writing("SET late 2") == "OK"
            asking.send_line("SHUTDOWN")
            until(lambda: "shutdown" in {each["cmd"] for each in client(master).client_list()}, "it waits")
            writing.send_line("SET later 3")
            assert other("SHUTDOWN ABORT") == "OK"
            assert asking.read() == FAILED
            assert writing.read() == "OK"
            assert other("SHUTDOWN ABORT") == "-ERR No shutdown in progress."


@pytest.mark.parametrize("words", ["SHUTDOWN NOW", "SHUTDOWN NOW NOSAVE FORCE"])
def test_who_asks_to_stop_now_waits_for_nobody(master: int, replica: Server, words: str) -> None:
    with Wire(master) as asking, stopped(replica):
        assert asking("SET late 2") == "OK"
        asking.send_line(words)
        until(lambda: has_ended(master), "it ends")


@pytest.mark.parametrize("words", ["SHUTDOWN SAVE NOSAVE", "SHUTDOWN ABORT NOW", "SHUTDOWN LATER"])
def test_what_makes_no_sense_is_refused(master: int, words: str) -> None:
    with Wire(master) as asking:
        assert asking(words) == "-ERR syntax error"


def test_a_replica_stops_at_once(tmp_path: Path, replica: Server) -> None:
    with serving(tmp_path) as server:
        follow(replica.port, server.port)
        with stopped(server), Wire(replica.port) as asking:
            asking.send_line("SHUTDOWN")
            until(lambda: has_ended(replica.port), "it ends")
