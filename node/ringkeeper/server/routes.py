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
RELEASED = ReplyError("CLUSTERDOWN Hash slot is released to another shard, and waits for the next topology")


class Routes:
    """Rebuilt with each topology; asked for every command with keys."""

    def __init__(self) -> None:
        self.topology: Topology | None = None
        self.standing: Standing = UNASSIGNED
        self.owned: bytes = bytes(SLOTS)
        """A byte for each slot that the topology says this process answers for."""
        self.served: bytes = bytes(SLOTS)
        """The same, unless there is a fence."""
        self.released: frozenset[int] = frozenset()
        """Slots that the topology gives to this process, and for which it answers no more (`server/moves.py`)."""
        self.stale_reads = False
        """Whether a fence lets reads pass, which may then be old (`cluster-allow-reads-when-down`)."""
        self.fence: ReplyError | None = None
        """Why this master answers for no data at present, although the topology says so."""
        self.addresses: dict[int, str] = {}
        """Where each shard's master is, `address:port`."""

    @property
    def assigned(self) -> bool:
        return self.standing.role != "unassigned"

    def is_ours(self, slot: int) -> bool:
        """Whether the slot is of this node's shard, be it its master or a replica."""
        return self.topology is not None and self.assigned and self.topology.owners[slot] == self.standing.shard

    def own_slots(self) -> list[int]:
        """Those that are of this node's shard, in their order; O(slots)."""
        if self.topology is None or not self.assigned:
            return []
        shard = self.standing.shard
        return [slot for slot, owner in enumerate(self.topology.owners) if owner == shard]

    def update(self, topology: Topology, standing: Standing) -> None:
        """Take a new topology; O(slots + nodes)."""
        self.topology = topology
        self.standing = standing
        nodes = {node.id: node for node in topology.nodes}
        masters = {shard.index: nodes[shard.master] for shard in topology.shards}
        self.addresses = {index: f"{node.address}:{node.port}" for index, node in masters.items()}
        shard = standing.shard
        if standing.serves:
            self.owned = bytes(1 if owner == shard else 0 for owner in topology.owners)
        else:
            self.owned = bytes(SLOTS)
        self.set_fence(self.fence)

    def set_fence(self, reason: ReplyError | None) -> None:
        """Shut the gates before all data, or open them; O(1)."""
        self.fence = reason
        self.judge()

    def release(self, slots: frozenset[int]) -> None:
        """Answer no more for these slots, although the topology gives them to this process; O(slots)."""
        if slots != self.released:
            self.released = slots
            self.judge()

    def judge(self) -> None:
        if self.fence is not None:
            self.served = bytes(SLOTS)
        elif self.released:
            served = bytearray(self.owned)
            for slot in self.released:
                served[slot] = 0
            self.served = bytes(served)
        else:
            self.served = self.owned

    @property
    def serving(self) -> bool:
        """Whether this node does what its role is."""
        return self.assigned and self.fence is None

    def refusal(self, command: Command) -> ReplyError | None:
        """As `gates.Routes`."""
        if not self.assigned:
            return CLUSTER_DOWN
        return None if self.stale_reads and "readonly" in command.flags else self.fence

    def redirect(self, slot: int, session: Session, command: Command) -> ReplyError | None:
        """As `gates.Routes`. A replica has sharded channels of its own, without READONLY as in Redis."""
        if self.topology is None or not self.assigned:
            return CLUSTER_DOWN if self.topology is None else NOT_SERVED
        owner = self.topology.owners[slot]
        if owner == self.standing.shard and self.fence is not None:
            return self.refusal(command)
        if slot in self.released:
            return RELEASED
        if owner == self.standing.shard:
            reading = session.read_only and "readonly" in command.flags
            if "pubsub" in command.flags or (reading and self.standing.role == "replica"):
                return None
        address = self.addresses.get(owner)
        if address is None:
            return NOT_SERVED
        return ReplyError(f"MOVED {slot} {address}")
