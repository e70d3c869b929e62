"""How long a slot goes unanswered when its master is gone: `python bench/failover.py [--rounds 20] [--write]`.

Clusters of three masters with a replica each, on this machine. A client writes a key of one shard all the time
(`e2e/client/outages.py`), reading it now and then. The shard's master is killed (SIGKILL) or stopped (SIGSTOP); the
outage is the time from the last write that was acknowledged to the next one. Then the node is started anew or goes on,
and when its shard has a replica again, the next shard's master is next. A write that was acknowledged and is not there
afterwards is lost.

Valkey at its default node timeout takes 20 seconds each time, so it has fewer rounds there; a master is stopped in a
third of the rounds in which one is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

from client.outages import Address, Writer
from compare import BenchError, publish, setting, valkey_command

from ringkeeper.store.slot import SLOTS, key_slot

SHARDS = 3
DEADLINE = 120.0
POLL_SECONDS = 0.02
PATIENT_ROUNDS = 3
"""Of Valkey at its default node timeout."""
RINGKEEPER = [sys.executable, "-P", "-m", "ringkeeper_operator.cli"]
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: bench}}
spec: {{shards: {shards}, replicasPerShard: 1, memory: 64Mi, failover: {{heartbeatInterval: {interval}ms}}}}
"""


@dataclass(frozen=True, slots=True)
class Master:
    """Who serves a shard now."""

    pid: int
    start_again: Callable[[], object]
    """After it was killed."""


class Cluster(Protocol):
    seeds: list[Address]

    def key_of(self, shard: int) -> str: ...

    def master(self, shard: int) -> Master: ...

    def is_whole(self) -> bool:
        """Whether every shard has a master and a replica that could take its place."""


@dataclass
class Outcome:
    outages: list[float] = field(default_factory=list)
    lost: int = 0


def await_(check: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE
    while not check():
        if time.monotonic() > end:
            raise BenchError(f"waited {DEADLINE:.0f} s: {what}")
        time.sleep(POLL_SECONDS)


def measure(cluster: Cluster, rounds: int, sign: signal.Signals) -> Outcome:
    outcome = Outcome()
    for number in range(rounds):
        await_(cluster.is_whole, "every shard has its replica")
        outage, lost = one_outage(cluster, number % SHARDS, sign)
        outcome.outages.append(outage)
        outcome.lost += lost
    return outcome


def one_outage(cluster: Cluster, shard: int, sign: signal.Signals) -> tuple[float, int]:
    """Its seconds, and the writes that were lost."""
    master = cluster.master(shard)
    writer = Writer(cluster.key_of(shard), cluster.seeds).start()
    try:
        await_(lambda: writer.writes > 50, "the shard takes writes")
        began = time.monotonic()
        os.kill(master.pid, sign)
        await_(lambda: writer.ended_gap(began), "the shard takes writes again")
        return writer.worst(began).seconds, writer.lost
    finally:
        writer.stop()
        if sign == signal.SIGSTOP:
            os.kill(master.pid, signal.SIGCONT)
        else:
            master.start_again()


class Ours:
    """A cluster of `ringkeeper up`, whose supervisor starts a killed node again."""

    def __init__(self, folder: pathlib.Path, port: int, manifest: str) -> None:
        self.environment = os.environ | {"XDG_STATE_HOME": str(folder)}
        self.folder = folder
        self.port = port
        self.seeds = [("127.0.0.1", port + number) for number in range(2 * SHARDS)]
        self.up(manifest)

    def up(self, manifest: str) -> None:
        file = self.folder / "cluster.yaml"
        file.write_text(manifest)
        self.run("up", "-f", str(file), "--base-port", str(self.port), "--detach")

    def run(self, *arguments: str) -> str:
        done = subprocess.run([*RINGKEEPER, *arguments], env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise BenchError(done.stderr)
        return done.stdout

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.run("status", "--output", "json")))

    def nodes(self) -> list[dict[str, Any]]:
        return list(self.status()["nodes"])

    def key_of(self, shard: int) -> str:
        return key_in(owned(self.port, self.nodes()[2 * shard]["id"], self.nodes()[2 * shard + 1]["id"]))

    def master(self, shard: int) -> Master:
        node = next(node for node in self.nodes() if (node["shard"], node["role"]) == (shard, "master"))
        return Master(node["pid"], lambda: None)

    def is_whole(self) -> bool:
        ready = [node for node in self.nodes() if node["state"] == "online"]
        return len(ready) == 2 * SHARDS and sum(node["voter"] for node in ready) == SHARDS


