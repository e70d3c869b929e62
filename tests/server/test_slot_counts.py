"""How many commands run on each slot: what is counted, what is told of it, and in which words, beside a real Valkey."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from following import client, until
from members import http
from ports import free_ports
from real_redis import real_redis
from redis.exceptions import MovedError
from server_process import Server
from two_shards import MOVING, TwoShards, key_in

from ringkeeper.cluster.topology import Topology
from ringkeeper.server.slot_counts import WINDOW_SECONDS, SlotCounts, SlotRates
from ringkeeper.store.slot import SLOTS, key_slot
from ringkeeper_operator.model import MeasureSlots
from ringkeeper_operator.runtime.moving import MoveLog
from ringkeeper_operator.runtime.node_admin import NodeAdmin


def at(rates: SlotRates, now: float) -> dict[int, float]:
    return rates.per_second(range(SLOTS), now)


def test_rates_are_those_of_the_last_window_or_two() -> None:
    counts = SlotCounts()
    rates = SlotRates(counts, 100.0)
    counts.words[7] = 60
    assert at(rates, 110.0) == {7: 6.0}
    rates.sample(100.0 + WINDOW_SECONDS)
    assert at(rates, 100.0 + WINDOW_SECONDS) == {7: 60 / WINDOW_SECONDS}
    rates.sample(100.0 + 2 * WINDOW_SECONDS)
    assert at(rates, 100.0 + 2 * WINDOW_SECONDS) == {}, "what was before the window is forgotten"


def test_a_slot_that_came_here_is_reckoned_from_then_on() -> None:
    counts = SlotCounts()
    rates = SlotRates(counts, 0.0)
    counts.words[7] = counts.words[8] = 1000
    rates.follow(lost=[8], gained=[], now=1.0)
    rates.follow(lost=[], gained=[7, 8], now=20.0)
    counts.words[7] += 50
    counts.words[8] += 20
    assert at(rates, 30.0) == {7: 5.0, 8: 2.0}
    assert counts.words[8] == 20


def test_what_ran_before_a_start_anew_does_not_count() -> None:
    counts = SlotCounts()
    rates = SlotRates(counts, 0.0)
    counts.words[7] = 10
    rates.restart(5.0)
    assert (counts.words[7], at(rates, 6.0)) == (10, {})
    rates.reset(7.0)
    assert counts.words[7] == 0


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[TwoShards]:
    with contextlib.ExitStack() as exits:
        yield TwoShards(tmp_path, exits)


def operations(connection: redis.Redis, key: str) -> int | None:
    """None if it does not tell of the slot."""
    slot = key_slot(key.encode())
    told = connection.execute_command("CLUSTER SLOT-STATS", "SLOTSRANGE", slot, slot)
    return int(told[0][1][b"operations"]) if told else None


def test_each_command_counts_once_when_it_runs(pair: TwoShards) -> None:
    connection = pair.client(0)
    connection.set("{k}1", "v")
    connection.get("{k}1")
    connection.mget("{k}1", "{k}2", "{k}3")
    assert operations(connection, "k") == 3
    with connection.pipeline(transaction=True) as transaction:
        transaction.set("{k}1", "v").incr("{k}n")
        transaction.execute()
    assert operations(connection, "k") == 5
    connection.execute_command("MULTI")
    connection.execute_command("SET", "{k}1", "v")
    connection.execute_command("DISCARD")
    with pytest.raises(redis.ResponseError, match="same slot"):
        connection.mget("{k}1", "other")
    connection.ping()
    assert operations(connection, "k") == 5
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        connection.lpush("{k}1", "v")
    assert operations(connection, "k") == 6
    connection.config_resetstat()
    assert operations(connection, "k") == 0


def test_a_slot_takes_no_count_along(pair: TwoShards) -> None:
    key, source, target = key_in(MOVING), pair.client(0), pair.client(1)
    source.set(key, "v")
    pair.move()
    assert (operations(source, key), operations(target, key)) == (None, 0)
    target.get(key)
    assert operations(target, key) == 1
    with pytest.raises(MovedError):
        source.get(key)
    pair.settle(moved := pair.begin(source=1), pair.release(moved))
    assert operations(source, key) == 0, "it counts anew"


def rates(server: Server) -> dict[str, float]:
    return dict(json.loads(http(server, "/control/slots", token="token")[1])["operationsPerSecond"])


def test_the_admin_api_tells_how_many_ran_a_second(pair: TwoShards) -> None:
    server, connection = pair.members.servers[0], pair.client(0)
    assert rates(server) == {}
    for _ in range(100):
        connection.get("missing")
    [(slot, rate)] = rates(server).items()
    assert int(slot) == key_slot(b"missing")
    assert 0 < rate <= 100
    assert rates(pair.members.servers[1]) == {}


async def measured(topology: Topology) -> MoveLog:
    log, admin = MoveLog(), NodeAdmin()
    admin.token = "token"
    try:
        await log.measure(admin, MeasureSlots(reason="", message="", topology=topology, shards=(0, 1)))
    finally:
        await admin.close()
    return log


def test_the_operator_reads_what_runs_on_slots_with_what_they_hold(pair: TwoShards) -> None:
    connection = pair.client(0)
    connection.set("k", "v" * 1000)
    connection.get("missing")
    log = asyncio.run(measured(pair.topology))
    now = time.monotonic()
    sizes, rates = log.slot_bytes(pair.topology, now), log.slot_operations(pair.topology, now)
    assert sizes.keys() == rates.keys() == {0, 1}
    assert sizes[0].keys() == {key_slot(b"k")}
    assert rates[0].keys() == {key_slot(b"k"), key_slot(b"missing")}
    assert all(rate > 0 for rate in rates[0].values())
    assert (sizes[1], rates[1]) == ({}, {})


def answer(connection: redis.Redis, words: str) -> Any:
    """Without what Valkey does not tell."""
    try:
        reply = connection.execute_command(*words.split())
    except redis.ResponseError as error:
        return str(error)
    return [(slot, told[b"key-count"]) for slot, told in reply]


def test_replies_and_errors_are_valkeys(pair: TwoShards, tmp_path: Path) -> None:
    bus = ("--cluster-port", str(free_ports(1)[0]), "--cluster-config-file", "nodes.conf")
    with real_redis(tmp_path, "valkey", "--cluster-enabled", "yes", *bus) as port:
        valkey, ours = client(port), pair.client(0)
        valkey.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
        until(lambda: valkey.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        for connection in (valkey, ours):
            for index in range(5):
                for number in range(index + 1):
                    connection.set(f"{{tag {index}}}{number}", "v")
        for words in (
            "SLOTSRANGE 0 16383", "slotsrange 100 100", "SLOTSRANGE 5 1", "SLOTSRANGE 0 16384", "SLOTSRANGE -1 5",
            "SLOTSRANGE a 5", "SLOTSRANGE 0", "SLOTSRANGE 0 1 2", "ORDERBY key-count LIMIT 5",
            "orderby KEY-COUNT limit 3", "ORDERBY key-count LIMIT 2 DESC", "ORDERBY", "ORDERBY nothing",
            "ORDERBY cpu-usec", "ORDERBY key-count LIMIT", "ORDERBY key-count LIMIT 0", "ORDERBY key-count LIMIT 16385",
            "ORDERBY key-count LIMIT x", "ORDERBY key-count LIMIT 1 LIMIT 1", "ORDERBY key-count ASC DESC",
            "ORDERBY key-count what", "nothing 0 1", "",
        ):  # fmt: skip
            line = f"CLUSTER SLOT-STATS {words}"
            assert answer(ours, line) == answer(valkey, line), line
