"""Snapshots and loading them: `python bench/persistence.py [--keys 2000000] [--quick] [--write]`.

Each server is filled with keys of 16 bytes and values of 64 hexadecimal digits, which do not compress. Then, in rounds:

- a snapshot while nothing else happens: BGSAVE until INFO says that it is over; its child's CPU time; the file's size;
- the same under a steady load of SETs by schedule (`open_loop.py`), begun with the load: how long the SETs took;
- once more, with the memory of the server and its child watched: their PSS, in which what both share counts once;
- a start with that file: from the start of the process until it answers; its CPU time.

Servers take turns. The client that sends needs a processor of its own, as does the child that writes.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import multiprocessing
import os
import pathlib
import random
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

from compare import BenchError, Server, cpu_seconds, fill, median_of, paired, publish, running, turned
from open_loop import Stream, play, quantile
from rss import ask, figure

from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command

BUNDLE = 5
"""SETs of one request, so that a client in Python can send 50,000 a second; its latency is that of all five."""
CONNECTIONS = 10
POLL_SECONDS = 0.01
SAMPLE_SECONDS = 0.1
DEADLINE = 600.0
BATCH = 1_000
"""Keys of one MSET."""
DISTINCT = 100_000
"""Requests that are made beforehand; then they begin again."""
FOLLOW = 100
"""Requests between two looks at whether the snapshot is over."""

Found = dict[tuple[str, str], list[float]]
"""Measure and server -> a figure of each round."""
WALL, FORK, CPU, SIZE = "snapshot, s", "its fork, ms", "its child, CPU s", "file, bytes per key"
P99, LONGEST, LAG = "SETs meanwhile, p99 ms", "longest, ms", "client's lag at p99, ms"
BUSY, PEAK, GROWTH = "snapshot under load, s", "peak memory, MB", "of it beyond before, MB"
LOAD, LOAD_CPU = "load, s", "load, CPU s"
BOUNDS = {WALL: "1.5", SIZE: "1.02", P99: "1.5", PEAK: "1.3", LOAD: "1.5"}
DIGITS = {SIZE: 2, PEAK: 0, GROWTH: 0}


def pss(pid: int) -> int:
    """Bytes of a process and its children; what they share counts once."""
    total = 0
    for each in (pid, *children(pid)):
        with contextlib.suppress(OSError):
            text = pathlib.Path(f"/proc/{each}/smaps_rollup").read_text()
            total += 1024 * int(text.partition("\nPss:")[2].split()[0])
    return total


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def children_seconds(pid: int) -> float:
    """CPU time of the children that have ended, in steps of 10 ms."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def snapshot(server: Server, sampled: bool = False) -> tuple[float, int]:
    """Take one; the seconds that it took, and the most memory meanwhile, if that was looked at."""
    began = time.perf_counter()
    if isinstance(answer := ask(server.port, b"BGSAVE"), ReplyError):
        raise BenchError(f"{server.name}: {answer.text}")
    peak = 0
    while figure(server.port, b"persistence", "rdb_bgsave_in_progress"):
        if sampled:
            peak = max(peak, pss(server.pid))
        if time.perf_counter() - began > DEADLINE:
            raise BenchError(f"{server.name} does not end its snapshot")
        time.sleep(SAMPLE_SECONDS if sampled else POLL_SECONDS)
    return time.perf_counter() - began, peak


def snapshot_elsewhere(server: Server, sampled: bool, result: Connection) -> None:
    result.send(snapshot(server, sampled))


def under_load(server: Server, keys: int, rate: int, sampled: bool) -> tuple[float, int, Stream]:
    """A snapshot by a process of its own, while this one sends SETs until it is over."""
    result, other = multiprocessing.Pipe(duplex=False)
    made = bundles(keys)
    stream = Stream(server.port, CONNECTIONS, rate / BUNDLE, until(result, made), BUNDLE * len("+OK\r\n"))
    process = multiprocessing.Process(target=snapshot_elsewhere, args=(server, sampled, other))
    process.start()
    play([stream])
    if not result.poll(1):
        raise BenchError(f"{server.name}: the snapshot failed")
    took, peak = result.recv()
    process.join()
    return took, peak, stream


def value(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).hexdigest().encode()


def batches(keys: int) -> Iterator[list[bytes]]:
    for start in range(0, keys, BATCH):
        numbers = range(start, min(start + BATCH, keys))
        yield [b"MSET", *[word for number in numbers for word in (b"key:%012d" % number, value(number))]]


