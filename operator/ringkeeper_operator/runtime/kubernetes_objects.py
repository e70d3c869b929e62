"""What the API server's objects mean to the operator: whose they are, whether as desired, why a pod does not run.

Pure: objects are the API's own dictionaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, ObservedNode, Spec, node_name
from ringkeeper_operator.resources.common import CLUSTER_LABEL, HASH_ANNOTATION

MADE_ONCE = frozenset({"Secret"})
"""Kinds that are never written again once they exist: their content was generated."""

BROKEN = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Reasons of a waiting container that do not pass by themselves within moments."""

Object = Mapping[str, Any]


def controller_uid(metadata: Object) -> str | None:
    """The UID of the object that owns this one, or None."""
    owners = metadata.get("ownerReferences") or ()
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def piece_name(kind: str, name: str) -> str:
    return f"{kind}/{name}"


def piece_state(desired: Object, found: Object | None, cluster_uid: str) -> str:
    """`absent`, `drifted` or `current`. `found` is the metadata of the object of that name, if there is one.

    An object of another owner counts as absent: making it then fails, with the reason (`whose`).
    """
    if found is None or controller_uid(found) != cluster_uid or found.get("deletionTimestamp"):
        return "absent"
    if desired["kind"] in MADE_ONCE:
        return "current"
    wanted = desired["metadata"].get("annotations", {}).get(HASH_ANNOTATION)
    has = (found.get("annotations") or {}).get(HASH_ANNOTATION)
    return "current" if has == wanted else "drifted"


def whose(piece: str, found: Object, spec: Spec) -> str:
    """Why an object that exists may not be taken, and what to do, as a sentence."""
    labels = found.get("labels") or {}
    if found.get("deletionTimestamp"):
        return f"{piece} is being deleted; it is made anew when it is gone"
    if labels.get(CLUSTER_LABEL) == spec.name and controller_uid(found) is not None:
        return f"{piece} belongs to a former CacheCluster {spec.name}; Kubernetes removes it, then it is made anew"
    return (
        f"{piece} exists in namespace {spec.namespace} and was not made for this CacheCluster; it is left alone. "
        f"Delete or rename it, or give the CacheCluster another name"
    )


def observed_nodes(spec: Spec, pods: Iterable[Object], own_statefulsets: Iterable[str]) -> list[ObservedNode]:
    """Every node of the spec, and any other pod of this cluster's StatefulSets (UIDs), by shard and ordinal.

    None has a report yet; a node with an address may be asked.
    """
    own = frozenset(own_statefulsets)
    nodes = {
        (shard, 0): ObservedNode(name=node_name(spec.name, shard, 0), shard=shard, ordinal=0, phase="absent")
        for shard in range(spec.shards)
    }
    for pod in pods:
        position = _position(spec.name, pod["metadata"]["name"])
        if position is not None and controller_uid(pod["metadata"]) in own:
            nodes[position] = _observed_node(spec, pod, *position)
    return [nodes[position] for position in sorted(nodes)]


def _position(cluster: str, pod_name: str) -> tuple[int, int] | None:
    match = re.fullmatch(rf"{re.escape(cluster)}-(\d+)-(\d+)", pod_name)
    return (int(match[1]), int(match[2])) if match else None


def _observed_node(spec: Spec, pod: Object, shard: int, ordinal: int) -> ObservedNode:
    metadata, pod_spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    phase, trouble = _phase(pod)
    hostname = ""
    if pod_spec.get("subdomain"):
        hostname = f"{metadata['name']}.{pod_spec['subdomain']}.{spec.namespace}.svc"
    return ObservedNode(
        name=metadata["name"],
        shard=shard,
        ordinal=ordinal,
        phase=phase,
        address=status.get("podIP") or "",
        hostname=hostname,
        port=spec.port,
        admin_port=spec.port + ADMIN_PORT_OFFSET,
        restarts=sum(container.get("restartCount", 0) for container in status.get("containerStatuses") or ()),
        trouble=trouble,
        routed=any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or ()
        ),
    )


def _phase(pod: Object) -> tuple[str, str]:
    """`starting`, `terminating` or `failed` (`running` is said by the node itself), and the trouble if there is any."""
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp"):
        return "terminating", ""
    if status.get("phase") in ("Failed", "Succeeded"):
        return "failed", _sentence(status.get("reason") or f"the pod {status['phase'].lower()}", status.get("message"))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return "starting", _sentence(condition.get("reason", ""), condition.get("message"))
    troubles = []
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting")
        ended = _ended(container)
        if waiting and waiting.get("reason") in BROKEN:
            return "failed", _sentence(waiting["reason"], ended or waiting.get("message"))
        if ended and not container.get("ready"):
            troubles.append(ended)
    return "starting", "; ".join(troubles)


def _ended(container: Object) -> str:
    """How the container's present or last process ended: `OOMKilled: …` or `exited with code 1`."""
    ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
    if not ended:
        return ""
    if ended.get("reason") == "OOMKilled":
        return "OOMKilled: the container's memory limit was reached"
    return _sentence(f"exited with code {ended.get('exitCode')}", ended.get("message"))


def _sentence(reason: str, message: str | None) -> str:
    """The reason and the first line of the message, short enough for a status."""
    first = (message or "").strip().partition("\n")[0][:200]
    return f"{reason}: {first}" if first else reason
