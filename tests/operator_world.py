"""A world for the operator's decisions, in memory: nodes that obey the members' rules, a committed topology with
compare-and-set, and everything that can go wrong with them. It judges every step: see `World.check`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import moving_nodes

from ringkeeper.cluster import member
from ringkeeper.cluster.arbiter import Verdict
from ringkeeper.cluster.changes import Appoint, Basis, Settle, SetVoters, basis
from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.settings import Settings
from ringkeeper.cluster.topology import Node, Shard, Topology, VoterRun, decode, encode, node_id
from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import (
    Action,
    ApplyPieces,
    AskRelease,
    CommitTopology,
    LabelRoles,
    MeasureSlots,
    NodeReport,
    Observed,
    ObservedNode,
    PushSettings,
    PushTopology,
    Refuse,
    RemovePieces,
    Spec,
    Wait,
    node_name,
    position_of,
)
from ringkeeper_operator.plan.nodes import expected_names
from ringkeeper_operator.plan.recover import SAFE_DISTANCE
from ringkeeper_operator.plan.size import kept_up
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
    ordinal: int
    id: str
    address: str
    run_id: str
    phase: str = "starting"
    trouble: str = ""
    held: Topology | None = None
    keys: int = 0
    reachable: bool = True
    loading: bool = False
    routed: bool = True
    settings: Settings = field(default_factory=Settings)
    position: Position = NOTHING
    role_label: str = ""
    host: str = ""
    zone: str = ""
    used_memory: int = 0
    volatile_keys: int = 0
    moving: dict[int, str] = field(default_factory=dict)
    """Moves (ids) that this run takes part in, and how far it is."""
    why: str = ""
    """Why a move failed here."""
    persistence_error: str = ""

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
            state="loading" if self.loading else "online",
            term=standing.term,
            keys=self.keys,
            slots_served=owned,
            used_memory=self.used_memory,
            volatile_keys=self.volatile_keys,
            version="test",
            settings=self.settings.digest,
            position=self.position,
            link="connected" if standing.role == "replica" else "none",
            moves=moving_nodes.reports(self),
            persistence_error=self.persistence_error,
        )

    def observed(self) -> ObservedNode:
        seen = ObservedNode(
            name=self.name,
            shard=self.shard,
            ordinal=self.ordinal,
            phase=self.phase,
            address=self.address,
            hostname=f"{self.name}.example",
            port=6379,
            admin_port=16379,
            trouble=self.trouble,
            routed=self.routed,
            role_label=self.role_label,
            host=self.host,
            zone=self.zone,
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
    sizes: dict[int, int] = field(default_factory=dict)
    """Slot -> bytes."""
    measured: set[int] = field(default_factory=set)
    """Shards that were asked what their slots hold."""
    operations: dict[int, float] = field(default_factory=dict)
    """Slot -> commands a second."""
    still_seconds: float = 3600.0
    failures: dict[tuple[int, int], str] = field(default_factory=dict)
    """Moves that failed a moment ago."""

    def __post_init__(self) -> None:
        self.others = {"Service/ring-nodes": "absent", "ConfigMap/ring-config": "absent"}

    # --- what happens

    def start(self, shard: int, ordinal: int = 0) -> None:
        """A new process with an empty disk, as after a deleted pod."""
        name = node_name(self.spec.name, shard, ordinal)
        number = next(self.numbers)
        self.started += 1
        self.nodes[name] = FakeNode(
            name=name,
            shard=shard,
            ordinal=ordinal,
            id=node_id(self.spec.uid, name),
            address=f"10.0.0.{number % 250 + 1}",
            run_id=f"run-{number}",
            settings=self.configured,
        )

    def restart(self, shard: int, ordinal: int = 0) -> None:
        """The process ended and started again; the disk is kept, the data is not."""
        if node := self.node(shard, ordinal):
            node.run_id, node.keys, node.phase = f"run-{next(self.numbers)}", 0, "starting"
            node.position = NOTHING
            node.moving.clear()
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

    def vanish(self, shard: int, ordinal: int = 0) -> None:
        """Nothing is left, not even what would start it again."""
        self.nodes.pop(node_name(self.spec.name, shard, ordinal), None)

    def write(self, shard: int) -> None:
        """A client writes to whoever serves the shard, and it reaches the replicas that can be reached."""
        for node in list(self.nodes.values()):
            standing = node.standing()
            if node.shard == shard and standing.serves and node.phase == "running":
                node.keys += 1
                node.position = Position(standing.term, node.position.offset + 1)
                self.replicate(node)

    def replicate(self, master: FakeNode) -> None:
        for node in self.nodes.values():
            if node.shard == master.shard and node.reachable and node.phase == "running":
                standing = node.standing()
                if standing.role == "replica" and standing.term == master.standing().term:
                    assert node.position <= master.position, f"{node.name} is emptied by {master.name}"
                    node.position, node.keys = master.position, master.keys

    def move(self, shard: int, ordinal: int = 0) -> None:
        if node := self.node(shard, ordinal):
            node.address = f"10.0.1.{next(self.numbers) % 250 + 1}"

    def lose_topology(self) -> None:
        self.lost = self.lost or self.committed is not None
        self.committed = None

    def settle(self) -> None:
        """Time passes: what starts is up, what moves goes on."""
        for node in self.nodes.values():
            if node.phase == "starting":
                node.phase = "running"
        moving_nodes.advance(self)

    def node(self, shard: int, ordinal: int = 0) -> FakeNode | None:
        return self.nodes.get(node_name(self.spec.name, shard, ordinal))

    def operations_on(self, shard: int) -> dict[int, float]:
        owners = self.committed.owners if self.committed else ()
        return {slot: rate for slot, rate in self.operations.items() if owners and owners[slot] == shard}

    # --- the runtime

    def observe(self, operator: Operator) -> Observed:
        pieces = dict(self.others)
        nodes = []
        kept = kept_up(self.spec, self.committed)
        for shard, ordinal in kept.positions():
            name = node_name(self.spec.name, shard, ordinal)
            pieces[f"Process/{name}"] = "current" if name in self.nodes else "absent"
            if name not in self.nodes:
                nodes.append(ObservedNode(name=name, shard=shard, ordinal=ordinal, phase="absent"))
        nodes += [node.observed() for node in self.nodes.values()]
        epoch = self.committed.epoch if self.committed else 0
        newer = [
            node.held
            for node in self.nodes.values()
            if node.phase == "running" and node.reachable and node.held and node.held.epoch > epoch
        ]
        operator.seen = Observed(
            pieces=pieces,
            nodes=tuple(sorted(nodes, key=lambda node: (node.shard, node.ordinal))),
            topology=self.committed,
            topology_version=str(self.version) if self.committed else None,
            newest_held=max(newer, key=lambda held: (held.leader, held.epoch), default=None),
            leader_number=operator.leader_number,
            slot_bytes=dict.fromkeys(self.measured, self.sizes),
            slot_operations={shard: self.operations_on(shard) for shard in self.measured},
            still_seconds=self.still_seconds,
            failed_moves=dict(self.failures),
            obsolete=tuple(f"Process/{name}" for name in self.nodes if name not in expected_names(kept)),
            verdicts={} if self.committed is None else {s.index: self.judge(s) for s in self.committed.shards},
        )
        return operator.seen

    def judge(self, shard: Shard) -> Verdict:
        """What an arbiter says that hears everybody at once and is certain of every end."""
        assert self.committed
        rests_on = basis(self.committed, shard)
        by_run = {node.run_id: node for node in self.nodes.values() if node.phase == "running" and node.reachable}
        listed = [node for node in self.committed.nodes if node.shard == shard.index]
        if len(listed) == 1:
            return Verdict("healthy", "") if listed[0].run_id in by_run else Verdict("cannot", "there is nobody else")
        master = self.nodes.get(next(node.name for node in listed if node.id == shard.master))
        if master is not None and master.run_id == rests_on.master.run_id:
            return Verdict("healthy", "", self._upkeep(rests_on, shard, listed, by_run, master))
        fit = [node for node in by_run.values() if node.shard == shard.index and not node.loading
               and node.id in {other.id for other in listed}]  # fmt: skip
        if len(fit) < len([node for node in self.nodes.values() if node.shard == shard.index]) or not fit:
            return Verdict("cannot", "waiting for the others")
        best = max(fit, key=lambda node: node.position)
        voters = tuple(VoterRun(node.id, node.run_id) for node in fit if node is not best)
        chosen = VoterRun(best.id, best.run_id)
        return Verdict("appoint", "", Appoint(rests_on, chosen, best.position, voters, "its process ended"))

    def _upkeep(
        self, rests_on: Basis, shard: Shard, listed: list[Node], by_run: dict[str, FakeNode], master: FakeNode
    ) -> Settle | SetVoters | None:
        assert self.committed
        if shard.former is not None:
            knows = master.held is not None and master.held.epoch >= self.committed.epoch
            return Settle(rests_on) if knows else None
        fit = tuple(
            VoterRun(node.id, node.run_id)
            for node in listed
            if node.id != shard.master and node.run_id in by_run and by_run[node.run_id].standing().role == "replica"
        )
        return None if fit == self.committed.voter_runs(shard) else SetVoters(rests_on, fit, shard.min_acks)

    def apply(self, operator: Operator, action: Action, *, uncertain: bool = False) -> None:
        if isinstance(action, ApplyPieces):
            for piece in action.pieces:
                self._make(piece)
        elif isinstance(action, CommitTopology):
            self._commit(action)
            if action.at_once:
                for name in list(self.nodes):
                    self._offer(name, action.topology)
            operator.leader_number = None if uncertain else action.topology.leader
        elif isinstance(action, RemovePieces):
            for piece in action.pieces:
                self._remove(piece.partition("/")[2])
        elif isinstance(action, PushTopology):
            for name in action.nodes:
                self._offer(name, action.topology)
        elif isinstance(action, MeasureSlots):
            self.measured |= set(action.shards)
        elif isinstance(action, AskRelease):
            moving_nodes.release(self, action.topology, action.moves)
            moving_nodes.advance(self)  # what is asked for is watched
        elif isinstance(action, LabelRoles):
            for name, role in action.roles.items():
                self._label(name, role)
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
            self.start(*position_of(name))

    def _remove(self, name: str) -> None:
        """It has left the topology; with its shard, if it has no key that anybody may miss."""
        assert self.committed
        node = self.nodes.pop(name, None)
        if node is None:
            return
        assert self.committed.node(node.id) is None
        assert self.committed.shard(node.shard) is not None or not node.keys

    def _label(self, name: str, role: str) -> None:
        if node := self.nodes.get(name):
            node.role_label = role

    def _commit(self, action: CommitTopology) -> None:
        if action.expected != (str(self.version) if self.committed else None):
            raise Conflict
        assert decode(encode(action.topology)) == action.topology
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
            master = next((other for other in self.nodes.values() if other.shard == node.shard
                           and other.standing().serves), None)  # fmt: skip
            if master is not None:
                self.replicate(master)

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
            moving_nodes.judge(self, self.history[-1], new)
        if self.committed is not None and self.history and new.epoch == self.committed.epoch + 1:
            self._judge_terms(self.committed, new)

    def _judge_terms(self, old: Topology, new: Topology) -> None:
        for index in range(max(len(old.shards), len(new.shards))):
            before, after = old.shard(index), new.shard(index)
            if before is None or after is None:
                assert index not in (old if after is None else new).owners, "a shard comes and goes without slots"
                continue
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
