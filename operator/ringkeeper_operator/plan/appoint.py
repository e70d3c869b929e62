"""Put into the topology what changed at the nodes: a new start, a new address, a node that was not there before.

Where a shard has replicas, nothing here touches its master: who follows it is for the rules of failover to say
(`failover.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ringkeeper.cluster.changes import with_run
from ringkeeper.cluster.topology import Node, Topology
from ringkeeper_operator.model import CommitTopology, NodeReport, Observed, ObservedNode, Spec
from ringkeeper_operator.plan.nodes import answering, names
from ringkeeper_operator.plan.shards import listing

Heard = Mapping[str, tuple[ObservedNode, NodeReport]]


def appoint_restarted(spec: Spec, observed: Observed) -> CommitTopology | None:
    """A node that restarted has no role until an epoch names its new run; all of them in one commit.

    A master without replicas is appointed in the next term, a replica is one again without any. Addresses that changed
    go along. A node that still loads is named when it is done, and one that was told to end is left to its next start.
    """
    topology = observed.topology
    if topology is None:
        return None
    heard = answering(spec, observed)
    changed = _with_addresses(topology, heard)
    alone = {shard.index for shard in topology.shards if sum(node.shard == shard.index for node in topology.nodes) == 1}
    masters, replicas = [], []
    for node in changed.nodes:
        report = heard[node.name][1] if node.name in heard else None
        if report is None or report.run_id == node.run_id or report.state == "loading" or report.leaving:
            continue
        if node.shard in alone:
            changed = _appointed_anew(changed, node, report)
            masters.append(node.name)
        elif node.role == "replica":
            named = with_run(changed, replace(node, run_id=report.run_id))
            if named is not None:
                changed = named
                replicas.append(node.name)
    if changed == topology:
        return None
    changed = replace(changed, epoch=topology.epoch + 1)
    if not masters and not replicas:
        return _moved(observed, topology, changed)
    return _restarted(observed, changed, masters, replicas, heard)


def _with_addresses(topology: Topology, heard: Heard) -> Topology:
    nodes = tuple(
        replace(
            listed,
            hostname=heard[listed.name][0].hostname or listed.hostname,
            address=heard[listed.name][0].address or listed.address,
            port=heard[listed.name][0].port or listed.port,
            admin_port=heard[listed.name][0].admin_port or listed.admin_port,
        )
        if listed.name in heard
        else listed
        for listed in topology.nodes
    )
    return replace(topology, nodes=nodes)


def _appointed_anew(topology: Topology, master: Node, report: NodeReport) -> Topology:
    """The only node of its shard, in the next term."""
    nodes = tuple(replace(node, run_id=report.run_id) if node.id == master.id else node for node in topology.nodes)
    shards = tuple(
        replace(shard, term=shard.term + 1, former=None, base=report.position) if shard.master == master.id else shard
        for shard in topology.shards
    )
    return replace(topology, nodes=nodes, shards=shards)


def _restarted(
    observed: Observed, changed: Topology, masters: list[str], replicas: list[str], heard: Heard
) -> CommitTopology:
    told = []
    if masters:
        empty = not any(heard[name][1].keys for name in masters)
        how = "restarted without data" if empty else "restarted"
        told.append(f"{names(masters)}: {how}; appointed in the next term")
    if replicas:
        told.append(f"{names(replicas)}: restarted; a replica again")
    return CommitTopology(
        reason="NodeRestarted",
        message=f"{'; '.join(told)} as epoch {changed.epoch}",
        warning=True,
        topology=changed,
        expected=observed.topology_version,
    )


def _moved(observed: Observed, before: Topology, changed: Topology) -> CommitTopology:
    moved = [
        f"{new.name} (now {new.address}:{new.port})"
        for new, old in zip(changed.nodes, before.nodes, strict=True)
        if new != old
    ]
    return CommitTopology(
        reason="NodeMoved",
        message=f"{names(moved)}: new address, as epoch {changed.epoch}",
        topology=changed,
        expected=observed.topology_version,
    )


def add_replicas(spec: Spec, observed: Observed) -> CommitTopology | None:
    """Nodes that are asked for, answer and are not listed yet: more replicas than before were asked for."""
    topology = observed.topology
    if topology is None:
        return None
    listed = {node.name for node in topology.nodes}
    shards = {shard.index for shard in topology.shards}
    new = [
        listing(spec, node, report, "replica")
        for name, (node, report) in answering(spec, observed).items()
        if name not in listed and node.shard in shards and node.ordinal < spec.lasting_nodes
        and report.state != "loading"
        and not report.leaving
    ]  # fmt: skip
    if not new:
        return None
    nodes = sorted((*topology.nodes, *new), key=_place)
    changed = replace(topology, epoch=topology.epoch + 1, nodes=tuple(nodes))
    return CommitTopology(
        reason="ReplicasAdded",
        message=f"{names(node.name for node in new)}: replicas from now on, as epoch {changed.epoch}",
        topology=changed,
        expected=observed.topology_version,
    )


def _place(node: Node) -> tuple[int, int]:
    return node.shard, int(node.name.rpartition("-")[2])
