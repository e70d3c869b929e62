"""One history of two shards between which slots move, and what its plan lets happen to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from simulation.api import Api
from simulation.faults import Faults
from simulation.history import History, Outcome
from simulation.moving_checks import SlotChecks
from simulation.moving_node import MovingNode
from simulation.moving_operator import MovingOperator
from simulation.network import OPERATORS, World
from simulation.plan import MILLISECOND, Fault, Plan, plan
from simulation.slots import COUNT

from ringkeeper.cluster.topology import Move, Node, Shard, Topology, node_id
from ringkeeper.store.slot import SLOTS

FAULTS = {
    "move": 30,
    "cancel": 4,
    "break feed": 5,
    "kill": 7,
    "kill shard": 2,
    "crash in a move": 10,
    "reboot": 1,
    "kill lease process": 2,
    "pause": 4,
    "stall": 3,
    "cut": 6,
    "cut one way": 4,
    "cut link": 3,
    "cut api": 3,
    "pause operator": 3,
    "kill operator": 4,
    "slow api": 6,
    "hand over": 4,
    "leave": 2,
    "change min acks": 2,
    "scale": 3,
}
SHARES = ("moved", "cancelled", "slots released", "promotion", "handover", "leader change", "leftover removed")
"""What a part of the histories must have seen."""
OWNERS = (0,) * (COUNT // 2) + (1,) * (COUNT // 2) + (0,) * (SLOTS - COUNT)


def moving_plan(seed: int, kinds: tuple[str, ...] = (), **fixed: Any) -> Plan:
    """As `plan`; moves are always among the faults."""
    random = Random(f"moves {seed}")
    drawn = plan(seed)
    names, weights = list(FAULTS), list(FAULTS.values())
    if kinds:
        names, weights = ["move", *kinds], [len(kinds), *[1] * len(kinds)]
    faults = tuple(
        Fault(
            at=random.randint(500 * MILLISECOND, drawn.lasts - 1_500 * MILLISECOND),
            kind=random.choices(names, weights)[0],
            lasts=random.choice([100, 600, 1_500, 3_000]) * random.randint(500, 1_500) * MILLISECOND // 1_000,
            draw=random.getrandbits(32),
        )
        for _ in range(random.randint(4, 12))
    )
    first = Fault(random.randint(200, 2_000) * MILLISECOND, "move", 0, random.getrandbits(32))
    drawn = replace(drawn, faults=(first, *faults))
    if not kinds and random.random() < 0.15:  # masters alone: what is lost with them is with the source, if anywhere
        drawn = replace(drawn, replicas=0, min_acks=0, ends_known=1.0)
    return replace(drawn, **fixed)


def first_topology(plan: Plan) -> Topology:
    nodes = tuple(
        Node(node_id("u", name), name, shard, "", "", 0, 0, "replica" if i else "master", f"{name}/1")
        for shard in range(2)
        for i in range(1 + plan.replicas)
        for name in [f"c-{shard}-{i}"]
    )
    shards = []
    for shard in range(2):
        members = [node.id for node in nodes if node.shard == shard]
        shards.append(Shard(shard, 1, members[0], tuple(members[1:]), plan.min_acks))
    return Topology("c", "u", 1, 0, 1, nodes, tuple(shards), OWNERS)


class MovingFaults(Faults):
    checks: SlotChecks
    nodes: list[MovingNode]
    operators: list[MovingOperator]

    def _change_min_acks(self, fault: Fault, random: Random) -> None:
        """Not to more than there are replicas, which no manifest may say: nothing would ever be settled."""
        super()._change_min_acks(fault, random)
        for operator in self.operators:
            if operator.wished_acks is not None:
                operator.wished_acks = min(operator.wished_acks, self.world.plan.replicas)

    def _move(self, _fault: Fault, random: Random) -> None:
        """Some slots are wanted elsewhere."""
        target = random.randrange(2)
        slots = [slot for slot in range(COUNT) if random.random() < 0.5] or [random.randrange(COUNT)]
        for operator in self.operators:
            operator.wanted |= dict.fromkeys(slots, target)

    def _cancel(self, _fault: Fault, _random: Random) -> None:
        for operator in self.operators:
            operator.cancels = True

    def _kill_shard(self, fault: Fault, random: Random) -> None:
        """All nodes of a shard at once: the target's, if something moves."""
        moves = self.api.topology.moves
        shard = moves[0].target if moves and random.random() < 0.8 else random.randrange(2)
        for node in self.nodes:
            if node.shard == shard:
                self._kill(fault, random, node=node)

    def _crash_in_a_move(self, fault: Fault, random: Random) -> None:
        """Somebody dies just after the next step of this kind."""
        step = random.choice(["released", "held", "settled", "taken"])
        whom = random.choice(["source", "target", "target's shard", "operator"])

        def watch(seen: str, move: Move) -> None:
            if seen == step:
                self.checks.watch = lambda *_: None
                delay = int(random.random() * random.choice([5, 100, 400]) * MILLISECOND)
                self.world.after(delay, self._crash, fault, random, whom, move)

        self.checks.watch = watch

    def _crash(self, fault: Fault, random: Random, whom: str, move: Move) -> None:
        if self.world.tell:
            self.world.tell(f"--- {whom} of move {move.id} crashes")
        if whom == "operator":
            self._kill_operator(fault, random)
            return
        shards = self.api.topology.shards
        for node in self.nodes:
            if (whom == "target's shard" and node.shard == move.target) or (
                whom in ("source", "target") and node.id == shards[getattr(move, whom)].master
            ):
                self._kill(fault, random, node=node)

    def _break_feed(self, _fault: Fault, random: Random) -> None:
        for node in self.nodes:
            node.someone_breaks(random)


