"""A message published on any node of a cluster reaches the subscribers of every node."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from laptop import ROOT, Cli, eventually, free_base_port


class Cluster:
    """The quickstart, and a client of each of its nodes."""

    def __init__(self, cli: Cli) -> None:
        self.cli = cli
        self.port = free_base_port()
        cli("up", "-f", str(ROOT / "examples/quickstart.yaml"), "--base-port", str(self.port), "--detach")
        self.nodes = [redis.Redis(port=self.port + i) for i in range(3)]
        self.subscribers: list[Any] = []
        eventually(self.linked, "every node has its links")

    def linked(self) -> bool:
        return all(self.link_count(i) == 4 for i in range(3))

    def link_count(self, index: int) -> int:
        """Of the links that CLUSTER LINKS shows, both ways."""
        return len(self.nodes[index].execute_command("CLUSTER LINKS"))

    def subscribe(self, index: int, *channels: str, pattern: bool = False) -> Any:
        subscriber = redis.Redis(port=self.port + index).pubsub(ignore_subscribe_messages=False)
        self.subscribers.append(subscriber)
        (subscriber.psubscribe if pattern else subscriber.subscribe)(*channels)
        for _ in channels:
            assert next_message(subscriber)["type"] in ("subscribe", "psubscribe")
        return subscriber

    def pid(self, index: int) -> int:
        return int(self.cli.status()["nodes"][index]["pid"])

    def info(self, index: int, field: str) -> int:
        return int(self.nodes[index].info("everything")[field])


def next_message(subscriber: Any, seconds: float = 30) -> Any:
    return subscriber.get_message(timeout=seconds)


@pytest.fixture
def cluster(cli: Cli) -> Iterator[Cluster]:
    made = Cluster(cli)
    yield made
    for each in [*made.subscribers, *made.nodes]:
        each.close()


def test_a_message_reaches_each_subscriber_of_each_node_once(cluster: Cluster) -> None:
    subscribers = [cluster.subscribe(i, "news") for i in range(3)]
    patterns = [cluster.subscribe(i, "n*", pattern=True) for i in range(3)]
    for i, node in enumerate(cluster.nodes):
        assert node.publish("news", f"from {i}") == 2, "PUBLISH counts its own node's subscribers"
    for i in range(3):
        got = [{next_message(each)["data"] for _ in range(3)} for each in (subscribers[i], patterns[i])]
        assert got == [{b"from 0", b"from 1", b"from 2"}] * 2
    for i, node in enumerate(cluster.nodes):
        node.publish("news", f"end of {i}")
        for each in [*subscribers, *patterns]:
            assert next_message(each)["data"] == f"end of {i}".encode(), "nothing came twice"
