"""The invariants. Each is checked at the events that could break it, for all of the time until the next one.

1. A shard has one master a term, and no command is answered as master after the first one answered by the next.
2. What was acknowledged with `minAcks ≥ 1` is with every later master, unless no quorum was to be had (`recovery`);
   that one is not needed after a single failure, and loses nothing if it waits for all and the disks keep all.
3. An epoch has one author.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from simulation.data import Entry, holds
from simulation.network import World

from ringkeeper.cluster import lease
from ringkeeper.cluster.changes import Appoint, SetVoters, electorates
from ringkeeper.cluster.topology import Topology

if TYPE_CHECKING:
    from simulation.node import Process, SimNode


class Violation(Exception):
    """An invariant does not hold."""


class Checks:
    def __init__(self, world: World, topology: Topology, shard: int = 0) -> None:
        self.world, self.shard = world, shard
        self.nodes: list[SimNode] = []
        self.seen: Counter[str] = Counter()
        self.answered_term = 0
        self.masters: dict[int, str] = {}
        """The run that answered, by term."""
        self.acknowledged: Entry | None = None
        """The last write whose reply left."""
        self.authors: dict[int, int] = {topology.epoch: topology.leader}
        self.leader = topology.leader
        self.transitions: set[tuple[str, str]] = set()
        self.leading: tuple[int, int] | None = None
        self.failures = 0
        """What has befallen nodes and the ways between them so far."""
        self.lost_disk = False
        self.recovered: set[int] = set()
        """The terms that began without a quorum."""

    def leads(self, place: int, life: int) -> None:
        """An operator has its number committed: the first, the same one again, or another (or its next start)."""
        if self.leading is not None and self.leading != (place, life):
            self.saw("leader change")
        self.leading = (place, life)

    def moved(self, table: Mapping[tuple[str, str], str], before: str, after: str) -> None:
        """The tables, from which the diagrams are drawn, know what happens."""
        if (before, after) not in table:
            raise Violation(f"no table has the transition from {before} to {after}")
        self.transitions.add((before, after))

    def loses_disk(self) -> None:
        """A node returns with nothing, whatever `Plan.disks` says."""
        self.lost_disk = True

    def saw(self, what: str) -> None:
        self.seen[what] += 1

    # --- 1

    def serving(self, node: SimNode, process: Process) -> bool:
        """After every event of a process: it answers clients from now on, if it may. Whether it does."""
        world = self.world
        now = node.clock.read(world.now)
        mode = process.rules.mode(now)
        if mode != process.mode:
            if process.mode:
                self.moved(lease.TRANSITIONS, process.mode, mode)
            process.mode = mode
        until = process.serves_until()
        if until == 0:
            return False
        if until <= now:
            if process.has_answered and process.is_awake(world.now) and not process.was_fenced:
                process.was_fenced = True
                self.saw("fenced master")
            return False
        if not process.is_awake(world.now):
            return False
        process.was_fenced = False
        process.has_answered = True
        assert process.rules.lease is not None
        self._answers(node, process, process.rules.lease.term)
        return True

    def _answers(self, node: SimNode, process: Process, term: int) -> None:
        if term < self.answered_term:
            raise Violation(f"{node.name} answers as master of term {term} after one of term {self.answered_term} did")
        if self.masters.setdefault(term, process.run_id) != process.run_id:
            raise Violation(f"{node.name} answers as master of term {term}, which {self.masters[term]} was")
        if term == self.answered_term:
            return
        before, self.answered_term = self.answered_term, term
        self._has_what_was_acknowledged(node, process, before)
        for other in self.nodes:
            old = other.process
            if old is not None and old is not process and old.could_answer_later(self.world.now):
                assert old.rules.lease is not None
                raise Violation(
                    f"{node.name} answers as master of term {term} while {other.name} may still answer as that of "
                    f"term {old.rules.lease.term}"
                )

    # --- 2

    def acknowledge(self, node: SimNode, entry: Entry) -> None:
        if entry.term < self.answered_term:
            raise Violation(f"{node.name} acknowledges {entry} after one of term {self.answered_term} has answered")
        if not holds(entry, self.acknowledged):
            raise Violation(f"{node.name} acknowledges {entry} without {self.acknowledged}, acknowledged before")
        self.acknowledged = entry

    def _has_what_was_acknowledged(self, node: SimNode, process: Process, before: int) -> None:
        """At the first answer in a term; `before`: the last term in which there was one."""
        if holds(process.head, self.acknowledged):
            return
        term = self.answered_term
        has_recovered = any(before < recovered <= term for recovered in self.recovered)
        keeps_all = self.world.plan.disks == "kept" and not self.lost_disk
        if not has_recovered or (self.world.plan.policy == "waitForAll" and keeps_all):
            raise Violation(
                f"{node.name}, master of term {term}, has {process.head} and lacks {self.acknowledged}, acknowledged"
            )
        self.saw("loss by recovery")
        self.acknowledged = None

    # --- 3

    def committed(self, topology: Topology, number: int) -> None:
        if self.authors.setdefault(topology.epoch, number) != number or topology.epoch != max(self.authors):
            raise Violation(f"epoch {topology.epoch} of leader {number} has another author, or comes too late")
        if topology.leader != number or number < self.leader:
            raise Violation(f"leader {number} commits an epoch after leader {self.leader}")
        self.leader = number
        shard = topology.shards[self.shard]
        if all(min_acks == 0 for _, min_acks in electorates(topology, shard)):
            self.acknowledged = None

    def changed(self, topology: Topology, change: object) -> None:
        """A change was committed, whether or not its author heard of it."""
        if isinstance(change, Appoint):
            self.saw("handover" if change.cause == "handover" else "promotion")
            # By a leader that has just begun and has heard of nobody else yet: until it has, one more may not fail.
            self.failures += not change.voters
            if change.is_recovery:
                self.saw("recovery")
                self.recovered.add(topology.shards[self.shard].term)
                plan = self.world.plan
                if self.failures < 2 and plan.min_acks and plan.replicas > 1 and not plan.loss and not plan.slow:
                    raise Violation(f"no quorum was to be had after a single failure: {change.cause}")
        elif isinstance(change, SetVoters):
            self.saw("membership change")
