"""Kubernetes as a runtime: observes a cluster through the API server and its nodes' admin ports, and applies actions.

Objects are listed by label, as metadata only; whether one is as desired is told by the hash that its builder put into
an annotation. Objects of other owners are never touched. What Secrets hold is generated once and never written again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from ringkeeper.cluster.topology import Topology, TopologyError, decode
from ringkeeper_operator import resources
from ringkeeper_operator.manifest import handover_from
from ringkeeper_operator.model import (
    Action,
    ApplyPieces,
    AskHandover,
    AskRelease,
    CommitTopology,
    DropHandover,
    GrowVolumes,
    LabelRoles,
    MeasureSlots,
    Observed,
    ObservedNode,
    PushSettings,
    PushTopology,
    Refuse,
    RemovePieces,
    Spec,
    WatchMoves,
)
from ringkeeper_operator.plan.size import kept_up
from ringkeeper_operator.quantity import render_bytes
from ringkeeper_operator.resources.common import CLUSTER_LABEL, ROLE_LABEL
from ringkeeper_operator.resources.config_map import TOPOLOGY_KEY, topology_name
from ringkeeper_operator.resources.secret import TOKEN_KEY, internal_secret_name
from ringkeeper_operator.runtime.base import Blocked, Conflict, PushError, UncertainCommit
from ringkeeper_operator.runtime.failover_log import FailoverLog
from ringkeeper_operator.runtime.heartbeats import Watch, boot_time_ns
from ringkeeper_operator.runtime.kubernetes_api import Api, ApiError, ApiUnreachable, path_of, path_of_object
from ringkeeper_operator.runtime.kubernetes_objects import (
    MADE_ONCE,
    REMOVED,
    Object,
    controller_uid,
    no_smaller,
    observed_claims,
    observed_nodes,
    obsolete_pieces,
    piece_name,
    piece_state,
    whose,
    with_claims_of,
)
from ringkeeper_operator.runtime.kubernetes_status import StatusWriter
from ringkeeper_operator.runtime.kubernetes_zones import Zones
from ringkeeper_operator.runtime.moving import MoveLog, watch_moves
from ringkeeper_operator.runtime.node_admin import NodeAdmin
from ringkeeper_operator.runtime.runs import Runs, replaced
from ringkeeper_operator.schema import API_VERSION, FAILOVER_ANNOTATION, KIND

log = logging.getLogger(__name__)

CLAIM = "PersistentVolumeClaim"


class KubernetesRuntime:
    """The runtime of one CacheCluster (one UID)."""

    def __init__(
        self, api: Api, status: StatusWriter, watch: Watch | None = None, told: Mapping[str, Any] | None = None
    ) -> None:
        """`told` is the status as another operator left it."""
        self._api = api
        self._status = status
        self._nodes = NodeAdmin()
        self._watch = watch
        self._runs = Runs()
        self._last: Observed | None = None
        self._failovers = FailoverLog(told)
        self._zones = Zones(api)
        self._moves = MoveLog()
        self.urgent = asyncio.Event()
        self.alarm = asyncio.Event()
        self._leader_number: int | None = None
        self._blocked: tuple[Action, Refuse] | None = None
        self._built: tuple[Spec, dict[str, dict[str, Any]]] | None = None

    def wake_by(self, wake: Callable[[], None]) -> None:
        def changed(urgent: bool) -> None:
            if urgent:
                self.urgent.set()
            if self._watch is not None and self._watch.alarming:
                self.alarm.set()
            wake()

        if self._watch is not None:
            self._watch.when_changed = changed

    async def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        await self._nodes.close()

    def _desired(self, spec: Spec) -> dict[str, dict[str, Any]]:
        """Every piece, built once for each spec: there may be a thousand, and what new Secrets hold stays the same."""
        if self._built is None or self._built[0] != spec:
            self._built = (spec, resources.build_all(spec))
        return self._built[1]

    # --- observing

    async def observe(self, spec: Spec) -> Observed:
        if self._watch is not None:
            self._watch.heed(spec)
        configmap = await self._api.get_or_none(path_of("v1", "ConfigMap", spec.namespace, topology_name(spec)))
        topology, version = _committed(spec, configmap)
        asked, spec = spec, kept_up(spec, topology)
        desired = self._desired(spec)
        (found, token), pods, claims = await asyncio.gather(
            self._observe_objects(spec, desired),
            self._api.list_objects(path_of("v1", "Pod", spec.namespace), _selector(spec)),
            self._list_claims(spec),
        )
        statefulsets = [
            metadata["uid"]
            for piece, metadata in found.items()
            if piece.startswith("StatefulSet/") and controller_uid(metadata) == spec.uid
        ]
        self._nodes.token = token
        seen = observed_nodes(spec, pods, statefulsets)
        self._tell_ends(seen)
        nodes, zones = await asyncio.gather(self._nodes.ask_all(seen), self._zones.of(node.host for node in seen))
        nodes = [replace(node, zone=zones.get(node.host, "")) for node in nodes]
        self._runs.heard(nodes)
        for loss in self._failovers.hear(nodes, topology):
            await self.record(asked, loss)
        self._follow(topology, nodes)
        now = time.monotonic()
        self._moves.hear(topology, nodes, now)
        self._last = Observed(
            pieces={piece: piece_state(body, found.get(piece), spec.uid) for piece, body in desired.items()},
            nodes=tuple(nodes),
            topology=topology,
            topology_version=version,
            newest_held=await self._newest_held(nodes, topology),
            leader_number=self._leader_number,
            claims=observed_claims(spec, claims),
            slot_bytes=self._moves.slot_bytes(topology, now),
            slot_operations=self._moves.slot_operations(topology, now),
            still_seconds=self._moves.still_seconds(now),
            failed_moves=self._moves.recent_failures(now),
            obsolete=obsolete_pieces(desired, found, spec.uid),
            verdicts=self._watch.verdicts if self._watch is not None else {},
            failovers=tuple(self._failovers.entries),
            calm_seconds=self._failovers.calm_seconds,
            handovers=self._watch.handovers if self._watch is not None else {},
        )
        return self._last

    async def glance(self, spec: Spec) -> Observed | None:
        if self._last is None or self._watch is None:
            return None
        configmap = await self._api.get_or_none(path_of("v1", "ConfigMap", spec.namespace, topology_name(spec)))
        topology, version = _committed(spec, configmap)
        return replace(
            self._last,
            topology=topology,
            topology_version=version,
            verdicts=self._watch.verdicts,
            leader_number=self._leader_number,
            is_glance=True,
        )

    def _tell_ends(self, nodes: Iterable[ObservedNode]) -> None:
        over = self._runs.ended(process for node in nodes for process in node.ended)
        if over and self._watch is not None:
            self._watch.end(over)

    def _follow(self, topology: Topology | None, nodes: Collection[ObservedNode] = ()) -> None:
        """Exchange heartbeats as the leader that committed this topology."""
        if self._watch is None:
            return
        if topology is None or self._leader_number != topology.leader:
            self._watch.pause()
            return
        moved = {node.report.id: (node.address, node.port) for node in nodes if node.report is not None}
        self._watch.follow(topology, self._leader_number, self._nodes.token, moved)
        if over := replaced(topology, nodes):
            self._watch.end(over)

    async def _list_claims(self, spec: Spec) -> list[dict[str, Any]]:
        if spec.volume is None:
            return []
        return await self._api.list_objects(path_of("v1", CLAIM, spec.namespace), _selector(spec))

    async def _observe_objects(self, spec: Spec, desired: Mapping[str, Object]) -> tuple[dict[str, Object], str]:
        """The metadata of what exists, by piece; the nodes' admin token."""
        kinds = {(body["apiVersion"], body["kind"]) for body in desired.values() if body["kind"] not in MADE_ONCE}
        secrets = [body for body in desired.values() if body["kind"] in MADE_ONCE]
        lists, read = await asyncio.gather(
            asyncio.gather(*(self._list_kind(spec, *kind) for kind in kinds)),
            asyncio.gather(*(self._api.get_or_none(path_of_object(body)) for body in secrets)),
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
        return found, token

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
            desired = self._desired(kept_up(spec, self._last.topology if self._last is not None else None))
            for piece in action.pieces:
                await self._apply_piece(spec, piece, desired[piece])
        elif isinstance(action, CommitTopology):
            timings = dict(self._watch.timings) if self._watch is not None else {}
            await self._commit(spec, action)
            committed = boot_time_ns()
            if action.at_once:
                with contextlib.suppress(PushError):
                    await self._nodes.push(action.topology, _listed(action.topology), first=action.awaited)
            self._failovers.add(action.failovers, timings, committed, boot_time_ns())
        elif isinstance(action, MeasureSlots):
            await self._moves.measure(self._nodes, action)
        elif isinstance(action, AskRelease | WatchMoves):
            if self._last is not None:
                self._last = await watch_moves(self._nodes, action, self._last, self.urgent)
                self.urgent.set()
        elif isinstance(action, PushTopology):
            await self._nodes.push(action.topology, _listed(action.topology, action.nodes))
        elif isinstance(action, PushSettings):
            nodes = _listed(action.topology, action.nodes)
            await self._nodes.push_settings(action.settings, action.topology.leader, nodes)
        elif isinstance(action, GrowVolumes):
            await self._grow(spec, action)
        elif isinstance(action, AskHandover):
            if self._watch is not None:
                self._watch.hand_over(action)
        elif isinstance(action, DropHandover):
            await self._drop_handover(spec, action.shard)
        elif isinstance(action, LabelRoles):
            for name, role in action.roles.items():
                path = path_of("v1", "Pod", spec.namespace, name)
                await self._api.patch(path, {"metadata": {"labels": {ROLE_LABEL: role}}})
        elif isinstance(action, RemovePieces):
            for piece in action.pieces:
                await self._remove_piece(spec, piece)
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
            owned: Object = {**body, "metadata": {**body["metadata"], "uid": metadata["uid"]}}
            if self._last is None or self._last.topology is None:
                owned = no_smaller(existing, owned)
            await self._api.server_side_apply(with_claims_of(existing, owned), force=True)

    async def _drop_handover(self, spec: Spec, shard: int) -> None:
        """Take the request out of the annotation, unless somebody has written another one meanwhile."""
        if self._watch is not None:
            self._watch.forget_handover(shard)
        path = path_of(API_VERSION, KIND, spec.namespace, spec.name)
        found = await self._api.get(path)
        metadata = found["metadata"]
        words = str((metadata.get("annotations") or {}).get(FAILOVER_ANNOTATION, ""))
        left = ",".join(word for word in words.split(",") if word and handover_from(word).shard != shard)
        changed = {"resourceVersion": metadata["resourceVersion"], "annotations": {FAILOVER_ANNOTATION: left or None}}
        await self._api.patch(path, {"metadata": changed})

    async def _remove_piece(self, spec: Spec, piece: str) -> None:
        kind, _, name = piece.partition("/")
        path = path_of(REMOVED[kind], kind, spec.namespace, name)
        existing = await self._api.get_or_none(path)
        if existing is not None and controller_uid(existing["metadata"]) == spec.uid:
            await self._api.delete(path, existing["metadata"]["uid"])

    async def _grow(self, spec: Spec, action: GrowVolumes) -> None:
        size = render_bytes(action.size)
        for claim in action.claims:
            path = path_of("v1", CLAIM, spec.namespace, claim)
            try:
                await self._api.patch(path, {"spec": {"resources": {"requests": {"storage": size}}}})
            except ApiError as error:
                if error.status not in (403, 422):
                    raise
                raise Blocked(
                    f"{CLAIM}/{claim} can't grow to {size}, as spec.persistence.size asks: {error.message}. Set it "
                    "back, or allow growth in the StorageClass (allowVolumeExpansion)"
                ) from error

    async def _commit(self, spec: Spec, action: CommitTopology) -> None:
        body = resources.build_topology_configmap(spec, action.topology)
        try:
            if action.expected is None:
                await self._api.create(body)
            else:
                versioned = {**body, "metadata": {**body["metadata"], "resourceVersion": action.expected}}
                await self._api.replace(versioned)
        except ApiUnreachable as error:
            self._lead_no_more()
            raise UncertainCommit(str(error)) from error
        except ApiError as error:
            if error.status >= 500:
                self._lead_no_more()
                raise UncertainCommit(str(error)) from error
            if error.status not in (404, 409):
                raise
            await self._raise_if_foreign(spec, body)
            raise Conflict(str(error)) from error
        self._leader_number = action.topology.leader
        self._follow(action.topology)

    def _lead_no_more(self) -> None:
        """Until the next claim: it is not known what is committed."""
        self._leader_number = None
        self._follow(None)

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


def _listed(topology: Topology, names: Collection[str] | None = None) -> list[ObservedNode]:
    """Nodes, or all, at the addresses that the topology names: it was made from what was observed a moment ago."""
    wanted = frozenset(names if names is not None else (node.name for node in topology.nodes))
    return [
        ObservedNode(
            name=node.name,
            shard=node.shard,
            ordinal=int(node.name.rpartition("-")[2]),
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
