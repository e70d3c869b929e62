"""The topology: the versioned document that says who is there, who is master and who owns which slots.

Its only author is the operator's leader; nodes keep it, hand it on and render it for clients. As JSON:

    {"cluster": "quickstart", "uid": "…", "epoch": 7, "leader": 3, "vnodesPerShard": 1000,
     "heartbeatMs": 500, "misses": 3,
     "nodes": [{"id": "…40 hex…", "name": "quickstart-0-0", "shard": 0, "hostname": "…", "address": "10.0.0.7",
                "port": 6379, "adminPort": 16379, "role": "master", "runId": "…"}],
     "shards": [{"index": 0, "term": 2, "master": "…40 hex…", "voters": ["…40 hex…"], "minAcks": 0, "base": [1, 1300],
                 "former": {"voters": [{"id": "…40 hex…", "runId": "…"}], "minAcks": 0}}],
     "owners": [[0, 4], [2, 11], …],
     "moves": [{"id": 6, "source": 0, "target": 2, "slots": [[0, 3], [15, 1]], "sourceTerm": 2, "sourceRun": "…",
                "targetTerm": 1, "targetRun": "…", "phase": "feeding", "held": [0, 0], "rate": 0}]}

Documents of before there were leases lack `heartbeatMs`, `misses`, `minAcks`, `base` and `former`, and mean the
defaults below. Where nothing moves there is no `moves`.

`owners` is run-length coded: shard and number of slots, from slot 0 on, 16384 in all. A shard of -1 means nobody.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.store.slot import SLOTS

UNOWNED = -1
FEEDING = "feeding"
SETTLED = "settled"
RETURNED = "returned"
PHASES = (FEEDING, SETTLED, RETURNED)
HEARTBEAT_MS = 500
MISSES = 3


class TopologyError(ValueError):
    """A document that is no topology: says which field, what it holds and what it may hold."""


def node_id(cluster_uid: str, name: str) -> str:
    """The stable id of a node: 40 hex digits from the cluster's UID and the pod's name."""
    import hashlib  # of what loads this module the lease process alone has no use for it, and is to stay small

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
class VoterRun:
    """A process start whose grants and promises count."""

    id: str
    """Node id."""
    run_id: str


@dataclass(frozen=True, slots=True)
class Former:
    """By what the master counted before the voters or `min_acks` were changed."""

    voters: tuple[VoterRun, ...]
    """Runs, since a node may have had another start meanwhile. Empty: the master needed no lease."""
    min_acks: int = 0


@dataclass(frozen=True, slots=True)
class Shard:
    index: int
    term: int
    master: str
    """Node id."""
    voters: tuple[str, ...] = ()
    """Ids of the replicas whose grants, promises and acknowledgements count: those runs that `nodes` names."""
    min_acks: int = 0
    """How many voters must have acknowledged a write before its reply may leave."""
    former: Former | None = None
    """Rules as well until the master has acknowledged the epoch that changed it; None when nothing is changing."""
    base: Position = NOTHING
    """What the master had when it was appointed: a replica that has less may lack acknowledged writes."""


@dataclass(frozen=True, slots=True)
class Move:
    """Some slots on their way from one shard to another (`cluster/migration.py`); a slot is in one move at most."""

    id: int
    """The epoch that began it, so that ids only grow."""
    source: int
    """Shard index, as `target`."""
    target: int
    slots: tuple[int, ...]
    """Ascending; `target` owns them while they are settled, `source` before and after."""
    source_term: int
    source_run: str
    """The run of the source's master when the move began. A feeding move ends with it, or with its term."""
    target_term: int
    target_run: str
    phase: str = FEEDING
    """`feeding`: the source serves the slots, the target's master follows a feed of them.
    `settled`: the target serves them, the source's shard keeps its copy hidden until the move leaves the topology;
    terms and runs matter no more.
    `returned`: a master was appointed in the target's shard that has not `held`; the source serves its copy again."""
    held: Position = NOTHING
    """Once settled: what of the target's stream holds all that was fed. A master appointed with less lacks it."""
    rate: int = 0
    """The most bytes a second that are fed; 0 for no limit."""

    @property
    def owner(self) -> int:
        """The shard that owns the slots in this phase."""
        return self.target if self.phase == SETTLED else self.source


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
    heartbeat_ms: int = HEARTBEAT_MS
    """How often a master is heard, milliseconds."""
    misses: int = MISSES
    """After how many missed heartbeats a master is suspected."""
    moves: tuple[Move, ...] = ()
    """In the order in which they began."""

    @property
    def lease_ms(self) -> int:
        """How long a grant lets a master serve, milliseconds of its own clock."""
        return self.heartbeat_ms * self.misses

    def node(self, id_: str) -> Node | None:
        return next((node for node in self.nodes if node.id == id_), None)

    def shard(self, index: int) -> Shard | None:
        return next((shard for shard in self.shards if shard.index == index), None)

    def voter_runs(self, shard: Shard) -> tuple[VoterRun, ...]:
        """The runs that count for `shard`, in the order of its voters."""
        runs = {node.id: node.run_id for node in self.nodes if node.shard == shard.index}
        return tuple(VoterRun(id_, runs[id_]) for id_ in shard.voters)

    def moves_of(self, shard: int) -> tuple[Move, ...]:
        """Those that the shard is source or target of: of other slots each, and otherwise independent."""
        return tuple(move for move in self.moves if shard in (move.source, move.target))

    @property
    def moving_slots(self) -> frozenset[int]:
        """Those that are in a move, of whatever phase."""
        return frozenset(slot for move in self.moves for slot in move.slots)

    def is_alive(self, move: Move) -> bool:
        """Whether `move` may go on: its masters are still those with whom it began, or it needs them no more."""
        if move.phase != FEEDING:
            return True
        began = ((move.source, move.source_term, move.source_run), (move.target, move.target_term, move.target_run))
        return all(self.master_run(index) == (term, run_id) for index, term, run_id in began)

    def master_run(self, index: int) -> tuple[int, str] | None:
        """The shard's term, and the run of its master."""
        shard = self.shard(index)
        return None if shard is None else (shard.term, self.master_of(shard).run_id)

    def master_of(self, shard: Shard) -> Node:
        node = self.node(shard.master)
        assert node is not None, "a topology lists its masters"
        return node


