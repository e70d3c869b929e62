"""The append-only file's fast path on real files: order, failures, and what is told of them. Compiled only."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ringkeeper.persist.files import DiskFiles, make_folder
from ringkeeper.persist.log import LogFolder
from ringkeeper.server.appender import Appender, State
from ringkeeper.server.pump import Pump

pytestmark = pytest.mark.compiled_only

DEADLINE = 20.0


class Log:
    """An append-only file that has a base, and its thread."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        self.folder = LogFolder(DiskFiles(str(folder)), "log")
        self.folder.next_increment()
        (folder / "temp-base.rdb").write_bytes(b"base")
        self.folder.adopt_base("temp-base.rdb", 4, 1)
        self.states: list[State] = []
        self.returned: list[bytearray] = []
        self.offset = 0
        self.appender = Appender(
            self.folder, asyncio.get_running_loop(), self.states.append, offset=0, recycle=self.returned.append
        )

    @property
    def content(self) -> bytes:
        return self.folder.files.read(self.folder.part.name)

    def give(self, data: bytes) -> None:
        self.offset += len(data)
        self.appender.hand_over(bytearray(data), self.offset)

    async def until(self, condition: Callable[[State], bool]) -> State:
        async with asyncio.timeout(DEADLINE):
            while not (self.states and condition(self.states[-1])):  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.001)
        return self.states[-1]

    async def ask(self, do: Callable[[], None]) -> str:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.appender.ask(do, done.set_result)
        async with asyncio.timeout(DEADLINE):
            return await done

    async def always(self) -> None:
        """From now on, and by the pump."""
        assert await self.ask(lambda: setattr(self.appender, "always", True)) == ""
        async with asyncio.timeout(DEADLINE):
            while not self.appender.pump.is_open:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.001)

    async def stop(self) -> None:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.appender.stop(done.set_result)
        async with asyncio.timeout(DEADLINE):
            assert await done == ""


@contextmanager
def files_limited(size: int) -> Iterator[None]:
    """No file of this process may grow beyond: the system then writes a part and refuses the rest (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_what_is_handed_over_is_written_in_order_and_told_as_durable(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    await log.always()
    for number in range(2000):
        log.give(b"%d\n" % number)
        if number % 100 == 0:
            await asyncio.sleep(0)
    await log.until(lambda state: state.durable == log.offset)
    assert log.content == b"".join(b"%d\n" % number for number in range(2000))
    assert log.states[-1] == State(log.offset, log.offset, "", False, 4 + log.offset, 4)
    assert [state.durable for state in log.states] == sorted(state.durable for state in log.states)
    assert sum(log.appender.pump.sync_counts) > 0
    assert log.returned
    await log.stop()


async def test_a_job_is_done_behind_what_came_before_it_and_before_what_comes_after(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    for number in range(200):
        first = log.folder.part
        log.give(b"before %d\n" % number)
        log.appender.ask(log.appender.begin_increment)
        log.give(b"after %d\n" % number)
        assert await log.ask(log.folder.sync) == ""
        assert log.folder.files.read(first.name).endswith(b"before %d\n" % number)
        assert log.content == b"after %d\n" % number
    await log.stop()


async def test_a_full_disk_is_told_and_heals_and_half_a_command_is_cut_off(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    await log.always()
    log.give(b"x" * 1000)
    await log.until(lambda state: state.durable == 1000)
    with files_limited(1500):
        log.give(b"y" * 400)
        log.give(b"z" * 400)
        state = await log.until(lambda state: bool(state.error))
        assert 1000 <= state.durable <= state.written <= 1400
        assert state.error == os.strerror(errno.EFBIG)
        assert not state.broken
        log.give(b"w" * 10)
    await log.until(lambda state: state.durable == log.offset and not state.error)
    assert log.content == b"x" * 1000 + b"y" * 400 + b"z" * 400 + b"w" * 10
    assert log.folder.size == 1810
    await log.stop()


async def test_a_failed_sync_breaks_the_log_and_nothing_behind_it_is_durable(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    await log.always()
    log.give(b"kept")
    await log.until(lambda state: state.durable == 4)
    output = log.folder.output
    assert output is not None
    reader, writer = os.pipe()  # takes bytes, and cannot be synced
    os.dup2(writer, output.descriptor)
    log.give(b"lost")
    state = await log.until(lambda state: state.broken)
    assert (state.written, state.durable) == (8, 4)
    assert state.error == os.strerror(errno.EINVAL)
    for opened in (reader, writer):
        os.close(opened)
    with pytest.raises(AssertionError):
        await log.stop()


async def test_more_pieces_than_the_system_takes_at_once_and_pieces_without_bytes(tmp_path: Path) -> None:
    pump = Pump((0.1,), 1 << 20)
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    assert not pump.offer(bytearray(b"early"), 5)
    assert pump.open(descriptor, written=0, durable=0, end=0, dropped=0, always=False, counts=True)
    for number in range(1000):
        assert pump.offer(bytearray(b"%03d" % number if number % 3 else b""), number + 1)
    pump.close()
    assert not pump.offer(bytearray(b"late"), 5000)
    assert pump.run() == 0
    assert pump.collect() == (1000, 0, 3 * 666)
    assert pump.rest() == []
    assert (tmp_path / "file").read_bytes() == b"".join(b"%03d" % number for number in range(1000) if number % 3)
    os.close(descriptor)


async def test_what_was_synced_leaves_the_systems_cache_in_portions(tmp_path: Path) -> None:
    pump = Pump((0.1,), 8192)
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    for portion, dropped in ((5000, 0), (5000, 10_000), (8000, 10_000), (192, 18_192)):
        end = pump.end
        assert pump.open(descriptor, written=end, durable=end, end=end, dropped=pump.dropped, always=True, counts=True)
        assert pump.offer(bytearray(portion), end + portion)
        pump.close()
        assert pump.run() == 0
        assert (pump.end, pump.durable, pump.dropped) == (end + portion, end + portion, dropped)
    os.close(descriptor)


async def test_a_crowd_is_answered_as_others_are(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    await log.always()
    for number in range(300):
        log.offset += 4
        log.appender.hand_over(bytearray(b"%04d" % number), log.offset, waiting=50)
        if number % 10 == 0:
            await log.until(lambda state: state.durable == log.offset)
    await log.until(lambda state: state.durable == log.offset)
    assert log.content == b"".join(b"%04d" % number for number in range(300))
    assert sum(log.appender.pump.sync_counts) < 300, "who came meanwhile shared one"
    await log.stop()
