"""Kubernetes as a runtime: observes a cluster through the API server and its nodes' admin ports, and applies actions.

Objects are listed by label, as metadata only; whether one is as desired is told by the hash that its builder put into
an annotation. Objects of other owners are never touched. What Secrets hold is generated once and never written again.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

from ringkeeper.cluster.topology import Topology, TopologyError, decode
from ringkeeper_operator import resources
from ringkeeper_operator.model import (
    Action,
    ApplyPieces,
    CommitTopology,
    Observed,
    ObservedNode,
    PushSettings,
    PushTopology,
    Refuse,
    Spec,
)
from ringkeeper_operator.resources.common import CLUSTER_LABEL
from ringkeeper_operator.resources.config_map import TOPOLOGY_KEY, topology_name
from ringkeeper_operator.resources.secret import TOKEN_KEY, internal_secret_name
from ringkeeper_operator.runtime.base import Blocked, Conflict, UncertainCommit
from ringkeeper_operator.runtime.kubernetes_api import Api, ApiError, ApiUnreachable, path_of, path_of_object
from ringkeeper_operator.runtime.kubernetes_objects import (
    MADE_ONCE,
    Object,
    controller_uid,
    observed_nodes,
    piece_name,
    piece_state,
    whose,
)
from ringkeeper_operator.runtime.kubernetes_status import StatusWriter
from ringkeeper_operator.runtime.node_admin import NodeAdmin

log = logging.getLogger(__name__)


class KubernetesRuntime:
    """The runtime of one CacheCluster (one UID)."""

    def __init__(self, api: Api, status: StatusWriter) -> None:
        self._api = api
        self._status = status
        self._nodes = NodeAdmin()
        self._leader_number: int | None = None
        self._blocked: tuple[Action, Refuse] | None = None
        self._built: tuple[Spec, dict[str, dict[str, Any]]] | None = None

    async def close(self) -> None:
        await self._nodes.close()

    def _desired(self, spec: Spec) -> dict[str, dict[str, Any]]:
        """Every piece, built once for each spec: there may be a thousand, and what new Secrets hold stays the same."""
        if self._built is None or self._built[0] != spec:
            self._built = (spec, resources.build_all(spec))
        return self._built[1]

    # --- observing

    async def observe(self, spec: Spec) -> Observed:
        desired = self._desired(spec)
        (found, token, committed), pods = await asyncio.gather(
            self._observe_objects(spec, desired),
            self._api.list_objects(path_of("v1", "Pod", spec.namespace), _selector(spec)),
        )
        statefulsets = [
            metadata["uid"]
            for piece, metadata in found.items()
            if piece.startswith("StatefulSet/") and controller_uid(metadata) == spec.uid
        ]
        self._nodes.token = token
        nodes = await self._nodes.ask_all(observed_nodes(spec, pods, statefulsets))
        topology, version = _committed(spec, committed)
        return Observed(
            pieces={piece: piece_state(body, found.get(piece), spec.uid) for piece, body in desired.items()},
            nodes=tuple(nodes),
            topology=topology,
            topology_version=version,
            newest_held=await self._newest_held(nodes, topology),
            leader_number=self._leader_number,
        )

    async def _observe_objects(
        self, spec: Spec, desired: Mapping[str, Object]
    ) -> tuple[dict[str, Object], str, dict[str, Any] | None]:
        """The metadata of what exists, by piece; the nodes' admin token; the ConfigMap of the topology."""
        kinds = {(body["apiVersion"], body["kind"]) for body in desired.values() if body["kind"] not in MADE_ONCE}
        secrets = [body for body in desired.values() if body["kind"] in MADE_ONCE]
        lists, read, committed = await asyncio.gather(
            asyncio.gather(*(self._list_kind(spec, *kind) for kind in kinds)),
            asyncio.gather(*(self._api.get_or_none(path_of_object(body)) for body in secrets)),
            self._api.get_or_none(path_of("v1", "ConfigMap", spec.namespace, topology_name(spec))),
        )
        found: dict[str, Object] = {piece: metadata for part in lists for piece, metadata in part}
        token = ""
        for secret in read:
            if secret is None:
                continue
            metadata = secret["metadata"]
            found[piece_name(secret["kind"], metadata["name"])] = metadata
            if metadata["name"] == internal_secret_name(spec) and controller_uid(metadata) == spec.uid:
                token = base64.b64decode(secret.get("data", {}).get(TOKEN_KEY, "")).decode()
        return found, token, committed

    async def _list_kind(self, spec: Spec, api_version: str, kind: str) -> list[tuple[str, Object]]:
        items = await self._api.list_metadata(path_of(api_version, kind, spec.namespace), _selector(spec))
        return [(piece_name(kind, item["metadata"]["name"]), item["metadata"]) for item in items]

    async def _newest_held(self, nodes: list[ObservedNode], committed: Topology | None) -> Topology | None:
        """The newest topology that a node holds, read from it only when the committed one is older or missing."""
        epoch = committed.epoch if committed else 0
        newer = [node for node in nodes if node.report and node.report.epoch > epoch]
        if not newer:
            return None
        return await self._nodes.topology_of(max(newer, key=_authority))

    # --- applying

    async def apply(self, spec: Spec, action: Action) -> None:
        try:
            await self._apply(spec, action)
        except Blocked as error:
            self._blocked = (action, Refuse(reason="Blocked", message=str(error), warning=True))
            raise
        self._blocked = None

    async def _apply(self, spec: Spec, action: Action) -> None:
        if isinstance(action, ApplyPieces):
            desired = self._desired(spec)
            for piece in action.pieces:
                await self._apply_piece(spec, piece, desired[piece])
        elif isinstance(action, CommitTopology):
            await self._commit(spec, action)
        elif isinstance(action, PushTopology):
            await self._nodes.push(action.topology, _listed(action.topology, action.nodes))
        elif isinstance(action, PushSettings):
            nodes = _listed(action.topology, action.nodes)
            await self._nodes.push_settings(action.settings, action.topology.leader, nodes)
        else:
            raise TypeError(f"{type(action).__name__} is no action that Kubernetes can carry out")

    async def _apply_piece(self, spec: Spec, piece: str, body: Object) -> None:
        existing = await self._api.get_or_none(path_of_object(body))
        if existing is None:
            if body["kind"] in MADE_ONCE:
                await self._api.create(body)
            else:
                await self._api.server_side_apply(body, force=False)
            return
        metadata = existing["metadata"]
        if controller_uid(metadata) != spec.uid or metadata.get("deletionTimestamp"):
            raise Blocked(whose(piece, metadata, spec))
        if body["kind"] not in MADE_ONCE:
            # The UID makes the API server refuse if the object was replaced by another since it was read.
            owned = {**body, "metadata": {**body["metadata"], "uid": metadata["uid"]}}
            await self._api.server_side_apply(owned, force=True)

    async def _commit(self, spec: Spec, action: CommitTopology) -> None:
        body = resources.build_topology_configmap(spec, action.topology)
        try:
            if action.expected is None:
                await self._api.create(body)
            else:
                versioned = {**body, "metadata": {**body["metadata"], "resourceVersion": action.expected}}
                await self._api.replace(versioned)
        except ApiUnreachable as error:
            self._leader_number = None
            raise UncertainCommit(str(error)) from error
        except ApiError as error:
            if error.status >= 500:
                self._leader_number = None
                raise UncertainCommit(str(error)) from error
            if error.status not in (404, 409):
                raise
            await self._raise_if_foreign(spec, body)
            raise Conflict(str(error)) from error
        self._leader_number = action.topology.leader

    async def _raise_if_foreign(self, spec: Spec, body: Object) -> None:
        existing = await self._api.get_or_none(path_of_object(body))
        if existing is not None and controller_uid(existing["metadata"]) != spec.uid:
            raise Blocked(whose(piece_name(body["kind"], body["metadata"]["name"]), existing["metadata"], spec))

    # --- telling

    async def publish(self, spec: Spec, observed: Observed, action: Action | None) -> None:
        if self._blocked is not None and action == self._blocked[0]:
            action = self._blocked[1]
        await self._status.publish(spec, observed, action)

    async def record(self, spec: Spec, action: Action) -> None:
        await self._status.record(spec, action)


