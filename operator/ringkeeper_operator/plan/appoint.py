"""Put into the topology what changed at the nodes: a new start of a master, a new address."""

from __future__ import annotations

from dataclasses import replace

from ringkeeper.cluster.topology import Node, Topology
from ringkeeper_operator.model import CommitTopology, NodeReport, Observed, ObservedNode, Spec
from ringkeeper_operator.plan.nodes import answering, names


def appoint_restarted(spec: Spec, observed: Observed) -> CommitTopology | None:
    """A master that restarted serves nothing until it is appointed in the next term; all of them in one commit.

    Addresses that changed go along. A node that still loads is appointed when it is done.
    """
    topology = observed.topology
    if topology is None:
        return None
    heard = answering(spec, observed)
    fresh = {node.name: _as_it_is(node, *heard[node.name]) for node in topology.nodes if node.name in heard}
    nodes = tuple(fresh.get(node.name, node) for node in topology.nodes)
    if nodes == topology.nodes:
        return None
    restarted = {new.id: new.name for new, old in zip(nodes, topology.nodes, strict=True) if new.run_id != old.run_id}
    shards = tuple(
        replace(shard, term=shard.term + 1) if shard.master in restarted else shard for shard in topology.shards
    )
    changed = replace(topology, epoch=topology.epoch + 1, nodes=nodes, shards=shards)
    if not restarted:
        return _moved(observed, topology, changed)
    return _restarted(observed, changed, list(restarted.values()), [heard[name][1] for name in restarted.values()])


def _as_it_is(listed: Node, node: ObservedNode, report: NodeReport) -> Node:
    return replace(
        listed,
        hostname=node.hostname or listed.hostname,
        address=node.address or listed.address,
        port=node.port or listed.port,
        admin_port=node.admin_port or listed.admin_port,
        run_id=listed.run_id if report.state == "loading" else report.run_id,
    )


def _restarted(
    observed: Observed, changed: Topology, restarted: list[str], reports: list[NodeReport]
) -> CommitTopology:
    empty = not any(report.keys for report in reports)
    how = "restarted without data" if empty else "restarted"
    return CommitTopology(
        reason="NodeRestarted",
        message=f"{names(restarted)}: {how}; appointed in the next term as epoch {changed.epoch}",
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
