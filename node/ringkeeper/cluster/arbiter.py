"""The operator's side of leases and failover: one `Arbiter` a shard.

Heartbeats go in; grants, and requests for promises and releases come out; `verdict` says how the shard is and which
change of the topology may be committed now. The operator's planner commits it (`changes.carried_out`, by
compare-and-set) and tells the arbiter every topology that it knows to be committed. No clock is read here: `now` is
the operator's monotonic clock, nanoseconds. The rules, from the design's §6:

- It acts only from its leader number's commit until before its Kubernetes Lease can be taken, and counts as having
  granted every shard when it became leader.
- A master is suspected after three missed heartbeats, three without a lease, or as long without progress. From then on
  it is granted nothing, and the voters are asked to promise the next term.
- Blocked is a master when so many of its voters promised (or ended) that the rest is no majority, and all grants that
  could count have run out; of the former voters too, until it has acknowledged that others count.
- Acknowledged writes are with a promised voter when at least v − minAcks + 1 of v promised.
- A run whose end is certain, and one that released its term, needs no blocking.
- A healthy master that says that it is leaving is asked to hand over to the voter that has the most.
- An election once begun (somebody promised) ends by an appointment in the next term: of the old master, if it is well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ringkeeper.cluster.changes import (
    Appoint,
    Basis,
    Change,
    NameRun,
    Settle,
    SetVoters,
    basis,
    electorates,
)
from ringkeeper.cluster.handover import Choice, Policy, recover
from ringkeeper.cluster.lease import MILLISECOND, Sent, majority, to_grant, wait_for
from ringkeeper.cluster.messages import (
    NEVER,
    REFUSALS,
    AskPromise,
    AskRelease,
    Grant,
    Heartbeat,
    Hello,
    Message,
    Promise,
    Refusal,
)
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import Node, Shard, Topology, VoterRun

ASKS = 5
"""Requests for promises and releases in a heartbeat interval: one who refuses now may promise in a moment."""
DROP_AFTER = 10
"""Leases of silence after which a voter is one no more, if enough others are left."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """The manifest's `failover.recoveryPolicy` and `recoveryTimeout` (here in nanoseconds)."""

    policy: Policy = Policy.MOST_RECENT
    timeout: int = 60_000 * MILLISECOND


@dataclass(frozen=True, slots=True)
class Verdict:
    state: str
    """One of `STATES`."""
    reason: str
    """In words: what is so, or for what it waits."""
    change: Change | None = None
    """What is to be committed now."""
    since: int = 0
    """Since when the shard has no healthy master, by the operator's clock; 0 if it has."""


STATES = {
    "following": "this operator does not lead",
    "healthy": "the master holds a lease and makes progress",
    "suspected": "it is granted nothing more, and the voters are asked to promise",
    "electing": "somebody promised the next term; it waits for promises, or for leases to run out",
    "appoint": "the next master may be committed",
    "cannot": "nobody may be appointed before something happens from outside",
}
TRANSITIONS = {
    ("following", "healthy"): "its number is committed; a master has three heartbeats to be heard",
    ("following", "suspected"): "its number is committed, and it knows that the master's run has ended",
    ("following", "electing"): "its number is committed, and a voter promised the next term to an earlier leader",
    ("following", "appoint"): "its number is committed, and the first that it hears is a release, or all that it needs",
    ("following", "cannot"): "its number is committed, and it knows that too many runs have ended",
    ("healthy", "suspected"): "three missed heartbeats, three without a lease, no progress, or a certain end",
    ("healthy", "electing"): "a voter promised the next term to an earlier leader",
    ("healthy", "appoint"): "the master released its term, or a promise was all that was missing",
    ("healthy", "cannot"): "the master's end is not certain and it needs no lease, or no quorum is to be had",
    ("suspected", "healthy"): "the master is heard again and nobody has promised, or was appointed",
    ("suspected", "electing"): "the first promise",
    ("suspected", "appoint"): "the promise that was missing, or a release",
    ("suspected", "cannot"): "the master is blocked, and no quorum is to be had",
    ("electing", "appoint"): "enough promised and all grants have run out, or the master released its term",
    ("electing", "cannot"): "the master is blocked, and no quorum is to be had",
    ("electing", "suspected"): "who promised has started again",
    ("electing", "healthy"): "who promised has started again, and the master is heard",
    ("cannot", "appoint"): "the missing node is back, recoveryTimeout is over, or the master released its term",
    ("cannot", "electing"): "the missing promise has come, and grants are still in force",
    ("cannot", "suspected"): "who promised has started again",
    ("cannot", "healthy"): "the master is heard again and nobody has promised",
    ("appoint", "electing"): "not committed yet (another shard's change was first), and the chosen one is gone",
    ("appoint", "healthy"): "committed",
    ("appoint", "suspected"): "committed, and the new master's end is already certain; or the chosen one is gone",
    ("appoint", "cannot"): "committed, and the new master's end is already certain; or the chosen one is gone",
}
"""Which verdict follows on which, and when. From each, `following` follows when the operator may act no more."""


