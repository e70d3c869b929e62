"""One history: a shard, two operators, clients, and what its plan lets happen to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simulation.api import Api
from simulation.checks import Checks, Violation
from simulation.faults import Faults
from simulation.network import OPERATORS, World
from simulation.node import SimNode
from simulation.operators import SimOperator
from simulation.plan import MILLISECOND, Plan

from ringkeeper.cluster.topology import Node, Shard, Topology, node_id
from ringkeeper.store.slot import SLOTS

CALM = 12_000 * MILLISECOND
"""How long everything may take to be well again when faults are over."""
SHARES = (
    "promotion",
    "fenced master",
    "leader change",
    "restart after a promise",
    "membership change",
    "late commit",
    "left after another was master",
)
"""What a part of the histories must have seen."""
LEAST_EVENTS = 200
OWNERS = (0,) * SLOTS


@dataclass(slots=True)
class Outcome:
    plan: Plan
    events: int = 0
    seen: dict[str, int] = field(default_factory=dict)
    transitions: set[tuple[str, str]] = field(default_factory=set)
    violation: str = ""


def first_topology(plan: Plan) -> Topology:
    nodes = tuple(
        Node(node_id("u", f"c-0-{i}"), f"c-0-{i}", 0, "", "", 0, 0, "replica" if i else "master", f"c-0-{i}/1")
        for i in range(1 + plan.replicas)
    )
    shard = Shard(0, 1, nodes[0].id, tuple(node.id for node in nodes[1:]), plan.min_acks)
    return Topology("c", "u", 1, 0, 1, nodes, (shard,), OWNERS)


class History:
    first = staticmethod(first_topology)

    def __init__(self, plan: Plan, tell: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.world = World(plan, tell and self._told(tell))
        topology = self.first(plan)
        self.checks = Checks(self.world, topology)
        self.api = Api(self.world, self.checks, topology)
        self.nodes = [SimNode(self.world, self.checks, i, node) for i, node in enumerate(topology.nodes)]
        self.operators = [SimOperator(self.world, self.checks, self.api, place) for place in OPERATORS]
        for node in self.nodes:
            node.operators = {operator.place: operator for operator in self.operators}
            node.peers = {other.id: other for other in self.nodes}
            node.topology = topology
        for operator in self.operators:
            operator.nodes = {node.id: node for node in self.nodes}
        self.checks.nodes = self.nodes
        for node in self.nodes:
            node.start()
        self.faults = Faults(self.world, self.checks, self.api, self.nodes, self.operators)
        for fault in plan.faults:
            self.world.after(fault.at, self.faults.befall, fault)
        self.world.after(50 * MILLISECOND, self._clients)

    def _told(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        return lambda line: tell(f"{self.world.now / 1e9:9.4f} {line}")

    def _clients(self) -> None:
        """One write to every node that takes it, every now and then."""
        for node in self.nodes:
            node.write()
        self.world.after(int((100 + 200 * self.world.random.random()) * MILLISECOND), self._clients)

    def run(self) -> Outcome:
        outcome = Outcome(self.plan)
        try:
            self.world.run(self.plan.lasts)
            while self.world.events < LEAST_EVENTS:
                self.world.run(self.world.now + 1_000 * MILLISECOND)
            if self.plan.calms:
                self._must_be_well()
        except Violation as violation:
            outcome.violation = str(violation)
        outcome.events, outcome.seen = self.world.events, dict(self.checks.seen)
        outcome.transitions = self.checks.transitions
        return outcome

    def _must_be_well(self) -> None:
        """Once faults are over, the shard has a master that serves, and voters."""
        world = self.world
        world.is_quiet = True
        world.cut.clear()
        self.api.slow_until = 0
        self.faults.tell_all_ends()
        self.faults.scale_to(frozenset())
        began = world.now
        while world.now < max(began, self.faults.over) + CALM:
            world.run(world.now + 500 * MILLISECOND)
            if self._is_well():
                self.checks.saw("well in the end")
                return
        verdicts = [
            arbiter.verdict(operator.now).reason
            for operator in self.operators
            if operator.is_leading
            for arbiter in operator.arbiters
        ]
        raise Violation(f"{CALM // 10**9} s after the last fault the shard is not well: {verdicts}")

    def _is_well(self) -> bool:
        topology = self.api.topology
        shard = topology.shards[0]
        master = next(node for node in self.nodes if node.id == shard.master).process
        return (
            master is not None
            and master.rules.lease is not None
            and master.rules.lease.term == shard.term
            and master.serves_until() > master.clock.read(self.world.now)
            and len(shard.voters) == self.plan.replicas
            and shard.former is None
        )


def run(plan: Plan, tell: Callable[[str], None] | None = None) -> Outcome:
    return History(plan, tell).run()
