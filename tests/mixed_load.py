"""Clients that use all types at once and know what each of their keys must hold: redis-py's cluster client in threads,
ioredis' in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis
from laptop import eventually
from npm_client import install

KEYS = 61
"""Of each type and client, written to in turns."""
QUEUES = 7
POP_SECONDS = 30


@dataclass
class Mixed:
    """Writes and reads keys of its own, of every type, by every way there is; one thread."""

    port: int
    prefix: str
    rounds: int = 0
    errors: list[str] = field(default_factory=list)
    waits: list[tuple[float, float]] = field(default_factory=list)
    """When a command was sent, seconds of the monotonic clock, and how long the answer took."""
    written: dict[str, int] = field(default_factory=dict)
    """How often each key was written to; what it holds follows from that."""

    def work(self, stop: threading.Event) -> None:
        client = redis.RedisCluster(host="127.0.0.1", port=self.port, decode_responses=True)
        steps = (self.text, self.hash, self.list, self.set, self.zset, self.expiring, self.pipeline, self.transaction)
        while not stop.is_set():
            for step in steps:
                number = self.rounds % KEYS
                began = time.monotonic()
                try:
                    step(client, number)
                except Exception as error:
                    self.errors.append(f"{step.__name__} {number}: {error!r}")
                self.waits.append((began, time.monotonic() - began))
            self.rounds += 1
        client.close()

    def next(self, key: str) -> int:
        self.written[key] = self.written.get(key, 0) + 1
        return self.written[key]

    def must(self, key: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.errors.append(f"{key}: {found!r}, not {wanted!r}")

    def text(self, client: redis.RedisCluster, number: int) -> None:
        key = f"{self.prefix}:text:{number}"
        count = self.next(key)
        self.must(key, client.incr(key), count)
        self.must(key, client.get(key), str(count))

    def hash(self, client: redis.RedisCluster, number: int) -> None:
        key = f"{self.prefix}:hash:{number}"
        count = self.next(key)
        self.must(key, client.hset(key, f"field {count}", count), 1)
        self.must(key, client.hmget(key, f"field {count}", "field 1", "none"), [str(count), "1", None])

    def list(self, client: redis.RedisCluster, number: int) -> None:
        key = f"{self.prefix}:list:{number}"
        count = self.next(key)
        self.must(key, client.rpush(key, count), count)
        self.must(key, client.lrange(key, -1, -1), [str(count)])

    def set(self, client: redis.RedisCluster, number: int) -> None:
        key = f"{self.prefix}:set:{number}"
        count = self.next(key)
        self.must(key, client.sadd(key, count), 1)
        self.must(key, client.scard(key), count)

    def zset(self, client: redis.RedisCluster, number: int) -> None:
        key = f"{self.prefix}:zset:{number}"
        count = self.next(key)
        self.must(key, client.zadd(key, {f"member {count}": count / 4}), 1)
        self.must(key, client.zrange(key, -1, -1, withscores=True), [(f"member {count}", count / 4)])

    def expiring(self, client: redis.RedisCluster, number: int) -> None:
        key = f"{self.prefix}:expiring:{number}"
        client.set(key, count := self.next(key), ex=3600)
        self.must(key, client.get(key), str(count))

    def pipeline(self, client: redis.RedisCluster, number: int) -> None:
        """Keys of many slots, so of many nodes."""
        keys = [f"{self.prefix}:pipeline:{number}:{part}" for part in range(6)]
        counts = [self.next(key) for key in keys]
        pipe = client.pipeline()
        for key in keys:
            pipe.incr(key)
        self.must(keys[0], pipe.execute(), counts)

    def transaction(self, client: redis.RedisCluster, number: int) -> None:
        keys = [f"{self.prefix}:{{transaction:{number}}}:{part}" for part in "ab"]
        counts = [self.next(key) for key in keys]
        pipe = client.pipeline(transaction=True)
        for key in keys:
            pipe.incr(key)
        pipe.get(keys[0])
        self.must(keys[0], pipe.execute(), [*counts, str(counts[0])])

    def different(self, client: redis.RedisCluster) -> list[str]:
        """Keys that do not hold what they must."""
        kinds: dict[str, Callable[[str, int], bool]] = {
            "hash": lambda key, count: client.hgetall(key) == {f"field {n}": str(n) for n in range(1, count + 1)},
            "list": lambda key, count: client.lrange(key, 0, -1) == [str(n) for n in range(1, count + 1)],
            "set": lambda key, count: set(client.smembers(key)) == {str(n) for n in range(1, count + 1)},
            "zset": lambda key, count: (
                client.zrange(key, 0, -1, withscores=True) == [(f"member {n}", n / 4) for n in range(1, count + 1)]
            ),
            "expiring": lambda key, count: client.get(key) == str(count) and client.ttl(key) > 0,
        }
        found = []
        for key, count in self.written.items():
            kind = key.split(":")[1]
            if not kinds.get(kind, lambda key, count: client.get(key) == str(count))(key, count):
                found.append(key)
        return found


@dataclass
class Queue:
    """What is pushed in order on one end comes out in order on the other, where someone always waits."""

    port: int
    prefix: str
    pushed: int = 0
    popped: int = 0
    total: int | None = None
    """How many are pushed in all, once that is known: then the last one is yet to be pushed."""
    errors: list[str] = field(default_factory=list)

    def push(self, stop: threading.Event) -> None:
        client = redis.RedisCluster(host="127.0.0.1", port=self.port, decode_responses=True)
        while self.total is None:
            if stop.is_set():
                self.total = self.pushed + 1
            try:
                client.rpush(self.key(self.pushed), self.pushed)
                self.pushed += 1
            except (redis.RedisError, OSError) as error:
                self.errors.append(f"push {self.pushed}: {error!r}")
            while self.popped < self.pushed - QUEUES and not stop.is_set():
                stop.wait(0.001)  # the other has to block most of the time, and not to fall behind
        client.close()

    def pop(self, stop: threading.Event) -> None:
        client = redis.RedisCluster(
            host="127.0.0.1", port=self.port, decode_responses=True, socket_timeout=2 * POP_SECONDS
        )
        while self.total is None or self.popped < self.total:
            key = self.key(self.popped)
            try:
                found = client.blpop([key], timeout=POP_SECONDS)
            except (redis.RedisError, OSError) as error:
                self.errors.append(f"pop {self.popped}: {error!r}")
                continue
            if found is None and stop.is_set():
                break
            if found != (key, str(self.popped)) and found != [key, str(self.popped)]:
                self.errors.append(f"{key}: {found!r}, not {self.popped}")
            self.popped += 1
        client.close()

    def key(self, number: int) -> str:
        return f"{self.prefix}:queue:{number % QUEUES}"


@dataclass
class Load:
    mixed: list[Mixed]
    queue: Queue
    ioredis: subprocess.Popen[str] | None
    told: dict[str, Any] = field(default_factory=dict)
    """What ioredis' client found at its end."""

    def errors(self) -> list[str]:
        """Of all clients, when the load has ended."""
        found = [error for client in (*self.mixed, self.queue) for error in client.errors]
        return found + [f"ioredis: {error}" for error in self.told.get("errors", ())]

    def operations(self) -> tuple[int, ...]:
        return (*(mixed.rounds for mixed in self.mixed), self.queue.popped // 10)

    def goes_on(self, rounds: int = 5) -> None:
        """Wait until every client has done some more."""
        before = self.operations()
        eventually(
            lambda: all(now >= then + rounds for now, then in zip(self.operations(), before, strict=True)),
            "all clients go on",
        )

    def keys(self) -> int:
        return sum(len(mixed.written) for mixed in self.mixed) + int(self.told.get("keys", 0))


@contextlib.contextmanager
def mixed_load(port: int, npm: Path | None, clients: int = 2) -> Iterator[Load]:
    """Until the end of the block; `npm` is a folder for ioredis' client, which is left out without one."""
    stop = threading.Event()
    load = Load([Mixed(port, f"mixed{n}") for n in range(clients)], Queue(port, "q"), start_ioredis(port, npm))
    works = [mixed.work for mixed in load.mixed] + [load.queue.push, load.queue.pop]
    threads = [threading.Thread(target=work, args=(stop,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        load.goes_on()
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        if load.ioredis is not None:
            out, err = load.ioredis.communicate("stop\n", timeout=60)
            load.told = json.loads(out) if out else {"errors": [err]}


def start_ioredis(port: int, folder: Path | None) -> subprocess.Popen[str] | None:
    if folder is None:
        return None
    pipe = subprocess.PIPE
    command = [*install(folder, "load.mjs"), str(port)]
    return subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