def encode(topology: Topology) -> dict[str, Any]:
    """The document as JSON values."""
    document: dict[str, Any] = {
        "cluster": topology.cluster,
        "uid": topology.uid,
        "epoch": topology.epoch,
        "leader": topology.leader,
        "vnodesPerShard": topology.vnodes_per_shard,
        "heartbeatMs": topology.heartbeat_ms,
        "misses": topology.misses,
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
        "shards": [_encode_shard(shard) for shard in topology.shards],
        "owners": [[owner, len(list(run))] for owner, run in itertools.groupby(topology.owners)],
    }
    if topology.moves:
        document["moves"] = [_encode_move(move) for move in topology.moves]
    return document


def _encode_shard(shard: Shard) -> dict[str, Any]:
    former = shard.former and {
        "voters": [{"id": voter.id, "runId": voter.run_id} for voter in shard.former.voters],
        "minAcks": shard.former.min_acks,
    }
    return {
        "index": shard.index,
        "term": shard.term,
        "master": shard.master,
        "voters": list(shard.voters),
        "minAcks": shard.min_acks,
        "former": former,
        "base": list(shard.base),
    }


def _encode_move(move: Move) -> dict[str, Any]:
    return {
        "id": move.id,
        "source": move.source,
        "target": move.target,
        "slots": [list(run) for run in slot_runs(move.slots)],
        "sourceTerm": move.source_term,
        "sourceRun": move.source_run,
        "targetTerm": move.target_term,
        "targetRun": move.target_run,
        "phase": move.phase,
        "held": list(move.held),
        "rate": move.rate,
    }


def slot_runs(slots: tuple[int, ...]) -> list[tuple[int, int]]:
    """Ascending slots as runs: the first slot and how many there are."""
    runs: list[tuple[int, int]] = []
    for slot in slots:
        if runs and slot == sum(runs[-1]):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((slot, 1))
    return runs


def decode(document: object) -> Topology:
    """The reverse of `encode`, for a document from anywhere; raises `TopologyError`."""
    fields = _mapping(document, "topology")
    nodes = tuple(_node(entry, f"nodes[{i}]") for i, entry in enumerate(_list(fields, "nodes", "topology")))
    shards = tuple(_shard(entry, f"shards[{i}]") for i, entry in enumerate(_list(fields, "shards", "topology")))
    indexes = {shard.index for shard in shards}
    _check_roles(nodes, shards)
    owners = _owners(_list(fields, "owners", "topology"), indexes)
    epoch = _count(fields, "epoch", "topology")
    entries = _list(fields, "moves", "topology") if "moves" in fields else []
    moves = tuple(_move(entry, f"moves[{i}]") for i, entry in enumerate(entries))
    _check_moves(moves, indexes, owners, epoch)
    return Topology(
        cluster=_text(fields, "cluster", "topology"),
        uid=_text(fields, "uid", "topology"),
        epoch=epoch,
        leader=_count(fields, "leader", "topology"),
        vnodes_per_shard=_count(fields, "vnodesPerShard", "topology"),
        nodes=nodes,
        shards=shards,
        owners=owners,
        heartbeat_ms=_within(fields, "heartbeatMs", "topology", HEARTBEAT_MS, 10, 60_000),
        misses=_within(fields, "misses", "topology", MISSES, 1, 100),
        moves=moves,
    )


