"""What people are told of a cluster: conditions, counts and a row for each shard. Pure; the runtimes write it.

`Persisting`, which is there where persistence is asked for, is true when every node says that it keeps what is changed.
`Ready` is true exactly when the committed topology gives every slot to a shard and every master answers, online, in
the run and at the epoch that the topology names, and clients that know no node yet are led to one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ringkeeper.cluster.arbiter import Verdict
from ringkeeper.cluster.changes import Appoint
from ringkeeper.cluster.topology import Node, Shard, Topology
from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.model import HANDOVER, Action, Failover, NodeReport, Observed, ObservedNode, Refuse, Spec, Wait
from ringkeeper_operator.plan.nodes import answering, expected_names, is_intruder, is_routed, names
from ringkeeper_operator.plan.readiness import NOT_ROUTED
from ringkeeper_operator.plan.settings import persistence_of
from ringkeeper_operator.plan.size import kept_up
from ringkeeper_operator.quantity import render_bytes
from ringkeeper_operator.rebalance_status import condition_of, section_of
from ringkeeper_operator.resources.common import one_pod_a_shard
from ringkeeper_operator.timestamps import seconds_of, timestamp

STEADY = 0.05
"""A shard's count of keys is written anew when it changed by more than this part, so that a busy cluster does not
write its status all the time."""

FAILOVERS_TOLD = 10
WRITES_MAY_BE_LOST = "WritesMayBeLost"
CALM_BYTES, CALM_SECONDS = 1024**2, 2
"""A lag below that is none."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One replica of the committed topology."""

    name: str
    state: str
    """`online` when it follows its master; else what it does instead."""
    link: str
    voter: bool
    lag_bytes: int
    lag_seconds: int


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
    leaves: bool = False
    """Whether the master serves, and was told to end."""
    loaded: float | None = None
    """The part of its data that a master in the state `loading` has loaded."""
    replicas: tuple[ReplicaState, ...] = ()


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


def has_no_master(topology: Topology, index: int, verdict: Verdict | None) -> bool:
    """Whether heartbeats say so of a shard, before anybody else can; not while a master hands over by word.

    Of a master that needs no lease they say little: it serves, whoever hears it.
    """
    shard = topology.shard(index)
    if verdict is None or shard is None or not (shard.voters or shard.former):
        return False
    if isinstance(verdict.change, Appoint):
        return verdict.change.cause != HANDOVER
    return verdict.state in ("suspected", "electing", "cannot")


def summary(spec: Spec, observed: Observed) -> Summary:
    topology = observed.topology
    spec = kept_up(spec, topology)
    wanted = len(expected_names(spec))
    if topology is None:
        return Summary(epoch=0, shards=(), nodes=wanted, nodes_ready=0, slots_served=0, routed=False, ready=False)
    owned = Counter(topology.owners)
    heard = answering(spec, observed)
    nodes = {node.name: node for node in observed.nodes}
    shards = tuple(
        _suspected(_shard_state(spec, topology, shard, owned[shard.index], heard, nodes))
        if has_no_master(topology, shard.index, observed.verdicts.get(shard.index))
        else _shard_state(spec, topology, shard, owned[shard.index], heard, nodes)
        for shard in topology.shards
    )
    online = sum(shard.state == "online" for shard in shards)
    following = sum(replica.state == "online" for shard in shards for replica in shard.replicas)
    served = sum(shard.slots_served for shard in shards)
    current = all(heard[node.name][1].epoch == topology.epoch for node in topology.nodes if node.name in heard)
    routed = is_routed(spec, observed)
    return Summary(
        epoch=topology.epoch,
        shards=shards,
        nodes=wanted,
        nodes_ready=online + following - sum(shard.leaves for shard in shards),
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
    master = topology.master_of(shard)
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
        leaves=report is not None and serves and report.leaving,
        loaded=report.loaded if report is not None else None,
        replicas=tuple(
            _replica_state(spec, node, node.id in shard.voters, heard, nodes)
            for node in topology.nodes
            if node.shard == shard.index and node.id != shard.master
        ),
    )


def _suspected(shard: ShardState) -> ShardState:
    """What its master said of itself before does not count any more."""
    return replace(shard, slots_served=0, state="suspected" if shard.state == "online" else shard.state)


def _replica_state(
    spec: Spec,
    listed: Node,
    voter: bool,
    heard: Mapping[str, tuple[ObservedNode, NodeReport]],
    nodes: Mapping[str, ObservedNode],
) -> ReplicaState:
    report = heard[listed.name][1] if listed.name in heard else None
    state = "online"
    if report is None or report.run_id != listed.run_id or report.state != "online" or report.role != "replica":
        state = _why_not(spec, report, listed.run_id, nodes.get(listed.name))
    elif report.leaving:
        state = "leaving"
    elif report.link != "connected":
        state = "syncing" if report.link == "sync" else "disconnected"
    return ReplicaState(
        name=listed.name,
        state=state,
        link=report.link if report is not None else "none",
        voter=voter,
        lag_bytes=report.lag_bytes if report is not None else 0,
        lag_seconds=report.lag_ms // 1000 if report is not None else 0,
    )


