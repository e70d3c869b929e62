"""Leader election by a Kubernetes Lease: of several operators one leads, the others stand by.

Time is measured, never compared: a candidate takes the Lease only after it has seen it unchanged for its whole duration
by its own clock (`CLOCK_BOOTTIME`, which counts on while the machine sleeps), and a leader counts its own hold from
*before* it sent the renewal. It gives up at `RENEW_DEADLINE_SECONDS`, earlier than anyone can take over. The election
only keeps two operators from working at once; safety rests on compare-and-set of the topology and the leader number.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import time
from collections.abc import Callable
from typing import Any

from ringkeeper_operator.runtime.kubernetes_api import Api, ApiError, path_of

log = logging.getLogger(__name__)

API_VERSION = "coordination.k8s.io/v1"
LEASE_SECONDS = 15.0
RENEW_DEADLINE_SECONDS = 10.0
RETRY_SECONDS = 2.0
STANDBY_SECONDS = 1.0
"""Between two looks of a candidate that waits: nobody takes the place of a master until it leads."""


class LeaseLost(Exception):
    """Another may lead by now: stop at once."""


def boot_time() -> float:
    """Seconds on a clock that neither jumps nor stops while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """One candidate. `acquire` returns when it leads; `hold` then keeps renewing and raises `LeaseLost`."""

    def __init__(
        self, api: Api, namespace: str, name: str, identity: str, clock: Callable[[], float] = boot_time
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._seen: tuple[object, ...] | None = None
        self._seen_at = 0.0
        self.held_until = 0.0
        """On this candidate's clock: when it stops being the leader unless it renews."""

    async def acquire(self) -> None:
        while True:
            if await self._try():
                break
            await asyncio.sleep(STANDBY_SECONDS)
        log.info("leading as %s", self._identity)

    async def hold(self) -> None:
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            remaining = self.held_until - self._clock()
            if remaining <= 0:
                raise LeaseLost(f"the lease {self._name} was not renewed within {RENEW_DEADLINE_SECONDS:g} s")
            try:
                async with asyncio.timeout(remaining):
                    renewed = await self._try()
            except TimeoutError:
                continue
            holder = self._seen[0] if self._seen else self._identity
            if not renewed and holder not in ("", self._identity):
                raise LeaseLost(f"the lease {self._name} is now held by {holder}")

    async def release(self) -> None:
        """Let a standby take over at once. Only for a leader that has stopped its work."""
        self.held_until = 0.0
        current = await self._api.get_or_none(self._path)
        if current is None or current["spec"].get("holderIdentity") != self._identity:
            return
        spec = {**current["spec"], "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
        await self._api.replace({**current, "spec": spec})
        log.info("released the lease %s", self._name)

    @property
    def _path(self) -> str:
        return path_of(API_VERSION, "Lease", self._namespace, self._name)

    async def _try(self) -> bool:
        """Take or renew once. False when another holds it or the API server did not agree."""
        sent = self._clock()
        try:
            current = await self._api.get_or_none(self._path)
            if current is None:
                metadata = {"name": self._name, "namespace": self._namespace}
                current = {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata}
                await self._api.create({**current, "spec": self._taken({})})
            elif self._may_take(current["spec"]):
                await self._api.replace({**current, "spec": self._taken(current["spec"])})
            else:
                return False
        except OSError as error:
            if not (isinstance(error, ApiError) and error.status == 409):
                log.warning("lease %s: %s", self._name, error)
            return False
        self.held_until = sent + RENEW_DEADLINE_SECONDS
        return True

    def _may_take(self, spec: dict[str, Any]) -> bool:
        holder = spec.get("holderIdentity") or ""
        record = (holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if record != self._seen:
            self._seen, self._seen_at = record, self._clock()
        if holder in ("", self._identity):
            return True
        return self._clock() - self._seen_at >= max(spec.get("leaseDurationSeconds") or 0, LEASE_SECONDS)

    def _taken(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The Lease's spec with this candidate as its holder."""
        taken = {**spec, "leaseDurationSeconds": int(LEASE_SECONDS), "renewTime": _now()}
        if spec.get("holderIdentity") != self._identity:
            transitions = int(spec.get("leaseTransitions") or 0) + bool(spec)
            taken |= {"holderIdentity": self._identity, "acquireTime": _now(), "leaseTransitions": transitions}
        return taken


def _now() -> str:
    """For people who look at the Lease; nothing is decided by it."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
