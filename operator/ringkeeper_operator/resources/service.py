"""Services: `NAME-nodes` gives every node its DNS name, `NAME` is where clients begin.

A Redis Cluster client may begin at any node, so `NAME` selects every pod that is ready. With replicas, `NAME-master`
and `NAME-replica` select by the label that the operator keeps on the pods.
"""

from __future__ import annotations

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec
from ringkeeper_operator.resources.common import (
    ADMIN_PORT,
    HEARTBEAT_PORT,
    RESP_PORT,
    ROLE_LABEL,
    Object,
    build_object,
    pods_of,
)


def nodes_service_name(spec: Spec) -> str:
    return f"{spec.name}-nodes"


def _port(name: str, number: int) -> Object:
    return {"name": name, "port": number, "targetPort": name, "protocol": "TCP", "appProtocol": _PROTOCOLS[name]}


_PROTOCOLS = {RESP_PORT: "redis", ADMIN_PORT: "http"}
ROLES = ("master", "replica")


def build_nodes_service(spec: Spec) -> Object:
    """Headless, and with nodes that are not ready: they must be found to become so."""
    body = {
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": pods_of(spec),
            "ports": [
                _port(RESP_PORT, spec.port),
                _port(ADMIN_PORT, spec.port + ADMIN_PORT_OFFSET),
                {"name": HEARTBEAT_PORT, "port": spec.port, "targetPort": HEARTBEAT_PORT, "protocol": "UDP"},
            ],
        }
    }
    return build_object(spec, "v1", "Service", nodes_service_name(spec), body)


def build_client_service(spec: Spec) -> Object:
    body = {"spec": {"type": "ClusterIP", "selector": pods_of(spec), "ports": [_port(RESP_PORT, spec.port)]}}
    return build_object(spec, "v1", "Service", spec.name, body)


def build_role_services(spec: Spec) -> list[Object]:
    """None without replicas: `NAME` would be the same."""
    if not spec.replicas_per_shard:
        return []
    return [
        build_object(
            spec,
            "v1",
            "Service",
            f"{spec.name}-{role}",
            {
                "spec": {
                    "type": "ClusterIP",
                    "selector": {**pods_of(spec), ROLE_LABEL: role},
                    "ports": [_port(RESP_PORT, spec.port)],
                }
            },
        )
        for role in ROLES
    ]
