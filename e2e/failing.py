"""A cluster of three shards to which faults are done, and the client that works meanwhile.

The client, in the cluster, writes and reads twelve keys all the time, which lie in all shards (client/outages.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kubernetes_cluster import (
    CLIENT,
    CLIENT_NAMESPACE,
    PORT,
    SYSTEM_NAMESPACE,
    apply,
    await_ready,
    cache_cluster,
    check_batches,
    get,
    kubectl,
    password_of,
    pods,
    redis_cli,
    until,
    write_batch,
)

NAME = "failing"
SHARDS = 3
OUTAGE_SECONDS = 5.0
"""Four, which a laptop keeps to, and one for Kubernetes' network."""
LEADER_SECONDS = 15.0
"""More, when the operator's leader went as well."""
WATCHED_SECONDS = 15


def make_cluster(namespace: str) -> None:
    apply(cache_cluster(NAME, shards=SHARDS, replicasPerShard=1), namespace=namespace)
    await_ready(NAME, namespace, 120)
    await_voters(namespace)
    write_batch(NAME, namespace, "known")


def topology(namespace: str, name: str = NAME) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        get("configmap", f"{name}-topology", namespace=namespace)["data"]["topology.json"]
    )
    return document


def await_voters(namespace: str) -> None:
    """Every shard has a replica that can take over, and the status says so."""

    def look() -> bool:
        shards = topology(namespace)["shards"]
        return all(len(shard["voters"]) == 1 and not shard.get("formerVoters") for shard in shards)

    until(120, "every shard has a voter", look)
    await_ready(NAME, namespace, 60)


def masters(namespace: str) -> list[str]:
    """By shard, as the topology names them."""
    document = topology(namespace)
    names = {node["id"]: node["name"] for node in document["nodes"]}
    return [names[shard["master"]] for shard in document["shards"]]


def await_one_master_each(namespace: str) -> None:
    """By their own word: every other node follows."""

    def look() -> bool:
        found = pods(NAME, namespace)
        roles = {
            name: redis_cli(NAME, namespace, "role", host=str(pod["status"]["podIP"])).splitlines()[0]
            for name, pod in found.items()
        }
        return sorted(name for name, role in roles.items() if role == "master") == sorted(masters(namespace)) and all(
            role in ("master", "slave") for role in roles.values()
        )

    until(60, "each shard has one master, and the others follow it", look)


@dataclass
class Outage:
    report: dict[str, Any] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        return float(self.report["worst"])


@contextmanager
def watched(namespace: str, seconds: int = WATCHED_SECONDS) -> Iterator[Outage]:
    """A client works for so long, beginning before the block, whose fault must be over by then."""
    secret = f"PASSWORD={password_of(NAME, namespace)}"
    hosts = [f"{pod['status']['podIP']}:{PORT}" for pod in pods(NAME, namespace).values()]
    hosts.insert(0, f"{NAME}.{namespace}.svc:{PORT}")
    command = ["kubectl", "exec", "-n", CLIENT_NAMESPACE, CLIENT, "--", "env", secret,
               "python", "/client/outages.py", str(seconds), *hosts]  # fmt: skip
    client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    outage = Outage()
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "writing\n", client.communicate()
        yield outage
        output, errors = client.communicate(timeout=seconds + 60)
    finally:
        client.kill()
    assert output, errors
    outage.report = json.loads(output)
    print(json.dumps({key: outage.report[key] for key in ("writes", "lost", "worst")}))


def settle(namespace: str, outage: Outage, limit: float = OUTAGE_SECONDS) -> None:
    """What must hold behind every fault."""
    assert outage.report["writes"] > 100, outage.report
    assert outage.worst <= limit, outage.report
    await_ready(NAME, namespace, 120)
    await_one_master_each(namespace)
    await_voters(namespace)
    check_batches(NAME, namespace, "known")


def await_successor(namespace: str, shard: int, former: str) -> None:
    until(40, f"another node than {former} is master", lambda: masters(namespace)[shard] != former)


def leader() -> dict[str, Any]:
    """The pod of the operator that leads."""
    holder = get("lease", "ringkeeper-leader", namespace=SYSTEM_NAMESPACE)["spec"]["holderIdentity"]
    pods: list[dict[str, Any]] = get("pods", namespace=SYSTEM_NAMESPACE)["items"]
    return next(pod for pod in pods if holder.startswith(pod["metadata"]["name"]))


def leaders_host() -> str:
    return str(leader()["spec"]["nodeName"])


def hand_over(namespace: str, shard: int, to: str) -> None:
    former = masters(namespace)[shard]
    if former != to:
        kubectl("annotate", "--overwrite", "cc", NAME, "-n", namespace, f"ringkeeper.dev/failover={shard}={to}")
        await_successor(namespace, shard, former)
