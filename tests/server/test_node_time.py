"""The wall clock is set while a node runs, and its machine sleeps: what becomes of its time, and of its keys."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node
from ringkeeper.server.node_time import NodeTime, Reading, read_clocks
from ringkeeper.store.keyspace import Clock, Keyspace

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
START = 1_700_000_000 * SECOND
DEADLINE = 30


class Machine:
    """Three clocks that a test moves."""

    def __init__(self) -> None:
        self.reading = Reading(5 * HOUR, 7 * HOUR, START)
        self.clock = Clock()
        self.time = NodeTime(self.clock, self.reading)

    def run(self, nanoseconds: int) -> None:
        monotonic, boot, wall = self.reading
        self.reading = Reading(monotonic + nanoseconds, boot + nanoseconds, wall + nanoseconds)

    def suspend(self, nanoseconds: int) -> None:
        monotonic, boot, wall = self.reading
        self.reading = Reading(monotonic, boot + nanoseconds, wall + nanoseconds)

    def set_wall(self, nanoseconds: int) -> None:
        self.reading = self.reading._replace(wall=self.reading.wall + nanoseconds)

    def now(self) -> int:
        return int(self.time.at(self.reading.monotonic))

    def look(self) -> int:
        return int(self.time.look(self.reading))


def test_without_steps_the_nodes_time_is_the_walls() -> None:
    machine = Machine()
    for _ in range(100):
        machine.run(SECOND // 10)
        assert machine.look() == 0
        assert machine.now() == machine.reading.wall
        assert machine.clock.now_ms == machine.reading.wall // 1_000_000
        assert machine.time.difference == 0


@pytest.mark.parametrize("hours", [-5, -1, 1, 5])
def test_a_step_is_told_once_and_made_up_for_in_ten_times_its_length(hours: int) -> None:
    machine = Machine()
    machine.set_wall(hours * HOUR)
    before = machine.now()
    assert machine.look() == hours * HOUR
    assert machine.now() == before, "it does not jump"
    assert machine.time.difference == hours * HOUR
    passed = 0
    while machine.time.difference:
        machine.run(60 * SECOND)
        passed += 60 * SECOND
        assert machine.look() == 0, "it was told of already"
        factor = (machine.now() - before) / passed
        assert 0.9 <= factor <= 1.1
    assert passed == 10 * abs(hours) * HOUR
    assert machine.now() == machine.reading.wall


def test_between_two_looks_it_goes_at_the_same_rate_and_not_beyond_the_wall_clock() -> None:
    machine = Machine()
    machine.set_wall(SECOND)
    machine.look()
    start = machine.now()
    machine.run(5 * SECOND)
    assert machine.now() - start == 5.5 * SECOND
    machine.run(100 * SECOND)
    assert machine.now() == machine.reading.wall


def test_a_suspended_machine_has_really_been_away() -> None:
    machine = Machine()
    machine.suspend(3 * HOUR)
    assert machine.look() == 0
    assert machine.now() == machine.reading.wall == START + 3 * HOUR


def test_what_comes_between_two_clocks_when_they_are_read_is_no_suspension() -> None:
    machine = Machine()
    monotonic, boot, wall = machine.reading
    assert machine.time.look(Reading(monotonic + SECOND, boot, wall + SECOND)) == 0
    assert machine.now() == START + SECOND
    machine.run(SECOND)
    machine.look()
    assert machine.now() == machine.reading.wall


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_done_to_the_clocks_time_goes_on_and_is_off_by_a_tenth_at_most(seed: int) -> None:
    random, machine = Random(seed), Machine()
    last = machine.now()
    for _ in range(2000):
        choice, slept = random.random(), 0
        if choice < 0.1:
            machine.set_wall(random.randrange(-5 * HOUR, 5 * HOUR))
        elif choice < 0.15:
            slept = random.randrange(HOUR)
            machine.suspend(slept)
        passed = random.randrange(random.choice([2, SECOND, HOUR]))
        machine.run(passed)
        if slept or random.random() < 0.5:
            machine.look()
        now = machine.now()
        assert passed * 0.9 + slept - 1 <= now - last <= passed * 1.1 + slept + 1
        last = now


@pytest.mark.parametrize("hours", [-3, 3])
def test_no_key_goes_more_than_a_tenth_too_early_or_too_late(hours: int) -> None:
    machine = Machine()
    keyspace = Keyspace(machine.clock)
    lives = {b"second": 1, b"minute": 60, b"hour": 3600, b"day": 86400}
    for key, life in lives.items():
        keyspace.set(key, b"v", machine.clock.now_ms + life * 1000)
    machine.set_wall(hours * HOUR)
    gone: dict[bytes, float] = {}
    passed = 0
    while len(keyspace):
        step = max(passed // 100, SECOND // 10)
        machine.run(step)
        passed += step
        machine.look()
        keyspace.sweep(100_000)
        gone |= {key: passed / SECOND for key in lives.keys() - gone.keys() if keyspace.look(key) is None}
    assert gone.keys() == lives.keys()
    for key, life in lives.items():
        assert 0.9 * life <= gone[key] <= life / 0.9 * 1.02 + 0.1, key


class StepClock:
    """The real clocks, but for what is added to the wall's."""

    def __init__(self) -> None:
        self.set_by = 0

    def __call__(self) -> Reading:
        reading = read_clocks()
        return reading._replace(wall=reading.wall + self.set_by)


