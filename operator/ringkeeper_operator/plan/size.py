"""How much is kept up: what is asked for, and what is still there until it has been emptied or let go."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ringkeeper.cluster.topology import Node, Shard, Topology
from ringkeeper_operator.model import Observed, Spec, position_of


def running_topology(spec: Spec, observed: Observed) -> Topology | None:
    """The committed topology; while it is lost, the newest that a node holds. None: there is none of this cluster."""
    topology = observed.topology or observed.newest_held
    return topology if topology is not None and topology.uid == spec.uid else None


def kept_up(spec: Spec, topology: Topology | None) -> Spec:
    """The spec with all that the topology has: a shard that is to go is kept up until no slot is left on it, a replica
    until its shard does without it.
    """
    if topology is None or topology.uid != spec.uid:
        return spec
    shards = max((shard.index for shard in topology.shards), default=0) + 1
    if shards > spec.shards:
        spec = replace(spec, shards=shards, staying=spec.lasting_shards)
    replicas = max(Counter(node.shard for node in topology.nodes).values(), default=1) - 1
    if replicas > spec.replicas_per_shard:
        spec = replace(spec, replicas_per_shard=replicas, staying_replicas=spec.lasting_nodes - 1)
    return spec


def is_surplus(node: Node, lasting: int) -> bool:
    """Whether it is to go where a shard is to have `lasting` nodes: those of the lowest ordinals."""
    return position_of(node.name)[1] >= lasting


def can_shed(topology: Topology, shard: Shard, lasting: int) -> bool:
    """Whether a shard may do without its surplus: its master and all others that stay are there and have caught up, and
    enough of them to acknowledge its writes.

    A voter is one no more when it is silent for long, so this tells how things are, not how they were.
    """
    staying = {node.id for node in topology.nodes if node.shard == shard.index and not is_surplus(node, lasting)}
    enough = len(staying) == lasting and shard.min_acks < lasting
    return enough and shard.master in staying and staying - {shard.master} <= set(shard.voters)


def leaving(topology: Topology, lasting: int) -> frozenset[str]:
    """The nodes (ids) that are to vote no more, since their shards can do without them."""
    able = {shard.index for shard in topology.shards if can_shed(topology, shard, lasting)}
    return frozenset(node.id for node in topology.nodes if node.shard in able and is_surplus(node, lasting))
