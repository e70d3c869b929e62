"""Volumes on a real Kubernetes: whatever happens to pods, StatefulSets and hosts, each key is there again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kubernetes_cluster import (
    CLIENT,
    CLIENT_NAMESPACE,
    SYSTEM_NAMESPACE,
    Refused,
    apply,
    await_ready,
    cache_cluster,
    check_batches,
    condition,
    engine,
    get,
    host_of,
    kubectl,
    paused,
    pods,
    redis_cli,
    starts,
    until,
    write_batch,
)

NAME = "kept"
SIZE = "256Mi"
SHARDS = 3
HEALED_SECONDS = 120


@pytest.fixture(scope="module")
def cluster(namespace: str) -> str:
    """The namespace of a running cluster with volumes of the default StorageClass."""
    apply(cache_cluster(NAME, shards=SHARDS, replicasPerShard=0, persistence={"size": SIZE}), namespace=namespace)
    await_ready(NAME, namespace, 120)
    return namespace


def terms(namespace: str, name: str = NAME) -> list[int]:
    status = get("cachecluster", name, namespace=namespace)["status"]
    return [row["term"] for row in status["shardStatuses"]]


def await_terms(namespace: str, wanted: list[int], name: str = NAME) -> None:
    """Every shard's master was appointed so often, and all slots are served."""
    until(HEALED_SECONDS, f"the terms are {wanted}", lambda: terms(namespace, name) == wanted)
    await_ready(name, namespace, HEALED_SECONDS)


def claims(namespace: str) -> dict[str, str]:
    """The UIDs of the claims by name."""
    return {
        claim["metadata"]["name"]: claim["metadata"]["uid"]
        for claim in get("persistentvolumeclaims", namespace=namespace)["items"]
    }


def test_every_node_has_a_volume_and_says_that_it_keeps_its_data(cluster: str) -> None:
    assert sorted(claims(cluster)) == [f"data-{NAME}-{shard}-0" for shard in range(SHARDS)]
    found = get("cachecluster", NAME, namespace=cluster)
    assert condition(found, "Persisting")["status"] == "True", condition(found, "Persisting")
    assert found["status"]["volumeSize"] == SIZE


def test_a_deleted_pod_returns_with_its_data(cluster: str) -> None:
    write_batch(NAME, cluster, "pod")
    kubectl("delete", "pod", f"{NAME}-1-0", "-n", cluster, "--wait=false")
    await_terms(cluster, [1, 2, 1])
    check_batches(NAME, cluster, "pod")


def test_a_statefulset_deleted_without_its_pod_is_made_again_and_nothing_restarts(cluster: str) -> None:
    write_batch(NAME, cluster, "orphan")
    before, volumes = starts(NAME, cluster), claims(cluster)
    uid = get("statefulset", f"{NAME}-0", namespace=cluster)["metadata"]["uid"]
    # kubectl would wait for one that the operator has made again before it looks.
    kubectl("delete", "statefulset", f"{NAME}-0", "-n", cluster, "--cascade=orphan", "--wait=false")

    def made_again() -> bool:
        (owner,) = pods(NAME, cluster)[f"{NAME}-0-0"]["metadata"].get("ownerReferences", [{"uid": uid}])
        return bool(owner["uid"] != uid)

    until(60, "another StatefulSet owns the pod", made_again)
    await_ready(NAME, cluster)
    assert starts(NAME, cluster) == before
    assert claims(cluster) == volumes
    check_batches(NAME, cluster, "pod", "orphan")
    kubectl("delete", "pod", f"{NAME}-0-0", "-n", cluster, "--wait=false")
    await_terms(cluster, [2, 2, 1])
    check_batches(NAME, cluster, "pod", "orphan")


@pytest.mark.usefixtures("operator_running")
def test_everything_at_once_restarted_has_its_data(cluster: str) -> None:
    write_batch(NAME, cluster, "all")
    selector = f"ringkeeper.dev/cluster={NAME}"
    kubectl("delete", "pod", "-n", SYSTEM_NAMESPACE, "--all", "--wait=false")
    kubectl("delete", "pod", "-n", cluster, "-l", selector, "--wait=false")
    await_terms(cluster, [3, 3, 2])
    check_batches(NAME, cluster, "pod", "orphan", "all")
    assert kubectl("get", "pod", "-n", cluster, "-l", selector, "-o", "name").split()


