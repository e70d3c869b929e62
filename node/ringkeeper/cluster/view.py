"""What clients are shown of a topology: the replies of the CLUSTER commands, rendered once per epoch and protocol.

There is no gossip bus here. What Redis would know from it is answered as it is: the bus port is the conventional
port + 10000 (where the admin HTTP listens), link states are `connected`, and every node has the same epoch.
Shapes: the Redis command pages of CLUSTER SLOTS, CLUSTER SHARDS, CLUSTER NODES and CLUSTER INFO (7.2); a test
compares them with a real Redis Cluster. A slot that nobody owns is in no range, as in Redis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from ringkeeper.cluster.topology import UNOWNED, Node, Topology, node_id
from ringkeeper.resp.writer import write
from ringkeeper.store.slot import SLOTS

BUS_OFFSET = 10000


@dataclass(frozen=True, slots=True)
class SlotRange:
    """Slots `first` to `last`, both included, of one shard."""

    first: int
    last: int
    shard: int


@dataclass(frozen=True, slots=True)
class Condition:
    """How a node is, as far as the one knows that is asked."""

    offset: int = 0
    """In the history of its shard; 0 where that is not known."""
    health: str = "online"
    """Or `loading`, or `fail`."""


UNKNOWN = Condition()


def slot_ranges(topology: Topology) -> list[SlotRange]:
    """The owned slots in order, neighbours of the same owner joined."""
    ranges = []
    first = 0
    for shard, run in groupby(topology.owners):
        length = sum(1 for _ in run)
        if shard != UNOWNED:
            ranges.append(SlotRange(first, first + length - 1, shard))
        first += length
    return ranges


def changed_masters(former: Topology | None, topology: Topology) -> list[tuple[int, int, Node]]:
    """First and last slot, both included, and the master: of all slots that are served by another node than before."""
    before, now = _masters(former), _masters(topology)
    owners = former.owners if former else (UNOWNED,) * SLOTS
    ranges: list[tuple[int, int, Node]] = []
    first = 0
    for (old, new), run in groupby(zip(owners, topology.owners, strict=True)):
        last = first + sum(1 for _ in run) - 1
        master = now.get(new)
        if master is not None and _place(before.get(old)) != _place(master):
            if ranges and ranges[-1][1] == first - 1 and ranges[-1][2] is master:
                first, _, _ = ranges.pop()
            ranges.append((first, last, master))
        first = last + 1
    return ranges


def _masters(topology: Topology | None) -> dict[int, Node]:
    """By shard."""
    if topology is None:
        return {}
    nodes = {node.id: node for node in topology.nodes}
    return {shard.index: nodes[shard.master] for shard in topology.shards if shard.master in nodes}


def _place(node: Node | None) -> tuple[str, str, int] | None:
    return None if node is None else (node.id, node.address, node.port)


class ClusterView:
    """One topology as seen by one node; `topology` is None for a node that holds none yet."""

    def __init__(self, topology: Topology | None, *, my_id: str, my_address: str = "", my_port: int = 0) -> None:
        self.topology = topology
        self.my_id = my_id
        self.my_address = my_address
        self.my_port = my_port
        self.members: dict[int, list[Node]] = {}
        """The nodes of each shard, its master first."""
        self.terms: dict[int, int] = {}
        if topology:
            self.terms = {shard.index: shard.term for shard in topology.shards}
            masters = {shard.index: shard.master for shard in topology.shards}
            self.members = {index: [] for index in sorted(masters)}
            for node in sorted(topology.nodes, key=lambda node: (node.id != masters[node.shard], node.name)):
                self.members[node.shard].append(node)
        self._rendered: dict[int, bytes] = {}
        """CLUSTER SLOTS by protocol."""
        self._encoded_slots: dict[int, dict[int, bytes]] = {}

    @cached_property
    def ranges(self) -> list[SlotRange]:
        """Made when somebody asks: a node has other things to do when it is appointed."""
        return slot_ranges(self.topology) if self.topology else []

    def slots(self, protocol: int) -> bytes:
        """The reply of CLUSTER SLOTS, rendered."""
        rendered = self._rendered.get(protocol)
        if rendered is None:
            rendered = self._rendered[protocol] = self._slots(protocol)
        return rendered

    def shards(self, protocol: int, conditions: Mapping[str, Condition]) -> bytes:
        """The reply of CLUSTER SHARDS, rendered; `conditions` by node id, where something is known."""
        slots = self._slots_of(protocol)
        pieces = [b"*%d\r\n" % len(self.members)]
        for shard, members in self.members.items():
            nodes = [self._shard_node(node, shard, conditions.get(node.id, UNKNOWN)) for node in members]
            pieces += (b"%2\r\n" if protocol == 3 else b"*4\r\n", _encoded("slots", protocol), slots[shard])
            pieces += (_encoded("nodes", protocol), _encoded(nodes, protocol))
        return b"".join(pieces)

    def _slots(self, protocol: int) -> bytes:
        """Thousands of ranges repeat the nodes of a few shards, so these are encoded once: 2 ms instead of 20."""
        nodes = {
            shard: b"".join(_encoded(self._slots_node(node), protocol) for node in members)
            for shard, members in self.members.items()
        }
        pieces = [b"*%d\r\n" % len(self.ranges)]
        for run in self.ranges:
            size = 2 + len(self.members[run.shard])
            pieces += (b"*%d\r\n:%d\r\n:%d\r\n" % (size, run.first, run.last), nodes[run.shard])
        return b"".join(pieces)

    def _slots_node(self, node: Node) -> list[Any]:
        return [node.address, node.port, node.id, {"hostname": node.hostname} if node.hostname else {}]

    def _slots_of(self, protocol: int) -> dict[int, bytes]:
        """First and last slots of each shard's ranges, encoded once."""
        if (encoded := self._encoded_slots.get(protocol)) is not None:
            return encoded
        slots: dict[int, list[int]] = {shard: [] for shard in self.members}
        for run in self.ranges:
            slots[run.shard] += (run.first, run.last)
        encoded = {shard: _encoded(each, protocol) for shard, each in slots.items()}
        self._encoded_slots[protocol] = encoded
        return encoded

    def _shard_node(self, node: Node, shard: int, condition: Condition) -> dict[str, Any]:
        described: dict[str, Any] = {"id": node.id, "port": node.port, "ip": node.address, "endpoint": node.address}
        if node.hostname:
            described["hostname"] = node.hostname
        role = "master" if node is self.members[shard][0] else "replica"
        return described | {"role": role, "replication-offset": condition.offset, "health": condition.health}

    def nodes(self) -> bytes:
        """The reply of CLUSTER NODES: a line per node, this one's with the flag `myself`."""
        if self.topology is None or self.topology.node(self.my_id) is None:
            address = f"{self.my_address}:{self.my_port}@{self.my_port + BUS_OFFSET}"
            return "".join([f"{self.my_id} {address} myself,master - 0 0 0 connected\n", *self._lines()]).encode()
        return "".join(self._lines()).encode()

    def _lines(self) -> list[str]:
        runs: dict[int, list[str]] = {shard: [] for shard in self.members}
        for run in self.ranges:
            runs[run.shard].append(str(run.first) if run.first == run.last else f"{run.first}-{run.last}")
        return [
            self._line(node, self.members[shard][0], runs[shard])
            for shard in self.members
            for node in self.members[shard]
        ]

    def _line(self, node: Node, master: Node, runs: list[str]) -> str:
        is_master = node is master
        flags = ("myself," if node.id == self.my_id else "") + ("master" if is_master else "slave")
        hostname = f",{node.hostname}" if node.hostname else ""
        words = [
            node.id,
            f"{node.address}:{node.port}@{node.port + BUS_OFFSET}{hostname}",
            flags,
            "-" if is_master else master.id,
            "0 0",
            str(self.terms[node.shard]),
            "connected",
            *(runs if is_master else []),
        ]
        return " ".join(words) + "\n"

    def replicas(self, node_id: str) -> list[bytes] | None:
        """The lines of CLUSTER REPLICAS for a master's id; None for an id that is no master here."""
        for members in self.members.values():
            if members and members[0].id == node_id:
                return [self._line(node, members[0], []).rstrip("\n").encode() for node in members[1:]]
        return None

    def shard_id(self) -> str:
        """The id of this node's shard, the same on all its nodes, whoever is master; without a shard, its own id."""
        node = self.topology.node(self.my_id) if self.topology else None
        if node is None or self.topology is None:
            return self.my_id
        return node_id(self.topology.uid, f"{self.topology.cluster}-{node.shard}")

    def info(self, *, assigned: bool) -> bytes:
        """The reply of CLUSTER INFO; `assigned` says whether this process has a role in the topology.

        A node's epoch in Redis's sense, its `config epoch`, is the term of its shard here, as in CLUSTER NODES.
        """
        owned = sum(run.last - run.first + 1 for run in self.ranges)
        masters = len({run.shard for run in self.ranges})
        epoch = self.topology.epoch if self.topology else 0
        state = "ok" if assigned and owned == SLOTS else "fail"
        me = self.topology.node(self.my_id) if self.topology else None
        known = len(self.topology.nodes) if self.topology else 1
        fields = {
            "cluster_state": state,
            "cluster_slots_assigned": owned,
            "cluster_slots_ok": owned,
            "cluster_slots_pfail": 0,
            "cluster_slots_fail": 0,
            "cluster_known_nodes": known,
            "cluster_size": masters,
            "cluster_current_epoch": epoch,
            "cluster_my_epoch": self.terms[me.shard] if me else 0,
            "cluster_stats_messages_sent": 0,
            "cluster_stats_messages_received": 0,
            "total_cluster_links_buffer_limit_exceeded": 0,
        }
        return "".join(f"{name}:{value}\r\n" for name, value in fields.items()).encode()


def _encoded(value: Any, protocol: int) -> bytes:
    out = bytearray()
    write(out, value, protocol)
    return bytes(out)
