"""The thread that owns the append-only file, on a disk that fails at any call: it keeps what it told, and heals."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Awaitable, Callable
from random import Random

import pytest
from persist.simulated import Call, SimulatedFiles
from persist.test_log_power_loss import BEFORE, KNOWN, NAME, NEW_BASE, check, entry, recovered

from ringkeeper.persist.files import write_whole
from ringkeeper.persist.log import LogFolder
from ringkeeper.server import appender as appender_module
from ringkeeper.server.appender import Appender, State

DEADLINE = 20.0
LOOKS = 4
"""At what a crash may leave, before each call."""


class Node:
    """Does what a node does with the thread. What is in memory are entries; the offset is how many there are."""

    def __init__(self, files: SimulatedFiles) -> None:
        self.files = files
        log = LogFolder(files, NAME)
        manifest = log.find()
        assert manifest is not None
        log.resume({part.name: len(files.read(part.name)) for part in manifest.parts})
        self.count = KNOWN
        self.state = State(written=KNOWN, durable=KNOWN)
        self.wrong: list[str] = []
        self.appender = Appender(log, asyncio.get_running_loop(), self.told, offset=KNOWN)
        self.appender.always = True
        files.on_call = self.look

    def told(self, state: State) -> None:
        self.state = state

    def look(self, call: Call) -> None:
        """Before every call of the disk: would all be there that was told by now?"""
        told = [b""] * self.appender.durable
        random = Random(call.number)
        for _ in range(LOOKS):
            if why := check(self.files.after_crash(random), told):
                self.wrong.append(f"before call {call.number}, {call.kind} ({call.sites[0]}): {why}")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not condition():  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(0.001)

    def add(self) -> None:
        self.count += 1
        self.appender.hand_over(bytearray(entry(self.count - 1)), self.count)

    async def ask(self, do: Callable[[], None]) -> str:
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.appender.ask(do, done.set_result)
        async with asyncio.timeout(DEADLINE):
            return await done

    async def take_base(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> str:
        """What went wrong, or nothing."""
        data = b"".join(map(entry, range(self.count)))
        if error := await self.ask(self.appender.begin_increment):
            return error
        self.add()
        if meanwhile is not None:
            await meanwhile()
        try:
            write_whole(self.files, NEW_BASE, "temp-1.rdb", lambda output: output.write(data))
        except OSError as why:
            return str(why)
        return await self.ask(lambda: self.appender.adopt(NEW_BASE, len(data)))

    async def settled(self) -> None:
        """Everything is durable, after a new base where there must be one."""
        async with asyncio.timeout(DEADLINE):
            while self.state.durable < self.count:
                if self.state.broken:
                    await self.take_base()
                await asyncio.sleep(0.001)

    async def stop(self) -> None:
        stopped: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.appender.stop(stopped.set_result)
        await stopped
        self.appender.thread.join(DEADLINE)
        assert not self.appender.thread.is_alive()


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appender_module, "RETRY_SECONDS", 0.002)


async def story(files: SimulatedFiles) -> Node:
    node = Node(files)
    node.add()
    await node.until(lambda: node.state.durable == node.count or node.state.error != "")
    await node.take_base()
    node.add()
    node.add()
    await node.settled()
    await node.take_base()
    await node.settled()
    await node.stop()
    return node


async def test_it_keeps_what_it_told_and_heals_whatever_call_fails() -> None:
    sound = SimulatedFiles(BEFORE)
    await story(sound)
    first = next(call.number for call in sound.calls if call.kind == "write")
    for code, number in itertools.product((errno.ENOSPC, errno.EIO), range(len(sound.calls))):
        files = SimulatedFiles(BEFORE)
        files.faults = {number: code}
        try:
            node = await story(files)
        except OSError:
            assert number < first, files.calls[number]
            continue
        assert node.wrong == [], f"{errno.errorcode[code]} at call {number}, {files.calls[number]}"
        for folder in files.every_crash(Random(1), limit=5):
            assert recovered(folder) == list(range(node.count)), f"{errno.errorcode[code]} at {files.calls[number]}"


async def test_a_full_disk_takes_what_waited_when_there_is_room_again() -> None:
    files = SimulatedFiles(BEFORE)
    node = Node(files)
    for room in range(0, 3 * len(entry(KNOWN)), 7):
        files.size = sum(map(len, files.after_kill().values())) + room
        for _ in range(4):
            node.add()
        await node.until(lambda: node.state.error == "No space left on device")
        assert node.state.durable < node.count
        files.size = float("inf")
        await node.settled()
    await node.stop()
    assert node.wrong == []
    assert {tuple(recovered(folder)) for folder in files.every_crash(Random(1))} == {tuple(range(node.count))}


async def test_what_waits_for_room_does_not_come_twice_behind_a_new_base_that_has_it() -> None:
    files = SimulatedFiles(BEFORE)
    node = Node(files)
    files.size = sum(map(len, files.after_kill().values())) + 5
    node.add()
    node.add()
    await node.until(lambda: node.state.error != "")
    files.on_call = lambda call: setattr(files, "size", float("inf")) if call.kind == "create" else None
    await node.take_base()
    files.size = float("inf")
    await node.settled()
    await node.stop()
    assert recovered(files.after_kill()) == list(range(node.count))
