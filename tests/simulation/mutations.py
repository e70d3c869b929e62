"""Every rule, left out in turn: the simulator must find what it was for.

A mutation patches the rules (or, where the rule is for those who use them, the simulated node, operator or API) for as
long as its context lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from simulation import operators
from simulation.api import Api
from simulation.checks import Checks
from simulation.node import Process, SimNode
from simulation.operators import SimOperator
from simulation.plan import Plan, plan

from ringkeeper.cluster import arbiter, changes, lease
from ringkeeper.cluster.arbiter import Arbiter
from ringkeeper.cluster.changes import Appoint
from ringkeeper.cluster.handover import Choice, Giving, Release
from ringkeeper.cluster.lease import MasterLease, NodeLease, Voter, VoterState
from ringkeeper.cluster.messages import NEVER, Grant, Heartbeat
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import Node, Shard, Topology, VoterRun

Patch = tuple[Any, str, Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    rule: str
    """What holds, and is left out."""
    patches: Callable[[], list[Patch]]
    kinds: tuple[str, ...] = ()
    """The faults that bring it out; all kinds if none are named."""
    fixed: dict[str, Any] = field(default_factory=dict)
    """What the plans have in common."""

    def plan(self, seed: int) -> Plan:
        return plan(seed, self.kinds, **self.fixed)

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(patch.object(Checks, "moved", lambda *_: None))  # an invariant must break, not a table
            for where, name, what in self.patches():
                stack.enter_context(patch.object(where, name, what))
            yield


MUTATIONS: dict[str, Mutation] = {}


def mutation(rule: str, *kinds: str, **fixed: Any) -> Callable[[Callable[[], list[Patch]]], Callable[[], list[Patch]]]:
    def register(patches: Callable[[], list[Patch]]) -> Callable[[], list[Patch]]:
        MUTATIONS[patches.__name__.replace("_", "-")] = Mutation(rule, patches, kinds, fixed)
        return patches

    return register


# --- leases


@mutation("A promotion waits until all grants have run out.", "cut", "cut one way", "pause")
def no_wait_for_leases() -> list[Patch]:
    fence = Arbiter._fence

    def hurried(self: Arbiter, now: int) -> tuple[str, int]:
        wait, at = fence(self, now)
        return wait, at if at == NEVER else 0

    return [(Arbiter, "_fence", hurried)]


@mutation("The operator waits for its own grants as well.", "stall", "cut link", replicas=1)
def own_grants_forgotten() -> list[Patch]:
    grant = Arbiter._grant

    def forgetful(self: Arbiter, heartbeat: Heartbeat, now: int) -> Any:
        before = self.granted_until
        sent = grant(self, heartbeat, now)
        self.granted_until = before
        return sent

    return [(Arbiter, "_grant", forgetful)]


@mutation(
    "A new leader counts as having granted every shard when it became leader.",
    "cut one way",
    "cut link",
    "kill operator",
    "pause",
    replicas=1,
)
def new_leader_has_granted_nothing() -> list[Patch]:
    lead = Arbiter.lead

    def fresh(self: Arbiter, *arguments: Any, **named: Any) -> None:
        before = self.granted_until
        lead(self, *arguments, **named)
        self.granted_until = before

    return [(Arbiter, "lead", fresh)]


@mutation(
    "Who granted reckons with 1.11 of the lease: clocks go wrong by 5 %.", "cut", "cut one way", "stall", drift=0.05
)
def clocks_taken_for_equal() -> list[Patch]:
    return [(module, "wait_for", lambda length: length) for module in (arbiter, lease)]


@mutation(
    "A master counts a grant from the stamp that it sent, not from the grant's receipt.", "cut", "cut one way", slow=0.1
)
def lease_from_receipt() -> list[Patch]:
    on_grant = MasterLease.on_grant

    def late(self: MasterLease, grant: Grant, now: int) -> None:
        if self.is_mine(grant, now):
            on_grant(self, replace(grant, stamp=now), now)

    return [(MasterLease, "on_grant", late)]


@mutation(
    "A stamp of another run or term, or from the future, is discarded.",
    "reboot",
    "hand over",
    "cut",
    replays=0.3,
    disks="kept",
    replicas=1,
)
def foreign_stamp() -> list[Patch]:
    return [(MasterLease, "is_mine", lambda *_: True)]


@mutation("A master needs grants of a majority of its voters.", "cut", "cut one way", replicas=3)
def minority_of_grants() -> list[Patch]:
    return [(lease, "majority", lambda _voters: 1)]


@mutation("The lease is checked again before a reply leaves.", "cut", "cut one way", "pause", min_acks=1)
def reply_without_lease() -> list[Patch]:
    reply = SimNode._reply

    def unchecked(self: SimNode, process: Process, _now: int) -> None:
        reply(self, process, -NEVER)

    return [(SimNode, "_reply", unchecked)]


@mutation("A process serves only what the topology gives to this start of it.", "kill")
def restarted_master_resumes() -> list[Patch]:
    follow = NodeLease.follow

    def resume(self: NodeLease, topology: Topology, now: int) -> Any:
        mine = topology.node(self.id)
        assert mine is not None
        return follow(self, changes_run(topology, mine, self.run_id), now)

    return [(NodeLease, "follow", resume)]


def changes_run(topology: Topology, node: Node, run_id: str) -> Topology:
    nodes = tuple(replace(node, run_id=run_id) if other.id == node.id else other for other in topology.nodes)
    return replace(topology, nodes=nodes)


# --- promises


@mutation("A voter that promised grants in no older term.", "cut", "cut one way", replicas=2)
def promised_voter_grants() -> list[Patch]:
    grant = Voter.grant

    def lax(self: Voter, heartbeat: Heartbeat, length: int, now: int) -> Any:
        promised, self.promised = self.promised, 0
        answer = grant(self, heartbeat, length, now)
        self.promised = promised
        return answer

    return [(Voter, "grant", lax)]


@mutation("A voter that promised acknowledges no write of an older term.", "cut", "cut one way", min_acks=1, slow=0.1)
def promised_voter_acknowledges() -> list[Patch]:
    return [(SimNode, "may_acknowledge", lambda *_: True)]


@mutation(
    "A lease process that restarts finds its promise on the disk.",
    "cut",
    "cut one way",
    "kill lease process",
    replicas=2,
)
def promise_forgotten_on_restart() -> list[Patch]:
    def forgetful(self: SimNode, process: Process, _state: VoterState | None) -> NodeLease:
        now = self.clock.read(self.world.now)
        return NodeLease(self.id, process.run_id, state=VoterState(process.run_id, 0, 0), restarted_at=now)

    return [(SimNode, "restarted_rules", forgetful)]


@mutation(
    "A voter whose lease process lost its promise acknowledges nothing more.",
    "leave",
    "kill lease process",
    "kill lease process",
    "kill lease process",
    min_acks=1,
    replicas=3,
)
def forgotten_promise_does_not_bind() -> list[Patch]:
    return [(Voter, "bound", property(lambda self: self.promised))]


@mutation("A promise is on the disk before it is sent.", "cut", "cut one way", "kill lease process", replicas=2)
def promise_not_on_disk() -> list[Patch]:
    pledged = SimNode._pledged

    def undurable(self: SimNode, *arguments: Any) -> None:
        before = self.state
        pledged(self, *arguments)
        self.state = before

    return [(SimNode, "_pledged", undurable)]


@mutation(
    "A lease process that restarts reckons as if it had granted at its start.",
    "cut",
    "cut one way",
    "kill lease process",
    "pause",
    replicas=1,
)
def grant_forgotten_on_restart() -> list[Patch]:
    def fresh(self: SimNode, process: Process, state: VoterState | None) -> NodeLease:
        rules = NodeLease(self.id, process.run_id, state=state, restarted_at=0)
        rules.voter.restarted_at = None
        return rules

    return [(SimNode, "restarted_rules", fresh)]


@mutation("So many voters promise that the rest is no majority.", "cut", "cut one way", replicas=3, min_acks=0)
def one_promise_is_enough() -> list[Patch]:
    return [(arbiter, "majority", lambda voters: voters)]


@mutation(
    "minAcks counts in the quorum: one who has each acknowledged write is in it.",
    "cut",
    "cut one way",
    "kill",
    min_acks=1,
    replicas=2,
)
def min_acks_left_out() -> list[Patch]:
    quorum = Arbiter._quorum

    def careless(self: Arbiter, now: int) -> str:
        before = self.electorates
        self.electorates = tuple((voters, 0) for voters, _ in before)
        try:
            return quorum(self, now)
        finally:
            self.electorates = before

    return [(Arbiter, "_quorum", careless)]


@mutation(
    "Only who is still there vouches for acknowledged writes.", "cut", "cut one way", "kill", min_acks=1, replicas=2
)
def promise_of_one_that_is_gone() -> list[Patch]:
    quorum = Arbiter._quorum

    def counting_all(self: Arbiter, now: int) -> str:
        if self._best(now) is None:
            return "nobody is there"
        with patch.object(Arbiter, "_candidates", lambda self, _now: dict(self.promises)):
            return quorum(self, now)

    return [(Arbiter, "_quorum", counting_all)]


@mutation(
    "A process that restarts voids its promise: the run that promised is appointed, not the node.",
    "kill",
    "cut",
    disks="none",
    ends_known=0.0,
)
def promise_of_an_earlier_run() -> list[Patch]:
    promote = Arbiter._promote

    def is_live(self: Arbiter, id_: str, _run: str, now: int) -> bool:
        last = self.heard.get(id_)
        return last is not None and now - last.at < self.lease

    def present_run(self: Arbiter, run: str | None, cause: str, now: int) -> Appoint:
        change = promote(self, run, cause, now)
        id_ = change.master.id
        return replace(change, master=VoterRun(id_, self.heard[id_].heartbeat.run_id))

    class Keeping(dict[str, Any]):
        def pop(self, *_: Any) -> None:  # type: ignore[override]
            """Nothing is voided."""

    new_term = Arbiter._new_term

    def keep(self: Arbiter, now: int) -> None:
        new_term(self, now)
        self.promises = Keeping()

    return [(Arbiter, "_is_live", is_live), (Arbiter, "_promote", present_run), (Arbiter, "_new_term", keep)]


# --- whom to appoint


@mutation(
    "The most recent is the one of the latest term, and only then of the greatest offset.",
    "cut",
    "cut one way",
    "kill",
    min_acks=1,
    replicas=2,
)
def offset_without_term() -> list[Patch]:
    def longest(self: Arbiter, now: int) -> str | None:
        candidates = self._candidates(now)
        return max(candidates, key=lambda run: candidates[run].position.offset, default=None)

    return [(Arbiter, "_best", longest), (Arbiter, "_has_base", lambda *_: True)]


@mutation(
    "Who lacks what the last master had when it was appointed is not appointed.",
    "cut",
    "cut one way",
    "kill",
    min_acks=1,
    replicas=2,
)
def base_left_out() -> list[Patch]:
    return [(Arbiter, "_has_base", lambda *_: True)]


@mutation(
    "After all were down, it waits for the others before one is chosen.",
    "kill",
    policy="waitForAll",
    disks="kept",
    min_acks=1,
)
def first_that_returns() -> list[Patch]:
    def hurried(present: dict[str, Position], *_: Any, **__: Any) -> Choice:
        return Choice(max(present, default=None), "it is there")

    return [(arbiter, "recover", hurried)]


# --- voters


def _without_former() -> list[Patch]:
    with_shard = changes._with

    def alone(topology: Topology, shard: Shard) -> Topology:
        return with_shard(topology, replace(shard, former=None))

    return [(changes, "_with", alone)]


@mutation(
    "The majorities of the former voters are blocked too until the master has acknowledged the change.",
    "cut",
    "cut one way",
    "kill",
)
def no_joint_voters() -> list[Patch]:
    return _without_former()


@mutation(
    "Former voters count until the master has acknowledged the epoch that changed them.", "cut", "cut one way", "kill"
)
def settled_without_acknowledgement() -> list[Patch]:
    return [(Arbiter, "_is_settled", lambda _self: True)]


@mutation(
    "Former voters count until enough of the new ones have what was acknowledged.",
    "kill",
    "cut",
    min_acks=1,
    replicas=2,
    ends_known=1.0,
)
def settled_before_the_voters_caught_up() -> list[Patch]:
    return [(Arbiter, "_is_settled", lambda self: self.acknowledged is not None)]


@mutation(
    "A replica that starts again is no voter until it has caught up.",
    "kill",
    disks="none",
    min_acks=1,
    replicas=1,
    ends_known=0.0,
)
def restarted_voter_still_votes() -> list[Patch]:
    def renamed(topology: Topology, node: Node, **_: Any) -> Topology:
        nodes = tuple(node if other.id == node.id else other for other in topology.nodes)
        return replace(topology, epoch=topology.epoch + 1, nodes=nodes)

    return [(changes, "with_run", renamed)]


@mutation("Only voters' acknowledgements count for minAcks.", "kill", "cut", min_acks=1, replicas=3)
def any_replica_acknowledges() -> list[Patch]:
    reply = SimNode._reply

    def counting(self: SimNode, process: Process, now: int) -> None:
        topology = self.topology
        assert topology is not None
        shard = topology.shards[0]
        replicas = tuple(node.id for node in topology.nodes if node.id != self.id)
        self.topology = replace(topology, shards=(replace(shard, voters=replicas),))
        reply(self, process, now)
        self.topology = topology

    return [(SimNode, "_reply", counting)]


@mutation(
    "A master that had no voters needs no lease, so it cannot be failed over.", "cut", "cut one way", "kill", replicas=1
)
def master_without_voters_is_failed_over() -> list[Patch]:
    fence = Arbiter._fence

    def skipping(self: Arbiter, now: int) -> tuple[str, int]:
        before = self.electorates
        self.electorates = tuple(electorate for electorate in before if electorate[0])
        try:
            return fence(self, now)
        finally:
            self.electorates = before

    return [(Arbiter, "_fence", skipping)]


# --- handover


@mutation("Only a committed epoch ends a release.", "hand over", "cut", "pause operator", "slow api")
def release_undone() -> list[Patch]:
    tick = Release.tick

    def impatient(self: Release, now: int, *, holds_lease: bool) -> None:
        tick(self, now, holds_lease=holds_lease)
        if self.state is Giving.RELEASED and now > self.until:
            self.state = Giving.NOTHING

    return [(Release, "tick", impatient)]


@mutation("A release is at an offset that the target confirmed.", "hand over", "kill", loss=0.2, min_acks=1)
def release_unconfirmed() -> list[Patch]:
    confirm = Release.confirm

    def trusting(self: Release, _replica: str, _offset: int, now: int) -> None:
        confirm(self, self.target, self.offset, now)

    return [(Release, "confirm", trusting)]


@mutation("A release counts for the run that confirmed, and for no other start of its node.")
def released_to_any_run() -> list[Patch]:
    released = Arbiter._released

    def by_node(self: Arbiter) -> str:
        run = released(self)
        return next((other for other in self.runs.values() if run and other.split("/")[0] == run.split("/")[0]), run)

    return [(Arbiter, "_released", by_node)]


# --- leaders and commits


@mutation("A leader stops before its Kubernetes Lease can be taken.", "cut", "cut one way", "cut api")
def old_leader_still_grants() -> list[Patch]:
    return [(operators, "leads_until", lambda sent, duration: sent + 10 * duration)]


@mutation("A commit that comes too late is refused: compare-and-set.", "slow api", "kill", "kill operator")
def late_commit_accepted() -> list[Patch]:
    return [(Api, "accepts", lambda *_: True)]


@mutation(
    "A leader's first act is to commit its number.",
    "slow api",
    "kill operator",
    "kill operator",
    "cut one way",
    "change min acks",
    "cut link",
    calms=True,
    min_acks=0,
    replicas=2,
)
def leader_without_a_number() -> list[Patch]:
    def act_at_once(self: SimOperator, read: Any) -> None:
        if read is not ... and self.may_act():
            self.leads(*read)

    return [(SimOperator, "_commit_number", act_at_once)]


@mutation(
    "A leader whose Lease had run out leads again only by a new number.",
    "pause operator",
    "cut api",
    "cut",
    "cut one way",
    "kill",
    replicas=2,
    calms=True,
)
def lapsed_leader_goes_on() -> list[Patch]:
    def extend(self: Arbiter, until: int, _now: int) -> None:
        self.until = until

    return [(SimOperator, "must_number_again", lambda *_: False), (Arbiter, "renewed", extend)]


@mutation(
    "After a commit of uncertain outcome a leader commits its number again.",
    "slow api",
    "kill",
    "pause",
    "cut one way",
    "change min acks",
    calms=True,
    min_acks=0,
)
def uncertain_commit_ignored() -> list[Patch]:
    then = SimOperator._then

    def going_on(self: SimOperator, topology: Topology) -> Callable[[Any], None]:
        committed = then(self, topology)

        def heard(version: Any) -> None:
            if version is not ...:
                committed(version)

        return heard

    return [(SimOperator, "_then", going_on)]


BEGIN = {
    "lapsed-leader-goes-on": 502,
    "no-wait-for-leases": 32,
    "own-grants-forgotten": 1,
    "new-leader-has-granted-nothing": 1440,
    "clocks-taken-for-equal": 48,
    "lease-from-receipt": 33,
    "foreign-stamp": 956,
    "minority-of-grants": 19,
    "reply-without-lease": 194,
    "restarted-master-resumes": 0,
    "promised-voter-grants": 11,
    "promised-voter-acknowledges": 970,
    "promise-forgotten-on-restart": 200,
    "forgotten-promise-does-not-bind": 690,
    "promise-not-on-disk": 200,
    "released-to-any-run": 1_321_361,
    "grant-forgotten-on-restart": 367,
    "one-promise-is-enough": 12,
    "min-acks-left-out": 1,
    "promise-of-one-that-is-gone": 1,
    "promise-of-an-earlier-run": 64,
    "offset-without-term": 56,
    "base-left-out": 56,
    "first-that-returns": 1,
    "no-joint-voters": 20,
    "settled-without-acknowledgement": 20,
    "settled-before-the-voters-caught-up": 1086,
    "restarted-voter-still-votes": 5,
    "any-replica-acknowledges": 125,
    "master-without-voters-is-failed-over": 44,
    "release-undone": 92,
    "release-unconfirmed": 48,
    "old-leader-still-grants": 376,
    "late-commit-accepted": 1,
    "leader-without-a-number": 251,
    "uncertain-commit-ignored": 300,
}
"""The first seed that shows it, when this was written: from there on the search is short."""
