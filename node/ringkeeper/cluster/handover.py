"""Giving up a term by word, and choosing a master when every one was down.

A planned handover is a promotion in which the master's release replaces the waiting for leases: at an offset that the
target confirmed it gives up this term, reads and writes, for good. It serves again only if a committed epoch appoints
it. If the target cannot take over then, somebody else is appointed in the next term, the old master itself if need be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ringkeeper.cluster.position import NOTHING, Position

CONFIRM_WITHIN = 100_000_000
"""How long writes may be held back for a target that does not confirm, nanoseconds."""


class Giving(StrEnum):
    """What a master does about a handover."""

    NOTHING = "nothing"
    HOLDING = "holding"
    """It holds back writes (and only these) until the target has confirmed the offset."""
    RELEASED = "released"
    """It serves no more in this term. Only a new term, that is another `Release`, ends this."""


TRANSITIONS = {
    (Giving.NOTHING, "asked"): Giving.HOLDING,
    (Giving.HOLDING, "confirmed"): Giving.RELEASED,
    (Giving.HOLDING, "too late"): Giving.NOTHING,
    (Giving.HOLDING, "lost its lease"): Giving.NOTHING,
}
"""Of a `Release`. Anything else changes nothing."""


class Release:
    """The master's side of a handover, one object a term; the node's command loop owns it.

    While `state` is `HOLDING` the node executes no write and answers no held one; in `RELEASED` it answers nothing as
    a master, in the same iteration of its loop, and tells it in every heartbeat (`NodeLease.node_says`).
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        """The master's own."""
        self.state = Giving.NOTHING
        self.target = ""
        """A run: another start of the same node may have less."""
        self.offset = 0
        self.until = 0

    @property
    def to(self) -> str:
        """The run that the term was released to, for the heartbeats; empty while it is not."""
        return self.target if self.state is Giving.RELEASED else ""

    def ask(self, target: str, offset: int, confirmed: int, now: int) -> None:
        """`offset` is the end of the stream; `confirmed` the last offset that the target acknowledged."""
        if self._step("asked"):
            self.target, self.offset, self.until = target, offset, now + CONFIRM_WITHIN
        self.confirm(target, confirmed, now)

    def confirm(self, replica: str, offset: int, now: int) -> None:
        """An acknowledgement of the run `replica`. A master that is its own target has all that it has."""
        if self.state is not Giving.HOLDING:
            return
        if now > self.until:
            self._step("too late")
        elif self.target == self.run_id or (replica == self.target and offset >= self.offset):
            self._step("confirmed")

    def tick(self, now: int, *, holds_lease: bool) -> None:
        """A master that lost its lease has nothing to hand over: it waits for the others' decision."""
        if self.state is Giving.HOLDING and not holds_lease:
            self._step("lost its lease")
        elif self.state is Giving.HOLDING and now > self.until:
            self._step("too late")

    def _step(self, event: str) -> bool:
        after = TRANSITIONS.get((self.state, event))
        self.state = after or self.state
        return after is not None


class Policy(StrEnum):
    """`failover.recoveryPolicy`: whom to appoint when no quorum of voters can come back."""

    WAIT_FOR_ALL = "waitForAll"
    """The most recent of all the shard's nodes, when all are there."""
    MOST_RECENT = "mostRecent"
    """After `recoveryTimeout` the most recent of those that are there, if it has any data."""
    START_EMPTY = "startEmpty"
    """After `recoveryTimeout` the most recent of those that are there, even an empty one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Whom to appoint, or None and for what the shard waits."""

    node: str | None
    why: str


def recover(
    present: Mapping[str, Position], missing: tuple[str, ...], policy: Policy, *, waited: int, timeout: int
) -> Choice:
    """Who becomes master after all were down, or after so many that no quorum can be had.

    `present`: by name, the nodes that promised and could be master. `missing`: the names of the others. `waited` and
    `timeout` are nanoseconds. Of equal positions the first name wins.
    """
    if not present:
        return Choice(None, f"no node of the shard is there; waiting for {', '.join(missing)}")
    best = max(sorted(present), key=lambda name: present[name])
    if not missing:
        return Choice(best, f"all nodes are there, and {best} is the most recent")
    names = ", ".join(missing)
    if policy is Policy.WAIT_FOR_ALL:
        return Choice(None, f"recoveryPolicy waitForAll: waiting for {names}, which may have later data than {best}")
    if waited < timeout:
        seconds = (timeout - waited + 999_999_999) // 1_000_000_000
        return Choice(None, f"waiting {seconds} s more for {names}, which may have later data than {best}")
    if present[best] == NOTHING and policy is Policy.MOST_RECENT:
        return Choice(None, f"recoveryPolicy mostRecent: no node that is there has data; waiting for {names}")
    return Choice(best, f"{best} is the most recent that is there; {names} did not return in {timeout // 10**9} s")
