"""A short run of what `make soak` does at length: every group beside Redis and Valkey, in both modes and protocols."""

import contextlib
import importlib.util
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
from differential.known import table

spec = importlib.util.spec_from_file_location("differential_run", pathlib.Path(__file__).with_name("run.py"))
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)

COMMANDS = 20_000
"""For each group."""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with contextlib.closing(runner.Servers(tmp_path_factory.mktemp("servers"))) as started:
        yield started


@pytest.mark.parametrize(
    ("group", "place"), [(group, place) for group in runner.GROUPS for place in runner.settings_of(group)], ids=str
)
def test_random_commands_get_the_replies_of_a_real_server(
    servers: Any, group: str, place: tuple[str, str, int]
) -> None:
    commands = -(-COMMANDS // len(runner.settings_of(group)))
    assert runner.run(group, place, commands, 1, servers) >= commands


def test_what_is_known_to_differ_is_documented() -> None:
    page = pathlib.Path(__file__).parents[2] / "docs/compatibility.md"
    assert table() in page.read_text(), "put in what `python tests/differential/known.py` prints"


FOUND = {
    "a bad range is refused before the key is looked at": (
        "valkey standalone",
        ["BITCOUNT none x 1", "SET k v", "BITCOUNT k 5 -7 BITS", "BITPOS none 1 x", "BITPOS none 1 0 1 x"],
    ),
    "a cluster's node knows the databases that it does not have": (
        "redis cluster",
        ["SET k v", "COPY k k DB 3", "COPY k j DB 16", "COPY none j DB 3", "MOVE k 1", "SELECT 3", "SELECT 16"],
    ),
    "EXEC looks at the slots before it tells what was refused": (
        "redis cluster", ["MULTI", "SET a 1", "SET b 1", "NOPE", "EXEC", "MULTI", "NOPE", "SET a 1", "SET b 1", "EXEC"],
    ),
    "LCS looks at the types before the options": ("redis standalone", ["HSET h f v", "LCS h none LEN IDX BAD"]),
    "HGETEX looks at the type before the time, and for FIELDS before all": (
        "valkey standalone",
        ["SET s v", "HGETEX s EX x FIELDS 1 f", "HGETEX h EX x PX f", "HSETEX h NX EX x f", "HEXPIRE h x BAD FIELDS"],
    ),
}  # fmt: skip
"""What random commands showed once: where, and what leads there."""


@pytest.mark.parametrize("story", FOUND)
def test_what_was_found_once_stays_the_same(servers: Any, story: str) -> None:
    place, lines = FOUND[story]
    peer, mode = place.split()
    ports = servers.port(peer, mode), servers.port("ours", mode)
    with contextlib.closing(runner.Pair(runner.Setting(peer, mode, 2, ports))) as pair:
        assert pair.run([line.encode().split() for line in ["FLUSHALL", *lines]]) is None
