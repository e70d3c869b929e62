"""Whose run is over for certain, from who answers now and on whom the committed topology counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ringkeeper.cluster.topology import Former, Node, Shard, Topology, VoterRun
from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.model import NodeReport, ObservedNode
from ringkeeper_operator.runtime.runs import replaced, superseded


def member(name: str) -> Node:
    role = "master" if name == "a" else "replica"
    return Node(name, name, 0, "", "127.0.0.1", 1, 2, role, f"{name}/1")


SHARD = Shard(0, term=1, master="a", voters=("b",))
TOPOLOGY = Topology("c", "u", 3, 1, 1000, (member("a"), member("b")), (SHARD,), (0,) * SLOTS)


def running(**runs: str) -> list[ObservedNode]:
    """By node; a node that is not named does not answer."""
    return [
        ObservedNode(
            name=name, shard=0, ordinal=0, phase="running",
            report=NodeReport(name, run, 3, 1, "unassigned", "starting", 0, 0, 0, 0, "") if run else None,
        )
        for name, run in runs.items()
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "over", "trusted"),
    [
        ({"a": "a/1", "b": "b/1"}, [], []),
        ({"a": "a/2", "b": "b/1"}, ["a/1"], []),
        ({"a": "a/2", "b": ""}, ["a/1"], []),
        ({"a": "", "b": "b/2"}, ["b/1"], []),
        ({"a": "a/2", "b": "b/2"}, ["a/1", "b/1"], ["a/1", "b/1"]),
    ],
)
def test_a_run_is_over_when_its_node_runs_another(runs: dict[str, str], over: list[str], trusted: list[str]) -> None:
    assert superseded(TOPOLOGY, running(**runs)) == over
    assert replaced(TOPOLOGY, running(**runs)) == trusted, "only if nobody is left who could promise"


def test_of_a_former_voter_the_run_that_voted_counts() -> None:
    """The replica's new start is named already; until its master knows, the old one counts."""
    nodes = (member("a"), replace(member("b"), run_id="b/2"))
    shard = replace(SHARD, voters=(), former=Former((VoterRun("b", "b/1"),)))
    topology = replace(TOPOLOGY, nodes=nodes, shards=(shard,))
    assert replaced(topology, running(a="a/2", b="b/2")) == ["a/1", "b/1"]
    assert replaced(topology, running(a="a/2", b="")) == []


def test_a_master_without_voters_is_over_when_another_start_of_it_answers() -> None:
    topology = replace(TOPOLOGY, shards=(replace(SHARD, voters=()),))
    assert replaced(topology, running(a="a/2", b="b/1")) == ["a/1"]
    assert replaced(topology, running(a="", b="b/1")) == []
