"""Writes keys of every type, or looks whether each of them is there as it was written, with plain redis-py.

    python keeping.py write|check HOST PORT BATCH      (the password in the environment, PASSWORD)

What belongs to a batch (a word) follows from its name, so `check` needs to be told nothing else. Prints JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from connecting import connect
from redis.cluster import RedisCluster

KEYS = 600
"""Of each type."""
FAR = 4_000_000_000
"""When the keys that expire do, in seconds since 1970."""


def entries(batch: str) -> Iterator[tuple[str, str, Any]]:
    """Type, key and content."""
    for number in range(KEYS):
        words = [f"{batch} {number} {part}" for part in range(1 + number % 5)]
        yield "string", f"{batch}:string:{number}", words[0] * (1 + number % 50)
        yield "expiring", f"{batch}:expiring:{number}", words[0]
        yield "hash", f"{batch}:hash:{number}", {word: str(number) for word in words}
        yield "list", f"{batch}:list:{number}", words
        yield "set", f"{batch}:set:{number}", set(words)
        yield "zset", f"{batch}:zset:{number}", dict.fromkeys(words, number / 4)


def write(client: RedisCluster, kind: str, key: str, content: Any) -> None:
    if kind == "string":
        client.set(key, content)
    elif kind == "expiring":
        client.set(key, content, exat=FAR)
    elif kind == "hash":
        client.hset(key, mapping=content)
    elif kind == "list":
        client.rpush(key, *content)
    elif kind == "set":
        client.sadd(key, *content)
    else:
        client.zadd(key, content)


def read(client: RedisCluster, kind: str, key: str) -> Any:
    if kind == "string":
        return client.get(key)
    if kind == "expiring":
        return client.get(key) if client.expiretime(key) == FAR else "another expiry"
    if kind == "hash":
        return client.hgetall(key)
    if kind == "list":
        return client.lrange(key, 0, -1)
    if kind == "set":
        return set(client.smembers(key))
    return dict(client.zrange(key, 0, -1, withscores=True))


def main(what: str, host: str, port: int, batch: str) -> None:
    client = connect(host, port, decode_responses=True)
    different = []
    count = 0
    for kind, key, content in entries(batch):
        count += 1
        if what == "write":
            write(client, kind, key, content)
        elif read(client, kind, key) != content:
            different.append(key)
    print(json.dumps({"keys": count, "different": len(different), "first": different[:5]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
