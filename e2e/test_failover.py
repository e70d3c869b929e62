"""Masters that die, hang or are cut off on a real Kubernetes: a replica takes over, and no key is lost.

A client in the cluster writes and reads twelve keys all the time, which lie in all shards (client/outages.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes_cluster import (
    CLIENT,
    CLIENT_NAMESPACE,
    PORT,
    SYSTEM_NAMESPACE,
    apply,
    await_ready,
    cache_cluster,
    check_batches,
    engine,
    get,
    host_of,
    kubectl,
    password_of,
    paused,
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


@pytest.fixture(scope="module")
def cluster(namespace: str) -> str:
    apply(cache_cluster(NAME, shards=SHARDS, replicasPerShard=1), namespace=namespace)
    await_ready(NAME, namespace, 120)
    await_voters(namespace)
    write_batch(NAME, namespace, "known")
    return namespace


def rows(namespace: str) -> list[dict[str, Any]]:
    status: dict[str, Any] = get("cachecluster", NAME, namespace=namespace)["status"]
    return list(status["shardStatuses"])


def topology(namespace: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        get("configmap", f"{NAME}-topology", namespace=namespace)["data"]["topology.json"]
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


def test_a_pod_deleted_by_force_is_replaced_by_its_replica(cluster: str) -> None:
    former = masters(cluster)[0]
    with watched(cluster) as outage:
        kubectl("delete", "pod", former, "-n", cluster, "--force", "--grace-period=0")
        await_successor(cluster, 0, former)
    settle(cluster, outage)
    (last,) = [entry for entry in get("cc", NAME, namespace=cluster)["status"]["failovers"] if entry["shard"] == 0][:1]
    assert (last["from"], last["to"]) == (former, masters(cluster)[0])


def test_a_pod_deleted_with_grace_hands_over_before_it_ends(cluster: str) -> None:
    former = masters(cluster)[0]
    with watched(cluster) as outage:
        kubectl("delete", "pod", former, "-n", cluster)
        await_successor(cluster, 0, former)
    settle(cluster, outage)
    assert outage.report["lost"] == 0
    (last,) = [entry for entry in get("cc", NAME, namespace=cluster)["status"]["failovers"] if entry["shard"] == 0][:1]
    assert (last["cause"], last["from"]) == ("handover", former)


def on_server(pod: str, namespace: str, signal: str) -> None:
    """A signal to the server's processes, from the host: nobody in the pod has a say."""
    engine("exec", host_of(pod, namespace), "pkill", f"-{signal}", "-f", f"node-name {pod}")


def test_a_killed_server_is_replaced_before_it_has_started_again(cluster: str) -> None:
    former = masters(cluster)[1]
    with watched(cluster) as outage:
        on_server(former, cluster, "KILL")
        await_successor(cluster, 1, former)
    settle(cluster, outage)
    assert "FailedOver" in kubectl("get", "events", "-n", cluster, "-o", "jsonpath={.items[*].reason}")


def test_a_server_that_hangs_is_replaced_and_serves_nothing_when_it_goes_on(cluster: str) -> None:
    former = masters(cluster)[2]
    with watched(cluster) as outage:
        on_server(former, cluster, "STOP")
        try:
            await_successor(cluster, 2, former)
        finally:
            on_server(former, cluster, "CONT")
    settle(cluster, outage)


@contextmanager
def cut_off(pod: str, namespace: str) -> Iterator[None]:
    """Nothing reaches the pod, and nothing leaves it, but for what its host itself sends."""
    host, address = host_of(pod, namespace), str(get("pod", pod, namespace=namespace)["status"]["podIP"])
    ends = (("-s", address), ("-d", address))
    for end in ends:
        engine("exec", host, "iptables", "-I", "FORWARD", "1", *end, "-j", "DROP")
    try:
        yield
    finally:
        for end in ends:
            engine("exec", host, "iptables", "-D", "FORWARD", *end, "-j", "DROP")


def test_a_master_that_is_cut_off_refuses_whoever_still_reaches_it(cluster: str) -> None:
    former = masters(cluster)[1]
    program = (
        f"import redis; client = redis.Redis(port={PORT}, password={password_of(NAME, cluster)!r})\n"
        "for command in (['SET', 'outages:1', 'late'], ['GET', 'outages:1'], ['DBSIZE']):\n"
        "    try: print('answered', client.execute_command(*command))\n"
        "    except redis.RedisError as error: print('refused', type(error).__name__, error)"
    )
    with watched(cluster) as outage, cut_off(former, cluster):
        await_successor(cluster, 1, former)
        answers = kubectl("exec", "-n", cluster, former, "--", "/opt/ringkeeper/bin/python", "-c", program).splitlines()
        assert len(answers) == 3
        assert all(answer.startswith("refused") for answer in answers[:2]), answers
    settle(cluster, outage)


def host_to_pause(namespace: str) -> tuple[str, int]:
    """One with a master, without the operator's leader; and the shard, which is handed over if need be."""
    holder = get("lease", "ringkeeper-leader", namespace=SYSTEM_NAMESPACE)["spec"]["holderIdentity"]
    (leads,) = {
        pod["spec"]["nodeName"]
        for pod in get("pods", namespace=SYSTEM_NAMESPACE)["items"]
        if holder.startswith(pod["metadata"]["name"])
    }
    for shard, master in enumerate(masters(namespace)):
        for name in sorted(pods(NAME, namespace), key=lambda name: name != master):
            if name.startswith(f"{NAME}-{shard}-") and (host := host_of(name, namespace)) != leads:
                if name != master:
                    kubectl("annotate", "cc", NAME, "-n", namespace, f"ringkeeper.dev/failover={shard}={name}")
                    await_successor(namespace, shard, master)
                return host, shard
    pytest.fail(f"every node is on {leads}, which must stay")


def test_a_host_that_hangs_is_replaced_and_its_master_follows_when_it_is_back(cluster: str) -> None:
    host, shard = host_to_pause(cluster)
    former = masters(cluster)[shard]
    with watched(cluster) as outage, paused(host):
        await_successor(cluster, shard, former)
    settle(cluster, outage)


@pytest.mark.usefixtures("operator_running")
def test_a_failover_goes_on_when_the_operators_leader_dies_in_the_middle(cluster: str) -> None:
    former = masters(cluster)[0]
    with watched(cluster, 45) as outage:
        kubectl("delete", "pod", former, "-n", cluster, "--force", "--grace-period=0", "--wait=false")
        kubectl("delete", "pod", "-n", SYSTEM_NAMESPACE, "--all", "--force", "--grace-period=0", "--wait=false")
        await_successor(cluster, 0, former)
    settle(cluster, outage, OUTAGE_SECONDS + LEADER_SECONDS)
