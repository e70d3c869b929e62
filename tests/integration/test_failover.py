"""Replicas take the place of their masters: killed, hung, asked to go; with a client that writes all the time."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from client.outages import Gap, Writer
from laptop import Cli, eventually, is_alive
from ports import free_base_port
from wire import CLOSED, Wire

from ringkeeper.store.slot import key_slot

SHARDS = 3
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: c}}
spec: {{shards: 3, replicasPerShard: 1, memory: 64Mi{more}}}
"""
NOT_LONG = 15.0
"""Seconds: an outage that is over without a person. How short it is, `bench/failover.py` measures."""


class Cluster:
    """Three shards of two nodes, up, each replica ready to take over."""

    def __init__(self, cli: Cli, folder: Path, more: str = "") -> None:
        self.cli = cli
        self.port = free_base_port(2 * SHARDS)
        self.manifest = folder / "cluster.yaml"
        self.manifest.write_text(MANIFEST.format(more=more))
        self.up()
        eventually(self.is_whole, "every replica can take over")

    def up(self) -> None:
        self.cli("up", "-f", str(self.manifest), "--base-port", str(self.port), "--detach")

    def change(self, before: str, after: str) -> None:
        """Something in the manifest, while the cluster is up."""
        self.manifest.write_text(self.manifest.read_text().replace(before, after))
        self.up()

    def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["name"]: node for node in self.cli.status()["nodes"]}

    def master(self, shard: int) -> dict[str, Any]:
        return eventually(lambda: self.serving(shard), f"shard {shard} has a master")

    def serving(self, shard: int) -> dict[str, Any] | None:
        """The node that says it is master of the shard, if one answers."""
        found = [node for node in self.nodes().values() if (node["shard"], node["role"]) == (shard, "master")]
        return found[0] if found else None

    def is_whole(self) -> bool:
        nodes = self.nodes().values()
        replicas = [node for node in nodes if node["role"] == "replica"]
        return len(replicas) == SHARDS and all(
            node["state"] == "online" and (node["voter"] or node["role"] == "master") for node in nodes
        )

    @contextlib.contextmanager
    def written_to(self) -> Iterator[list[Writer]]:
        """A writer for each shard, in their order."""
        keys = [self.key_of(shard) for shard in range(SHARDS)]
        seeds = [("127.0.0.1", self.port + number) for number in range(2 * SHARDS)]
        writers = [Writer(key, seeds).start() for key in keys]
        try:
            eventually(lambda: all(writer.writes > 10 for writer in writers), "every shard takes writes")
            yield writers
        finally:
            for writer in writers:
                writer.stop()

    def key_of(self, shard: int) -> str:
        """A key that belongs to the shard."""
        owners = self.cli.owners()
        return next(key for key in map(str, range(10**6)) if owners[key_slot(key.encode())] == shard)


def outage_of(writer: Writer, since: float) -> Gap:
    """The one that began by what happened at `since`; waits until it is over."""
    eventually(lambda: writer.ended_gap(since), f"{writer.key} is written to again")
    return writer.worst(since)


def test_a_killed_master_is_followed_by_its_replica_and_returns_as_one(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path, ", replication: {minAcks: 1}")
    with cluster.written_to() as writers:
        for shard in (0, 0, 2):
            master = cluster.master(shard)
            began = time.monotonic()
            os.kill(master["pid"], signal.SIGKILL)
            outage = outage_of(writers[shard], began)
            assert outage.seconds < NOT_LONG, outage
            eventually(cluster.is_whole, "the killed node is a replica that can take over")
            after = cluster.nodes()[master["name"]]
            assert (after["role"], after["term"]) == ("replica", master["term"] + 1)
    assert [writer.lost for writer in writers] == [0, 0, 0]
    told = cli.status()["failovers"]
    assert [(entry["shard"], entry["to"]) for entry in told] == [(2, "c-2-1"), (0, "c-0-0"), (0, "c-0-1")]
    assert all(entry["totalMilliseconds"] >= entry["electionMilliseconds"] for entry in told)
    assert "takes the place of c-2-0 in term 2" in (Path(cli.status()["data"]) / "supervisor.log").read_text()


