"""Which slots are to move where, and the next batch of them.

The ring says who is to own what (`place`, from the present owners on), so that the plan follows from what is there at
any moment: an interrupted rebalance goes on, another number of shards plans anew. Batches go where most is to go, from
the fullest shard to the emptiest: that keeps the cluster balanced on the way, and the moves as few as if they were made
all at once (`tests/ringkeeper_operator/test_rebalance.py`). What is under way is for `moves.py` to bring to an end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypedDict

from ringkeeper.cluster.changes import BeginMove, basis, carried_out
from ringkeeper.cluster.migration import Source, may_ask_release, needed_voters, told_rate
from ringkeeper.cluster.ring import CEILING, FLOOR, bounds_of, fair_shares, place
from ringkeeper.cluster.topology import FEEDING, Move, Node, Topology
from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.model import (
    LOAD_EVEN,
    Action,
    AskRelease,
    CommitTopology,
    MeasureSlots,
    MoveReport,
    NodeReport,
    Observed,
    Spec,
    WatchMoves,
)
from ringkeeper_operator.plan.load import Traffic, even_out
from ringkeeper_operator.plan.nodes import answering_of, serving_masters
from ringkeeper_operator.plan.window import told_opening
from ringkeeper_operator.quantity import render_bytes

BATCH_BYTES = 64 * 1024 * 1024
BATCH_SLOTS = 2048
SMALLEST_PART = 4
"""The batches that one target takes are no more than this part of a node's memory: for a moment it is held twice."""
MOST_FEEDING = 4
"""Moves of one shard that are fed at once. A new shard takes from so many others while none of them is asked for more
than a share of its time; with more, batches that share the bound of a target's memory become small."""
FULL = 0.95
"""Of a target's memory, beyond which nothing more is moved there, unless it evicts: a full cache is full always."""
SMALL_LAG_BYTES = 8 * 1024 * 1024
"""A source is asked to release slots once its target lacks no more: it holds writes for the rest, for 100 ms at most.
Where a target lacks more, it holds them back anyway (`server/slot_feed.py`): no load keeps slots from moving."""
LOOSE = (0.5, 1.3)
"""Of its fair share of slots, what a shard owns at least and at most where traffic is to be even, not their number."""
SETTLED_SECONDS = 120.0
"""How long after a slot changed hands nothing moves by load: the nodes' figures are of the last minute."""

Bytes = Mapping[int, Mapping[int, int]]
"""Shard -> slot -> bytes."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Slots that are to go from one shard to another, those that are to go first in front."""

    source: int
    target: int
    slots: tuple[int, ...]


def transfers(spec: Spec, topology: Topology, owners: tuple[int, ...] | None = None) -> tuple[Transfer, ...]:
    """What has not begun yet; first what makes for a large batch, then from the fullest shard to the emptiest."""
    owners = prospective_owners(topology) if owners is None else owners
    weights = tuple(sorted(spec.weights.items()))
    bounds = LOOSE if is_by_load(spec) else (FLOOR, CEILING)
    return _transfers(owners, spec.lasting_shards, spec.vnodes_per_shard, weights, bounds, BATCH_SLOTS)


@lru_cache(maxsize=64)
def _transfers(
    owners: tuple[int, ...],
    shards: int,
    vnodes: int,
    weights: tuple[tuple[int, float], ...],
    bounds: tuple[float, float],
    most: int,
) -> tuple[Transfer, ...]:
    """Asked for in every round, and the same until a batch has moved."""
    weight = dict(weights)
    by_pair: dict[tuple[int, int], list[int]] = {}
    placed = place(shards, vnodes, weight or None, owners, floor=bounds[0], ceiling=bounds[1])
    for slot, (owner, to) in enumerate(zip(owners, placed, strict=True)):
        if owner != to:
            by_pair.setdefault((owner, to), []).append(slot)
    counts = Counter(owners)
    loads = {shard: counts[shard] / weight.get(shard, 1.0) for pair in by_pair for shard in pair}

    def urgency(pair: tuple[int, int]) -> tuple[float, float, tuple[int, int]]:
        difference = loads[pair[0]] - loads[pair[1]]
        return -min(len(by_pair[pair]), most, difference), -difference, pair

    return tuple(Transfer(*pair, tuple(by_pair[pair])) for pair in sorted(by_pair, key=urgency))


