"""The simulated disk forgets, fails and loses power as it says: what proves others must itself be proven."""

from __future__ import annotations

import errno
from random import Random

import pytest
from persist.power_loss import Told, losses
from persist.simulated import Folder, PowerLoss, SimulatedFiles


def crashes(files: SimulatedFiles) -> list[Folder]:
    return list(files.every_crash(Random(1)))


def test_bytes_that_were_not_synced_may_be_there_up_to_any_point_or_as_zeros() -> None:
    files = SimulatedFiles({"log": b"old"})
    output = files.append("log")
    output.write(b"new")
    left = [folder["log"] for seed in range(20) for folder in files.every_crash(Random(seed))]
    assert left[0] == b"old"
    assert left[-1] == b"oldnew"
    assert b"old\0\0\0" in left
    assert {content for content in left if b"\0" not in content} == {b"old", b"oldn", b"oldne", b"oldnew"}
    output.sync()
    assert crashes(files) == [{"log": b"oldnew"}]


def test_a_file_that_was_synced_is_gone_without_its_name() -> None:
    files = SimulatedFiles()
    output = files.create("new")
    output.write(b"data")
    output.sync()
    assert crashes(files) == [{}, {"new": b"data"}]
    files.sync()
    assert crashes(files) == [{"new": b"data"}]


def test_changes_of_names_may_come_out_of_order() -> None:
    files = SimulatedFiles({"a": b"1", "b": b"2"})
    files.rename("a", "c")
    files.remove("b")
    assert {frozenset(folder) for folder in crashes(files)} == {
        frozenset(names) for names in (("a", "b"), ("c", "b"), ("a",), ("c",))
    }


def test_a_file_that_is_made_over_another_empties_it_at_once_or_later() -> None:
    files = SimulatedFiles({"a": b"old"})
    files.create("a")
    assert [folder["a"] for folder in crashes(files)] == [b"old", b""]


def test_a_truncated_file_may_have_its_end_still() -> None:
    files = SimulatedFiles({"a": b"whole torn"})
    output = files.append("a")
    output.truncate(5)
    assert [folder["a"] for folder in crashes(files)] == [b"whole torn", b"whole"]
    output.write(b"x")
    assert files.after_kill() == {"a": b"wholex"}


def test_what_a_failed_sync_was_to_write_is_lost_though_later_syncs_succeed() -> None:
    files = SimulatedFiles({"log": b""})
    output = files.append("log")
    output.write(b"lost")
    files.faults = {len(files.calls): errno.EIO}
    with pytest.raises(OSError, match="Input/output error"):
        output.sync()
    output.write(b"kept")
    output.sync()
    assert files.read("log") == b"lostkept"
    assert crashes(files) == [{"log": b"\0\0\0\0kept"}]


def test_a_program_that_tries_a_failed_sync_again_is_found_out() -> None:
    def work(files: SimulatedFiles, told: Told) -> None:
        output = files.append("log")
        output.write(b"entry")
        files.faults = {len(files.calls): errno.EIO}
        with pytest.raises(OSError, match="Input/output error"):
            output.sync()
        output.sync()
        told.append(b"entry")
        output.close()

    def check(folder: Folder, told: Told) -> str:
        return "" if folder["log"] == b"entry" or not told else "it is lost"

    assert [loss.endswith("it is lost") for loss in losses(work, {"log": b""}, check)] == [True, True]


def test_a_full_disk_takes_what_fits_and_more_when_there_is_room_again() -> None:
    files = SimulatedFiles({"old": b"12345"})
    files.size = 8
    output = files.create("new")
    with pytest.raises(OSError, match="No space left"):
        output.write(b"abcdef")
    assert files.read("new") == b"abc"
    files.remove("old")
    output.write(b"de")
    assert files.read("new") == b"abcde"


def test_nothing_is_done_any_more_when_the_power_is_gone() -> None:
    files = SimulatedFiles({"a": b"1"})
    output = files.append("a")
    files.cut_at = len(files.calls)
    with pytest.raises(PowerLoss):
        output.write(b"23")
    with pytest.raises(PowerLoss):
        output.write(b"4")
    with pytest.raises(PowerLoss):
        files.remove("a")
    assert files.after_kill() == {"a": b"12"}


def test_a_chosen_crash_is_one_of_all() -> None:
    files = SimulatedFiles({"a": b"1", "b": b"2"})
    files.append("a").write(b"xy")
    files.remove("b")
    every = crashes(files)
    for seed in range(50):
        assert files.after_crash(Random(seed)).keys() in [folder.keys() for folder in every]