@pytest.fixture
def clocks() -> StepClock:
    return StepClock()


@pytest.fixture
async def node(tmp_path: Path, clocks: StepClock) -> AsyncIterator[Node]:
    words = ["--port", "0", "--bind", "127.0.0.1", "--admin-port", "0", "--dir", str(tmp_path)]
    node = Node(read_arguments(words), asyncio.get_running_loop(), clocks=clocks)
    node.admin_port = 0
    await node.start()
    yield node
    await node.stop()


class Talk:
    """A connection: inline commands, replies of one line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, line: str) -> str:
        self.writer.write(line.encode() + b"\r\n")
        return (await self.reader.readline()).decode().strip()

    async def time(self) -> float:
        assert await self.ask("TIME") == "*2"
        seconds, microseconds = [int((await self.reader.readline()) and await self.reader.readline()) for _ in range(2)]
        return seconds + microseconds / 1e6


async def looked(node: Node, difference: int) -> None:
    """Until the node has seen that the wall clock differs by about so much."""
    async with asyncio.timeout(DEADLINE):
        while abs(node.time.difference - difference) > SECOND:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_running_node_neither_drops_its_keys_nor_keeps_them(
    node: Node, clocks: StepClock, hours: int, caplog: pytest.LogCaptureFixture
) -> None:
    talk = Talk(*await asyncio.open_connection("127.0.0.1", node.port))
    try:
        await talk.ask("SET hour v EX 3600")
        began = time.monotonic()
        told = await talk.time()
        with caplog.at_level(logging.WARNING):
            clocks.set_by = hours * HOUR
            await looked(node, hours * HOUR)
        (record,) = [record for record in caplog.records if "wall clock" in record.message]
        assert f"set {'forward' if hours > 0 else 'back'} by 10800.0 s" in record.message
        await talk.ask("SET short v PX 500")
        set_at = time.monotonic()
        async with asyncio.timeout(DEADLINE):
            while await talk.ask("EXISTS short") == ":1":
                gone = time.monotonic()
        assert gone - set_at >= 0.4, "half a second, less a tenth, less what the answer took"
        left = int((await talk.ask("PTTL hour"))[1:])
        passed = time.monotonic() - began
        assert 3_600_000 - passed * 1100 - 1 <= left <= 3_600_000 - (gone - began) * 900 + 1
        now = await talk.time()
        assert 0 <= now - told <= (time.monotonic() - began) * 1.1 + 0.001, "TIME goes by the node's"
        assert await talk.ask(f"SET later v EXAT {int(now) + 100}") == "+OK"
        assert 98 <= int((await talk.ask("TTL later"))[1:]) <= 100
    finally:
        talk.writer.close()


async def test_the_difference_is_told(node: Node, clocks: StepClock) -> None:
    clocks.set_by = -HOUR
    await looked(node, -HOUR)
    fields = dict(line.split(":", 1) for line in node.info(["server"]).decode().split("\r\n") if ":" in line)
    assert -3_600_010 <= int(fields["wall_clock_difference_ms"]) <= -3_590_000
    assert abs(int(fields["server_time_usec"]) / 1e6 - time.time()) < 60
