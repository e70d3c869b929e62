"""MULTI and WATCH: what ends a transaction, and what counts as a change. Beside a node on Redis and Valkey."""

from typing import Any

import pytest
from laptop import eventually
from wire import Wire
from worlds import World

RAN: list[Any] = ["PONG"]
ABORTED = "-EXECABORT Transaction discarded because of previous errors."


def execute(wire: Wire) -> Any:
    """EXEC's answer to a transaction of one PING: `RAN`, or None where a watched key has changed."""
    assert wire("MULTI") == "OK"
    assert wire("PING") == "QUEUED"
    return wire("EXEC")


def watching(world: World, *keys: str) -> Wire:
    wire = world.wire(2)
    assert wire("WATCH", *keys) == "OK"
    return wire


def let_expire(world: World, key: str) -> None:
    """A key whose time has come, and which nobody has met since: nothing looks at it while nothing is swept."""
    world.other("SET", key, "v", "PX", 1)
    world.other("SET", "later", "v", "PX", 20)
    eventually(lambda: world.other("EXISTS later") == 0, "the time has come")


CHANGES = [
    "SET k v", "SET k w", "SET k w KEEPTTL", "APPEND k x", "DEL k", "UNLINK k", "GETDEL k", "EXPIRE k 100", "PERSIST k",
    "GETEX k EX 50", "GETEX k PERSIST", "GETSET k v", "SETRANGE k 0 v", "SETBIT k 0 1", "INCRBY n 0", "RENAME k away",
    "RENAME other k", "COPY other k REPLACE", "MOVE k 3", "SWAPDB 0 1", "FLUSHDB", "FLUSHALL", "FLUSHALL ASYNC",
    "PEXPIRE k 0", "EXPIREAT k 1", "SORT no STORE k", "SUNIONSTORE k none", "MSET a 1 k 2", "BITOP NOT k other",
    "HSET h f v", "SADD s a", "LSET l 0 a", "LTRIM l 5 9", "SORT l ALPHA STORE l",
]  # fmt: skip
NO_CHANGES = [
    "GET k", "SET k x NX", "SETNX k x", "DEL none", "PERSIST other", "EXPIRE none 10", "EXPIRE k 1 GT", "COPY other k",
    "RENAMENX other k", "MSETNX k 1 j 2", "SADD s m", "SREM s none", "HDEL h none", "LREM l 0 none",
    "LINSERT l BEFORE no x", "LPUSHX none x", "GETEX k", "TOUCH k", "OBJECT ENCODING k", "SWAPDB 5 6", "SMOVE s t none",
    "MOVE none 3", "SUNIONSTORE none none", "HSETNX h f w", "GETRANGE k 0 1", "SINTERSTORE none s none",
]  # fmt: skip
"""INCR of what is no number and the like are `test_a_command_that_fails_changes_nothing`."""


def fill(world: World) -> None:
    world.other("SET k v EX 1000")
    world.other("SET other o")
    world.other("SET n 1")
    world.other("HSET h f v")
    world.other("SADD s m")
    world.other("RPUSH l e")


WATCHED = ("k", "n", "h", "s", "l", "none", "t", "j")


@pytest.mark.parametrize("line", CHANGES)
def test_a_change_of_a_watched_key_ends_the_transaction(world: World, line: str) -> None:
    fill(world)
    watcher = watching(world, *WATCHED)
    world.other(line)
    assert execute(watcher) is None
    assert execute(watcher) == RAN, "it watches no more"


@pytest.mark.parametrize("line", NO_CHANGES)
def test_what_changes_nothing_ends_nothing(world: World, line: str) -> None:
    fill(world)
    watcher = watching(world, *WATCHED)
    world.other(line)
    assert execute(watcher) == RAN


@pytest.mark.parametrize(
    "line", ["INCR k", "LPUSH k x", "SADD k m", "SET k v EX 0", "EXPIRE k x", "RENAME none k", "SETRANGE k -1 x"]
)
def test_a_command_that_fails_changes_nothing(world: World, line: str) -> None:
    fill(world)
    watcher = watching(world, *WATCHED)
    assert world.other(line).startswith("-")
    assert execute(watcher) == RAN


def test_ones_own_change_counts_too(world: World) -> None:
    watcher = watching(world, "k")
    watcher("SET k v")
    assert execute(watcher) is None


def test_a_change_within_the_transaction_comes_too_late(world: World) -> None:
    watcher = watching(world, "k")
    watcher("MULTI")
    watcher("SET k v")
    assert watcher("EXEC") == ["OK"]


