"""Payloads of DUMP from a real Redis and a real Valkey, whose limits are set so that every encoding is there."""

from __future__ import annotations

from pathlib import Path

import redis
from real_redis import real_redis

WIDE, NARROW = "1000", "0"
LIMITS = ("hash-max-listpack-entries", "zset-max-listpack-entries", "set-max-intset-entries")


def real_dumps(folder: Path) -> list[bytes]:
    payloads = []
    for name in ("redis", "valkey"):
        with real_redis(folder, name) as port:
            client = redis.Redis(port=port)
            for limit in (WIDE, NARROW):
                for directive in LIMITS:
                    client.config_set(directive, limit)
                if name == "valkey":
                    client.config_set("set-max-listpack-entries", limit)
                for size in ("-2", "-5", "3"):
                    client.config_set("list-max-listpack-size", size)
                    payloads += lists(client)
                payloads += everything_else(client)
            if name == "valkey":
                payloads += fields_that_expire(client)
    return payloads


def dumped(client: redis.Redis) -> list[bytes]:
    payloads = [client.dump(key) for key in sorted(client.keys("*"))]
    client.flushall()
    return payloads


def lists(client: redis.Redis) -> list[bytes]:
    client.rpush("few", "a", "1", "-5000", "x" * 70)
    client.rpush("same", *["same"] * 40)
    client.rpush("numbers", *range(-20, 20), 70_000, 2**40)
    client.rpush("large", "a", "b" * 9000, "c")
    return dumped(client)


def everything_else(client: redis.Redis) -> list[bytes]:
    for key, text in {
        "empty": "",
        "short": "a",
        "int8": "12",
        "int16": "-3000",
        "int32": "70000",
        "int64": 2**40,
    }.items():
        client.set(key, text)
    client.set("compressed", "hello world " * 30)
    client.set("raw", bytes(range(256)))
    client.sadd("numbers", *range(20), 70_000, -(2**40))
    client.sadd("small numbers", 1, 2, 3)
    client.sadd("words", "a", "b", "1", "x" * 30)
    client.hset("hash", mapping={"a": "b", "1": "2", "": "", "long": "x" * 50})
    client.zadd("scores", {"a": 1, "b": -2.5, "1": 1e300, "": float("inf"), "x" * 50: float("-inf"), "-0": -0.0})
    client.zadd("same score", dict.fromkeys(map(str, range(150)), 7))
    client.zadd("fractions", {f"member {i}": i / 7 for i in range(-30, 30)})
    return dumped(client)


def fields_that_expire(client: redis.Redis) -> list[bytes]:
    client.hset("hash", mapping={"a": "b", "1": "2", "c": "x" * 50})
    client.execute_command("HPEXPIREAT", "hash", 9_999_999_999_999, "FIELDS", 2, "a", "c")
    return dumped(client)