class MovingHistory(History):
    nodes: list[MovingNode]
    first = staticmethod(first_topology)

    def __init__(self, plan: Plan, tell: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self.world = World(plan, tell and self._told(tell))
        topology = self.first(plan)
        self.checks = SlotChecks(self.world, topology)
        self.api = Api(self.world, self.checks, topology)
        self.nodes = [
            MovingNode(self.world, self.checks.shards[node.shard], i, node) for i, node in enumerate(topology.nodes)
        ]
        self.operators = [MovingOperator(self.world, self.checks, self.api, place) for place in OPERATORS]
        for node in self.nodes:
            node.operators = {operator.place: operator for operator in self.operators}
            node.everybody = self.nodes
            node.peers = {other.id: other for other in self.nodes if other.shard == node.shard}
            node.topology = topology
        for operator in self.operators:
            operator.nodes = {node.id: node for node in self.nodes}
        for of in self.checks.shards:
            of.nodes = [node for node in self.nodes if node.shard == of.shard]
        for node in self.nodes:
            node.start()
            self.world.after(node.index * MILLISECOND, node.beat)
        self.faults = MovingFaults(self.world, self.checks, self.api, self.nodes, self.operators)
        for fault in plan.faults:
            self.world.after(fault.at, self.faults.befall, fault)
        self.world.after(50 * MILLISECOND, self._clients)

    def _is_well(self) -> bool:
        """Both shards are; every slot is where it is wanted, and nothing lies where it has no reason to."""
        topology = self.api.topology
        wanted = self.operators[0].wanted
        return (
            all(self._is_shard_well(topology, shard) for shard in topology.shards)
            and not topology.moves
            and all(topology.owners[slot] == shard for slot, shard in wanted.items())
            and not any(self._has_leftovers(node) for node in self.nodes)
        )

    def _is_shard_well(self, topology: Topology, shard: Shard) -> bool:
        master = next(node for node in self.nodes if node.id == shard.master)
        process = master.process
        return (
            process is not None
            and process.rules.lease is not None
            and process.rules.lease.term == shard.term
            and process.serves_until() > master.clock.read(self.world.now)
            and len(shard.voters) == self.plan.replicas
            and shard.former is None
            and master.topology is not None
            and master.topology.epoch == topology.epoch
        )

    def _has_leftovers(self, node: MovingNode) -> bool:
        return node.process is not None and node.has_leftovers(node.process)


def run_moves(plan: Plan, tell: Callable[[str], None] | None = None) -> Outcome:
    return MovingHistory(plan, tell).run()
