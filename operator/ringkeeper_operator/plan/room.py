"""Whether the data has room in fewer shards."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from ringkeeper.cluster.topology import Topology
from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.model import Observed, Refuse, Spec
from ringkeeper_operator.plan.nodes import answering
from ringkeeper_operator.plan.size import kept_up, running_topology
from ringkeeper_operator.quantity import render_bytes

ROOM = 0.9
"""Of the memory that is left: what fits into it does not fill it."""
BEGUN = 0.9
"""A shard with less of its fair share has begun to give it away."""


def lacks_room(spec: Spec, observed: Observed) -> str:
    """Why the data would not fit into as few shards as `spec` asks for, for people; empty while it would.

    Once slots have begun to leave, that is no more asked: what does not fit then waits where it is.
    """
    topology = running_topology(spec, observed)
    if topology is None or all(shard.index < spec.shards for shard in topology.shards) or _has_begun(spec, topology):
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


def _has_begun(spec: Spec, topology: Topology) -> bool:
    loads = Counter(topology.owners)
    least = int(BEGUN * SLOTS / len(topology.shards))
    leaving = [shard.index for shard in topology.shards if shard.index >= spec.shards]
    return any(loads[index] < least or topology.moves_of(index) for index in leaving)


def as_it_fits(spec: Spec, observed: Observed) -> Spec:
    """The spec with all that is there; what the manifest wants gone stays where there would be no room without it."""
    kept = kept_up(spec, running_topology(spec, observed))
    return replace(kept, staying=None) if lacks_room(spec, observed) else kept


def refuse_fewer_shards(spec: Spec, observed: Observed) -> Refuse | None:
    """`spec` is as it was written."""
    lack = lacks_room(spec, observed)
    if not lack:
        return None
    kept = kept_up(spec, running_topology(spec, observed)).shards
    return Refuse(
        reason="TooFewShards",
        message=f"spec.shards: {spec.shards} is not possible, the cluster keeps its {kept}: {lack}. Set it back, or "
        "let there be less data first",
        warning=True,
    )
