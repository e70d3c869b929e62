"""What clients hear when the slots of their keys go to another shard: as in Redis when a slot leaves a node."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from following import until
from redis.exceptions import MovedError, ResponseError
from two_shards import MOVING, TwoShards, key_in
from wire import Wire

from ringkeeper.server import announcement

CHANNEL = announcement.CHANNEL.decode()
GOING, STAYING = key_in(), key_in(moving=False)


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[TwoShards]:
    with contextlib.ExitStack() as exits:
        yield TwoShards(tmp_path, exits)


def move(shards: TwoShards) -> None:
    begun = shards.begin()
    shards.settle(begun, shards.release(begun))


def test_who_watches_a_key_that_has_gone_does_not_execute(shards: TwoShards) -> None:
    with shards.client(0).pipeline() as going, shards.client(0).pipeline() as staying:
        for watching, key in ((going, GOING), (staying, STAYING)):
            watching.watch(key)
            watching.multi()
            watching.set(STAYING, key)
        move(shards)
        staying.execute()
        with pytest.raises(redis.WatchError):
            going.execute()
    assert shards.client(0).get(STAYING) == STAYING.encode()


def test_who_waits_for_a_key_that_has_gone_is_sent_there(shards: TwoShards) -> None:
    heard: list[Any] = []

    def wait() -> None:
        try:
            heard.append(shards.client(0).blpop([GOING], 60))
        except ResponseError as error:
            heard.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    until(lambda: shards.client(0).info("clients")["blocked_clients"] == 1)
    begun = shards.begin()
    held = shards.release(begun)
    assert heard == [], "nobody knows yet where the key will be"
    shards.settle(begun, held)
    thread.join(30)
    assert len(heard) == 1
    assert isinstance(heard[0], MovedError)


def test_commands_on_slots_that_are_released_wait_for_the_next_topology(shards: TwoShards) -> None:
    shards.client(0).set(GOING, "v")
    begun = shards.begin()
    held = shards.release(begun)
    heard: list[Any] = []

    def read() -> None:
        try:
            heard.append(shards.client(0).get(GOING))
        except ResponseError as error:
            heard.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert shards.client(0).set(STAYING, "v"), "no other slot waits"
    shards.settle(begun, held)
    thread.join(30)
    assert isinstance(heard[0], MovedError)
    assert shards.client(1).get(GOING) == b"v"


def test_all_commands_of_a_transaction_are_told_the_same_although_the_topology_changes(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        shards = TwoShards(tmp_path, exits, heartbeat_ms=100)
        begun = shards.begin()
        held = shards.release(begun)
        with Wire(shards.members.servers[0].port) as client:
            assert client("MULTI") == "OK"
            told = client(f"INCR {GOING}")
            assert str(told).startswith("-CLUSTERDOWN"), "it has waited for a topology as long as a lease lasts"
            shards.settle(begun, held)
            assert client(f"GET {GOING}") == told
            assert client(f"GET {STAYING}") == "QUEUED"
            assert str(client("EXEC")).startswith("-EXECABORT")
            assert client("MULTI") == "OK"
            assert str(client(f"INCR {GOING}")).startswith("-MOVED")
            assert str(client(f"GET {GOING}")).startswith("-MOVED")


def test_who_comes_back_with_what_it_was_sent_away_with_is_read_later(shards: TwoShards) -> None:
    """Else a client that knows no other slot of that node has no redirection left when it hears of the topology."""
    elsewhere = [key for key in map(str, range(12)) if key != GOING]

    def seconds(keys: list[str]) -> float:
        began = time.monotonic()
        with Wire(shards.members.servers[1].port) as client:
            for key in keys:
                assert str(client(f"GET {key}")).startswith("-MOVED")
        return time.monotonic() - began

    others = min(seconds(elsewhere[:4]) for _ in range(5))
    assert seconds([GOING] * 4) > max(0.19, others), "50 ms lie before the third answer, 150 before the fourth"


def test_who_waits_for_one_move_goes_on_while_another_is_released(shards: TwoShards) -> None:
    first, second = MOVING[::2], MOVING[1::2]
    keys = [key_in(first), key_in(second)]
    for key in keys:
        shards.client(0).set(key, "v")
    moves = [shards.begin(first), shards.begin(second)]
    held = [shards.release(move) for move in moves]
    heard: list[Any] = [None, None]

    def read(which: int) -> None:
        try:
            heard[which] = shards.client(0).get(keys[which])
        except ResponseError as error:
            heard[which] = error

    threads = [threading.Thread(target=read, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    moves[0] = shards.settle(moves[0], held[0])
    threads[0].join(30)
    assert isinstance(heard[0], MovedError)
    assert threads[1].is_alive(), "its slot is still nobody's"
    shards.settle(moves[1], held[1])
    threads[1].join(30)
    assert isinstance(heard[1], MovedError)


def test_who_keeps_a_key_that_has_gone_is_told_that_it_is_invalid(shards: TwoShards) -> None:
    shards.client(0).set(GOING, "v")
    port = shards.members.servers[0].port
    with Wire(port, 3) as reader, Wire(port, 3) as follower:
        assert reader("CLIENT TRACKING ON") == "OK"
        assert follower("CLIENT TRACKING ON BCAST") == "OK"
        reader(f"GET {GOING}")
        reader(f"GET {STAYING}")
        move(shards)
        for each in (reader, follower):
            assert each.read() == [">", "invalidate", [GOING]]
        shards.client(0).set(STAYING, "w")
        assert reader.read() == [">", "invalidate", [STAYING]], "and of nothing else"


def test_who_follows_a_channel_that_has_gone_is_unsubscribed(shards: TwoShards) -> None:
    with Wire(shards.members.servers[0].port, 3) as reader:
        assert reader(f"SSUBSCRIBE {GOING}") == [">", "ssubscribe", GOING, 1]
        move(shards)
        assert reader.read() == [">", "sunsubscribe", GOING, 0]


@pytest.mark.parametrize(
    ("slots", "ranges"), [((0, 1, 2, 7), [(0, 2), (7, 7)]), (MOVING, None)], ids=["a few", "more than it has room for"]
)
def test_who_subscribed_to_the_topology_is_told_what_has_moved_where(
    shards: TwoShards, slots: tuple[int, ...], ranges: list[tuple[int, int]] | None
) -> None:
    """A client of RESP3 goes on with commands on the same connection; with RESP2 it has subscribed like any other."""
    begun = shards.begin(slots)
    held = shards.release(begun)
    port = shards.members.servers[1].port
    with contextlib.ExitStack() as exits:
        pushed = exits.enter_context(Wire(shards.members.servers[0].port, 3))
        told = exits.enter_context(Wire(port))
        assert pushed("SUBSCRIBE", CHANNEL) == [">", "subscribe", CHANNEL, 1]
        assert told("PSUBSCRIBE", "__ringkeeper__:*") == ["psubscribe", "__ringkeeper__:*", 1]
        shards.settle(begun, held)
        message = pushed.read()
        assert message[:3] == [">", "message", CHANNEL]
        where = None if ranges is None else [[first, last, "127.0.0.1", port] for first, last in ranges]
        assert json.loads(message[3]) == {"epoch": shards.topology.epoch, "slots": where}
        assert told.read() == ["pmessage", "__ringkeeper__:*", CHANNEL, message[3]]
        assert pushed("GET", STAYING) is None


def test_nobody_else_publishes_where_the_nodes_tell_of_the_topology(shards: TwoShards) -> None:
    with pytest.raises(ResponseError, match="Only the nodes publish in channels that begin with __ringkeeper__:"):
        shards.client(0).publish(CHANNEL, '{"epoch":99,"slots":[]}')
