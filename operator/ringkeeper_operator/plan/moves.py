"""Bring to an end what moves: commit who owns the slots now, take back what cannot succeed, forget what is done.

Comes early: a source that has released slots answers nobody for them until an epoch says whose they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ringkeeper.cluster.changes import EndMove, MoveChange, carried_out
from ringkeeper.cluster.migration import Confirmation, Source, ended, settled
from ringkeeper.cluster.topology import FEEDING, Move, Topology
from ringkeeper_operator.model import CommitTopology, Observed, Spec
from ringkeeper_operator.plan.rebalance import (
    begin,
    disk_trouble,
    ends_of,
    is_by_load,
    master_of,
    may_release,
    told_of,
    told_slots,
    transfers,
)


@dataclass(frozen=True, slots=True)
class Step:
    change: MoveChange
    message: str
    failed: bool = False
    can_wait: bool = False
    """Nobody is served by it."""


def finish_moves(spec: Spec, observed: Observed) -> CommitTopology | None:
    """All that can be finished, in one commit; where shards have done with a feed by that, their next batch with it."""
    topology = observed.topology
    if topology is None or not topology.moves:
        return None
    changed, told, failed = topology, [], False
    steps = list(_steps(spec, observed, topology))
    if all(step.can_wait for step in steps) and any(may_release(spec, observed, move) for move in topology.moves):
        return None  # the commit that settles what can be released takes these with it
    for step in steps:
        after = carried_out(changed, step.change)
        if after is not None:
            changed = after
            told.append(step.message)
            failed |= step.failed
    if not told:
        return None
    if (begun := begin(spec, observed, changed)) is not None:
        changed = begun[0]
        told += begun[1]
    return CommitTopology(
        reason="MoveFailed" if failed else "SlotsMoved",
        message=f"{'; '.join(told)}; as epoch {changed.epoch}",
        warning=failed,
        quiet=not failed,
        topology=changed,
        expected=observed.topology_version,
        at_once=True,
        **ends_of((*topology.moves, *changed.moves), changed),
    )


def _steps(spec: Spec, observed: Observed, topology: Topology) -> Iterator[Step]:
    for move in topology.moves:
        what = f"{told_slots(move.slots)} of shard {move.source}"
        source, target = (_said(spec, observed, move, role) for role in ("source", "target"))
        if (end := ended(topology, move, source, target) or _waits_in_vain(spec, observed, move)) is not None:
            if move.phase == FEEDING:
                told = f"{what} stay there and do not move to shard {move.target}: {end.cause}"
                yield Step(end, told, failed=True)
            else:
                yield Step(end, f"the copy of {what} that nobody serves is not needed any more", can_wait=True)
        elif move.phase == FEEDING and _is_unwanted(spec, topology, move):
            told = f"{what} stay there: they are no longer to move to shard {move.target}"
            yield Step(EndMove(move, cause="no longer wanted"), told)
        elif (settle := settled(topology, move, source, target)) is not None:
            yield Step(settle, f"{what} have moved to shard {move.target}")


def _said(spec: Spec, observed: Observed, move: Move, role: str) -> Confirmation | None:
    told = told_of(spec, observed, move, role)
    return told.said if told is not None else None


def _waits_in_vain(spec: Spec, observed: Observed, move: Move) -> EndMove | None:
    """A source that has released slots is to serve them again where nobody knows whether their target lives, or where
    its disk does not take them.
    """
    source = _said(spec, observed, move, "source")
    if move.phase != FEEDING or source is None or source.state != Source.RELEASED:
        return None
    if master_of(spec, observed, move.target) is None:
        return EndMove(move, cause=f"the master of shard {move.target} does not answer, and clients wait")
    if why := disk_trouble(spec, observed, move.target):
        return EndMove(move, cause=f"clients wait, and {why}")
    return None


def _is_unwanted(spec: Spec, topology: Topology, move: Move) -> bool:
    """Nothing may move any more, its target is to go, or neither would its source give slots now nor its target get
    any. What else would be planned by now does not count: it is there, and it helps.
    """
    if spec.rebalance.paused or spec.rebalance.dry_run or move.target >= spec.lasting_shards:
        return True
    if is_by_load(spec):
        return False
    now = transfers(spec, topology, topology.owners)
    return all(transfer.source != move.source and transfer.target != move.target for transfer in now)
