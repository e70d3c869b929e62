"""A world for the operator's decisions, in memory: nodes that obey the members' rules, a committed topology with
compare-and-set, and everything that can go wrong with them. It judges every step: see `World.check`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ringkeeper.cluster import member
from ringkeeper.cluster.settings import Settings
from ringkeeper.cluster.topology import Topology, node_id
from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import (
    Action,
    ApplyPieces,
    CommitTopology,
    NodeReport,
    Observed,
    ObservedNode,
    PushSettings,
    PushTopology,
    Refuse,
    Spec,
    Wait,
    node_name,
)
from ringkeeper_operator.plan.recover import SAFE_DISTANCE
from ringkeeper_operator.status import summary

UID = "6f1c3c1e-0000-4000-8000-000000000001"


def make_spec(**changes: object) -> Spec:
    plain = Spec(
        name="ring",
        namespace="default",
        uid=UID,
        generation=1,
        shards=3,
        vnodes_per_shard=16,
        memory=64 * 2**20,
        port=6379,
        image="ringkeeper-node:test",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


class Conflict(Exception):
    """A compare-and-set named a version that is not the committed one."""


@dataclass
class FakeNode:
    """A pod or process, with the disk that a mere restart keeps."""

    name: str
    shard: int
    id: str
    address: str
    run_id: str
    phase: str = "starting"
    trouble: str = ""
    held: Topology | None = None
    keys: int = 0
    reachable: bool = True
    routed: bool = True
    settings: Settings = field(default_factory=Settings)

    def standing(self) -> member.Standing:
        return member.standing(self.held, id_=self.id, run_id=self.run_id)

    def report(self) -> NodeReport:
        standing = self.standing()
        owned = self.held.owners.count(standing.shard) if self.held and standing.serves else 0
        return NodeReport(
            id=self.id,
            run_id=self.run_id,
            epoch=self.held.epoch if self.held else 0,
            leader=self.held.leader if self.held else 0,
            role=standing.role,
            state="online",
            term=standing.term,
            keys=self.keys,
            slots_served=owned,
            used_memory=0,
            version="test",
            settings=self.settings.digest,
        )

    def observed(self) -> ObservedNode:
        seen = ObservedNode(
            name=self.name,
            shard=self.shard,
            ordinal=0,
            phase=self.phase,
            address=self.address,
            hostname=f"{self.name}.example",
            port=6379,
            admin_port=16379,
            trouble=self.trouble,
            routed=self.routed,
        )
        if self.phase == "running" and self.reachable:
            return replace(seen, report=self.report())
        return seen


@dataclass
class Operator:
    """One operator process. What it decides rests on what it saw last, which may be long ago."""

    name: str
    leader_number: int | None = None
    seen: Observed | None = None


@dataclass
class World:
    spec: Spec
    nodes: dict[str, FakeNode] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    """Pieces beside the nodes and their state."""
    committed: Topology | None = None
    version: int = 0
    history: list[Topology] = field(default_factory=list)
    lost: bool = False
    """Whether the committed topology was lost since the last commit."""
    masters: dict[tuple[int, int], str] = field(default_factory=dict)
    """Shard and term -> the run that was appointed or served in it."""
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    started: int = 0
    configured: Settings = field(default_factory=Settings)
    """What nodes find when they start."""

    def __post_init__(self) -> None:
        self.others = {"Service/ring-nodes": "absent", "ConfigMap/ring-config": "absent"}

    # --- what happens

    def start(self, shard: int) -> None:
        """A new process with an empty disk, as after a deleted pod."""
        name = node_name(self.spec.name, shard, 0)
        number = next(self.numbers)
        self.started += 1
        self.nodes[name] = FakeNode(
            name=name,
            shard=shard,
            id=node_id(self.spec.uid, name),
            address=f"10.0.0.{number % 250 + 1}",
            run_id=f"run-{number}",
            settings=self.configured,
        )

    def restart(self, shard: int) -> None:
        """The process ended and started again; the disk is kept, the data is not."""
        if node := self.node(shard):
            node.run_id, node.keys, node.phase = f"run-{next(self.numbers)}", 0, "starting"
            node.settings = self.configured

    def change_settings(self, settings: Settings) -> None:
        """The manifest asks for others; so the ConfigMap drifts that nodes start from."""
        if settings != self.spec.settings:
            self.spec = replace(self.spec, settings=settings)
            self.others["ConfigMap/ring-config"] = "drifted"

    def set_by_hand(self, shard: int, settings: Settings) -> None:
        """Somebody's CONFIG SET on a node."""
        if node := self.node(shard):
            node.settings = settings

    def vanish(self, shard: int) -> None:
        """Nothing is left, not even what would start it again."""
        self.nodes.pop(node_name(self.spec.name, shard, 0), None)

    def move(self, shard: int) -> None:
        if node := self.node(shard):
            node.address = f"10.0.1.{next(self.numbers) % 250 + 1}"

    def lose_topology(self) -> None:
        self.lost = self.lost or self.committed is not None
        self.committed = None

    def settle(self) -> None:
        """Time passes: what starts is up."""
        for node in self.nodes.values():
            if node.phase == "starting":
                node.phase = "running"

    def node(self, shard: int) -> FakeNode | None:
        return self.nodes.get(node_name(self.spec.name, shard, 0))

    # --- the runtime

    def observe(self, operator: Operator) -> Observed:
        pieces = dict(self.others)
        nodes = []
        for shard in range(self.spec.shards):
            name = node_name(self.spec.name, shard, 0)
            pieces[f"Process/{name}"] = "current" if name in self.nodes else "absent"
            if name not in self.nodes:
                nodes.append(ObservedNode(name=name, shard=shard, ordinal=0, phase="absent"))
        nodes += [node.observed() for node in self.nodes.values()]
        epoch = self.committed.epoch if self.committed else 0
        newer = [
            node.held
            for node in self.nodes.values()
            if node.phase == "running" and node.reachable and node.held and node.held.epoch > epoch
        ]
        operator.seen = Observed(
            pieces=pieces,
            nodes=tuple(sorted(nodes, key=lambda node: node.shard)),
            topology=self.committed,
            topology_version=str(self.version) if self.committed else None,
            newest_held=max(newer, key=lambda held: (held.leader, held.epoch), default=None),
            leader_number=operator.leader_number,
        )
        return operator.seen

    def apply(self, operator: Operator, action: Action, *, uncertain: bool = False) -> None:
        if isinstance(action, ApplyPieces):
            for piece in action.pieces:
                self._make(piece)
        elif isinstance(action, CommitTopology):
            self._commit(action)
            operator.leader_number = None if uncertain else action.topology.leader
        elif isinstance(action, PushTopology):
            for name in action.nodes:
                self._offer(name, action.topology)
        elif isinstance(action, PushSettings):
            for name in action.nodes:
                self._hand(name, action)
        self.check()

    def _make(self, piece: str) -> None:
        kind, _, name = piece.partition("/")
        if kind != "Process":
            self.others[piece] = "current"
            if piece == "ConfigMap/ring-config":
                self.configured = self.spec.settings
        elif name not in self.nodes:
            self.start(int(name.split("-")[1]))

    def _commit(self, action: CommitTopology) -> None:
        if action.expected != (str(self.version) if self.committed else None):
            raise Conflict
        self._judge_commit(action.topology)
        self.committed, self.lost = action.topology, False
        self.version += 1
        self.history.append(action.topology)

    def _offer(self, name: str, topology: Topology) -> None:
        node = self.nodes.get(name)
        if node is None or node.phase != "running" or not node.reachable:
            return
        if member.refusal(node.held, topology, cluster_uid=self.spec.uid) is None:
            node.held = topology

    def _hand(self, name: str, action: PushSettings) -> None:
        node = self.nodes.get(name)
        if node is None or node.phase != "running" or not node.reachable:
            return
        if node.held is None or action.topology.leader >= node.held.leader:
            node.settings = action.settings

    # --- what must hold

    def _judge_commit(self, new: Topology) -> None:
        held = [node.held.epoch for node in self.nodes.values() if node.phase == "running" and node.held]
        if new.epoch == 1:
            assert not held, "a first topology, though a node holds one"
        if new.epoch == 1 or (
            self.lost and self.history and self.history[-1].epoch - max(held, default=0) >= SAFE_DISTANCE
        ):
            # A new life, or more was lost than recovery promises to bridge.
            self.history.clear()
            self.masters.clear()
        for old in self.history:
            assert new.epoch > old.epoch
            assert new.leader >= old.leader
        if self.history:
            assert new.owners == self.history[-1].owners, "a slot moved"
        if self.committed is not None and self.history and new.epoch == self.committed.epoch + 1:
            self._judge_terms(self.committed, new)

    def _judge_terms(self, old: Topology, new: Topology) -> None:
        for before, after in zip(old.shards, new.shards, strict=True):
            was, is_ = old.node(before.master), new.node(after.master)
            assert was
            assert is_
            assert after.term - before.term == (1 if was.run_id != is_.run_id else 0)

    def check(self) -> None:
        """No shard ever has two masters in a term: neither by what is committed nor by what a node believes to be."""
        if self.committed:
            for shard in self.committed.shards:
                listed = self.committed.node(shard.master)
                assert listed
                self._has_only(shard.index, shard.term, listed.run_id)
        for node in self.nodes.values():
            standing = node.standing()
            if standing.serves and standing.shard is not None:
                self._has_only(standing.shard, standing.term, node.run_id)

    def _has_only(self, shard: int, term: int, run_id: str) -> None:
        first = self.masters.setdefault((shard, term), run_id)
        assert first == run_id, f"shard {shard} has two masters in term {term}: {first} and {run_id}"

    def is_served(self) -> bool:
        """Whether every slot is served by the present run of its node."""
        served = sum(node.report().slots_served for node in self.nodes.values() if node.phase == "running")
        return served == 16384 and self.is_ready()

    def is_ready(self) -> bool:
        """What the condition `Ready` says."""
        return summary(self.spec, self.observe(Operator("onlooker"))).ready

    # --- working

    def work(self, operator: Operator, rounds: int = 50, *, told: Callable[[str], None] = lambda _: None) -> None:
        """Observe, decide and apply until nothing is left to do; fails when that takes more than `rounds`."""
        last = ""
        for _ in range(rounds):
            action = decide(self.spec, self.observe(operator), 0.0)
            if action is None:
                return
            text = f"{action.reason}: {action.message}"
            if text != last:
                told(text)
                last = text
            if isinstance(action, Wait | Refuse):
                before = [node.observed() for node in self.nodes.values()]
                self.settle()
                if before == [node.observed() for node in self.nodes.values()]:
                    return
            else:
                self.apply(operator, action)
        raise AssertionError(f"not done within {rounds} rounds; last: {last}")
