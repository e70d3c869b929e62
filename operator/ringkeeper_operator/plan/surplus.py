"""Let go of the replicas that are more than asked for: those of the highest ordinals.

One step after the other, each of which rests on the committed topology alone:

1. If the master is among them it hands over to one that stays and votes.
2. They vote no more; the arbiters see to that (`size.leaving`), as soon as everybody that stays has caught up. So there
   is never a moment in which fewer copies count than are to be there in the end.
3. They leave the topology.
4. Their processes or pods end, since nothing asks for them any more (`pieces.py`); volumes go or stay as the manifest
   says.

While it cannot go on, nobody is let go. While slots move to or from a shard, its master hands over to nobody, which
would take back what is under way, and none of its replicas goes: it may be one of those by whose copies a move was
settled.
"""

from __future__ import annotations

from dataclasses import replace

from ringkeeper.cluster.topology import Node, Shard, Topology
from ringkeeper_operator.model import AskHandover, CommitTopology, Observed, Spec, Wait
from ringkeeper_operator.plan.handover import why_not
from ringkeeper_operator.plan.nodes import answering, names, pause
from ringkeeper_operator.plan.size import can_shed, is_surplus


def vacate(spec: Spec, observed: Observed) -> AskHandover | None:
    """The first step, for one shard at a time."""
    topology = observed.topology
    if topology is None or spec.staying_replicas is None or observed.handovers:
        return None
    for shard in topology.shards:
        master = topology.master_of(shard)
        verdict = observed.verdicts.get(shard.index)
        if not is_surplus(master, spec.lasting_nodes) or verdict is None or verdict.state != "healthy":
            continue
        if topology.moves_of(shard.index):
            continue
        heir = _heir(spec, observed, topology, shard)
        if heir is not None:
            return AskHandover(
                reason="HandingOver",
                message=f"shard {shard.index}: {master.name} is asked to make room for {heir.name}: replicasPerShard "
                f"is {spec.staying_replicas}, and {master.name} one too many",
                shard=shard.index,
                term=shard.term,
                target=heir.id,
            )
    return None


def _heir(spec: Spec, observed: Observed, topology: Topology, shard: Shard) -> Node | None:
    """Of those that stay, the voter that has the most."""
    heard = answering(spec, observed)
    fit = [
        (heard[node.name][1].position, -index, node)
        for index, node in enumerate(topology.nodes)
        if node.id in shard.voters
        and not is_surplus(node, spec.lasting_nodes)
        and node.name in heard
        and not why_not(heard[node.name][1], node.run_id)
    ]
    return max(fit)[2] if fit else None


def drop_surplus(spec: Spec, observed: Observed) -> CommitTopology | None:
    """The third step, for all shards that are so far."""
    topology = observed.topology
    if topology is None or spec.staying_replicas is None:
        return None
    voters = {id_ for shard in topology.shards for id_ in shard.voters}
    able = {
        shard.index
        for shard in topology.shards
        if shard.former is None and can_shed(topology, shard, spec.lasting_nodes) and not topology.moves_of(shard.index)
    }
    gone = [
        node
        for node in topology.nodes
        if is_surplus(node, spec.lasting_nodes) and node.shard in able and node.id not in voters
    ]
    if not gone:
        return None
    kept = tuple(node for node in topology.nodes if node not in gone)
    changed = replace(topology, epoch=topology.epoch + 1, nodes=kept)
    return CommitTopology(
        reason="ReplicasRemoved",
        message=f"{names(node.name for node in gone)}: no longer in the topology as of epoch {changed.epoch}, since "
        f"replicasPerShard is {spec.staying_replicas}",
        topology=changed,
        expected=observed.topology_version,
    )


def await_surplus(spec: Spec, observed: Observed) -> Wait | None:
    """Say what it waits for."""
    topology = observed.topology
    if topology is None or spec.staying_replicas is None:
        return None
    left = [node.name for node in topology.nodes if is_surplus(node, spec.lasting_nodes)]
    if not left:
        return None
    return Wait(
        reason="RemovingReplicas",
        message=f"{names(left)}: to be removed, since replicasPerShard is {spec.staying_replicas}; waiting until those "
        "that stay have caught up and one of them is master",
        seconds=pause(spec),
    )
