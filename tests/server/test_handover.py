"""A planned handover: a master holds back writes until its successor has all, gives up its term, sends clients on."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from heartbeats import Operator
from laptop import DEADLINE, eventually
from members import http
from shard_of_servers import Shard
from wire import Wire

from ringkeeper.cluster.messages import AskRelease

HANDED_OVER = "-CLUSTERDOWN This master has handed over, and waits for the next topology"
LEASE_MS = 1500


class Pair(Shard):
    """A master with a voter, and the operator that grants its lease."""

    def __init__(self, folder: Path, exits: ExitStack) -> None:
        super().__init__(folder, 2, exits)
        self.ids = [str(self.members.state(index)["id"]) for index in range(2)]
        self.runs = [str(self.members.state(index)["runId"]) for index in range(2)]
        self.name(0)
        self.operator = exits.enter_context(Operator([self.port(0), self.port(1)], lease_ms=LEASE_MS))
        self.connected(1)
        self.serves(0)

    def name(self, master: int) -> None:
        """Appoint one of them, the other being its voter."""
        self.appoint(master, voters=(self.ids[1 - master],))

    def serves(self, index: int) -> None:
        eventually(lambda: self.members.state(index)["lease"]["holds"], "a lease")

    def log(self, index: int) -> str:
        return self.members.servers[index].log.read_text()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with ExitStack() as exits:
        yield Pair(tmp_path, exits)


class Writer:
    """Writes numbers by a cluster client, as fast as it goes, and notes what was acknowledged."""

    def __init__(self, port: int) -> None:
        self.cluster = redis.RedisCluster(host="127.0.0.1", port=port)
        self.count = 0
        self.longest = 0.0
        self.errors: list[str] = []
        self.stopping = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        before = time.monotonic()
        while not self.stopping:
            try:
                self.cluster.set(f"key:{self.count}", self.count)
            except redis.RedisError as error:
                self.errors.append(str(error))
                return
            self.count += 1
            now = time.monotonic()
            self.longest = max(self.longest, now - before)
            before = now

    def goes_on(self) -> None:
        start = self.count
        eventually(lambda: self.count > start + 100 or self.errors, "writes")
        assert not self.errors

    def stop(self) -> None:
        self.stopping = True
        self.thread.join()
        self.cluster.close()


def test_a_handover_under_load_loses_no_write_and_shows_no_error(pair: Pair) -> None:
    writer = Writer(pair.port(0))
    try:
        for master, next_master in ((0, 1), (1, 0)):
            writer.goes_on()
            released = pair.operator.ask_release(pair.port(master), pair.ids[next_master])
            assert released.released == pair.runs[next_master]
            assert not pair.members.state(master)["lease"]["holds"]
            pair.name(next_master)
            pair.serves(next_master)
            pair.connected(master)
            writer.goes_on()
    finally:
        writer.stop()
    assert not writer.errors
    client = pair.client(0)
    assert client.dbsize() == writer.count
    assert client.get(f"key:{writer.count - 1}") == str(writer.count - 1).encode()
    assert "Partial sync with the master" in pair.log(0), "it went on where it was"


def test_after_a_release_nothing_but_another_term_lets_a_master_serve(pair: Pair) -> None:
    with Wire(pair.port(0)) as client, Wire(pair.port(0)) as waiting:
        assert client("SET k v") == "OK"
        waiting.send_line("BLPOP list 1")
        pair.operator.ask_release(pair.port(0), pair.ids[1])
        client.send_line("GET k")
        assert client.read() == HANDED_OVER, "when a lease's time has gone by"
        assert waiting.read() == HANDED_OVER, "rather than that there is nothing"
        lease = pair.members.state(0)["lease"]
        assert lease["released"]
        assert not lease["holds"]
        os.kill(lease["process"], signal.SIGKILL)
        eventually(
            lambda: pair.operator.hears(pair.port(0)).released == pair.runs[1], "the next process says so as well"
        )
        assert client("GET k") == HANDED_OVER
        pair.name(0)
        eventually(lambda: client("GET k") == "v", "it was appointed again")


def test_a_successor_that_does_not_confirm_is_waited_for_a_moment_only(pair: Pair) -> None:
    os.kill(pair.members.servers[1].process.pid, signal.SIGSTOP)
    try:
        with Wire(pair.port(0)) as client:
            assert client("SET k v") == "OK"
            heard = pair.operator.hears(pair.port(0))
            pair.operator.send(pair.port(0), AskRelease(0, heard.term, heard.run_id, pair.operator.leader, pair.ids[1]))
            eventually(lambda: "did not confirm in time" in pair.log(0), "the end of the attempt")
            assert client("SET k w") == "OK"
            assert client("GET k") == "w"
    finally:
        os.kill(pair.members.servers[1].process.pid, signal.SIGCONT)


def test_a_pause_that_a_client_asked_for_outlasts_a_handover_that_fails(pair: Pair) -> None:
    os.kill(pair.members.servers[1].process.pid, signal.SIGSTOP)
    try:
        with Wire(pair.port(0)) as client, Wire(pair.port(0)) as other:
            assert client("CLIENT PAUSE 100000 WRITE") == "OK"
            heard = pair.operator.hears(pair.port(0))
            pair.operator.send(pair.port(0), AskRelease(0, heard.term, heard.run_id, pair.operator.leader, pair.ids[1]))
            eventually(lambda: "did not confirm in time" in pair.log(0), "the end of the attempt")
            client.send_line("SET k v")
            assert other("GET k") is None
            assert other("PING") == "PONG"
            assert client.arrived() == []
            assert other("CLIENT UNPAUSE") == "OK"
            assert client.read() == "OK"
    finally:
        os.kill(pair.members.servers[1].process.pid, signal.SIGCONT)


def test_only_its_own_leader_can_ask_a_master_of_its_term_to_hand_over(pair: Pair) -> None:
    heard = pair.operator.hears(pair.port(0))
    for ask in (
        AskRelease(0, heard.term + 1, heard.run_id, 1, pair.ids[1]),
        AskRelease(0, heard.term, "another-run", 1, pair.ids[1]),
        AskRelease(0, heard.term, heard.run_id, 0, pair.ids[1]),
    ):
        pair.operator.send(pair.port(0), ask)
    before = pair.members.state(0)["lease"]["received"]
    eventually(lambda: pair.members.state(0)["lease"]["received"] > before + 10, "datagrams behind these")
    with Wire(pair.port(0)) as client:
        assert client("SET k v") == "OK"
    assert "Handing over" not in pair.log(0)


def test_a_master_that_is_told_to_end_says_so_and_serves_until_another_is_appointed(pair: Pair) -> None:
    master = pair.members.servers[0]
    term = pair.operator.hears(pair.port(0)).term
    with Wire(pair.port(0)) as client:
        master.process.send_signal(signal.SIGTERM)
        heard = eventually(lambda: (last := pair.operator.hears(pair.port(0))).leaving and last, "it says so")
        assert (heard.candidate, heard.released, heard.term) == (False, "", term)
        assert http(master, "/readyz") == (503, "this node is about to end\n")
        assert [pair.members.state(number)["leaving"] for number in (0, 1)] == [True, False]
        assert client("SET k v") == "OK"
        pair.operator.ask_release(pair.port(0), pair.ids[1])
        client.send_line("GET k")
        pair.name(1)
        assert str(client.read()).startswith("-MOVED"), "rather than that the connection is closed"
    assert master.process.wait(DEADLINE) == 0
    assert "Another is master; stopping" in pair.log(0)
    assert pair.client(1).get("k") == b"v"


def test_a_master_that_is_told_to_end_waits_for_a_replica_that_is_no_voter_yet(pair: Pair) -> None:
    master = pair.members.servers[0]
    pair.appoint(0, voters=())
    pair.connected(1)
    master.process.send_signal(signal.SIGTERM)
    eventually(lambda: pair.operator.hears(pair.port(0)).leaving, "it says so")
    with Wire(pair.port(0)) as client:
        assert client("SET k v") == "OK"
    eventually(lambda: pair.client(1).dbsize() == 1, "the replica has all")
    pair.name(1)
    assert master.process.wait(DEADLINE) == 0
    assert "Another is master; stopping" in pair.log(0)


def test_shutdown_hands_over_first_and_can_be_called_off_until_then(pair: Pair) -> None:
    master = pair.members.servers[0]
    with Wire(pair.port(0)) as asking, Wire(pair.port(0)) as client:
        asking.send_line("SHUTDOWN")
        eventually(lambda: pair.operator.hears(pair.port(0)).leaving, "it says so")
        assert client("SET k v") == "OK"
        assert client("SHUTDOWN ABORT") == "OK"
        assert asking.read() == "-ERR Errors trying to SHUTDOWN. Check logs."
        eventually(lambda: not pair.operator.hears(pair.port(0)).leaving, "it stays")
        assert http(master, "/readyz")[0] == 200
        assert client("SET k w") == "OK"
        asking.send_line("SHUTDOWN")
        eventually(lambda: pair.operator.hears(pair.port(0)).leaving, "it says so again")
        pair.operator.ask_release(pair.port(0), pair.ids[1])
        client.send_line("GET k")
        pair.name(1)
        assert str(client.read()).startswith("-MOVED")
    assert master.process.wait(DEADLINE) == 0
    assert "Another is master; stopping" in pair.log(0)
    assert pair.client(1).get("k") == b"w"


def test_shutdown_now_waits_for_nobody(pair: Pair) -> None:
    with Wire(pair.port(0)) as asking:
        asking.send_line("SHUTDOWN NOW")
        assert pair.members.servers[0].process.wait(DEADLINE) == 0
    assert "Going on until another is master" not in pair.log(0)


def test_a_master_whom_nobody_asks_ends_all_the_same(pair: Pair) -> None:
    assert pair.members.servers[0].stop() == 0
    assert "without a successor; waited last for the operator" in pair.log(0)


def test_a_master_that_is_told_twice_to_end_waits_for_nobody(pair: Pair) -> None:
    master = pair.members.servers[0]
    master.process.send_signal(signal.SIGTERM)
    eventually(lambda: "Going on until another is master" in pair.log(0), "it waits")
    master.process.send_signal(signal.SIGTERM)
    assert master.process.wait(DEADLINE) == 0
    assert "stopping after" not in pair.log(0).lower()


def test_a_replica_that_is_told_to_end_ends_and_then_its_master_waits_for_nobody(pair: Pair) -> None:
    for index in (1, 0):
        assert pair.members.servers[index].stop() == 0
        assert "Going on until another is master" not in pair.log(index)
