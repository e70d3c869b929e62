"""Shards come and go on a real Kubernetes while a client in the cluster writes and reads all the time."""

from __future__ import annotations

import pytest
from kubernetes_cluster import (
    apply,
    await_ready,
    await_shards,
    cache_cluster,
    check_batches,
    get,
    kubectl,
    pods,
    until,
    write_batch,
)

NAME = "growing"
SECONDS = 120


@pytest.fixture(scope="module")
def cluster(namespace: str) -> str:
    apply(cache_cluster(NAME, shards=2, replicasPerShard=1), namespace=namespace)
    await_ready(NAME, namespace, 120)
    write_batch(NAME, namespace, "before")
    return namespace


def await_settled(namespace: str, count: int) -> None:
    await_shards(NAME, namespace, count)
    await_ready(NAME, namespace, SECONDS)


def test_a_shard_more_takes_its_slots_and_keys(cluster: str) -> None:
    kubectl("scale", f"cc/{NAME}", "--replicas", "3", "-n", cluster)
    await_settled(cluster, 3)
    check_batches(NAME, cluster, "before")
    write_batch(NAME, cluster, "grown")
    assert len(pods(NAME, cluster)) == 6


def test_a_shard_less_leaves_nothing_but_its_keys_elsewhere(cluster: str) -> None:
    kubectl("scale", f"cc/{NAME}", "--replicas", "2", "-n", cluster)
    await_settled(cluster, 2)
    until(SECONDS, "the pods of the third shard go", lambda: len(pods(NAME, cluster)) == 4)
    check_batches(NAME, cluster, "before", "grown")
    sets = get("statefulsets", "-l", f"app.kubernetes.io/instance={NAME}", namespace=cluster)["items"]
    assert {item["metadata"]["name"] for item in sets} == {f"{NAME}-0", f"{NAME}-1"}
