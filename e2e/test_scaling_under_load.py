"""A cluster with 25,000 keys of a kilobyte grows and shrinks while clients work: `make e2e-full`."""

from __future__ import annotations

import time

import pytest
from failing import LEADER_SECONDS, NAME, OUTAGE_SECONDS, leader, make_cluster, masters, settle, watched
from kubernetes_cluster import (
    SYSTEM_NAMESPACE,
    await_shards,
    get,
    kubectl,
    pods,
    thousands,
    until,
)

pytestmark = pytest.mark.full
GROWN_SECONDS = 15.0
"""From three shards to four, pods and all."""


@pytest.fixture(scope="module")
def cluster(namespace: str) -> str:
    make_cluster(namespace)
    thousands("write", NAME, namespace)
    return namespace


def scale(namespace: str, shards: int) -> float:
    """How many seconds it took."""
    began = time.monotonic()
    kubectl("scale", f"cc/{NAME}", "--replicas", str(shards), "-n", namespace)
    await_shards(NAME, namespace, shards, 240)
    return time.monotonic() - began


def test_three_shards_become_four_and_three_again_within_seconds(cluster: str) -> None:
    with watched(cluster, 120) as outage:
        up = scale(cluster, 4)
        down = scale(cluster, 3)
    print(f"3 -> 4 took {up:.1f} s, 4 -> 3 {down:.1f} s")
    until(120, "the fourth shard's pods go", lambda: len(pods(NAME, cluster)) == 6)
    settle(cluster, outage)
    thousands("check", NAME, cluster)
    assert outage.report["lost"] == 0
    assert up <= GROWN_SECONDS


@pytest.mark.usefixtures("operator_running")
def test_a_pod_and_the_operators_leader_die_while_slots_move(cluster: str) -> None:
    with watched(cluster, 240) as outage:
        kubectl("scale", f"cc/{NAME}", "--replicas", "5", "-n", cluster)
        until(120, "slots move", lambda: bool(rebalance(cluster).get("slotsMoved")))
        kubectl("delete", "pod", masters(cluster)[0], "-n", cluster, "--wait=false")
        operator = leader()["metadata"]["name"]
        kubectl("delete", "pod", "-n", SYSTEM_NAMESPACE, operator, "--force", "--grace-period=0", "--wait=false")
        await_shards(NAME, cluster, 5, 240)
        scale(cluster, 3)
    until(120, "the pods of the shards that went go", lambda: len(pods(NAME, cluster)) == 6)
    settle(cluster, outage, OUTAGE_SECONDS + LEADER_SECONDS)
    thousands("check", NAME, cluster)
    assert outage.report["lost"] == 0


def rebalance(namespace: str) -> dict[str, object]:
    return dict(get("cc", NAME, namespace=namespace)["status"].get("rebalance", {}))