def _check_moves(moves: tuple[Move, ...], indexes: set[int], owners: tuple[int, ...], epoch: int) -> None:
    """A slot is in one move at most, and owned by whom the phase says."""
    moving: set[int] = set()
    last = 0
    for i, move in enumerate(moves):
        where = f"moves[{i}]"
        if not last < move.id <= epoch:
            raise TopologyError(f"{where}.id: {move.id}, must grow from move to move up to the epoch, {epoch}")
        last = move.id
        for what, index in (("source", move.source), ("target", move.target)):
            if index not in indexes:
                raise TopologyError(f"{where}.{what}: shard {index} is not listed")
        if move.source == move.target:
            raise TopologyError(f"{where}.target: shard {move.target} is the source as well")
        for slot in move.slots:
            if slot in moving:
                raise TopologyError(f"{where}.slots: slot {slot} is in an earlier move already")
            moving.add(slot)
            if owners[slot] != move.owner:
                raise TopologyError(
                    f"{where}.slots: slot {slot} of a {move.phase} move must be owned by shard {move.owner}, "
                    f"and is by {owners[slot]}"
                )


def _move(entry: object, where: str) -> Move:
    fields = _mapping(entry, where)
    phase = _text(fields, "phase", where)
    if phase not in PHASES:
        raise TopologyError(f"{where}.phase: {phase!r:.60}, must be {', '.join(PHASES)}")
    return Move(
        id=_count(fields, "id", where),
        source=_count(fields, "source", where),
        target=_count(fields, "target", where),
        slots=_slots(_list(fields, "slots", where), f"{where}.slots"),
        source_term=_count(fields, "sourceTerm", where),
        source_run=_word(fields, "sourceRun", where),
        target_term=_count(fields, "targetTerm", where),
        target_run=_word(fields, "targetRun", where),
        phase=phase,
        held=_position(fields["held"], f"{where}.held") if "held" in fields else NOTHING,
        rate=_count(fields, "rate", where) if "rate" in fields else 0,
    )


def _slots(runs: list[Any], where: str) -> tuple[int, ...]:
    slots: list[int] = []
    for run in runs:
        if not (isinstance(run, list) and len(run) == 2 and all(type(number) is int for number in run)):
            raise TopologyError(f"{where}: {run!r:.60}, must be [first slot, slots]")
        first, count = run
        if not (first >= 0 and 1 <= count <= SLOTS - first) or (slots and first <= slots[-1]):
            raise TopologyError(f"{where}: {run!r:.60}, must be slots from 0 to {SLOTS - 1} in ascending order")
        slots.extend(range(first, first + count))
    if not slots:
        raise TopologyError(f"{where}: must be one slot at least")
    return tuple(slots)


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
        if shard.master in shard.voters or len(set(shard.voters)) != len(shard.voters):
            raise TopologyError(f"topology: a voter of shard {shard.index} stands twice, or is its master")
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
        min_acks=_count(fields, "minAcks", where) if "minAcks" in fields else 0,
        former=_former(fields["former"], f"{where}.former") if fields.get("former") is not None else None,
        base=_position(fields["base"], f"{where}.base") if "base" in fields else NOTHING,
    )


def _former(entry: object, where: str) -> Former:
    fields = _mapping(entry, where)
    voters = []
    for i, voter in enumerate(_list(fields, "voters", where)):
        place = f"{where}.voters[{i}]"
        run = _mapping(voter, place)
        voters.append(VoterRun(_text(run, "id", place), _word(run, "runId", place)))
    return Former(tuple(voters), _count(fields, "minAcks", where))


def _position(value: object, where: str) -> Position:
    if not (isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value)):
        raise TopologyError(f"{where}: {value!r:.60}, must be [term, offset]")
    term, offset = value
    if not (0 <= term < 2**63 and 0 <= offset < 2**63):
        raise TopologyError(f"{where}: {value!r:.60}, must be whole numbers from 0")
    return Position(term, offset)


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


def _within(fields: Mapping[str, Any], name: str, where: str, default: int, least: int, most: int) -> int:
    if name not in fields:
        return default
    value = _count(fields, name, where)
    if not least <= value <= most:
        raise TopologyError(f"{where}.{name}: {value}, must be {least} to {most}")
    return value


def _port(fields: Mapping[str, Any], name: str, where: str) -> int:
    value = _count(fields, name, where)
    if value > 65535:
        raise TopologyError(f"{where}.{name}: {value}, must be a port from 0 to 65535")
    return value
