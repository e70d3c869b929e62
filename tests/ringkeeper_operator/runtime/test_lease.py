"""The Lease under two clocks and a pretended API server that keeps the rules of `resourceVersion`."""

import asyncio
from typing import Any

import pytest

from ringkeeper_operator.runtime import lease as lease_module
from ringkeeper_operator.runtime.kubernetes_api import ApiError, ApiUnreachable
from ringkeeper_operator.runtime.lease import LEASE_SECONDS, RENEW_DEADLINE_SECONDS, Lease, LeaseLost


class OneObject:
    """An API server with a single object, and a switch that makes it unreachable."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] | None = None
        self.version = 0
        self.reachable = True

    async def get_or_none(self, path: str) -> dict[str, Any] | None:
        self._answer(path)
        return self.stored

    async def create(self, body: dict[str, Any]) -> None:
        self._answer("create")
        if self.stored is not None:
            raise ApiError(409, "AlreadyExists", "", "POST")
        self._store(body)

    async def replace(self, body: dict[str, Any]) -> None:
        self._answer("replace")
        if self.stored is None or body["metadata"]["resourceVersion"] != self.stored["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "", "PUT")
        self._store(body)

    def _store(self, body: dict[str, Any]) -> None:
        self.version += 1
        self.stored = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}

    def _answer(self, request: str) -> None:
        if not self.reachable:
            raise ApiUnreachable(request)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> OneObject:
    return OneObject()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "RETRY_SECONDS", 0)


def candidate(server: OneObject, identity: str, clock: Clock) -> Lease:
    return Lease(server, "default", "leader", identity, clock)  # type: ignore[arg-type]


async def test_the_first_candidate_leads_and_the_second_waits(server: OneObject) -> None:
    clock = Clock()
    first, second = candidate(server, "first", clock), candidate(server, "second", clock)
    assert await first._try()
    assert not await second._try()
    assert first.held_until == clock.now + RENEW_DEADLINE_SECONDS


async def test_a_standby_takes_over_only_after_it_saw_the_lease_unchanged_for_its_whole_duration(
    server: OneObject,
) -> None:
    clock = Clock()
    first, second = candidate(server, "first", clock), candidate(server, "second", clock)
    await first._try()
    clock.now += 100 * LEASE_SECONDS
    assert not await second._try(), "it has only just seen the lease"
    clock.now += LEASE_SECONDS - 1
    assert not await second._try()
    clock.now += 1
    assert await second._try()
    assert server.stored is not None
    assert server.stored["spec"]["leaseTransitions"] == 1


async def test_a_leader_that_renews_is_never_overtaken(server: OneObject) -> None:
    clock = Clock()
    first, second = candidate(server, "first", clock), candidate(server, "second", clock)
    for _ in range(20):
        assert await first._try()
        assert not await second._try()
        clock.now += LEASE_SECONDS - 1


async def test_a_released_lease_is_taken_at_once(server: OneObject) -> None:
    clock = Clock()
    first, second = candidate(server, "first", clock), candidate(server, "second", clock)
    await first._try()
    await first.release()
    assert await second._try()


async def test_a_release_leaves_the_lease_of_another_alone(server: OneObject) -> None:
    clock = Clock()
    first, second = candidate(server, "first", clock), candidate(server, "second", clock)
    await first._try()
    await second.release()
    assert server.stored is not None
    assert server.stored["spec"]["holderIdentity"] == "first"


async def test_a_leader_stops_when_it_cannot_renew_before_anyone_could_take_over(server: OneObject) -> None:
    clock = Clock()
    first = candidate(server, "first", clock)
    await first._try()
    server.reachable = False
    holding = asyncio.create_task(first.hold())
    while not holding.done():
        clock.now += 0.5
        await asyncio.sleep(0)
    assert isinstance(holding.exception(), LeaseLost)
    assert clock.now <= 1000 + RENEW_DEADLINE_SECONDS + 1 < 1000 + LEASE_SECONDS


async def test_a_leader_stops_when_another_holds_the_lease(server: OneObject) -> None:
    clock = Clock()
    first = candidate(server, "first", clock)
    await first._try()
    assert server.stored is not None
    server._store({**server.stored, "spec": {**server.stored["spec"], "holderIdentity": "usurper"}})
    with pytest.raises(LeaseLost, match="usurper"):
        await first.hold()


async def test_of_two_that_try_at_the_same_moment_one_leads(server: OneObject) -> None:
    clock = Clock()
    both = [candidate(server, name, clock) for name in ("first", "second")]
    assert sum(await asyncio.gather(*(one._try() for one in both))) == 1
