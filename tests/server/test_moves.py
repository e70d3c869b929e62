"""Slots go from one master to another; the test is the operator, and writes the topology."""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from following import client, until
from members import http
from redis.exceptions import ClusterDownError, MovedError
from two_shards import MOVING, TwoShards, key_in

from ringkeeper.resp.writer import encode_command
from ringkeeper.store.slot import SLOTS, key_slot


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[TwoShards]:
    with contextlib.ExitStack() as exits:
        yield TwoShards(tmp_path, exits, heartbeat_ms=500)


def fill(connection: redis.Redis, count: int) -> None:
    with connection.pipeline(transaction=False) as pipeline:
        for index in range(count):
            pipeline.set(f"s{index}", f"v{index}", ex=1000 + index)
            pipeline.rpush(f"l{index}", *range(index % 20 + 1))
            pipeline.hset(f"h{index}", mapping={f"f{field}": field for field in range(index % 10 + 1)})
            pipeline.zadd(f"z{index}", {f"m{score}": score for score in range(index % 15 + 1)})
            pipeline.sadd(f"t{index}", *range(index % 5 + 1))
        pipeline.execute()


def names(connection: redis.Redis) -> list[str]:
    return sorted(key.decode() for key in connection.scan_iter(count=1000))


def content(connection: redis.Redis, keys: list[str]) -> list[Any]:
    with connection.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.dump(key)
            pipeline.pexpiretime(key)
        return list(pipeline.execute())


def test_slots_move_with_all_that_is_in_them(pair: TwoShards) -> None:
    source, target = pair.client(0), pair.client(1)
    fill(source, 300)
    keys = names(source)
    gone = [key for key in keys if key_slot(key.encode()) in MOVING]
    stayed = [key for key in keys if key not in gone]
    before = content(source, gone)
    move = pair.begin()
    assert target.dbsize() == 0
    assert target.keys() == []
    assert list(target.scan_iter()) == []
    assert target.randomkey() is None
    assert "keys" not in str(target.info("keyspace"))
    assert 'ringkeeper_keys{database="0"} 0.0' in http(pair.members.servers[1], "/metrics")[1]
    assert source.get("s1") == b"v1", "it serves until it releases"
    pair.settle(move, pair.release(move))
    assert content(target, gone) == before
    assert target.dbsize() == len(gone)
    assert source.dbsize() == len(stayed), "its copy is hidden"
    with pytest.raises(MovedError):
        source.dump(gone[0])
    until(lambda: pair.state(1) == "kept")
    pair.end()
    until(lambda: pair.keys(0) == len(stayed))
    assert names(source) == stayed


def test_what_is_written_meanwhile_comes_along(pair: TwoShards) -> None:
    source, target = pair.client(0), pair.client(1)
    fill(source, 100)
    ended = threading.Event()
    counted: dict[str, int] = {}

    def count() -> None:
        mine = [pair.client(0), pair.client(1)]
        index = 0
        while not ended.is_set():
            key = f"c{index % 500}"
            index += 1
            for connection in (*mine, mine[0]):
                with contextlib.suppress(MovedError):
                    counted[key] = int(connection.incr(key))
                    break

    thread = threading.Thread(target=count)
    thread.start()
    try:
        until(lambda: len(counted) == 500)
        pair.move()
    finally:
        ended.set()
        thread.join()
    for key, number in counted.items():
        connection = target if key_slot(key.encode()) in MOVING else source
        assert connection.get(key) == b"%d" % number, key


def test_a_cancelled_move_leaves_everything_where_it_was(pair: TwoShards) -> None:
    source = pair.client(0)
    fill(source, 50)
    keys = names(source)
    before = content(source, keys)
    move = pair.begin()
    pair.release(move)
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(pair.client(0).exists(*[keys[0]])))
    waiting.start()
    pair.end()
    waiting.join(30)
    assert answers == [1], "who waited is answered"
    assert content(source, keys) == before
    until(lambda: pair.keys(1) == 0)


def test_other_slots_are_served_while_some_are_released(pair: TwoShards) -> None:
    source = pair.client(0)
    move = pair.begin()
    pair.release(move)
    other = key_in(moving=False)
    assert source.set(other, "v")
    mine = key_in()
    with pytest.raises(ClusterDownError, match="released"):
        source.get(mine)


