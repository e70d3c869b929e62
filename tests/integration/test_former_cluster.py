"""A node that finds in its folder the data of a cluster that is gone: that of a cluster of the same name is its own."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from members import Members, member
from ports import free_ports
from server_process import DEADLINE, Server

from ringkeeper.store.slot import SLOTS

SAVING = ("--save", "3600 1")


def as_of(uid: str, folder: Path, name: str = "c-0-0") -> list[str]:
    words = member(folder, 0)
    words[words.index("--cluster-uid") + 1] = uid
    words[words.index("--node-name") + 1] = name
    return [*words, *SAVING]


@pytest.fixture(params=["snapshot", "aof"])
def left(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The folder has the data of the only node of a cluster; what else nodes must be told."""
    more = ["--appendonly", "yes"] if request.param == "aof" else []
    server = Server(tmp_path, *as_of("first", tmp_path), *more)
    members = Members([server])
    assert members.push(0, replace(members.topology(1), uid="first"))[0] == 200
    server.client().set("key", "value")
    assert server.stop() == 0
    return more


@pytest.mark.parametrize("starts", [1, 2])
def test_the_next_cluster_of_that_name_begins_with_it(tmp_path: Path, left: list[str], starts: int) -> None:
    """However often it starts until it has a topology."""
    for _ in range(starts - 1):
        Server(tmp_path, *as_of("second", tmp_path), *left).kill()
    server = Server(tmp_path, *as_of("second", tmp_path), *left)
    try:
        members = Members([server])
        assert members.state(0)["keys"] == 1
        assert members.push(0, replace(members.topology(1), uid="second"))[0] == 200
        assert server.client().get("key") == b"value"
    finally:
        server.stop()
    again = Server(tmp_path, *as_of("second", tmp_path), *left)
    assert Members([again]).state(0)["keys"] == 1, "it is its own now"
    again.stop()


@pytest.mark.parametrize("starts", [1, 2])
def test_a_topology_that_would_cost_some_of_it_is_refused(tmp_path: Path, left: list[str], starts: int) -> None:
    for _ in range(starts - 1):
        Server(tmp_path, *as_of("second", tmp_path), *left).stop()
    server = Server(tmp_path, *as_of("second", tmp_path), *left)
    try:
        members = Members([server])
        same = replace(members.topology(1), uid="second")
        status, text = members.push(0, replace(same, owners=(-1,) * SLOTS))
        assert status == 409
        assert "has the data of a cluster of the same name with 1 shards, which is gone" in text
        assert members.push(0, same)[0] == 200
        assert server.client().get("key") == b"value"
    finally:
        server.stop()


def test_a_node_of_another_name_leaves_it_alone(tmp_path: Path, left: list[str]) -> None:
    port, admin = free_ports(2)
    words = ["--port", str(port), "--admin-port", str(admin), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ringkeeper.server", *words, *as_of("second", tmp_path, "d-0-0"), *left],
        capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "it was written by node" in done.stderr