def test_a_master_that_hung_while_another_took_over_refuses_the_very_first_command(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path, ", failover: {heartbeatInterval: 250ms}")
    master = cluster.master(1)
    key = cluster.key_of(1)
    with Wire(master["port"]) as reading, Wire(master["port"]) as writing:
        assert writing("SET", key, "before") == "OK"
        assert reading("GET", key) == "before"
        os.kill(master["pid"], signal.SIGSTOP)
        try:
            eventually(lambda: cluster.master(1)["name"] != master["name"], "the replica is master")
            with Wire(cluster.master(1)["port"]) as other:
                assert other("SET", key, "after") == "OK"
            reading.send("GET", key)
            writing.send("SET", key, "late")
        finally:
            os.kill(master["pid"], signal.SIGCONT)
        for wire in (reading, writing):
            answer = str(wire.read())
            assert answer == CLOSED or answer.startswith(("-CLUSTERDOWN", "-MOVED")), answer
    eventually(cluster.is_whole, "it follows the new one")
    with Wire(cluster.master(1)["port"]) as other:
        assert other("GET", key) == "after"


def test_a_handover_loses_nothing_and_no_client_hears_of_it(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path)
    client = redis.RedisCluster(host="127.0.0.1", port=cluster.port)
    with cluster.written_to() as writers:
        for to in (["--to", "0-1"], []):
            before = cluster.master(0)
            done = cli("failover", "0", *to).stdout
            client.set(writers[0].key + ":another", "value")
            after = cluster.master(0)
            assert f"shard 0: {after['name']} is master now (term {after['term']}), {before['name']} was" in done
            assert after["name"] != before["name"]
            eventually(cluster.is_whole, "the former master is a replica that can take over")
        assert writers[0].worst().seconds < NOT_LONG
    client.close()
    assert [writer.lost for writer in writers] == [0, 0, 0]
    assert [entry["cause"] for entry in cli.status()["failovers"]] == ["handover", "handover"]


def test_replicas_go_and_come_while_the_cluster_is_up_and_nothing_is_lost(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path)
    cli("failover", "1", "--to", "1-1")
    eventually(lambda: cluster.master(1)["name"] == "c-1-1", "the node that is about to go is master")
    eventually(cluster.is_whole, "the other is a replica that can take over")
    before = cluster.nodes()
    with cluster.written_to() as writers:
        cluster.change("replicasPerShard: 1", "replicasPerShard: 0")
        eventually(lambda: set(cluster.nodes()) == {"c-0-0", "c-1-0", "c-2-0"}, "the replicas are gone")
        assert {name: (node["pid"], node["port"]) for name, node in cluster.nodes().items()} == {
            name: (before[name]["pid"], before[name]["port"]) for name in ("c-0-0", "c-1-0", "c-2-0")
        }
        assert not is_alive(before["c-1-1"]["pid"])
        cluster.change("replicasPerShard: 0", "replicasPerShard: 1")
        eventually(cluster.is_whole, "there are replicas again, which can take over")
    assert [writer.lost for writer in writers] == [0, 0, 0]


def test_more_replicas_than_ever_take_another_start(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path)
    cluster.manifest.write_text(cluster.manifest.read_text().replace("replicasPerShard: 1", "replicasPerShard: 2"))
    refused = cli("up", "-f", str(cluster.manifest), "--detach", code=1)
    assert "replicasPerShard to no more than it was" in refused.stderr


def test_a_handover_that_cannot_be_is_refused_with_the_reason(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path)
    assert "there is no shard 7; there are 0 to 2" in cli("failover", "7", code=2).stderr
    assert "c-1-0 is no replica of it; its replicas are c-0-1" in cli("failover", "0", "--to", "1-0", code=1).stderr
    assert "c-0-0 is the master of shard 0 already" in cli("failover", "0", "--to", "0-0", code=1).stderr
    os.kill(cli.status()["supervisor"], signal.SIGKILL)
    eventually(lambda: cli.status()["supervisor"] is None, "the supervisor is gone")
    assert "no supervisor is at work" in cli("failover", "0", code=1).stderr
    assert cluster.master(0)["term"] == 1


