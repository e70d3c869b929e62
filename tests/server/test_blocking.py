"""Waiting for a list: whom a write wakes, in which order, and how a wait ends otherwise. Beside a node also on Valkey,
so that the stories themselves are proven."""

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


# Who is served


def test_who_came_first_is_served_first(world: World) -> None:
    clients = [
        world.waiting(command) for command in ("BLPOP k 0", "BRPOP other k 0", "BLMPOP 0 2 x k LEFT", "BLPOP k 0")
    ]
    assert world.admin.ask("RPUSH k a b c") == 3
    assert [client.reply() for client in clients[:3]] == [[b"k", b"a"], [b"k", b"c"], [b"k", [b"b"]]]
    assert "b" in world.flags(clients[3])
    assert world.admin.ask("EXISTS k") == 0
    world.admin.ask("LPUSH k d")
    assert clients[3].reply() == [b"k", b"d"]


def test_who_waits_for_several_keys_leaves_every_line(world: World) -> None:
    client = world.waiting("BLPOP a b a 0")
    world.admin.ask("RPUSH b 1")
    assert client.reply() == [b"b", b"1"]
    world.admin.ask("RPUSH a 2")
    assert client.has_nothing
    assert world.admin.ask("LLEN a") == 1
    assert client.ask("BLPOP a b 0") == [b"a", b"2"]


def test_the_order_of_the_keys_counts_and_not_that_of_the_pushes_in_a_transaction(world: World) -> None:
    client = world.waiting("BLPOP first second 0")
    world.admin.send("MULTI", "RPUSH second 2", "RPUSH first 1", "EXEC")
    assert client.reply() == [b"first", b"1"]


def test_a_count_takes_what_is_there(world: World) -> None:
    client = world.waiting("BLMPOP 0 1 k RIGHT COUNT 2")
    world.admin.ask("RPUSH k a b c")
    assert client.reply() == [b"k", [b"c", b"b"]]
    assert world.admin.ask("LRANGE k 0 -1") == [b"a"]


def test_an_element_is_handed_on_from_one_who_waits_to_the_next(world: World) -> None:
    third = world.waiting("BLPOP c 0")
    second = world.waiting("BRPOPLPUSH b c 0")
    first = world.waiting("BLMOVE a b LEFT RIGHT 0")
    assert world.admin.ask("RPUSH a x") == 1
    assert [first.reply(), second.reply(), third.reply()] == [b"x", b"x", [b"c", b"x"]]
    assert world.admin.ask("DBSIZE") == 0


def test_another_database_is_another_place(world: World) -> None:
    client = world.client()
    client.ask("SELECT 1")
    world.wait(client, "BLPOP k 0")
    world.admin.ask("RPUSH k here")
    assert "b" in world.flags(client)
    world.admin.send("MULTI", "SELECT 1", "RPUSH k there", "SELECT 0", "EXEC")
    assert client.reply() == [b"k", b"there"]


# What wakes


@pytest.mark.parametrize(
    "commands",
    [
        ["RPUSH k v"],
        ["LPUSH k v"],
        ["RPUSH from v", "RENAME from k"],
        ["RPUSH from v", "RENAMENX from k"],
        ["RPUSH from v", "COPY from k"],
        ["RPUSH from v", "LMOVE from k LEFT LEFT"],
        ["RPUSH from v", "RPOPLPUSH from k"],
        ["RPUSH from v", "BLMOVE from k LEFT LEFT 0"],
        ["MULTI", "RPUSH k v", "EXEC"],
        ["SET k text", "DEL k", "RPUSH k v"],
        ["SET k text", "RPUSH from v", "RENAME from k"],
        ["SET k text", "RPUSH from v", "COPY from k REPLACE"],
        ["SELECT 1", "RPUSH k v", "MOVE k 0"],
        ["SELECT 1", "RPUSH k v", "SWAPDB 0 1"],
        ["SELECT 1", "RPUSH from v", "COPY from k DB 0"],
        ["RPUSH from v", "SORT from BY nothing STORE k"],
    ],
    ids=" / ".join,
)
def test_every_write_that_puts_a_list_there_wakes(world: World, commands: list[str]) -> None:
    waiting, writer = world.waiting("BLPOP k 0"), world.client()
    for command in commands:
        writer.ask(command)
    assert waiting.reply() == [b"k", b"v"]


def test_restoring_a_list_wakes(world: World) -> None:
    world.admin.ask("RPUSH from v")
    data = world.admin.ask("DUMP from")
    waiting = world.waiting("BLPOP k 0")
    assert world.admin.ask_raw([b"RESTORE", b"k", b"0", data]) == b"OK"
    assert waiting.reply() == [b"k", b"v"]


