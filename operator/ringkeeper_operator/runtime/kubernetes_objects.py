"""What the API server's objects mean to the operator: whose they are, whether as desired, why a pod does not run.

Pure: objects are the API's own dictionaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ringkeeper_operator.model import ADMIN_PORT_OFFSET, ObservedClaim, ObservedNode, Spec, node_name
from ringkeeper_operator.quantity import stored_bytes
from ringkeeper_operator.resources.common import CLUSTER_LABEL, HASH_ANNOTATION, ROLE_LABEL
from ringkeeper_operator.resources.stateful_set import claim_name
from ringkeeper_operator.runtime.base import Blocked

MADE_ONCE = frozenset({"Secret"})
"""Kinds that are never written again once they exist: their content was generated."""

REMOVED = {"PodDisruptionBudget": "policy/v1", "StatefulSet": "apps/v1"}
"""Kinds of which those are removed that are asked for no more, and the API that each is of."""

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


def obsolete_pieces(desired: Iterable[str], found: Mapping[str, Object], cluster_uid: str) -> tuple[str, ...]:
    """Of this cluster, of a kind that is removed, and not desired."""
    wanted = set(desired)
    return tuple(
        piece
        for piece, metadata in sorted(found.items())
        if piece not in wanted
        and piece.partition("/")[0] in REMOVED
        and controller_uid(metadata) == cluster_uid
        and not metadata.get("deletionTimestamp")
    )


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


def observed_claims(spec: Spec, claims: Iterable[Object]) -> tuple[ObservedClaim, ...]:
    """The claims of a cluster's volumes, by name. Those that are going do not count, nor what a larger one has left."""
    found = []
    own = {claim_name(spec, *position) for position in spec.positions()}
    for claim in claims:
        name = claim["metadata"]["name"]
        asked = claim.get("spec", {}).get("resources", {}).get("requests", {}).get("storage")
        if name in own and asked is not None and not claim["metadata"].get("deletionTimestamp"):
            found.append(ObservedClaim(name=name, requested=stored_bytes(asked)))
    return tuple(sorted(found, key=lambda claim: claim.name))


def with_claims_of(existing: Object, body: Object) -> Object:
    """A StatefulSet as it can be applied over the one that exists: its claim templates stay as they are.

    Raises `Blocked` if they would have to come or to go.
    """
    if body["kind"] != "StatefulSet":
        return body
    there, wanted = (item.get("spec", {}).get("volumeClaimTemplates") for item in (existing, body))
    if bool(there) != bool(wanted):
        has, asked = ("a volume", "none") if there else ("no volume", "one")
        raise Blocked(
            f"StatefulSet/{body['metadata']['name']}: its pod has {has} and spec.persistence.size asks for {asked}; "
            "that can't be changed while a cluster runs: set it back, or create a new cluster"
        )
    return body if not there else {**body, "spec": {**body["spec"], "volumeClaimTemplates": there}}


def no_smaller(existing: Object, body: Object) -> Object:
    """A StatefulSet with as many pods as there are, if fewer are wanted: who they are is not known, for now."""
    if body["kind"] != "StatefulSet":
        return body
    pods = max(int(existing.get("spec", {}).get("replicas", 1)), body["spec"]["replicas"])
    return {**body, "spec": {**body["spec"], "replicas": pods}}


def observed_nodes(spec: Spec, pods: Iterable[Object], own_statefulsets: Iterable[str]) -> list[ObservedNode]:
    """Every node of the spec, and any other pod of this cluster's StatefulSets (UIDs), by shard and ordinal.

    None has a report yet; a node with an address may be asked.
    """
    own = frozenset(own_statefulsets)
    nodes = {
        position: ObservedNode(
            name=node_name(spec.name, *position), shard=position[0], ordinal=position[1], phase="absent"
        )
        for position in spec.positions()
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
        host=pod_spec.get("nodeName") or "",
        hostname=hostname,
        port=spec.port,
        admin_port=spec.port + ADMIN_PORT_OFFSET,
        restarts=sum(container.get("restartCount", 0) for container in status.get("containerStatuses") or ()),
        trouble=trouble,
        process=next(iter(_containers(status, "state", "running")), ""),
        ended=_containers(status, "state", "terminated") + _containers(status, "lastState", "terminated"),
        role_label=(metadata.get("labels") or {}).get(ROLE_LABEL, ""),
        routed=any(
            condition.get("type") == "Ready" and condition.get("status") == "True"
            for condition in status.get("conditions") or ()
        ),
    )


def _containers(status: Object, when: str, state: str) -> tuple[str, ...]:
    """The ids of containers in a state. The kubelet calls one terminated when its last process is gone."""
    found = []
    for container in status.get("containerStatuses") or ():
        told = (container.get(when) or {}).get(state)
        if told is not None:
            found.append(str(container.get("containerID") if state == "running" else told.get("containerID") or ""))
    return tuple(filter(None, found))


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
    """How the container's present or last process ended: `OOMKilled: …` or `exited with code 1: ` and why."""
    ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
    if not ended:
        return ""
    if ended.get("reason") == "OOMKilled":
        return "OOMKilled: the container's memory limit was reached"
    last = (ended.get("message") or "").strip().rpartition("\n")[2]
    return _sentence(f"exited with code {ended.get('exitCode')}", last)


def _sentence(reason: str, message: str | None) -> str:
    """The reason and the first line of the message, short enough for a status."""
    first = (message or "").strip().partition("\n")[0][:200]
    return f"{reason}: {first}" if first else reason
