"""DEBUG as test suites use it, beside Redis and Valkey; and that it is theirs alone who may."""

from typing import Any

import pytest
from laptop import eventually
from wire import Wire
from worlds import World

LINES = """
DEBUG
DEBUG FOO
DEBUG JMAP
DEBUG ERROR
DEBUG ERROR foo
DEBUG SLEEP
DEBUG SLEEP 0
DEBUG SLEEP -1
DEBUG SLEEP x
DEBUG SET-ACTIVE-EXPIRE x
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG PAUSE-CRON x
DEBUG PAUSE-CRON 0
DEBUG CHANGE-REPL-ID
DEBUG CHANGE-REPL-ID x
DEBUG LOG
DEBUG LOG hello
DEBUG LOG a b
DEBUG POPULATE
DEBUG POPULATE x
DEBUG POPULATE -1
DEBUG POPULATE 2 p x
DEBUG POPULATE 2 p -1
DEBUG POPULATE 2 p 1 1
DEBUG POPULATE 0
DEBUG POPULATE 2
DEBUG POPULATE 2 p 10
DEBUG POPULATE 2 q 2
SET p:0 mine
DEBUG POPULATE 3 p 20
DBSIZE
MGET key:0 key:1 p:0 p:1 p:2 q:1
SET n 1
SET text hello
HSET h f v
RPUSH l a
DEBUG OBJECT
DEBUG OBJECT none
DEBUG LISTPACK
DEBUG LISTPACK none
DEBUG LISTPACK text
DEBUG LISTPACK h
DEBUG QUICKLIST none
DEBUG QUICKLIST h
DEBUG SDSLEN
DEBUG SDSLEN none
DEBUG SDSLEN n
DEBUG SDSLEN h
DEBUG DIGEST x
DEBUG DIGEST
DEBUG DIGEST-VALUE
DEBUG DIGEST-VALUE none n text h l
DEBUG RELOAD NOPE
DEBUG RELOAD MERGE NOPE
DEBUG RELOAD
DEBUG RELOAD merge noflush
DEBUG DIGEST
MGET n text p:0
DEBUG PROTOCOL
DEBUG PROTOCOL foo
"""
TYPES = ["string", "integer", "double", "bignum", "null", "array", "set", "map", "attrib", "verbatim", "true", "false"]


@pytest.mark.parametrize("protocol", [2, 3])
def test_it_answers_as_elsewhere(all_servers: dict[str, int], protocol: int) -> None:
    lines = [line for line in LINES.splitlines() if line] + [f"DEBUG PROTOCOL {name}" for name in TYPES]
    answers: dict[str, list[tuple[str, Any]]] = {}
    for name, port in all_servers.items():
        with Wire(port, protocol) as wire:
            wire("FLUSHALL")
            answers[name] = [(line, wire(line)) for line in lines]
    assert answers["node"] == answers["redis"]
    assert answers["node"] == answers["valkey"]


def test_a_push_comes_behind_the_reply_and_in_resp3_alone(all_servers: dict[str, int]) -> None:
    for name in ("node", "valkey"):
        with Wire(all_servers[name]) as old, Wire(all_servers[name], 3) as new:
            assert old("DEBUG PROTOCOL push") == "-ERR RESP2 is not supported by this command"
            assert new("DEBUG PROTOCOL push") == "Some real reply following the push reply"
            assert new.read() == [">", "server-cpu-usage", 42]


def test_an_object_is_described_in_redis_words(world: World) -> None:
    world.other("SET k v")
    words = world.other("DEBUG OBJECT k").split()
    assert words[0] == "Value"
    assert words[1].startswith("at:0x")
    assert [word for word in words[2:] if not word.startswith("lru:")] == [
        "refcount:1",
        "encoding:embstr",
        "serializedlength:2",
        "lru_seconds_idle:0",
    ]


def test_what_it_puts_there_touches_watchers_and_trackers_and_notifies_nobody(world: World) -> None:
    world.other("CONFIG SET notify-keyspace-events KEA")
    watcher, tracker, listener = world.wire(2), world.wire(3), world.wire(3)
    watcher("WATCH key:0")
    tracker("CLIENT TRACKING ON")
    tracker("GET key:1")
    listener("PSUBSCRIBE *")
    world.other("DEBUG POPULATE 2")
    watcher("MULTI")
    assert watcher("EXEC") is None
    assert world.told(tracker) == [[">", "invalidate", ["key:1"]]]
    assert world.told(listener) == []


def test_the_replication_id_changes_and_the_run_id_stays(world: World) -> None:
    def ids() -> list[str]:
        lines = world.other("INFO everything").split("\r\n")
        return [
            line.partition(":")[2]
            for line in lines
            if line.startswith(("run_id:", "master_replid:", "master_replid2:"))
        ]

    before = ids()
    assert world.other("DEBUG CHANGE-REPL-ID") == "OK"
    assert ids()[0] == before[0]
    assert ids()[1] != before[1]
    assert len(ids()[1]) == 40
    assert ids()[2] == "0" * 40


def test_without_rounds_nothing_expires_by_itself(world: World) -> None:
    world.other("DEBUG PAUSE-CRON 1")
    world.other("SET sooner v PX 1")
    world.other("SET later v PX 20")
    eventually(lambda: world.other("EXISTS later") == 0, "its time has come, and it was met")
    assert world.other("DBSIZE") == 1
    world.other("DEBUG PAUSE-CRON 0")
    eventually(lambda: world.other("DBSIZE") == 0, "the rounds go on")


def test_populating_ends_at_maxmemory_here_alone(all_servers: dict[str, int]) -> None:
    with Wire(all_servers["node"]) as wire:
        wire("FLUSHALL")
        wire("CONFIG SET maxmemory 1mb")
        assert wire("DEBUG POPULATE 1000000").startswith("-OOM")
        assert 2000 < wire("DBSIZE") < 30_000
        assert wire("DEBUG POPULATE 1 p 536870913").startswith("-ERR string exceeds")
        wire("CONFIG SET maxmemory 0")