def _listed(topology: Topology, names: tuple[str, ...]) -> list[ObservedNode]:
    """Nodes at the addresses that the topology names: it was made from what was observed a moment ago."""
    wanted = frozenset(names)
    return [
        ObservedNode(
            name=node.name,
            shard=node.shard,
            ordinal=0,
            phase="running",
            address=node.address,
            port=node.port,
            admin_port=node.admin_port,
        )
        for node in topology.nodes
        if node.name in wanted
    ]


def _selector(spec: Spec) -> str:
    return f"{CLUSTER_LABEL}={spec.name}"


def _authority(node: ObservedNode) -> tuple[int, int]:
    """Of the topology that a node holds: which one is to be believed."""
    return (node.report.leader, node.report.epoch) if node.report else (0, 0)


def _committed(spec: Spec, configmap: Object | None) -> tuple[Topology | None, str | None]:
    """The committed topology and its version; a ConfigMap that cannot be read still has a version to replace."""
    if configmap is None or controller_uid(configmap["metadata"]) != spec.uid:
        return None, None
    version = configmap["metadata"]["resourceVersion"]
    try:
        return decode(json.loads(configmap.get("data", {}).get(TOPOLOGY_KEY, ""))), version
    except (TopologyError, ValueError) as error:
        log.warning("%s/%s: the committed topology cannot be read: %s", spec.namespace, spec.name, error)
        return None, version
