"""An operator: the Kubernetes Lease, its number in the topology, then whatever its arbiter says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from simulation.api import LEASE_DURATION, TIMEOUT, Api
from simulation.checks import Checks
from simulation.network import Clock, World
from simulation.node import ENCODED
from simulation.plan import MILLISECOND

from ringkeeper.cluster import arbiter as arbiter_module
from ringkeeper.cluster.arbiter import Arbiter, Recovery, Verdict
from ringkeeper.cluster.changes import carried_out, with_leader, with_voters
from ringkeeper.cluster.handover import Policy
from ringkeeper.cluster.lease import Sent, leads_until
from ringkeeper.cluster.messages import Heartbeat, Message, Promise, decode, encode
from ringkeeper.cluster.topology import Node, Topology

if TYPE_CHECKING:
    from simulation.node import SimNode

RENEW = 1_000 * MILLISECOND


def listing(id_: str, name: str, shard: int, run_id: str) -> Node:
    """What the topology says of a replica."""
    return Node(id_, name, shard, "", "", 0, 0, "replica", run_id)


class Request:
    """One that is under way. Its sender forgets it when it takes too long: then its outcome is uncertain."""

    __slots__ = ("sent", "then")

    def __init__(self, sent: int, then: Callable[[Any], None]) -> None:
        self.sent, self.then = sent, then


class SimOperator:
    shards = 1

    def __init__(self, world: World, checks: Checks, api: Api, place: int) -> None:
        self.world, self.checks, self.api, self.place = world, checks, api, place
        drift = world.plan.drift
        self.clock = Clock(world.random.randint(0, 10**12), 1 + world.random.choice([-drift, 0, drift]))
        self.nodes: dict[str, SimNode] = {}
        self.ends: list[str] = []
        """Runs whose end is certain."""
        self.unwanted: frozenset[str] = frozenset()
        """The nodes that the manifest does not ask for."""
        self.paused_until = 0
        self.life = 0
        self.reset()

    def reset(self) -> None:
        """A new process: it remembers nothing."""
        self.life += 1
        recovery = Recovery(Policy(self.world.plan.policy), 3_000 * MILLISECOND)
        self.arbiters = tuple(Arbiter(shard, recovery) for shard in range(self.shards))
        self.until = 0
        """Until when it may act by its Kubernetes Lease, its own clock; 0: it does not hold it."""
        self.seen: tuple[tuple[int, int], int] | None = None
        """The Lease as it was read last, and since when it is so."""
        self.known: Topology | None = None
        self.version = 0
        self.is_leading = False
        self.states = ["following"] * self.shards
        self.commit: Request | None = None
        self.lease: Request | None = None
        self.next_lease = 0
        self.wished_acks: int | None = None
        self.wants_without(self.unwanted)
        self.pushed_at: dict[str, int] = {}
        self.next_tick = 0
        self.tick(self.life)

    @property
    def now(self) -> int:
        return self.clock.read(self.world.now)

    def may_act(self) -> bool:
        return self.now < self.until

    # --- its own beat

    def tick(self, life: int) -> None:
        if life != self.life:
            return
        if self.world.now < self.paused_until:
            self.world.after(self.paused_until - self.world.now, self.tick, life)
            return
        now = self.now
        self._forget(now)
        if now >= self.next_lease and self.lease is None:
            self.next_lease = now + RENEW
            self._look_at_lease(now)
        if self.is_leading:
            self._act(now)
        due = min(now + RENEW // 2, self.next_lease)
        if self.is_leading:
            due = min(due, *(arbiter.due(now) for arbiter in self.arbiters))
        self.world.after(max(MILLISECOND, int((due - now) / self.clock.rate) + 1), self.tick, life)

    def _forget(self, now: int) -> None:
        """Requests that got no answer."""
        if self.lease is not None and now - self.lease.sent > TIMEOUT:
            self.lease = None
        if self.commit is not None and now - self.commit.sent > TIMEOUT:
            request, self.commit = self.commit, None
            request.then(...)

    def _ask(self, call: Callable[..., Any], then: Callable[[Any], None], *arguments: Any) -> Request:
        request = Request(self.now, then)
        life = self.life

        def answered(result: Any) -> None:
            if life != self.life or request not in (self.commit, self.lease):
                return
            if self.world.now < self.paused_until:
                self.world.after(self.paused_until - self.world.now, answered, result)
                return
            if request is self.lease:
                self.lease = None
            else:
                self.commit = None
            then(result)

        self.api.request(self.place, call, answered, *arguments)
        return request

    # --- the Kubernetes Lease

    def _look_at_lease(self, now: int) -> None:
        def read(found: tuple[int, int]) -> None:
            if self.seen is None or self.seen[0] != found:
                self.seen = (found, self.now)
            holder, _ = found
            is_free = holder == -1 or self.now - self.seen[1] >= LEASE_DURATION
            if holder == self.place or is_free:
                self._take_lease(found)

        self.lease = self._ask(self.api.lease, read)
        self.lease.sent = now

    def _take_lease(self, found: tuple[int, int]) -> None:
        sent = self.now

        def taken(is_mine: bool) -> None:
            if not is_mine:
                return
            has_lapsed = not self.may_act()
            self.until = leads_until(sent, LEASE_DURATION)
            self.seen = ((self.place, found[1] + 1), self.now)
            if self.must_number_again(has_lapsed):
                self.is_leading = False
            if self.is_leading:
                for arbiter in self.arbiters:
                    arbiter.renewed(self.until, self.now)
            elif self.commit is None:
                self._number()

        self.lease = self._ask(self.api.take_lease, taken, self.place, found)

    def must_number_again(self, has_lapsed: bool) -> bool:
        """Another may have led meanwhile."""
        return has_lapsed

    # --- its number

    def _number(self) -> None:
        """Its first act, and its act after a commit of uncertain outcome."""
        self.is_leading = False
        self.states = ["following"] * self.shards
        for arbiter in self.arbiters:
            arbiter.resign()
        if self.may_act() and self.commit is None:
            self.commit = self._ask(self.api.read, self._commit_number)

    def _commit_number(self, read: Any) -> None:
        if read is ... or not self.may_act():
            return
        topology, version = read
        numbered = with_leader(topology, topology.leader + 1)

        def then(new: Any) -> None:
            if new is None or new is ...:
                return
            self.leads(numbered, new)

        self._commit(numbered, None, version, then)

    def leads(self, topology: Topology, version: int) -> None:
        self.known, self.version = topology, version
        self.is_leading = True
        self.checks.leads(self.place, self.life)
        for arbiter in self.arbiters:
            arbiter.lead(topology.leader, topology, now=self.now, until=self.until)
            for run in self.ends:
                arbiter.end(run, self.now)
        if self.world.tell:
            self.world.tell(f"operator {self.place} leads with number {topology.leader}")
        self.pushed_at.clear()
        self._push_all()

    def _commit(self, topology: Topology, change: object, version: int, then: Callable[[Any], None]) -> None:
        request = self._ask(
            self.api.commit, then, topology, change, version, topology.leader, lambda: request is not self.commit
        )
        self.commit = request

    # --- acting

    def receive(self, message: Message) -> None:
        if not self.is_leading:
            return
        if self.world.now < self.paused_until:
            self.world.after(self.paused_until - self.world.now, self.receive, message)
            self.world.events -= 1
            return
        now = self.now
        if self.world.events % ENCODED == 0:
            message = decode(encode(message))
        if self.world.tell:
            self.world.tell(f"operator {self.place} hears {message}")
        arbiter = self.arbiters[message.shard]
        self._send(arbiter.on(message, now))
        if isinstance(message, Heartbeat):
            self._push_to_late(message, now)
        if isinstance(message, Promise) or arbiter.suspicion or (isinstance(message, Heartbeat) and message.released):
            self._act(now)

    def end(self, run_id: str) -> None:
        """The runtime tells it: that process has ended, for certain."""
        if run_id in self.ends:
            return
        self.ends.append(run_id)
        if self.is_leading:
            for arbiter in self.arbiters:
                arbiter.end(run_id, self.now)

    def wants_without(self, unwanted: frozenset[str]) -> None:
        self.unwanted = unwanted
        for arbiter in self.arbiters:
            arbiter.leaving = unwanted

    def _scaled(self, topology: Topology) -> Topology | None:
        """A node that is not asked for leaves once it is a replica that has no vote; one that is asked for comes."""
        nodes = tuple(
            node
            for node in topology.nodes
            for shard in [topology.shards[node.shard]]
            if node.id not in self.unwanted or node.id == shard.master or node.id in shard.voters or shard.former
        )
        listed = {node.id for node in nodes}
        nodes += tuple(
            listing(node.id, node.name, node.shard, process.run_id)
            for node in self.nodes.values()
            if node.id not in listed | self.unwanted and (process := node.process) is not None
        )
        return None if nodes == topology.nodes else replace(topology, epoch=topology.epoch + 1, nodes=nodes)

    def _send(self, sent: list[Sent]) -> None:
        for id_, message in sent:
            node = self.nodes[id_]
            self.world.send(self.place, node.index, node.receive, None, self.place, message)

    def _push_to_late(self, heartbeat: Heartbeat, now: int) -> None:
        known = self.known
        if (
            known is not None
            and heartbeat.epoch < known.epoch
            and now - self.pushed_at.get(heartbeat.id, 0) > RENEW // 4
        ):
            self._push(heartbeat.id, now)

    def _push(self, id_: str, now: int) -> None:
        self.pushed_at[id_] = now
        node = self.nodes[id_]
        self.world.send(self.place, node.index, node.push, None, self.known)

    def _push_all(self) -> None:
        for id_ in self.nodes:
            self._push(id_, self.now)

    def _act(self, now: int) -> None:
        for arbiter in self.arbiters:
            self._send(arbiter.tick(now))
        if self.commit is not None or not self.may_act():
            return
        verdicts = tuple(arbiter.verdict(now) for arbiter in self.arbiters)
        for i, verdict in enumerate(verdicts):
            if verdict.state != self.states[i]:
                self.checks.moved(arbiter_module.TRANSITIONS, self.states[i], verdict.state)
                self.states[i] = verdict.state
        topology, change = self._next(verdicts)
        if topology is not None:
            if self.world.tell:
                reasons = "; ".join(verdict.reason for verdict in verdicts)
                self.world.tell(f"operator {self.place} commits epoch {topology.epoch}: {reasons}; {change}")
            self._commit(topology, change, self.version, self._then(topology))

    def _next(self, verdicts: tuple[Verdict, ...]) -> tuple[Topology | None, object]:
        """What to commit now, and the change that it is; None if nothing is."""
        known = self.known
        assert known is not None
        for verdict in verdicts:
            if verdict.change is not None:
                return carried_out(known, verdict.change), verdict.change
        if any(verdict.state != "healthy" for verdict in verdicts):
            return None, None
        return self._wished(known)

    def _wished(self, known: Topology) -> tuple[Topology | None, object]:
        """What people want of shards that are well."""
        if scaled := self._scaled(known):
            self.checks.saw("scale")
            return scaled, None
        if self.wished_acks is None:
            return None, None
        topology = known
        for shard in known.shards:
            topology = with_voters(topology, shard.index, shard.voters, self.wished_acks) or topology
        self.wished_acks = None
        return (None if topology is known else replace(topology, epoch=known.epoch + 1)), None

    def _then(self, topology: Topology) -> Callable[[Any], None]:
        def committed(version: Any) -> None:
            if version is ... or version is None or not self.is_leading:
                self._number()
                return
            self.known, self.version = topology, version
            for arbiter in self.arbiters:
                arbiter.follow(topology, self.now)
            self._push_all()

        return committed
