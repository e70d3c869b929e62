"""What may become of a shard in the next epoch, and the document that follows: `carried_out`.

An `Arbiter` proposes a change against the topology that it knows; the operator's planner applies it to the committed
one. If that one is another by now, the change holds only if the shard's term, voters and run ids are still those that
the proposal rests on: so a compare-and-set that failed is tried again with the same promises, and never with promises
of another term or of other voters.

The moves of slots (`cluster/migration.py` says when) are changes of the same kind: they rest on the terms and runs of
two masters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import FEEDING, RETURNED, SETTLED, Former, Move, Node, Shard, Topology, VoterRun

Electorate = tuple[tuple[VoterRun, ...], int]
"""Whose grants, promises and acknowledgements count, and how many acknowledgements a write waits for."""


def electorates(topology: Topology, shard: Shard) -> tuple[Electorate, ...]:
    """By which the master may be counting now: the present one, and the former until the change is acknowledged."""
    present = (topology.voter_runs(shard), shard.min_acks)
    return (present,) if shard.former is None else (present, (shard.former.voters, shard.former.min_acks))


@dataclass(frozen=True, slots=True)
class Basis:
    """What a change rests on: while this is so, it may be committed."""

    shard: int
    term: int
    master: VoterRun
    electorates: tuple[Electorate, ...]


def basis(topology: Topology, shard: Shard) -> Basis:
    master = topology.master_of(shard)
    return Basis(shard.index, shard.term, VoterRun(master.id, master.run_id), electorates(topology, shard))


@dataclass(frozen=True, slots=True)
class Appoint:
    """A master in the next term. Nobody serves in the old one any more, whatever the old master does."""

    basis: Basis
    master: VoterRun
    """That run, and no other start of the node."""
    position: Position
    """What it has: the new term's `base`."""
    voters: tuple[VoterRun, ...]
    """Promised or released, live, and named by the topology; the appointed is not among them."""
    cause: str
    """For people; ends in the status."""
    is_recovery: bool = False
    """No quorum was to be had: acknowledged writes may be lost."""


@dataclass(frozen=True, slots=True)
class Settle:
    """The master has acknowledged the change of voters: the former ones count no more."""

    basis: Basis


@dataclass(frozen=True, slots=True)
class SetVoters:
    """Other voters, or another `min_acks`; the former ones count as well until the master has acknowledged it."""

    basis: Basis
    voters: tuple[VoterRun, ...]
    min_acks: int


@dataclass(frozen=True, slots=True)
class NameRun:
    """A replica that started again has its new run id. If the old run was a voter, it is one no more."""

    basis: Basis
    node: str
    old: str
    run_id: str
    is_acknowledged: bool = False
    """An earlier change of the voters waits for nothing but such runs: what was before it counts no more."""


Change = Appoint | Settle | SetVoters | NameRun


@dataclass(frozen=True, slots=True)
class BeginMove:
    """The target's master is to follow a feed of these slots. One an epoch, which is the move's id."""

    source: Basis
    target: Basis
    slots: tuple[int, ...]
    """Ascending, all of them owned by the source, and in no move."""
    rate: int = 0
    """The most bytes a second; 0 for no limit."""


@dataclass(frozen=True, slots=True)
class SettleMove:
    """The target owns the slots from now on: the source released them at an offset that the target's voters hold."""

    move: Move
    held: Position
    """What of the target's stream has all of it."""


@dataclass(frozen=True, slots=True)
class EndMove:
    """The move leaves the topology: a feeding one is cancelled; of a settled or returned one, the copy that is not
    served is not needed any more."""

    move: Move
    term: int = 0
    """In which term, and as which run, the master that serves the slots said that its shard holds them; a feeding move
    is cancelled without."""
    run_id: str = ""
    cause: str = ""
    """For people."""


MoveChange = BeginMove | SettleMove | EndMove


def carried_out(topology: Topology, change: Change | MoveChange) -> Topology | None:
    """The next epoch, or None: the committed topology is not what the change rests on (any more)."""
    if isinstance(change, BeginMove | SettleMove | EndMove):
        return _moved(topology, change)
    shard = topology.shard(change.basis.shard)
    if shard is None or basis(topology, shard) != change.basis:
        return None
    if isinstance(change, Appoint):
        return _appoint(topology, shard, change)
    if isinstance(change, Settle):
        return None if shard.former is None else _with(topology, replace(shard, former=None))
    if isinstance(change, SetVoters):
        voters = tuple(voter.id for voter in change.voters)
        if any(_run(topology, voter.id) != voter.run_id for voter in change.voters):
            return None
        return with_voters(topology, shard.index, voters, change.min_acks)
    node = topology.node(change.node)
    if node is None or node.run_id != change.old:
        return None
    return with_run(topology, replace(node, run_id=change.run_id), is_acknowledged=change.is_acknowledged)


def _run(topology: Topology, id_: str) -> str | None:
    node = topology.node(id_)
    return None if node is None else node.run_id


