"""Fixtures: a command line with a state home of its own, and a running quickstart."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from laptop import ROOT, Cli
from ports import free_base_port
from shard_of_servers import Shard


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    runner = Cli(tmp_path)
    yield runner
    runner.stop_all()


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cli, int]]:
    """The quickstart, up, and its base port."""
    runner = Cli(tmp_path_factory.mktemp("state"))
    port = free_base_port()
    runner("up", "-f", str(ROOT / "examples/quickstart.yaml"), "--base-port", str(port), "--detach")
    yield runner, port
    runner.stop_all()


@pytest.fixture
def exits() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def shard(tmp_path: Path, exits: contextlib.ExitStack) -> Shard:
    """Three nodes, of which none has a role."""
    return Shard(tmp_path, 3, exits)
