"""The operator's world (`operator_world.py`) with what makes crashes of the operator dangerous: leases, promises and
releases between the real rules, a clock, and an operator process that may end at any write.

`CrashWorld` is the world; `WorldRuntime` is one operator process in it, driven by the real loop, with a real `Watch`
whose datagrams arrive at once; `Faults` counts the writes of all of them and says which one is the last of its process.
A write is each piece that is made or removed, each commit, each node that is handed something, and each request for a
promise or a release. Clients write all the time; `CrashWorld.check` judges after every step.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from operator_world import Conflict, FakeNode, Operator, World

from ringkeeper.cluster.arbiter import Verdict
from ringkeeper.cluster.lease import MILLISECOND, OPERATOR, NodeLease, Pledge, Sent
from ringkeeper.cluster.messages import AskPromise, AskRelease, Message, decode, encode
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.seal import Sealer
from ringkeeper.cluster.topology import Shard, Topology
from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import (
    Action,
    AskHandover,
    CommitTopology,
    DropHandover,
    Observed,
    PushSettings,
    PushTopology,
    Spec,
)
from ringkeeper_operator.runtime import base
from ringkeeper_operator.runtime.heartbeats import Address, Watch
from ringkeeper_operator.runtime.loop import reconcile_once, tell_alarm
from ringkeeper_operator.runtime.runs import superseded
from ringkeeper_operator.status import build_status

STEP = 25
"""Milliseconds: how long a round takes at least, and how often nodes do something by themselves."""
TOKEN = "token"
PATIENCE = 120_000
"""Within which everything must be as asked, milliseconds."""
RETRY = 200
LAPSE = 20
"""For how many seconds without a change of masters one counts here."""
STALE = 0.2
"""The part of observations that are replaced by an earlier one, where that is wanted."""


class Killed(Exception):
    """The operator process is no more."""


@dataclass
class Faults:
    """Which writes are the last ones of an operator process, and whether they still took effect."""

    kills: dict[int, str] = field(default_factory=dict)
    """By number of the write: `before`, `after`, or `late`, which takes effect when the next process has looked."""
    stale: random.Random | None = None
    """Draws which observations are replaced."""
    writes: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def write(self, what: str) -> Iterator[None]:
        when = self.begin(what)
        if when == "before":
            raise Killed(what)
        yield
        if when is not None:
            raise Killed(what)

    def begin(self, what: str) -> str | None:
        when = self.kills.get(len(self.writes))
        self.writes.append(what if when is None else f"{what} - killed {when}")
        return when


class Wire:
    """In place of the operator's UDP socket."""

    def __init__(self, deliver: Callable[[bytes, Address], None]) -> None:
        self.watches: dict[Address, Watch] = {}
        self.send = deliver


class StillWatch(Watch):
    """Looks when the world's clock moves, and not by itself."""

    async def _tick(self) -> None:
        return


