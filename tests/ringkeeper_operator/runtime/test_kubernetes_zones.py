"""The zones of hosts, from an API server that may refuse to tell."""

from __future__ import annotations

from typing import Any, cast

from ringkeeper_operator.runtime.kubernetes_api import Api, ApiError, ApiUnreachable
from ringkeeper_operator.runtime.kubernetes_zones import REMEMBERED_SECONDS, Zones


class FakeApi:
    def __init__(self) -> None:
        self.zones = {"a": "x", "b": "y"}
        self.error: OSError | None = None
        self.asked: list[str] = []

    async def get_metadata(self, path: str) -> dict[str, Any]:
        host = path.rpartition("/")[2]
        self.asked.append(host)
        if self.error is not None:
            raise self.error
        return {"labels": {"topology.kubernetes.io/zone": self.zones[host]} if host in self.zones else {}}


def zones_of(api: FakeApi) -> tuple[Zones, list[float]]:
    now = [1000.0]
    return Zones(cast("Api", api), lambda: now[0]), now


async def test_each_host_is_asked_for_once_in_a_while() -> None:
    api = FakeApi()
    zones, now = zones_of(api)
    assert await zones.of(["a", "b", "a", "", "c"]) == {"a": "x", "b": "y", "c": ""}
    assert await zones.of(["a", "b"]) == {"a": "x", "b": "y"}
    assert api.asked == ["a", "b", "c"]
    api.zones["a"] = "z"
    now[0] += REMEMBERED_SECONDS
    assert await zones.of(["a"]) == {"a": "z"}


async def test_without_the_right_to_read_them_nothing_is_known_and_nobody_asked_again_and_again() -> None:
    api = FakeApi()
    zones, now = zones_of(api)
    api.error = ApiError(403, "Forbidden", "nodes is forbidden", "GET")
    assert await zones.of(["a"]) == {}
    assert await zones.of(["a"]) == {}
    assert api.asked == ["a"]
    api.error = None
    now[0] += REMEMBERED_SECONDS
    assert await zones.of(["a"]) == {"a": "x"}


async def test_what_was_known_outlives_an_api_server_that_does_not_answer() -> None:
    api = FakeApi()
    zones, now = zones_of(api)
    assert await zones.of(["a"]) == {"a": "x"}
    now[0] += REMEMBERED_SECONDS
    api.error = ApiUnreachable("no answer")
    assert await zones.of(["a", "b"]) == {"a": "x"}