def longest_pause(client: redis.RedisCluster, key: str, pid: int) -> float:
    """Seconds between two writes while a node is told to end and does; none may fail, and none may be lost."""
    os.kill(pid, signal.SIGTERM)
    longest, last = 0.0, time.monotonic()
    behind = 0
    for number in itertools.count():
        client.set(key, number)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
        assert client.get(key) == str(number).encode()
        behind += not is_alive(pid)
        if behind == 100:
            break
    return longest


def test_a_master_that_is_told_to_end_hands_over_first_and_no_client_hears_of_it(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path, ", failover: {heartbeatInterval: 1s}")
    lease_seconds = 3.0
    client = redis.RedisCluster(host="127.0.0.1", port=cluster.port)
    key = cluster.key_of(0)
    with cluster.written_to() as writers:
        for _ in range(2):
            before = cluster.master(0)
            pause = longest_pause(client, f"{{{key}}}:another", before["pid"])
            assert pause < lease_seconds, "the least that a crash costs of which nobody is told"
            after = cluster.master(0)
            assert (after["name"] != before["name"], after["term"]) == (True, before["term"] + 1)
            eventually(cluster.is_whole, "the node that ended is a replica that can take over")
    client.close()
    assert [writer.lost for writer in writers] == [0, 0, 0]
    assert [entry["cause"] for entry in cli.status()["failovers"]] == ["handover", "handover"]


@pytest.mark.parametrize("supervised", [True, False])
def test_nodes_that_are_all_told_to_end_wait_for_nobody(cli: Cli, tmp_path: Path, *, supervised: bool) -> None:
    cluster = Cluster(cli, tmp_path)
    if not supervised:
        os.kill(cli.status()["supervisor"], signal.SIGKILL)
        eventually(lambda: cli.status()["supervisor"] is None, "the supervisor is gone")
    pids = [node["pid"] for node in cluster.nodes().values()]
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not any(map(is_alive, pids)), "all of them have ended", deadline=20.0)


@pytest.mark.parametrize("policy", ["mostRecent", "waitForAll"])
def test_masters_serve_without_a_supervisor_and_the_next_one_replaces_those_that_died(
    cli: Cli, tmp_path: Path, policy: str
) -> None:
    cluster = Cluster(cli, tmp_path, f", failover: {{recoveryPolicy: {policy}}}")
    with cluster.written_to() as writers:
        os.kill(cli.status()["supervisor"], signal.SIGKILL)
        eventually(lambda: cli.status()["supervisor"] is None, "the supervisor is gone")
        alone = time.monotonic()
        eventually(lambda: time.monotonic() > alone + 3.0, "longer than a lease passes")
        assert all(writer.worst(alone).seconds < NOT_LONG for writer in writers)
        before = cluster.master(1)
        os.kill(before["pid"], signal.SIGKILL)
        began = time.monotonic()
        cluster.up()
        outage_of(writers[1], began)
        assert cluster.master(1)["name"] == "c-1-1"
        eventually(cluster.is_whole, "the killed node is back")
        assert {node["term"] for node in cluster.nodes().values()} == {1, 2}


def test_all_nodes_killed_at_once_return_with_the_data_that_is_on_their_disks(cli: Cli, tmp_path: Path) -> None:
    cluster = Cluster(cli, tmp_path, ", persistence: {size: 1Gi, fsync: always}")
    client = redis.RedisCluster(host="127.0.0.1", port=cluster.port)
    for number in range(100):
        client.set(f"key:{number}", number)
    for node in cluster.nodes().values():
        os.kill(node["pid"], signal.SIGKILL)
    eventually(lambda: cli.status()["ready"] and cluster.is_whole(), "all of it is back")
    assert [client.get(f"key:{number}") for number in range(100)] == [str(number).encode() for number in range(100)]
    client.close()
