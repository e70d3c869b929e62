"""PodDisruptionBudget `NAME`: a drain takes one node at a time, and is never held up by one that is broken anyway."""

from __future__ import annotations

from ringkeeper_operator.model import Spec
from ringkeeper_operator.resources.common import Object, build_object, pods_of


def build_pod_disruption_budget(spec: Spec) -> Object:
    body = {
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": pods_of(spec)},
        }
    }
    return build_object(spec, "policy/v1", "PodDisruptionBudget", spec.name, body)
