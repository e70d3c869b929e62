"""No power loss, at any call, costs what was said to be safe; and each sync that there is, is needed for that."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from random import Random

import pytest
from persist.power_loss import Told, losses, run, sync_sites, syncs_in, without
from persist.rdb_files import Held, read_file
from persist.simulated import Folder, SimulatedFiles

from ringkeeper.persist import files as files_module
from ringkeeper.persist.rdb import Damaged
from ringkeeper.persist.snapshot import Extent, save_in
from ringkeeper.store.keyspace import Clock, Keyspace

NAME = "dump.rdb"


def dataset(text: bytes) -> Sequence[Keyspace]:
    clock = Clock()
    keyspace = Keyspace(clock, Random(1), 0)
    for number in range(3):
        keyspace.set(b"key%d" % number, text * (number + 1))
    return [keyspace]


def snapshot(files: SimulatedFiles, told: Told, text: bytes = b"new") -> None:
    save_in(files, NAME, dataset(text), [], Extent(), lambda _: None)
    told.append(text)


def snapshot_of(text: bytes) -> bytes:
    files = SimulatedFiles()
    snapshot(files, [], text)
    return files.after_kill()[NAME]


OLD, NEW = snapshot_of(b"old"), snapshot_of(b"new")


def held(data: bytes) -> Held | None:
    try:
        return read_file(data)
    except Damaged:
        return None


def is_whole(folder: Folder, told: Told) -> str:
    """A node finds the new snapshot, or the old one as long as the new one was not told."""
    found = held(folder.get(NAME, b""))
    if found == held(NEW):
        return ""
    if found == held(OLD):
        return "the new snapshot is gone" if told else ""
    return "there is no whole snapshot"


def test_a_snapshot_is_the_old_or_the_new_one_wherever_the_power_goes() -> None:
    assert list(losses(snapshot, {NAME: OLD}, is_whole)) == []


def test_a_first_snapshot_appears_whole() -> None:
    def check(folder: Folder, told: Told) -> str:
        return is_whole(folder, told) if told or NAME in folder else ""

    assert list(losses(snapshot, {}, check)) == []


SYNCS = syncs_in(files_module, "write_whole")


@pytest.mark.parametrize("site", sorted(SYNCS))
def test_a_snapshot_needs_each_of_its_syncs(site: str) -> None:
    assert sync_sites(snapshot, {NAME: OLD}) >= SYNCS
    assert next(losses(snapshot, {NAME: OLD}, is_whole, without(site)), "") != ""


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_snapshot_that_fails_at_any_call_leaves_the_old_one_and_nothing_else(code: int) -> None:
    whole, _ = run(snapshot, {NAME: OLD})
    for call in whole.calls:
        files = SimulatedFiles({NAME: OLD})
        files.faults = {call.number: code}
        with pytest.raises(OSError, match=r"."):
            snapshot(files, [])
        renamed = call.kind == "sync names"
        assert files.after_kill() == {NAME: NEW if renamed else OLD}, call
        assert not files.outputs
        for folder in files.every_crash(Random(1)):
            assert is_whole(folder, []) == "", call


def test_a_snapshot_behind_a_sync_that_failed_is_written_anew() -> None:
    files = SimulatedFiles({NAME: OLD})
    files.faults = {call.number: errno.EIO for call in run(snapshot, {NAME: OLD})[0].calls if call.kind == "sync"}
    with pytest.raises(OSError, match=r"."):
        snapshot(files, [])
    told: Told = []
    snapshot(files, told)
    assert {is_whole(folder, told) for folder in files.every_crash(Random(1))} == {""}


def test_a_full_disk_at_any_byte_leaves_the_old_snapshot() -> None:
    for size in range(len(OLD), len(OLD) + len(NEW)):
        files = SimulatedFiles({NAME: OLD})
        files.size = size
        with pytest.raises(OSError, match="No space left"):
            snapshot(files, [])
        assert files.after_kill() == {NAME: OLD}
    files.size += 1
    snapshot(files, [])
    assert files.after_kill() == {NAME: NEW}