def bundles(keys: int) -> list[bytes]:
    """SETs of random keys that are there."""
    numbers = random.Random(1).choices(range(keys), k=BUNDLE * DISTINCT)
    made = [encode_command([b"SET", b"key:%012d" % number, value(number + 1)]) for number in numbers]
    return [b"".join(made[start : start + BUNDLE]) for start in range(0, len(made), BUNDLE)]


def until(over: Connection, made: list[bytes]) -> Iterator[bytes]:
    """Again and again, until the snapshot is over."""
    for number, request in enumerate(itertools.cycle(made)):
        if number % FOLLOW == 0 and over.poll():
            return
        yield request


def measure(server: Server, folder: pathlib.Path, keys: int, rate: int) -> Iterator[tuple[str, float]]:
    before = children_seconds(server.pid)
    took, _ = snapshot(server)
    yield WALL, took
    yield FORK, figure(server.port, b"stats", "latest_fork_usec") / 1000
    yield CPU, children_seconds(server.pid) - before
    yield SIZE, (folder / "dump.rdb").stat().st_size / keys
    took, _, stream = under_load(server, keys, rate, sampled=False)
    yield BUSY, took
    yield P99, 1000 * quantile(stream.latencies, 0.99)
    yield LONGEST, 1000 * max(stream.latencies)
    yield LAG, 1000 * quantile(stream.lags, 0.99)
    held = pss(server.pid)
    _, peak, _ = under_load(server, keys, rate, sampled=True)
    yield PEAK, peak / 1e6
    yield GROWTH, (peak - held) / 1e6


def load(name: str, command: list[str], folder: pathlib.Path, keys: int) -> Iterator[tuple[str, float]]:
    began = time.perf_counter()
    with running(name, command, "--dir", str(folder), empty=True) as server:
        while isinstance(answer := ask(server.port, b"DBSIZE"), ReplyError):
            if time.perf_counter() - began > DEADLINE:
                raise BenchError(f"{name}: {answer.text}")
            time.sleep(POLL_SECONDS)
        yield LOAD, time.perf_counter() - began
        yield LOAD_CPU, cpu_seconds(server.pid)
        if answer != keys:
            raise BenchError(f"{name} loaded {answer} keys, not {keys}")


def run(found: dict[str, list[str]], rounds: int, keys: int, rate: int) -> Found:
    results: Found = {}

    def note(name: str, figures: Iterator[tuple[str, float]]) -> None:
        for what, number in figures:
            results.setdefault((what, name), []).append(number)
            print(f"{name}: {what} {number:.3f}", file=sys.stderr)

    with contextlib.ExitStack() as stack:
        folders = {name: pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory())) for name in found}
        with contextlib.ExitStack() as alive:
            servers = []
            for name, command in found.items():
                server = alive.enter_context(running(name, command, "--dir", str(folders[name]), empty=True))
                fill(socket.create_connection(("127.0.0.1", server.port)), batches(keys))
                servers.append(server)
            for number in range(rounds):
                for server in turned(servers, number):
                    note(server.name, measure(server, folders[server.name], keys, rate))
        for number in range(rounds):
            for name in [*found] if number % 2 == 0 else [*reversed(found)]:
                note(name, load(name, found[name], folders[name], keys))
    return results


def table(results: Found, found: dict[str, list[str]]) -> str:
    lines = [f"| | {' | '.join(found)} | × Redis | bound |", "|---|" + "---|" * (len(found) + 2)]
    for what in dict.fromkeys(what for what, _ in results):
        medians = {name: statistics.median(results[what, name]) for name in found}
        cells = [median_of(results[what, name], DIGITS.get(what, 2)) for name in found]
        times = f"{medians['Ringkeeper'] / medians['Redis']:.2f}" if medians["Redis"] else ""
        lines.append(f"| {what} | {' | '.join(cells)} | {times} | {BOUNDS.get(what, '')} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Snapshots, and loading them.")
    parser.add_argument("--keys", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=50_000, help="SETs a second during a snapshot")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of a tenth of the keys")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    rounds, keys = (1, options.keys // 10) if options.quick else (options.rounds, options.keys)

    def measured(found: dict[str, list[str]]) -> str:
        pair, head = paired(found)
        text = table(run(pair, rounds, keys, options.rate), pair)
        return f"{head}; {keys:,} keys, {options.rate:,} SETs/s; median of {rounds} rounds (least–most).\n\n{text}"

    return publish("persistence.py", options.write, measured)


if __name__ == "__main__":
    sys.exit(main())