def in_equal_parts() -> list[list[int]]:
    """First and last slots of the ranges of each shard."""
    return [[SLOTS * number // SHARDS, SLOTS * (number + 1) // SHARDS - 1] for number in range(SHARDS)]


class Valkey:
    """Servers that know each other over their bus: as many masters as there are lists of slots, then their replicas."""

    def __init__(
        self,
        folder: pathlib.Path,
        port: int,
        timeout_ms: int,
        command: list[str],
        ranges: Sequence[Sequence[int]],
    ) -> None:
        self.folder, self.port, self.timeout_ms, self.command = folder, port, timeout_ms, command
        self.ranges = ranges
        self.seeds = [("127.0.0.1", port + number) for number in range(2 * len(ranges))]
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        for _, each in self.seeds:
            self.start(each)
        self.join()

    def start(self, port: int) -> None:
        folder = self.folder / str(port)
        folder.mkdir(exist_ok=True)
        directives = {
            "port": port, "bind": "127.0.0.1", "save": "", "dir": folder, "cluster-enabled": "yes",
            "cluster-node-timeout": self.timeout_ms, "cluster-port": port + 10000, "daemonize": "no",
        }  # fmt: skip
        words = [word for name, value in directives.items() for word in (f"--{name}", str(value))]
        self.processes[port] = subprocess.Popen([*self.command, *words], stdout=subprocess.DEVNULL)
        await_(lambda: answers(port), f"Valkey on port {port} starts")

    def join(self) -> None:
        for number, (_, port) in enumerate(self.seeds):
            with client(port) as node:
                node.execute_command("CLUSTER MEET", "127.0.0.1", self.port)
                if number < len(self.ranges) and self.ranges[number]:
                    node.execute_command("CLUSTER ADDSLOTSRANGE", *self.ranges[number])
        await_(lambda: len(self.known(self.seeds[-1][1])) == len(self.seeds), "the servers know each other")
        for number in range(len(self.ranges)):
            with client(self.port + number) as node:
                id_ = node.execute_command("CLUSTER MYID")
            with client(self.port + len(self.ranges) + number) as node:
                await_(lambda: self.replicates(node, id_), "a replica follows")  # noqa: B023
        await_(self.is_whole, "Valkey's cluster is up")

    @staticmethod
    def replicates(node: redis.Redis, id_: bytes) -> bool:
        with contextlib.suppress(redis.RedisError):
            node.execute_command("CLUSTER REPLICATE", id_)
            return True
        return False

    def known(self, port: int) -> list[list[str]]:
        """The lines of CLUSTER NODES, as words."""
        with client(port) as node:
            node.response_callbacks.clear()
            return [line.split() for line in node.execute_command("CLUSTER NODES").decode().splitlines()]

    def key_of(self, shard: int) -> str:
        return key_in(range(SLOTS * shard // SHARDS, SLOTS * (shard + 1) // SHARDS))

    def master(self, shard: int) -> Master:
        first = str(SLOTS * shard // SHARDS)
        line = next(line for line in self.known(self.port) if any(word.split("-")[0] == first for word in line[8:]))
        port = int(line[1].partition("@")[0].rpartition(":")[2])
        return Master(self.processes[port].pid, lambda: self.start_again(port))

    def start_again(self, port: int) -> None:
        self.processes[port].wait()
        self.start(port)

    def is_whole(self) -> bool:
        """By every server's own account, so that all of them have heard of the last change."""
        for _, port in self.seeds:
            lines = self.known(port)
            if any("fail" in line[2] or line[7] != "connected" for line in lines):
                return False
            if sum("slave" in line[2] for line in lines) != len(self.ranges):
                return False
            with client(port) as node:
                info = node.info("replication")
                if info["role"] == "slave" and info["master_link_status"] != "up":
                    return False
                if b"cluster_state:ok" not in raw(node, "CLUSTER INFO"):
                    return False
        return True

    def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            process.wait()


def client(port: int) -> redis.Redis:
    return redis.Redis(port=port, socket_timeout=5, retry=Retry(NoBackoff(), 0))


def raw(node: redis.Redis, *words: str) -> bytes:
    node.response_callbacks.clear()
    return bytes(node.execute_command(*words))


def answers(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), client(port) as node:
        return bool(node.ping())
    return False


def owned(port: int, *ids: str) -> list[int]:
    """The slots of the master that is one of these."""
    with client(port) as node:
        node.response_callbacks.clear()
        ranges = node.execute_command("CLUSTER SLOTS")
    return [slot for first, last, master, *_ in ranges if master[2].decode() in ids for slot in range(first, last + 1)]


def key_in(slots: range | list[int]) -> str:
    wanted = frozenset(slots)
    return next(key for key in map(str, range(10**6)) if key_slot(key.encode()) in wanted)


@contextlib.contextmanager
def ours(interval_ms: int) -> Iterator[Cluster]:
    from ring_refresh import free_base_port

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        manifest = MANIFEST.format(shards=SHARDS, interval=interval_ms)
        cluster = Ours(pathlib.Path(folder), free_base_port(2 * SHARDS), manifest)
        try:
            yield cluster
        finally:
            cluster.run("down")


@contextlib.contextmanager
def valkey(timeout_ms: int, command: list[str]) -> Iterator[Cluster]:
    from ring_refresh import free_base_port

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        cluster = Valkey(pathlib.Path(folder), free_base_port(2 * SHARDS), timeout_ms, command, in_equal_parts())
        try:
            yield cluster
        finally:
            cluster.stop()


def row(name: str, how: str, what: str, outcome: Outcome) -> str:
    times = outcome.outages
    figures = " | ".join(f"{value:.2f}" for value in (statistics.median(times), min(times), max(times)))
    return f"| {name} | {how} | {what} | {len(times)} | {figures} | {outcome.lost} |"


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure failovers beside Valkey's.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="two rounds of each")
    parser.add_argument("--only", choices=["ringkeeper", "valkey"])
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    all_rounds = 2 if options.quick else options.rounds

    def run(found: dict[str, list[str]]) -> str:
        rows = [
            "| cluster | setting | master | rounds | outage, median s | least | longest | lost writes |",
            "|---|---|---|---|---|---|---|---|",
        ]
        command = valkey_command()
        few = max(1, all_rounds // 3)
        for what, sign, count in (("killed", signal.SIGKILL, all_rounds), ("stopped", signal.SIGSTOP, few)):
            if options.only != "valkey":
                for interval in (500, 250):
                    with ours(interval) as cluster:
                        outcome = measure(cluster, count, sign)
                    rows.append(row("Ringkeeper", f"heartbeatInterval {interval} ms", what, outcome))
                    print(rows[-1], flush=True)
            if options.only != "ringkeeper" and command is not None:
                for timeout, rounds in ((1000, count), (15000, min(PATIENT_ROUNDS, count))):
                    with valkey(timeout, command) as cluster:
                        outcome = measure(cluster, rounds, sign)
                    rows.append(row("Valkey", f"cluster-node-timeout {timeout} ms", what, outcome))
                    print(rows[-1], flush=True)
        measured = {name: each for name, each in found.items() if name != "Redis"}
        return setting(measured) + ".\n\n" + "\n".join(rows)

    return publish("failover.py", options.write, run)


if __name__ == "__main__":
    sys.exit(main())
