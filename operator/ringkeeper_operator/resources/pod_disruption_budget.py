"""PodDisruptionBudgets: a drain takes one node of a shard at a time, and is never held up by one that is broken anyway.

A shard with replicas has its own, `NAME-I`. Where a node's absence is an outage there is one for all shards, `NAME`.
"""

from __future__ import annotations

from collections.abc import Mapping

from ringkeeper_operator.model import Spec
from ringkeeper_operator.resources.common import SHARD_LABEL, Object, build_object, pods_of, pods_of_shard


def build_pod_disruption_budgets(spec: Spec) -> list[Object]:
    if not spec.replicas_per_shard:
        return [_build(spec, spec.name, pods_of(spec), {})]
    return [
        _build(spec, f"{spec.name}-{shard}", pods_of_shard(spec, shard), {SHARD_LABEL: str(shard)})
        for shard in range(spec.shards)
    ]


def _build(spec: Spec, name: str, selected: Mapping[str, str], labels: Mapping[str, str]) -> Object:
    body = {
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": dict(selected)},
        }
    }
    return build_object(spec, "policy/v1", "PodDisruptionBudget", name, body, labels)
