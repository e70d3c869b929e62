"""What a `Fault` does."""

from __future__ import annotations

from random import Random

from simulation.api import Api
from simulation.checks import Checks
from simulation.network import API, OPERATORS, Clock, World
from simulation.node import Process, SimNode
from simulation.operators import SimOperator
from simulation.plan import MILLISECOND, Fault

LEAVES_WITHIN, LOOKS_EVERY = 4_000 * MILLISECOND, 50 * MILLISECOND


class Faults:
    def __init__(
        self, world: World, checks: Checks, api: Api, nodes: list[SimNode], operators: list[SimOperator]
    ) -> None:
        self.world, self.checks, self.api = world, checks, api
        self.nodes, self.operators = nodes, operators
        self.ended: list[str] = []
        """Runs that ended, whether or not an operator knows."""
        self.over = 0
        """When the last node that is away is back: one that is told to end may take its time before that."""

    def befall(self, fault: Fault) -> None:
        random = Random(fault.draw)
        if self.world.tell:
            self.world.tell(f"--- {fault.kind} for {fault.lasts // MILLISECOND} ms")
        getattr(self, "_" + fault.kind.replace(" ", "_"))(fault, random)

    def _someone(self, random: Random) -> SimNode | None:
        """The master every other time."""
        alive = [node for node in self.nodes if node.process is not None]
        if not alive:
            return None
        masters = [node for node in alive if node.id == self.api.topology.shards[node.shard].master]
        node = random.choice(masters if masters and random.random() < 0.5 else alive)
        self.checks.failures += 1
        return node

    def _kill(self, fault: Fault, random: Random, *, reboots: bool = False, node: SimNode | None = None) -> None:
        node = node or self._someone(random)
        if node is None or node.process is None:
            return
        shard = node.process.rules.shard
        if shard is not None and node.process.rules.voter.promised > shard.term:
            self.checks.saw("restart after a promise")
        run = node.kill(self.world.plan.disks, random)
        if self.world.tell:
            self.world.tell(f"{node.name} dies with {node.saved[0]} on its disk")
        if random.random() < 0.15:
            self.checks.loses_disk()
            node.state, node.topology, node.saved = None, None, (None, 0)
        if random.random() < self.world.plan.ends_known or self.world.is_quiet:  # then all ends are told
            self._ended(run, int(random.random() * 500 * MILLISECOND))
        else:
            self.ended.append(run)
        if reboots:
            rate = node.clock.rate
            base = node.clock.read(self.world.now) + random.randint(-20_000, 20_000) * MILLISECOND
            node.clock = Clock(base, rate, self.world.now)
        self.over = max(self.over, self.world.now + fault.lasts)
        self.world.after(fault.lasts, self._start, node, int(random.random() * 300 * MILLISECOND))

    def _reboot(self, fault: Fault, random: Random) -> None:
        self._kill(fault, random, reboots=True)

    def _leave(self, fault: Fault, random: Random) -> None:
        """A node is told to end, and says so."""
        node = self._someone(random)
        if node is not None and node.process is not None and not node.process.leaving:
            node.process.leaving = True
            is_master = node.process.rules.lease is not None
            self._left(node, node.process, fault, random, is_master, self.world.now + LEAVES_WITHIN)

    def _left(
        self, node: SimNode, process: Process, fault: Fault, random: Random, was_master: bool, until: int
    ) -> None:
        """A master ends when it is none any more, or after a while; a replica at once."""
        if node.process is not process:
            return
        if process.rules.lease is not None and self.world.now < until:
            self.world.after(LOOKS_EVERY, self._left, node, process, fault, random, was_master, until)
            return
        if was_master and process.rules.lease is None:
            self.checks.saw("left after another was master")
        self._kill(fault, random, node=node)

    def _start(self, node: SimNode, loads: int) -> None:
        if node.process is None:
            node.start(loads=loads)

    def _end(self, node: SimNode, process: Process, random: Random) -> None:
        """A node whose lease process lost its state starts again: only as another run it counts again."""
        if node.process is process:
            self._ended(node.kill("kept", random), 0)
            node.start()

    def _ended(self, run: str, delay: int) -> None:
        self.ended.append(run)
        for operator in self.operators:
            self.world.after(delay, operator.end, run)

    def tell_all_ends(self) -> None:
        for run in self.ended:
            for operator in self.operators:
                operator.end(run)

    def _kill_lease_process(self, fault: Fault, random: Random) -> None:
        promised = [
            node
            for node in self.nodes
            if (process := node.process)
            and process.rules.shard
            and process.rules.voter.promised > process.rules.shard.term
        ]
        node = random.choice(promised) if promised else self._someone(random)
        if node is None:
            return
        self.checks.failures += bool(promised)
        loses_state = random.random() < 0.1
        node.kill_lease_process(loses_state=loses_state)
        if loses_state:
            self.world.after(fault.lasts, self._end, node, node.process, random)

    def _pause(self, fault: Fault, random: Random) -> None:
        node = self._someone(random)
        if node is not None and node.process is not None:
            node.process.paused_until = self.world.now + fault.lasts

    def _stall(self, fault: Fault, random: Random) -> None:
        node = self._someone(random)
        if node is not None and node.process is not None:
            node.process.stalled_until = self.world.now + fault.lasts

    def _cut(self, fault: Fault, random: Random, *, one_way: bool = False) -> None:
        """Some of the nodes and operators from the others."""
        places = [node.index for node in self.nodes] + list(OPERATORS)
        node = self._someone(random)
        alone = {node.index if node else 0}
        alone |= {place for place in places if random.random() < 0.3}
        self.checks.failures += len(alone) - 1
        cut = {(one, other) for one in alone for other in places if other not in alone}
        self._cut_off(cut if one_way else cut | {(other, one) for one, other in cut}, fault.lasts)

    def _cut_one_way(self, fault: Fault, random: Random) -> None:
        self._cut(fault, random, one_way=True)

    def _cut_link(self, fault: Fault, random: Random) -> None:
        """Between two nodes; everybody else hears both."""
        node = self._someone(random)
        if node is not None:
            other = random.choice([other.index for other in self.nodes if other is not node])
            self._cut_off({(node.index, other), (other, node.index)}, fault.lasts)

    def _cut_api(self, fault: Fault, random: Random) -> None:
        operator = random.choice(OPERATORS) if random.random() < 0.5 else self._leader()
        cut = [{(operator, API)}, {(API, operator)}, {(operator, API), (API, operator)}]
        self._cut_off(random.choice(cut), fault.lasts)

    def _cut_off(self, cut: set[tuple[int, int]], lasts: int) -> None:
        self.world.cut |= cut
        self.world.after(lasts, self._heal, cut)

    def _heal(self, cut: set[tuple[int, int]]) -> None:
        self.world.cut -= cut

    def _leader(self) -> int:
        return max(self.api.holder, OPERATORS[0])

    def _pause_operator(self, fault: Fault, _random: Random) -> None:
        self.operators[self._leader() - OPERATORS[0]].paused_until = self.world.now + fault.lasts

    def _kill_operator(self, _fault: Fault, _random: Random) -> None:
        self.operators[self._leader() - OPERATORS[0]].reset()

    def _slow_api(self, fault: Fault, _random: Random) -> None:
        self.api.slow_until = self.world.now + fault.lasts

    def _hand_over(self, _fault: Fault, random: Random) -> None:
        target = random.choice(self.nodes)
        for operator in self.operators:
            if operator.is_leading:
                operator.arbiters[target.shard].hand_over(target.id)

    def _scale(self, fault: Fault, random: Random) -> None:
        """A replica fewer is asked for, and after a while as many as before."""
        if len(self.nodes) < 3:
            return
        self.scale_to(frozenset({random.choice(self.nodes).id}))
        self.world.after(fault.lasts, self.scale_to, frozenset())

    def scale_to(self, unwanted: frozenset[str]) -> None:
        self.unwanted = unwanted
        for operator in self.operators:
            operator.wants_without(unwanted)

    def _change_min_acks(self, _fault: Fault, random: Random) -> None:
        wished = random.choice([0, 1, 2])
        for operator in self.operators:
            operator.wished_acks = wished
