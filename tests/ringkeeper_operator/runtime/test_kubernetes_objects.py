"""Pods and metadata as the API server shows them, and what the operator makes of them."""

from typing import Any

import pytest

from ringkeeper_operator.model import Spec
from ringkeeper_operator.resources.common import HASH_ANNOTATION
from ringkeeper_operator.runtime.base import Blocked
from ringkeeper_operator.runtime.kubernetes_objects import (
    no_smaller,
    observed_claims,
    observed_nodes,
    piece_state,
    whose,
    with_claims_of,
)

UID = "11111111-2222-3333-4444-555555555555"


def spec(shards: int = 1) -> Spec:
    return Spec(
        name="cache",
        namespace="shop",
        uid=UID,
        generation=1,
        shards=shards,
        vnodes_per_shard=1000,
        memory=1 << 28,
        port=6379,
        image="node:1",
    )


def owned_by(uid: str) -> list[dict[str, Any]]:
    return [{"apiVersion": "v1", "kind": "Owner", "name": "owner", "uid": uid, "controller": True}]


def pod(
    name: str = "cache-0-0", *, owner: str = "statefulset-0", status: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "ownerReferences": owned_by(owner)},
        "spec": {"subdomain": "cache-nodes"},
        "status": status or {},
    }


def container(**fields: Any) -> dict[str, Any]:
    return {"phase": "Running", "podIP": "10.244.1.7", "containerStatuses": [{"restartCount": 2, **fields}]}


def test_a_node_without_a_pod_is_absent_and_one_of_a_strange_pod_too() -> None:
    nodes = observed_nodes(spec(2), [pod("cache-1-0", owner="somebody")], ["statefulset-0"])
    assert [(node.name, node.phase) for node in nodes] == [("cache-0-0", "absent"), ("cache-1-0", "absent")]


def test_a_pod_of_a_cluster_whose_name_begins_alike_is_not_this_clusters() -> None:
    nodes = observed_nodes(spec(), [pod("cache-0-0-0"), pod("cache-x-0-0")], ["statefulset-0"])
    assert [node.phase for node in nodes] == ["absent"]


def test_pods_beyond_the_spec_are_seen() -> None:
    nodes = observed_nodes(spec(), [pod("cache-3-0")], ["statefulset-0"])
    assert [node.name for node in nodes] == ["cache-0-0", "cache-3-0"]


def test_a_pod_with_an_address_can_be_asked() -> None:
    (node,) = observed_nodes(spec(), [pod(status=container(ready=True))], ["statefulset-0"])
    assert (node.address, node.port, node.admin_port) == ("10.244.1.7", 6379, 16379)
    assert node.hostname == "cache-0-0.cache-nodes.shop.svc"
    assert (node.phase, node.restarts, node.trouble) == ("starting", 2, "")


@pytest.mark.parametrize("status", ["True", "False", "Unknown"])
def test_the_service_leads_to_a_pod_that_kubernetes_calls_ready(status: str) -> None:
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": status}]
    (node,) = observed_nodes(
        spec(), [pod(status=container(ready=True) | {"conditions": conditions})], ["statefulset-0"]
    )
    assert node.routed is (status == "True")


def test_a_pod_that_is_being_deleted_is_terminating() -> None:
    leaving = pod(status=container(ready=True))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    (node,) = observed_nodes(spec(), [leaving], ["statefulset-0"])
    assert node.phase == "terminating"


