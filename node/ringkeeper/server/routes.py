"""Which slots this process answers for, and where it sends clients for the others. Implements `gates.Routes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ringkeeper.cluster.member import UNASSIGNED, Standing
from ringkeeper.cluster.topology import Topology
from ringkeeper.commands.table import Command
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.gates import CLUSTER_DOWN
from ringkeeper.store.slot import SLOTS

if TYPE_CHECKING:
    from ringkeeper.server.session import Session

NOT_SERVED = ReplyError("CLUSTERDOWN Hash slot not served")


class Routes:
    """Rebuilt with each topology; asked for every command with keys."""

    def __init__(self) -> None:
        self.topology: Topology | None = None
        self.standing: Standing = UNASSIGNED
        self.served: bytes = bytes(SLOTS)
        self.addresses: dict[int, str] = {}
        """Where each shard's master is, `address:port`."""

    @property
    def assigned(self) -> bool:
        return self.standing.role != "unassigned"

    def is_ours(self, slot: int) -> bool:
        """Whether the slot is of this node's shard, be it its master or a replica."""
        return self.topology is not None and self.assigned and self.topology.owners[slot] == self.standing.shard

    def update(self, topology: Topology, standing: Standing) -> None:
        """Take a new topology; O(slots + nodes)."""
        self.topology = topology
        self.standing = standing
        nodes = {node.id: node for node in topology.nodes}
        masters = {shard.index: nodes[shard.master] for shard in topology.shards}
        self.addresses = {index: f"{node.address}:{node.port}" for index, node in masters.items()}
        shard = standing.shard
        if standing.serves:
            self.served = bytes(1 if owner == shard else 0 for owner in topology.owners)
        else:
            self.served = bytes(SLOTS)

    def redirect(self, slot: int, session: Session, command: Command) -> ReplyError | None:  # noqa: ARG002
        """As `gates.Routes`. A replica has sharded channels of its own, without READONLY as in Redis."""
        if self.topology is None or not self.assigned:
            return CLUSTER_DOWN if self.topology is None else NOT_SERVED
        owner = self.topology.owners[slot]
        if owner == self.standing.shard and "pubsub" in command.flags:
            return None
        address = self.addresses.get(owner)
        if address is None:
            return NOT_SERVED
        return ReplyError(f"MOVED {slot} {address}")
