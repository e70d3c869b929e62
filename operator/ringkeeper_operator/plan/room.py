"""Whether the data has room in fewer shards, and in shards with these weights."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from ringkeeper.cluster.topology import Topology
from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.model import Observed, Refuse, Spec
from ringkeeper_operator.plan.nodes import answering, names
from ringkeeper_operator.plan.rebalance import transfers
from ringkeeper_operator.plan.size import kept_up, running_topology
from ringkeeper_operator.quantity import render_bytes

ROOM = 0.9
"""Of the memory that is left: what fits into it does not fill it."""
BEGUN = 0.9
"""A shard with less of its fair share has begun to give it away."""
STEPS = 20
"""Parts of a memory in which it is told how full it would be, so that a busy cluster does not tell it all the time."""


def lacks_room(spec: Spec, observed: Observed) -> str:
    """Why the data would not fit into as few shards as `spec` asks for, for people; empty while it would.

    Once slots have begun to leave, that is no more asked: what does not fit then waits where it is.
    """
    topology = running_topology(spec, observed)
    if topology is None or all(shard.index < spec.shards for shard in topology.shards) or _has_begun(spec, topology):
        return ""
    if _may_overflow(spec):
        return ""
    masters = {shard.master for shard in topology.shards}
    used = sum(report.used_memory for _, report in answering(spec, observed).values() if report.id in masters)
    room = int(ROOM * spec.memory * spec.shards)
    if used <= room:
        return ""
    word = "1 shard" if spec.shards == 1 else f"{spec.shards} shards"
    return (
        f"the shards hold {render_bytes(used)}, and {word} of {render_bytes(spec.memory)} "
        f"{'has' if spec.shards == 1 else 'have'} room for {render_bytes(room)} ({ROOM:.0%})"
    )


def _may_overflow(spec: Spec) -> bool:
    """Whether somebody wants what does not fit to be evicted. By itself a policy says only what goes for new data."""
    return spec.rebalance.may_evict and spec.evicts


def _has_begun(spec: Spec, topology: Topology) -> bool:
    loads = Counter(topology.owners)
    least = int(BEGUN * SLOTS / len(topology.shards))
    leaving = [shard.index for shard in topology.shards if shard.index >= spec.shards]
    return any(loads[index] < least or topology.moves_of(index) for index in leaving)


def too_heavy(spec: Spec, observed: Observed) -> str:
    """Why a shard would have no room for the share that the weights give it, for people; empty while all have.

    Reckoned from what slots of each shard hold on the average; not asked once slots move: their copies count twice.
    """
    topology = running_topology(spec, observed)
    if not spec.weights or topology is None or topology.moves or not (pending := transfers(spec, topology)):
        return ""
    if _may_overflow(spec):
        return ""
    masters = {shard.master: shard.index for shard in topology.shards}
    heard = answering(spec, observed).values()
    used = {masters[report.id]: report.used_memory for _, report in heard if report.id in masters}
    if len(used) < len(masters):
        return ""
    owned, after, expected = Counter(topology.owners), Counter(topology.owners), dict[int, float](used)
    for transfer in pending:
        count, size = len(transfer.slots), used[transfer.source] / owned[transfer.source]
        for shard, sign in ((transfer.source, -1), (transfer.target, 1)):
            after[shard] += sign * count
            expected[shard] = expected.get(shard, 0.0) + sign * count * size
    fullest = max({transfer.target for transfer in pending}, key=lambda shard: (expected[shard], -shard))
    full = expected[fullest] / spec.memory
    if full <= ROOM:
        return ""
    return (
        f"shard {fullest} with weight {spec.weights.get(fullest, 1.0):g} would own {after[fullest] / SLOTS:.0%} of the "
        f"slots, which would fill {math.ceil(full * STEPS) / STEPS:.0%} of its {render_bytes(spec.memory)}; at most "
        f"{ROOM:.0%} may be"
    )


def as_it_fits(spec: Spec, observed: Observed) -> Spec:
    """The spec with all that is there; what the manifest wants gone stays where there would be no room without it. A
    share that is too large is noted.
    """
    kept = kept_up(spec, running_topology(spec, observed))
    kept = replace(kept, staying=None) if lacks_room(spec, observed) else kept
    lack = too_heavy(kept, observed)
    return replace(kept, overweight=lack) if lack else kept


def refuse_fewer_shards(spec: Spec, observed: Observed) -> Refuse | None:
    """`spec` is as it was written."""
    lack = lacks_room(spec, observed)
    if not lack:
        return None
    kept = kept_up(spec, running_topology(spec, observed)).shards
    return Refuse(
        reason="TooFewShards",
        message=f"spec.shards: {spec.shards} is not possible, the cluster keeps its {kept}: {lack}. Set it back, or "
        f"let there be less data first{_way_out(spec)}",
        warning=True,
    )


def refuse_weights(fitting: Spec) -> Refuse | None:
    """`fitting` is what `as_it_fits` made of the spec."""
    if not fitting.overweight:
        return None
    return Refuse(
        reason="TooHeavy",
        message=f"spec.weights: {told_weights(fitting)} is not possible, no slot moves: {fitting.overweight}. Lower "
        f"its weight, add shards, or let there be less data first{_way_out(fitting)}",
        warning=True,
    )


def _way_out(spec: Spec) -> str:
    return "; with spec.rebalance.mayEvict, nodes evict what does not fit" if spec.evicts else ""


def told_weights(spec: Spec) -> str:
    """The first of those that are not 1, in the form that `ringkeeper ring --weights` takes."""
    return names(f"{shard}={weight:g}" for shard, weight in sorted(spec.weights.items()))
