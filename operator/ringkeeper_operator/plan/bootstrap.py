"""The first topology: when every node has been heard and none of them holds one."""

from __future__ import annotations

from ringkeeper.cluster.ring import place
from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import Action, CommitTopology, NodeReport, Observed, ObservedNode, Spec, Wait
from ringkeeper_operator.plan.nodes import answering, expected_names, is_in_trouble, pause, why_silent
from ringkeeper_operator.plan.shards import founded


def bootstrap(spec: Spec, observed: Observed) -> Action | None:
    """All nodes must have answered: one that is silent could hold the topology that seems never to have been."""
    if observed.topology is not None:
        return None
    heard = answering(spec, observed)
    wanted = expected_names(spec)
    missing = [name for name in wanted if name not in heard or not _may_begin(heard[name][1])]
    if missing:
        return Wait(
            reason="WaitingForNodes",
            message=f"{len(wanted) - len(missing)} of {len(wanted)} nodes answer; "
            f"waiting for {why_silent(spec, missing, observed)}",
            warning=is_in_trouble(spec, missing, observed),
            seconds=pause(spec),
        )
    return CommitTopology(
        reason="Bootstrapped",
        message=f"all {len(wanted)} nodes answer; placed the slots on {spec.shards} shards as epoch 1",
        topology=first_topology(spec, [heard[name] for name in wanted]),
        expected=observed.topology_version,
    )


def _may_begin(report: NodeReport) -> bool:
    return report.state != "loading" and not report.leaving


def first_topology(spec: Spec, nodes: list[tuple[ObservedNode, NodeReport]]) -> Topology:
    """Epoch 1 by leader 1, slots as the ring alone places them, every shard in term 1."""
    made = [
        founded(spec, shard, [member for member in nodes if member[0].shard == shard], term=1)
        for shard in range(spec.shards)
    ]
    return Topology(
        cluster=spec.name,
        uid=spec.uid,
        epoch=1,
        leader=1,
        vnodes_per_shard=spec.vnodes_per_shard,
        nodes=tuple(node for _, listed in made for node in listed),
        shards=tuple(shard for shard, _ in made),
        owners=place(spec.shards, spec.vnodes_per_shard, spec.weights or None),
        heartbeat_ms=spec.failover.heartbeat_ms,
        misses=spec.failover.misses,
    )
