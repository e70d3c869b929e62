"""A node: its lease process (the rules), its command loop and its replication, as far as leases depend on them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from simulation.checks import Checks
from simulation.data import Entry, at_offset, holds, offset_of
from simulation.network import OPERATORS, Clock, World
from simulation.plan import MILLISECOND

from ringkeeper.cluster.handover import Giving, Release
from ringkeeper.cluster.lease import OPERATOR, NodeLease, Pledge, Sent, VoterState
from ringkeeper.cluster.member import refusal
from ringkeeper.cluster.messages import AskRelease, Hello, Message, decode, encode
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import Node, Topology

if TYPE_CHECKING:
    from simulation.operators import SimOperator

INTERVAL = 500 * MILLISECOND
ENCODED = 50
"""Each so many-th event, a message goes through its datagram: always would take most of the time."""


class Process:
    """One start of a node."""

    def __init__(self, run_id: str, rules: NodeLease, head: Entry | None, stream_term: int) -> None:
        self.run_id = run_id
        self.rules = rules
        self.head = head
        self.stream_term = stream_term
        self.is_loading = False
        self.is_syncing = False
        self.paused_until = 0
        """Real time; all of the process stands still."""
        self.stalled_until = 0
        """Real time; only its command loop does."""
        self.progress_at = 0
        """Its own time."""
        self.release: Release | None = None
        self.leaving = False
        self.acked: dict[str, int] = {}
        """By run id, in the present term, what the replicas have."""
        self.pending: list[Entry] = []
        """Writes whose replies wait."""
        self.operator = -1
        self.has_answered = False
        self.was_fenced = False
        self.is_ticking = False
        self.mode = ""
        self.inherited = (0, 0)
        """The deadline that a lease process before this one had counted, and by which epoch: it stands in memory."""

    def serves_until(self) -> int:
        """By its own clock; 0 if it is no master."""
        until = self.rules.until()
        deadline, epoch = self.inherited
        rules = self.rules
        if rules.lease is None or rules.released or rules.topology is None or rules.topology.epoch != epoch:
            return until
        return max(until, deadline)

    def is_awake(self, now: int) -> bool:
        return now >= self.paused_until and now >= self.stalled_until

    def could_answer_later(self, now: int) -> bool:
        """Whether its lease is in force when it runs (again), if no further message arrives."""
        until = self.serves_until()
        return until > 0 and until > self.clock.read(max(now, self.paused_until, self.stalled_until))

    clock: Clock


BOOTED = 10**12
"""Machines were on for a while: what a process remembers is no time from before its clock began."""


class SimNode:
    def __init__(self, world: World, checks: Checks, index: int, listed: Node) -> None:
        self.world, self.checks, self.index = world, checks, index
        self.id, self.name, self.shard = listed.id, listed.name, listed.shard
        drift = world.plan.drift
        self.clock = Clock(BOOTED + world.random.randint(0, 10**12), 1 + world.random.choice([-drift, 0, drift]))
        self.process: Process | None = None
        self.starts = 0
        # The disk.
        self.state: VoterState | None = None
        self.topology: Topology | None = None
        self.saved: tuple[Entry | None, int] = (None, 0)
        self.operators: dict[int, SimOperator] = {}
        self.peers: dict[str, SimNode] = {}

    # --- its life

    def start(self, run_id: str | None = None, loads: int = 0) -> Process:
        self.starts += 1
        run = run_id or f"{self.name}/{self.starts}"
        head, term = self.saved
        process = self.new_process(run, NodeLease(self.id, run, state=self.state), head, term)
        process.clock = self.clock
        self.process = process
        self.state = process.rules.state
        if loads:
            process.is_loading = True
            self.world.after(loads, self._loaded, process)
        if self.topology is not None:
            self._obey(process, self.topology)
        return process

    def new_process(self, run_id: str, rules: NodeLease, head: Entry | None, stream_term: int) -> Process:
        return Process(run_id, rules, head, stream_term)

    def _loaded(self, process: Process) -> None:
        process.is_loading = False

    def kill(self, keeps: str, random: Random) -> str:
        """What is on the disk then is what `Plan.disks` says; returns the run that ended."""
        process = self.process
        assert process is not None
        head = process.head
        if keeps == "none":
            head = None
        elif keeps == "behind":
            head = at_offset(head, offset_of(head) - random.choice([0, 0, 1, 2, 5]))
        self.saved = (head, min(process.stream_term, head.term) if head else 0)
        self.process = None
        return process.run_id

    def kill_lease_process(self, *, loses_state: bool) -> None:
        process = self.process
        assert process is not None
        if process.rules.voter.promised > (process.rules.shard.term if process.rules.shard else 0):
            self.checks.saw("restart after a promise")
        epoch = process.rules.topology.epoch if process.rules.topology else 0
        process.inherited = (process.serves_until(), epoch)
        if loses_state:
            self.state = None
        process.rules = self.restarted_rules(process, self.state)
        if self.topology is not None:
            self._send(process.rules.follow(self.topology, self.clock.read(self.world.now)), process)

    def restarted_rules(self, process: Process, state: VoterState | None) -> NodeLease:
        now = self.clock.read(self.world.now)
        return NodeLease(self.id, process.run_id, state=state, restarted_at=now)

    # --- what arrives

    def _postponed(self, process: Process | None, call: Any, *arguments: Any) -> bool:
        """A paused process finds what arrived when it goes on."""
        if process is None or process is not self.process:
            return True
        if self.world.now < process.paused_until:
            delay = process.paused_until - self.world.now + int(self.world.random.random() * 5 * MILLISECOND)
            self.world.events -= 1
            self.world.after(delay, call, *arguments)
            return True
        return False

    def receive(self, process: Process | None, sender: int, message: Message) -> None:
        """`process` is the one to which it was sent, None for whichever runs."""
        process = process or self.process
        if process is None or self._postponed(process, self.receive, process, sender, message):
            return
        now = self._report(process)
        if self.world.events % ENCODED == 0:
            message = decode(encode(message))
        if self.world.tell:
            self.world.tell(f"{self.name} hears {message}")
        if isinstance(message, Hello) and message.leader >= process.rules.voter.leader:
            process.operator = sender
        if isinstance(message, AskRelease):
            self._asked_to_release(process, message, now)
        answer = process.rules.on(message, now)
        if isinstance(answer, Pledge):
            process.is_syncing = False
            self._pledge(process, answer)
        elif answer:
            self._send(answer, process)
        if process.release is not None:
            self._settle_release(process, now)
        self.checks.serving(self, process)

    def _report(self, process: Process) -> int:
        """What the lease process finds in the shared memory; returns its clock."""
        now = self.clock.read(self.world.now)
        if self.world.now >= process.stalled_until:
            process.progress_at = now
        lease = process.rules.lease
        position = Position(lease.term if lease else process.stream_term, offset_of(process.head))
        process.rules.node_says(
            position,
            candidate=not (process.is_loading or process.is_syncing),
            progress_at=process.progress_at,
            released=process.release.to if process.release else "",
            leaving=process.leaving,
        )
        return now

    def _send(self, sent: list[Sent], process: Process) -> None:
        for id_, message in sent:
            if id_ == OPERATOR:
                if process.operator in OPERATORS:
                    operator = self.operators[process.operator]
                    self.world.send(self.index, operator.place, operator.receive, message)
            else:
                peer = self.peers[id_]
                self.world.send(self.index, peer.index, peer.receive, None, self.index, message)

    # --- promises

    def _pledge(self, process: Process, pledge: Pledge) -> None:
        """The state goes to the disk, and the command loop stops the old stream, before the promise goes out."""
        delay = int(self.world.random.random() * 20 * MILLISECOND)
        delay += max(0, process.stalled_until - self.world.now)
        self.world.after(delay, self._pledged, process, process.rules, pledge)

    def _pledged(self, process: Process, rules: NodeLease, pledge: Pledge) -> None:
        if self._postponed(process, self._pledged, process, rules, pledge) or rules is not process.rules:
            return
        self.state = pledge.state
        now = self._report(process)
        self._send(
            rules.pledged(pledge, rules.position, candidate=rules.candidate, now=now),
            process,
        )

    # --- topologies

    def push(self, process: Process | None, topology: Topology) -> None:
        process = process or self.process
        if process is None or self._postponed(process, self.push, process, topology):
            return
        if self.topology == topology or refusal(self.topology, topology, cluster_uid="u") is not None:
            return
        self.topology = topology
        self._obey(process, topology)

    def _obey(self, process: Process, topology: Topology) -> None:
        """Node and lease process act by it at once."""
        rules = process.rules
        before = rules.lease
        now = self._report(process)
        sent = rules.follow(topology, now)
        if rules.lease is not None and rules.lease is not before:
            process.release = Release(process.run_id)
            process.acked.clear()
            process.pending.clear()
            process.stream_term = rules.lease.term
            process.was_fenced = process.has_answered = False
            sent = rules.follow(topology, self._report(process))
        elif rules.lease is None:
            process.release = None
        if self.world.tell:
            term = topology.shards[self.shard].term
            self.world.tell(f"{self.name} obeys epoch {topology.epoch}, term {term}: {rules.role}")
        self._align(process)
        self._send(sent, process)
        if rules.lease is not None and not process.is_ticking:
            process.is_ticking = True
            self.world.after(int(INTERVAL / self.clock.rate), self._tick, process)
        self.checks.serving(self, process)

    def _align(self, process: Process) -> None:
        """Its data are brought in line with its topology, before anything is answered by it."""

    def _tick(self, process: Process) -> None:
        """Every heartbeat interval, of a master."""
        if self._postponed(process, self._tick, process):
            return
        if process.rules.lease is None:
            process.is_ticking = False
            return
        now = self._report(process)
        self._send(process.rules.tick(now), process)
        self._stream(process)
        self.checks.serving(self, process)
        self.world.after(int(INTERVAL / self.clock.rate), self._tick, process)

    # --- handover

    def _asked_to_release(self, process: Process, ask: AskRelease, now: int) -> None:
        release = process.release
        if release is None or self.world.now < process.stalled_until or not process.rules.obeys(ask):
            return
        target = self.topology and self.topology.node(ask.target)
        if target is None:
            return
        release.ask(target.run_id, offset_of(process.head), process.acked.get(target.run_id, -1), now)
        self._stream(process)

    def _settle_release(self, process: Process, now: int) -> None:
        release = process.release
        assert release is not None
        release.tick(now, holds_lease=process.serves_until() > now)
        if release.state is Giving.RELEASED and not process.rules.released:
            self.checks.saw("release")
            if self.world.tell:
                self.world.tell(f"{self.name} releases term {process.stream_term} at {process.head}")
            now = self._report(process)
            self._send([(OPERATOR, process.rules.heartbeat(now))], process)

    # --- clients and replication

    def write(self) -> None:
        """A client writes to whoever lets it."""
        process = self.process
        if process is None or not process.is_awake(self.world.now):
            return
        now = self._report(process)
        release = process.release
        if release is not None:
            self._settle_release(process, now)
        self.checks.serving(self, process)
        if release is None or release.state is not Giving.NOTHING or process.serves_until() <= now:
            return
        assert process.rules.lease is not None
        process.head = Entry(process.rules.lease.term, process.head)
        process.pending.append(process.head)
        self._stream(process)

    def _stream(self, process: Process) -> None:
        lease, topology = process.rules.lease, self.topology
        if lease is None or topology is None or self.world.now < process.stalled_until:
            return
        for peer in self.peers.values():
            if peer is not self:
                self.world.send(
                    self.index, peer.index, peer.follow_stream, None, process.run_id, lease.term, process.head, topology
                )

    def follow_stream(
        self, process: Process | None, run_id: str, term: int, head: Entry | None, topology: Topology
    ) -> None:
        """Part of a master's stream, or a snapshot if what is here is no beginning of it."""
        process = process or self.process
        if process is None or self._postponed(process, self.follow_stream, process, run_id, term, head, topology):
            return
        if self.topology is None or topology.epoch > self.topology.epoch:
            self.push(process, topology)
        if not self._follows(process, run_id, term):
            return
        if holds(head, process.head):
            if self.world.random.random() < 0.1:
                head = at_offset(head, max(offset_of(process.head), offset_of(head) - 1))
            self._apply(process, run_id, term, head)
        elif process.stream_term == term and holds(process.head, head):
            self._ack(process, run_id, term)
        elif not process.is_syncing:
            process.is_syncing = True
            delay = int(self.world.random.random() * 800 * MILLISECOND)
            self.world.after(delay, self._synced, process, run_id, term, head)

    def _follows(self, process: Process, run_id: str, term: int) -> bool:
        """Whether it is a replica of that run in that term, and promised no later one."""
        rules = process.rules
        return (
            rules.role == "replica"
            and rules.shard is not None
            and rules.shard.term == term
            and rules.master is not None
            and rules.master.run_id == run_id
            and not process.is_loading
            and self.world.now >= process.stalled_until
            and self.may_acknowledge(process, term)
        )

    def may_acknowledge(self, process: Process, term: int) -> bool:
        return process.rules.voter.bound <= term

    def _synced(self, process: Process, run_id: str, term: int, head: Entry | None) -> None:
        if process is not self.process or not process.is_syncing:
            return
        process.is_syncing = False
        if self._follows(process, run_id, term):
            self._apply(process, run_id, term, head)

    def _apply(self, process: Process, run_id: str, term: int, head: Entry | None) -> None:
        process.head, process.stream_term = head, term
        self._ack(process, run_id, term)

    def _ack(self, process: Process, run_id: str, term: int) -> None:
        assert process.rules.master is not None
        master = self.peers[process.rules.master.id]
        self.world.send(
            self.index, master.index, master.acknowledged, None, run_id, term, process.run_id,
            offset_of(process.head),
        )  # fmt: skip

    def acknowledged(self, process: Process | None, run_id: str, term: int, replica: str, offset: int) -> None:
        process = process or self.process
        if process is None or self._postponed(process, self.acknowledged, process, run_id, term, replica, offset):
            return
        lease = process.rules.lease
        if process.run_id != run_id or lease is None or lease.term != term or not process.is_awake(self.world.now):
            return
        process.acked[replica] = max(offset, process.acked.get(replica, 0))
        now = self._report(process)
        if process.release is not None:
            process.release.confirm(replica, offset, now)
            self._settle_release(process, now)
        self._reply(process, now)
        self.checks.serving(self, process)

    def _reply(self, process: Process, now: int) -> None:
        """Replies leave whose writes enough voters have, if the lease is still held."""
        assert self.topology is not None
        shard = self.topology.shards[self.shard]
        if not process.pending or not shard.min_acks:
            process.pending.clear()
            return
        have = sorted((process.acked.get(voter.run_id, 0) for voter in self.topology.voter_runs(shard)), reverse=True)
        if len(have) < shard.min_acks or process.serves_until() <= now:
            return
        mark = have[shard.min_acks - 1]
        done = [entry for entry in process.pending if entry.offset <= mark]
        if done:
            process.pending = [entry for entry in process.pending if entry.offset > mark]
            self._replied(done)

    def _replied(self, done: list[Entry]) -> None:
        self.checks.acknowledge(self, done[-1])
