"""A cluster's folder: the compare-and-set of the topology, who supervises, what is removed."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ringkeeper.cluster.topology import Node, Shard, Topology, node_id
from ringkeeper.store.slot import SLOTS
from ringkeeper_operator.runtime.base import Conflict, UncertainCommit
from ringkeeper_operator.runtime.local_folder import ClusterFolder, FolderError, known_clusters, registered, state_home


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterFolder:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    made = ClusterFolder.default("c")
    made.path.mkdir(parents=True)
    return made


@pytest.fixture
def topology(folder: ClusterFolder) -> Topology:
    return make_topology(folder.uid)


def test_a_commit_names_the_version_that_it_replaces(folder: ClusterFolder, topology: Topology) -> None:
    assert folder.committed() == (None, None)
    folder.commit(topology, None)
    committed, version = folder.committed()
    assert committed == topology
    with pytest.raises(Conflict):
        folder.commit(topology, None)
    folder.commit(replace(topology, epoch=2), version)
    with pytest.raises(Conflict):
        folder.commit(replace(topology, epoch=2), version)
    assert folder.committed()[0] == replace(topology, epoch=2)


def test_of_commits_at_the_same_time_one_wins(folder: ClusterFolder, topology: Topology) -> None:
    outcomes: list[int] = []

    def commit(epoch: int) -> None:
        try:
            folder.commit(replace(topology, epoch=epoch), None)
            outcomes.append(epoch)
        except Conflict:
            pass

    threads = [threading.Thread(target=commit, args=(epoch,)) for epoch in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    committed = folder.committed()[0]
    assert committed is not None
    assert outcomes == [committed.epoch]


def test_a_commit_that_the_disk_refuses_is_uncertain(
    folder: ClusterFolder, topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UncertainCommit, match="No space left"):
        folder.commit(topology, None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": "1"}', '{"version": "1", "topology": {"epoch": -1}}'])
def test_a_damaged_topology_counts_as_none_and_can_be_replaced(
    folder: ClusterFolder, topology: Topology, text: str
) -> None:
    (folder.path / "topology.json").write_text(text)
    assert folder.committed() == (None, None)
    folder.commit(topology, None)
    assert folder.committed()[0] == topology


def test_a_folder_has_one_supervisor(folder: ClusterFolder) -> None:
    assert folder.supervisor_pid() is None
    with folder.supervised():
        assert folder.supervisor_pid() == os.getpid()
        with pytest.raises(FolderError, match=f"up already .supervisor {os.getpid()}, .*ringkeeper down --name c"):
            folder.supervised().__enter__()
    assert folder.supervisor_pid() is None


def test_a_lock_whose_file_was_removed_keeps_nobody_out(folder: ClusterFolder) -> None:
    with folder.supervised():
        (folder.path / "supervisor.lock").unlink()
        with folder.supervised():
            assert folder.supervisor_pid() == os.getpid()


def test_secrets_are_readable_by_their_owner_alone(folder: ClusterFolder) -> None:
    folder.enter(6400, "", "secret")
    folder.make_tokens()
    token = folder.admin_token()
    assert token is not None
    assert len(token) == 64
    folder.make_tokens()
    assert folder.admin_token() == token
    for name in ("password", "admin-token", "peer-token"):
        assert (folder.path / name).stat().st_mode & 0o777 == 0o600
    assert folder.password() == "secret"
    folder.enter(6400, "", None)
    assert folder.password() is None


def test_removing_leaves_nothing_but_what_others_put_there(folder: ClusterFolder) -> None:
    folder.enter(6400, "", "secret")
    for name in ("c-0-0", "c-10-0", "c-x-0", "d-0-0"):
        (folder.path / name).mkdir()
        (folder.path / name / "node.conf").touch()
    (folder.path / "c-1-0").mkdir()
    assert folder.nodes() == ["c-0-0", "c-10-0"]
    assert known_clusters() == ["c"]
    assert registered("c") == folder
    folder.remove()
    assert sorted(path.name for path in folder.path.iterdir()) == ["c-1-0", "c-x-0", "d-0-0"]
    assert known_clusters() == []


def test_a_registry_of_another_place_is_left_alone(folder: ClusterFolder, tmp_path: Path) -> None:
    folder.enter(6400, "", None)
    other = ClusterFolder("c", tmp_path / "other")
    other.path.mkdir()
    other.remove()
    assert registered("c") == folder


def test_a_state_home_that_is_not_absolute_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert state_home() == Path("/home/somebody/.local/state/ringkeeper")


def test_what_was_damaged_is_named_with_the_way_out(folder: ClusterFolder) -> None:
    with pytest.raises(FolderError, match=r"cluster.json cannot be used any more .*ringkeeper down --name c"):
        _ = folder.base_port
    with pytest.raises(FolderError, match=r"manifest.yaml cannot be used any more"):
        _ = folder.manifest


def make_topology(uid: str) -> Topology:
    name = "c-0-0"
    return Topology(
        cluster="c",
        uid=uid,
        epoch=1,
        leader=1,
        vnodes_per_shard=1000,
        nodes=(
            Node(
                id=node_id(uid, name), name=name, shard=0, hostname="", address="127.0.0.1", port=1, admin_port=10001,
                role="master", run_id="1" * 40,
            ),
        ),
        shards=(Shard(index=0, term=1, master=node_id(uid, name), voters=()),),
        owners=(0,) * SLOTS,
    )  # fmt: skip
