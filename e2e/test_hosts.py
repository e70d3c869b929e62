"""Hosts with several masters that hang, drains, and replicas that are let go: `make e2e-full`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from failing import (
    LEADER_SECONDS,
    NAME,
    OUTAGE_SECONDS,
    SHARDS,
    await_successor,
    hand_over,
    leaders_host,
    make_cluster,
    masters,
    settle,
    topology,
    watched,
)
from kubernetes_cluster import (
    apply,
    await_ready,
    cache_cluster,
    check_batches,
    condition,
    get,
    host_of,
    kubectl,
    paused,
    pods,
    until,
    write_batch,
)

pytestmark = pytest.mark.full
UNREADY_SECONDS = 3.0
SPREAD_SECONDS = 300.0
"""A minute of calm before each planned handover, and what comes before that."""


@pytest.fixture(scope="module")
def cluster(namespace: str) -> str:
    make_cluster(namespace)
    return namespace


def hosts_of_masters(namespace: str) -> list[str]:
    return [host_of(master, namespace) for master in masters(namespace)]


def gather(namespace: str, *, with_leader: bool) -> tuple[str, list[int]]:
    """Make a host that has nodes of two shards have both masters; the host, and the shards."""
    leads = leaders_host()
    on_host: dict[str, dict[int, str]] = {}
    for name in sorted(pods(NAME, namespace)):
        on_host.setdefault(host_of(name, namespace), {})[int(name.split("-")[-2])] = name
    host, nodes = next(
        (host, nodes) for host, nodes in on_host.items() if (host == leads) == with_leader and len(nodes) > 1
    )
    shards = sorted(nodes)[:2]
    for shard in shards:
        hand_over(namespace, shard, nodes[shard])
    return host, [shard for shard, there in enumerate(hosts_of_masters(namespace)) if there == host]


@pytest.fixture(params=[False, True], ids=["the operator's leader elsewhere", "the operator's leader there"])
def gathered(cluster: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, list[int], float]]:
    host, shards = gather(cluster, with_leader=request.param)
    yield host, shards, LEADER_SECONDS * request.param
    until(180, "every host is ready", lambda: hosts_ready() == 4)


def hosts_ready() -> int:
    wanted = '{range .items[*].status.conditions[?(@.type=="Ready")]}{.status} {end}'
    return kubectl("get", "nodes", "-o", f"jsonpath={wanted}").split().count("True")


def test_two_of_three_masters_hang_with_their_host(cluster: str, gathered: tuple[str, list[int], float]) -> None:
    host, shards, more = gathered
    former = masters(cluster)
    with watched(cluster, 60) as outage:
        began = time.monotonic()
        with paused(host):
            until(
                30, "Ready is False",
                lambda: condition(get("cc", NAME, namespace=cluster), "Ready")["status"] == "False",
            )  # fmt: skip
            unready = time.monotonic() - began
            for shard in shards:
                await_successor(cluster, shard, former[shard])
    print(f"Ready was False after {unready:.2f} s")
    settle(cluster, outage, OUTAGE_SECONDS + more)
    assert unready <= (OUTAGE_SECONDS + more if more else UNREADY_SECONDS)


def test_masters_that_gathered_on_a_host_are_spread_again(cluster: str) -> None:
    gather(cluster, with_leader=False)
    assert len(set(hosts_of_masters(cluster))) < SHARDS
    until(SPREAD_SECONDS, "each host has a master", lambda: len(set(hosts_of_masters(cluster))) == SHARDS)
    zones = {
        node["metadata"]["labels"]["topology.kubernetes.io/zone"]
        for node in get("nodes", namespace="default")["items"]
        if node["metadata"]["name"] in hosts_of_masters(cluster)
    }
    assert len(zones) == SHARDS
    check_batches(NAME, cluster, "known")


def test_a_drain_hands_over_first_and_loses_nothing(cluster: str) -> None:
    host, _ = gather(cluster, with_leader=False)
    with watched(cluster, 90) as outage:
        try:
            kubectl("drain", host, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=80s",
                    f"--pod-selector=ringkeeper.dev/cluster={NAME}")  # fmt: skip
            assert host not in hosts_of_masters(cluster)
        finally:
            kubectl("uncordon", host)
    settle(cluster, outage)
    assert outage.report["lost"] == 0


@pytest.mark.parametrize("retain", [True, False], ids=["volumes stay", "volumes go"])
def test_a_replica_less_takes_its_pod_and_leaves_its_volume_as_the_manifest_says(
    new_namespace: Callable[[], str], *, retain: bool
) -> None:
    namespace = new_namespace()
    persistence = {"mode": "hybrid", "size": "64Mi", "retain": retain}
    apply(cache_cluster("fewer", shards=1, replicasPerShard=2, persistence=persistence), namespace=namespace)
    await_ready("fewer", namespace, 120)
    until(60, "three claims", lambda: claims(namespace) == [f"data-fewer-0-{ordinal}" for ordinal in range(3)])
    write_batch("fewer", namespace, "kept")
    patch = '{"spec": {"replicasPerShard": 1}}'
    kubectl("patch", "cc", "fewer", "-n", namespace, "--type", "merge", "-p", patch)
    until(120, "two pods are left", lambda: sorted(pods("fewer", namespace)) == ["fewer-0-0", "fewer-0-1"])
    left = 3 if retain else 2
    until(60, f"{left} claims", lambda: len(claims(namespace)) == left)
    await_ready("fewer", namespace, 60)
    assert {node["name"] for node in topology(namespace, "fewer")["nodes"]} == {"fewer-0-0", "fewer-0-1"}
    check_batches("fewer", namespace, "kept")


def claims(namespace: str) -> list[str]:
    return sorted(item["metadata"]["name"] for item in get("pvc", namespace=namespace)["items"])
