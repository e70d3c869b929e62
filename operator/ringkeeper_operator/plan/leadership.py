"""A new leader's first act: its own, higher number into the topology, before it commits or pushes anything else."""

from __future__ import annotations

from dataclasses import replace

from ringkeeper_operator.model import CommitTopology, Observed, Spec
from ringkeeper_operator.plan.nodes import answering


def claim_leadership(spec: Spec, observed: Observed) -> CommitTopology | None:
    """Also after a commit of uncertain outcome, and when a node would refuse the committed topology: it has obeyed a
    higher number, or holds another document of the same epoch (the committed one came from a backup).
    """
    topology = observed.topology
    if topology is None:
        return None
    reports = [report for _, report in answering(spec, observed).values()]
    obeyed = max((report.leader for report in reports), default=0)
    diverged = any(report.epoch == topology.epoch and report.leader != topology.leader for report in reports)
    if observed.leader_number == topology.leader and obeyed <= topology.leader and not diverged:
        return None
    leader = max(topology.leader, obeyed) + 1
    return CommitTopology(
        reason="Leading",
        message=f"this operator leads the cluster as number {leader}",
        topology=replace(topology, epoch=topology.epoch + 1, leader=leader),
        expected=observed.topology_version,
        at_once=True,
    )