def test_a_key_that_expires_while_it_is_watched_has_changed(world: World) -> None:
    world.other("DEBUG SET-ACTIVE-EXPIRE 0")
    world.other("SET k v PX 40")
    watcher = watching(world, "k")
    untouched = watching(world, "j")
    world.other("SET later v PX 60")
    eventually(lambda: world.other("EXISTS later") == 0, "both have expired")
    assert execute(watcher) is None, "nobody has met it"
    assert execute(untouched) == RAN
    world.other("DEBUG SET-ACTIVE-EXPIRE 1")


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("line", ["PING", "GET k", "DEL k", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1"])
def test_a_key_that_had_expired_when_it_was_watched_is_none(world: World, line: str, others: bool) -> None:
    world.other("DEBUG SET-ACTIVE-EXPIRE 0")
    if others:
        watching(world, "somewhere else")
    let_expire(world, "k")
    watcher = watching(world, "k")
    world.other(line)
    assert execute(watcher) == RAN
    world.other("DEBUG SET-ACTIVE-EXPIRE 1")


def test_a_key_that_had_expired_and_is_set_again_has_changed(world: World) -> None:
    world.other("DEBUG SET-ACTIVE-EXPIRE 0")
    let_expire(world, "k")
    watcher = watching(world, "k")
    world.other("SET k v")
    assert execute(watcher) is None
    world.other("DEBUG SET-ACTIVE-EXPIRE 1")


@pytest.mark.parametrize("line", ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "SWAPDB 3 4"])
def test_a_flush_of_keys_that_are_not_there_ends_nothing(world: World, line: str) -> None:
    world.other("SET another v")
    watcher = watching(world, "none")
    world.other(line)
    assert execute(watcher) == RAN


def test_a_swap_that_brings_a_watched_key_ends_the_transaction(world: World) -> None:
    writer = world.wire(2)
    writer("SELECT 1")
    writer("SET k v")
    watcher = watching(world, "k")
    world.other("SWAPDB 1 0")
    assert execute(watcher) is None


def test_the_same_key_of_another_database_is_another(world: World) -> None:
    watcher = watching(world, "k")
    watcher("SELECT 1")
    assert watcher("WATCH j") == "OK"
    writer = world.wire(2)
    writer("SELECT 1")
    writer("SET k v")
    assert execute(watcher) == RAN
    watcher("WATCH j")
    writer("SET j v")
    assert execute(watcher) is None


@pytest.mark.parametrize("end", ["UNWATCH", "DISCARD", "RESET", "EXEC"])
def test_who_watches_no_more_is_not_ended(world: World, end: str) -> None:
    watcher = watching(world, "k")
    world.other("SET k v")
    if end in ("DISCARD", "EXEC"):
        watcher("MULTI")
    watcher(end)
    assert execute(watcher) == RAN


@pytest.mark.parametrize(
    ("lines", "answers"),
    [
        (["MULTI", "NONE", "PING", "EXEC"], [None, "QUEUED", ABORTED]),
        (["MULTI", "GET", "EXEC"], [None, ABORTED]),
        (["MULTI", "GET", "DISCARD", "EXEC"], [None, "OK", "-ERR EXEC without MULTI"]),
        (["MULTI", "EXEC"], [[]]),
        (["MULTI", "SET k v", "LPUSH k x", "GET k", "EXEC"], ["QUEUED", "QUEUED", "QUEUED", ["OK", None, "v"]]),
        (["MULTI", "SELECT 3", "SET k v", "EXEC", "GET k", "SELECT 0", "GET k"],
         ["QUEUED", "QUEUED", ["OK", "OK"], "v", "OK", None]),
        (["DISCARD"], ["-ERR DISCARD without MULTI"]),
        (["MULTI", "EXEC x", "PING"], [None, "PONG"]),
    ],
)  # fmt: skip
def test_a_transaction_runs_whole_or_is_refused(world: World, lines: list[str], answers: list[Any]) -> None:
    """Where an error has its own words elsewhere, None stands for it."""
    wire = world.wire(2)
    got = [wire(line) for line in lines]
    if lines[0] == "MULTI":
        assert got.pop(0) == "OK"
    assert blanked(got, answers) == answers


@pytest.mark.parametrize("line", ["MULTI", "WATCH k"])
def test_multi_and_watch_within_a_transaction_are_refused(world: World, line: str) -> None:
    """That ends it on Valkey 9 alone."""
    wire = world.wire(2)
    wire("MULTI")
    assert wire(line).startswith("-ERR")
    assert wire("PING") == "QUEUED"
    assert wire("EXEC") == (ABORTED if world.name == "valkey" else RAN)


def blanked(got: list[Any], answers: list[Any]) -> list[Any]:
    return [
        blanked(mine, its) if isinstance(its, list) and isinstance(mine, list)
        else None if its is None and str(mine).startswith("-") else mine
        for mine, its in zip(got, answers, strict=True)
    ]  # fmt: skip


def test_the_keys_of_a_transaction_that_ends_by_leaving_are_forgotten(world: World) -> None:
    watcher = watching(world, "k")
    watcher("MULTI")
    watcher("SET k mine")
    watcher.close()
    eventually(lambda: " multi=1 " not in world.other("CLIENT LIST"), "it has left")
    assert world.other("GET k") is None


@pytest.mark.parametrize(("line", "touched"), [
    ("HSETEX none PXAT 1000 FIELDS 1 f v", False), ("HSETEX h PXAT 1000 FIELDS 1 g v", False),
    ("HSETEX h PXAT 1000 FIELDS 1 f v", True), ("HSETEX h PX 100000 FIELDS 1 g v", True),
])  # fmt: skip
def test_fields_set_with_a_time_in_the_past_are_a_change_only_if_some_go(
    all_servers: dict[str, int], line: str, touched: bool
) -> None:
    for name in ("valkey", "node"):
        world = World(name, all_servers[name])
        with world.exits:
            fill(world)
            watcher = watching(world, *WATCHED)
            world.other(line)
            assert (execute(watcher) is None) == touched, name
