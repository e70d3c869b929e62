"""A message published on any node of a cluster reaches the subscribers of every node."""

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from laptop import Cli, eventually
from ports import free_base_port
from redis.cluster import ClusterNode
from wire import CLOSED, Wire

NODES = range(3)
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {name: c}
spec: {shards: 3, replicasPerShard: 0, memory: 64Mi}
"""


class Cluster:
    """Three masters, with a connection to each."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.port = free_base_port()
        self.exits = contextlib.ExitStack()
        cli("up", "-f", "-", "--base-port", str(self.port), "--detach", text=MANIFEST)
        self.wires = [self.wire(i) for i in NODES]
        eventually(self.linked, "every node has its links")

    def wire(self, index: int, protocol: int = 2) -> Wire:
        return self.exits.enter_context(Wire(self.port + index, protocol))

    def subscriber(self, index: int, command: str, channel: str) -> Wire:
        wire = self.wire(index)
        assert wire(command, channel) == [command.lower(), channel, 1]
        return wire

    def linked(self) -> bool:
        """Whether each node shows a link to and one from each of the others."""
        return all(len(wire("CLUSTER LINKS")) == 4 for wire in self.wires)

    def node(self, index: int) -> dict[str, Any]:
        return dict(self.cli.status()["nodes"][index])


@pytest.fixture
def cluster(cli: Cli) -> Iterator[Cluster]:
    made = Cluster(cli)
    with made.exits:
        yield made


def test_a_message_reaches_each_subscriber_of_each_node_once_and_in_order(cluster: Cluster) -> None:
    subscribers = [cluster.subscriber(i, "SUBSCRIBE", "news") for i in NODES]
    patterns = [cluster.subscriber(i, "PSUBSCRIBE", "n*") for i in NODES]
    for wire in cluster.wires:
        for number in range(100):
            wire.send("PUBLISH", "news", f"{wire.socket.getpeername()[1]} {number}")
        assert [wire.read() for _ in range(100)] == [2] * 100, "PUBLISH counts the subscribers of its own node"
    expected = {cluster.port + i: [str(number) for number in range(100)] for i in NODES}
    for subscriber in (*subscribers, *patterns):
        got: dict[int, list[str]] = {}
        for _ in range(300):
            port, number = subscriber.read()[-1].split()
            got.setdefault(int(port), []).append(number)
        assert got == expected
    for wire in cluster.wires:
        wire("PUBLISH", "news", "end")
        for subscriber in (*subscribers, *patterns):
            assert subscriber.read()[-1] == "end", "nothing came twice"


def test_links_are_shown_in_pairs_the_one_to_a_node_before_the_one_from_it(cluster: Cluster) -> None:
    eventually(cluster.linked, "all nodes are linked")
    for wire in cluster.wires:
        shown = [dict(zip(link[::2], link[1::2], strict=True)) for link in wire("CLUSTER LINKS")]
        assert [link["direction"] for link in shown] == ["to", "from"] * 2
        assert [link["node"] for link in shown[::2]] == [link["node"] for link in shown[1::2]]


def test_cluster_clients_of_redis_py_meet_across_nodes(cluster: Cluster) -> None:
    for protocol in (2, 3):
        with redis.RedisCluster(host="127.0.0.1", port=cluster.port, protocol=protocol) as client:
            for i in NODES:
                with client.pubsub(host="127.0.0.1", port=cluster.port + i) as subscriber:
                    subscriber.subscribe("news")
                    assert subscriber.get_message(timeout=30)["type"] == "subscribe"
                    for j in NODES:
                        node = ClusterNode("127.0.0.1", cluster.port + j)
                        client.execute_command("PUBLISH", "news", f"{i}{j}", target_nodes=node)
                        assert subscriber.get_message(timeout=30)["data"] == f"{i}{j}".encode()
            with client.pubsub() as subscriber:
                subscriber.ssubscribe("orders")
                assert subscriber.get_sharded_message(timeout=30)["type"] == "ssubscribe"
                assert client.spublish("orders", "one") == 1
                assert subscriber.get_sharded_message(timeout=30)["data"] == b"one"


def test_messages_flow_again_when_a_killed_node_has_returned(cluster: Cluster) -> None:
    lasting = cluster.subscriber(0, "SUBSCRIBE", "news")
    lost = cluster.subscriber(1, "SUBSCRIBE", "news")
    before = cluster.node(1)
    os.kill(before["pid"], signal.SIGKILL)
    assert lost.read() == CLOSED
    cluster.wires[0]("PUBLISH", "news", "while it was away")
    assert lasting.read() == ["message", "news", "while it was away"]
    eventually(lambda: cluster.node(1)["pid"] not in (None, before["pid"]), "the node is started again")
    eventually(lambda: cluster.node(1)["role"] == "master", "the node serves again")
    cluster.wires[1] = cluster.wire(1)
    eventually(cluster.linked, "the links are there again")
    returned = cluster.subscriber(1, "SUBSCRIBE", "news")
    cluster.wires[0]("PUBLISH", "news", "to the returned")
    assert returned.read() == lasting.read() == ["message", "news", "to the returned"], "nothing old comes"
    cluster.wires[1]("PUBLISH", "news", "from the returned")
    assert returned.read() == lasting.read() == ["message", "news", "from the returned"]


def test_a_node_that_stands_still_holds_up_no_message_to_the_others(cluster: Cluster) -> None:
    subscriber = cluster.subscriber(2, "SUBSCRIBE", "news")
    pid = cluster.node(1)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        message = "x" * 65536
        for _ in range(1024):
            cluster.wires[0]("PUBLISH", "news", message)
            assert subscriber.read()[2] == message
        waiting = [
            link[link.index("send-buffer-used") + 1]
            for link in cluster.wires[0]("CLUSTER LINKS")
            if link[link.index("direction") + 1] == "to"
        ]
        assert max(waiting) < 32 * 1024**2, "64 MiB were published"
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(cluster.linked, "the links are there again")
