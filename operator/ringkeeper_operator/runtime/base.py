"""What a runtime is to the loop that drives it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ringkeeper_operator.model import Action, Observed, Spec


class Conflict(Exception):
    """A compare-and-set named a version that is no longer the committed one; observe again."""


class UncertainCommit(Exception):
    """Whether a commit happened is unknown; the leader number must be claimed anew before anything else."""


class Blocked(Exception):
    """What is there must not be touched (it belongs to another), so the action cannot be carried out; says what to do.

    Only a person or time can change that: the loop tells it as a `Refuse` and looks again later.
    """


class PushError(OSError):
    """Some nodes did not take what they were handed; says which and why."""


class Runtime(Protocol):
    """Kubernetes or this machine. Every method may be cancelled and called again."""

    urgent: asyncio.Event
    """Set when a master's place is to be taken: what takes time is left for later (`glance`)."""

    alarm: asyncio.Event
    """Set when a shard has no master any more: people are told at once (`loop.herald`), whatever the loop is doing."""

    async def observe(self, spec: Spec) -> Observed: ...

    async def glance(self, spec: Spec) -> Observed | None:
        """What was observed last, with what is known at once: verdicts, the committed topology. None: nothing was."""

    async def apply(self, spec: Spec, action: Action) -> None:
        """Carry out one action. Raises `Conflict`, `UncertainCommit`, `Blocked`, or an `OSError` (it is retried)."""

    async def publish(self, spec: Spec, observed: Observed, action: Action | None) -> None:
        """Write the status that follows from this, if it changed."""

    async def record(self, spec: Spec, action: Action) -> None:
        """Tell people of an action: an Event, a line."""
