"""The quickstart on a real Kubernetes: served within a minute, by clients that nobody here wrote, and healed."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from kubernetes_cluster import (
    OPERATOR,
    SYSTEM_NAMESPACE,
    apply,
    await_ready,
    cache_cluster,
    get,
    in_client,
    is_routed,
    kubectl,
    password_of,
    pods,
    redis_cli,
    starts,
    until,
)

EXAMPLES = Path(__file__).parents[1] / "examples"
NAME = "quickstart"
READY_SECONDS = 60


@pytest.fixture(scope="module")
def cluster(namespace: str) -> str:
    """The namespace of a running quickstart; prints how long it took to be Ready."""
    started = time.monotonic()
    kubectl("apply", "-n", namespace, "-f", str(EXAMPLES / "quickstart.yaml"))
    await_ready(NAME, namespace, READY_SECONDS)
    print(f"\nkubectl apply to Ready=True: {time.monotonic() - started:.1f} s")
    assert any(is_routed(pod) for pod in pods(NAME, namespace).values()), "Ready, but the Service leads nowhere"
    # Each machine's kube-proxy hears of the Service's first pod on its own, a second later or so; clients retry.
    until(30, "the Service answers", lambda: redis_cli(NAME, namespace, "ping") == "PONG")
    print(f"kubectl apply to the first answer through the Service: {time.monotonic() - started:.1f} s")
    return namespace


def test_kubectl_get_reads_well(cluster: str) -> None:
    await_replicas(cluster)
    header, row = kubectl("get", "cc", NAME, "-n", cluster).splitlines()
    assert header.split() == ["NAME", "READY", "SHARDS", "NODES", "SLOTS", "EPOCH", "AGE"]
    assert row.split()[:5] == [NAME, "True", "3", "6/6", "16384"]


def await_replicas(namespace: str) -> None:
    """Until every shard has a replica that could take its master's place."""

    def whole() -> bool:
        rows = get("cachecluster", NAME, namespace=namespace)["status"]["shardStatuses"]
        replicas = [replica for row in rows for replica in row.get("replicas", [])]
        return len(replicas) == 3 and all(entry["state"] == "online" and entry["voter"] for entry in replicas)

    until(90, "every replica can take over", whole)


def test_each_role_has_a_service_and_each_shard_a_budget(cluster: str) -> None:
    await_replicas(cluster)
    rows = get("cachecluster", NAME, namespace=cluster)["status"]["shardStatuses"]
    roles = {name: pod["metadata"]["labels"].get("ringkeeper.dev/role") for name, pod in pods(NAME, cluster).items()}
    masters = {row["master"] for row in rows}
    assert {name for name, role in roles.items() if role == "master"} == masters
    assert {name for name, role in roles.items() if role == "replica"} == roles.keys() - masters
    address = redis_cli(NAME, cluster, "role", host=f"{NAME}-master.{cluster}.svc")
    assert address.startswith("master")
    assert redis_cli(NAME, cluster, "role", host=f"{NAME}-replica.{cluster}.svc").startswith("slave")
    budgets = {entry["metadata"]["name"] for entry in get("poddisruptionbudgets", namespace=cluster)["items"]}
    assert budgets == {f"{NAME}-0", f"{NAME}-1", f"{NAME}-2"}


def test_redis_cli_and_its_cluster_check_work_inside_the_cluster(cluster: str) -> None:
    for key in ("a", "b", "c", "d"):
        assert redis_cli(NAME, cluster, "set", key, f"value of {key}") == "OK"
        assert redis_cli(NAME, cluster, "get", key) == f"value of {key}"
    address = next(iter(pods(NAME, cluster).values()))["status"]["podIP"]
    password = password_of(NAME, cluster)
    shown = in_client("redis-cli", "--no-auth-warning", "-a", password, "--cluster", "check", f"{address}:6379")
    assert "[OK] All 16384 slots covered." in shown
    assert "NOAUTH" in in_client("redis-cli", "-h", address, "get", "a")