def is_by_load(spec: Spec) -> bool:
    return spec.rebalance.strategy == LOAD_EVEN


def by_load(spec: Spec, observed: Observed, topology: Topology) -> tuple[Transfer, ...]:
    """What is to move although the ring wants nothing, so that traffic is even. Empty until all masters have told what
    they serve, and slots have been where they are for so long that this tells of the present owners.
    """
    shards = [shard.index for shard in topology.shards]
    if (
        not is_by_load(spec)
        or topology.moves
        or shards != list(range(spec.lasting_shards))
        or observed.still_seconds < SETTLED_SECONDS
        or not observed.slot_operations.keys() >= set(shards)
        or any(master_of(spec, observed, shard) is None for shard in shards)
    ):
        return ()
    fairs = fair_shares(shards, spec.weights or None)
    owners = topology.owners
    rates, sizes = (
        {slot: figure for shard in shards for slot, figure in told[shard].items() if owners[slot] == shard and figure}
        for told in (observed.slot_operations, observed.slot_bytes)
    )
    shifts = even_out(
        Traffic(
            owners,
            rates,
            shares={shard: fair / SLOTS for shard, fair in fairs.items()},
            bounds={shard: bounds_of(fair, *LOOSE) for shard, fair in fairs.items()},
            sizes={slot: int(size) for slot, size in sizes.items()},
            room={shard: _room(spec, observed, shard) for shard in shards},
        )
    )
    by_pair: dict[tuple[int, int], list[int]] = {}
    for shift in shifts:
        by_pair.setdefault((shift.source, shift.target), []).append(shift.slot)
    return tuple(Transfer(*pair, tuple(slots)) for pair, slots in by_pair.items())


def prospective_owners(topology: Topology) -> tuple[int, ...]:
    """As if every move that has begun had come to its end."""
    owners = list(topology.owners)
    for move in topology.moves:
        if move.phase != FEEDING:
            continue
        for slot in move.slots:
            owners[slot] = move.target
    return tuple(owners)


def rebalance(spec: Spec, observed: Observed) -> Action | None:
    """Begin the next batches; ask for the release of those that are ready for it; wait for the others."""
    topology = observed.topology
    if topology is None:
        return None
    pending = transfers(spec, topology)
    if not pending and not topology.moves and not is_by_load(spec):
        return None
    if held(spec) is None and (unmeasured := _unmeasured(spec, observed, pending)):
        return MeasureSlots(reason="Rebalancing", message=progress(spec, topology), quiet=True, topology=topology,
                            shards=unmeasured)  # fmt: skip
    begun = begin(spec, observed, topology)
    if begun is not None:
        changed, told = begun
        return CommitTopology(
            reason="MovesBegun",
            message=f"{'; '.join(told)}; as epoch {changed.epoch}",
            quiet=True,
            topology=changed,
            expected=observed.topology_version,
            at_once=True,
            **ends_of(changed.moves, changed),
        )
    ready = tuple(move.id for move in topology.moves if may_release(spec, observed, move))
    if ready:
        return AskRelease(
            reason="Rebalancing", message=progress(spec, topology), quiet=True, topology=topology, moves=ready
        )
    if topology.moves:
        watched = tuple(move.id for move in topology.moves)
        return WatchMoves(reason="Rebalancing", message=progress(spec, topology), quiet=True,
                          topology=topology, moves=watched)  # fmt: skip
    return None


