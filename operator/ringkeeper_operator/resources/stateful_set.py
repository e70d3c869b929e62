"""StatefulSet `NAME-I`: shard I. Pods are replaced by the operator's decision alone (OnDelete), so that no edit of a
manifest, and no upgrade of the operator, restarts a cache that is full.
"""

from __future__ import annotations

from typing import Any

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec
from ringkeeper_operator.quantity import parse_fraction, render_bytes
from ringkeeper_operator.resources.common import (
    ADMIN_PORT,
    RESP_PORT,
    SHARD_LABEL,
    Object,
    build_object,
    labels,
    pods_of,
    pods_of_shard,
)
from ringkeeper_operator.resources.config_map import (
    CONFIG_DIRECTORY,
    CONFIG_FILE,
    DATA_DIRECTORY,
    PEER_TOKEN_FILE,
    config_name,
)
from ringkeeper_operator.resources.secret import (
    PASSWORD_KEY,
    TOKEN_KEY,
    auth_secret_name,
    internal_secret_name,
    peer_secret_name,
)
from ringkeeper_operator.resources.service import nodes_service_name

USER = 65532
MEBIBYTE = 1024 * 1024
STOP_SECONDS = 30
START_SECONDS = 300


def statefulset_name(spec: Spec, shard: int) -> str:
    return f"{spec.name}-{shard}"


def build_statefulset(spec: Spec, shard: int) -> Object:
    body = {
        "spec": {
            "replicas": 1,
            "serviceName": nodes_service_name(spec),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": pods_of_shard(spec, shard)},
            "template": _template(spec, shard),
        }
    }
    return build_object(spec, "apps/v1", "StatefulSet", statefulset_name(spec, shard), body, {SHARD_LABEL: str(shard)})


def _template(spec: Spec, shard: int) -> Object:
    metadata: Object = {"labels": {**spec.labels, **labels(spec), **pods_of_shard(spec, shard)}}
    if spec.annotations:
        metadata["annotations"] = dict(spec.annotations)
    pod = {
        "serviceAccountName": spec.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": STOP_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec)],
        "volumes": _volumes(spec),
        **_scheduling(spec),
    }
    if spec.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in spec.image_pull_secrets]
    return {"metadata": metadata, "spec": pod}


def _container(spec: Spec) -> Object:
    hostname = f"$(POD_NAME).{nodes_service_name(spec)}.{spec.namespace}.svc"
    container: Object = {
        "name": "node",
        "image": spec.image,
        "command": ["ringkeeper-server"],
        "args": [
            f"{CONFIG_DIRECTORY}/{CONFIG_FILE}",
            "--node-name",
            "$(POD_NAME)",
            "--cluster-announce-hostname",
            hostname,
        ],
        "env": [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
        "ports": [
            {"name": RESP_PORT, "containerPort": spec.port, "protocol": "TCP"},
            {"name": ADMIN_PORT, "containerPort": spec.port + ADMIN_PORT_OFFSET, "protocol": "TCP"},
        ],
        "resources": build_resources(spec),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "startupProbe": _probe("/healthz", period=1, timeout=2, failures=START_SECONDS),
        "readinessProbe": _probe("/readyz", period=2, timeout=2, failures=2),
        "livenessProbe": _probe("/healthz", period=10, timeout=5, failures=6),
        "volumeMounts": [
            {"name": "config", "mountPath": CONFIG_DIRECTORY, "readOnly": True},
            {"name": "data", "mountPath": DATA_DIRECTORY},
        ],
    }
    if spec.image_pull_policy is not None:
        container["imagePullPolicy"] = spec.image_pull_policy
    return container


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Object:
    """Liveness is slow to judge: a restart empties the node, so it must be certain that it hangs."""
    return {
        "httpGet": {"path": path, "port": ADMIN_PORT},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def build_resources(spec: Spec) -> Object:
    """Memory by default: requested as much as the data may take, limited to 1.5 × that + 128Mi."""
    given = spec.resources or {}
    limits: dict[str, Any] = {"memory": render_bytes(spec.memory * 3 // 2 + 128 * MEBIBYTE), **given.get("limits", {})}
    requests: dict[str, Any] = {"memory": render_bytes(spec.memory), **given.get("requests", {})}
    if parse_fraction(requests["memory"]) > parse_fraction(limits["memory"]):
        limits["memory"] = requests["memory"]
    return {"requests": requests, "limits": limits}


def _volumes(spec: Spec) -> list[Object]:
    """One folder with all that a node reads. Kubernetes keeps it up to date while the pod runs."""
    return [
        {
            "name": "config",
            "projected": {
                "defaultMode": 0o440,
                "sources": [
                    {"configMap": {"name": config_name(spec), "items": [{"key": CONFIG_FILE, "path": CONFIG_FILE}]}},
                    _secret(internal_secret_name(spec), TOKEN_KEY, TOKEN_KEY),
                    _secret(peer_secret_name(spec), TOKEN_KEY, PEER_TOKEN_FILE),
                    _secret(auth_secret_name(spec), PASSWORD_KEY, PASSWORD_KEY),
                ],
            },
        },
        {"name": "data", "emptyDir": {}},
    ]


def _secret(name: str, key: str, path: str) -> Object:
    return {"secret": {"name": name, "items": [{"key": key, "path": path}]}}


def _scheduling(spec: Spec) -> Object:
    wanted = spec.scheduling
    constraints = wanted.topology_spread_constraints
    if constraints is None:
        spread: list[Object] = [_spread(spec, key) for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")]
    else:
        spread = [{"labelSelector": {"matchLabels": pods_of(spec)}, **constraint} for constraint in constraints]
    chosen: Object = {
        "topologySpreadConstraints": spread,
        "nodeSelector": dict(wanted.node_selector),
        "tolerations": [dict(toleration) for toleration in wanted.tolerations],
        "affinity": wanted.affinity,
        "priorityClassName": wanted.priority_class_name,
    }
    return {name: value for name, value in chosen.items() if value}


def _spread(spec: Spec, topology_key: str) -> Object:
    return {
        "maxSkew": 1,
        "topologyKey": topology_key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": pods_of(spec)},
    }
