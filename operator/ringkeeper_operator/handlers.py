"""kopf's decorators. Events only wake a cluster's loop; kopf stores nothing in any object, and sets no finalizer.

Deletion needs no handler: every object that the operator makes is owned by its CacheCluster, so Kubernetes removes it,
with the operator or without.
"""

from __future__ import annotations

from typing import Any

import kopf

from ringkeeper_operator.resources.common import CLUSTER_LABEL
from ringkeeper_operator.runtime.clusters import Clusters

registry = kopf.OperatorRegistry()
OF_A_CLUSTER = {CLUSTER_LABEL: kopf.PRESENT}


def settings() -> kopf.OperatorSettings:
    """No peering, no scanning for new resource kinds, no Events by kopf itself."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    return chosen


@kopf.on.login(registry=registry)
async def login(**arguments: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


@kopf.on.event("ringkeeper.dev", "v1alpha1", "cacheclusters", registry=registry)
async def cluster_changed(event: kopf.RawEvent, namespace: str | None, name: str, memo: Any, **_: Any) -> None:
    clusters: Clusters = memo.clusters
    if event["type"] == "DELETED":
        clusters.forget(str(namespace), name)
    else:
        clusters.update(event["object"])


@kopf.on.event("apps", "v1", "statefulsets", labels=OF_A_CLUSTER, registry=registry)
@kopf.on.event("v1", "pods", labels=OF_A_CLUSTER, registry=registry)
async def part_changed(namespace: str | None, labels: kopf.Labels, memo: Any, **_: Any) -> None:
    memo.clusters.wake(str(namespace), labels[CLUSTER_LABEL])
