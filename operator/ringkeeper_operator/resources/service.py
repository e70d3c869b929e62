"""Services: `NAME-nodes` gives every node its DNS name, `NAME` is where clients begin.

A Redis Cluster client may begin at any node, so `NAME` selects every pod that is ready. A Service for masters only
comes with replicas; until then it would be the same.
"""

from __future__ import annotations

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec
from ringkeeper_operator.resources.common import ADMIN_PORT, RESP_PORT, Object, build_object, pods_of


def nodes_service_name(spec: Spec) -> str:
    return f"{spec.name}-nodes"


def _port(name: str, number: int) -> Object:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP", "appProtocol": _PROTOCOLS[name]}


_PROTOCOLS = {RESP_PORT: "redis", ADMIN_PORT: "http"}


def build_nodes_service(spec: Spec) -> Object:
    """Headless, and with nodes that are not ready: they must be found to become so."""
    body = {
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": pods_of(spec),
            "ports": [_port(RESP_PORT, spec.port), _port(ADMIN_PORT, spec.port + ADMIN_PORT_OFFSET)],
        }
    }
    return build_object(spec, "v1", "Service", nodes_service_name(spec), body)


def build_client_service(spec: Spec) -> Object:
    body = {"spec": {"type": "ClusterIP", "selector": pods_of(spec), "ports": [_port(RESP_PORT, spec.port)]}}
    return build_object(spec, "v1", "Service", spec.name, body)
