"""Clients of every node count in one key while nodes and lease processes are killed and stopped; their histories are
then held against what must be so: the count is one that a single server could have given, and masters take turns.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from histories import REFUSALS, Count, objections, turns_out_of_order
from laptop import Cli, eventually
from ports import free_base_port
from process_faults import DEATH, FAULTS

NODES = 3
NUMBER = int(os.environ.get("RINGKEEPER_FAULTS", "6"))
"""Of faults; hundreds: `make soak`."""
SEED = int(os.environ.get("RINGKEEPER_FAULTS_SEED", "1"))
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {name: c}
spec:
  shards: 1
  replicasPerShard: 2
  memory: 64Mi
  replication: {minAcks: 1}
  failover: {heartbeatInterval: 200ms}
"""
PATIENCE = 20.0
"""Seconds for a node that was stopped to answer."""


class Counter:
    """Says INCR to one node, from a thread, on one connection for as long as it lasts."""

    def __init__(self, node: int, port: int) -> None:
        self.node = node
        self.port = port
        self.counts: list[Count] = []
        self.refusals: set[str] = set()
        self.stopping = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.stopping:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection,
                connection.makefile("rb") as replies,
            ):
                while not self.stopping and self.count(connection, replies.readline):
                    pass
            time.sleep(0.02)

    def count(self, connection: socket.socket, read: Callable[[], bytes]) -> bool:
        """Whether the connection is still there."""
        sent = time.monotonic()
        connection.sendall(b"INCR counter\r\n")
        reply = read()
        if reply.startswith(b":"):
            self.counts.append(Count(sent, time.monotonic(), self.node, int(reply[1:])))
        else:
            self.refusals.add(reply.decode())
        time.sleep(0.002)
        return reply.endswith(b"\r\n")

    def stop(self) -> None:
        self.stopping = True
        self.thread.join()


def test_the_checker_sees_what_cannot_be() -> None:
    good = [Count(0, 1, 0, 1), Count(0.5, 2, 0, 2), Count(3, 4, 1, 3)]
    assert objections(good, 2) == []
    assert len(objections(good, 1)) == 1
    assert len(objections([*good, Count(5, 6, 1, 3)], 2)) == 2, "told twice, and too late"
    assert len(objections([*good, Count(5, 6, 0, 4), Count(7, 8, 1, 5)], 3)) == 1, "two at a time"
    assert turns_out_of_order(good, [0, 1]) == turns_out_of_order(good, [2, 0, 2, 1]) == []
    assert len(turns_out_of_order(good, [1, 0])) == len(turns_out_of_order(good, [0, 2, None][:2])) == 1
    assert len(turns_out_of_order([*good, Count(5, 6, 0, 4)], [0, 1, 1])) == 1, "nobody appointed it again"


class Shard:
    def __init__(self, cli: Cli, folder: Path, generator: random.Random) -> None:
        self.cli = cli
        self.random = generator
        self.died = False
        """A node, and the shard may not be whole yet: `minAcks: 1` promises nothing if another dies now."""
        self.port = free_base_port(NODES)
        manifest = folder / "cluster.yaml"
        manifest.write_text(MANIFEST)
        cli("up", "-f", str(manifest), "--base-port", str(self.port), "--detach")
        eventually(self.is_whole, "every replica can take over")

    def nodes(self) -> list[dict[str, Any]]:
        return list(self.cli.status()["nodes"])

    def is_whole(self) -> bool:
        nodes = self.nodes()
        return all(node["pid"] and node["state"] == "online" for node in nodes) and (
            sorted((node["role"], node["voter"]) for node in nodes) == [("master", False), *[("replica", True)] * 2]
        )

    def fault(self) -> str:
        """Do something to a node, mostly the master; what it was, in words."""
        name, action = self.random.choice(list(FAULTS.items()))
        if name == DEATH:
            if self.died:
                eventually(self.is_whole, "a whole shard after a death")
            self.died = True
        nodes = [node for node in self.nodes() if node["pid"]]
        masters = [node for node in nodes if node["role"] == "master"]
        node = self.random.choice(masters if masters and self.random.random() < 0.8 else nodes)
        seconds = self.random.uniform(0.1, 2.5)
        action(int(node["pid"]), seconds)
        time.sleep(self.random.uniform(0, 1.5))
        return f"{name} of {node['name']}, a {node['role']}, {seconds:.2f} s"


def run(cli: Cli, folder: Path, seed: int, faults: int) -> None:
    shard = Shard(cli, folder, random.Random(seed))
    counters = [Counter(node, shard.port + node) for node in range(NODES)]
    done: list[str] = []
    try:
        done.extend(shard.fault() for _ in range(faults))
        eventually(shard.is_whole, f"a whole shard after {done}")
    finally:
        for counter in counters:
            counter.stop()
    counts = [count for counter in counters for count in counter.counts]
    assert len(counts) > 100
    term = max(int(node["term"]) for node in shard.nodes())
    assert objections(counts, term) == [], (seed, done)
    kinds = {refusal.split()[0] for counter in counters for refusal in counter.refusals if refusal}
    assert kinds <= REFUSALS, kinds


@pytest.mark.timeout(120 + 10 * NUMBER)
def test_clients_cannot_tell_a_shard_with_faults_from_a_single_server(cli: Cli, tmp_path: Path) -> None:
    run(cli, tmp_path, SEED, NUMBER)
