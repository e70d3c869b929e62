"""What the CLUSTER commands ask of this node; implements `commands.context.ClusterServices` on a `ClusterView`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringkeeper.cluster.view import UNKNOWN, ClusterView, Condition
from ringkeeper.commands.context import Client
from ringkeeper.resp.values import ReplyError

if TYPE_CHECKING:
    from ringkeeper.server.membership import Membership


class ClusterReplies:
    """Renders lazily, once per topology: `membership` makes a new view with each one."""

    enabled = True

    def __init__(self, membership: Membership) -> None:
        self.membership = membership

    @property
    def view(self) -> ClusterView:
        return self.membership.view

    def slots(self, protocol: int, client: Client) -> Any:  # noqa: ARG002
        return self.view.slots(protocol)

    def shards(self, protocol: int) -> Any:
        return self.view.shards(protocol, self.conditions())

    def conditions(self) -> dict[str, Condition]:
        """How the nodes are: this one, those of its shard by what they said, the others by whether they are reached."""
        node, membership = self.membership.node, self.membership
        replication = node.replication
        loading = node.recovery.loading or not replication.is_candidate
        found = {membership.id: Condition(replication.offset, "loading" if loading else "online")}
        if replication.role == "master" and membership.standing.role == "master":
            feeds = {feed.id: feed for feed in replication.replicas.listed if feed.id}
            shard = [peer for peer in membership.peers() if peer.shard == membership.standing.shard]
            for feed in (feeds.get(peer.id) for peer in shard):
                if feed is not None:
                    health = "online" if feed.online else "loading"
                    found[feed.id] = Condition(max(feed.acknowledged, 0), health)
        elif (master := membership.master()) is not None and replication.link == "connected":
            found[master.id] = Condition(replication.offset + replication.lag_bytes)
        topology = membership.topology
        for id_ in node.peers.unreachable(topology.lease_ms / 1000) if topology is not None else ():
            found[id_] = Condition(found.get(id_, UNKNOWN).offset, "fail")
        return found

    def nodes(self) -> bytes:
        return self.view.nodes()

    def info(self) -> bytes:
        return self.view.info(assigned=self.membership.routes.serving)

    def my_id(self) -> str:
        return self.membership.id

    def my_shard_id(self) -> str:
        return self.view.shard_id()

    def links(self) -> list[Any]:
        return self.membership.node.peers.describe()

    def own_slots(self) -> list[int]:
        return self.membership.routes.own_slots()

    def operations(self, slot: int) -> int:
        return int(self.membership.node.dispatcher.slot_counts.words[slot])

    def welcome(self, client: Client, token: bytes, id_: str, name: str) -> None:
        self.membership.node.peers.welcome(client, token, id_, name)

    def replicas(self, node_id: str) -> list[bytes]:
        replicas = self.view.replicas(node_id)
        if replicas is None:
            known = self.view.topology is not None and self.view.topology.node(node_id) is not None
            raise ReplyError("ERR The specified node is not a master" if known else f"ERR Unknown node {node_id}")
        return replicas
