"""The lease process beside real nodes: who hears whom, what survives whose death, and what is never answered."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from heartbeats import MILLISECOND, Operator
from laptop import eventually, is_alive
from members import Members, http, member
from ports import free_ports
from server_process import Server, serving
from wire import Wire

from ringkeeper.cluster.messages import Grant, Heartbeat, Promise, Refusal
from ringkeeper.cluster.seal import Sealer
from ringkeeper.cluster.topology import Shard, Topology

HEARTBEAT_MS, MISSES = 100, 10
LEASE_MS = HEARTBEAT_MS * MISSES
REFUSED = "-CLUSTERDOWN The lease of this master has run out"
NEVER_HELD = "-CLUSTERDOWN This master has no lease yet"


class World:
    """A shard: its master and its voters, each in a folder of its own."""

    def __init__(self, folder: Path, count: int, stack: ExitStack) -> None:
        servers = []
        for index in range(count):
            own = folder / str(index)
            own.mkdir(exist_ok=True)
            servers.append(stack.enter_context(serving(own, *member(own, index), "--enable-debug-command", "yes")))
        self.servers = servers
        self.members = Members(servers)

    def topology(self, epoch: int, *, term: int = 1, **changes: Any) -> Topology:
        plain = self.members.one_shard(epoch)
        shard = Shard(0, term, plain.nodes[0].id, voters=tuple(node.id for node in plain.nodes[1:]))
        return replace(plain, **({"shards": (shard,), "heartbeat_ms": HEARTBEAT_MS, "misses": MISSES} | changes))

    def push(self, topology: Topology) -> None:
        for index in range(len(self.servers)):
            assert self.members.push(index, topology)[0] == 200

    def lease(self, index: int = 0) -> dict[str, Any]:
        return dict(self.members.state(index)["lease"])

    def operator(self, **options: Any) -> Operator:
        return Operator([server.port for server in self.servers], lease_ms=LEASE_MS, **options)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def until_heard(world: World, voter: int = 1) -> None:
    """Until a voter has heard its master say that it holds a lease: in the second heartbeat from now, at the latest."""
    before = world.lease(voter)["received"]
    eventually(lambda: world.lease(voter)["received"] >= before + 2, "two heartbeats")


def lease_process(server: Server) -> int:
    """The pid of a node's lease process, when it has one that is ready: from then on it ends with its node."""

    def found() -> int | None:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        log = server.log.read_text()
        return next(
            (pid for pid in map(int, children) if f"Lease process {pid} is ready" in log and is_alive(pid)), None
        )

    return int(eventually(found, "a lease process"))


def until_served(server: Server) -> None:
    with Wire(server.port) as client:
        eventually(lambda: client("SET k v") == "OK", "a master that serves")


def until_fenced(server: Server) -> None:
    """A connection whose command was read within the lease, and answered after it, is closed instead: so a new one."""

    def refuses() -> bool:
        with Wire(server.port) as client:
            return bool(client("GET k") == REFUSED)

    eventually(refuses, "a master whose lease has run out")


def test_a_master_serves_by_the_grants_of_the_operator_alone(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    topology = world.topology(1)
    world.servers[1].kill()
    master = world.servers[0]
    assert world.members.push(0, topology)[0] == 200
    with Wire(master.port) as client:
        assert client("SET k v") == NEVER_HELD
        assert client("PING") == "PONG"
        assert http(master, "/readyz") == (503, "This master has no lease yet\n")
        with world.operator() as operator:
            until_served(master)
            assert operator.hears(master.port).lease_until > 0
            lease = world.lease()
            assert lease["holds"]
            assert 0 < lease["remainingMs"] <= LEASE_MS
            assert http(master, "/readyz")[0] == 200
            operator.granting = False
            until_fenced(master)
            assert not world.lease()["holds"]
            assert "has run out" in master.log.read_text()
            operator.granting = True
            until_served(master)
    assert "holds a lease in term 1, after" in master.log.read_text()


def test_a_master_serves_by_a_majority_of_its_voters_alone(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 4, stack)
    world.push(world.topology(1))
    master = world.servers[0]
    until_served(master)
    world.servers[3].kill()
    granted = world.lease()
    with Wire(master.port) as client:
        serves_for(client, 2 * LEASE_MS)
        assert granted["operatorHeardMs"] is None
        world.servers[2].kill()
    until_fenced(master)


def serves_for(client: Wire, milliseconds: int) -> None:
    deadline = time.monotonic() + milliseconds / 1000
    while time.monotonic() < deadline:
        assert client("GET k") == "v"
        time.sleep(0.01)


def test_a_command_longer_than_the_lease_does_not_lose_it(tmp_path: Path, stack: ExitStack) -> None:
    """Nor does a voter refuse its grants meanwhile, as long as nobody asks for its promise."""
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1))
    master = world.servers[0]
    until_served(master)
    with world.operator() as operator, Wire(master.port) as client:
        operator.hears(master.port)
        client.send("DEBUG", "SLEEP", 2.5 * LEASE_MS / 1000)
        eventually(lambda: operator.hears(master.port).progress_age > 2 * LEASE_MS * MILLISECOND, "a loop that hangs")
        last = operator.hears(master.port)
        assert last.lease_until > last.stamp, "it holds a lease, and says so while the command runs"
        assert client.read() == "OK"
        assert client("GET k") == "v"
    assert world.lease()["timesLost"] == 0


