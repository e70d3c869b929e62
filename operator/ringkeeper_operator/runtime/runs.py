"""Which process a run was, so that its end can be told for certain when the process is over."""

from __future__ import annotations

from collections.abc import Iterable

from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import ObservedNode


class Runs:
    """Remembers the run id that was heard of each process. `process` names one for good: a container's id, say."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def heard(self, nodes: Iterable[ObservedNode]) -> None:
        self.of |= {node.process: node.report.run_id for node in nodes if node.process and node.report is not None}

    def ended(self, processes: Iterable[str]) -> list[str]:
        """The run ids of these processes, which are over; each is told once."""
        return [run for process in processes if (run := self.of.pop(process, None)) is not None]


def superseded(topology: Topology, nodes: Iterable[ObservedNode]) -> list[str]:
    """The runs on which the topology counts, of nodes that another start stands in for now. Their end is certain where
    a node cannot have two processes, as on one machine, whose folder is locked.
    """
    running = {node.report.id: node.report.run_id for node in nodes if node.report is not None}
    former = [voter for shard in topology.shards if shard.former is not None for voter in shard.former.voters]
    counted = [(node.id, node.run_id) for node in topology.nodes] + [(voter.id, voter.run_id) for voter in former]
    return list(dict.fromkeys(run for id_, run in counted if running.get(id_, run) != run))


def replaced(topology: Topology, nodes: Iterable[ObservedNode]) -> list[str]:
    """Of these runs the masters and voters of shards none of which is left: nobody could tell of their end, as when all
    pods and the operator went at once, or of a master that has no voters.

    That there is one of each node is what a StatefulSet promises. While a voter is left there is no need to trust that:
    the master is blocked by promises.
    """
    over = set(superseded(topology, nodes))
    listed = {node.id: node.run_id for node in topology.nodes}
    found: list[str] = []
    for shard in topology.shards:
        voters = topology.voter_runs(shard) if shard.former is None else shard.former.voters
        runs = [listed[shard.master], *(voter.run_id for voter in voters)]
        if over.issuperset(runs):
            found += runs
    return found
