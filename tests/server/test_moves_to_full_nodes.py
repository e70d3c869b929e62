"""Slots move to a node whose memory is full: what it may evict goes, and what comes is all there in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from following import until
from two_shards import MOVING, TwoShards

from ringkeeper.store.slot import SLOTS, key_slot

VALUE = b"x" * 4000
COUNT = 400
MAX_MEMORY = 6_000_000
COMING = [key for key in map(str, range(2 * COUNT)) if key_slot(key.encode()) in MOVING]


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[TwoShards]:
    """Shard 0 is to give half of the slots away; the others are those of shard 1 already, which has a replica."""
    with contextlib.ExitStack() as exits:
        shards = TwoShards(tmp_path, exits, replicas=1)
        shards.change(owners=tuple(slot % 2 for slot in range(SLOTS)))
        with shards.client(0).pipeline(transaction=False) as pipeline:
            for key in COMING:
                pipeline.set(key, VALUE)
            pipeline.execute()
        yield shards


def fill(shards: TwoShards, policy: str) -> int:
    """Its own keys, until no more fit; how many there are then."""
    target = shards.client(2)
    target.config_set("maxmemory-policy", policy)
    target.config_set("maxmemory", MAX_MEMORY)
    number = 0
    while used_memory(shards) < 0.98 * MAX_MEMORY:
        keys = [key for key in (f"own{n}" for n in range(number, number + 100)) if key_slot(key.encode()) not in MOVING]
        number += 100
        with target.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.set(key, VALUE, ex=100_000)
            pipeline.execute()
    return int(target.dbsize())


def used_memory(shards: TwoShards) -> int:
    return int(shards.members.state(2)["usedMemory"])


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-random", "allkeys-s3-fifo"])
def test_the_targets_own_keys_make_room_for_what_comes(shards: TwoShards, policy: str) -> None:
    before = fill(shards, policy)
    move = shards.begin()
    target = shards.client(2)
    assert target.dbsize() < before - len(COMING) // 2
    until(lambda: used_memory(shards) <= MAX_MEMORY)
    target.config_set("maxmemory", 0)  # what came may go only when it is served
    shards.settle(move, shards.release(move))
    with target.pipeline(transaction=False) as pipeline:
        for key in COMING:
            pipeline.get(key)
        assert pipeline.execute() == [VALUE] * len(COMING)
    shards.follows(3)


def test_a_target_that_may_evict_nothing_refuses_and_says_so(shards: TwoShards) -> None:
    fill(shards, "allkeys-lru")
    shards.client(2).config_set("maxmemory-policy", "noeviction")
    before = shards.client(2).dbsize()  # none goes any more
    shards.change(moves=(shards.next_move(),))
    until(lambda: shards.state(2) == "failed")
    why = shards.told(2)["why"]
    assert f"maxmemory is {MAX_MEMORY}, and maxmemory-policy noeviction evicts nothing" in why
    assert shards.client(2).dbsize() == before
    assert shards.client(0).exists(COMING[0]) == 1


def test_a_target_that_finds_nothing_to_evict_refuses_and_says_so(shards: TwoShards) -> None:
    fill(shards, "volatile-lru")
    target = shards.client(2)
    until(lambda: shards.members.state(2)["volatileKeys"] == target.dbsize())
    for key in target.scan_iter(count=10_000):
        target.persist(key)
    assert shards.members.state(2)["volatileKeys"] == 0
    shards.change(moves=(shards.next_move(),))
    until(lambda: shards.state(2) == "failed")
    assert "maxmemory-policy volatile-lru finds no key that may go" in shards.told(2)["why"]
