"""What the CLUSTER commands ask of this node; implements `commands.context.ClusterServices` on a `ClusterView`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ringkeeper.cluster.view import ClusterView
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
        return self.view.shards(protocol)

    def nodes(self) -> bytes:
        return self.view.nodes()

    def info(self) -> bytes:
        return self.view.info(assigned=self.membership.routes.assigned)

    def my_id(self) -> str:
        return self.membership.id

    def my_shard_id(self) -> str:
        return self.view.shard_id()

    def links(self) -> list[Any]:
        return self.membership.node.peers.describe()

    def welcome(self, client: Client, token: bytes, id_: str, name: str) -> None:
        self.membership.node.peers.welcome(client, token, id_, name)

    def replicas(self, node_id: str) -> list[bytes]:
        replicas = self.view.replicas(node_id)
        if replicas is None:
            known = self.view.topology is not None and self.view.topology.node(node_id) is not None
            raise ReplyError("ERR The specified node is not a master" if known else f"ERR Unknown node {node_id}")
        return replicas
