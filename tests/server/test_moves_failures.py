"""Masters end while slots move. Whichever it is, and whenever, one shard serves the keys in the end, and has all."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from following import until
from heartbeats import Operator
from redis.exceptions import MovedError
from two_shards import MOVING, TwoShards, key_in

from ringkeeper.cluster.topology import Move
from ringkeeper.store.slot import key_slot

DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
COUNT = 200
KEYS = [f"k{index}" for index in range(COUNT)]
GOING = [key for key in KEYS if key_slot(key.encode()) in MOVING]
STAYING = [key for key in KEYS if key not in GOING]


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[TwoShards]:
    """Their masters have files, and no replicas."""
    with contextlib.ExitStack() as exits:
        yield filled(TwoShards(tmp_path, exits, *DURABLE))


def filled(shards: TwoShards) -> TwoShards:
    with shards.client(0).pipeline(transaction=False) as pipeline:
        for key in KEYS:
            pipeline.set(key, f"v{key}", ex=10_000)
        pipeline.execute()
    return shards


def assert_served(shards: TwoShards, keys: list[str], index: int) -> None:
    """A node serves these keys, and they are as they were."""
    with shards.client(index).pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.get(key)
            pipeline.ttl(key)
        answers = pipeline.execute()
    assert answers[::2] == [f"v{key}".encode() for key in keys]
    assert all(9_000 < left <= 10_000 for left in answers[1::2])


def come_back(shards: TwoShards, shard: int, *, moves: tuple[Move, ...] | None = None) -> None:
    """The master of a shard is started anew, and appointed."""
    index = shards.masters[shard]
    shards.restart(index)
    shards.terms[shard] += 1
    shards.change(moves=moves)


def test_a_target_that_ends_before_the_commit_forgets(shards: TwoShards) -> None:
    shards.begin()
    shards.members.servers[1].kill()
    assert_served(shards, KEYS, 0)
    until(lambda: shards.state(0) == "failed")
    come_back(shards, 1, moves=())
    until(lambda: shards.keys(1) == 0)
    assert_served(shards, KEYS, 0)
    begun = shards.begin()
    shards.settle(begun, shards.release(begun))
    assert_served(shards, GOING, 1)


def test_a_source_that_ends_before_it_releases_keeps_the_slots(shards: TwoShards) -> None:
    shards.begin()
    shards.members.servers[0].kill()
    come_back(shards, 0, moves=())
    assert_served(shards, KEYS, 0)
    until(lambda: shards.keys(1) == 0)


def test_a_source_that_ends_when_it_has_released_serves_again_if_the_move_is_cancelled(shards: TwoShards) -> None:
    shards.release(shards.begin())
    shards.members.servers[0].kill()
    come_back(shards, 0, moves=())
    assert_served(shards, KEYS, 0)
    until(lambda: shards.keys(1) == 0)


def test_a_source_that_ends_when_it_has_released_may_be_succeeded(shards: TwoShards) -> None:
    begun = shards.begin()
    held = shards.release(begun)
    shards.members.servers[0].kill()
    shards.settle(begun, held)
    assert_served(shards, GOING, 1)
    come_back(shards, 0)
    assert shards.client(0).dbsize() == len(STAYING), "its copy is hidden again"
    assert_served(shards, STAYING, 0)
    until(lambda: shards.state(1) == "kept")
    shards.end()
    until(lambda: shards.keys(0) == len(STAYING))
    assert_served(shards, GOING, 1)


def test_a_target_that_hands_over_confirms_nothing_that_its_successor_may_lack(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        shards = filled(TwoShards(tmp_path, exits, replicas=1))
        begun = shards.begin()
        target, successor = (shards.members.servers[index] for index in (2, 3))
        operator = exits.enter_context(Operator([target.port, successor.port], lease_ms=1500))
        operator.ask_release(target.port, str(shards.members.state(3)["id"]))
        shards.client(0).set(GOING[0], "behind the offset that the successor has")
        assert shards.ask_release(begun)["state"] == "holding"
        until(lambda: shards.state(0) != "holding")
        assert shards.state(0) == "feeding", "it was not confirmed in time"
        shards.appoint(1, 3)
        shards.end()
        assert shards.client(0).get(GOING[0]) == b"behind the offset that the successor has"
        shards.follows(2)
        shards.move()
        assert shards.client(3).get(GOING[0]) == b"behind the offset that the successor has"
        assert_served(shards, GOING[1:], 3)
        assert_served(shards, STAYING, 0)


def test_a_target_that_ends_behind_the_commit_serves_from_its_file(shards: TwoShards) -> None:
    begun = shards.begin()
    shards.settle(begun, shards.release(begun))
    shards.members.servers[1].kill()
    come_back(shards, 1)
    assert_served(shards, GOING, 1)
    until(lambda: shards.state(1) == "kept")
    shards.end()
    until(lambda: shards.keys(0) == len(STAYING))


def test_slots_that_their_target_lost_are_served_from_the_hidden_copy(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        shards = filled(TwoShards(tmp_path, exits))
        begun = shards.begin()
        held = shards.release(begun)
        settled = shards.settle(begun, held)
        shards.client(1).set(GOING[0], "lost with the target")
        shards.members.servers[1].kill()
        shards.restart(1)
        shards.terms[1] += 1
        shards.settle(settled, held, "returned")
        assert_served(shards, KEYS, 0)
        until(lambda: shards.state(0) == "restored")
        shards.end()
        assert_served(shards, KEYS, 0)
        assert shards.client(0).dbsize() == COUNT


def test_replicas_of_both_shards_know_what_is_hidden(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        shards = filled(TwoShards(tmp_path, exits, replicas=1))
        begun = shards.begin()
        shards.follows(3)
        assert shards.client(3).dbsize() == 0
        held = shards.release(begun)
        shards.settle(begun, held)
        for index, keys in ((1, STAYING), (3, GOING)):
            shards.follows(index)
            assert shards.client(index).dbsize() == len(keys)
        for shard, index in ((0, 1), (1, 3)):
            shards.members.servers[shards.masters[shard]].kill()
            shards.appoint(shard, index)
        assert_served(shards, STAYING, 1)
        assert_served(shards, GOING, 3)
        until(lambda: shards.state(3) == "kept")
        shards.end()
        until(lambda: shards.keys(1) == len(STAYING))
        assert shards.keys(3) == len(GOING)


def test_a_replica_of_the_target_that_succeeds_before_the_commit_forgets(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        shards = filled(TwoShards(tmp_path, exits, replicas=1))
        shards.begin()
        shards.follows(3)
        shards.members.servers[2].kill()
        shards.appoint(1, 3)
        assert shards.client(3).dbsize() == 0
        with pytest.raises(MovedError):
            shards.client(3).get(key_in())
        shards.change(moves=())
        until(lambda: shards.keys(3) == 0)
        assert_served(shards, KEYS, 0)


def test_a_replica_of_the_source_that_succeeds_serves_until_the_commit(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        shards = filled(TwoShards(tmp_path, exits, replicas=1))
        begun = shards.begin()
        shards.follows(1)
        shards.release(begun)
        shards.members.servers[0].kill()
        shards.appoint(0, 1)
        assert_served(shards, KEYS, 1)
        shards.change(moves=())
        until(lambda: shards.keys(2) == 0)


def test_a_target_without_room_says_so_and_evicts_nothing(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        shards = filled(TwoShards(tmp_path, exits))
        target = shards.client(1)
        target.config_set("maxmemory-policy", "allkeys-lru")
        target.config_set("maxmemory", 2_000)
        move = shards.next_move()
        shards.change(moves=(move,))
        until(lambda: shards.state(1) == "failed")
        assert "maxmemory is 2000" in shards.told(1)["why"]
        assert target.info("stats")["evicted_keys"] == 0
        assert_served(shards, KEYS, 0)
