"""The replies of `ClusterView`, beside those of a real Redis Cluster with the same nodes and slots.

Three real nodes: a master with two pieces of the circle and a replica, and a master with a hostname. The bytes must be
the same but for what only a gossip bus knows: times, message counts, configuration epochs, replication offsets.
"""

import contextlib
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from laptop import eventually
from ports import free_base_port

from ringkeeper.cluster.topology import UNOWNED, Node, Shard, Topology
from ringkeeper.cluster.view import ClusterView
from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.writer import encode_command
from ringkeeper.store.slot import SLOTS

HOSTNAME = "pod-1.cache.svc"
OWNERS = tuple(1 if slot == 150 else UNOWNED if 100 < slot < 200 else 0 for slot in range(SLOTS))

IN_A_HURRY = ("--cluster-node-timeout", "500", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
"""They talk the more often the sooner they suspect each other (of two masters, one is no majority against the other); a
replica is shown when it has heard of its master's first ping."""


def ask(port: int, *words: str, protocol: int = 2) -> bytes:
    """The reply as it stands on the wire."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        if protocol == 3:
            read_reply(connection, encode_command([b"HELLO", b"3"]))
        return read_reply(connection, encode_command([word.encode() for word in words]))


def read_reply(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    reader, received = ReplyReader(), b""
    while reader.next() is NOT_READY:
        data = connection.recv(65536)
        assert data, "the server closed the connection"
        reader.feed(data)
        received += data
    return received


def parsed(reply: bytes) -> object:
    reader = ReplyReader()
    reader.feed(reply)
    return reader.next()


@dataclass
class RealCluster:
    """Ports and ids by name: a (master of shard 0), b (its replica), c (master of shard 1)."""

    ports: dict[str, int]
    ids: dict[str, str]

    def topology(self) -> Topology:
        def node(name: str, shard: int, hostname: str, role: str) -> Node:
            port = self.ports[name]
            return Node(self.ids[name], name, shard, hostname, "127.0.0.1", port, port + 10000, role, "run")

        nodes = (node("a", 0, "", "master"), node("b", 0, "", "replica"), node("c", 1, HOSTNAME, "master"))
        shards = (Shard(0, 1, self.ids["a"]), Shard(1, 2, self.ids["c"]))
        return Topology("c", "u", 1, 1, 10, nodes, shards, OWNERS)

    def view(self, name: str) -> ClusterView:
        return ClusterView(self.topology(), my_id=self.ids[name])


def has_settled(cluster: RealCluster) -> bool:
    """Whether every node knows every other, with role and hostname, and has counted them."""
    shown = [ask(port, "CLUSTER", "NODES").decode() for port in cluster.ports.values()]
    slots = [ask(port, "CLUSTER", "SLOTS") for port in cluster.ports.values()]
    return (
        all(text.count(" connected") == 3 and "handshake" not in text for text in shown)
        and all(HOSTNAME in text and f"slave {cluster.ids['a']}" in text for text in shown)
        and all(reply == slots[0] and HOSTNAME.encode() in reply for reply in slots)
        and all(cluster.ids["b"].encode() in reply for reply in slots)
        and b"cluster_size:2" in ask(cluster.ports["a"], "CLUSTER", "INFO")
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    base = free_base_port(3)
    ports = {name: base + i for i, name in enumerate("abc")}
    with contextlib.ExitStack() as stack:
        for name, port in ports.items():
            folder: Path = tmp_path_factory.mktemp(name)
            command = [
                "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
                "--cluster-require-full-coverage", "no", "--dir", str(folder), "--save", "",
                "--cluster-announce-hostname", HOSTNAME if name == "c" else "", *IN_A_HURRY,
            ]  # fmt: skip
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            eventually(lambda port=port: answers(port), f"redis-server listens on {port}")
        ids = {name: parsed(ask(port, "CLUSTER", "MYID")).decode() for name, port in ports.items()}  # type: ignore[attr-defined]
        cluster = RealCluster(ports, ids)
        ask(ports["a"], "CLUSTER", "ADDSLOTSRANGE", "0", "100", "200", str(SLOTS - 1))
        ask(ports["c"], "CLUSTER", "ADDSLOTS", "150")
        for name in "bc":
            ask(ports["a"], "CLUSTER", "MEET", "127.0.0.1", str(ports[name]))
        eventually(lambda: ask(ports["b"], "CLUSTER", "REPLICATE", ids["a"]) == b"+OK\r\n", "b knows a")
        eventually(lambda: has_settled(cluster), "the real cluster agrees")
        for port in ports.values():
            ask(port, "CONFIG", "SET", "cluster-node-timeout", "60000")
        yield cluster


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return ask(port, "PING") == b"+PONG\r\n"
    return False


@pytest.mark.parametrize("protocol", [2, 3])
def test_cluster_slots_is_the_same_to_the_byte(real: RealCluster, protocol: int) -> None:
    assert real.view("a").slots(protocol) == ask(real.ports["a"], "CLUSTER", "SLOTS", protocol=protocol)


@pytest.mark.parametrize("protocol", [2, 3])
def test_cluster_shards_has_the_same_shape_and_facts(real: RealCluster, protocol: int) -> None:
    theirs = ask(real.ports["a"], "CLUSTER", "SHARDS", protocol=protocol)
    theirs = re.sub(rb"(replication-offset\r\n):\d+", rb"\1:0", theirs)
    # A real replica is `loading` while its first synchronisation lasts.
    theirs = theirs.replace(b"$7\r\nloading", b"$6\r\nonline")
    ours = real.view("a").shards(protocol, {})
    assert len(ours) == len(theirs)
    assert ours[:4] == theirs[:4]
    assert in_order(parsed(ours)) == in_order(parsed(theirs))


def in_order(shards: object) -> list[str]:
    """Redis lists shards, and the nodes of a shard, in no order."""
    assert isinstance(shards, list)
    if isinstance(shards[0], dict):
        return sorted(str({**shard, b"nodes": sorted(shard[b"nodes"], key=str)}) for shard in shards)
    return sorted(str([*shard[:3], sorted(shard[3], key=str)]) for shard in shards)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_cluster_nodes_has_the_same_lines(real: RealCluster, name: str) -> None:
    def facts(text: str) -> list[list[str]]:
        assert text.endswith("\n")
        lines = [line.split(" ") for line in text.splitlines()]
        return sorted([*words[:4], words[7], *words[8:]] for words in lines)

    theirs = parsed(ask(real.ports[name], "CLUSTER", "NODES"))
    assert isinstance(theirs, bytes)
    assert facts(real.view(name).nodes().decode()) == facts(theirs.decode())


def test_cluster_replicas_has_the_same_lines(real: RealCluster) -> None:
    theirs = parsed(ask(real.ports["a"], "CLUSTER", "REPLICAS", real.ids["a"]))
    ours = real.view("a").replicas(real.ids["a"])
    assert isinstance(theirs, list)
    assert ours is not None
    assert [line.split()[:4] for line in ours] == [line.split()[:4] for line in theirs]
    assert [len(line.split()) for line in ours] == [len(line.split()) for line in theirs]


def test_cluster_info_has_the_same_fields(real: RealCluster) -> None:
    def fields(text: bytes) -> dict[str, str]:
        assert text.endswith(b"\r\n")
        return dict(line.split(":", 1) for line in text.decode().splitlines())

    theirs = parsed(ask(real.ports["a"], "CLUSTER", "INFO"))
    assert isinstance(theirs, bytes)
    by_message = re.compile(r"cluster_stats_messages_\w+_(sent|received)")
    expected = {name: value for name, value in fields(theirs).items() if not by_message.fullmatch(name)}
    ours = fields(real.view("a").info(assigned=True))
    assert list(ours) == list(expected)
    for name in ("cluster_slots_assigned", "cluster_slots_ok", "cluster_known_nodes", "cluster_size"):
        assert ours[name] == expected[name]
