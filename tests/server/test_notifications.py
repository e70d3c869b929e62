"""Keyspace notifications: each script of commands tells of the same events, in the same order, as it does on Redis.

Valkey 9 differs in one thing: a key that is given an expiry in the past is `expired` there, `del` on Redis and here.
"""

from typing import Any

import pytest
from laptop import eventually
from worlds import World

SCRIPTS = {
    "strings": ["SET k v", "SET k w", "APPEND k x", "SETRANGE k 0 y", "GETSET k 1", "INCR k", "DECRBY k 2",
                "INCRBYFLOAT k 1.5", "MSET a 1 b 2", "MSETNX c 1 d 2", "MSETNX c 1 e 2", "SETNX k v", "SETNX n v",
                "SETBIT bits 7 1", "BITOP OR dest bits bits", "BITOP AND empty nokey nokey2", "GETDEL n"],
    "expiry": ["SET k v EX 100", "EXPIRE k 50", "PERSIST k", "PERSIST k", "GETEX k PX 10000", "GETEX k PERSIST",
               "SETEX k 10 v", "PSETEX k 10000 v", "SET k v KEEPTTL", "EXPIREAT k 1", "SET k v", "PEXPIREAT k 1",
               "EXPIRE k 10", "SET l v EXAT 1", "GET l", "SET g v", "GETEX g EXAT 1"],
    "generic": ["SET k v", "RENAME k l", "SET k w", "RENAME k l", "RENAMENX l k", "COPY k c", "COPY k c REPLACE",
                "MOVE k 1", "DEL k c", "UNLINK k", "SET k v", "UNLINK k", "RENAME c c", "SET c 1", "RENAME c c"],
    "lists": ["RPUSH l a b c", "LPUSH l z", "LPUSHX no a", "LINSERT l BEFORE a q", "LSET l 0 y", "LREM l 0 q",
              "LTRIM l 0 1", "LPOP l", "RPOP l", "RPUSH l 1 2 3", "LMOVE l m LEFT RIGHT", "RPOPLPUSH l m",
              "LMOVE m m LEFT RIGHT", "LMPOP 2 no m LEFT COUNT 9", "LTRIM l 5 9", "LREM l 0 a"],
    "sets": ["SADD s a b c", "SADD s a", "SREM s a x", "SMOVE s t b", "SPOP s", "SPOP t 5", "SADD s a b", "SADD t b",
             "SINTERSTORE d s t", "SUNIONSTORE d s t", "SDIFFSTORE d s t", "SINTERSTORE d s no"],
    "hashes": ["HSET h f v", "HSET h f w", "HINCRBY h n 1", "HINCRBYFLOAT h n 1.5", "HSETNX h f x", "HSETNX h g x",
               "HMSET h a 1 b 2", "HDEL h a x", "HDEL h f n g b"],
    "reads that find nothing": ["GET no", "MGET no k", "LRANGE no 0 1", "HGET no f", "SMEMBERS no", "STRLEN no",
                                "EXISTS no", "TYPE no", "TTL no", "DEL no", "SET k v", "GET k", "TOUCH no", "INCR no",
                                "SDIFF no", "DUMP no"],
    "a transaction": ["MULTI", "SET a 1", "DEL a", "INCR b", "RENAME b c", "GET no", "EXEC"],
    "whole databases": ["SET k v", "SWAPDB 0 1", "FLUSHDB", "FLUSHALL", "SET k v", "FLUSHALL ASYNC"],
    "SORT": ["RPUSH l b a", "SORT l ALPHA STORE d", "SORT no STORE d"],
}  # fmt: skip


def events(world: World, classes: str, lines: list[str]) -> list[Any]:
    """What a subscriber to everything is told: database, event or key, and what is said of it."""
    assert world.other("CONFIG", "SET", "notify-keyspace-events", classes) == "OK"
    with world.wire(3) as listener:
        listener("PSUBSCRIBE __key*")
        for line in lines:
            world.other(*line.split())
        return [message[3:] for message in world.told(listener)]


def told_by(all_servers: dict[str, int], classes: str, lines: list[str]) -> dict[str, list[Any]]:
    told = {}
    for name in all_servers:
        world = World(name, all_servers[name])
        with world.exits:
            told[name] = events(world, classes, lines)
    return told


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("classes", ["KEA", "KEAmn"])
def test_a_script_tells_the_same_as_elsewhere(all_servers: dict[str, int], script: str, classes: str) -> None:
    told = told_by(all_servers, classes, SCRIPTS[script])
    assert told["node"] == told["redis"]
    if script != "expiry":
        assert told["node"] == told["valkey"]


@pytest.mark.parametrize("letter", "g$lshzxetdnm")
def test_each_class_is_chosen_by_its_letter(all_servers: dict[str, int], letter: str) -> None:
    lines = [line for script in SCRIPTS.values() for line in script]
    told = told_by(all_servers, f"E{letter}", lines)
    assert told["node"] == told["redis"]
    assert bool(told["node"]) == (letter not in "zetd")


def test_classes_are_shown_as_on_valkey(all_servers: dict[str, int]) -> None:
    worlds = [World(name, all_servers[name]) for name in ("node", "valkey")]
    for text in ("KEA", "AKEm", "Kg", "E$lshzxetd", "", "K", "q", "KEAq", "nm", "AAA", "g$lshzxetKEmn", "Kd", "Et"):
        shown = [
            [
                world.other("CONFIG", "SET", "notify-keyspace-events", text),
                world.other("CONFIG GET notify-keyspace-events"),
            ]
            for world in worlds
        ]
        assert shown[0] == shown[1], text


def test_expiry_is_told_when_met_and_when_nobody_looks(world: World) -> None:
    world.other("CONFIG SET notify-keyspace-events Ex")
    with world.wire(3) as listener:
        listener("PSUBSCRIBE *")
        world.other("SET k v PX 20")
        assert listener.read()[3:] == ["__keyevent@0__:expired", "k"], "nobody looks"
        world.other("DEBUG SET-ACTIVE-EXPIRE 0")
        world.other("SET k v PX 20")
        eventually(lambda: world.other("EXISTS k") == 0, "it is met")
        assert listener.read()[3:] == ["__keyevent@0__:expired", "k"]
        world.other("DEBUG SET-ACTIVE-EXPIRE 1")
        assert world.told(listener) == []


def test_another_databases_number_stands_in_the_channel(world: World) -> None:
    world.other("CONFIG SET notify-keyspace-events KEA")
    with world.wire(3) as listener, world.wire(2) as writer:
        listener("PSUBSCRIBE *")
        writer("SELECT 7")
        writer("SET k v")
        writer("FLUSHDB")
        assert [message[3:] for message in world.told(listener)] == [
            ["__keyspace@7__:k", "set"],
            ["__keyevent@7__:set", "k"],
        ]