def test_a_master_that_stands_still_asks_more_often_so_that_it_has_its_lease_when_it_goes_on(
    tmp_path: Path, stack: ExitStack
) -> None:
    """What is granted to it ends a lease's time behind its last progress: another heartbeat's time may be too late."""
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1, heartbeat_ms=1000, misses=20))
    master = world.servers[0]
    until_served(master)
    before, began = world.lease(1)["received"], time.monotonic()
    os.kill(master.process.pid, signal.SIGSTOP)
    try:
        eventually(lambda: world.lease(1)["received"] >= before + 14, "heartbeats")
        assert time.monotonic() - began < 8, "fourteen take fourteen seconds else"
    finally:
        os.kill(master.process.pid, signal.SIGCONT)


def test_an_idle_master_makes_progress(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1))
    with world.operator() as operator:
        eventually(
            lambda: operator.hears(world.servers[0].port).progress_age < HEARTBEAT_MS * MILLISECOND,
            "a loop that goes on",
        )


def test_a_master_that_was_stopped_refuses_the_first_command_of_an_old_connection(
    tmp_path: Path, stack: ExitStack
) -> None:
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1))
    master, voter = world.servers
    until_served(master)
    with world.operator() as operator, Wire(master.port) as idle, Wire(master.port) as asking:
        assert idle("GET k") == asking("GET k") == "v"
        os.kill(master.process.pid, signal.SIGSTOP)
        asking.send_line("GET k")
        operator.granting = False
        eventually(lambda: operator.hears(master.port).progress_age > LEASE_MS * MILLISECOND, "a loop that hangs")
        assert isinstance(eventually(lambda: promised(operator, voter.port, 2), "a promise"), Promise)
        eventually(lambda: past(operator.hears(master.port)), "the end of the lease")
        os.kill(master.process.pid, signal.SIGCONT)
        assert asking.read() == REFUSED
        assert idle("GET k") == REFUSED


def past(heartbeat: Heartbeat) -> bool:
    return heartbeat.lease_until <= heartbeat.stamp


def promised(operator: Operator, port: int, term: int) -> Promise | None:
    answer = operator.ask_promise(port, term)
    return answer if isinstance(answer, Promise) else None


def test_a_lease_process_that_dies_is_replaced_before_the_lease_has_run_out(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1, misses=50))
    master, voter = world.servers
    until_served(master)
    with Wire(master.port) as client:
        for server in (master, voter):
            before = lease_process(server)
            os.kill(before, signal.SIGKILL)
            eventually(lambda server=server, before=before: lease_process(server) != before, "another lease process")
            assert not is_alive(before)
            assert not Path(f"/proc/{before}").exists(), "a zombie"
            assert client("GET k") == "v"
        eventually(lambda: world.lease(1)["restarts"] == 1, "a report")
        grants = world.lease()["grants"]
        eventually(lambda: world.lease()["grants"] > grants + 5, "grants by the voter's new lease process")
        serves_for(client, LEASE_MS)
    assert "was ended by SIGKILL: another one is started" in master.log.read_text()


def test_a_lease_process_that_hangs_is_replaced(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1))
    until_served(world.servers[0])
    before = lease_process(world.servers[0])
    os.kill(before, signal.SIGSTOP)
    eventually(lambda: lease_process(world.servers[0]) != before, "another lease process")
    until_served(world.servers[0])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lease_process_ends_with_its_node(tmp_path: Path, stack: ExitStack, number: int) -> None:
    world = World(tmp_path, 1, stack)
    pid = lease_process(world.servers[0])
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    assert is_alive(pid), "these are for the node"
    world.servers[0].process.send_signal(number)
    world.servers[0].process.wait(30)
    eventually(lambda: not is_alive(pid), "the end of the lease process")


def test_a_stopped_lease_process_ends_with_its_node_too(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 1, stack)
    pid = lease_process(world.servers[0])
    os.kill(pid, signal.SIGSTOP)
    world.servers[0].kill()
    eventually(lambda: not is_alive(pid), "the end of the lease process")


def test_a_node_starts_again_at_once_on_the_ports_of_one_that_was_killed(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 1, stack)
    first = world.servers[0]
    first.kill()
    again = ["--port", str(first.port), "--admin-port", str(first.admin_port)]
    with serving(first.folder, *member(first.folder, 0), *again) as second:
        eventually(lambda: lease_process(second), "a lease process")


