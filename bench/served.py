"""Miss ratios of servers, over a socket: a request of a trace is a GET, and a SET if that missed, one after the other.

A cache is to hold so many objects, but a server's limit is in bytes, of which it also needs some for itself. So the
limit is corrected every few requests, by as much as the number of keys (DBSIZE) is beside the capacity.

Redis's clock for LRU counts seconds, ours 64 ms, and LFU decays by the minute: a trace that is replayed within seconds
would all be of one moment. So time runs 500 times as fast for the servers (`fast_clock.c`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from compare import BenchError, commands, running
from rss import ask, figure

from ringkeeper.resp.writer import encode_command

SPEED = 500
VALUE_BYTES = 1_000
CALIBRATED_WITH = 2_000
"""Keys."""
SLACK = 8
"""Objects by which a limit is raised that leaves no room for any."""
TRIES = 100
AT_LEAST = 64
MOST_UNCORRECTED = 1_000
"""Requests between two looks at the number of keys, at most."""
MISSING = b"$-1\r\n"
CASES = (
    ("Redis", "allkeys-lru"),
    ("Ringkeeper", "allkeys-lru"),
    ("Redis", "allkeys-lfu"),
    ("Ringkeeper", "allkeys-lfu"),
    ("Ringkeeper", "allkeys-s3-fifo"),
    ("Ringkeeper", "allkeys-w-tinylfu"),
)
"""In the order of the table's columns."""


@dataclass(frozen=True, slots=True)
class Served:
    misses: float
    """Of all requests."""
    held: float
    """Keys that the server held on average once it was full, of its capacity."""


class Replay:
    """One trace through one server that holds nothing yet."""

    def __init__(self, port: int, capacity: int) -> None:
        self.port = port
        self.capacity = capacity
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.object_bytes = 0.0
        self.limit = 0.0
        self.full = False
        self.sizes: list[int] = []

    def calibrate(self) -> None:
        """Find out what an object takes, and guess the limit from that."""
        before = figure(self.port, b"memory", "used_memory")
        for number in range(CALIBRATED_WITH):
            self.put(b"calibrating:%04d" % number)
        after = figure(self.port, b"memory", "used_memory")
        ask(self.port, b"FLUSHALL")
        self.object_bytes = (after - before) / CALIBRATED_WITH
        self.move_limit(before + self.capacity * self.object_bytes)

    def move_limit(self, limit: float) -> None:
        self.limit = limit
        answer = ask(self.port, b"CONFIG", b"SET", b"maxmemory", b"%d" % limit)
        if isinstance(answer, Exception):
            raise BenchError(str(answer))

    def put(self, key: bytes) -> None:
        command = encode_command([b"SET", key, bytes(VALUE_BYTES)])
        self.socket.sendall(command)
        for _ in range(TRIES):
            if (answer := self.socket.recv(1000)) == b"+OK\r\n":
                return
            if not answer.startswith(b"-OOM"):
                break
            self.move_limit(self.limit + SLACK * self.object_bytes)  # All of it went to the server itself.
            self.socket.sendall(command)
        raise BenchError(f"SET: {answer!r}")

    def correct(self) -> None:
        self.socket.sendall(encode_command([b"DBSIZE"]))
        keys = int(self.socket.recv(100)[1:])
        self.full = self.full or keys >= self.capacity or figure(self.port, b"stats", "evicted_keys") > 0
        if self.full:
            self.sizes.append(keys)
            if keys != self.capacity:
                self.move_limit(self.limit + (self.capacity - keys) * self.object_bytes)

    def run(self, trace: Sequence[int]) -> Served:
        every = min(max(self.capacity // 4, AT_LEAST), MOST_UNCORRECTED)
        asked = {number: encode_command([b"GET", b"key:%012d" % number]) for number in set(trace)}
        found = len(f"${VALUE_BYTES}\r\n\r\n") + VALUE_BYTES
        send, receive = self.socket.sendall, self.socket.recv
        misses = 0
        for place, number in enumerate(trace):
            send(asked[number])
            reply = receive(4096)
            if reply == MISSING:
                misses += 1
                self.put(b"key:%012d" % number)
            else:
                left = found - len(reply)
                while left:
                    left -= len(receive(left))
            if place % every == 0:
                self.correct()
        held = self.sizes[len(self.sizes) // 10 :]
        return Served(misses / len(trace), sum(held) / max(len(held), 1) / self.capacity)


def fast_clock(folder: str) -> pathlib.Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise BenchError("a C compiler is needed: apt-get install gcc")
    library = pathlib.Path(folder, "fast_clock.so")
    source = pathlib.Path(__file__).with_name("fast_clock.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library


@contextlib.contextmanager
def preloaded(library: pathlib.Path) -> Iterator[None]:
    """For servers that are started meanwhile time runs fast."""
    os.environ.update(LD_PRELOAD=str(library), CLOCK_SPEED=str(SPEED))
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"], os.environ["CLOCK_SPEED"]


def replay(port: int, trace: Sequence[int], capacity: int) -> Served:
    """In a process of its own."""
    player = Replay(port, capacity)
    player.calibrate()
    return player.run(trace)


def miss_ratios(trace: Sequence[int], capacity: int) -> list[Served]:
    """Of each of `CASES`, all at once."""
    found = commands()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        stack.enter_context(preloaded(fast_clock(folder)))
        servers = []
        for name, policy in CASES:
            directives = ["--maxmemory-policy", policy]
            servers.append(stack.enter_context(running(name, found[name], *directives, empty=True)))
        pool = stack.enter_context(ProcessPoolExecutor(len(CASES), multiprocessing.get_context("fork")))
        waiting = [pool.submit(replay, server.port, trace, capacity) for server in servers]
        return [each.result() for each in waiting]
