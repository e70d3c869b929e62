"""What every object of a cluster has in common: labels, owner, and the hash that tells whether it drifted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ringkeeper_operator.model import Spec
from ringkeeper_operator.schema import API_VERSION, KIND

Object = dict[str, Any]

CLUSTER_LABEL = "ringkeeper.dev/cluster"
SHARD_LABEL = "ringkeeper.dev/shard"
HASH_ANNOTATION = "ringkeeper.dev/hash"

ROLE_LABEL = "ringkeeper.dev/role"
"""`master` or `replica`; kept on the pods by the runtime, as the committed topology has it."""

RESP_PORT = "resp"
ADMIN_PORT = "admin"
HEARTBEAT_PORT = "heartbeat"
"""Names of the container's ports; Services and probes refer to them by name."""


def pods_of(spec: Spec) -> dict[str, str]:
    """The labels that select all pods of the cluster."""
    return {CLUSTER_LABEL: spec.name}


def one_pod_a_shard(spec: Spec) -> dict[str, str]:
    """The labels that select each shard's master: who scales shards by their load divides by the pods that it finds."""
    return pods_of(spec) | ({ROLE_LABEL: "master"} if spec.replicas_per_shard else {})


def pods_of_shard(spec: Spec, shard: int) -> dict[str, str]:
    return {CLUSTER_LABEL: spec.name, SHARD_LABEL: str(shard)}


def labels(spec: Spec) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "ringkeeper-node",
        "app.kubernetes.io/instance": spec.name,
        "app.kubernetes.io/component": "node",
        "app.kubernetes.io/part-of": "ringkeeper",
        "app.kubernetes.io/managed-by": "ringkeeper-operator",
        CLUSTER_LABEL: spec.name,
    }


def build_object(
    spec: Spec, api_version: str, kind: str, name: str, body: Object, more_labels: Mapping[str, str] | None = None
) -> Object:
    """An object owned by the CacheCluster, so that it goes when that goes, and without its hash yet."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": spec.namespace,
            "labels": labels(spec) | dict(more_labels or {}),
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": spec.name,
                    "uid": spec.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        **body,
    }


def with_hash(body: Object) -> Object:
    """The object with the hash of what is desired.

    No part of it are what a Secret holds, since that is generated, and the templates of a StatefulSet's claims, since
    Kubernetes lets nobody change them (`plan/volumes.py` grows the claims themselves).
    """
    hashed = {name: value for name, value in body.items() if name != "stringData"}
    if "volumeClaimTemplates" in body.get("spec", {}):
        kept = {name: value for name, value in body["spec"].items() if name != "volumeClaimTemplates"}
        hashed["spec"] = kept
    digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:16]
    metadata = body["metadata"]
    annotations = {**metadata.get("annotations", {}), HASH_ANNOTATION: digest}
    return {**body, "metadata": {**metadata, "annotations": annotations}}
