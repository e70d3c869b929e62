"""The topology: the versioned document that says who is there, who is master and who owns which slots.

Its only author is the operator's leader; nodes keep it, hand it on and render it for clients. As JSON:

    {"cluster": "quickstart", "uid": "…", "epoch": 7, "leader": 3, "vnodesPerShard": 1000,
     "nodes": [{"id": "…40 hex…", "name": "quickstart-0-0", "shard": 0, "hostname": "…", "address": "10.0.0.7",
                "port": 6379, "adminPort": 16379, "role": "master", "runId": "…"}],
     "shards": [{"index": 0, "term": 2, "master": "…40 hex…", "voters": []}],
     "owners": [[0, 4], [2, 11], …]}

`owners` is run-length coded: shard and number of slots, from slot 0 on, 16384 in all. A shard of -1 means nobody.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringkeeper.store.slot import SLOTS

UNOWNED = -1


class TopologyError(ValueError):
    """A document that is no topology: says which field, what it holds and what it may hold."""


def node_id(cluster_uid: str, name: str) -> str:
    """The stable id of a node: 40 hex digits from the cluster's UID and the pod's name."""
    return hashlib.sha1(f"{cluster_uid}/{name}".encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class Node:
    id: str
    name: str
    """The pod's name, `CLUSTER-SHARD-ORDINAL`, on a laptop too."""
    shard: int
    hostname: str
    """A stable DNS name, or empty where there is none."""
    address: str
    port: int
    admin_port: int
    role: str
    """`master` or `replica`."""
    run_id: str
    """The process start that holds this role; another start of the same node does not."""


@dataclass(frozen=True, slots=True)
class Shard:
    index: int
    term: int
    master: str
    """Node id."""
    voters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Topology:
    cluster: str
    uid: str
    epoch: int
    leader: int
    vnodes_per_shard: int
    nodes: tuple[Node, ...]
    shards: tuple[Shard, ...]
    owners: tuple[int, ...] = field(repr=False)
    """The shard index that owns each slot, `SLOTS` long, or `UNOWNED`."""

    def node(self, id_: str) -> Node | None:
        return next((node for node in self.nodes if node.id == id_), None)

    def shard(self, index: int) -> Shard | None:
        return next((shard for shard in self.shards if shard.index == index), None)


def encode(topology: Topology) -> dict[str, Any]:
    """The document as JSON values."""
    return {
        "cluster": topology.cluster,
        "uid": topology.uid,
        "epoch": topology.epoch,
        "leader": topology.leader,
        "vnodesPerShard": topology.vnodes_per_shard,
        "nodes": [
            {
                "id": node.id,
                "name": node.name,
                "shard": node.shard,
                "hostname": node.hostname,
                "address": node.address,
                "port": node.port,
                "adminPort": node.admin_port,
                "role": node.role,
                "runId": node.run_id,
            }
            for node in topology.nodes
        ],
        "shards": [
            {"index": shard.index, "term": shard.term, "master": shard.master, "voters": list(shard.voters)}
            for shard in topology.shards
        ],
        "owners": [[owner, len(list(run))] for owner, run in itertools.groupby(topology.owners)],
    }


def decode(document: object) -> Topology:
    """The reverse of `encode`, for a document from anywhere; raises `TopologyError`."""
    fields = _mapping(document, "topology")
    nodes = tuple(_node(entry, f"nodes[{i}]") for i, entry in enumerate(_list(fields, "nodes", "topology")))
    shards = tuple(_shard(entry, f"shards[{i}]") for i, entry in enumerate(_list(fields, "shards", "topology")))
    indexes = {shard.index for shard in shards}
    _check_roles(nodes, shards)
    return Topology(
        cluster=_text(fields, "cluster", "topology"),
        uid=_text(fields, "uid", "topology"),
        epoch=_count(fields, "epoch", "topology"),
        leader=_count(fields, "leader", "topology"),
        vnodes_per_shard=_count(fields, "vnodesPerShard", "topology"),
        nodes=nodes,
        shards=shards,
        owners=_owners(_list(fields, "owners", "topology"), indexes),
    )


