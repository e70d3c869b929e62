"""A shard of real nodes without an operator: the tests appoint its master."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import redis
from following import client, until
from members import Members, start_member
from server_process import Server

from ringkeeper.cluster.topology import Topology
from ringkeeper.store.slot import SLOTS


class Shard:
    """A master and replicas, of which any can be killed, started again and appointed."""

    def __init__(self, folder: Path, count: int, exits: contextlib.ExitStack, *directives: str) -> None:
        self.folder = folder
        self.exits = exits
        self.directives = directives
        self.members = Members([self.start(index) for index in range(count)])
        self.epoch = self.term = 0

    def start(self, index: int) -> Server:
        return start_member(self.folder, index, self.exits, *self.directives)

    def restart(self, index: int) -> None:
        self.members.servers[index] = self.start(index)

    def appoint(self, master: int, among: Any = None, **changes: Any) -> Topology:
        """Make one the master in the next term, the others of `among` its replicas."""
        self.epoch += 1
        self.term += 1
        among = range(len(self.members.servers)) if among is None else among
        servers, self.members.servers = self.members.servers, [self.members.servers[index] for index in among]
        topology = self.members.one_shard(self.epoch)
        id_ = topology.nodes[list(among).index(master)].id
        nodes = tuple(replace(node, role="master" if node.id == id_ else "replica") for node in topology.nodes)
        shard = replace(topology.shards[0], term=self.term, master=id_, **changes)
        topology = replace(topology, nodes=nodes, shards=(shard,), owners=(0,) * SLOTS)
        for index in range(len(self.members.servers)):
            assert self.members.push(index, topology)[0] == 200
        self.members.servers = servers
        return topology

    def port(self, index: int) -> int:
        return self.members.servers[index].port

    def client(self, index: int, **options: Any) -> redis.Redis:
        return client(self.port(index), **options)

    def state(self, index: int) -> dict[str, Any]:
        return dict(self.members.state(index)["replication"])

    def connected(self, index: int) -> None:
        until(lambda: self.state(index)["link"] == "connected", f"node {index} does not follow")

    def caught_up(self, index: int, master: int) -> None:
        self.connected(index)
        until(lambda: self.state(index)["offset"] == self.state(master)["offset"])
