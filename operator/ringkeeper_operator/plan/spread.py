"""Spread the masters over zones and hosts again, where failures have gathered them.

One planned handover after the other in the whole cluster, each of which makes the spread strictly better: of all that
are possible, the one after which zones, then hosts, have masters most evenly (the least sum of squares, which falls
with each, so that there is an end). Where several handovers were needed to make it better, none is made: no shard has
another master for another shard's sake.

It can wait, so it waits for calm: every shard is healthy, every replica has caught up, no slot is on its way (another
master would take its move back), and no master has changed for a minute. A pod that goes is noticed, made anew and has
its data again within that time in most cases, and Kubernetes notices a host that fell silent (40 to 50 s); so masters
are not moved to where they are about to go from, nor back and forth by a host that comes and goes more often. It
bounds the pauses too: at most one a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from ringkeeper.cluster.topology import Node, Shard, Topology
from ringkeeper_operator.model import AskHandover, Observed, ObservedNode, Spec
from ringkeeper_operator.plan.nodes import answering

CALM_SECONDS = 60.0
CALM_BYTES = 1024**2
"""A replica that lags less has caught up, under load too."""

Place = tuple[str, str]
"""Zone and host."""


Where = TypeVar("Where")


@dataclass(frozen=True, slots=True)
class Move:
    """A master's place is taken by a replica of its shard."""

    gain: tuple[int, int]
    """By how much the sum of squares over zones, and over hosts, falls."""
    shard: Shard
    master: Node
    replica: Node


def spread_masters(spec: Spec, observed: Observed) -> AskHandover | None:
    topology = observed.topology
    if topology is None or observed.calm_seconds < CALM_SECONDS or observed.handovers or spec.handovers:
        return None
    if topology.moves:
        return None
    places = _places(spec, observed, topology)
    if places is None:
        return None
    zones, hosts = _masters_by_place(topology, places)
    moves = [move for move in _moves(topology, places, zones, hosts) if move.gain > (0, 0)]
    if not moves:
        return None
    best = max(moves, key=lambda move: (move.gain, -move.shard.index))
    return AskHandover(
        reason="SpreadingMasters",
        message=f"shard {best.shard.index}: {best.master.name} is asked to make room for {best.replica.name}: "
        f"{_why(zones, hosts, places[best.master.name], places[best.replica.name])}",
        shard=best.shard.index,
        term=best.shard.term,
        target=best.replica.id,
    )


def _places(spec: Spec, observed: Observed, topology: Topology) -> Mapping[str, Place] | None:
    """Where each node is, by name; None while not all is well. A zone counts where every node has one."""
    heard = answering(spec, observed)
    if len(heard) < len(topology.nodes):
        return None
    verdicts = [observed.verdicts.get(shard.index) for shard in topology.shards]
    if not all(verdict is not None and verdict.state == "healthy" and not verdict.change for verdict in verdicts):
        return None
    voters = {id_ for shard in topology.shards if shard.former is None for id_ in shard.voters}
    for listed in topology.nodes:
        if listed.name not in heard or not _is_well(topology, listed, heard[listed.name][0], voters):
            return None
    seen = [heard[listed.name][0] for listed in topology.nodes]
    has_zones = all(node.zone for node in seen)
    return {node.name: (node.zone if has_zones else "", node.host) for node in seen}


def _is_well(topology: Topology, listed: Node, node: ObservedNode, voters: set[str]) -> bool:
    report = node.report
    if report is None or not node.host or report.run_id != listed.run_id or report.epoch != topology.epoch:
        return False
    if report.state != "online" or report.role != listed.role or report.leaving:
        return False
    if listed.role == "master":
        return True
    return listed.id in voters and report.candidate and report.link == "connected" and report.lag_bytes < CALM_BYTES


def _masters_by_place(topology: Topology, places: Mapping[str, Place]) -> tuple[Counter[str], Counter[Place]]:
    masters = [places[node.name] for node in topology.nodes if node.role == "master"]
    return Counter(zone for zone, _ in masters), Counter(masters)


def _moves(
    topology: Topology, places: Mapping[str, Place], zones: Counter[str], hosts: Counter[Place]
) -> Iterator[Move]:
    """Every handover there could be."""
    masters = {node.shard: node for node in topology.nodes if node.role == "master"}
    shards = {shard.index: shard for shard in topology.shards}
    for node in topology.nodes:
        if node.role == "replica":
            master = masters[node.shard]
            source, target = places[master.name], places[node.name]
            gain = (_gain(zones, source[0], target[0]), _gain(hosts, source, target))
            yield Move(gain, shards[node.shard], master, node)


def _gain(masters: Counter[Where], source: Where, target: Where) -> int:
    """By how much the sum of squares falls when one master goes: a² + b² - (a - 1)² - (b + 1)²."""
    return 0 if source == target else 2 * (masters[source] - masters[target] - 1)


def _why(zones: Counter[str], hosts: Counter[Place], source: Place, target: Place) -> str:
    """By what the handover makes more even, in words."""
    if _gain(zones, source[0], target[0]):
        return f"{_count(zones[source[0]])} in zone {source[0]}, {_count(zones[target[0]])} in zone {target[0]}"
    return f"{_count(hosts[source])} on host {source[1]}, {_count(hosts[target])} on host {target[1]}"


def _count(masters: int) -> str:
    return f"{masters or 'no'} master{'' if masters == 1 else 's'}"