def test_datagrams_without_the_token_are_dropped_and_counted(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    topology = world.topology(1)
    world.servers[1].kill()
    master = world.servers[0]
    assert world.members.push(0, topology)[0] == 200
    with world.operator(token=b"other"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"short", ("127.0.0.1", master.port))
        sender.sendto(Sealer(b"token").seal(b"no message"), ("127.0.0.1", master.port))
        eventually(lambda: metric(master, "lease_datagrams_forged_total") > 10, "forged datagrams")
        eventually(lambda: metric(master, "lease_datagrams_malformed_total") == 1, "one that is no message")
    assert world.lease()["operatorHeardMs"] is None
    assert not world.lease()["holds"]


def metric(server: Server, name: str) -> float:
    lines = http(server, "/metrics")[1].splitlines()
    return float(next(line for line in lines if line.startswith(f"ringkeeper_{name} ")).split()[1])


def test_grants_of_other_runs_of_old_stamps_and_of_the_future_are_none(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    topology = world.topology(1)
    world.servers[1].kill()
    master = world.servers[0]
    assert world.members.push(0, topology)[0] == 200
    with world.operator(granting=False) as operator:
        heard = operator.hears(master.port)
        good = operator.grant(heard)
        second = 1000 * MILLISECOND
        bad = [
            Grant(0, 1, "", "another-run", heard.stamp, second, 1),
            Grant(0, 1, "", heard.run_id, heard.stamp + 3600 * second, second, 1),
            Grant(0, 2, "", heard.run_id, heard.stamp, second, 1),
            Grant(0, 1, "stranger", heard.run_id, heard.stamp, second, 0),
        ]
        for each in bad:
            operator.send(master.port, each)
        eventually(lambda: metric(master, "lease_grants_total") >= len(bad), "grants that came")
        assert not world.lease()["holds"]
        operator.send(master.port, good)
        until_served(master)
        eventually(lambda: not world.lease()["holds"], "the end of the lease")
        operator.send(master.port, good)
        before = metric(master, "lease_grants_total")
        eventually(lambda: metric(master, "lease_grants_total") >= before, "a grant that came again")
        assert not world.lease()["holds"], "its stamp is too old"


def test_a_promise_is_on_the_disk_and_binds_the_process_that_comes_after(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1))
    master, voter = world.servers
    until_served(master)
    until_heard(world)
    with world.operator() as operator:
        refusal = operator.ask_promise(voter.port, 2)
        assert isinstance(refusal, Refusal)
        assert refusal.why == "master"
        run_id = str(world.members.state(0)["runId"])
        promise = operator.ask_promise(voter.port, 2, ended=run_id)
        assert isinstance(promise, Promise)
        assert 0 < promise.remaining <= LEASE_MS * MILLISECOND * 1.2
        assert json.loads((voter.folder / "voter.json").read_text())["promised"] == 2
        before = lease_process(voter)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: lease_process(voter) != before, "another lease process")
        assert operator.hears(voter.port).promised == 2
        assert world.lease(1)["promisedTerm"] == 2
        operator.granting = False
        until_fenced(master)


def test_a_full_disk_means_no_promise(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1))
    master, voter = world.servers
    until_served(master)
    (voter.folder / ".voter.json.tmp").mkdir()
    with world.operator() as operator:
        run_id = str(world.members.state(0)["runId"])
        answer = operator.ask_promise(voter.port, 2, ended=run_id)
        assert isinstance(answer, Refusal)
        assert answer.why == "disk"
        assert metric(voter, "lease_promises_not_kept_total") >= 1
        eventually(lambda: "No promise of term 2: cannot write" in voter.log.read_text(), "the reason in the log")
        assert not (voter.folder / "voter.json").exists()
        (voter.folder / ".voter.json.tmp").rmdir()
        eventually(lambda: promised(operator, voter.port, 2) or None, "a promise when there is room")


def test_a_later_leader_is_obeyed_and_an_earlier_one_is_not(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 2, stack)
    topology = world.topology(1)
    world.servers[1].kill()
    master = world.servers[0]
    assert world.members.push(0, topology)[0] == 200
    with world.operator(leader=5) as later, world.operator(leader=4) as earlier:
        until_served(master)
        later.hears(master.port)
        eventually(lambda: world.lease()["holds"], "a lease")
        earlier.heard.clear()
        later.granting = False
        eventually(lambda: not world.lease()["holds"], "no lease by an earlier leader")
        assert not earlier.heard


def test_a_voter_file_that_cannot_be_read_is_said_so_and_the_node_votes(tmp_path: Path, stack: ExitStack) -> None:
    for index in range(2):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "voter.json").write_text("{")
    world = World(tmp_path, 2, stack)
    world.push(world.topology(1))
    until_served(world.servers[0])
    assert "voter.json cannot be read" in world.servers[1].log.read_text()


def test_a_lease_process_takes_little_memory(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path, 1, stack)
    world.push(world.topology(1))
    figures = Path(f"/proc/{lease_process(world.servers[0])}/smaps_rollup").read_text().split()
    assert int(figures[figures.index("Private_Dirty:") + 1]) < 12 * 1024


def test_without_the_other_port_a_node_says_what_is_taken(tmp_path: Path) -> None:
    port, admin_port = free_ports(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", port))
        with pytest.raises(AssertionError, match=f"UDP port {port} is taken on 127.0.0.1"):
            Server(tmp_path, *member(tmp_path, 0), "--port", str(port), "--admin-port", str(admin_port))
