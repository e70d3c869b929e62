"""Runs the stories in `tests/scenarios/operator-*.txt`.

A story is made of lines. `given`, `when` and `and` lines make something happen in the world of `operator_world.py`;
`when the operator works` lets it observe, decide and act until there is nothing left to do. The indented lines below
are, in order, everything that it did and said. `then` lines state what is so afterwards. `#` begins a remark.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from operator_world import Operator, World, make_spec

from ringkeeper.store.namespaces import Namespace

STORIES = sorted((pathlib.Path(__file__).parents[1] / "scenarios").glob("operator-*.txt"))


@dataclass
class Story:
    world: World = field(default_factory=lambda: World(make_spec()))
    operator: Operator = field(default_factory=lambda: Operator("first"))
    told: list[str] = field(default_factory=list)
    runs: dict[str, str] = field(default_factory=dict)
    """The run ids when the operator last began to work."""

    def cluster(self, shards: str) -> None:
        self.world = World(make_spec(shards=int(shards)))

    def running_cluster(self, shards: str) -> None:
        self.cluster(shards)
        self.world.work(self.operator)

    def works(self) -> None:
        self.runs = {name: node.run_id for name, node in self.world.nodes.items()}
        self.world.work(self.operator, told=self.told.append)

    def new_operator(self) -> None:
        self.operator = Operator("next")

    def restarts(self, shard: str) -> None:
        self.world.restart(int(shard))

    def vanishes(self, shard: str) -> None:
        self.world.vanish(int(shard))

    def fails(self, shard: str, trouble: str) -> None:
        node = self.world.node(int(shard))
        assert node
        node.phase, node.trouble = "failed", trouble

    def recovers(self, shard: str) -> None:
        node = self.world.node(int(shard))
        assert node
        node.phase, node.trouble = "starting", ""

    def moves(self, shard: str) -> None:
        self.world.move(int(shard))

    def routes_to_none(self) -> None:
        for node in self.world.nodes.values():
            node.routed = False

    def routes_to(self, shard: str) -> None:
        node = self.world.node(int(shard))
        assert node
        node.routed = True

    def lost(self) -> None:
        self.world.lose_topology()

    def drifts(self, piece: str) -> None:
        self.world.others[piece] = "drifted"

    def manifest(self, shards: str) -> None:
        self.world.spec = replace(self.world.spec, shards=int(shards))

    def eviction(self, policy: str) -> None:
        self.world.change_settings(replace(self.world.spec.settings, eviction=policy))

    def namespaces(self, prefixes: str) -> None:
        declared = tuple(Namespace(prefix.encode()) for prefix in prefixes.split())
        self.world.change_settings(replace(self.world.spec.settings, namespaces=declared))

    def snapshots(self, rules: str) -> None:
        self.world.change_settings(replace(self.world.spec.settings, save=rules))

    def loads(self, shard: str) -> None:
        node = self.world.node(int(shard))
        assert node
        node.phase, node.loading = "running", True

    def has_loaded(self, shard: str, keys: str) -> None:
        node = self.world.node(int(shard))
        assert node
        node.loading, node.keys = False, int(keys)

    def sets(self, policy: str, shard: str) -> None:
        self.world.set_by_hand(int(shard), replace(self.world.spec.settings, eviction=policy))

    # what is so

    def evict_by(self, policy: str, count: str) -> None:
        held = {(node.settings.eviction, len(node.settings.namespaces)) for node in self.world.nodes.values()}
        assert held == {(policy, int(count))}

    def save_by(self, rules: str) -> None:
        assert {node.settings.save for node in self.world.nodes.values()} == {rules}

    def says(self, number: str) -> None:
        assert self.world.committed
        assert self.world.committed.epoch == int(number)

    def terms(self, numbers: str) -> None:
        assert self.world.committed
        assert [shard.term for shard in self.world.committed.shards] == [int(number) for number in numbers.split()]

    def served(self) -> None:
        assert self.world.is_served()

    def not_served(self) -> None:
        assert not self.world.is_served()

    def ready(self) -> None:
        assert self.world.is_ready()

    def not_ready(self) -> None:
        assert not self.world.is_ready()

    def untouched(self) -> None:
        assert self.runs == {name: node.run_id for name, node in self.world.nodes.items()}


PHRASES: dict[str, Callable[..., None]] = {
    r"a new cluster of (\d+) shards?": Story.cluster,
    r"a running cluster of (\d+) shards?": Story.running_cluster,
    r"the operator works": Story.works,
    r"another operator takes over": Story.new_operator,
    r"node (\d+) restarts": Story.restarts,
    r"node (\d+) vanishes": Story.vanishes,
    r"node (\d+) fails: (.*)": Story.fails,
    r"node (\d+) recovers": Story.recovers,
    r"node (\d+) gets a new address": Story.moves,
    r"the Service leads to no node": Story.routes_to_none,
    r"the Service leads to node (\d+)": Story.routes_to,
    r"the committed topology is lost": Story.lost,
    r"somebody changes (\S+)": Story.drifts,
    r"the manifest asks for (\d+) shards": Story.manifest,
    r"the manifest asks for eviction (\S+)": Story.eviction,
    r"the manifest declares the namespaces (.+)": Story.namespaces,
    r"the manifest asks for snapshots by (.+)": Story.snapshots,
    r"node (\d+) loads its data": Story.loads,
    r"node (\d+) has loaded (\d+) keys": Story.has_loaded,
    r"every node saves by (.+)": Story.save_by,
    r"somebody sets eviction (\S+) on node (\d+)": Story.sets,
    r"every node evicts by (\S+) and knows (\d+) namespaces?": Story.evict_by,
    r"the epoch is (\d+)": Story.says,
    r"the terms are ([\d ]+)": Story.terms,
    r"all slots are served": Story.served,
    r"not all slots are served": Story.not_served,
    r"the cluster is Ready": Story.ready,
    r"the cluster is not Ready": Story.not_ready,
    r"no node was restarted": Story.untouched,
}


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_told(path: pathlib.Path) -> None:
    story = Story()
    expected: list[str] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith(" "):
            expected.append(line.strip())
            continue
        check_told(story, expected, path, number)
        tell(story, line.strip(), path, number)
    check_told(story, expected, path, "the end")


def check_told(story: Story, expected: list[str], path: pathlib.Path, number: object) -> None:
    assert story.told == expected, f"{path.name}, before line {number}"
    story.told.clear()
    expected.clear()


def tell(story: Story, line: str, path: pathlib.Path, number: int) -> None:
    word, _, phrase = line.partition(" ")
    assert word in ("given", "when", "and", "then"), f"{path.name}:{number}: a line begins with given, when, and, then"
    for pattern, action in PHRASES.items():
        if match := re.fullmatch(pattern, phrase):
            action(story, *match.groups())
            return
    raise AssertionError(f"{path.name}:{number}: nobody knows how to {phrase!r}")


def test_there_are_stories() -> None:
    assert len(STORIES) >= 8
