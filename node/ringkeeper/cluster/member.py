"""What a topology means to one node: whether it may be taken, and what the node then is.

A node takes a topology of its own cluster whose leader number is not lower than the highest it has heard and whose
epoch is higher than the one it holds. It serves only what the topology gives to *this start* of it (the run id):
a process that restarted is unassigned until a new epoch names it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringkeeper.cluster.topology import Topology


@dataclass(frozen=True, slots=True)
class Standing:
    """What a node is in a topology."""

    role: str
    """`unassigned`, `master` or `replica`."""
    shard: int | None
    term: int
    serves: bool
    """Whether it answers for the slots of its shard."""
    needs_lease: bool = False
    """Whether it does so only while it holds a lease: a master whose shard has voters."""


UNASSIGNED = Standing(role="unassigned", shard=None, term=0, serves=False)


def refusal(held: Topology | None, offered: Topology, *, cluster_uid: str | None) -> str | None:
    """Why a node must not take `offered`, or None. `cluster_uid` is the node's own, if it was told."""
    uid = cluster_uid or (held.uid if held else None)
    if uid is not None and offered.uid != uid:
        return f"it is the topology of another cluster ({offered.uid}, not {uid})"
    if held is None:
        return None
    if offered.leader < held.leader:
        return f"its leader number {offered.leader} is lower than {held.leader}, which this node has obeyed"
    if offered.epoch < held.epoch:
        return f"its epoch {offered.epoch} is older than {held.epoch}, which this node holds"
    if offered.epoch == held.epoch and offered != held:
        return f"it differs from the epoch {held.epoch} that this node holds"
    return None


def standing(topology: Topology | None, *, id_: str, run_id: str) -> Standing:
    """What the process start `run_id` of node `id_` is."""
    node = topology.node(id_) if topology else None
    if topology is None or node is None:
        return UNASSIGNED
    if node.run_id != run_id:
        return Standing(role="unassigned", shard=node.shard, term=0, serves=False)
    shard = topology.shard(node.shard)
    assert shard is not None
    is_master = node.role == "master" and shard.master == id_
    return Standing(
        role="master" if is_master else "replica",
        shard=node.shard,
        term=shard.term,
        serves=is_master,
        needs_lease=is_master and bool(shard.voters),
    )
