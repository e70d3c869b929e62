"""Queues of entries beside a plain one; what is live in them and what is stale."""

from __future__ import annotations

import random
from collections import deque

import pytest

from ringkeeper.store.eviction.entries import Entries, Queue
from ringkeeper.store.eviction.residents import DictionaryResidents


@pytest.mark.parametrize("seed", range(5))
def test_entries_come_out_as_they_went_in_and_their_sizes_add_up(seed: int) -> None:
    randomness = random.Random(seed)
    entries = Entries()
    plain: deque[tuple[int, int]] = deque()
    for turn in range(6_000):
        if plain and randomness.random() < (0.3 if turn < 4_000 else 0.7):
            ident, size = plain.popleft()
            assert entries.first() == ident
            entries.pop(size)
        else:
            ident, size = randomness.choice([0, 2**48 - 1, randomness.getrandbits(48)]), randomness.randrange(1000)
            entries.push(ident, size)
            plain.append((ident, size))
        assert entries.count == len(plain)
        assert entries.bytes == sum(size for _, size in plain) or turn % 50
    entries.check()
    assert entries.listed() == [ident for ident, _ in plain]


def test_an_empty_queue_holds_no_memory_and_a_long_one_little_more_than_its_entries() -> None:
    entries = Entries()
    assert entries.memory == 0
    for ident in range(100_000):
        entries.push(ident, 1)
    assert 600_000 <= entries.memory <= 630_000
    for _ in range(100_000):
        entries.pop(1)
    assert entries.memory == entries.count == entries.bytes == 0
    entries.check()


def test_sizes_that_changed_are_made_up_for_when_their_chunk_is_used_up() -> None:
    entries = Entries()
    for ident in range(1_000):
        entries.push(ident, 10)
    for size in (1, 1_000_000, -1, 0) * 200:
        entries.pop(size)
    entries.check()
    assert 0 <= entries.bytes <= 2_000 + 680 * 10
    for _ in range(200):
        entries.pop(10)
    assert entries.bytes == 0


def test_a_stale_entry_counts_as_an_average_one() -> None:
    entries = Entries()
    for ident in range(10):
        entries.push(ident, 7)
    entries.pop(-1)
    assert entries.bytes == 63


class World:
    def __init__(self, count: int) -> None:
        self.residents = DictionaryResidents(1_000)
        self.queue = Queue(self.residents, 2)
        for ident in range(count):
            self.queue.push(ident, self.residents.put(ident, 1), 0)

    def delete(self, ident: int) -> None:
        self.residents.drop(self.residents.handles[ident])

    def sweep(self) -> int:
        self.queue.begin_sweep()
        steps = 0
        while self.queue.sweeping:
            self.queue.sweep()
            steps += 1
        return steps


def test_what_was_deleted_or_went_to_another_queue_is_stale() -> None:
    world = World(3)
    world.delete(0)
    other = Queue(world.residents, 1)
    other.push(1, world.residents.handles[1], 0b11)
    assert world.queue.first() == 0
    assert world.queue.first() == 0
    assert world.queue.first() == world.residents.handles[2]
    assert world.queue.ident == 2
    assert other.first() == world.residents.handles[1]
    assert other.bits & 0b11 == 0b11
    world.queue.drop(world.residents.handles[2])
    assert world.queue.count() == 0
    assert world.queue.bytes() == 0


def test_a_sweep_keeps_one_entry_of_a_key_that_came_back() -> None:
    world = World(5)
    for ident in (1, 3, 1, 1):
        world.delete(ident)
        world.queue.push(ident, world.residents.put(ident, 1), 0)
    assert world.queue.count() == 9
    assert world.sweep() == 9
    assert world.queue.count() == 5
    assert world.queue.bytes() == 5
    assert world.queue.listed() == [0, 1, 2, 3, 4]
    world.queue.check()


def test_what_comes_during_a_sweep_stays_behind_and_makes_it_no_longer() -> None:
    world = World(40)
    world.queue.begin_sweep()
    steps = 0
    while world.queue.sweeping:
        world.queue.sweep()
        steps += 1
        if steps % 2:
            world.queue.push(100 + steps, world.residents.put(100 + steps, 1), 0)
        if steps == 10:
            world.delete(3)
            world.delete(30)
            world.queue.push(30, world.residents.put(30, 1), 0)
        world.queue.check()
    # Each chunk that came meanwhile is a step of its own.
    assert 40 <= steps <= 50
    listed = world.queue.listed()
    assert listed[:38] == [ident for ident in range(40) if ident not in (3, 30)]
    assert listed[38:] == [101, 103, 105, 107, 109, 30, *range(111, 100 + steps + 1, 2)]
    assert world.queue.first() == world.residents.handles[0]


def test_heads_may_be_taken_during_a_sweep() -> None:
    world = World(50)
    world.queue.begin_sweep()
    taken = []
    while world.queue.sweeping:
        world.queue.sweep()
        for _ in range(3):
            if world.queue.count():
                handle = world.queue.first()
                taken.append(world.queue.ident)
                world.queue.drop(handle)
    assert taken == list(range(50))
    world.queue.check()
