"""The append-only file of a node whose disk is slow, full or broken: what clients are told, and what is kept."""

import asyncio
import errno
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lines import DEADLINE, Client, connect, until

from ringkeeper.persist.files import DiskFiles, DiskOutput
from ringkeeper.persist.log import LogFolder
from ringkeeper.server import append_only, snapshots
from ringkeeper.server.append_only import AppendOnly
from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node


class Output(DiskOutput):
    def __init__(self, output: DiskOutput, disk: "Disk") -> None:
        super().__init__(output.descriptor)
        self.disk = disk

    def write(self, data: bytes) -> None:
        if self.disk.full:
            os.write(self.descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(data)

    def sync(self) -> None:
        self.disk.syncs += 1
        self.disk.ready.wait(DEADLINE)
        if self.disk.failing_syncs:
            self.disk.failing_syncs -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync()


class Disk(DiskFiles):
    """A folder whose files fail as they are told to; what children write does not."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.full = False
        self.failing_syncs = 0
        self.syncs = 0
        self.ready = threading.Event()
        """Cleared, syncs wait."""
        self.ready.set()

    def create(self, name: str) -> DiskOutput:
        output = super().create(name)
        return Output(output, self) if name.endswith("incr.aof") else output

    def append(self, name: str) -> DiskOutput:
        return Output(super().append(name), self)


@pytest.fixture
async def disk(tmp_path: Path) -> Disk:
    (tmp_path / "appendonlydir").mkdir()
    return Disk(str(tmp_path / "appendonlydir"))


async def start(tmp_path: Path, disk: DiskFiles, monkeypatch: pytest.MonkeyPatch, fsync: str) -> Node:
    monkeypatch.setattr(AppendOnly, "open_folder", lambda _: LogFolder(disk, "appendonly.aof"))
    words = [
        "--port",
        "0",
        "--bind",
        "127.0.0.1",
        "--dir",
        str(tmp_path),
        "--appendonly",
        "yes",
        "--appendfsync",
        fsync,
    ]
    node = Node(read_arguments(words), asyncio.get_running_loop())
    await node.start()
    return node


@pytest.fixture
async def node(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    node = await start(tmp_path, disk, monkeypatch, "always")
    yield node
    disk.ready.set()
    await node.stop()


async def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[bytes]:
    """The keys that another node finds in a copy of the folder, as it is now."""
    copy = tmp_path / "copy"
    (copy / "appendonlydir").mkdir(parents=True, exist_ok=True)
    for path in (tmp_path / "appendonlydir").iterdir():
        (copy / "appendonlydir" / path.name).write_bytes(path.read_bytes())
    other = await start(copy, DiskFiles(str(copy / "appendonlydir")), monkeypatch, "no")
    keys = set(other.databases[0].keys())
    await other.stop()
    return keys


def is_written(tmp_path: Path, word: bytes) -> bool:
    """Whether the thread of the file has it in the log, for which a reply does not wait where nobody syncs at once."""
    return any(word in path.read_bytes() for path in (tmp_path / "appendonlydir").glob("*.incr.aof"))


async def test_only_who_changed_something_waits_for_the_disk(node: Node, disk: Disk) -> None:
    writer, reader = await connect(node), await connect(node)
    assert await writer.ask("SET key 1") == b"+OK\r\n"
    disk.ready.clear()
    writer.send("SET key 2")
    await until(lambda: node.effects.journal.held)
    assert await reader.ask("EXISTS key") == b":1\r\n"
    writer.send("PING")
    assert await reader.ask("PING") == b"+PONG\r\n"
    assert node.effects.journal.held, "nothing was sent before the sync"
    disk.ready.set()
    assert [await writer.line(), await writer.line()] == [b"+OK\r\n", b"+PONG\r\n"]


async def test_one_sync_serves_all_who_came_meanwhile(node: Node, disk: Disk) -> None:
    clients = [await connect(node) for _ in range(20)]
    disk.ready.clear()
    before = disk.syncs
    for number, client in enumerate(clients):
        client.send(f"SET key{number} 1")
    await until(lambda: len(node.effects.journal.held) == 20)
    disk.ready.set()
    assert [await client.line() for client in clients] == [b"+OK\r\n"] * 20
    assert disk.syncs - before <= 3


async def test_a_client_that_stops_sending_gets_the_replies_that_waited(node: Node, disk: Disk) -> None:
    client = await connect(node)
    disk.ready.clear()
    client.send("SET key 1")
    client.writer.write_eof()
    await until(lambda: node.effects.journal.held)
    disk.ready.set()
    assert await client.reader.read() == b"+OK\r\n"


async def test_a_pipeline_longer_than_the_buffer_goes_on_behind_the_sync(node: Node, disk: Disk) -> None:
    client = await connect(node)
    disk.ready.clear()
    client.writer.write(b"SET key %b\r\n" % bytes(b"v" * 1000) + b"GET key\r\n" * 1000 + b"SET last 1\r\n")
    await until(lambda: node.effects.journal.held)
    disk.ready.set()
    assert await client.line() == b"+OK\r\n"
    for _ in range(1000):
        assert await client.line() == b"$1000\r\n"
        await client.line()
    assert await client.line() == b"+OK\r\n"


async def test_what_waits_for_a_slow_disk_is_bounded(node: Node, disk: Disk) -> None:
    client = await connect(node)
    disk.ready.clear()
    journal = node.effects.journal
    began = journal.offset
    value = b"v" * (1 << 20)
    for number in range(100):
        client.writer.write(
            b"*3\r\n$3\r\nSET\r\n$%d\r\n%d\r\n$%d\r\n%b\r\n" % (len(str(number)), number, len(value), value)
        )
    await until(lambda: journal.offset - began > 32 << 20)
    other = await connect(node)
    assert await other.ask("PING") == b"+PONG\r\n", "and rounds go by"
    assert journal.offset - began < 40 << 20
    disk.ready.set()
    for _ in range(100):
        assert await client.line() == b"+OK\r\n"
    assert len(node.databases[0]) == 100


async def test_a_full_disk_refuses_changes_until_there_is_room(
    node: Node, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = await connect(node), await connect(node)
    assert await client.ask("SET before 1") == b"+OK\r\n"
    disk.full = True
    client.send("SET amid 1")
    await until(lambda: node.append_only.error)
    refusal = await other.ask("SET later 1")
    assert refusal == b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
    assert await other.ask("EXISTS before") == b":1\r\n"
    assert node.persistence_error() == "No space left on device"
    assert await kept(tmp_path, monkeypatch) == {b"before"}
    disk.full = False
    assert await client.line() == b"+OK\r\n"
    assert await other.ask("SET later 1") == b"+OK\r\n"
    assert await kept(tmp_path, monkeypatch) == {b"before", b"amid", b"later"}


async def test_after_a_failed_sync_only_a_new_base_is_trusted(
    node: Node, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connect(node)
    assert await client.ask("SET before 1") == b"+OK\r\n"
    abandoned = node.append_only.appender.log.part.name  # type: ignore[union-attr]
    disk.failing_syncs = 1
    assert await client.ask("SET amid 1") == b"+OK\r\n", "it waited for the new base"
    names = {path.name for path in (tmp_path / "appendonlydir").iterdir()}
    assert abandoned not in names
    assert await kept(tmp_path, monkeypatch) == {b"before", b"amid"}
    assert await client.ask("SET later 1") == b"+OK\r\n"
    assert await kept(tmp_path, monkeypatch) == {b"before", b"amid", b"later"}
    assert not node.persistence_error()


async def test_everysec_makes_nobody_wait_unless_the_disk_is_two_seconds_behind(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start(tmp_path, disk, monkeypatch, "everysec")
    client, other = await connect(node), await connect(node)
    disk.ready.clear()
    assert await client.ask("SET key 1") == b"+OK\r\n"
    await until(lambda: node.effects.journal.waits)
    client.send("SET key 2")
    await until(lambda: node.effects.journal.held)
    assert await other.ask("EXISTS key") == b":1\r\n"
    assert node.append_only.delayed == 1
    disk.ready.set()
    assert await client.line() == b"+OK\r\n"
    await until(lambda: not node.effects.journal.waits)
    await node.stop()


async def test_no_command_is_executed_without_a_look_at_a_disk_that_has_fallen_behind(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever else the node is late with: here it does nothing of what it should do now and then."""
    node = await start(tmp_path, disk, monkeypatch, "everysec")
    client = await connect(node)
    disk.ready.clear()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(node.append_only, "round", lambda: None)
        assert await client.ask("SET key 1") == b"+OK\r\n"
        await until(lambda: node.append_only.behind_s > append_only.BEHIND_SECONDS)
        assert not node.effects.journal.held
        client.send("SET key 2")
        await until(lambda: node.effects.journal.held)
    disk.ready.set()
    assert await client.line() == b"+OK\r\n"
    await node.stop()


async def test_no_reply_is_sent_without_a_look_at_a_disk_that_has_fallen_behind(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a command and its reply the processor may be somebody else's for long: here for ten seconds."""
    node = await start(tmp_path, disk, monkeypatch, "everysec")
    log, journal = node.append_only, node.effects.journal
    client = await connect(node)
    disk.ready.clear()

    def schedule() -> None:
        log.marks.append((journal.offset, time.monotonic() - 10))
        log.expect_disk()

    journal.schedule = schedule
    client.send("SET key 1")
    await until(lambda: journal.held)
    log.hand_over()
    disk.ready.set()
    assert await client.line() == b"+OK\r\n"
    await node.stop()


async def test_all_that_is_handed_over_is_remembered_until_it_is_synced(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes right behind something else, too: else nobody would ask for its sync before the next change."""
    node = await start(tmp_path, disk, monkeypatch, "everysec")
    disk.ready.clear()
    for word in (b"first", b"second"):
        node.effects.journal.append(0, [b"SET", word, b"1"])
        node.append_only.hand_over()
        assert node.append_only.marks[-1][0] == node.effects.journal.offset
    disk.ready.set()
    await node.stop()


async def test_a_node_ends_only_when_all_is_on_the_disk(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start(tmp_path, disk, monkeypatch, "everysec")
    client = await connect(node)
    assert await client.ask("SET key 1") == b"+OK\r\n"
    before = disk.syncs
    await node.stop()
    assert disk.syncs > before
    assert await kept(tmp_path, monkeypatch) == {b"key"}


async def test_a_node_that_is_told_to_end_and_stays_is_ready_for_clients_as_before(node: Node, disk: Disk) -> None:
    client = await connect(node)
    disk.full = True
    client.send("SET key 1")
    await until(lambda: node.append_only.error)
    node.departure.begin()
    assert not node.stopped.is_set()
    assert not node.departure.reason()
    disk.full = False
    await until(lambda: not node.append_only.error)
    assert await client.line() == b"+OK\r\n"
    node.departure.begin()
    assert node.stopped.is_set()
    assert node.departure.reason() == "this node is about to end"


async def test_a_node_whose_disk_is_full_does_not_end_unless_forced(node: Node, disk: Disk) -> None:
    client = await connect(node)
    disk.full = True
    client.send("SET key 1")
    await until(lambda: node.append_only.error)
    other = await connect(node)
    assert (await other.ask("SHUTDOWN")).startswith(b"-ERR Errors trying to SHUTDOWN")
    assert not node.stopped.is_set()
    other.send("SHUTDOWN FORCE")
    await until(node.stopped.is_set)
    disk.full = False


async def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """What another node finds the counter `n` to be in a copy of the folder, as it is now."""
    copy = tmp_path / "counted"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(tmp_path / "appendonlydir", copy / "appendonlydir")
    other = await start(copy, DiskFiles(str(copy / "appendonlydir")), monkeypatch, "no")
    answer = await (await connect(other)).ask("INCRBY n 0")
    await other.stop()
    return answer


async def behind_a_slow_disk(node: Node, disk: Disk) -> tuple[Client, Client]:
    """A client that goes on, and one that waits for a disk that stands still, on which a base waits for its place."""
    client, waiter = await connect(node), await connect(node)
    disk.ready.clear()
    waiter.send("INCR n")
    await until(lambda: node.effects.journal.held)
    assert (await client.ask("BGREWRITEAOF")).startswith(b"+Background")
    await until(lambda: node.append_only.running is None)
    return client, waiter


async def test_no_base_is_begun_before_the_last_is_in_its_place(
    node: Node, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, waiter = await behind_a_slow_disk(node, disk)
    waiter.send("INCR n")
    assert b"in progress" in await client.ask("BGREWRITEAOF")
    disk.ready.set()
    assert await waiter.line() + await waiter.line() == b":1\r\n:2\r\n"
    await until(lambda: not node.append_only.adopting)
    assert node.append_only.rewrites == 1
    assert await counted(tmp_path, monkeypatch) == b":2\r\n"


async def test_switched_off_and_on_again_while_the_disk_is_slow_it_loses_nothing(
    node: Node, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _waiter = await behind_a_slow_disk(node, disk)
    for word in ("no", "yes", "no", "yes"):
        assert await client.ask(f"CONFIG SET appendonly {word}") == b"+OK\r\n"
        node.append_only.round()
    assert await client.ask("INCR n") == b":2\r\n"
    disk.ready.set()
    await until(lambda: node.append_only.promising)
    assert await client.ask("INCR n") == b":3\r\n"
    assert await counted(tmp_path, monkeypatch) == b":3\r\n"
    assert not node.append_only.ended_at


async def test_a_log_that_was_ended_twice_makes_way_for_a_snapshot(node: Node, tmp_path: Path) -> None:
    client = await connect(node)
    assert await client.ask("INCR n") == b":1\r\n"
    for word in ("no", "yes", "no"):
        assert await client.ask(f"CONFIG SET appendonly {word}") == b"+OK\r\n"
    await until(lambda: node.append_only.ended_at or (tmp_path / "dump.rdb").exists())
    await until(lambda: not (tmp_path / "appendonlydir" / "appendonly.aof.manifest").exists())
    assert (tmp_path / "dump.rdb").exists()


async def test_a_node_that_ends_answers_no_change_that_comes_too_late(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await start(tmp_path, disk, monkeypatch, "everysec")
    client = await connect(node)
    assert await client.ask("INCR n") == b":1\r\n"
    other = await connect(node)
    assert await other.ask("PING") == b"+PONG\r\n"
    disk.ready.clear()
    before = disk.syncs
    ending = asyncio.create_task(node.stop())
    await until(lambda: disk.syncs > before)
    client.send("INCR n")
    assert await other.ask("PING") == b"+PONG\r\n"
    disk.ready.set()
    await ending
    assert await client.reader.read() == b""
    assert await counted(tmp_path, monkeypatch) == b":1\r\n"


@pytest.fixture
def let_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], object]]:
    """Bases are not written before this is called; each takes a byte of a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    descriptor = os.open(pipe, os.O_RDWR)

    def saving(*words: Any, **more: Any) -> Callable[[Any], None]:
        work = snapshots.saving(*words, **more)

        def wait_and_work(report: Any) -> None:
            os.read(os.open(pipe, os.O_RDONLY), 1)
            work(report)

        return wait_and_work

    monkeypatch.setattr(append_only, "saving", saving)
    yield lambda: os.write(descriptor, b"let them all begin")
    os.close(descriptor)


async def test_data_that_is_new_may_be_changed_before_its_base_is_on_the_disk(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, let_base: Callable[[], object]
) -> None:
    node = await start(tmp_path, disk, monkeypatch, "everysec")
    client = await connect(node)
    assert await client.ask("SET old 1") == b"+OK\r\n"
    await until(lambda: is_written(tmp_path, b"old"))
    node.append_only.begin_anew()
    assert await client.ask("SET new 2") == b"+OK\r\n"
    await until(lambda: node.append_only.running)
    assert await client.ask("SET newer 3") == b"+OK\r\n"
    assert not node.append_only.promising
    assert not node.persistence_error()
    assert await kept(tmp_path, monkeypatch) == {b"old"}, "a crash finds the data of before, and no mixture"
    assert (await client.ask("SHUTDOWN")).startswith(b"-ERR Errors trying to SHUTDOWN")
    assert not node.stopped.is_set()
    let_base()
    await until(lambda: node.append_only.promising)
    await node.stop()
    assert await kept(tmp_path, monkeypatch) == {b"old", b"new", b"newer"}


async def test_with_always_a_change_of_new_data_is_answered_when_its_base_is_on_the_disk(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, let_base: Callable[[], object]
) -> None:
    client, reader = await connect(node), await connect(node)
    assert await client.ask("SET old 1") == b"+OK\r\n"
    node.append_only.begin_anew()
    client.send("SET new 2")
    await until(lambda: node.append_only.running and node.effects.journal.held)
    assert await reader.ask("EXISTS new") == b":1\r\n"
    for _ in range(3):
        node.append_only.round()
    assert node.effects.journal.held
    let_base()
    assert await client.line() == b"+OK\r\n"
    assert await kept(tmp_path, monkeypatch) == {b"old", b"new"}


async def test_nothing_of_new_data_goes_to_the_log_of_the_old(
    node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connect(node)
    assert await client.ask("SET old 1") == b"+OK\r\n"
    log = node.append_only
    monkeypatch.setattr(AppendOnly, "busy", True)
    log.begin_anew()
    client.send("SET new 2")
    await until(lambda: log.state.broken and not node.effects.journal.buffer)
    asked = asyncio.get_running_loop().create_future()
    log.appender.ask(lambda: None, asked.set_result)  # type: ignore[union-attr]
    assert await asked == ""
    assert await kept(tmp_path, monkeypatch) == {b"old"}
    monkeypatch.setattr(AppendOnly, "busy", False)
    assert await client.line() == b"+OK\r\n"
    assert await kept(tmp_path, monkeypatch) == {b"old", b"new"}


async def test_a_base_of_the_data_before_is_no_base_of_the_new(
    node: Node, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, waiter = await behind_a_slow_disk(node, disk)
    assert node.append_only.adopting
    node.append_only.begin_anew()
    waiter.send("SET new 2")
    disk.ready.set()
    assert await waiter.line() + await waiter.line() == b":1\r\n+OK\r\n"
    assert node.append_only.rewrites == 1
    assert node.append_only.promising
    assert await kept(tmp_path, monkeypatch) == {b"n", b"new"}


async def test_a_base_that_the_new_data_made_void_is_not_waited_for(node: Node, let_base: Callable[[], object]) -> None:
    client = await connect(node)
    assert (await client.ask("BGREWRITEAOF")).startswith(b"+Background")
    node.append_only.begin_anew()
    let_base()
    assert await client.ask("SET new 2") == b"+OK\r\n"
    assert (node.append_only.failed, node.append_only.rewrites) == (0, 1)


async def test_where_the_base_of_new_data_fails_changes_are_refused(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await connect(node)
    with monkeypatch.context() as broken:
        broken.setattr(append_only, "NEW_BASE", "no-folder/temp-base.rdb")
        node.append_only.begin_anew()
        await until(lambda: node.append_only.base_error)
        assert (await client.ask("SET new 2")).startswith(b"-MISCONF")
    node.append_only.base_tried = 0.0
    await until(lambda: node.append_only.promising)
    assert await client.ask("SET new 2") == b"+OK\r\n"