def progress(spec: Spec, topology: Topology) -> str:
    """For people; the same until another batch has moved."""
    left = sum(len(transfer.slots) for transfer in transfers(spec, topology, topology.owners))
    if not left:
        return "the last slots have moved; their former copies go"
    return f"{left} slots are to move, {goal(spec.lasting_shards, weighted=bool(spec.weights))}"


def goal(shards: int, *, weighted: bool, loaded: bool = False) -> str:
    """What slots move for, for people."""
    if shards == 1:
        return "to the one shard that stays"
    what = "traffic" if loaded else "shares"
    return f"so that {shards} shards have {f'{what} by their weights' if weighted else f'even {what}'}"


def _unmeasured(spec: Spec, observed: Observed, pending: Sequence[Transfer]) -> tuple[int, ...]:
    """Sources whose slots nobody has weighed lately, and that could be asked: what they feed already counts too."""
    assert observed.topology is not None
    if is_by_load(spec) and not (spec.rebalance.paused or spec.rebalance.dry_run):
        every = {shard.index for shard in observed.topology.shards} - observed.slot_bytes.keys()
        return tuple(sorted(shard for shard in every if master_of(spec, observed, shard) is not None))
    if not pending:
        return ()
    feeding = {move.source for move in observed.topology.moves if move.phase == FEEDING}
    wanted = ({transfer.source for transfer in pending} | feeding) - observed.slot_bytes.keys()
    return tuple(sorted(shard for shard in wanted if master_of(spec, observed, shard) is not None))


def begin(spec: Spec, observed: Observed, topology: Topology) -> tuple[Topology, list[str]] | None:
    """`topology` with the next batch of every pair of shards between which none is fed yet, and what to say of it."""
    changed, told = topology, []
    for transfer, slots, rate in next_batches(spec, observed, topology):
        after = _begun(changed, transfer, slots, rate)
        if after is not None:
            changed = after
            told.append(f"{told_slots(slots)} of shard {transfer.source} begin to move to shard {transfer.target}")
    return (changed, told) if told else None


def _begun(topology: Topology, transfer: Transfer, slots: tuple[int, ...], rate: int) -> Topology | None:
    source, target = topology.shard(transfer.source), topology.shard(transfer.target)
    if source is None or target is None:
        return None
    return carried_out(topology, BeginMove(basis(topology, source), basis(topology, target), slots, rate))


def next_batches(spec: Spec, observed: Observed, topology: Topology) -> Iterator[tuple[Transfer, tuple[int, ...], int]]:
    """One for each pair of shards between which nothing is fed, while the shards are fed and feed little enough, and at
    how many bytes a second. Moves that are settled keep nobody from the next.
    """
    if spec.rebalance.paused or spec.rebalance.dry_run or held(spec) is not None:
        return
    feeding = [move for move in topology.moves if move.phase == FEEDING]
    pairs = {(move.source, move.target) for move in feeding}
    counts = Counter(shard for pair in pairs for shard in pair)
    coming = Coming(observed, feeding)
    pending = transfers(spec, topology) or by_load(spec, observed, topology)
    wanted = {*pairs, *((each.source, each.target) for each in pending)}
    gives_to, takes_from = (Counter(pair[end] for pair in wanted) for end in range(2))
    for transfer in pending:
        pair = (transfer.source, transfer.target)
        if (
            pair in pairs
            or max(counts[shard] for shard in pair) >= MOST_FEEDING
            or transfer.source not in observed.slot_bytes
            or hindrance(spec, observed, topology, transfer) is not None
        ):
            continue
        slots = _batch(spec, observed, transfer, coming, min(takes_from[transfer.target], MOST_FEEDING))
        if slots:
            counts.update(pair)
            coming.add(transfer.source, transfer.target, slots)
            rate = spec.rebalance.max_bytes_per_second // min(gives_to[transfer.source], MOST_FEEDING)
            yield transfer, slots, rate