def test_a_killed_process_returns_with_its_data_in_the_same_pod(cluster: str) -> None:
    """As a crash would, seen from the host: nothing is written any more."""
    write_batch(NAME, cluster, "killed")
    before, had = terms(cluster), starts(NAME, cluster)
    host = host_of(f"{NAME}-2-0", cluster)
    engine("exec", host, "pkill", "-KILL", "-f", f"node-name {NAME}-2-0")
    await_terms(cluster, [before[0], before[1], before[2] + 1])
    now = starts(NAME, cluster)
    assert now[f"{NAME}-2-0"] == (had[f"{NAME}-2-0"][0], had[f"{NAME}-2-0"][1] + 1), "the same pod, one restart"
    check_batches(NAME, cluster, "pod", "orphan", "all", "killed")


def test_a_disk_that_fails_is_a_condition_until_it_is_well(cluster: str) -> None:
    def persisting() -> dict[str, Any]:
        return condition(get("cachecluster", NAME, namespace=cluster), "Persisting")

    def on_disk(statements: str) -> None:
        program = f"import os, pathlib; file = pathlib.Path('/data/dump.rdb'); {statements}"
        kubectl("exec", "-n", cluster, f"{NAME}-0-0", "--", "/opt/ringkeeper/bin/python", "-c", program)

    address = str(pods(NAME, cluster)[f"{NAME}-0-0"]["status"]["podIP"])
    on_disk("file.unlink(missing_ok=True); file.mkdir()")
    assert "Is a directory" in redis_cli(NAME, cluster, "save", host=address)
    until(60, "the condition says so", lambda: persisting()["status"] == "False")
    assert persisting()["reason"] == "DiskFailing"
    assert f"{NAME}-0-0 (" in persisting()["message"]
    on_disk("file.rmdir()")
    until(60, "it heals by itself", lambda: persisting()["status"] == "True")
    check_batches(NAME, cluster, "pod", "orphan", "all", "killed")


def test_another_mode_reaches_the_nodes_without_a_restart(cluster: str) -> None:
    before = starts(NAME, cluster)

    def told(text: str) -> Callable[[], bool]:
        return lambda: text in condition(get("cachecluster", NAME, namespace=cluster), "Persisting")["message"]

    patch(cluster, {"mode": "snapshot", "save": "60 1"})
    until(60, "every node has taken it", told("persistence snapshot, save 60 1"))
    patch(cluster, {"mode": None, "save": None})
    until(60, "every node has taken it back", told("persistence hybrid, fsync everysec, save 300 1"))
    assert starts(NAME, cluster) == before


