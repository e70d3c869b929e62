"""NetworkPolicy `NAME`: clients reach the data port; only the operator and the cluster's own pods reach the admin port
and send heartbeats.

The operator is known by its labels, in whatever namespace it runs; the token guards the admin port beyond that.
"""

from __future__ import annotations

from ringkeeper_operator.model import Spec
from ringkeeper_operator.resources.common import ADMIN_PORT, HEARTBEAT_PORT, RESP_PORT, Object, build_object, pods_of

OPERATOR_LABELS = {"app.kubernetes.io/name": "ringkeeper", "app.kubernetes.io/component": "operator"}


def build_network_policy(spec: Spec) -> Object:
    body = {
        "spec": {
            "podSelector": {"matchLabels": pods_of(spec)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"port": RESP_PORT, "protocol": "TCP"}]},
                {
                    "ports": [
                        {"port": ADMIN_PORT, "protocol": "TCP"},
                        {"port": HEARTBEAT_PORT, "protocol": "UDP"},
                    ],
                    "from": [
                        {"podSelector": {"matchLabels": pods_of(spec)}},
                        {"namespaceSelector": {}, "podSelector": {"matchLabels": OPERATOR_LABELS}},
                    ],
                },
            ],
        }
    }
    return build_object(spec, "networking.k8s.io/v1", "NetworkPolicy", spec.name, body)