@dataclass
class CrashWorld(World):
    faults: Faults = field(default_factory=Faults)
    now: int = 10_000
    """Milliseconds."""
    certain: Callable[..., list[str]] = superseded
    """How the runtime knows of ends: as on one machine, or as on Kubernetes (`replaced`)."""
    process: WorldRuntime | None = None
    """The operator that is alive."""
    rules: dict[str, NodeLease] = field(default_factory=dict)
    """By run id."""
    released: dict[str, tuple[int, str]] = field(default_factory=dict)
    """By run id: the term that it gave up, and for whom."""
    data: dict[str, frozenset[int]] = field(default_factory=dict)
    """By node: the writes of clients that it has."""
    answered: dict[int, set[int]] = field(default_factory=dict)
    """By shard: the writes that clients count on."""
    served_term: dict[int, int] = field(default_factory=dict)
    """By shard: the greatest in which a client was answered."""
    late: list[CommitTopology] = field(default_factory=list)
    """Commits under way whose sender is no more."""
    meanwhile: Callable[[], None] = lambda: None
    """Called at every step: what happens by itself."""
    hidden: set[str] = field(default_factory=set)
    """Nodes that the operator cannot reach, though they reach each other."""
    ids: itertools.count[int] = field(default_factory=itertools.count)
    sealer: Sealer = field(default_factory=lambda: Sealer(TOKEN.encode()))

    # --- nodes, by the rules that the real ones follow

    @property
    def ns(self) -> int:
        return self.now * MILLISECOND

    def start(self, shard: int, ordinal: int = 0) -> None:
        super().start(shard, ordinal)
        node = self.node(shard, ordinal)
        assert node
        self.data[node.name] = frozenset()

    def crash(self, shard: int, ordinal: int) -> None:
        """The process ended and started again, with the data that it had on its disk."""
        node = self.node(shard, ordinal)
        assert node
        keys, position = node.keys, node.position
        self.restart(shard, ordinal)
        node.keys, node.position = keys, position

    def vanish(self, shard: int, ordinal: int = 0) -> None:
        super().vanish(shard, ordinal)
        self.data.pop(f"{self.spec.name}-{shard}-{ordinal}", None)

    def is_there(self, node: FakeNode | None) -> bool:
        return node is not None and node.phase == "running" and node.reachable

    def rules_of(self, node: FakeNode) -> NodeLease:
        if node.run_id not in self.rules:
            self.rules[node.run_id] = rules = NodeLease(node.id, node.run_id)
            if node.held is not None:
                rules.follow(node.held, self.ns)
        return self.rules[node.run_id]

    def told(self, node: FakeNode) -> NodeLease:
        """Its rules, knowing what the node is like now."""
        rules = self.rules_of(node)
        term, target = self.released.get(node.run_id, (0, ""))
        released = target if term == node.standing().term else ""
        rules.node_says(node.position, candidate=not node.loading, progress_at=self.ns, released=released)
        return rules

    def serves(self, node: FakeNode) -> bool:
        """Also one that is cut off from everybody but clients (`reachable`)."""
        standing = node.standing()
        if not standing.serves or node.phase != "running":
            return False
        return not standing.needs_lease or self.told(node).until() > self.ns

    def deliver(self, sender: str, sent: list[Sent]) -> None:
        """Between nodes, and from them to the operator; at once."""
        for id_, message in sent:
            if id_ == OPERATOR:
                self._to_operator(sender, message)
                continue
            node = next((other for other in self.nodes.values() if other.id == id_), None)
            if node is not None and self.is_there(node):
                self._handle(node, message)

    def _to_operator(self, sender: str, message: Message) -> None:
        if sender in self.hidden:
            return
        address = (self.nodes[sender].address, 6379)
        watch = self.process.wire.watches.get(address) if self.process is not None else None
        if watch is not None:
            watch.received(self.sealer.seal(encode(message)))

    def _handle(self, node: FakeNode, message: Message) -> None:
        rules = self.told(node)
        if isinstance(message, AskRelease):
            if rules.obeys(message) and (self.serves(node) or message.target == node.id):
                self._release(node, message.target)
            return
        answer = rules.on(message, self.ns)
        if isinstance(answer, Pledge):
            answer = rules.pledged(answer, node.position, candidate=not node.loading, now=self.ns)
        self.deliver(node.name, answer)

    def _release(self, node: FakeNode, target: str) -> None:
        """At once, if the target has all that the master has; later the operator asks again."""
        self.stream(node)
        other = next((other for other in self.nodes.values() if other.id == target), None)
        if other is not None and (other is node or (self.follows(other, node) and other.position == node.position)):
            self.released[node.run_id] = (node.standing().term, other.run_id)
            self.deliver(node.name, [(OPERATOR, self.told(node).heartbeat(self.ns))])

    def follows(self, replica: FakeNode, master: FakeNode) -> bool:
        if not self.is_there(master):
            return False
        standing = replica.standing()
        term = master.standing().term
        return (
            replica.shard == master.shard
            and self.is_there(replica)
            and (standing.role, standing.term) == ("replica", term)
            and self.rules_of(replica).voter.promised <= term
        )

    def stream(self, master: FakeNode) -> None:
        """To whoever follows; a master that began a term writes that down first."""
        term = master.standing().term
        master.position = Position(term, master.position.offset)
        for node in self.nodes.values():
            if node is not master and self.follows(node, master):
                assert node.position <= master.position, f"{node.name} is emptied by {master.name}"
                node.position, self.data[node.name] = master.position, self.data[master.name]

    def replicate(self, master: FakeNode) -> None:
        self.stream(master)

    def client(self, shard: int) -> None:
        """Writes to whoever serves; and counts on it when enough voters have it."""
        for node in [node for node in self.nodes.values() if node.shard == shard and self.serves(node)]:
            topology, term, write = node.held, node.standing().term, next(self.ids)
            assert topology
            assert term >= self.served_term.get(shard, 0), f"{node.name} answers in term {term}, which is over"
            self.served_term[shard] = term
            node.position = Position(term, node.position.offset + 1)
            self.data[node.name] |= {write}
            self.stream(node)
            row = topology.shard(shard)
            assert row
            voters = topology.voter_runs(row)
            have = sum(write in self.data[other.name] for other in self.nodes.values()
                       if other.run_id in {voter.run_id for voter in voters})  # fmt: skip
            if have >= (row.min_acks or len(voters)):
                self.answered.setdefault(shard, set()).add(write)

    # --- writes of the operator

    def _make(self, piece: str) -> None:
        with self.faults.write(f"make {piece}"):
            super()._make(piece)

    def _commit(self, action: CommitTopology) -> None:
        what = f"commit {action.topology.epoch} ({action.reason})"
        when = self.faults.begin(what)
        if when == "late":
            self.late.append(action)
        if when in ("before", "late"):
            raise Killed(what)
        super()._commit(action)
        if when is not None:
            raise Killed(what)
        assert self.process
        self.process.lead(action.topology)

    def _offer(self, name: str, topology: Topology) -> None:
        if name in self.hidden:
            return
        with self.faults.write(f"hand epoch {topology.epoch} to {name}"):
            node = self.nodes.get(name)
            before = node.held if node else None
            super()._offer(name, topology)
            if node is not None and node.held is not None and node.held is not before:
                rules = self.told(node)
                self.deliver(name, rules.follow(node.held, self.ns))

    def _remove(self, name: str) -> None:
        with self.faults.write(f"end {name}"):
            super()._remove(name)

    def _hand(self, name: str, action: PushSettings) -> None:
        with self.faults.write(f"hand settings to {name}"):
            super()._hand(name, action)

    def _label(self, name: str, role: str) -> None:
        with self.faults.write(f"label {name} {role}"):
            super()._label(name, role)

    def drop_handover(self, shard: int) -> None:
        with self.faults.write(f"forget the handover of shard {shard}"):
            left = tuple(request for request in self.spec.handovers if request.shard != shard)
            self.spec = replace(self.spec, handovers=left)

    def from_operator(self, datagram: bytes, address: Address) -> None:
        said = self.sealer.open(datagram)
        assert said is not None
        message = decode(said)
        node = next((node for node in self.nodes.values() if (node.address, 6379) == address), None)
        what = f"send {type(message).__name__} to {node.name if node else address}"
        asks = isinstance(message, AskPromise | AskRelease)
        with self.faults.write(what) if asks else contextlib.nullcontext():
            if node is not None and self.is_there(node) and node.name not in self.hidden:
                self._handle(node, message)

    def observe(self, operator: Operator) -> Observed:
        hidden = [node for node in self.nodes.values() if node.name in self.hidden and node.reachable]
        for node in hidden:
            node.reachable = False
        observed = super().observe(operator)
        for node in hidden:
            node.reachable = True
        return observed

    def arrive_late(self) -> None:
        """What was under way when its sender ended."""
        while self.late:
            action = self.late.pop(0)
            with contextlib.suppress(Conflict):
                super()._commit(action)

    # --- what must hold

    def judge(self, shard: Shard) -> Verdict:
        """By the operator's arbiters, which hear of ends what there is to hear."""
        watch = self.process.watch if self.process is not None else None
        return (watch.verdicts.get(shard.index) if watch else None) or Verdict("following", "")

    def _judge_terms(self, old: Topology, new: Topology) -> None:
        """An election that was abandoned ends by an appointment, of the same run if need be."""
        for before, after in zip(old.shards, new.shards, strict=True):
            was, is_ = old.node(before.master), new.node(after.master)
            assert was
            assert is_
            assert after.term - before.term in ((0, 1) if was.run_id == is_.run_id else (1,))

    def check(self) -> None:
        super().check()
        for shard, writes in self.answered.items():
            copies = [self.data[node.name] for node in self.nodes.values() if node.shard == shard]
            assert any(writes <= copy for copy in copies), f"shard {shard}: the last good copy is gone"
            serving = [node.name for node in self.nodes.values() if node.shard == shard and self.serves(node)]
            assert len(serving) < 2, f"shard {shard} is served by {serving}"

    def lacks(self) -> str:
        """What is not yet as asked; empty when everything is."""
        topology = self.committed
        if topology is None:
            return "nothing is committed"
        if self.spec.handovers:
            return "a handover is not carried out"
        runs = {node.name: node.run_id for node in self.nodes.values() if self.is_there(node)}
        if set(runs) != {f"{self.spec.name}-{shard}-{ordinal}" for shard, ordinal in self.spec.positions()}:
            return f"there are {sorted(runs)}"
        if {node.name: node.run_id for node in topology.nodes} != runs:
            return "the topology names other runs"
        if any(node.held != topology for node in self.nodes.values()):
            return "not everybody has the topology"
        if any(node.role_label != listed.role for node in self.nodes.values() for listed in topology.nodes
               if self.spec.replicas_per_shard and listed.name == node.name):  # fmt: skip
            return "a pod's label is wrong"
        return next(filter(None, (self._lacks(shard) for shard in topology.shards)), "")

    def _lacks(self, shard: Shard) -> str:
        if len(shard.voters) < self.spec.replicas_per_shard or shard.former is not None:
            return f"shard {shard.index}: not all vote"
        if shard.min_acks != self.spec.min_acks:
            return f"shard {shard.index}: minAcks is {shard.min_acks}"
        master = next(node for node in self.nodes.values() if node.id == shard.master)
        if not self.serves(master):
            return f"shard {shard.index}: {master.name} does not serve"
        if any(not self.follows(node, master) for node in self.nodes.values()
               if node.shard == shard.index and node is not master):  # fmt: skip
            return f"shard {shard.index}: not everybody follows {master.name}"
        lost = self.answered.get(shard.index, set()) - self.data[master.name]
        assert not lost, f"shard {shard.index}: {len(lost)} answered writes are lost"
        return ""

    # --- time

    def step(self) -> None:
        self.now += STEP
        self.meanwhile()
        self.settle()
        for node in list(self.nodes.values()):
            if self.is_there(node):
                if node.standing().serves:
                    self.stream(node)
                if self.now % 500 < STEP:
                    self.deliver(node.name, self.told(node).tick(self.ns))
        if self.now % 100 < STEP:
            for shard in range(self.spec.shards):
                self.client(shard)
        self.check()