def test_what_a_transaction_takes_back_wakes_nobody(world: World) -> None:
    client = world.waiting("BLPOP k 0")
    world.admin.send("MULTI", "RPUSH k a", "DEL k", "EXEC")
    assert [world.admin.reply() for _ in range(4)][-1] == [1, 1]
    assert "b" in world.flags(client)
    world.admin.send("MULTI", "RPUSH k a", "LPUSH k b", "LREM k 1 a", "EXEC")
    assert client.reply() == [b"k", b"b"]


@pytest.mark.parametrize("command", ["SET k v", "HSET k f v", "SADD k m"])
def test_a_key_of_another_type_wakes_nobody(world: World, command: str) -> None:
    client = world.waiting("BLPOP k 0")
    world.admin.ask(command)
    assert "b" in world.flags(client)
    assert world.admin.ask("DEL k") == 1
    world.admin.ask("RPUSH k v")
    assert client.reply() == [b"k", b"v"]


def test_a_key_of_another_type_before_the_one_that_woke_is_an_error(world: World) -> None:
    client = world.waiting("BLPOP a b 0")
    world.admin.ask("SET a text")
    world.admin.ask("RPUSH b v")
    assert client.reply().startswith("WRONGTYPE")
    assert world.admin.ask("LLEN b") == 1
    assert world.blocked() == 0


def test_a_target_of_another_type_is_an_error_and_leaves_the_source_to_the_next(world: World) -> None:
    first = world.waiting("BLMOVE k target LEFT LEFT 0")
    second = world.waiting("BLPOP k 0")
    world.admin.ask("SET target text")
    world.admin.ask("RPUSH k v")
    assert first.reply().startswith("WRONGTYPE")
    assert second.reply() == [b"k", b"v"]
    assert world.admin.ask("GET target") == b"text"


# How a wait ends otherwise

COMMANDS = ["BLPOP k {}", "BRPOP k j {}", "BLMOVE k j LEFT RIGHT {}", "BRPOPLPUSH k j {}", "BLMPOP {} 2 k j LEFT"]


@pytest.mark.parametrize(("protocol", "null"), [(2, b"*-1\r\n"), (3, b"_\r\n")])
@pytest.mark.parametrize("command", COMMANDS)
def test_nobody_waits_shorter_than_the_timeout(world: World, command: str, protocol: int, null: bytes) -> None:
    client = world.client(protocol)
    started = time.monotonic()
    client.send(command.format("0.03"))
    assert client.raw() == null
    assert time.monotonic() - started >= 0.029  # either clock may be in the middle of a millisecond
    world.poll(lambda: world.blocked() == 0)


def test_a_timeout_ends_nobody_elses_wait(world: World) -> None:
    long, endless = world.waiting("BLPOP k 1000"), world.waiting("BLPOP k 0")
    assert world.client().ask("BLPOP k 0.01") is None
    assert world.blocked() == 2
    world.admin.ask("RPUSH k a b")
    assert [long.reply(), endless.reply()] == [[b"k", b"a"], [b"k", b"b"]]


@pytest.mark.parametrize("timeout", ["0.0001", "0.001", "1e-9"])
def test_a_timeout_above_zero_ends(world: World, timeout: str) -> None:
    assert world.client().ask(f"BLPOP k {timeout}") is None


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        ("-1", "ERR timeout is negative"),
        ("-0.5", "ERR timeout is negative"),
        ("x", "ERR timeout is not a float or out of range"),
        ("nan", "ERR timeout is not a float or out of range"),
        ("1e400", "ERR timeout is out of range"),
        ("inf", "ERR timeout is out of range"),
        ("9223372036854775807", "ERR timeout is out of range"),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_timeout_is_refused(world: World, command: str, timeout: str, error: str) -> None:
    assert world.admin.ask(command.format(timeout)) == error


@pytest.mark.parametrize("protocol", [2, 3])
def test_nothing_waits_in_a_transaction(world: World, protocol: int) -> None:
    client = world.client(protocol)
    client.ask("MULTI")
    for command in COMMANDS:
        client.ask(command.format("0"))
    client.send("EXEC")
    nulls = [b"*-1", b"*-1", b"$-1", b"$-1", b"*-1"] if protocol == 2 else [b"_"] * 5
    assert client.raw() == b"*5\r\n" + b"\r\n".join(nulls) + b"\r\n"


@pytest.mark.parametrize(("how", "answer"), [("", b"*-1\r\n"), ("TIMEOUT", b"*-1\r\n"), ("ERROR", b"-UNBLOCKED")])
@pytest.mark.parametrize("command", COMMANDS)
def test_client_unblock_ends_a_wait(world: World, command: str, how: str, answer: bytes) -> None:
    client = world.waiting(command.format("0"))
    assert world.admin.ask(f"CLIENT UNBLOCK {client.id} {how}") == 1
    assert client.raw().startswith(answer)
    assert world.admin.ask(f"CLIENT UNBLOCK {client.id} {how}") == 0
    world.admin.ask("RPUSH k v")
    assert client.ask("LLEN k") == 1