def _appoint(topology: Topology, shard: Shard, change: Appoint) -> Topology | None:
    """A voter that started again since it promised stays a replica, and is no voter."""
    node = topology.node(change.master.id)
    if node is None or node.shard != shard.index:
        return None
    nodes = tuple(_in_role(node, change.master) if node.shard == shard.index else node for node in topology.nodes)
    voters = tuple(voter.id for voter in change.voters if _run(topology, voter.id) == voter.run_id)
    appointed = Shard(
        shard.index, shard.term + 1, change.master.id, voters, shard.min_acks, former=None, base=change.position
    )
    return _with(_without_lost_moves(replace(topology, nodes=nodes), shard.index, change.position), appointed)


def _without_lost_moves(topology: Topology, index: int, position: Position) -> Topology:
    """Slots that were settled here go back to their source if who is appointed, at `position`, lacks what was fed.

    A stream that came from another term's reaches `held` by its offset as well, as it must a shard's `base`.
    """
    for move in topology.moves:
        if move.phase == SETTLED and move.target == index:
            has_it = position.term >= move.held.term and position.offset >= move.held.offset
            if not has_it:
                topology = _in_phase(topology, replace(move, phase=RETURNED))
    return topology


def _in_role(node: Node, master: VoterRun) -> Node:
    if node.id == master.id:
        return replace(node, role="master", run_id=master.run_id)
    return node if node.role == "replica" else replace(node, role="replica")


def with_voters(topology: Topology, index: int, voters: tuple[str, ...], min_acks: int) -> Topology | None:
    """None while an earlier change of the shard waits to be acknowledged: there is room for one."""
    shard = topology.shard(index)
    if shard is None or shard.former is not None or (voters, min_acks) == (shard.voters, shard.min_acks):
        return None
    former = Former(topology.voter_runs(shard), shard.min_acks)
    return _with(topology, replace(shard, voters=voters, min_acks=min_acks, former=former))


def with_run(topology: Topology, node: Node, *, is_acknowledged: bool = False) -> Topology | None:
    """`node` as it is listed, with the run id (and address) of its present start, and no voter if it was one.

    None if it must wait: it was a voter while a change of the voters is not acknowledged yet, or it is the master,
    which gets a new run id only with a new term.
    """
    shard = topology.shard(node.shard)
    listed = topology.node(node.id)
    if shard is None or listed is None or shard.master == node.id:
        return None
    if listed.run_id != node.run_id and node.id in shard.voters:
        if shard.former is not None and not is_acknowledged:
            return None
        former = Former(topology.voter_runs(shard), shard.min_acks)
        voters = tuple(voter for voter in shard.voters if voter != node.id)
        shard = replace(shard, voters=voters, former=former)
    nodes = tuple(node if other.id == node.id else other for other in topology.nodes)
    return _with(replace(topology, nodes=nodes), shard)


def _moved(topology: Topology, change: MoveChange) -> Topology | None:
    if isinstance(change, BeginMove):
        return _begin(topology, change)
    move = change.move
    if move not in topology.moves:
        return None
    if isinstance(change, SettleMove):
        if move.phase != FEEDING or not topology.is_alive(move):
            return None
        topology = _in_phase(topology, replace(move, phase=SETTLED, held=change.held))
    else:
        if move.phase != FEEDING and topology.master_run(move.owner) != (change.term, change.run_id):
            return None
        topology = replace(topology, moves=tuple(other for other in topology.moves if other != move))
    return replace(topology, epoch=topology.epoch + 1)


def _begin(topology: Topology, change: BeginMove) -> Topology | None:
    for based in (change.source, change.target):
        shard = topology.shard(based.shard)
        if shard is None:
            return None
        if shard.master != based.master.id or topology.master_run(shard.index) != (based.term, based.master.run_id):
            return None
    source, target = change.source.shard, change.target.shard
    if not change.slots or source == target or any(topology.owners[slot] != source for slot in change.slots):
        return None
    if not topology.moving_slots.isdisjoint(change.slots):
        return None
    move = Move(
        topology.epoch + 1,
        source,
        target,
        change.slots,
        change.source.term,
        change.source.master.run_id,
        change.target.term,
        change.target.master.run_id,
        rate=change.rate,
    )
    return replace(topology, epoch=topology.epoch + 1, moves=(*topology.moves, move))


def _in_phase(topology: Topology, move: Move) -> Topology:
    """The move in its new phase, and its slots owned by whom that says; the same epoch."""
    owners = list(topology.owners)
    for slot in move.slots:
        owners[slot] = move.owner
    moves = tuple(move if other.id == move.id else other for other in topology.moves)
    return replace(topology, owners=tuple(owners), moves=moves)


def with_leader(topology: Topology, number: int) -> Topology:
    """A leader's first act, and its act after a commit whose outcome it does not know."""
    return replace(topology, epoch=topology.epoch + 1, leader=number)


def _with(topology: Topology, shard: Shard) -> Topology:
    shards = tuple(shard if other.index == shard.index else other for other in topology.shards)
    return replace(topology, epoch=topology.epoch + 1, shards=shards)
