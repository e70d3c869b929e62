"""Keys whose time has come, in every position, beside Redis and Valkey; and what is told of them and of all others."""

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

spec = importlib.util.spec_from_file_location("differential_expired", pathlib.Path(__file__).with_name("run.py"))
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)

import expired  # noqa: E402


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with contextlib.closing(runner.Servers(tmp_path_factory.mktemp("servers"))) as started:
        yield started


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("mode", runner.MODES)
@pytest.mark.parametrize("peer", runner.PEERS)
def test_every_command_meets_keys_in_every_state(servers: Any, peer: str, mode: str, protocol: int) -> None:
    ports = servers.port(peer, mode), servers.port("ours", mode)
    found = expired.differences(peer, ports, protocol)
    assert not found, "\n".join(found)


def test_every_command_that_takes_keys_is_among_them() -> None:
    assert expired.not_covered() == set()
