"""Servers that follow each other: what to ask them, what to fill them with, and a load on them."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from server_process import AT_ONCE, DEADLINE, Server

DEBUGGING = ("--enable-debug-command", "yes")


def until(condition: Callable[[], Any], what: str = "") -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, what or "the condition does not come true"
        time.sleep(0.02)


def client(port: int, **options: Any) -> redis.Redis:
    """One that is patient: in the pure form, on a busy machine, a long pipeline takes a while."""
    return redis.Redis(port=port, **{"retry": AT_ONCE, "socket_timeout": 60} | options)


def digest(port: int) -> bytes:
    """Of the data of all databases."""
    return bytes(client(port).execute_command("DEBUG", "DIGEST"))


def role(port: int) -> list[Any]:
    return list(client(port).execute_command("ROLE"))


def follow(port: int, master: int) -> None:
    client(port).execute_command("REPLICAOF", "127.0.0.1", master)
    until(lambda: client(port).info("replication")["master_link_status"] == "up", "the replica does not come up")


def until_equal(master: int, *replicas: int) -> None:
    for port in replicas:
        until(lambda port=port: digest(port) == digest(master), f"{port} does not become equal to {master}")


def fill(port: int) -> None:
    """A key of every type, in two databases, with and without expiry."""
    for number in (0, 3):
        pipe = client(port, db=number).pipeline(transaction=False)
        for index in range(300):
            pipe.set(f"string:{index}", b"x" * index)
            pipe.set(f"volatile:{index}", index, ex=1000 + index)
            pipe.rpush("list", *range(index, index + 3))
            pipe.sadd("set", f"member {index}")
            pipe.zadd("zset", {f"member {index}": index / 4})
            pipe.hset("hash", f"field {index}", index)
        pipe.execute()


class Load:
    """Writes of every kind, until it is told to stop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.count = 0
        self.stopping = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        connection = client(self.port)
        other = client(self.port, db=2)
        while not self.stopping:
            index = self.count % 500
            pipe = connection.pipeline(transaction=self.count % 3 == 0)
            pipe.incr("counter")
            pipe.set(f"load:{index}", self.count, px=100_000)
            pipe.set(f"soon:{index}", self.count, px=30)
            pipe.lpush("queue", self.count)
            pipe.rpop("queue")
            pipe.sadd("crowd", index)
            pipe.spop("crowd")
            pipe.incrbyfloat("sum", 0.1)
            pipe.execute()
            other.zincrby("scores", 1.5, index)
            self.count += 1
            if self.count % 20 == 0 and role(self.port)[2]:
                connection.wait(1, 1000)  # at the pace of the replicas, however slow the machine is

    def stop(self) -> None:
        self.stopping = True
        self.thread.join()


@contextlib.contextmanager
def load(port: int) -> Iterator[Load]:
    running = Load(port)
    try:
        yield running
    finally:
        running.stop()


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[None]:
    """It hangs meanwhile."""
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
