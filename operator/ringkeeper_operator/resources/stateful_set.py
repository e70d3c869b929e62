"""StatefulSet `NAME-I`: shard I. Pods are replaced by the operator's decision alone (OnDelete), so that no edit of a
manifest, and no upgrade of the operator, restarts a cache that is full.

On SIGTERM a master hands over if it can, which takes seconds at most, and a node writes what is pending and takes its
last snapshot; so there is no `preStop`, only time enough (`stop_seconds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, Spec, Volume, node_name, stop_seconds
from ringkeeper_operator.quantity import parse_fraction, render_bytes
from ringkeeper_operator.resources.common import (
    ADMIN_PORT,
    HEARTBEAT_PORT,
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
START_SECONDS = 300
DOMAINS = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
DATA = "data"
"""Name of the volume with a node's data, and beginning of the claim's."""


def statefulset_name(spec: Spec, shard: int) -> str:
    return f"{spec.name}-{shard}"


def build_statefulset(spec: Spec, shard: int) -> Object:
    body = {
        "spec": {
            "replicas": spec.nodes_per_shard,
            "serviceName": nodes_service_name(spec),
            "podManagementPolicy": "Parallel",
            "updateStrategy": {"type": "OnDelete"},
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": pods_of_shard(spec, shard)},
            "template": _template(spec, shard),
            **(_claims(spec.volume) if spec.volume is not None else {}),
        }
    }
    return build_object(spec, "apps/v1", "StatefulSet", statefulset_name(spec, shard), body, {SHARD_LABEL: str(shard)})


def claim_name(spec: Spec, shard: int, ordinal: int) -> str:
    """Of a node's volume, as Kubernetes forms it."""
    return f"{DATA}-{node_name(spec.name, shard, ordinal)}"


def _claims(volume: Volume) -> Object:
    """Kubernetes makes a claim from the template for each pod."""
    wanted: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": render_bytes(volume.size)}},
    }
    if volume.storage_class is not None:
        wanted["storageClassName"] = volume.storage_class
    deleted = "Retain" if volume.retain else "Delete"
    return {
        "volumeClaimTemplates": [{"metadata": {"name": DATA}, "spec": wanted}],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": deleted, "whenScaled": deleted},
    }


def _template(spec: Spec, shard: int) -> Object:
    metadata: Object = {"labels": {**spec.labels, **labels(spec), **pods_of_shard(spec, shard)}}
    if spec.annotations:
        metadata["annotations"] = dict(spec.annotations)
    pod = {
        "serviceAccountName": spec.name,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": stop_seconds(spec),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            **({"fsGroupChangePolicy": "OnRootMismatch"} if spec.volume is not None else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(spec)],
        "volumes": _volumes(spec),
        **_scheduling(spec, shard),
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
            {"name": HEARTBEAT_PORT, "containerPort": spec.port, "protocol": "UDP"},
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
            {"name": DATA, "mountPath": DATA_DIRECTORY},
        ],
    }
    if spec.volume is not None:
        container["terminationMessagePolicy"] = "FallbackToLogsOnError"  # a damaged file is named in the status
    if spec.image_pull_policy is not None:
        container["imagePullPolicy"] = spec.image_pull_policy
    return container


def _probe(path: str, *, period: int, timeout: int, failures: int) -> Object:
    """Liveness is slow to judge: a restart empties the node, or takes it away while it loads, so it must be certain
    that it hangs.
    """
    return {
        "httpGet": {"path": path, "port": ADMIN_PORT},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }


def build_resources(spec: Spec) -> Object:
    """Memory by default: requested as much as the data may take, limited to 1.5 × that + 128Mi. With a volume it is
    2 × that + 128Mi, since what is changed while a snapshot is taken is there twice.
    """
    given = spec.resources or {}
    most = spec.memory * 3 // 2 if spec.volume is None else spec.memory * 2
    limits: dict[str, Any] = {"memory": render_bytes(most + 128 * MEBIBYTE), **given.get("limits", {})}
    requests: dict[str, Any] = {"memory": render_bytes(spec.memory), **given.get("requests", {})}
    if parse_fraction(requests["memory"]) > parse_fraction(limits["memory"]):
        limits["memory"] = requests["memory"]
    return {"requests": requests, "limits": limits}


def _volumes(spec: Spec) -> list[Object]:
    """One folder with all that a node reads, which Kubernetes keeps up to date while the pod runs; and one for what it
    writes, which goes with the pod unless there is a claim.
    """
    passing: list[Object] = [] if spec.volume is not None else [{"name": DATA, "emptyDir": {}}]
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
        *passing,
    ]


def _secret(name: str, key: str, path: str) -> Object:
    return {"secret": {"name": name, "items": [{"key": key, "path": path}]}}


def _scheduling(spec: Spec, shard: int) -> Object:
    wanted = spec.scheduling
    constraints = wanted.topology_spread_constraints
    if constraints is None:
        spread = _default_spread(spec)
    else:
        spread = [{"labelSelector": {"matchLabels": pods_of(spec)}, **constraint} for constraint in constraints]
    chosen: Object = {
        "topologySpreadConstraints": spread,
        "nodeSelector": dict(wanted.node_selector),
        "tolerations": [dict(toleration) for toleration in wanted.tolerations],
        "affinity": _affinity(spec, shard),
        "priorityClassName": wanted.priority_class_name,
    }
    return {name: value for name, value in chosen.items() if value}


def _default_spread(spec: Spec) -> list[Object]:
    """Of all the cluster's nodes; for Kubernetes there can be one constraint only for each kind of place."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": domain,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": pods_of(spec)},
        }
        for domain in DOMAINS
    ]


def _affinity(spec: Spec, shard: int) -> Mapping[str, Any] | None:
    """What the manifest says; where it is silent on pods to be far from, a shard's nodes, of which the most should
    outlive a zone or a host, prefer others."""
    given = spec.scheduling.affinity
    if not spec.replicas_per_shard or (given or {}).get("podAntiAffinity") is not None:
        return given
    apart = [
        {"labelSelector": {"matchLabels": pods_of_shard(spec, shard)}, "topologyKey": domain} for domain in DOMAINS
    ]
    preferred = [{"weight": 100, "podAffinityTerm": term} for term in apart]
    return {**(given or {}), "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}