class Coming:
    """Bytes that are still to come to each shard, by what slots were found to hold."""

    def __init__(self, observed: Observed, feeding: Iterable[Move]) -> None:
        self.observed = observed
        self.bytes: Counter[int] = Counter()
        for move in feeding:
            self.add(move.source, move.target, move.slots)

    def add(self, source: int, target: int, slots: Iterable[int]) -> None:
        sizes = self.observed.slot_bytes.get(source, {})
        self.bytes[target] += sum(sizes.get(slot, 0) for slot in slots)


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why a batch cannot begin now, for people."""

    text: str
    passes: bool = True
    """By itself, in a moment."""


def held(spec: Spec) -> Hindrance | None:
    """Why no batch at all can begin now. What is under way goes on."""
    if spec.overweight:
        return Hindrance(spec.overweight, passes=False)
    opening = told_opening(spec.rebalance)
    return Hindrance(opening) if opening else None


def hindrance(spec: Spec, observed: Observed, topology: Topology, transfer: Transfer) -> Hindrance | None:
    if (hold := held(spec)) is not None:
        return hold
    target = topology.shard(transfer.target)
    if target is None:
        return Hindrance(f"shard {transfer.target} is not there yet")
    concerned = [transfer.source, transfer.target]
    if spec.staying is not None or spec.weights:  # whether there is room for all is known only if all are heard
        concerned += [shard.index for shard in topology.shards]
    for index in concerned:
        if master_of(spec, observed, index) is None:
            return Hindrance(f"the master of shard {index} does not serve")
    if why := disk_trouble(spec, observed, target.index):
        return Hindrance(why, passes=False)
    for index in (transfer.source, transfer.target):
        if index in observed.handovers:
            return Hindrance(f"shard {index} is about to have another master")
    replicas = spec.lasting_nodes - 1
    if len(target.voters) < replicas:
        return Hindrance(f"{len(target.voters)} of {replicas} replicas of shard {target.index} have caught up")
    if failure := observed.failed_moves.get((transfer.source, transfer.target)):
        text = f"a move from shard {transfer.source} to shard {transfer.target} failed a moment ago: {failure}"
        return Hindrance(text, passes=False)
    return _too_full(spec, observed, transfer)


def _too_full(spec: Spec, observed: Observed, transfer: Transfer) -> Hindrance | None:
    first = observed.slot_bytes.get(transfer.source, {}).get(transfer.slots[0], 0)
    if first <= _room(spec, observed, transfer.target):
        return None
    report = master_of(spec, observed, transfer.target)
    used = report[1].used_memory if report is not None else 0
    nothing_goes = f", and {spec.settings.eviction} finds nothing there that may go" if spec.evicts else ""
    return Hindrance(
        f"shard {transfer.target} has {render_bytes(used)} of {render_bytes(spec.memory)} in use, and slot "
        f"{transfer.slots[0]} of shard {transfer.source} would add {render_bytes(first)}: beyond "
        f"{FULL:.0%} nothing is moved there{nothing_goes}",
        passes=False,
    )


def _room(spec: Spec, observed: Observed, shard: int) -> int:
    """Bytes that a shard may be sent; one that evicts makes room for them, as long as it has what may go."""
    found = master_of(spec, observed, shard)
    return int(FULL * spec.memory) - (found[1].used_memory if found and not spec.may_evict_from(found[1]) else 0)


def _batch(spec: Spec, observed: Observed, transfer: Transfer, coming: Coming, parts: int) -> tuple[int, ...]:
    """The first slots, as many as a batch may have whose target has so many `parts` to take at once; at least one if
    nothing is coming there yet.
    """
    sizes = observed.slot_bytes.get(transfer.source, {})
    there = coming.bytes[transfer.target]
    most = spec.memory // SMALLEST_PART
    limit = min(BATCH_BYTES, most // parts, most - there, _room(spec, observed, transfer.target) - there)
    slots: list[int] = []
    total = 0
    for slot in transfer.slots[:BATCH_SLOTS]:
        total += sizes.get(slot, 0)
        if total > limit and (slots or there):
            break
        slots.append(slot)
    return tuple(sorted(slots))


def master_of(spec: Spec, observed: Observed, index: int) -> tuple[Node, NodeReport] | None:
    """The master of a shard, if the run that the topology names answers and serves."""
    return serving_masters(spec, observed).get(index)


def told_of(spec: Spec, observed: Observed, move: Move, role: str) -> MoveReport | None:
    """What the present master of its source or target says of a move."""
    found = master_of(spec, observed, move.source if role == "source" else move.target)
    if found is None:
        return None
    return next((told for told in found[1].moves if (told.said.move, told.said.role) == (move.id, role)), None)


def may_release(spec: Spec, observed: Observed, move: Move) -> bool:
    """Until they have another owner: what was asked may not have been heard, and what is released is to be watched. A
    target whose disk takes nothing, or whose replicas are behind, would have clients wait.
    """
    source, target = (told_of(spec, observed, move, role) for role in ("source", "target"))
    if source is None or target is None:
        return False
    if move.phase == FEEDING and source.said.is_of(move) and source.said.state == Source.RELEASED:
        return True
    if not may_ask_release(source.said, target.said, move):
        return False
    if disk_trouble(spec, observed, move.target):
        return False
    if target.behind_ms > _longest_behind(observed):
        return False
    return source.lag_bytes <= SMALL_LAG_BYTES or source.written > 0


def _longest_behind(observed: Observed) -> int:
    """Milliseconds: so long, and some more, clients would wait. Behind a lease's time they are answered CLUSTERDOWN."""
    return observed.topology.lease_ms // 3 if observed.topology is not None else 0