def test_every_record_of_apt_reads_back_equal_through_redis_py(cluster: str) -> None:
    dump = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=True).stdout
    password = password_of(NAME, cluster)
    report = json.loads(
        in_client(
            "env", f"PASSWORD={password}", "python", "/client/records.py", f"{NAME}.{cluster}.svc", "6379", stdin=dump
        )
    )
    print(f"\n{report}")
    assert report["records"] > 10_000
    assert report["different"] == []
    assert min(report["keys_by_node"]) > report["records"] // 5


def test_a_deleted_master_is_followed_by_its_replica_and_returns_as_one_with_its_node_id(cluster: str) -> None:
    await_replicas(cluster)
    before = starts(NAME, cluster)
    ids = {name: redis_cli(NAME, cluster, "cluster", "myid", host=ip(cluster, name)) for name in before}
    status = get("cachecluster", NAME, namespace=cluster)["status"]
    kubectl("delete", "pod", f"{NAME}-1-0", "-n", cluster, "--wait=false")

    def healed() -> bool:
        now = get("cachecluster", NAME, namespace=cluster)["status"]
        return now["epoch"] > status["epoch"] and now["slotsServed"] == 16384 and now["shardStatuses"][1]["term"] == 2

    until(90, "the replica is master", healed)
    await_ready(NAME, cluster)
    until(90, "the pod is another one", lambda: f"{NAME}-1-0" in starts(NAME, cluster)
          and starts(NAME, cluster)[f"{NAME}-1-0"] != before[f"{NAME}-1-0"])  # fmt: skip
    await_replicas(cluster)
    after = starts(NAME, cluster)
    assert after.keys() == before.keys()
    assert {name for name in before if after[name] != before[name]} == {f"{NAME}-1-0"}
    assert {name: redis_cli(NAME, cluster, "cluster", "myid", host=ip(cluster, name)) for name in after} == ids
    now = get("cachecluster", NAME, namespace=cluster)["status"]
    assert [row["slots"] for row in now["shardStatuses"]] == [row["slots"] for row in status["shardStatuses"]]
    assert (now["shardStatuses"][1]["master"], now["failovers"][0]["from"]) == (f"{NAME}-1-1", f"{NAME}-1-0")
    assert redis_cli(NAME, cluster, "set", "after", "all") == "OK"
    reasons = {event["reason"] for event in get("events", namespace=cluster)["items"]}
    assert {"HandedOver", "NodeRestarted"} <= reasons or {"FailedOver", "NodeRestarted"} <= reasons


def test_an_annotation_hands_a_shard_over_and_goes_when_that_is_done(cluster: str) -> None:
    await_replicas(cluster)
    (before,) = [row for row in get("cachecluster", NAME, namespace=cluster)["status"]["shardStatuses"]
                 if row["index"] == 1]  # fmt: skip
    kubectl("annotate", "cc", NAME, "-n", cluster, f"ringkeeper.dev/failover=1={NAME}-1-0")

    def done() -> bool:
        found = get("cachecluster", NAME, namespace=cluster)
        left = found["metadata"].get("annotations", {}).get("ringkeeper.dev/failover")
        return found["status"]["shardStatuses"][1]["master"] == f"{NAME}-1-0" and not left

    until(60, "the shard is handed over", done)
    assert get("cachecluster", NAME, namespace=cluster)["status"]["shardStatuses"][1]["term"] == before["term"] + 1
    await_ready(NAME, cluster)
    await_replicas(cluster)


def ip(namespace: str, pod: str) -> str:
    return str(pods(NAME, namespace)[pod]["status"]["podIP"])


