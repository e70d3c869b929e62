"""Shards that come and go: without slots into the topology, and without slots out of it.

Which slots they get and give is for `rebalance.py` to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ringkeeper.cluster.topology import Node, Shard, Topology, node_id
from ringkeeper_operator.model import CommitTopology, NodeReport, Observed, ObservedNode, Spec
from ringkeeper_operator.plan.nodes import answering, names
from ringkeeper_operator.plan.rebalance import master_of

Heard = Mapping[str, tuple[ObservedNode, NodeReport]]


def add_shards(spec: Spec, observed: Observed) -> CommitTopology | None:
    """Shards that are asked for and whose nodes all answer, the lowest first.

    A shard of this number may have been there before, with voters that remember their promises: its first term is the
    epoch, which is higher than any term before it.
    """
    topology = observed.topology
    if topology is None:
        return None
    heard = answering(spec, observed)
    shards, nodes = list(topology.shards), list(topology.nodes)
    for index in range(len(shards), spec.lasting_shards):
        members = members_of(spec, heard, index)
        if topology.shard(index) is not None or len(members) < spec.lasting_nodes:
            break
        shard, listed = founded(spec, index, members, term=topology.epoch + 1)
        shards.append(shard)
        nodes += listed
    added = shards[len(topology.shards) :]
    if not added:
        return None
    changed = replace(topology, epoch=topology.epoch + 1, shards=tuple(shards), nodes=tuple(nodes),
                      vnodes_per_shard=spec.vnodes_per_shard)  # fmt: skip
    return CommitTopology(
        reason="ShardsAdded",
        message=f"{_told(added)}: in the topology without slots yet, as epoch {changed.epoch}",
        topology=changed,
        expected=observed.topology_version,
    )


def members_of(spec: Spec, heard: Heard, shard: int) -> list[tuple[ObservedNode, NodeReport]]:
    """The nodes of a shard that answer and have loaded their data."""
    found = [
        (node, report)
        for node, report in heard.values()
        if node.shard == shard and report.state != "loading" and not report.leaving
    ]
    return [member for member in found if member[0].ordinal < spec.lasting_nodes]


def founded(
    spec: Spec, index: int, members: list[tuple[ObservedNode, NodeReport]], *, term: int
) -> tuple[Shard, list[Node]]:
    """A shard that was not there before. Its first node is master, unless another has seen more: it has the data of a
    former cluster.
    """
    first, report = max(members, key=lambda member: (member[1].position, member[1].keys > 0, -member[0].ordinal))
    shard = Shard(index, term, node_id(spec.uid, first.name), min_acks=spec.min_acks, base=report.position)
    return shard, [listing(spec, node, told, "master" if node is first else "replica") for node, told in members]


def listing(spec: Spec, node: ObservedNode, report: NodeReport, role: str) -> Node:
    """What a topology says of a node."""
    return Node(
        id=node_id(spec.uid, node.name),
        name=node.name,
        shard=node.shard,
        hostname=node.hostname,
        address=node.address,
        port=node.port,
        admin_port=node.admin_port,
        role=role,
        run_id=report.run_id,
    )


def remove_shards(spec: Spec, observed: Observed) -> CommitTopology | None:
    """Shards that are to go, own nothing and take part in no move, the highest first. Their masters must say that they
    hold no key.
    """
    topology = observed.topology
    if topology is None or spec.staying is None:
        return None
    gone: list[Shard] = []
    for shard in sorted(topology.shards, key=lambda shard: -shard.index):
        if shard.index < spec.lasting_shards or not _is_empty(spec, observed, topology, shard):
            break
        gone.append(shard)
    if not gone:
        return None
    indexes = {shard.index for shard in gone}
    changed = replace(
        topology,
        epoch=topology.epoch + 1,
        shards=tuple(shard for shard in topology.shards if shard.index not in indexes),
        nodes=tuple(node for node in topology.nodes if node.shard not in indexes),
    )
    return CommitTopology(
        reason="ShardsRemoved",
        message=f"{_told(gone[::-1])}: empty, no longer in the topology as of epoch {changed.epoch}",
        topology=changed,
        expected=observed.topology_version,
    )


def _is_empty(spec: Spec, observed: Observed, topology: Topology, shard: Shard) -> bool:
    if shard.index in topology.owners or topology.moves_of(shard.index):
        return False
    master = master_of(spec, observed, shard.index)
    return master is not None and master[1].keys == 0


def _told(shards: list[Shard]) -> str:
    word = "shard" if len(shards) == 1 else "shards"
    return f"{word} {names(str(shard.index) for shard in shards)}"