@pytest.mark.parametrize(
    ("status", "phase", "trouble"),
    [
        (
            container(state={"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}),
            "failed",
            "ImagePullBackOff: no such image",
        ),
        (
            container(
                state={"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                lastState={"terminated": {"exitCode": 1, "reason": "Error", "message": "Loading\nno such directive\n"}},
            ),
            "failed",
            "CrashLoopBackOff: exited with code 1: no such directive",
        ),
        (
            container(state={"running": {}}, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            "starting",
            "OOMKilled: the container's memory limit was reached",
        ),
        (
            container(
                ready=True, state={"running": {}}, lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
            ),
            "starting",
            "",
        ),
        (
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/4 nodes"}
                ],
            },
            "starting",
            "Unschedulable: 0/4 nodes",
        ),
        ({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}, "failed", "Evicted: low on memory"),
        (container(state={"waiting": {"reason": "ContainerCreating"}}), "starting", ""),
        ({}, "starting", ""),
    ],
)
def test_a_pod_that_does_not_run_says_why(status: dict[str, Any], phase: str, trouble: str) -> None:
    (node,) = observed_nodes(spec(), [pod(status=status)], ["statefulset-0"])
    assert (node.phase, node.trouble) == (phase, trouble)


def desired(kind: str = "Service", digest: str = "aaa") -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": "cache", "annotations": {HASH_ANNOTATION: digest}}}


def found(owner: str = UID, digest: str = "aaa", **more: Any) -> dict[str, Any]:
    return {"name": "cache", "ownerReferences": owned_by(owner), "annotations": {HASH_ANNOTATION: digest}, **more}


def test_a_piece_is_absent_drifted_or_current_by_its_hash() -> None:
    assert piece_state(desired(), None, UID) == "absent"
    assert piece_state(desired(), found(), UID) == "current"
    assert piece_state(desired(digest="bbb"), found(), UID) == "drifted"


def test_a_piece_of_another_owner_or_on_its_way_out_counts_as_absent() -> None:
    assert piece_state(desired(), found(owner="another"), UID) == "absent"
    assert piece_state(desired(), {"name": "cache"}, UID) == "absent"
    assert piece_state(desired(), found(deletionTimestamp="2026-01-01T00:00:00Z"), UID) == "absent"


def test_a_secret_that_exists_is_never_written_again() -> None:
    assert piece_state(desired(kind="Secret", digest="bbb"), found(), UID) == "current"


def test_what_belongs_to_another_is_explained_with_the_way_out() -> None:
    strangers = whose("Service/cache", {"name": "cache"}, spec())
    assert "left alone" in strangers
    assert "another name" in strangers
    labels = {"ringkeeper.dev/cluster": "cache"}
    assert "former CacheCluster cache" in whose("Service/cache", found(owner="another", labels=labels), spec())
    assert "being deleted" in whose("Service/cache", found(deletionTimestamp="now"), spec())


def claim(name: str, size: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "spec": {"resources": {"requests": {"storage": size}}}}


def test_claims_are_seen_with_what_they_ask_for_unless_they_are_going() -> None:
    there = [
        claim("data-cache-1-0", "1Gi"),
        claim("data-cache-0-0", "500M"),
        claim("data-cache-2-0", "1Gi", deletionTimestamp="x"),
        claim("data-cache-3-0", "1Gi"),
        claim("other-cache-0-0", "1Gi"),
    ]
    assert [(found.name, found.requested) for found in observed_claims(spec(3), there)] == [
        ("data-cache-0-0", 500 * 10**6), ("data-cache-1-0", 2**30),
    ]  # fmt: skip


def statefulset(*sizes: str) -> dict[str, Any]:
    templates = {"volumeClaimTemplates": [claim("data", size) for size in sizes]} if sizes else {}
    return {"kind": "StatefulSet", "metadata": {"name": "c-0"}, "spec": {"replicas": 1, **templates}}


def test_the_claim_templates_of_a_statefulset_stay_as_kubernetes_has_them() -> None:
    assert with_claims_of(statefulset("1Gi"), statefulset("2Gi")) == statefulset("1Gi")
    assert with_claims_of(statefulset(), statefulset()) == statefulset()
    service = {"kind": "Service", "metadata": {"name": "c"}}
    assert with_claims_of(service, service) == service


def test_a_statefulset_is_made_no_smaller_while_nobody_knows_who_its_pods_are() -> None:
    smaller = {"kind": "StatefulSet", "spec": {"replicas": 1}}
    assert no_smaller({"spec": {"replicas": 3}}, smaller) == {"kind": "StatefulSet", "spec": {"replicas": 3}}
    assert no_smaller({"spec": {"replicas": 1}}, {"kind": "StatefulSet", "spec": {"replicas": 3}})["spec"] == {
        "replicas": 3
    }
    assert no_smaller({}, {"kind": "Service"}) == {"kind": "Service"}


@pytest.mark.parametrize(
    ("there", "wanted", "told"),
    [
        (statefulset("1Gi"), statefulset(), "its pod has a volume and spec.persistence.size asks for none"),
        (statefulset(), statefulset("1Gi"), "its pod has no volume and spec.persistence.size asks for one"),
    ],
)
def test_volumes_neither_come_nor_go_while_a_cluster_runs(there: Any, wanted: Any, told: str) -> None:
    with pytest.raises(Blocked, match=f"StatefulSet/c-0: {told}; that can't be changed"):
        with_claims_of(there, wanted)