def test_another_retention_or_memory_changes_the_statefulsets_and_restarts_nothing(cluster: str) -> None:
    before = starts(NAME, cluster)

    def deleted(wanted: str) -> Callable[[], bool]:
        def look() -> bool:
            sets = get("statefulsets", namespace=cluster)["items"]
            found = {item["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] for item in sets}
            return found == {wanted}

        return look

    assert deleted("Retain")()
    patch(cluster, {"retain": False})
    until(60, "volumes would go with the cluster", deleted("Delete"))
    patch(cluster, {"retain": True})
    until(60, "volumes would stay", deleted("Retain"))
    kubectl("patch", "cc", NAME, "-n", cluster, "--type=merge", "-p", '{"spec": {"memory": "65Mi"}}')
    await_ready(NAME, cluster)
    assert starts(NAME, cluster) == before


def patch(namespace: str, persistence: dict[str, Any]) -> None:
    spec = json.dumps({"spec": {"persistence": persistence}})
    kubectl("patch", "cc", NAME, "-n", namespace, "--type=merge", "-p", spec)


def test_a_volume_that_cannot_grow_is_told_of_and_the_former_size_can_be_written_again(cluster: str) -> None:
    before = starts(NAME, cluster)

    def warned(status: str) -> Callable[[], bool]:
        return lambda: warning()["status"] == status

    def warning() -> dict[str, Any]:
        return condition(get("cachecluster", NAME, namespace=cluster), "ConfigurationWarning")

    patch(cluster, {"size": "512Mi"})
    until(60, "it is told", warned("True"))
    assert f"data-{NAME}-0-0 can't grow to 512Mi" in warning()["message"]
    await_ready(NAME, cluster)
    patch(cluster, {"size": SIZE})
    until(60, "all is well", warned("False"))
    with pytest.raises(Refused, match=f"must be at least {SIZE}, which the volumes have"):
        patch(cluster, {"size": "128Mi"})
    with pytest.raises(Refused, match="storageClassName can't be changed"):
        patch(cluster, {"storageClassName": "other"})
    with pytest.raises(Refused, match="can be neither added nor removed"):
        kubectl(
            "patch", "cc", NAME, "-n", cluster, "--type=json", "-p", '[{"op": "remove", "path": "/spec/persistence"}]'
        )
    assert starts(NAME, cluster) == before


def test_a_deleted_cluster_leaves_its_volumes_and_the_next_one_begins_with_them(cluster: str) -> None:
    volumes = claims(cluster)
    kubectl("delete", "cc", NAME, "-n", cluster)
    until(90, "its pods are gone", lambda: not pods(NAME, cluster))
    assert claims(cluster) == volumes
    apply(
        cache_cluster(NAME, shards=SHARDS, replicasPerShard=0, persistence={"size": SIZE, "retain": False}),
        namespace=cluster,
    )
    await_ready(NAME, cluster, 120)
    assert claims(cluster) == volumes
    check_batches(NAME, cluster, "pod", "orphan", "all", "killed")
    kubectl("delete", "cc", NAME, "-n", cluster)
    until(120, "its volumes are gone", lambda: not claims(cluster))


# Between hosts: volumes on a folder that all of them share


@pytest.fixture(scope="module")
def moving(new_namespace: Callable[[], str]) -> str:
    """The namespace of a cluster whose volumes every host can reach."""
    namespace = new_namespace()
    folders = [f"/shared/{namespace}/{shard}" for shard in range(SHARDS)]
    make_folders(namespace, folders)
    volumes = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"{namespace}-{shard}"},
            "spec": {
                "storageClassName": f"shared-{namespace}",
                "capacity": {"storage": SIZE},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": folder, "type": "Directory"},
            },
        }
        for shard, folder in enumerate(folders)
    ]
    wanted = {"size": SIZE, "storageClassName": f"shared-{namespace}"}
    apply(*volumes, namespace=namespace)
    apply(cache_cluster("moving", shards=SHARDS, replicasPerShard=0, persistence=wanted), namespace=namespace)
    await_ready("moving", namespace, 120)
    return namespace


def make_folders(namespace: str, folders: list[str]) -> None:
    """As whoever sets up shared storage does."""
    container = {
        "name": "folders",
        "image": "localhost/ringkeeper-client:e2e",
        "imagePullPolicy": "IfNotPresent",
        "command": ["install", "-d", "-m", "0777", *folders],
        "securityContext": {"runAsUser": 0},
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "folders"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [container],
            "volumes": [{"name": "shared", "hostPath": {"path": "/shared", "type": "Directory"}}],
        },
    }
    apply(pod, namespace=namespace)
    kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "-n", namespace, "pod/folders", "--timeout=60s")


def test_a_pod_that_a_drain_moves_to_another_host_has_its_data_and_its_identity(moving: str) -> None:
    write_batch("moving", moving, "drain")
    host = host_of("moving-0-0", moving)
    there = [shard for shard in range(SHARDS) if host_of(f"moving-{shard}-0", moving) == host]
    before = terms(moving, "moving")
    try:
        kubectl("drain", host, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s",
                "--pod-selector=ringkeeper.dev/cluster=moving")  # fmt: skip
        await_terms(moving, [term + (shard in there) for shard, term in enumerate(before)], "moving")
        assert host_of("moving-0-0", moving) != host
        check_batches("moving", moving, "drain")
    finally:
        kubectl("uncordon", host)


def test_a_host_that_hangs_for_a_while_costs_no_data(moving: str) -> None:
    write_batch("moving", moving, "pause")
    client = host_of(CLIENT, CLIENT_NAMESPACE)
    host = next(h for shard in range(SHARDS) if (h := host_of(f"moving-{shard}-0", moving)) != client)

    def served() -> int:
        return int(get("cachecluster", "moving", namespace=moving)["status"]["slotsServed"])

    with paused(host):
        until(120, "the operator sees it", lambda: served() < 16384)
    until(120, "all slots are served", lambda: served() == 16384)
    await_ready("moving", moving, HEALED_SECONDS)
    check_batches("moving", moving, "pause")