class WorldRuntime:
    """One operator process: implements `runtime.base.Runtime`. Its memory goes with it."""

    def __init__(self, world: CrashWorld) -> None:
        self.world = world
        self.urgent = asyncio.Event()
        self.alarm = asyncio.Event()
        self.told: list[tuple[int, dict[str, Any]]] = []
        """When which status was written."""
        self.operator = Operator("a process")
        self.wire = Wire(world.from_operator)
        self.watch = StillWatch(self.wire, clock=lambda: world.ns)  # type: ignore[arg-type]
        self.watch.when_changed = self._changed
        self.due = 0
        self.changed_at = world.now
        self.earlier: list[Observed] = []

    def _changed(self, urgent: bool) -> None:
        self.due = 0
        if urgent:
            self.urgent.set()
        if self.watch.alarming:
            self.alarm.set()

    def lead(self, topology: Topology) -> None:
        self.operator.leader_number = topology.leader
        self._follow(topology)

    def _follow(self, topology: Topology | None, observed: Observed | None = None) -> None:
        if topology is None or self.operator.leader_number != topology.leader:
            self.watch.pause()
            return
        nodes = observed.nodes if observed else ()
        moved = {node.report.id: (node.address, node.port) for node in nodes if node.report}
        self.watch.follow(topology, topology.leader, TOKEN, moved)
        if over := self.world.certain(topology, nodes):
            self.watch.end(over)

    async def observe(self, spec: Spec) -> Observed:
        self.watch.heed(spec)
        observed = self.world.observe(self.operator)
        self.earlier.append(observed)
        draw = self.world.faults.stale
        if draw is not None and draw.random() < STALE:
            observed = draw.choice(self.earlier[-8:])
        self._follow(observed.topology, observed)
        self.world.arrive_late()
        return self.with_memory(observed)

    def with_memory(self, observed: Observed) -> Observed:
        return replace(
            observed,
            leader_number=self.operator.leader_number,
            verdicts=dict(self.watch.verdicts),
            handovers=self.watch.handovers,
            calm_seconds=LAPSE * (self.world.now - self.changed_at) / 1000,
        )

    async def glance(self, spec: Spec) -> Observed | None:  # noqa: ARG002
        if not self.earlier:
            return None
        world = self.world
        version = str(world.version) if world.committed else None
        fresh = replace(self.earlier[-1], topology=world.committed, topology_version=version, is_glance=True)
        return self.with_memory(fresh)

    async def apply(self, spec: Spec, action: Action) -> None:  # noqa: ARG002
        try:
            self.world.apply(self.operator, action)
        except Conflict as error:
            raise base.Conflict(str(error)) from error
        if isinstance(action, CommitTopology) and action.failovers:
            self.changed_at = self.world.now
        if isinstance(action, AskHandover):
            self.watch.hand_over(action)
        elif isinstance(action, DropHandover):
            self.watch.forget_handover(action.shard)
            self.world.drop_handover(action.shard)
        elif isinstance(action, PushTopology | PushSettings) and (
            silent := [name for name in action.nodes if not self.world.is_there(self.world.nodes.get(name))]
        ):
            raise base.PushError(f"no answer of {silent}")

    async def publish(self, spec: Spec, observed: Observed, action: Action | None) -> None:
        before = self.told[-1][1] if self.told else None
        status = build_status(spec, observed, action, before, self.world.now / 1000)
        if status != before:
            self.told.append((self.world.now, status))

    async def record(self, spec: Spec, action: Action) -> None: ...


