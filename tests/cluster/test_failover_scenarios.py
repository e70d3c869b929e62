"""Runs the stories in `tests/scenarios/failover-*.txt`, of the world of `shard_world.py`.

`given`, `when` and `and` lines make something happen; the indented lines below are, in order, all that the operator
finds and commits and all that becomes of the nodes meanwhile, with the seconds since the story began. `then` lines
state what is so afterwards. `#` begins a remark. `REWRITE_STORIES=1` writes the indented lines as they are now.
"""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Callable

import pytest
from shard_world import ShardWorld, topology

from ringkeeper.cluster.arbiter import Recovery, Verdict
from ringkeeper.cluster.changes import with_voters
from ringkeeper.cluster.handover import Policy

STORIES = sorted((pathlib.Path(__file__).parents[1] / "scenarios").glob("failover-*.txt"))


class TellingWorld(ShardWorld):
    """Says what changes."""

    def __init__(self, replicas: int, min_acks: int, policy: str) -> None:
        self.told: list[str] = []
        self.modes: dict[str, str] = {}
        self.state = "healthy"
        super().__init__(topology(replicas, min_acks=min_acks), Recovery(Policy(policy)))
        self.began = self.now
        self.observe()
        self.told.clear()

    def tell(self, line: str) -> None:
        self.told.append(f"{(self.now - self.began) / 1000:5.2f}  {line}")

    def step(self) -> Verdict:
        epoch = self.committed.epoch
        verdict = super().step()
        if verdict.state != self.state:
            self.state = verdict.state
            self.tell(f"operator: {verdict.state}: {verdict.reason}")
        if self.committed.epoch != epoch:
            shard = self.committed.shards[0]
            voters = ", ".join(self.names[voter] for voter in shard.voters) or "none"
            former = "" if shard.former is None else " (not acknowledged yet)"
            self.tell(
                f"operator commits epoch {self.committed.epoch}: term {shard.term}, master {self.master}, "
                f"voters {voters}{former}"
            )
        self.observe()
        return verdict

    def observe(self) -> None:
        for name, node in self.nodes.items():
            mode = node.mode(self.ns)
            if self.modes.get(name) != mode:
                self.modes[name] = mode
                self.tell(f"{name} is {mode}")


class Story:
    world: TellingWorld

    def shard(self, replicas: str, min_acks: str | None, policy: str | None) -> None:
        self.world = TellingWorld(int(replicas), int(min_acks or 0), policy or "mostRecent")
        self.passes("2")
        self.world.told.clear()

    def passes(self, seconds: str) -> None:
        self.world.run(int(float(seconds) * 1000))

    def has(self, name: str, offset: str) -> None:
        self.world.offsets[name] = int(offset)

    def dies(self, name: str, certain: str) -> None:
        self.world.modes.pop(name, None)
        self.world.kill(name, is_certain=bool(certain))

    def starts(self, name: str, offset: str) -> None:
        run = f"run-{len(self.world.told)}-{name}"
        self.world.start(name, run, int(offset))

    def hangs(self, name: str) -> None:
        self.world.stuck.add(name)

    def goes_on(self, name: str) -> None:
        self.world.stuck.discard(name)

    def cut(self, one: str, others: str) -> None:
        for other in others.split(", "):
            self.world.cut |= {(one, other), (other, one)}

    def cut_one_way(self, one: str, other: str) -> None:
        self.world.cut.add((one, other))

    def heals(self) -> None:
        self.world.cut.clear()

    def deaf(self, name: str) -> None:
        self.world.refuses_topology.add(name)

    def hears(self, name: str) -> None:
        self.world.refuses_topology.discard(name)
        self.world.push()

    def sets_voters(self, names: str) -> None:
        world = self.world
        ids = tuple(id_ for id_, name in world.names.items() if name in names.split(", "))
        changed = with_voters(world.committed, 0, ids, world.committed.shards[0].min_acks)
        assert changed is not None
        world.committed = changed
        world.arbiter.leaving = frozenset(world.names) - set(ids)
        world.arbiter.follow(changed, world.ns)
        world.push()

    def hands_over(self, name: str) -> None:
        target = next(id_ for id_, other in self.world.names.items() if other == name)
        self.world.arbiter.hand_over(target)

    def releases(self, one: str, other: str) -> None:
        """As the master's node does when the target has confirmed."""
        node = self.world.nodes[one]
        target = next(each.run_id for each in self.world.committed.nodes if each.name == other)
        node.node_says(node.position, candidate=True, progress_at=self.world.ns, released=target)
        self.world.deliver(one, [("", node.heartbeat(self.world.ns))])

    def next_operator(self) -> None:
        number = self.world.arbiter.number + 1
        self.world.arbiter.resign()
        self.world.arbiter.lead(number, self.world.committed, now=self.world.ns, until=10**18)

    def no_operator(self) -> None:
        self.world.arbiter.resign()

    # what is so

    def serves(self, name: str) -> None:
        serving = [other for other in self.world.nodes if self.world.serves(other)]
        assert serving == ([] if name == "nobody" else [name])

    def is_master(self, name: str, term: str) -> None:
        assert (self.world.master, self.world.term) == (name, int(term))

    def waits(self, why: str) -> None:
        assert why in self.world.arbiter.verdict(self.world.ns).reason


PHRASES: dict[str, Callable[..., None]] = {
    r"a master with (\d+) replicas?(?:, minAcks (\d))?(?:, recoveryPolicy (\w+))?": Story.shard,
    r"([\d.]+) s(?:econds?)? pass(?:es)?": Story.passes,
    r"(\S+) has (\d+) bytes": Story.has,
    r"(\S+) dies( for certain)?": Story.dies,
    r"(\S+) starts again with (\d+) bytes": Story.starts,
    r"(\S+) hangs": Story.hangs,
    r"(\S+) goes on": Story.goes_on,
    r"(\S+) and (.+) do not hear each other": Story.cut,
    r"nothing of (\S+) reaches (\S+)": Story.cut_one_way,
    r"everybody hears everybody again": Story.heals,
    r"(\S+) takes no topology": Story.deaf,
    r"(\S+) takes topologies again": Story.hears,
    r"the voters are to be (.+)": Story.sets_voters,
    r"a person asks for (\S+)": Story.hands_over,
    r"(\S+) releases its term to (\S+)": Story.releases,
    r"another operator leads": Story.next_operator,
    r"there is no operator": Story.no_operator,
    r"(\S+) serves": Story.serves,
    r"(\S+) is master in term (\d+)": Story.is_master,
    r"it waits, as (.+)": Story.waits,
}


def perform(story: Story, line: str) -> None:
    _, _, phrase = line.partition(" ")
    for pattern, act in PHRASES.items():
        if found := re.fullmatch(pattern, phrase):
            act(story, *found.groups())
            return
    raise AssertionError(f"no phrase of a story: {line}")


def told_anew(lines: list[str]) -> list[str]:
    """The story with the indented lines as they come out."""
    story, written = Story(), []
    for line in lines:
        if line.startswith("    "):
            continue
        if line.strip() and not line.startswith("#"):
            perform(story, line)
        written.append(line)
        if hasattr(story, "world"):
            written += [f"    {told}" for told in story.world.told]
            story.world.told.clear()
    return written


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_the_story_goes_as_it_is_written(path: pathlib.Path) -> None:
    lines = path.read_text().splitlines()
    anew = told_anew(lines)
    if os.environ.get("REWRITE_STORIES") == "1":
        path.write_text("\n".join(anew) + "\n")
    else:
        assert anew == lines
