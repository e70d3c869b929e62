"""Waiting for a sorted set: whom a write wakes and what each gets. Beside a node also on Valkey, so that the stories
themselves are proven. What every wait has in common, `test_blocking.py` shows of lists."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from waiters import World, node_or_valkey, world_of


@pytest.fixture(scope="module", params=["node", "valkey"])
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with node_or_valkey(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def world(port: int) -> Iterator[World]:
    with world_of(port) as world:
        yield world


# Who gets what


def test_who_came_first_is_served_first_each_from_the_end_it_asked_for(world: World) -> None:
    commands = ("BZPOPMIN k 0", "BZPOPMAX other k 0", "BZMPOP 0 2 x k MIN", "BZMPOP 0 1 k MAX COUNT 9", "BZPOPMIN k 0")
    clients = [world.waiting(command) for command in commands]
    assert world.admin.ask("ZADD k 1 a 2 b 3 c 4 d 5 e") == 5
    assert [client.reply() for client in clients[:4]] == [
        [b"k", b"a", b"1"],
        [b"k", b"e", b"5"],
        [b"k", [[b"b", b"2"]]],
        [b"k", [[b"d", b"4"], [b"c", b"3"]]],
    ]
    assert "b" in world.flags(clients[4])
    assert world.admin.ask("EXISTS k") == 0
    world.admin.ask("ZADD k -1.5 f")
    assert clients[4].reply() == [b"k", b"f", b"-1.5"]


def test_scores_are_doubles_in_the_newer_protocol(world: World) -> None:
    lowest, highest, several = (
        world.waiting(command, protocol=3) for command in ("BZPOPMIN k 0", "BZPOPMAX k 0", "BZMPOP 0 1 k MIN COUNT 2")
    )
    world.admin.ask("ZADD k -inf a 2.5 b 3 c inf d")
    assert lowest.reply() == [b"k", b"a", float("-inf")]
    assert highest.reply() == [b"k", b"d", float("inf")]
    assert several.reply() == [b"k", [[b"b", 2.5], [b"c", 3.0]]]


def test_who_waits_for_several_keys_leaves_every_line(world: World) -> None:
    client = world.waiting("BZPOPMIN a b a 0")
    world.admin.ask("ZADD b 1 m")
    assert client.reply() == [b"b", b"m", b"1"]
    world.admin.ask("ZADD a 2 n")
    assert client.has_nothing
    assert client.ask("BZPOPMAX a b 0") == [b"a", b"n", b"2"]


def test_the_order_of_the_keys_counts_and_not_that_of_the_writes_in_a_transaction(world: World) -> None:
    client = world.waiting("BZMPOP 0 2 first second MIN")
    world.admin.send("MULTI", "ZADD second 2 m", "ZADD first 1 n", "EXEC")
    assert client.reply() == [b"first", [[b"n", b"1"]]]


def test_a_transaction_is_over_before_anybody_is_served(world: World) -> None:
    client = world.waiting("BZPOPMIN k 0")
    world.admin.send("MULTI", "ZADD k 5 m", "ZADD k 4 n", "ZINCRBY k -3 m", "ZREM k n", "EXEC")
    assert client.reply() == [b"k", b"m", b"2"]


def test_those_who_wait_for_a_list_and_for_a_set_of_one_name_do_not_meet(world: World) -> None:
    for_a_list, for_a_set = world.waiting("BLPOP k 0"), world.waiting("BZPOPMIN k 0")
    world.admin.ask("ZADD k 1 m")
    assert for_a_set.reply() == [b"k", b"m", b"1"]
    assert "b" in world.flags(for_a_list)
    world.admin.ask("RPUSH k v")
    assert for_a_list.reply() == [b"k", b"v"]


# What wakes


@pytest.mark.parametrize(
    "commands",
    [
        ["ZADD k 1 m"],
        ["ZADD k NX CH 1 m"],
        ["ZADD k INCR 1 m"],
        ["ZINCRBY k 1 m"],
        ["ZADD from 1 m", "RENAME from k"],
        ["ZADD from 1 m", "RENAMENX from k"],
        ["ZADD from 1 m", "COPY from k"],
        ["ZADD from 1 m", "ZRANGESTORE k from 0 -1"],
        ["ZADD from 1 m", "ZUNIONSTORE k 1 from"],
        ["ZADD from 1 m", "ZINTERSTORE k 2 from from AGGREGATE MAX"],
        ["ZADD from 1 m", "ZDIFFSTORE k 2 from nothing"],
        ["SADD from m", "ZUNIONSTORE k 1 from"],
        ["MULTI", "ZADD k 1 m", "EXEC"],
        ["SET k text", "DEL k", "ZADD k 1 m"],
        ["SET k text", "ZADD from 1 m", "RENAME from k"],
        ["SELECT 1", "ZADD k 1 m", "MOVE k 0"],
        ["SELECT 1", "ZADD k 1 m", "SWAPDB 0 1"],
    ],
    ids=" / ".join,
)
def test_every_write_that_puts_a_set_there_wakes(world: World, commands: list[str]) -> None:
    waiting, writer = world.waiting("BZPOPMIN k 0"), world.client()
    for command in commands:
        writer.ask(command)
    assert waiting.reply() == [b"k", b"m", b"1"]


@pytest.mark.parametrize(
    "command", ["ZADD k XX 1 m", "ZADD k NX nan m", "ZINCRBY k x m", "ZUNIONSTORE k 1 nothing", "SET k v", "SADD k m"]
)
def test_what_puts_no_sorted_set_there_wakes_nobody(world: World, command: str) -> None:
    client = world.waiting("BZPOPMAX k 0")
    world.admin.ask(command)
    assert "b" in world.flags(client)
    world.admin.ask("DEL k")
    world.admin.ask("ZADD k 1 m")
    assert client.reply() == [b"k", b"m", b"1"]


def test_what_a_transaction_takes_back_wakes_nobody(world: World) -> None:
    client = world.waiting("BZPOPMIN k 0")
    world.admin.send("MULTI", "ZADD k 1 m", "ZPOPMIN k", "EXEC")
    assert [world.admin.reply() for _ in range(4)][-1] == [1, [b"m", b"1"]]
    assert "b" in world.flags(client)


def test_a_key_of_another_type_before_the_one_that_woke_is_an_error(world: World) -> None:
    client = world.waiting("BZPOPMIN a b 0")
    world.admin.ask("SET a text")
    world.admin.ask("ZADD b 1 m")
    assert client.reply().startswith("WRONGTYPE")
    assert world.admin.ask("ZCARD b") == 1


# How a wait ends otherwise

COMMANDS = ["BZPOPMIN k {}", "BZPOPMAX k j {}", "BZMPOP {} 2 k j MAX"]


@pytest.mark.parametrize(("protocol", "null"), [(2, b"*-1\r\n"), (3, b"_\r\n")])
@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_waits_shorter_than_the_timeout(world: World, command: str, protocol: int, null: bytes) -> None:
    client = world.client(protocol)
    started = time.monotonic()
    client.send(command.format("0.03"))
    assert client.raw() == null
    assert time.monotonic() - started >= 0.029  # either clock may be in the middle of a millisecond
    world.poll(lambda: world.blocked() == 0)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        ("-1", "ERR timeout is negative"),
        ("x", "ERR timeout is not a float or out of range"),
        ("nan", "ERR timeout is not a float or out of range"),
        ("inf", "ERR timeout is out of range"),
        ("1e400", "ERR timeout is out of range"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_timeout_is_refused(world: World, command: str, timeout: str, error: str) -> None:
    world.admin.ask("ZADD k 1 m")
    assert world.admin.ask(command.format(timeout)) == error
    assert world.admin.ask("ZCARD k") == 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("0 0 k MIN", "ERR numkeys should be greater than 0"),
        ("x -1 k MIN", "ERR numkeys should be greater than 0"),
        ("0 9223372036854775807 k MIN", "ERR syntax error"),
        ("0 9223372036854775808 k MIN", "ERR numkeys should be greater than 0"),
        ("0 2 k MIN", "ERR syntax error"),
        ("0 1 k MINIMUM", "ERR syntax error"),
        ("0 1 k MIN COUNT", "ERR syntax error"),
        ("0 1 k MIN COUNT 0", "ERR count should be greater than 0"),
        ("x 1 k MIN COUNT 1 COUNT 2", "ERR syntax error"),
    ],
)
def test_bad_words_are_refused_before_anybody_waits(world: World, words: str, error: str) -> None:
    assert world.admin.ask(f"BZMPOP {words}") == error


@pytest.mark.parametrize("protocol", [2, 3])
def test_nothing_waits_in_a_transaction(world: World, protocol: int) -> None:
    client = world.client(protocol)
    client.ask("MULTI")
    for command in COMMANDS:
        client.ask(command.format("0"))
    client.send("EXEC")
    null = b"*-1" if protocol == 2 else b"_"
    assert client.raw() == b"*3\r\n" + (null + b"\r\n") * 3


@pytest.mark.parametrize(("how", "answer"), [("", b"*-1\r\n"), ("ERROR", b"-UNBLOCKED")])
@pytest.mark.parametrize("command", COMMANDS)
def test_client_unblock_ends_a_wait(world: World, command: str, how: str, answer: bytes) -> None:
    client = world.waiting(command.format("0"))
    assert world.admin.ask(f"CLIENT UNBLOCK {client.id} {how}") == 1
    assert client.raw().startswith(answer)
    world.admin.ask("ZADD k 1 m")
    assert client.ask("ZCARD k") == 1


def test_who_leaves_while_waiting_leaves_nothing_behind(world: World) -> None:
    gone, other = world.waiting("BZPOPMIN k j 0"), world.waiting("BZPOPMIN k 0")
    gone.socket.close()
    world.poll(lambda: world.blocked() == 1)
    world.admin.ask("ZADD k 1 m 2 n")
    assert other.reply() == [b"k", b"m", b"1"]
    assert world.admin.ask("ZRANGE k 0 -1") == [b"n"]


# What others see of it


def test_a_woken_pop_is_told_behind_the_write_that_woke_it(world: World) -> None:
    world.admin.ask("CONFIG SET notify-keyspace-events KEA")
    listener = world.client()
    listener.ask("PSUBSCRIBE __keyevent@0__:*")
    lowest, several = world.waiting("BZPOPMIN k 0"), world.waiting("BZMPOP 0 1 k MAX COUNT 5")
    world.admin.ask("ZADD k 1 a 2 b 3 c")
    assert [lowest.reply(), several.reply()] == [[b"k", b"a", b"1"], [b"k", [[b"c", b"3"], [b"b", b"2"]]]]
    told = [(message[2].partition(b":")[2], message[3]) for message in (listener.reply() for _ in range(4))]
    world.admin.ask("CONFIG SET notify-keyspace-events  ")
    assert told == [(b"zadd", b"k"), (b"zpopmin", b"k"), (b"zpopmax", b"k"), (b"del", b"k")]