def _check_roles(nodes: tuple[Node, ...], shards: tuple[Shard, ...]) -> None:
    """Every node is of a listed shard; every shard has one master, its own, and voters of its own."""
    by_id = {node.id: node for node in nodes}
    by_index = {shard.index: shard for shard in shards}
    if len(by_id) != len(nodes) or len(by_index) != len(shards):
        raise TopologyError("topology: a node id or a shard index stands twice")
    for shard in shards:
        for what, id_ in [("master", shard.master), *(("voter", voter) for voter in shard.voters)]:
            if id_ not in by_id:
                raise TopologyError(f"topology: the {what} of shard {shard.index}, {id_!r:.60}, is not listed")
            if by_id[id_].shard != shard.index:
                raise TopologyError(
                    f"topology: the {what} of shard {shard.index}, {by_id[id_].name}, is of shard {by_id[id_].shard}"
                )
    for node in nodes:
        if node.shard not in by_index:
            raise TopologyError(f"topology: node {node.name} is of shard {node.shard}, which is not listed")
        if (node.role == "master") != (by_index[node.shard].master == node.id):
            raise TopologyError(
                f"topology: node {node.name} is called {node.role}, "
                f"but the master of shard {node.shard} is {by_id[by_index[node.shard].master].name}"
            )


def _node(entry: object, where: str) -> Node:
    fields = _mapping(entry, where)
    role = _text(fields, "role", where)
    if role not in ("master", "replica"):
        raise TopologyError(f"{where}.role: {role!r:.60}, must be master or replica")
    id_ = _text(fields, "id", where)
    if len(id_) != 40 or not set(id_) <= set("0123456789abcdef"):
        raise TopologyError(f"{where}.id: {id_!r:.60}, must be 40 hexadecimal digits")
    return Node(
        id=id_,
        name=_word(fields, "name", where),
        shard=_count(fields, "shard", where),
        hostname=_word(fields, "hostname", where),
        address=_word(fields, "address", where),
        port=_port(fields, "port", where),
        admin_port=_port(fields, "adminPort", where),
        role=role,
        run_id=_word(fields, "runId", where),
    )


def _shard(entry: object, where: str) -> Shard:
    fields = _mapping(entry, where)
    voters = _list(fields, "voters", where)
    if not all(isinstance(voter, str) for voter in voters):
        raise TopologyError(f"{where}.voters: must be node ids")
    return Shard(
        index=_count(fields, "index", where),
        term=_count(fields, "term", where),
        master=_text(fields, "master", where),
        voters=tuple(voters),
    )


def _owners(runs: list[Any], indexes: set[int]) -> tuple[int, ...]:
    owners: list[int] = []
    for i, run in enumerate(runs):
        if not (isinstance(run, list) and len(run) == 2 and all(type(number) is int for number in run)):
            raise TopologyError(f"topology.owners[{i}]: {run!r:.60}, must be [shard, slots]")
        owner, length = run
        if owner != UNOWNED and owner not in indexes:
            raise TopologyError(f"topology.owners[{i}]: shard {owner} is not listed")
        if not 1 <= length <= SLOTS - len(owners):
            raise TopologyError(f"topology.owners[{i}]: {length} slots, must be 1 to {SLOTS - len(owners)}")
        owners.extend([owner] * length)
    if len(owners) != SLOTS:
        raise TopologyError(f"topology.owners: {len(owners)} slots in all, must be {SLOTS}")
    return tuple(owners)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise TopologyError(f"{where}: {type(value).__name__}, must be an object")
    return value


def _list(fields: Mapping[str, Any], name: str, where: str) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list):
        raise TopologyError(f"{where}.{name}: must be a list")
    return value


def _text(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise TopologyError(f"{where}.{name}: must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TopologyError(f"{where}.{name}: {value!r:.60}, must be text that UTF-8 can write") from None
    return value


def _word(fields: Mapping[str, Any], name: str, where: str) -> str:
    """A text that stands between spaces and commas in lines for clients (CLUSTER NODES, MOVED)."""
    value = _text(fields, name, where)
    if not all("!" <= character <= "~" and character != "," for character in value):
        raise TopologyError(f"{where}.{name}: {value!r:.60}, must be ASCII without spaces and commas")
    return value


def _count(fields: Mapping[str, Any], name: str, where: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value < 2**63:
        raise TopologyError(f"{where}.{name}: {value!r:.60}, must be a whole number from 0")
    return value


def _port(fields: Mapping[str, Any], name: str, where: str) -> int:
    value = _count(fields, name, where)
    if value > 65535:
        raise TopologyError(f"{where}.{name}: {value}, must be a port from 0 to 65535")
    return value
