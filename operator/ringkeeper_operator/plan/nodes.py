"""What planners ask about nodes, and how they speak of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from ringkeeper.cluster.topology import Node, node_id
from ringkeeper_operator.model import NodeReport, Observed, ObservedNode, Spec, node_name

NAMES_SHOWN = 3


def expected_names(spec: Spec) -> tuple[str, ...]:
    """The nodes that the spec asks for: a master and its replicas a shard."""
    return tuple(node_name(spec.name, *position) for position in spec.positions())


def is_intruder(spec: Spec, node: ObservedNode) -> bool:
    """Whether another node answers at this one's address. It gets no role and no topology."""
    return _is_intruder(spec.uid, node)


def _is_intruder(uid: str, node: ObservedNode) -> bool:
    return node.report is not None and node.report.id != node_id(uid, node.name)


def answering(spec: Spec, observed: Observed) -> Mapping[str, tuple[ObservedNode, NodeReport]]:
    """By name: the nodes that can be talked to now, and what they say; none that is another or on its way out."""
    return _answering(spec.uid, observed)


@lru_cache(maxsize=4)
def _answering(uid: str, observed: Observed) -> Mapping[str, tuple[ObservedNode, NodeReport]]:
    """Every planner asks for it, and for each shard anew."""
    found = {}
    for node in observed.nodes:
        if node.phase == "running" and node.report is not None and not _is_intruder(uid, node):
            found[node.name] = (node, node.report)
    return found


def answering_of(spec: Spec, observed: Observed, shard: int) -> Sequence[tuple[ObservedNode, NodeReport]]:
    """Those of one shard."""
    return _answering_by_shard(spec.uid, observed).get(shard, ())


@lru_cache(maxsize=4)
def _answering_by_shard(uid: str, observed: Observed) -> Mapping[int, Sequence[tuple[ObservedNode, NodeReport]]]:
    found: dict[int, list[tuple[ObservedNode, NodeReport]]] = {}
    for heard in _answering(uid, observed).values():
        found.setdefault(heard[0].shard, []).append(heard)
    return found


def serving_masters(spec: Spec, observed: Observed) -> Mapping[int, tuple[Node, NodeReport]]:
    """By shard: the masters that answer and serve in the run that the topology names."""
    return _serving_masters(spec.uid, observed)


@lru_cache(maxsize=4)
def _serving_masters(uid: str, observed: Observed) -> Mapping[int, tuple[Node, NodeReport]]:
    topology = observed.topology
    if topology is None:
        return {}
    heard, nodes = _answering(uid, observed), {node.id: node for node in topology.nodes}
    found = {}
    for shard in topology.shards:
        node = nodes[shard.master]
        told = heard.get(node.name)
        if told is not None and told[1].run_id == node.run_id and told[1].state == "online":
            found[shard.index] = (node, told[1])
    return found


def is_routed(spec: Spec, observed: Observed) -> bool:
    """Whether clients that know no node yet are led to one."""
    return any(node.routed for node, _ in answering(spec, observed).values())


def names(these: Iterable[str]) -> str:
    """A list for people: the first few by name, the others by count."""
    listed = list(these)
    shown = ", ".join(listed[:NAMES_SHOWN])
    rest = len(listed) - NAMES_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown


def why_silent(spec: Spec, names_: Sequence[str], observed: Observed) -> str:
    """Who does not answer and why, in one line. Nodes with a stated trouble come first."""
    nodes = {node.name: node for node in observed.nodes}
    found = []
    for name in names_:
        node = nodes.get(name)
        if node is None:
            found.append((1, f"{name} (absent)"))
        elif is_intruder(spec, node):
            found.append((0, f"{name} (another node answers at {node.address}:{node.admin_port})"))
        elif node.trouble:
            found.append((0, f"{name} ({node.trouble})"))
        else:
            loading = node.report is not None and node.report.state == "loading"
            silent = "loading its data" if loading else "running, but does not answer yet"
            phase = silent if node.phase == "running" else node.phase
            found.append((1, f"{name} ({phase})"))
    return names(text for _, text in sorted(found, key=lambda entry: entry[0]))


def is_in_trouble(spec: Spec, names_: Iterable[str], observed: Observed) -> bool:
    """Whether waiting alone may not help: a person should know."""
    wanted = set(names_)
    return any(
        node.name in wanted and (node.trouble or node.phase == "failed" or is_intruder(spec, node))
        for node in observed.nodes
    )


def pause(spec: Spec) -> float:
    """Seconds until nodes are asked again: soon, but a thousand nodes are not asked five times a second."""
    return 0.2 + 0.002 * spec.shards * spec.nodes_per_shard
