"""What people are told of a cluster: conditions, counts and a row for each shard. Pure; the runtimes write it.

`Ready` is true exactly when the committed topology gives every slot to a shard and every master answers, online, in
the run and at the epoch that the topology names, and clients that know no node yet are led to one.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringkeeper.cluster.topology import Shard, Topology
from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.model import Action, NodeReport, Observed, ObservedNode, Refuse, Spec, Wait
from ringkeeper_operator.plan.nodes import answering, expected_names, is_intruder, is_routed, names
from ringkeeper_operator.plan.readiness import NOT_ROUTED
from ringkeeper_operator.resources.common import pods_of

STEADY = 0.05
"""A shard's count of keys is written anew when it changed by more than this part, so that a busy cluster does not
write its status all the time."""


@dataclass(frozen=True, slots=True)
class ShardState:
    """One shard of the committed topology."""

    index: int
    master: str
    """The node's name."""
    term: int
    slots: int
    """That it owns."""
    slots_served: int
    keys: int
    state: str
    """`online` when it serves; else what its master does instead."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The state at a glance."""

    epoch: int
    """0 when nothing is committed."""
    shards: tuple[ShardState, ...]
    nodes: int
    """That should be there."""
    nodes_ready: int
    slots_served: int
    routed: bool
    """Whether the Service leads to a node."""
    ready: bool


def summary(spec: Spec, observed: Observed) -> Summary:
    topology = observed.topology
    wanted = len(expected_names(spec))
    if topology is None:
        return Summary(epoch=0, shards=(), nodes=wanted, nodes_ready=0, slots_served=0, routed=False, ready=False)
    owned = Counter(topology.owners)
    heard = answering(spec, observed)
    nodes = {node.name: node for node in observed.nodes}
    shards = tuple(_shard_state(spec, topology, shard, owned[shard.index], heard, nodes) for shard in topology.shards)
    online = sum(shard.state == "online" for shard in shards)
    served = sum(shard.slots_served for shard in shards)
    current = all(heard[node.name][1].epoch == topology.epoch for node in topology.nodes if node.name in heard)
    routed = is_routed(spec, observed)
    return Summary(
        epoch=topology.epoch,
        shards=shards,
        nodes=wanted,
        nodes_ready=online,
        slots_served=served,
        routed=routed,
        ready=online == len(shards) and served == SLOTS and current and routed,
    )


def _shard_state(
    spec: Spec,
    topology: Topology,
    shard: Shard,
    slots: int,
    heard: Mapping[str, tuple[ObservedNode, NodeReport]],
    nodes: Mapping[str, ObservedNode],
) -> ShardState:
    master = topology.node(shard.master)
    assert master is not None, "a topology lists its masters"
    report = heard[master.name][1] if master.name in heard else None
    serves = report is not None and _serves(report, master.run_id)
    return ShardState(
        index=shard.index,
        master=master.name,
        term=shard.term,
        slots=slots,
        slots_served=min(slots, report.slots_served) if report is not None and serves else 0,
        keys=report.keys if report is not None else 0,
        state="online" if serves else _why_not(spec, report, master.run_id, nodes.get(master.name)),
    )


def _serves(report: NodeReport, run_id: str) -> bool:
    return report.run_id == run_id and report.state == "online" and report.role == "master"


def _why_not(spec: Spec, report: NodeReport | None, run_id: str, node: ObservedNode | None) -> str:
    if node is None:
        return "absent"
    if report is None:
        return "intruder" if is_intruder(spec, node) else "silent" if node.phase == "running" else node.phase
    if report.run_id != run_id:
        return "restarted"
    return report.state if report.state != "online" else report.role


def build_status(
    spec: Spec, observed: Observed, action: Action | None, previous: Mapping[str, Any] | None, now: float
) -> dict[str, Any]:
    """The status to write. `now` is seconds since the epoch; a condition's time is kept while its status is."""
    seen = summary(spec, observed)
    reason, text = _headline(spec, seen, action)
    before = previous or {}
    return {
        "observedGeneration": spec.generation,
        "conditions": _conditions(spec, seen, action, before, now),
        "epoch": seen.epoch,
        "shards": len(seen.shards),
        "readyNodes": f"{seen.nodes_ready}/{seen.nodes}",
        "slotsServed": seen.slots_served,
        "shardStatuses": _rows(seen, before),
        "selector": ",".join(f"{name}={value}" for name, value in pods_of(spec).items()),
        "reason": reason,
        "message": text,
    }


def _headline(spec: Spec, seen: Summary, action: Action | None) -> tuple[str, str]:
    if spec.deleting:
        return "Deleting", "the cluster is being deleted"
    if action is not None:
        return action.reason, action.message
    if seen.ready:
        return "Ready", f"all {SLOTS} slots are served by {len(seen.shards)} shards"
    return "NotServing", _not_served(seen)


def _not_served(seen: Summary) -> str:
    idle = [f"{shard.master} ({shard.state})" for shard in seen.shards if shard.state != "online"]
    text = f"{seen.slots_served} of {SLOTS} slots are served"
    if idle:
        return f"{text}; not serving: {names(idle)}"
    return text if seen.routed else NOT_ROUTED


def _conditions(
    spec: Spec, seen: Summary, action: Action | None, before: Mapping[str, Any], now: float
) -> list[dict[str, Any]]:
    reason, text = _headline(spec, seen, action)
    refused = isinstance(action, Refuse)
    progressing = action is not None and not refused
    lacking = seen.epoch > 0 and any(shard.state != "online" for shard in seen.shards)
    troubled = isinstance(action, Wait) and action.warning
    if seen.ready:
        ready = ("True", "Ready", f"all {SLOTS} slots are served by {len(seen.shards)} shards")
    else:
        ready = ("False", "NotServing" if refused else reason, text if seen.epoch == 0 else _not_served(seen))
    stated = {
        "Ready": ready,
        "Progressing": ("True", reason, text) if progressing else ("False", reason, "nothing is being changed"),
        "Degraded": _degraded(seen, lacking, troubled, reason, text),
        "ConfigurationWarning": ("True", reason, text)
        if refused
        else ("False", "AsWritten", "the manifest is followed"),
    }
    old = {condition.get("type"): condition for condition in before.get("conditions") or ()}
    return [_condition(spec, kind, *values, old.get(kind), now) for kind, values in stated.items()]


def _degraded(seen: Summary, lacking: bool, troubled: bool, reason: str, text: str) -> tuple[str, str, str]:
    if lacking:
        return "True", "NodesNotServing", _not_served(seen)
    if troubled:
        return "True", reason, text
    return "False", "AsExpected", "no node of the topology is missing"


def _condition(
    spec: Spec, kind: str, status: str, reason: str, message: str, old: Mapping[str, Any] | None, now: float
) -> dict[str, Any]:
    kept = old is not None and old.get("status") == status and old.get("lastTransitionTime")
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": kept or _timestamp(now),
        "observedGeneration": spec.generation,
    }


def _timestamp(now: float) -> str:
    return datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rows(seen: Summary, before: Mapping[str, Any]) -> list[dict[str, Any]]:
    old = {row.get("index"): row.get("keys", 0) for row in before.get("shardStatuses") or ()}
    return [
        {
            "index": shard.index,
            "master": shard.master,
            "term": shard.term,
            "slots": shard.slots,
            "keys": _steady(shard.keys, old.get(shard.index)),
            "state": shard.state,
        }
        for shard in seen.shards
    ]


def _steady(keys: int, written: int | None) -> int:
    if written is None or keys == 0 or abs(keys - written) > STEADY * written:
        return keys
    return written
