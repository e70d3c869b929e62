"""Leases as a node sees them: what lets a master serve, and what a voter has given and promised.

No clock is read here and none is compared with another's: `now` is the caller's monotonic clock in nanoseconds
(`CLOCK_BOOTTIME`), read after a message has arrived and before anything is sent. The rules, from the design's §6:

- A master may serve until `stamp + lease` of the operator's last grant, or of the grants of a majority of its voters,
  whichever is later. Only its own stamps count: of this run and term, and not from the future.
- Who grants reckons with `lease × 1.11` from the receipt of the stamp, so that clocks which go wrong by ± 5 % agree.
- A voter that promised a term grants in no earlier term again, and acknowledges no write of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ringkeeper.cluster.messages import (
    NEVER,
    AskPromise,
    AskRelease,
    Grant,
    Heartbeat,
    Hello,
    Message,
    Promise,
    Refusal,
)
from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.topology import Node, Shard, Topology

MILLISECOND = 1_000_000
OPERATOR = ""
"""The destination of what goes to the operator: to where the last `Hello` of the highest leader came from."""

Sent = tuple[str, Message]
"""A node id or `OPERATOR`, and what is for it."""


MODES = {
    "unassigned": "the topology does not name this start of the node: it serves nothing and grants nothing",
    "granting": "a replica: it grants the master that the topology names what that asks for",
    "promised": "it promised a later term: it grants and acknowledges nothing in an older one",
    "mute": "its lease process lost its state: it neither grants nor promises nor acknowledges in this run",
    "fenced": "a master that holds no lease: it answers `CLUSTERDOWN`",
    "serving": "a master that holds a lease, or needs none",
    "released": "a master that gave up its term for good",
}
"""Of a node (`NodeLease.mode`)."""

TRANSITIONS = {
    ("unassigned", "granting"): "an epoch names this run",
    ("unassigned", "promised"): "asked, though nobody counts on it: it may be the most recent of those that are left",
    ("unassigned", "mute"): "its lease process started again without its state",
    ("granting", "promised"): "asked, and it hears no master that is well",
    ("granting", "fenced"): "an epoch appoints it",
    ("granting", "serving"): "an epoch appoints it, without voters",
    ("granting", "unassigned"): "an epoch lists it no more",
    ("granting", "mute"): "its lease process started again without its state",
    ("promised", "granting"): "an epoch of that term or a later one",
    ("promised", "unassigned"): "an epoch of that term or a later one, which does not name this run",
    ("promised", "fenced"): "an epoch appoints it",
    ("promised", "serving"): "an epoch appoints it, without voters",
    ("promised", "mute"): "its lease process started again without its state",
    ("mute", "fenced"): "an epoch appoints it, by an earlier promise",
    ("mute", "serving"): "an epoch appoints it, by an earlier promise and without voters",
    ("fenced", "serving"): "the operator or a majority of its voters granted",
    ("fenced", "released"): "asked to give up its term, whose voters grant it nothing more",
    ("fenced", "granting"): "an epoch appoints another",
    ("fenced", "promised"): "an epoch appoints another, and it has promised a term after that one already",
    ("fenced", "mute"): "an epoch appoints another, and its lease process had lost its state",
    ("serving", "fenced"): "no grant is in force any more, or it is appointed anew",
    ("serving", "released"): "asked to hand over, and the target has confirmed its offset",
    ("serving", "granting"): "an epoch appoints another (its own lease had run out, by the clock of who waited)",
    ("serving", "mute"): "an epoch appoints another, and its lease process had lost its state",
    ("fenced", "unassigned"): "an epoch appoints another, and one lists it no more",
    ("serving", "unassigned"): "an epoch appoints another, and one lists it no more",
    ("released", "unassigned"): "an epoch appoints another, and one lists it no more",
    ("released", "mute"): "an epoch appoints another, and its lease process had lost its state",
    ("released", "fenced"): "an epoch appoints it anew",
    ("released", "serving"): "an epoch appoints it anew, without voters",
    ("released", "granting"): "an epoch appoints another",
}
"""Which mode follows on which, and when; another run begins anew as `unassigned`, unless an epoch names it already."""


def wait_for(lease: int) -> int:
    """How long who granted `lease` must reckon with it: 1.11 > 1.05 ÷ 0.95, the worst of two clocks."""
    return (lease * 111 + 99) // 100


def leads_until(sent: int, duration: int) -> int:
    """Until when an operator may act whose Kubernetes Lease of `duration` was renewed by a request sent at `sent`.

    Another takes the Lease after it saw no renewal for `duration` by its own clock, so not before that.
    """
    return sent + duration * 100 // 111


def majority(voters: int) -> int:
    return voters // 2 + 1


def to_grant(lease: int, heartbeat: Heartbeat) -> int:
    """What is left of a lease that is counted from when the master's command loop last moved; 0 if nothing.

    So a master whose loop hangs has no lease any more when it is suspected, and who grants need not wait for another.
    """
    return max(0, lease - heartbeat.progress_age)


class MasterLease:
    """Counts the grants to one run in one term, and says until when it may serve."""

    def __init__(self, topology: Topology, shard: Shard, run_id: str) -> None:
        self.term = shard.term
        self.run_id = run_id
        self.operator_until = 0
        self.until_by_voter: dict[str, int] = {}
        """By run id; those who are no voters (any more) as well: the topology says who counts."""
        self.follow(topology, shard)

    def follow(self, topology: Topology, shard: Shard) -> None:
        """Another epoch of the same term: other voters may count now."""
        self.voters = tuple(voter.run_id for voter in topology.voter_runs(shard))

    def on_grant(self, grant: Grant, now: int) -> None:
        if not self.is_mine(grant, now):
            return
        until = grant.stamp + grant.lease
        if grant.leader:
            self.operator_until = max(self.operator_until, until)
        else:
            self.until_by_voter[grant.run_id] = max(self.until_by_voter.get(grant.run_id, 0), until)

    def is_mine(self, grant: Grant, now: int) -> bool:
        """Whether it repeats a stamp that this run gave in this term."""
        return grant.to == self.run_id and grant.term == self.term and grant.stamp <= now

    def until(self) -> int:
        """Until when this run may serve in its term, by its own clock; `NEVER` ends it where there are no voters."""
        if not self.voters:
            return NEVER
        untils = sorted((self.until_by_voter.get(run, 0) for run in self.voters), reverse=True)
        return max(self.operator_until, untils[majority(len(untils)) - 1])


@dataclass(frozen=True, slots=True)
class VoterState:
    """What a voter must find again when its lease process starts anew.

    On the disk before a new run sends its first message (`NodeLease.state`), and before each promise (`Pledge`).
    """

    run_id: str
    """Of the node: another start of it is another voter, whose past does not bind and does not count."""
    promised: int
    """The highest term."""
    leader: int
    """The highest leader number obeyed."""


@dataclass(frozen=True, slots=True)
class Pledge:
    """A promise that is not given yet. Before `NodeLease.pledged` may be called, the caller

    1. has `state` on the disk, and
    2. has the node's command loop confirm that it applies and acknowledges nothing more of the streams of terms before
       `state.promised`; the position is read after that.
    """

    state: VoterState
    ask: AskPromise


class Voter:
    """What one run has granted and promised in its shard. Every node has one, whatever its role."""

    def __init__(self, run_id: str, state: VoterState | None, *, restarted_at: int | None) -> None:
        """`restarted_at`: this run's lease process died and started again, at that time; None: the run is new.

        A new run starts with nothing: no topology names it yet, so it neither grants nor counts. A restarted process
        reckons as if it had granted at its start; without its state it says nothing more in this run.
        """
        mine = state is not None and state.run_id == run_id
        self.run_id = run_id
        self.has_forgotten = restarted_at is not None and not mine
        self.promised = state.promised if state and mine else 0
        self.leader = state.leader if state else 0
        self.restarted_at = restarted_at
        self.granted_until = 0
        """By when, on its own clock, the last grant has run out for certain."""
        self.master_heard_at = -NEVER
        self.master_was_well = False
        self.master_moved_at = -NEVER
        """When its command loop last made progress, as far as this voter knows."""
        self.master = ""
        """Run id of the master that was heard."""

    def grant(self, heartbeat: Heartbeat, lease: int, now: int) -> Grant | None:
        """For a heartbeat of the master that the topology names, in its term, to a voter that it names as well."""
        self.master_heard_at, self.master = now, heartbeat.run_id
        self.master_was_well = heartbeat.lease_until > heartbeat.stamp
        self.master_moved_at = now - heartbeat.progress_age
        length = to_grant(lease, heartbeat)
        if self.has_forgotten or self.promised > heartbeat.term or not length:
            return None
        self.granted_until = max(self.granted_until, now + wait_for(length))
        return Grant(heartbeat.shard, heartbeat.term, self.run_id, heartbeat.run_id, heartbeat.stamp, length, leader=0)

    def why_not(self, ask: AskPromise, term: int, lease: int, now: int) -> str | None:
        """A key of `REFUSALS`, or None. `term` is that of the topology held."""
        if ask.leader < self.leader:
            return "leader"
        if self.has_forgotten:
            return "forgot"
        if ask.term <= term:
            return "term"
        if self.promised >= ask.term:
            return "promised" if self.promised > ask.term else None
        hears = now - self.master_moved_at < lease and self.master_was_well and self.master != ask.ended
        return "master" if hears else None

    @property
    def bound(self) -> int:
        """The term before which it acknowledges nothing of a stream: the highest that it may have promised.

        Where it cannot know that, `NEVER`: whoever has its promise counts on its last word.
        """
        return NEVER if self.has_forgotten else self.promised

    def pledge(self, ask: AskPromise) -> Pledge:
        """From now on nothing is granted in an earlier term, even if the disk then fails."""
        self.promised = ask.term
        self.leader = ask.leader
        return Pledge(VoterState(self.run_id, ask.term, ask.leader), ask)

    def remaining(self, lease: int, now: int) -> int:
        """How long a grant can still be in force."""
        until = self.granted_until
        if self.restarted_at is not None:
            until = max(until, self.restarted_at + wait_for(lease))
        return max(0, until - now)


class NodeLease:
    """The lease process of one node: a `Voter` always, and a `MasterLease` while the topology names this run master.

    Driven by `follow` (a topology that the node has on its disk), `on` (a message), `tick` (every heartbeat interval).
    What is returned is to be sent.
    """

    def __init__(
        self, id_: str, run_id: str, *, state: VoterState | None = None, restarted_at: int | None = None
    ) -> None:
        self.id = id_
        self.run_id = run_id
        self.voter = Voter(run_id, state, restarted_at=restarted_at)
        self.lease: MasterLease | None = None
        """While this run is master."""
        self.topology: Topology | None = None
        self.shard: Shard | None = None
        self.master: Node | None = None
        self.role = "unassigned"
        self.lease_length = 0
        # What the node says of itself, by `node_says`.
        self.position: Position = NOTHING
        self.candidate = False
        self.progress_at = 0
        self.released = ""
        self.leaving = False

    @property
    def state(self) -> VoterState:
        """What a new run has on the disk before it sends anything."""
        return VoterState(self.run_id, self.voter.promised, self.voter.leader)

    def node_says(
        self, position: Position, *, candidate: bool, progress_at: int, released: str = "", leaving: bool = False
    ) -> None:
        """What the next heartbeats tell. `released`: the node serves no more in this term (`handover.Release.to`).

        `leaving`: it was told to end, and is no candidate whatever data it has.
        """
        self.position = position
        self.leaving = leaving
        self.candidate = candidate and not leaving
        self.progress_at = progress_at
        self.released = released

    def follow(self, topology: Topology, now: int) -> list[Sent]:
        """A later epoch. Heartbeats go out at once, so that a new master need not wait for its first grants."""
        mine = topology.node(self.id)
        self.topology = topology
        self.shard = topology.shard(mine.shard) if mine else None
        self.lease_length = topology.lease_ms * MILLISECOND
        self.voter.leader = max(self.voter.leader, topology.leader)
        if mine is None or self.shard is None:
            self.role, self.lease, self.master = "unassigned", None, None
            return []
        self.master = topology.node(self.shard.master)
        is_named = mine.run_id == self.run_id
        is_master = is_named and self.shard.master == self.id
        self.role = ("master" if is_master else "replica") if is_named else "unassigned"
        if not is_master:
            self.lease = None
        elif self.lease is not None and self.lease.term == self.shard.term:
            self.lease.follow(topology, self.shard)
        else:
            self.lease = MasterLease(topology, self.shard, self.run_id)
            self.released = ""
        return [(OPERATOR, self.heartbeat(now)), *self.tick(now)]

    def until(self) -> int:
        """Until when this node may answer as a master, by its own clock; 0 if it is none."""
        return 0 if self.lease is None or self.released else self.lease.until()

    def mode(self, now: int) -> str:
        """One of `MODES`: what this node's word is worth at the moment."""
        if self.lease is not None:
            if self.released:
                return "released"
            return "serving" if self.lease.until() > now else "fenced"
        if self.voter.has_forgotten:
            return "mute"
        if self.topology is not None and self.shard is None:
            return "unassigned"
        if self.voter.promised > (self.shard.term if self.shard else 0):
            return "promised"
        return "granting" if self.role == "replica" else "unassigned"

    def heartbeat(self, now: int) -> Heartbeat:
        return Heartbeat(
            self.shard.index if self.shard else 0,
            self.shard.term if self.shard else 0,
            self.id,
            self.run_id,
            self.topology.epoch if self.topology else 0,
            self.role,
            now,
            self.until(),
            max(0, now - self.progress_at),
            self.position,
            self.candidate,
            self.voter.promised,
            self.released,
            self.leaving,
        )

    def tick(self, now: int) -> list[Sent]:
        """Every heartbeat interval: a master asks its voters for grants."""
        if self.lease is None or self.shard is None:
            return []
        heartbeat = self.heartbeat(now)
        return [(voter, heartbeat) for voter in self.shard.voters]

    def on(self, message: Message, now: int) -> list[Sent] | Pledge:
        """A `Pledge` is to be made good, then `pledged` called; anything else is to be sent."""
        if isinstance(message, Heartbeat):
            return self._grant(message, now)
        if isinstance(message, Grant):
            if self.lease is not None and message.leader >= (self.voter.leader if message.leader else 0):
                self.lease.on_grant(message, now)
                self.voter.leader = max(self.voter.leader, message.leader)
            return []
        if isinstance(message, Hello):
            if message.leader < self.voter.leader:
                return []
            self.voter.leader = message.leader
            heartbeat = self.heartbeat(now)
            return [(OPERATOR, heartbeat if self.shard else replace(heartbeat, shard=message.shard))]
        if isinstance(message, AskPromise):
            return self._promise(message, now)
        return []

    def obeys(self, ask: AskRelease) -> bool:
        """Whether a master must begin to hand over (`handover.Release`): it was asked, in this term, by its leader."""
        return (
            self.lease is not None
            and (ask.run_id, ask.term) == (self.run_id, self.lease.term)
            and ask.leader >= self.voter.leader
        )

    def _grant(self, heartbeat: Heartbeat, now: int) -> list[Sent]:
        shard, master = self.shard, self.master
        if (
            self.role != "replica"
            or shard is None
            or master is None
            or heartbeat.role != "master"
            or heartbeat.shard != shard.index
            or heartbeat.run_id != master.run_id
            or heartbeat.term != shard.term
        ):
            return []
        grant = self.voter.grant(heartbeat, self.lease_length, now)
        return [] if grant is None else [(master.id, grant)]

    def _promise(self, ask: AskPromise, now: int) -> list[Sent] | Pledge:
        if self.shard is not None and ask.shard != self.shard.index:
            return []
        term = self.shard.term if self.shard else 0
        why = "master" if self.lease else self.voter.why_not(ask, term, self.lease_length, now)
        if why is not None:
            return [(OPERATOR, Refusal(ask.shard, ask.term, self.id, self.run_id, ask.leader, why))]
        return self.voter.pledge(ask)

    def pledged(self, pledge: Pledge, position: Position, *, candidate: bool, now: int) -> list[Sent]:
        """The pledge is on the disk and the stream stopped, at `position`: the promise may go out."""
        ask = pledge.ask
        if self.voter.promised != ask.term or (self.shard is not None and self.shard.term >= ask.term):
            return []
        candidate = candidate and not self.leaving
        self.position, self.candidate = position, candidate
        remaining = self.voter.remaining(self.lease_length, now)
        promise = Promise(ask.shard, ask.term, self.id, self.run_id, ask.leader, position, candidate, remaining)
        return [(OPERATOR, promise)]
