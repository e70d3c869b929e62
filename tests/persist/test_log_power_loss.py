"""The append-only file survives a power loss at any call with all that was synced, and each of its syncs is needed."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
from persist.power_loss import WHOLE, Check, Told, Work, losses, run, sync_sites, syncs_in, without
from persist.rdb_files import Bytes
from persist.simulated import Call, Folder, SimulatedFiles

from ringkeeper.persist import files as files_module
from ringkeeper.persist import log as log_module
from ringkeeper.persist.aof import LogReader, Manifest, Part, Torn
from ringkeeper.persist.files import DiskFiles, make_folder, write_whole
from ringkeeper.persist.log import LogFolder
from ringkeeper.persist.rdb import Damaged
from ringkeeper.resp.writer import encode_command

NAME = "appendonly.aof"
NEW_BASE = "temp-base.rdb"
KNOWN = 4
"""Entries that the log holds in the beginning."""
SEEDS, CUTS = 20, 10
"""Of random loads, and of power cuts in each."""


def entry(number: int) -> bytes:
    return encode_command([b"RPUSH", b"list", b"%d" % number])


class Program:
    """Does with a log what a node does; its data are entries, numbered from 0. A base has them as commands too."""

    def __init__(self, files: SimulatedFiles, told: Told) -> None:
        self.files = files
        self.told = told
        self.log = LogFolder(files, NAME)
        self.count = 0
        manifest = self.log.find()
        sizes: dict[str, int] = {}
        for part, entries, size in parts_of(manifest, files.after_kill()):
            self.count += len(entries)
            if size < len(files.read(part.name)):
                self.log.cut(part, size)
            sizes[part.name] = size
        self.log.clean()
        if manifest is not None:
            self.log.resume(sizes)
        else:
            self.log.next_increment()
            self.write_base(self.count)
            self.log.adopt_base(NEW_BASE, 0, self.log.part.number)

    def add(self, *, synced: bool = True) -> None:
        self.log.append(entry(self.count))
        self.count += 1
        if synced:
            self.sync()

    def sync(self) -> None:
        self.log.sync()
        self.told[:] = [b"%d" % number for number in range(self.count)]

    def write_base(self, count: int) -> None:
        data = b"".join(map(entry, range(count)))
        write_whole(self.files, NEW_BASE, "temp-1.rdb", lambda output: output.write(data))

    def rewrite(self) -> None:
        """Entries come before, amid and behind it."""
        self.add(synced=False)
        self.log.next_increment()
        first, count = self.log.part.number, self.count
        self.add()
        self.write_base(count)
        self.add(synced=False)
        self.log.adopt_base(NEW_BASE, 0, first)
        self.add()


class Refused(Exception):
    """A node would not start."""


def entries_of(data: bytes, *, last: bool) -> tuple[list[int], int]:
    """Those of a part, and up to where it is whole."""
    reader, found = LogReader(Bytes(data), len(data)), []
    try:
        while (words := reader.next()) is not None:
            found.append(int(words[2]))
    except Torn:
        if not last:
            raise Refused("a part that is not the last is torn") from None
        return found, reader.began
    except Damaged as why:
        if not last:
            raise Refused(str(why)) from None
        # Bytes that were never synced, out of order. A node stops, and `check-aof --fix` keeps what is before them.
        return found, reader.began
    return found, len(data)


def parts_of(manifest: Manifest | None, folder: Folder) -> Iterator[tuple[Part, list[int], int]]:
    """Parts, the entries that they hold, and up to where they are whole. What is torn must have nothing behind it."""
    parts = manifest.parts if manifest else ()
    for index, part in enumerate(parts):
        if part.name not in folder:
            raise Refused(f"{part.name} is missing")
        last = not any(folder.get(later.name) for later in parts[index + 1 :])
        yield part, *entries_of(folder[part.name], last=last)


def recovered(folder: Folder) -> list[int]:
    manifest = LogFolder(SimulatedFiles(folder), NAME).find()
    return [number for _, entries, _ in parts_of(manifest, folder) for number in entries]


def check(folder: Folder, told: Told, known: int = KNOWN) -> str:
    """All that was told is there, and nothing but what was written, in its order."""
    try:
        found = recovered(folder)
    except (Refused, Damaged) as why:
        return str(why)
    if found != list(range(len(found))):
        return f"the entries are {found}"
    least = max(len(told), known)
    return "" if len(found) >= least else f"of {least} entries {len(found)} are left"


def check_first(folder: Folder, told: Told) -> str:
    """Where there was no log before."""
    return check(folder, told, known=0) if told else ""


def check_retired(folder: Folder, told: Told) -> str:
    if LogFolder(SimulatedFiles(folder), NAME).find() is None:
        return ""
    return "the log is back, older than the snapshot that replaced it" if told else check(folder, [])


def grown() -> Folder:
    """A log with a base and an increment."""
    files = SimulatedFiles()
    program = Program(files, [])
    program.rewrite()
    program.log.close()
    assert program.count == KNOWN
    return files.after_kill()


BEFORE = grown()


def cycle(files: SimulatedFiles, told: Told) -> None:
    """One start, one rewrite, one switch of the manifest."""
    program = Program(files, told)
    program.add()
    program.rewrite()
    program.log.close()


def first_start(files: SimulatedFiles, told: Told) -> None:
    program = Program(files, told)
    program.add()
    program.add()
    program.log.close()


def restart(files: SimulatedFiles, told: Told) -> None:
    program = Program(files, told)
    program.told[:] = [b"%d" % number for number in range(program.count)]
    program.add()
    program.log.close()


def torn() -> Folder:
    last = max(name for name in BEFORE if name.endswith("incr.aof"))
    return BEFORE | {last: BEFORE[last] + entry(KNOWN)[:-3]}


def heal(files: SimulatedFiles, told: Told) -> None:
    """A sync fails: only a new base makes the log whole again, and until then nothing is told."""
    program = Program(files, told)
    program.add()
    program.log.append(entry(program.count))
    program.count += 1
    files.faults = {len(files.calls): errno.EIO}
    with pytest.raises(OSError, match="Input/output error"):
        program.log.sync()
    assert not program.log.durable
    program.log.next_increment()
    first = program.log.part.number
    program.write_base(program.count)
    program.log.append(entry(program.count))
    program.count += 1
    program.log.adopt_base(NEW_BASE, 0, first)
    assert program.log.durable
    program.add()
    program.log.close()


def torn_base() -> Folder:
    """As a Redis without a preamble leaves it: the base holds commands, and is the last part."""
    text = b"".join(map(entry, range(KNOWN))) + entry(KNOWN)[:-1]
    return {f"{NAME}.manifest": b"file base.aof seq 1 type b\n", "base.aof": text}


def retirement(files: SimulatedFiles, told: Told) -> None:
    """A snapshot takes the log's place; only what that holds is told from then on."""
    program = Program(files, [])
    program.log.retire()
    told.append(b"it is gone")