def _serves(report: NodeReport, run_id: str) -> bool:
    return report.run_id == run_id and report.state == "online" and report.role == "master"


def _why_not(spec: Spec, report: NodeReport | None, run_id: str, node: ObservedNode | None) -> str:
    if node is None:
        return "absent"
    if report is None:
        return "intruder" if is_intruder(spec, node) else "silent" if node.phase == "running" else node.phase
    if report.run_id != run_id and report.state != "loading":
        return "restarted"
    return report.state if report.state != "online" else report.role


def build_status(
    spec: Spec, observed: Observed, action: Action | None, previous: Mapping[str, Any] | None, now: float
) -> dict[str, Any]:
    """The status to write. `now` is seconds since the epoch; a condition's time is kept while its status is."""
    seen = summary(spec, observed)
    reason, text = _headline(spec, seen, action)
    before = previous or {}
    rebalance = section_of(spec, observed, before.get("rebalance") or {}, now)
    return {
        "observedGeneration": spec.generation,
        "conditions": _conditions(spec, observed, seen, action, before, now, condition_of(rebalance)),
        "epoch": seen.epoch,
        "shards": len(seen.shards),
        "readyNodes": f"{seen.nodes_ready}/{seen.nodes}",
        "slotsServed": seen.slots_served,
        "shardStatuses": _rows(seen, before),
        "replicas": sum(len(shard.replicas) for shard in seen.shards),
        **({"rebalance": rebalance} if rebalance else {}),
        **_failovers(observed, before),
        **_volume_size(observed),
        "selector": ",".join(f"{name}={value}" for name, value in one_pod_a_shard(spec).items()),
        "reason": reason,
        "message": text,
    }


def _failovers(observed: Observed, before: Mapping[str, Any]) -> dict[str, Any]:
    """The last ones, the latest first: those that this operator has seen to, and those that were told before."""
    rows = {(row.get("shard"), row.get("term")): dict(row) for row in reversed(before.get("failovers") or ())}
    for failover in observed.failovers:
        key = (failover.shard, failover.term)
        rows[key] = rows.get(key, {}) | _failover_row(failover)
    newest_first = reversed(rows.values())  # within a second, which is all that times tell, it stays so
    latest = sorted(newest_first, key=lambda row: str(row.get("time")), reverse=True)
    return {"failovers": latest[:FAILOVERS_TOLD]} if latest else {}


def _failover_row(failover: Failover) -> dict[str, Any]:
    figures = {
        "detectionMilliseconds": failover.detection_ms,
        "electionMilliseconds": failover.election_ms,
        "totalMilliseconds": failover.total_ms,
        "lostBytes": failover.lost_bytes,
        "lostWrites": failover.lost_writes,
    }
    return {
        "shard": failover.shard,
        "time": timestamp(failover.time),
        "cause": failover.cause,
        "from": failover.former,
        "to": failover.master,
        "term": failover.term,
        **{name: figure for name, figure in figures.items() if figure is not None},
    }


def failovers_in(status: Mapping[str, Any]) -> list[Failover]:
    """Those that a status tells of, the latest last. What is no such row is left out."""
    found = []
    for row in reversed(status.get("failovers") or ()):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            found.append(
                Failover(
                    shard=int(row["shard"]),
                    term=int(row["term"]),
                    time=seconds_of(str(row["time"])),
                    cause=str(row["cause"]),
                    former=str(row["from"]),
                    master=str(row["to"]),
                    detection_ms=row.get("detectionMilliseconds"),
                    election_ms=row.get("electionMilliseconds"),
                    total_ms=row.get("totalMilliseconds"),
                    lost_bytes=row.get("lostBytes"),
                    lost_writes=row.get("lostWrites"),
                )
            )
    return found


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


def _volume_size(observed: Observed) -> dict[str, Any]:
    """What every volume has at least: what the manifest asks for may not be granted yet."""
    if not observed.claims:
        return {}
    return {"volumeSize": render_bytes(min(claim.requested for claim in observed.claims))}


def failing_disks(spec: Spec, observed: Observed) -> dict[str, str]:
    """The nodes that cannot keep what is changed, by name, and why."""
    heard = answering(spec, observed)
    return {name: report.persistence_error for name, (_, report) in heard.items() if report.persistence_error}


