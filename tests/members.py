"""Nodes of a cluster without an operator: the tests write the topology themselves."""

import contextlib
import json
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from following import DEBUGGING
from server_process import Server

from ringkeeper.cluster.ring import place
from ringkeeper.cluster.topology import Node, Shard, Topology, encode
from ringkeeper.store.slot import SLOTS

PEER_TOKEN = "peer token"


def http(server: Server, path: str, *, token: str | None = None, body: Any = None, method: str = "GET") -> Any:
    """Status and body of a request to the admin port."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.admin_port}{path}", data=data, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Members:
    """Nodes of one cluster, a shard each, and the documents that an operator would write for them."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers

    def state(self, index: int) -> dict[str, Any]:
        status, text = http(self.servers[index], "/control/state", token="token")
        assert status == 200
        return dict(json.loads(text))

    def topology(self, epoch: int, **changes: Any) -> Topology:
        states = [self.state(index) for index in range(len(self.servers))]
        nodes = tuple(
            Node(str(state["id"]), str(state["name"]), i, "", "127.0.0.1", server.port, server.admin_port, "master",
                 str(state["runId"]))
            for i, (server, state) in enumerate(zip(self.servers, states, strict=True))
        )  # fmt: skip
        fields = {
            "cluster": "c", "uid": "uid", "epoch": epoch, "leader": 1, "vnodes_per_shard": 100, "nodes": nodes,
            "shards": tuple(Shard(i, 1, node.id) for i, node in enumerate(nodes)), "owners": place(len(nodes), 100),
        }  # fmt: skip
        return Topology(**(fields | changes))

    def one_shard(self, epoch: int) -> Topology:
        """The first node is the master of the only shard, the others its replicas."""
        nodes = self.topology(epoch).nodes
        roles = ["master", *["replica"] * (len(nodes) - 1)]
        return self.topology(
            epoch,
            nodes=tuple(replace(node, shard=0, role=role) for node, role in zip(nodes, roles, strict=True)),
            shards=(Shard(0, 1, nodes[0].id),),
            owners=(0,) * SLOTS,
        )

    def push(self, index: int, topology: Topology) -> Any:
        return http(self.servers[index], "/control/topology", token="token", body=encode(topology), method="PUT")


def start_member(folder: Path, index: int, exits: contextlib.ExitStack, *directives: str) -> Server:
    """In a folder of its own beneath this one, where it may have been before."""
    own = folder / str(index)
    own.mkdir(exist_ok=True)
    server = Server(own, *member(own, index), *DEBUGGING, *directives)
    exits.callback(server.stop)
    return server


def member(folder: Path, index: int) -> list[str]:
    (folder / "token").write_text("token")
    (folder / "peer-token").write_text(PEER_TOKEN)
    return [
        "--cluster-enabled", "yes", "--cluster-uid", "uid", "--node-name", f"c-{index}-0",
        "--admin-token-file", str(folder / "token"), "--topology-exchange-interval", "50",
        "--peer-token-file", str(folder / "peer-token"),
    ]  # fmt: skip