def disk_trouble(spec: Spec, observed: Observed, index: int) -> str:
    """Why what moves to a shard would not be kept there, for people: its master's disk takes nothing, or those of so
    many voters that the others are not enough to hold a move. Empty if it would be.
    """
    shard = observed.topology.shard(index) if observed.topology is not None else None
    if shard is None:
        return ""
    heard = answering_of(spec, observed, index)
    errors = {report.id: (node.name, report.persistence_error) for node, report in heard}
    if shard.master in errors and (why := errors[shard.master][1]):
        return f"shard {index} cannot keep its data: {why}"
    failing = [errors[id_] for id_ in shard.voters if id_ in errors and errors[id_][1]]
    if failing and len(shard.voters) - len(failing) < needed_voters(shard):
        name, why = failing[0]
        return f"shard {index} cannot keep its data on {name}: {why}"
    return ""


def told_pace(spec: Spec, observed: Observed, topology: Topology) -> str:
    """That clients of slots that move wait for their target to keep up, or slots for its replicas, for people; empty if
    they do not.
    """
    for move in topology.moves:
        target = told_of(spec, observed, move, "target")
        if move.phase == FEEDING and target is not None and target.behind_ms > _longest_behind(observed):
            return f"the replicas of shard {move.target} do not keep up with what comes there"
        source = told_of(spec, observed, move, "source")
        if move.phase == FEEDING and source is not None and source.written:
            return (
                f"shard {move.source} is written to at {told_rate(source.written)} in slots that move to shard "
                f"{move.target}; {told_rate(source.let_through)} are let through, so that it can keep up"
            )
    return ""


class Ends(TypedDict):
    """Who takes slots, and who gives them, as in `CommitTopology`."""

    taking: tuple[str, ...]
    giving: tuple[str, ...]


def ends_of(moves: Sequence[Move], topology: Topology) -> Ends:
    names = {node.id: node.name for node in topology.nodes}
    masters = {shard.index: names[shard.master] for shard in topology.shards}
    targets, sources = {move.target for move in moves}, {move.source for move in moves}
    return {
        "taking": tuple(masters[shard] for shard in sorted(targets) if shard in masters),
        "giving": tuple(masters[shard] for shard in sorted(sources) if shard in masters),
    }


def told_slots(slots: Sequence[int]) -> str:
    return f"slot {slots[0]}" if len(slots) == 1 else f"{len(slots)} slots from {slots[0]} on"