def _persisting(spec: Spec, observed: Observed) -> tuple[str, str, str] | None:
    """None where nobody asks for persistence."""
    if spec.settings.mode == "none":
        return None
    wanted = expected_names(spec)
    if failing := failing_disks(spec, observed):
        return "False", "DiskFailing", _not_kept(failing, len(wanted))
    heard = answering(spec, observed)
    if silent := [name for name in wanted if name not in heard]:
        return "Unknown", "NodesSilent", f"not heard of: {names(silent)}"
    if others := [name for name in wanted if heard[name][1].settings != spec.settings.digest]:
        return "Unknown", "SettingsNotTaken", f"{names(others)}: not told yet how to keep data"
    return "True", "AsAsked", f"every node keeps its data: {persistence_of(spec.settings)}"


def _not_kept(failing: Mapping[str, str], nodes: int) -> str:
    told = names(f"{name} ({error})" for name, error in failing.items())
    return f"{len(failing)} of {nodes} nodes cannot keep their data and refuse to change it (MISCONF): {told}"


def _conditions(
    spec: Spec,
    observed: Observed,
    seen: Summary,
    action: Action | None,
    before: Mapping[str, Any],
    now: float,
    rebalancing: tuple[str, str, str] | None,
) -> list[dict[str, Any]]:
    reason, text = _headline(spec, seen, action)
    refused = isinstance(action, Refuse)
    progressing = action is not None and not refused
    lacking = seen.epoch > 0 and any(shard.state != "online" for shard in seen.shards)
    troubled = isinstance(action, Wait) and action.warning
    persisting = _persisting(spec, observed)
    if seen.ready:
        ready = ("True", "Ready", f"all {SLOTS} slots are served by {len(seen.shards)} shards")
    else:
        ready = ("False", "NotServing" if refused else reason, text if seen.epoch == 0 else _not_served(seen))
    stated = {
        "Ready": ready,
        "Progressing": ("True", reason, text) if progressing else ("False", reason, "nothing is being changed"),
        "Degraded": _degraded(seen, lacking, troubled, persisting, reason, text),
        "ConfigurationWarning": ("True", reason, text) if refused else _advice(spec),
    }
    if persisting is not None:
        stated["Persisting"] = persisting
    if rebalancing is not None:
        stated["Rebalancing"] = rebalancing
    old = {condition.get("type"): condition for condition in before.get("conditions") or ()}
    return [_condition(spec, kind, *values, old.get(kind), now) for kind, values in stated.items()]


def _advice(spec: Spec) -> tuple[str, str, str]:
    """What is followed as it is written, but may not be meant."""
    if spec.settings.synced and spec.replicas_per_shard and not spec.min_acks:
        return "True", WRITES_MAY_BE_LOST, (
            "persistence.fsync is always, but replication.minAcks is 0: a write that was answered can be lost when a "
            "replica takes its master's place. Leave minAcks out, or set it to 1"
        )  # fmt: skip
    return "False", "AsWritten", "the manifest is followed"


def _degraded(
    seen: Summary, lacking: bool, troubled: bool, persisting: tuple[str, str, str] | None, reason: str, text: str
) -> tuple[str, str, str]:
    if lacking:
        return "True", "NodesNotServing", _not_served(seen)
    if persisting is not None and persisting[0] == "False":
        return "True", *persisting[1:]
    if short := [replica for shard in seen.shards for replica in shard.replicas if replica.state != "online"]:
        told = names(f"{replica.name} ({replica.state})" for replica in short)
        return "True", "ReplicasLacking", f"{len(short)} replicas do not follow their masters: {told}"
    if unsafe := [replica.name for shard in seen.shards for replica in shard.replicas if not replica.voter]:
        return "True", "ReplicasBehind", f"{names(unsafe)}: not caught up yet, cannot take its master's place"
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
        "lastTransitionTime": kept or timestamp(now),
        "observedGeneration": spec.generation,
    }


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
            **_replica_rows(shard),
            **({} if shard.loaded is None else {"loadedPercent": int(shard.loaded * 20) * 5}),
        }
        for shard in seen.shards
    ]


def _replica_rows(shard: ShardState) -> dict[str, Any]:
    """Lag is told in large steps, so that a busy cluster does not write its status all the time."""
    rows = [
        {
            "name": replica.name,
            "state": replica.state,
            "link": replica.link,
            "voter": replica.voter,
            "lagBytes": _rounded(replica.lag_bytes, CALM_BYTES),
            "lagSeconds": _rounded(replica.lag_seconds, CALM_SECONDS),
        }
        for replica in shard.replicas
    ]
    return {"replicas": rows} if rows else {}


def _rounded(amount: int, calm: int) -> int:
    """The power of two at or below it; what is less than `calm` is no lag worth a word."""
    return 0 if amount < calm else 1 << (amount.bit_length() - 1)


def _steady(keys: int, written: int | None) -> int:
    if written is None or keys == 0 or abs(keys - written) > STEADY * written:
        return keys
    return written
