"""What a ring of so many shards looks like, and what a change of their number would move. No cluster needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from ringkeeper.cluster.ring import Ring, bounds_of, fair_shares, least_moves, place
from ringkeeper.cluster.topology import Node, Shard, Topology, node_id
from ringkeeper.cluster.view import ClusterView
from ringkeeper.store.slot import SLOTS


@dataclass(frozen=True, slots=True)
class RingReport:
    """Figures of the placement `to` shards, reached from `start` shards (None: a new cluster)."""

    start: int | None
    to: int
    vnodes_per_shard: int
    points_per_shard: int
    """Points in use: min(vnodesPerShard, 4096 / shards)."""
    weights: Mapping[int, float]
    """Of the shards that have another weight than 1."""
    weighted_slots: Mapping[int, int]
    """What these own."""
    peak_over_mean: float
    """The fullest shard over its fair share (by weight)."""
    emptiest_over_mean: float
    slots_moved: int
    least_moves: int
    """The fewest moves that bring every shard within its bounds."""
    moved_over_least: float
    ideal_moves: int
    """The fewest moves to exact shares: each the fair one, rounded down or up."""
    moved_over_ideal: float
    moves_to_own_arcs_share: float
    """Of the moves, those to the slot's plain ring successor."""
    ring_successor_share: float
    """Of all slots, those that sit at their plain ring successor."""
    cluster_slots_ranges: int
    cluster_slots_reply_bytes: int


def report(
    start: int | None,
    to: int,
    *,
    vnodes: int = 1000,
    weights: Mapping[int, float] | None = None,
    weights_before: Mapping[int, float] | None = None,
) -> RingReport:
    """Plan the ring; raises `ValueError` for numbers that no ring can have. Without `weights_before` weights stay."""
    former = weights if weights_before is None else weights_before
    before = place(start, vnodes, _of(former, start)) if start is not None else None
    after = place(to, vnodes, weights, before)
    members = range(to)
    ring = Ring(members, vnodes, weights)
    fairs = fair_shares(members, weights)
    loads = Counter(after)
    named = {shard: weight for shard, weight in sorted(_of(weights, to).items()) if weight != 1}
    moved = [slot for slot in range(SLOTS) if before is not None and before[slot] != after[slot]]
    bounds = {member: bounds_of(fair) for member, fair in fairs.items()}
    least = least_moves(before, bounds) if before is not None else 0
    even = {member: bounds_of(fair, floor=1, ceiling=1) for member, fair in fairs.items()}
    ideal = least_moves(before, even) if before is not None else 0
    at_successor = sum(after[slot] == ring.successors[slot] for slot in range(SLOTS))
    view = ClusterView(example_topology(after, to, vnodes), my_id="")
    return RingReport(
        start=start,
        to=to,
        vnodes_per_shard=vnodes,
        points_per_shard=max(1, len(ring.positions) // to),
        weights=named,
        weighted_slots={shard: loads[shard] for shard in named},
        peak_over_mean=max(loads[member] / fair for member, fair in fairs.items()),
        emptiest_over_mean=min(loads[member] / fair for member, fair in fairs.items()),
        slots_moved=len(moved),
        least_moves=least,
        moved_over_least=len(moved) / least if least else 1.0,
        ideal_moves=ideal,
        moved_over_ideal=len(moved) / ideal if ideal else 1.0,
        moves_to_own_arcs_share=sum(after[slot] == ring.successors[slot] for slot in moved) / len(moved)
        if moved
        else 1.0,
        ring_successor_share=at_successor / SLOTS,
        cluster_slots_ranges=len(view.ranges),
        cluster_slots_reply_bytes=len(view.slots(2)),
    )


def _of(weights: Mapping[int, float] | None, shards: int) -> dict[int, float]:
    return {shard: weight for shard, weight in (weights or {}).items() if shard < shards}


def example_topology(owners: tuple[int, ...], shards: int, vnodes: int) -> Topology:
    """A cluster of two nodes a shard with names of a usual length, to weigh what clients would be sent."""
    nodes = [
        Node(
            id=node_id("example", f"cache-{shard}-{ordinal}"),
            name=f"cache-{shard}-{ordinal}",
            shard=shard,
            hostname=f"cache-{shard}-{ordinal}.cache-nodes.default.svc.cluster.local",
            address=f"10.{100 + ordinal}.{shard // 250}.{shard % 250}",
            port=6379,
            admin_port=16379,
            role="replica" if ordinal else "master",
            run_id="",
        )
        for shard in range(shards)
        for ordinal in range(2)
    ]
    masters = tuple(Shard(index=shard, term=1, master=nodes[2 * shard].id) for shard in range(shards))
    return Topology("cache", "example", 1, 1, vnodes, tuple(nodes), masters, owners)
