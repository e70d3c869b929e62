"""A node full to its limit, for half an hour: `python bench/soak.py [--minutes 30] [--quick]`.

Connections in a process of their own write values of 50 B to 1 MB (all orders of magnitude alike), read, append to,
expire and delete them, and keep collections, on more keys than fit into `maxmemory`. Once a second the node's resident
memory is looked at. At the end three things must hold, or the exit code is 1:

- resident memory never was above 1.25 times `maxmemory`,
- the loop's delay was at most 10 ms at its 99.9th percentile (the histogram of `/metrics`, the filling left out),
- resident memory did not grow over the last half: the median of its second part is at most 2 % above that of its first.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from compare import BenchError, cpu_seconds, free_port, node_command, node_environment

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command

LEAST, MOST = 50, 1_000_000
"""Bytes of a value."""
MEAN = 100_000
"""About what `size` gives on average."""
RSS_BOUND = 1.25
DELAY_BOUND = 0.01
GROWTH_BOUND = 1.02
NOISE = random.Random(0).randbytes(2 * MOST)
START_SECONDS = 60
PATIENCE_SECONDS = 30
Words = list[bytes]


def size(randomness: random.Random) -> int:
    return int(LEAST * (MOST / LEAST) ** randomness.random())


def value(randomness: random.Random) -> bytes:
    start = randomness.randrange(MOST)
    return NOISE[start : start + size(randomness)]


def command(randomness: random.Random, keys: int) -> Words:
    """One of a mix in which about half reads."""
    key = b"key:%012d" % randomness.randrange(keys)
    number = randomness.randrange(keys // 100 + 1)
    choice = randomness.random()
    if choice < 0.45:
        return [b"GET", key]
    if choice < 0.65:
        return [b"SET", key, value(randomness)]
    if choice < 0.80:
        return [b"SET", key, value(randomness), b"PX", b"%d" % randomness.randrange(1_000, 120_000)]
    if choice < 0.84:
        return [b"DEL", key]
    if choice < 0.87:
        return [b"EXPIRE", key, b"%d" % randomness.randrange(1, 120)]
    if choice < 0.89:
        return [b"APPEND", key, value(randomness)[:1000]]
    if choice < 0.94:
        return [b"HSET", b"hash:%d" % number, b"%d" % randomness.randrange(500), value(randomness)[:200]]
    if choice < 0.97:
        return [b"ZADD", b"zset:%d" % number, b"%d" % randomness.randrange(10**6), b"%d" % randomness.randrange(500)]
    if choice < 0.985:
        return [b"LPUSH", b"list:%d" % number, value(randomness)[:500]]
    return [b"LTRIM", b"list:%d" % number, b"0", b"99"]


async def converse(port: int, keys: int, seed: int, until: float) -> int:
    """One connection: batches of one to sixteen commands; how many there were."""
    randomness = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    replies = ReplyReader()
    done = 0
    while time.monotonic() < until:
        batch = [command(randomness, keys) for _ in range(randomness.randint(1, 16))]
        writer.writelines([encode_command(words) for words in batch])
        await writer.drain()
        for words in batch:
            while (reply := replies.next()) is NOT_READY:
                data = await reader.read(1 << 18)
                if not data:
                    raise BenchError("the server closed a connection")
                replies.feed(data)
            if isinstance(reply, ReplyError) and not str(reply).startswith("OOM"):
                raise BenchError(f"{words[0].decode()}: {reply}")
        done += len(batch)
    writer.close()
    return done


def drive(port: int, keys: int, connections: int, seconds: float) -> None:
    """In a process of its own."""

    async def everyone() -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*[converse(port, keys, number, until) for number in range(connections)])

    asyncio.run(everyone())


@dataclass(frozen=True, slots=True)
class Node:
    pid: int
    port: int

    def resident(self) -> int:
        return int(pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def waited(self) -> float:
        """Seconds for which its main thread could have run but had no processor: what the machine added to delays."""
        return int(pathlib.Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9

    def metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port + 10_000}/metrics", timeout=30) as reply:
            return str(reply.read().decode())

    def delays(self) -> list[tuple[float, float]]:
        """Bound, and how many moments were within it, so far."""
        found = re.findall(
            r'^ringkeeper_loop_delay_seconds_bucket\{le="([^"]+)"\} (\S+)$', self.metrics(), re.MULTILINE
        )
        return [(float(bound), float(count)) for bound, count in found]


@contextlib.contextmanager
def serving(maxmemory: int, directives: Sequence[str]) -> Iterator[Node]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        log = pathlib.Path(folder, "log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(*node_command(), "--port", str(port), "--admin-port", str(port + 10_000), "--bind", "127.0.0.1"),
                    *("--save", "", "--dir", folder, "--maxmemory", str(maxmemory), *directives),
                ],
                env=node_environment(),
                stdout=output,
                stderr=output,
            )
        try:
            deadline = time.monotonic() + START_SECONDS
            while b"Ready to accept connections" not in log.read_bytes():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise BenchError(f"the node did not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield Node(process.pid, port)
            if process.poll() is not None:
                raise BenchError(f"the node died:\n{log.read_text(errors='replace')[-2000:]}")
        finally:
            process.terminate()
            process.wait()


def quantile(before: list[tuple[float, float]], after: list[tuple[float, float]], share: float) -> float:
    """Of what came between two looks at a histogram, in seconds: linear within a bucket; infinite beyond the last."""
    counts = [(bound, late - early) for (bound, late), (_, early) in zip(after, before, strict=True)]
    wanted = counts[-1][1] * share
    low, below = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            return bound if bound == float("inf") else low + (bound - low) * (wanted - below) / max(count - below, 1)
        low, below = bound, count
    return low


def gauge(metrics: str, name: str) -> float:
    found = re.search(rf"^ringkeeper_{name} (\S+)$", metrics, re.MULTILINE)
    if found is None:
        raise BenchError(f"/metrics does not tell {name}")
    return float(found[1])


@dataclass(slots=True)
class Course:
    """What was seen, once a second."""

    maxmemory: int
    resident: list[int] = field(default_factory=list)
    delay: float = 0.0
    worst: float = 0.0
    waited: float = 0.0

    def verdicts(self) -> Iterator[tuple[bool, str]]:
        most = max(self.resident) / self.maxmemory
        yield most <= RSS_BOUND, f"resident memory: at most {most:.3f} × maxmemory (bound {RSS_BOUND})"
        yield (
            self.delay <= DELAY_BOUND,
            (
                f"loop delay: p99.9 {self.delay * 1000:.1f} ms (bound {DELAY_BOUND * 1000:.0f}), "
                f"longest {self.worst * 1000:.1f} ms; {self.waited:.1f} s of the run it waited for a processor"
            ),
        )
        last = self.resident[len(self.resident) // 2 :]
        middle = len(last) // 2
        growth = statistics.median(last[middle:]) / statistics.median(last[:middle])
        yield growth <= GROWTH_BOUND, f"growth over the last half: {growth:.4f} (bound {GROWTH_BOUND})"


def watch(node: Node, seconds: float, maxmemory: int) -> Course:
    """The delays of the first fifth, in which it fills, do not count."""
    course = Course(maxmemory)
    began = time.monotonic()
    filled: list[tuple[float, float]] = []
    while (elapsed := time.monotonic() - began) < seconds:
        course.resident.append(node.resident())
        if not filled and elapsed > seconds / 5:
            filled = node.delays()
        if len(course.resident) % 10 == 1:
            used = gauge(node.metrics(), "memory_used_bytes")
            print(
                f"{elapsed:6.0f} s: resident {course.resident[-1] / 2**20:7.1f} MiB, used {used / 2**20:7.1f} MiB, "
                f"CPU {cpu_seconds(node.pid):.0f} s",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(1)
    course.delay = quantile(filled, node.delays(), 0.999)
    course.waited = node.waited()
    course.worst = gauge(node.metrics(), "loop_delay_max_seconds")
    return course


def soak(seconds: float, maxmemory: int, connections: int, directives: Sequence[str]) -> Course:
    keys = 2 * maxmemory // MEAN
    with serving(maxmemory, directives) as node:
        client = multiprocessing.Process(target=drive, args=(node.port, keys, connections, seconds + 1))
        client.start()
        try:
            course = watch(node, seconds, maxmemory)
        finally:
            client.join(PATIENCE_SECONDS)
            client.kill()
        if client.exitcode:
            raise BenchError("the client failed; its complaint is above")
        return course


def main() -> int:
    parser = argparse.ArgumentParser(description="Keep a node full for long, and look at its memory and its loop.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--maxmemory", type=int, default=1 << 30, help="bytes")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="one minute, 128 MiB")
    parser.add_argument("directives", nargs="*", help="for the node, behind --: -- --maxmemory-policy allkeys-lfu")
    options = parser.parse_args()
    seconds, maxmemory = (60.0, 128 << 20) if options.quick else (options.minutes * 60, options.maxmemory)
    try:
        course = soak(seconds, maxmemory, options.connections, options.directives)
    except BenchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    verdicts = list(course.verdicts())
    for holds, text in verdicts:
        print(f"{'ok    ' if holds else 'BROKEN'} {text}")
    return 0 if all(holds for holds, _ in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