def test_who_leaves_while_waiting_leaves_nothing_behind(world: World) -> None:
    gone, killed, other = (world.waiting("BLPOP k j 0") for _ in range(3))
    gone.socket.close()
    assert world.admin.ask(f"CLIENT KILL ID {killed.id}") == 1
    world.poll(lambda: world.blocked() == 1)
    world.admin.ask("RPUSH k a b")
    assert other.reply() == [b"k", b"a"]
    assert world.admin.ask("LRANGE k 0 -1") == [b"b"]


def test_what_a_client_said_behind_its_wait_comes_behind_the_answer(world: World) -> None:
    client = world.client()
    world.wait(client, "PING", "BLPOP k 0", "RPUSH k mine", "BLPOP k 0", "BLPOP k 0")
    world.admin.ask("RPUSH k a")
    assert [client.reply() for _ in range(4)] == [b"PONG", [b"k", b"a"], 1, [b"k", b"mine"]]
    world.admin.ask("RPUSH k b")
    assert client.reply() == [b"k", b"b"]


# CLIENT PAUSE


def test_a_push_that_is_held_back_wakes_when_the_pause_is_over(world: World) -> None:
    waiting, writer = world.waiting("BLPOP k 0"), world.client()
    world.admin.ask("CLIENT PAUSE 1000000 WRITE")
    writer.send("RPUSH k v")
    assert world.admin.ask("EXISTS k") == 0
    assert waiting.has_nothing
    world.admin.ask("CLIENT UNPAUSE")
    assert waiting.reply() == [b"k", b"v"]
    assert writer.reply() == 1


@pytest.mark.parametrize("mode", ["WRITE", "ALL"])
def test_a_wait_ends_in_time_during_a_pause(world: World, mode: str) -> None:
    waiting = world.waiting("BLPOP k 0.05")
    world.client().ask(f"CLIENT PAUSE 200 {mode}")
    assert waiting.reply() is None
    world.admin.ask("CLIENT UNPAUSE")


def test_who_waits_can_be_freed_or_killed_during_a_pause(world: World) -> None:
    freed, killed = world.waiting("BLPOP k 0"), world.waiting("BLPOP k 0")
    world.admin.ask("CLIENT PAUSE 1000000 WRITE")
    assert world.admin.ask(f"CLIENT UNBLOCK {freed.id}") == 1
    assert freed.reply() is None
    assert world.admin.ask(f"CLIENT KILL ID {killed.id}") == 1
    assert killed.raw() == b""
    world.admin.ask("CLIENT UNPAUSE")
    assert world.admin.ask("RPUSH k v") == 1
    assert world.admin.ask("LLEN k") == 1


def test_a_pop_said_during_a_pause_begins_behind_it(world: World) -> None:
    world.admin.ask("RPUSH k v")
    world.admin.ask("CLIENT PAUSE 1000000 WRITE")
    client = world.client()
    client.send("BLPOP k 0", "PING")
    assert world.admin.ask("LLEN k") == 1
    assert client.has_nothing
    world.admin.ask("CLIENT UNPAUSE")
    assert [client.reply(), client.reply()] == [[b"k", b"v"], b"PONG"]


def test_what_expires_or_is_flushed_wakes_nobody(world: World) -> None:
    waiting = world.waiting("BLPOP k j 0")
    world.admin.ask("SET k v PX 1")
    world.admin.ask("SET later v PX 20")
    world.poll(lambda: world.admin.ask("EXISTS later") == 0)
    world.admin.ask("FLUSHALL")
    assert "b" in world.flags(waiting)
    world.admin.ask("RPUSH j v")
    assert waiting.reply() == [b"j", b"v"]


# What others see of it


def test_a_woken_pop_is_told_behind_the_push_that_woke_it(world: World) -> None:
    world.admin.ask("CONFIG SET notify-keyspace-events KEA")
    listener = world.client()
    listener.ask("PSUBSCRIBE __keyevent@0__:*")
    mover, popper = world.waiting("BLMOVE k j LEFT RIGHT 0"), world.waiting("BRPOP j 0")
    world.admin.ask("LPUSH k v")
    assert [mover.reply(), popper.reply()] == [b"v", [b"j", b"v"]]
    told = [(message[2].partition(b":")[2], message[3]) for message in (listener.reply() for _ in range(6))]
    world.admin.ask("CONFIG SET notify-keyspace-events  ")
    assert told == [
        (b"lpush", b"k"), (b"rpush", b"j"), (b"lpop", b"k"), (b"del", b"k"), (b"rpop", b"j"), (b"del", b"j"),
    ]  # fmt: skip


def test_a_woken_pop_touches_who_watches(world: World) -> None:
    watcher, waiting = world.client(), world.waiting("BLMOVE k j LEFT RIGHT 0")
    watcher.ask("WATCH j")
    world.admin.ask("RPUSH k v")
    assert waiting.reply() == b"v"
    watcher.send("MULTI", "PING", "EXEC")
    assert [watcher.reply() for _ in range(3)][-1] is None