async def live(world: CrashWorld, condition: Callable[[], bool], patience: int = PATIENCE) -> None:
    """Let time pass until the condition holds; a process that was killed is followed by another."""
    deadline = world.now + patience
    while not condition():
        assert world.now < deadline, f"not within {patience} ms: {world.lacks() or 'as asked, but not at rest'}"
        try:
            if world.process is None:
                world.process = WorldRuntime(world)
            if world.process.alarm.is_set():
                await tell_alarm(world.process, world.spec)
            if world.process.urgent.is_set() or world.now >= world.process.due:
                await _round(world, world.process)
            world.step()
            world.process.watch.look()
        except Killed:
            world.process.watch.close()
            world.process = None


async def _round(world: CrashWorld, process: WorldRuntime) -> None:
    process.due = 2**63
    try:
        pause = await reconcile_once(process, world.spec)
    except base.PushError:
        pause = RETRY / 1000
    process.due = min(process.due, world.now + int(pause * 1000))


def is_at_rest(world: CrashWorld) -> bool:
    """Everything is as asked, and the operator knows it."""
    process = world.process
    if process is None or process.watch.handovers or world.late or world.lacks():
        return False
    observed = replace(process.with_memory(world.observe(process.operator)), calm_seconds=math.inf)
    states = [verdict.state for verdict in process.watch.verdicts.values()]
    return states == ["healthy"] * world.spec.shards and decide(world.spec, observed, 0.0) is None


async def live_to_rest(world: CrashWorld) -> None:
    await live(world, lambda: is_at_rest(world))