STORIES: dict[str, tuple[Work, Folder, Check]] = {
    "a rewrite": (cycle, BEFORE, check),
    "a first start": (first_start, {}, check_first),
    "a restart behind a torn end": (restart, torn(), check),
    "a restart behind a torn base": (restart, torn_base(), check),
    "a sync that fails": (heal, BEFORE, check),
    "a retirement": (retirement, BEFORE, check_retired),
}


@pytest.mark.parametrize("name", STORIES)
def test_nothing_that_was_told_is_lost_wherever_the_power_goes(name: str) -> None:
    assert list(losses(*STORIES[name])) == []


def lost_to_a_kill(ignored: Callable[[Call], bool] = lambda _: False) -> str:
    """A node is killed at any call, the next one starts, and tells; then the power goes."""
    whole, _ = run(cycle, BEFORE)
    for cut_at in [*range(len(whole.calls)), WHOLE]:
        killed, told = run(cycle, BEFORE, cut_at)
        again = killed.restarted()
        again.ignored = ignored
        program = Program(again, told)
        told[:] = [b"%d" % number for number in range(program.count)]
        for _ in range(2):
            for folder in again.every_crash(Random(1)):
                if why := check(folder, told):
                    return f"killed at call {cut_at}: {why}"
            program.add()
    return ""


def test_what_a_killed_node_had_not_synced_is_safe_when_the_next_one_tells_it() -> None:
    assert lost_to_a_kill() == ""


SYNCS = syncs_in(log_module) | syncs_in(files_module, "write_whole")


@pytest.mark.parametrize("site", sorted(SYNCS))
def test_each_sync_is_needed(site: str) -> None:
    found = [next(losses(*story, without(site)), "") for story in STORIES.values() if site in sync_sites(*story[:2])]
    assert found, "no story comes along there"
    assert any(found) or lost_to_a_kill(without(site))


def under_load(random: Random) -> Work:
    """Appends of all sizes, synced now and then, rewrites, restarts."""

    def work(files: SimulatedFiles, told: Told) -> None:
        program = Program(files, told)
        for _ in range(random.randrange(5, 60)):
            match random.randrange(20):
                case 0:
                    program.rewrite()
                case 1:
                    program.log.close()
                    program = Program(files, told)
                case 2 | 3 | 4 | 5:
                    program.sync()
                case _:
                    for _ in range(random.randrange(1, 9)):
                        program.add(synced=False)
        program.log.close()

    return work


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_appends_are_kept_up_to_the_last_sync_at_least(seed: int) -> None:
    whole, _ = run(under_load(Random(seed)), BEFORE)
    random = Random(seed)
    for cut_at in random.sample(range(len(whole.calls)), CUTS):
        files, told = run(under_load(Random(seed)), BEFORE, cut_at)
        for folder in [files.after_kill(), *(files.after_crash(random) for _ in range(5))]:
            assert check(folder, told) == "", f"power gone amid call {cut_at}"


def test_a_sync_that_does_nothing_is_found_under_random_load() -> None:
    appends = next(iter(syncs_in(log_module, "sync")))
    found = False
    for seed in range(SEEDS):
        random = Random(seed)
        for cut_at in range(10, 40):
            files, told = run(under_load(Random(seed)), BEFORE, cut_at, without(appends))
            found = found or any(check(files.after_crash(random), told) for _ in range(5))
    assert found


def test_a_folder_is_synced_in_the_one_that_it_is_in_whoever_made_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(DiskFiles, "sync", lambda files: synced.append(files.folder))
    for _ in range(2):
        make_folder(tmp_path / "log")
    assert (tmp_path / "log").is_dir()
    assert synced == [str(tmp_path)] * 2
