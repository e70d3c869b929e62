"""Fixtures: servers beside each other, so that a story told of a node is proven on Redis and Valkey."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_redis import real_redis
from server_process import serving
from worlds import World


@contextlib.contextmanager
def running(name: str, folder: Path) -> Iterator[int]:
    """The port of a `node`, of `redis` or of `valkey`."""
    if name == "node":
        with serving(folder, "--enable-debug-command", "yes") as server:
            yield server.port
    else:
        with real_redis(folder, name) as port:
            yield port


@pytest.fixture(scope="module", params=["node", "redis", "valkey"])
def any_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as port:
        yield request.param, port


@pytest.fixture
def world(any_server: tuple[str, int]) -> Iterator[World]:
    """Each of them in turn, with a clean configuration."""
    made = World(*any_server)
    with made.exits:
        yield made
        made.other("CONFIG", "SET", "tracking-table-max-keys", 1000000)
        made.other("CONFIG", "SET", "notify-keyspace-events", "")


@pytest.fixture(scope="module")
def all_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """All of them at once, by name: to be told the same and compared."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(running(name, tmp_path_factory.mktemp(name)))
            for name in ("node", "redis", "valkey")
        }
