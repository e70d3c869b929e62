"""A full sync whose link breaks: the next attempt goes on where it was cut, with the same snapshot or not at all."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from following import DEBUGGING, client, load, until, until_equal
from real_redis import real_redis
from server_process import Server, serving

KEYS, VALUE_BYTES = 200, 10_000
MARK = b"m" * 40


class Link:
    """Forwards connections to a server; cuts one when so many bytes have come from there."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.cut_after: int | None = None
        self.open = True
        """Whether connections are taken."""
        self.cuts = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.open:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.copy, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self.copy, args=(far, near, True), daemon=True).start()

    def copy(self, source: socket.socket, target: socket.socket, counts: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                target.sendall(data)
                passed += len(data)
                if counts and self.cut_after is not None and passed >= self.cut_after:
                    self.cut_after = None
                    self.cuts += 1
                    break
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextlib.contextmanager
def link_to(port: int) -> Iterator[Link]:
    link = Link(port)
    try:
        yield link
    finally:
        link.listener.close()


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "master").mkdir()
    with serving(tmp_path / "master", *DEBUGGING, "--repl-backlog-size", "16kb", "--rdbcompression", "no") as server:
        fill(server.port)
        yield server


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "replica").mkdir()
    with serving(tmp_path / "replica", *DEBUGGING) as server:
        server.client().set("old", 1)
        yield server


def fill(port: int) -> None:
    generator = random.Random(5)
    pipe = client(port).pipeline(transaction=False)
    for number in range(KEYS):
        pipe.set(f"key:{number}", generator.randbytes(VALUE_BYTES))
    pipe.execute()


def is_up(replica: Server) -> bool:
    return bool(replica.client().info("replication")["master_link_status"] == "up")


def test_a_transfer_that_was_cut_anywhere_goes_on_there(master: Server, replica: Server) -> None:
    generator = random.Random()
    with link_to(master.port) as link, load(master.port) as running:
        for cut in range(1, 4):
            link.cut_after = generator.randrange(1000, KEYS * VALUE_BYTES // 4)
            if cut == 1:
                replica.client().execute_command("REPLICAOF", "127.0.0.1", link.port)
            until(lambda cut=cut: link.cuts >= cut, "the link is cut")
            assert replica.client().get("old") == b"1", "until the new data is there"
        until(lambda: is_up(replica), "the replica comes up")
        count = running.count
        until(lambda: running.count > count + 50)
    until_equal(master.port, replica.port)
    stats = master.client().info("stats")
    assert stats["sync_full_resumed"] >= 1
    assert stats["total_forks"] == 1, "there was one snapshot"
    assert "It is the snapshot of before" in replica.log.read_text()


def test_a_snapshot_that_is_no_more_is_not_waited_for(master: Server, replica: Server) -> None:
    master.client().config_set("client-output-buffer-limit", "replica 50kb 0 0")
    with link_to(master.port) as link:
        link.cut_after = KEYS * VALUE_BYTES // 2
        replica.client().execute_command("REPLICAOF", "127.0.0.1", link.port)
        until(lambda: link.cuts, "the link is cut")
        link.open = False
        for _ in range(20):
            master.client().set("more", b"x" * 20_000)
        until(lambda: not has_open_snapshot(master), "the snapshot is let go, and its place on the disk")
        link.open = True
        until(lambda: is_up(replica), "the replica comes up")
    until_equal(master.port, replica.port)
    stats = master.client().info("stats")
    assert (stats["sync_full_resumed"], stats["total_forks"]) == (0, 2)


def has_open_snapshot(server: Server) -> bool:
    links = Path(f"/proc/{server.process.pid}/fd").iterdir()
    found = []
    for each in links:
        with contextlib.suppress(OSError):
            found.append(each.readlink().name)
    return any("temp-sync-" in name for name in found)


def test_a_replica_that_follows_another_forgets_what_it_had_of_the_first(master: Server, replica: Server) -> None:
    with link_to(master.port) as link:
        link.cut_after = KEYS * VALUE_BYTES // 2
        replica.client().execute_command("REPLICAOF", "127.0.0.1", link.port)
        until(lambda: link.cuts, "the link is cut")
        link.open = False
        replica.client().execute_command("REPLICAOF", "NO", "ONE")
        until(lambda: not has_open_snapshot(replica), "its file is closed")
        assert replica.client().get("old") == b"1"


def test_a_real_server_is_asked_and_sends_all(tmp_path: Path, replica: Server) -> None:
    (tmp_path / "real").mkdir()
    with real_redis(tmp_path / "real") as real, link_to(real) as link:
        fill(real)
        link.cut_after = KEYS * VALUE_BYTES // 2
        replica.client().execute_command("REPLICAOF", "127.0.0.1", link.port)
        until(lambda: is_up(replica), "the replica comes up")
        assert link.cuts == 1
        until_equal(real, replica.port)
        assert client(real).info("stats")["sync_full"] == 2


def test_the_rest_of_another_snapshot_is_refused(replica: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        replica.client().execute_command("REPLICAOF", "127.0.0.1", listener.getsockname()[1])
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            said = b""
            while b"PSYNC" not in said:
                said += connection.recv(4096)
                if b"PSYNC" not in said:
                    connection.sendall(b"+OK\r\n")
            connection.sendall(b"+FULLRESYNC %b 5\r\n$REST:%b:100\r\n" % (b"a" * 40, MARK))
            until(lambda: "whose beginning is not here" in replica.log.read_text(), "it says so")
    assert replica.client().get("old") == b"1"
    with pytest.raises(redis.ReadOnlyError):
        replica.client().set("k", 1)