def test_who_comes_to_the_target_behind_the_release_waits_there_for_its_topology(tmp_path: Path) -> None:
    """Another node may have sent them: back at the source nobody would answer them either."""
    with contextlib.ExitStack() as exits:
        pair = TwoShards(tmp_path, exits)
        mine, other = key_in(), key_in(moving=False)
        assert pair.client(0).set(mine, "v")
        move = pair.begin()
        with pytest.raises(MovedError):
            pair.client(1).get(mine)
        held = pair.release(move)
        with socket.create_connection(("127.0.0.1", pair.members.servers[1].port), timeout=30) as waiting:
            waiting.sendall(encode_command([b"APPEND", mine.encode(), b"w"]))
            for _ in range(3):
                with pytest.raises(MovedError):
                    pair.client(1).get(other)
            assert not select.select([waiting], [], [], 0)[0], "it is not answered"
            pair.settle(move, held)
            assert waiting.recv(100) == b":2\r\n"
        with pytest.raises(MovedError):
            pair.client(0).get(mine)


def test_slots_move_both_ways_at_once_each_move_by_itself(pair: TwoShards) -> None:
    """What has come back is served while other slots are still on their way, and a third move is given up."""
    fill(pair.client(0), 300)
    back, gone, given_up = MOVING[::3], tuple(range(1, SLOTS, 4)), tuple(range(3, SLOTS, 4))
    pair.move()
    before = {index: names(pair.client(index)) for index in range(2)}
    values = {key: content(pair.client(index), [key]) for index in range(2) for key in before[index]}
    moves = [pair.begin(back, source=1), pair.begin(gone), pair.begin(given_up)]
    held = pair.release(moves[1])
    pair.release(moves[2])
    pair.settle(moves[1], held)
    pair.end(moves[2])
    pair.settle(moves[0], pair.release(moves[0]))
    for move in (moves[0], moves[1]):
        until(lambda move=move: pair.state(move.target, move) == "kept")
        pair.end(move)
    assert pair.topology.moves == ()
    for index in range(2):
        keys = [key for key in values if pair.topology.owners[key_slot(key.encode())] == index]
        until(lambda index=index, keys=keys: names(pair.client(index)) == sorted(keys))
        assert content(pair.client(index), keys) == [part for key in keys for part in values[key]]
    assert {*names(pair.client(0))} != {*before[0]}


def test_a_target_that_hears_of_the_move_first_asks_its_source_again(tmp_path: Path) -> None:
    with contextlib.ExitStack() as exits:
        pair = TwoShards(tmp_path, exits, "--topology-exchange-interval", "60000")
        fill(pair.client(0), 10)
        pair.topology = replace(pair.topology, epoch=pair.topology.epoch + 1, moves=(pair.next_move(),))
        assert pair.members.push(1, pair.topology)[0] == 200
        until(lambda: refused(pair.client(0), "ringkeeper.feed") > 1)
        pair.push()
        until(lambda: pair.state(1) == "holding all")


def refused(connection: redis.Redis, command: str) -> int:
    """How many calls of a command failed."""
    figures: Any = connection.info("commandstats").get(f"cmdstat_{command}", {})
    return int(figures.get("failed_calls", 0))


def test_what_is_told_of_a_move_and_of_slots(pair: TwoShards) -> None:
    source = pair.client(0)
    source.set("k", "v" * 1000)
    source.set("{k}2", "v")
    slot = key_slot(b"k")
    status, text = http(pair.members.servers[0], "/control/slots", token="token")
    assert status == 200
    [[told, (keys, used)]] = json.loads(text)["slots"].items()
    assert (told, keys) == (str(slot), 2)
    assert used > 1000
    pair.begin((slot,))
    [leaving], [coming] = (pair.members.state(index)["moves"] for index in range(2))
    assert (leaving["slots"], leaving["keys"], coming["keys"]) == (1, 2, 2)
    assert leaving["bytesSent"] == coming["bytesReceived"] == coming["offset"] > 100
    assert json.loads(http(pair.members.servers[1], "/control/slots", token="token")[1])["slots"] == {}


def test_a_source_that_is_flushed_feeds_no_more(pair: TwoShards) -> None:
    source = pair.client(0)
    fill(source, 10)
    pair.begin()
    source.flushall()
    until(lambda: pair.state(0) == "failed")


def test_a_targets_own_keys_go_on_expiring_while_it_takes_slots(pair: TwoShards) -> None:
    key = key_in(moving=False)
    pair.change(owners=tuple(int(slot == key_slot(key.encode())) for slot in range(SLOTS)))
    pair.begin()
    target = pair.client(1)
    target.set(key, "v", px=1)
    until(lambda: target.dbsize() == 0)
    assert pair.state(1) == "holding all"


def test_only_the_present_leader_may_have_slots_released(pair: TwoShards) -> None:
    path = "/control/moves/7/release"
    assert http(pair.members.servers[0], path, token="token", body={"leader": 1}, method="POST")[0] == 404
    assert http(pair.members.servers[0], path, token="token", body={"leader": 0}, method="POST")[0] == 409
    assert http(pair.members.servers[0], path, token="token", body={}, method="POST")[0] == 400


