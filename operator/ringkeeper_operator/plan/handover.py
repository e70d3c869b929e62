"""Carry out what a person asked for: another master for a shard, without a write lost.

A request is put to the shard's arbiter, which asks the master to make room; the appointment that follows ends it
(`failover.py`). One that cannot be carried out is dropped and says why, so that nobody is surprised by it later.
"""

from __future__ import annotations

from ringkeeper.cluster.topology import Shard, Topology
from ringkeeper_operator.model import (
    AskHandover,
    DropHandover,
    Handover,
    NodeReport,
    Observed,
    Spec,
)
from ringkeeper_operator.plan.failover import name_of
from ringkeeper_operator.plan.nodes import answering


def hand_over(spec: Spec, observed: Observed) -> AskHandover | DropHandover | None:
    topology = observed.topology
    if topology is None:
        return None
    for request in spec.handovers:
        shard = topology.shard(request.shard)
        if shard is None:
            known = ", ".join(str(other.index) for other in topology.shards[:10])
            return _dropped(request, f"there is no shard {request.shard}; there are {known}", warning=True)
        if request.term is not None and shard.term > request.term:
            return _dropped(request, f"{name_of(topology, shard.master)} is its master in term {shard.term}")
        if request.to == name_of(topology, shard.master):
            return _dropped(request, f"{request.to} is its master already")
        target, problem = _target(spec, observed, topology, shard, request)
        if problem:
            return _dropped(request, problem, warning=True)
        if observed.handovers.get(shard.index) != target:
            return AskHandover(
                reason="HandingOver",
                message=f"shard {shard.index}: {name_of(topology, shard.master)} is asked to make room for "
                f"{name_of(topology, target)}",
                shard=shard.index,
                term=shard.term,
                target=target,
                insists=request.insists,
            )
    return None


def _target(spec: Spec, observed: Observed, topology: Topology, shard: Shard, request: Handover) -> tuple[str, str]:
    """The node's id, or why there is none."""
    heard = answering(spec, observed)
    members = {node.name: node for node in topology.nodes if node.shard == shard.index and node.id != shard.master}
    if request.to and request.to not in members:
        return "", f"{request.to} is no replica of it; its replicas are {', '.join(members) or 'none'}"
    lacks = {
        name: why_not(heard[name][1] if name in heard else None, node.run_id, insists=request.insists)
        for name, node in members.items()
        if request.to in ("", name)
    }
    fit = [name for name, lack in lacks.items() if not lack]
    if not fit:
        told = ", ".join(f"{name} {lack}" for name, lack in lacks.items())
        return "", told or "it has no replica"
    best = max(fit, key=lambda name: (heard[name][1].position, members[name].id in shard.voters))
    return members[best].id, ""


def why_not(report: NodeReport | None, run_id: str, *, insists: bool = False) -> str:
    """Why a replica that the topology names with this run cannot take its master's place now; empty if it can."""
    if report is None or report.run_id != run_id:
        return "does not answer"
    if report.leaving:
        return "is about to end"
    if not report.candidate or (report.link != "connected" and not insists):
        return "has not caught up"
    return ""


def _dropped(request: Handover, why: str, *, warning: bool = False) -> DropHandover:
    what = "was not handed over" if warning else "is handed over"
    return DropHandover(
        reason="HandoverRefused" if warning else "HandoverDone",
        message=f"shard {request.shard} {what}: {why}",
        warning=warning,
        shard=request.shard,
    )