@pytest.mark.usefixtures("operator_running")
def test_a_deleted_and_recreated_operator_adopts_the_cluster_and_restarts_no_pod(cluster: str) -> None:
    before = starts(NAME, cluster)
    epoch = get("cachecluster", NAME, namespace=cluster)["status"]["epoch"]
    redis_cli(NAME, cluster, "set", "kept", "yes")
    deployment = get("deployment", "ringkeeper", namespace=SYSTEM_NAMESPACE)
    for field in ("resourceVersion", "uid", "creationTimestamp", "generation"):
        deployment["metadata"].pop(field, None)
    deployment.pop("status", None)
    kubectl("delete", OPERATOR, "-n", SYSTEM_NAMESPACE, "--cascade=foreground", "--wait=true")
    assert redis_cli(NAME, cluster, "get", "kept") == "yes", "clients notice nothing while the operator is gone"
    apply(deployment, namespace=SYSTEM_NAMESPACE)
    kubectl("rollout", "status", "-n", SYSTEM_NAMESPACE, OPERATOR, "--timeout=120s")
    until(60, "a new leader", lambda: get("cachecluster", NAME, namespace=cluster)["status"]["epoch"] > epoch)
    await_ready(NAME, cluster)
    assert starts(NAME, cluster) == before
    assert redis_cli(NAME, cluster, "get", "kept") == "yes"
    terms = [row["term"] for row in get("cachecluster", NAME, namespace=cluster)["status"]["shardStatuses"]]
    assert terms == [1, 3, 1]


def test_a_namespace_over_its_budget_evicts_its_own_keys_and_not_anothers(cluster: str) -> None:
    budget = 1024**2
    namespaces = [{"prefix": "small:", "maxMemory": "1Mi"}, {"prefix": "other:", "maxMemory": "32Mi"}]
    before = starts(NAME, cluster)
    patch(cluster, namespaces)
    password = password_of(NAME, cluster)
    report = json.loads(
        in_client("env", f"PASSWORD={password}", "python", "/client/evictions.py", f"{NAME}.{cluster}.svc", "6379")
    )
    print(f"\n{report}")
    assert report["other"] == report["none"] == report["staying"]
    assert budget // 2 < report["small_bytes"] <= 3 * budget, "each of three nodes has the budget"
    assert report["evicted"] == report["written"] - report["small"]
    patch(cluster, [])
    assert starts(NAME, cluster) == before, "namespaces come and go without a restart"


def patch(cluster: str, namespaces: list[dict[str, str]]) -> None:
    """Declare these namespaces and wait until every node has them."""
    nodes = pods(NAME, cluster)
    kubectl("patch", "cc", NAME, "-n", cluster, "--type=merge", "-p", json.dumps({"spec": {"namespaces": namespaces}}))

    def in_force() -> bool:
        texts = [redis_cli(NAME, cluster, "config", "get", "namespaces", host=ip(cluster, pod)) for pod in nodes]
        return all(text.count('"prefix"') == len(namespaces) for text in texts)

    until(60, "the namespaces are in force", in_force)
    await_ready(NAME, cluster)


def test_another_label_or_memory_restarts_no_pod(cluster: str) -> None:
    before = starts(NAME, cluster)
    kubectl("label", "cc", NAME, "-n", cluster, "team=cache")
    await_ready(NAME, cluster)
    assert starts(NAME, cluster) == before


def test_deleting_it_leaves_nothing_but_the_users_own_secret(cluster: str) -> None:
    kubectl("create", "secret", "generic", "mine", "-n", cluster, "--from-literal=password=x")
    apply(cache_cluster("second", shards=1, auth={"secretName": "mine"}), namespace=cluster)
    await_ready("second", cluster)
    kubectl("delete", "cc", "--all", "-n", cluster)

    def left() -> list[str]:
        kinds = kubectl("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
        kinds = [kind for kind in kinds if not kind.startswith("events")]
        found = kubectl("get", ",".join(kinds), "-n", cluster, "-o", "name", "--ignore-not-found").split()
        return sorted(name for name in found if name not in ("configmap/kube-root-ca.crt", "serviceaccount/default"))

    until(90, "only the user's Secret is left", lambda: left() == ["secret/mine"])