def test_large_values_come_in_parts_while_they_are_written_to(pair: TwoShards) -> None:
    source, target = pair.client(0), pair.client(1)
    with source.pipeline(transaction=False) as pipeline:
        for start in range(0, 40_000, 1000):
            numbers = range(start, start + 1000)
            pipeline.rpush("{b}l", *[f"element {number}" for number in numbers])
            pipeline.sadd("{b}t", *[f"member {number}" for number in numbers])
            pipeline.hset("{b}h", mapping={f"field {number}": number for number in numbers})
            pipeline.zadd("{b}z", {f"member {number}": number / 7 for number in numbers})
        pipeline.set("{b}s", b"x" * 1_000_000)
        pipeline.pexpireat("{b}l", 4_000_000_000_000)
        pipeline.execute_command("HPEXPIREAT", "{b}h", 4_000_000_000_000, "FIELDS", 1, "field 7")
        pipeline.execute()
    keys = ["{b}l", "{b}t", "{b}h", "{b}z", "{b}s"]
    slot = key_slot(b"{b}")
    move = pair.next_move((slot,))
    pair.change(moves=(move,))
    for number in range(200):
        source.lpush("{b}l", number)
        source.hincrby("{b}h", f"field {number}", 5)
    until(lambda: pair.state(1) == "holding all")
    before = [source.lrange("{b}l", 0, -1), source.smembers("{b}t"), source.hgetall("{b}h")]
    before += [source.zrange("{b}z", 0, -1, withscores=True), source.get("{b}s")]
    times = [source.pexpiretime(key) for key in keys]
    fields = source.execute_command("HPEXPIRETIME", "{b}h", "FIELDS", 2, "field 7", "field 8")
    pair.settle(move, pair.release(move))
    after = [target.lrange("{b}l", 0, -1), target.smembers("{b}t"), target.hgetall("{b}h")]
    after += [target.zrange("{b}z", 0, -1, withscores=True), target.get("{b}s")]
    assert after == before
    assert [target.pexpiretime(key) for key in keys] == times
    assert target.execute_command("HPEXPIRETIME", "{b}h", "FIELDS", 2, "field 7", "field 8") == fields


def test_slots_that_are_written_to_faster_than_their_target_takes_it_still_move(pair: TwoShards) -> None:
    """It hangs for a while: then what is written waits in the source, which lets less and less through."""
    key, other = key_in(), key_in(moving=False)
    move = pair.begin()
    source, target = pair.client(0), pair.members.servers[1].process
    target.send_signal(signal.SIGSTOP)
    try:
        count = 0
        while not pair.told(0)["writtenPerSecond"]:
            count += 1
            source.set(key, b"%d" % count + b"x" * 100_000)
            assert source.set(other, "v")
            assert pair.state(0) == "feeding"
        assert 0 < pair.told(0)["letThroughPerSecond"] < pair.told(0)["writtenPerSecond"]
    finally:
        target.send_signal(signal.SIGCONT)
    pair.settle(move, pair.release(move))
    assert pair.client(1).get(key) == b"%d" % count + b"x" * 100_000


def test_who_waits_or_watches_is_told(pair: TwoShards) -> None:
    key = key_in()
    errors: list[Exception] = []

    def pop() -> None:
        try:
            client(pair.members.servers[0].port, socket_timeout=None).blpop([key], 60)
        except redis.ResponseError as error:
            errors.append(error)

    waiting = threading.Thread(target=pop)
    waiting.start()
    until(lambda: pair.client(0).info("clients")["blocked_clients"] == 1)
    watching = pair.client(0).pipeline()
    watching.watch(key)
    watching.multi()
    watching.set(key, "v")
    pair.move()
    waiting.join(30)
    assert [type(error) for error in errors] == [MovedError]
    with pytest.raises((redis.WatchError, redis.ResponseError)):
        watching.execute()


def test_idle_times_come_along(pair: TwoShards) -> None:
    source, target = pair.client(0), pair.client(1)
    key = key_in()
    payload = source.dump(key) if source.set(key, "v") else b""
    source.restore(key, 0, payload, replace=True, idletime=1000)
    pair.move()
    assert target.object("idletime", key) in range(1000, 1100)


def test_the_target_may_not_be_flushed_meanwhile(pair: TwoShards) -> None:
    fill(pair.client(0), 10)
    pair.begin()
    pair.client(1).flushall()
    until(lambda: pair.state(1) == "failed")