@dataclass(slots=True)
class _Heard:
    heartbeat: Heartbeat
    at: int


@dataclass(frozen=True, slots=True)
class _Promised:
    id: str
    position: Position
    candidate: bool
    until: int
    """When the last grant of this run has run out, by the operator's clock."""


class Arbiter:
    def __init__(self, shard: int, recovery: Recovery | None = None) -> None:
        self.index = shard
        self.recovery = recovery or Recovery()
        self.number = 0
        self.until = -NEVER
        """Until when this operator may act."""
        self.leads_since = -NEVER
        self.topology: Topology | None = None
        self.granted_until = -NEVER
        """When the operator's own grants have run out for certain, those of earlier leaders included."""
        self.heard: dict[str, _Heard] = {}
        """By node id; the run that was heard last."""
        self.named_heard_at: dict[str, int] = {}
        """By node id; when the run that the topology names was heard."""
        self.ended: dict[str, int] = {}
        """Runs whose end is certain, and since when that is known."""
        self.refused: dict[str, str] = {}
        self.wanted: str | None = None
        """The node id to which somebody asked to hand over."""
        self.insists = False
        self.leaving: frozenset[str] = frozenset()
        """Node ids that are to be no voters, nor masters after a release: they are about to be removed."""

    # --- what the operator tells it

    def lead(self, number: int, topology: Topology, *, now: int, until: int) -> None:
        """`number` stands in the committed `topology`: this operator acts from now (or an earlier time) to `until`.

        Also after a commit of uncertain outcome, with the new number; before that call `resign`.
        """
        self.number, self.until, self.leads_since = number, until, now
        self.granted_until = max(self.granted_until, now + wait_for(topology.lease_ms * MILLISECOND))
        self.topology = None
        self.heard.clear()
        self.named_heard_at.clear()
        self.follow(topology, now)

    def renewed(self, until: int, now: int) -> None:
        """The Kubernetes Lease was renewed: `until` is counted from before the renewal was sent.

        If its time had run out meanwhile, another may have led: it acts only after it committed a new number (`lead`).
        """
        if now < self.until:
            self.until = until
        else:
            self.resign()

    def resign(self) -> None:
        """It grants, asks and judges no more, until it leads again."""
        self.until = -NEVER

    def follow(self, topology: Topology, now: int) -> None:
        """A topology that is committed for certain, read after the leader's number stood in it.

        One that is older than what it knows is ignored: a read may have been under way for long.
        """
        before = self.topology
        if before is not None and topology.epoch < before.epoch:
            return
        self.topology = topology
        shard = self.shard = _shard(topology, self.index)
        self.lease = topology.lease_ms * MILLISECOND
        self.interval = topology.heartbeat_ms * MILLISECOND
        self.misses = topology.misses
        self.basis: Basis = basis(topology, shard)
        self.members = tuple(node for node in topology.nodes if node.shard == self.index)
        self.runs = {node.id: node.run_id for node in self.members}
        self.master: Node = topology.master_of(shard)
        self.electorates = electorates(topology, shard)
        if before is None or _shard(before, self.index).term != shard.term:
            self._new_term(now)
        if before is None or basis(before, _shard(before, self.index)) != self.basis:
            self.changed_in = topology.epoch
            self.acknowledged: int | None = None

    def _new_term(self, now: int) -> None:
        self.promises: dict[str, _Promised] = {}
        self.promised_at = 0
        self.heard_master_at = now
        self.without_lease = 0
        self.suspicion = ""
        self.since = 0
        self.marks = (NEVER, NEVER)
        self.next_hello = self.next_ask = now
        self.wanted, self.insists = None, False
        self.refused.clear()
        counting = {voter.run_id for voters, _ in self.electorates for voter in voters} | set(self.runs.values())
        self.ended = {run: at for run, at in self.ended.items() if run in counting}

    def end(self, run_id: str, now: int) -> None:
        """The end of this process start is certain: it was reaped, or the kubelet says that it terminated."""
        self.ended.setdefault(run_id, now)
        self.promises.pop(run_id, None)
        self.heard = {id_: heard for id_, heard in self.heard.items() if heard.heartbeat.run_id != run_id}

    @property
    def term(self) -> int:
        """The one that it knows to be committed; 0 before it led."""
        return 0 if self.topology is None else self.shard.term

    def hand_over(self, target: str | None, *, insists: bool = False) -> None:
        """Ask the master to release its term to this node (id); None: not any more. A new term forgets it.

        `insists`: a person accepts that acknowledged writes are lost. If no quorum is to be had the target is appointed
        without waiting for who may have later data; the old master must be blocked or ended all the same.
        """
        self.wanted, self.insists = target, insists
        self.next_ask = -NEVER

    # --- what arrives

    def on(self, message: Message, now: int) -> list[Sent]:
        """What is to be sent in answer. Messages of kinds that are not for an operator are dropped."""
        if self.topology is None or now >= self.until:
            return []
        if isinstance(message, Heartbeat):
            return self._on_heartbeat(message, now)
        if isinstance(message, Promise):
            self._on_promise(message, now)
        elif isinstance(message, Refusal) and message.leader == self.number and message.term == self.shard.term + 1:
            self.refused[message.id] = message.why
        return []

    def _on_heartbeat(self, heartbeat: Heartbeat, now: int) -> list[Sent]:
        id_, run = heartbeat.id, heartbeat.run_id
        named = self.runs.get(id_)
        if named is None or run in self.ended:
            return []
        last = self.heard.get(id_)
        if last is not None and last.heartbeat.run_id == run and last.heartbeat.stamp > heartbeat.stamp:
            return []
        self.heard[id_] = _Heard(heartbeat, now)
        if last is not None and last.heartbeat.run_id != run:
            self.promises.pop(last.heartbeat.run_id, None)
        if run != named:
            return []
        self.named_heard_at[id_] = now
        if id_ != self.master.id:
            return []
        return self._on_master(heartbeat, now)

    def _on_master(self, heartbeat: Heartbeat, now: int) -> list[Sent]:
        """Of the run that the topology names master, which may not have that topology yet."""
        is_master = heartbeat.role == "master" and heartbeat.term == self.shard.term
        self.heard_master_at = now
        if is_master and heartbeat.lease_until > heartbeat.stamp:
            self.without_lease = 0
        elif not self.suspicion and not self._somebody_promised():
            self.without_lease += 1
        if not is_master:
            return []
        self.marks = (self.marks[1], heartbeat.position.offset)
        if heartbeat.epoch >= self.changed_in and self.acknowledged is None:
            self.acknowledged = heartbeat.position.offset
        if heartbeat.released or self._suspect(now) or self._somebody_promised():
            return []
        return self._grant(heartbeat, now)

    def _grant(self, heartbeat: Heartbeat, now: int) -> list[Sent]:
        length = to_grant(self.lease, heartbeat)
        if not length:
            return []
        self.granted_until = max(self.granted_until, now + wait_for(length))
        grant = Grant(self.index, heartbeat.term, "", heartbeat.run_id, heartbeat.stamp, length, leader=self.number)
        if heartbeat.progress_age > self.interval:
            self.next_hello = min(self.next_hello, now + length)  # to hear at once whether it moves by then
        return [(heartbeat.id, grant)]

    def _on_promise(self, promise: Promise, now: int) -> None:
        """Of the run that was heard last; one that restarted since has voided it."""
        last = self.heard.get(promise.id)
        if (
            promise.leader != self.number
            or promise.term != self.shard.term + 1
            or promise.id not in self.runs
            or promise.run_id in self.ended
            or (last is not None and last.heartbeat.run_id != promise.run_id)
        ):
            return
        self.promised_at = self.promised_at or now
        self.refused.pop(promise.id, None)
        self.promises[promise.run_id] = _Promised(
            promise.id, promise.position, promise.candidate, now + promise.remaining
        )

    # --- what is sent by itself

    def tick(self, now: int) -> list[Sent]:
        """Call it when `due` says, and after a verdict changed; what is not due is not sent."""
        if self.topology is None or now >= self.until:
            return []
        sent: list[Sent] = []
        if now >= self.next_hello:
            self.next_hello = now + self.interval
            hello = Hello(self.index, self.number)
            sent += [(node.id, hello) for node in self.members]
        if now >= self.next_ask:
            asked = self._requests(now)
            if asked:
                self.next_ask = now + self.interval // ASKS
            sent += asked
        return sent

    def _requests(self, now: int) -> list[Sent]:
        suspicion = self._suspect(now)
        is_electing = self._somebody_promised()
        sent: list[Sent] = []
        if suspicion or is_electing or self._released():
            ended = self.master.run_id if self.master.run_id in self.ended else ""
            ask = AskPromise(self.index, self.shard.term + 1, self.number, ended)
            promised = {promise.id for promise in self.promises.values() if promise.candidate}
            sent += [
                (node.id, ask)
                for node in self.members
                if node.id not in promised and (node.id != self.master.id or self._master_is_another_run())
            ]
        target = self.master.id if is_electing else self._target(now)
        if target and self._master_listens(now) and not self._released():
            release = AskRelease(self.index, self.shard.term, self.master.run_id, self.number, target)
            sent.append((self.master.id, release))
        return sent

    def _master_listens(self, now: int) -> bool:
        """Whether the old master could give up its term by word, whatever lease it holds."""
        last = self.heard.get(self.master.id)
        return (
            last is not None
            and self._is_live(self.master.id, self.master.run_id, now)
            and last.heartbeat.progress_age < self.lease
        )

    def _target(self, now: int) -> str:
        """To whom the master is to be asked to hand over; empty if to nobody, or to one that could not take over."""
        if self.wanted is not None and self._could_be_master(self.wanted, now):
            return self.wanted
        return self._successor(now) if self._master_leaves() else ""

    def _could_be_master(self, id_: str, now: int) -> bool:
        return self._is_live(id_, self.runs.get(id_, ""), now) and self.heard[id_].heartbeat.candidate

    def _master_leaves(self) -> bool:
        """Whether the present master run says that it was told to end."""
        last = self.heard.get(self.master.id)
        return last is not None and last.heartbeat.run_id == self.master.run_id and last.heartbeat.leaving

    def _successor(self, now: int) -> str:
        """The voter that has the most of those that are there and stay; empty if none is."""
        fit = (id_ for id_ in self.shard.voters if id_ not in self.leaving and self._could_be_master(id_, now))
        return max(fit, key=lambda id_: (self.heard[id_].heartbeat.position, id_), default="")

    def due(self, now: int) -> int:
        """When to call `tick` and `verdict` next, if nothing arrives before; after `hand_over` and `end` at once."""
        if self.topology is None or now >= self.until:
            return NEVER
        times = [self.next_hello, self.heard_master_at + self.lease, self.granted_until]
        times += [promise.until for promise in self.promises.values()]
        times += [self.promised_at + self.interval]
        if self.suspicion or self.promises or self.wanted or self._master_leaves():
            times.append(self.next_ask)
        return min((time for time in times if time > now), default=now + self.interval)

    # --- how the shard is

    def _suspect(self, now: int) -> str:
        """Why the master is suspected, or nothing. Remembers since when."""
        last = self.heard.get(self.master.id)
        why = ""
        if self.master.run_id in self.ended:
            why = "its process ended"
        elif now - self.heard_master_at >= self.lease:
            why = f"not heard for {_seconds(self.lease)}"
        elif self.without_lease >= self.misses:
            why = f"{self.without_lease} heartbeats without a lease"
        elif (
            last is not None
            and last.heartbeat.run_id == self.master.run_id
            and last.heartbeat.progress_age >= self.lease
        ):
            why = f"its command loop makes no progress for {_seconds(self.lease)}"
        if why and not self.suspicion:
            self.next_ask = now
        self.suspicion = why
        if why or self._somebody_promised() or self._released():
            self.since = self.since or now
        else:
            self.since = 0
        return why

    def _somebody_promised(self) -> bool:
        """Whether the next term was promised by a run that is there: the old one has lost a voter for good."""
        term = self.shard.term
        return bool(self.promises) or any(
            heard.heartbeat.promised > term and self.runs[id_] == heard.heartbeat.run_id
            for id_, heard in self.heard.items()
            if id_ in self.runs
        )

    def _released(self) -> str:
        """The run that the present master run released its term to, or nothing."""
        last = self.heard.get(self.master.id)
        if last is None or last.heartbeat.run_id != self.master.run_id or last.heartbeat.term != self.shard.term:
            return ""
        return last.heartbeat.released

    def _master_is_another_run(self) -> bool:
        last = self.heard.get(self.master.id)
        return self.master.run_id in self.ended or (last is not None and last.heartbeat.run_id != self.master.run_id)

    def _is_live(self, id_: str, run: str, now: int) -> bool:
        last = self.heard.get(id_)
        return (
            last is not None and last.heartbeat.run_id == run and now - last.at < self.lease and run not in self.ended
        )

    def verdict(self, now: int) -> Verdict:
        if self.topology is None or now >= self.until:
            return Verdict("following", STATES["following"])
        suspicion = self._suspect(now)
        released = self._released()
        if released:
            appoint = self._after_release(released, now)
            if appoint is not None:
                return Verdict("appoint", f"{self.master.name} released its term", appoint, self.since)
            return self._election(now, "it released its term", is_fenced=True)
        if not suspicion and not self._somebody_promised():
            change = self._upkeep(now)
            return Verdict("healthy", _describe(change) or self._wish(now), change)
        return self._election(now, suspicion or "a voter promised the next term", is_fenced=False)

    def _wish(self, now: int) -> str:
        target = self._target(now)
        wanted = target or self.wanted
        leaves = " is leaving, and" if self._master_leaves() else ""
        if wanted is None or wanted == self.master.id:
            return f"{self.master.name}{leaves} has nobody to hand over to" if leaves else STATES["healthy"]
        name = next((node.name for node in self.members if node.id == wanted), wanted)
        if target:
            return f"{self.master.name}{leaves} is asked to hand over to {name}"
        return f"{self.master.name}{leaves} cannot hand over to {name}, which is not there or has not loaded its data"

    # --- after a release

    def _after_release(self, target: str, now: int) -> Appoint | None:
        """The run that confirmed; if it is gone, any that has as much; the old master has it always.

        Another start of the node that confirmed is one of the others: it has what was on its disk.
        """
        position = self.heard[self.master.id].heartbeat.position
        fit = {
            id_: VoterRun(id_, run)
            for id_, run in self.runs.items()
            if self._is_live(id_, run, now)
            and self.heard[id_].heartbeat.candidate
            and (run in (target, self.master.run_id) or self.heard[id_].heartbeat.position >= position)
        }
        if not fit:
            return None
        first = min(fit, key=lambda id_: (fit[id_].run_id != target, id_ in self.leaving, id_ == self.master.id, id_))
        chosen = fit[first]
        voters = tuple(
            VoterRun(id_, run)
            for id_, run in self.runs.items()
            if id_ != chosen.id
            and (id_ in self.shard.voters or id_ == self.master.id)
            and self._is_live(id_, run, now)
            and self.heard[id_].heartbeat.candidate
        )
        return Appoint(self.basis, chosen, position, voters, "handover")

    # --- election

    def _election(self, now: int, why: str, *, is_fenced: bool) -> Verdict:
        state = "electing" if self.promises else "suspected"
        name = self.master.name
        is_fenced = is_fenced or self.master.run_id in self.ended
        if not is_fenced:
            wait, at = self._fence(now)
            if wait:
                return Verdict("cannot" if at == NEVER else state, f"{name}: {why}; {wait}", None, self.since)
            if now < at:
                return Verdict(
                    state, f"{name}: {why}; waiting {_seconds(at - now)} for its leases to run out", None, self.since
                )
        wait = self._quorum(now)
        if not wait:
            return Verdict("appoint", f"{name}: {why}", self._promote(self._best(now), why, now), self.since)
        return self._recover(now, f"{name}: {why}; {wait}", why)

    def _fence(self, now: int) -> tuple[str, int]:
        """What is missing until the master is blocked, in words; else from when on it is."""
        blocked_at = self.granted_until
        for voters, _ in self.electorates:
            if not voters:
                return "it needs no lease, having had no voters: its end must be certain", NEVER
            need = len(voters) - majority(len(voters)) + 1
            untils = sorted(
                self.promises[voter.run_id].until
                if voter.run_id in self.promises
                else self.ended[voter.run_id] + wait_for(self.lease)
                for voter in voters
                if voter.run_id in self.promises or voter.run_id in self.ended
            )
            if len(untils) < need:
                return f"{len(untils)} of {need} promises, {self._who_lacks(voters, now)}", 0
            blocked_at = max(blocked_at, untils[need - 1])
        return "", blocked_at

    def _quorum(self, now: int) -> str:
        """What is missing until acknowledged writes are with who promised, in words.

        Only those count that are there still: the one that is chosen must have all that any of these has.
        """
        best = self._best(now)
        candidates = self._candidates(now)
        counted = 0
        waits_for_acks = False
        for voters, min_acks in self.electorates:
            vouching = sum(voter.run_id in candidates and self.runs.get(voter.id) == voter.run_id for voter in voters)
            counted += vouching
            waits_for_acks = waits_for_acks or min_acks > 0
            if min_acks and not voters:
                return "no voter holds every acknowledged write for certain"
            need = max(1, len(voters) - min_acks + 1)
            if min_acks and vouching < need:
                return (
                    f"{vouching} of {need} promises that hold every acknowledged write, {self._who_lacks(voters, now)}"
                )
        if best is None or not counted:
            return "no voter that could be a master promised"
        if waits_for_acks and not self._has_base(self.promises[best].position):
            return "who promised lacks writes that the master had when it was appointed"
        if not waits_for_acks and now < self.promised_at + self.interval and self._awaited(now):
            return "waiting a heartbeat for the other voters"
        return ""

    def _awaited(self, now: int) -> bool:
        """Whether a voter that is there has not promised yet."""
        return any(
            self._is_live(voter.id, voter.run_id, now) and voter.run_id not in self.promises
            for voters, _ in self.electorates
            for voter in voters
        )

    def _has_base(self, position: Position) -> bool:
        base = self.shard.base
        return position.term >= base.term and position.offset >= base.offset

    def _candidates(self, now: int) -> dict[str, _Promised]:
        """Who could be master: one that promised, and has left the shard since, could not."""
        return {
            run: promise
            for run, promise in self.promises.items()
            if promise.candidate and promise.id in self.runs and self._is_live(promise.id, run, now)
        }

    def _best(self, now: int) -> str | None:
        """The run that promised, is there, and has the most."""
        candidates = self._candidates(now)
        return max(
            candidates,
            key=lambda run: (
                self._has_base(candidates[run].position),
                candidates[run].position,
                candidates[run].id == self.wanted,
                candidates[run].id,
            ),
            default=None,
        )

    def _promote(self, run: str | None, cause: str, now: int) -> Appoint:
        assert run is not None
        chosen = self.promises[run]
        voters = tuple(
            VoterRun(promise.id, other)
            for other, promise in sorted(self._candidates(now).items(), key=lambda item: item[1].id)
            if promise.id != chosen.id and self.runs[promise.id] == other
        )
        return Appoint(self.basis, VoterRun(chosen.id, run), chosen.position, voters, cause)

    def _recover(self, now: int, wait: str, why: str) -> Verdict:
        """Blocked is the master, but no quorum is there: all were down, or too many."""
        if wait.endswith("for the other voters"):
            return Verdict("electing", wait, None, self.since)
        names = {node.id: node.name for node in self.members}
        runs = {names[promise.id]: run for run, promise in self._candidates(now).items()}
        present = {name: self.promises[run].position for name, run in runs.items()}
        missing = tuple(sorted(set(names.values()) - set(present)))
        choice = recover(present, missing, self.recovery.policy, waited=now - self.since, timeout=self.recovery.timeout)
        wanted = names.get(self.wanted or "")
        if self.insists and wanted in present:
            choice = Choice(wanted, f"{wanted} is insisted on")
        if choice.node is None:
            return Verdict("cannot", f"{wait}; {choice.why}", None, self.since)
        change = replace(self._promote(runs[choice.node], f"{why}; {choice.why}", now), is_recovery=True)
        return Verdict("appoint", f"{wait}; {choice.why}", change, self.since)

    def _who_lacks(self, voters: tuple[VoterRun, ...], now: int) -> str:
        names = {node.id: node.name for node in self.members}
        words = []
        for voter in voters:
            name = names.get(voter.id, voter.id[:8])
            if promise := self.promises.get(voter.run_id):
                if not self._is_live(voter.id, voter.run_id, now):
                    words.append(f"{name} promised and is not heard any more")
                elif not promise.candidate:
                    words.append(f"{name} promised and has no data of its own")
                continue
            if voter.run_id in self.ended:
                words.append(f"{name} ended")
            elif self.runs.get(voter.id) != voter.run_id:
                words.append(f"{name} started again")
            elif voter.id in self.refused:
                words.append(f"{name} refuses: {REFUSALS.get(self.refused[voter.id], self.refused[voter.id])}")
            else:
                words.append(f"waiting for {name}")
        return ", ".join(words) or "all promised"

    # --- changes of a healthy shard

    def _upkeep(self, now: int) -> Change | None:
        """Former voters that count no more, runs that are new, voters that come and go; one at a time."""
        if self.shard.former is not None and self._is_settled():
            return Settle(self.basis)
        for node in self.members:
            change = self._new_run(node, now)
            if change is not None:
                return change
        if self.shard.former is not None:
            return None
        voters = tuple(
            VoterRun(node.id, node.run_id)
            for node in self.members
            if node.id != self.master.id and self._votes(node, now)
        )
        if {voter.id for voter in voters} == set(self.shard.voters):
            return None
        return SetVoters(self.basis, voters, self.shard.min_acks)

    def _is_settled(self) -> bool:
        """The master counts by the new voters, and so many of these have what was acknowledged by the old ones (or
        are gone for good) that every quorum of them includes one that has it."""
        return self._settling() >= min(self.shard.min_acks, len(self.shard.voters))

    def _settling(self, *, counts_restarted: bool = False) -> int:
        """How many of the present voters have it, or can be in no quorum; -1 if the master has not acknowledged."""
        if self.acknowledged is None:
            return -1
        mark = Position(self.shard.term, self.acknowledged)
        count = 0
        for id_ in self.shard.voters:
            last = self.heard.get(id_)
            if self.runs[id_] in self.ended:
                count += 1
            elif last is not None and last.heartbeat.run_id == self.runs[id_]:
                count += last.heartbeat.position >= mark
            elif last is not None:
                count += counts_restarted
        return count

    def _new_run(self, node: Node, now: int) -> NameRun | None:
        last = self.heard.get(node.id)
        if (
            last is None
            or node.id == self.master.id
            or last.heartbeat.run_id == node.run_id
            or now - last.at >= self.lease
            or now - self.named_heard_at.get(node.id, -NEVER) < self.lease
        ):
            return None
        if self.shard.former is None or node.id not in self.shard.voters:
            return NameRun(self.basis, node.id, node.run_id, last.heartbeat.run_id)
        if self._settling(counts_restarted=True) < min(self.shard.min_acks, len(self.shard.voters)):
            return None
        return NameRun(self.basis, node.id, node.run_id, last.heartbeat.run_id, is_acknowledged=True)

    def _votes(self, node: Node, now: int) -> bool:
        """Whether it is a voter and stays one, or has caught up."""
        if node.run_id in self.ended or node.id in self.leaving:
            return False
        last = self.heard.get(node.id)
        if node.id in self.shard.voters:
            silent = now - max(self.named_heard_at.get(node.id, -NEVER), self.leads_since)
            others = sum(1 for id_ in self.shard.voters if now - self.named_heard_at.get(id_, -NEVER) < self.lease)
            return silent < DROP_AFTER * self.lease or others < max(1, self.shard.min_acks)
        if last is None or not self._is_live(node.id, node.run_id, now):
            return False
        heartbeat = last.heartbeat
        return (
            heartbeat.candidate
            and heartbeat.progress_age < self.lease
            and heartbeat.role == "replica"
            and heartbeat.term == self.shard.term
            and heartbeat.position.term == self.shard.term
            and heartbeat.position.offset >= max(self.marks[0], self.shard.base.offset)
        )


def _shard(topology: Topology, index: int) -> Shard:
    shard = topology.shard(index)
    assert shard is not None, f"shard {index} is in no topology that its arbiter is told"
    return shard


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.1f} s"


def _describe(change: Change | None) -> str:
    """A change of a healthy shard, in words."""
    if isinstance(change, Settle):
        return "the master has acknowledged the change of its voters"
    if isinstance(change, NameRun):
        return "a replica started again"
    if isinstance(change, SetVoters):
        return f"{len(change.voters)} replicas are caught up and become its voters"
    return ""
