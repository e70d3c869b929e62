"""Latency while the table grows: `python bench/growth.py [--quick] [--write]`.

Each server is filled with a million keys; then nine million more are inserted by schedule, in batches of 16 over 50
connections, at half of the rate that the slowest server takes from redis-benchmark at that depth, or at what the client
can keep up. Meanwhile another connection reads existing keys by schedule, 2,000 a second, and its latencies count
(`open_loop.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from compare import (
    CONNECTIONS,
    VALUE,
    VALUE_BYTES,
    Server,
    cpu_seconds,
    measure,
    publish,
    running,
    setting,
    turned,
)
from open_loop import Stream, play, quantile
from rss import fill_keys

from ringkeeper.resp.writer import encode_command

BATCH = 16
KEPT_UP = 250_000
"""Inserts per second that the client sends in time on a processor of its own."""
PROBES = 2_000
"""Reads per second."""
QUANTILES = (0.5, 0.99, 0.999)
CALIBRATING = 300_000
"""Operations of redis-benchmark for each run that finds the rate."""


def inserts(first: int, last: int) -> Iterator[bytes]:
    """Batches of SETs of new keys. `first` and `last` are multiples of the size of a batch."""
    template = encode_command([b"SET", b"key:%012d", VALUE.encode()]).replace(b"$9\r\n", b"$16\r\n") * BATCH
    for start in range(first, last, BATCH):
        yield template % tuple(range(start, start + BATCH))


def probes(keys: int) -> Iterator[bytes]:
    randomness = random.Random(1)
    while True:
        yield encode_command([b"GET", b"key:%012d" % randomness.randrange(keys)])


@dataclass(frozen=True, slots=True)
class Growth:
    latencies: list[float]
    """Of the reads, in seconds."""
    cpu_us: float
    """Server CPU per insert; the reads are in it."""
    seconds: float
    lag: float
    """By how much the client itself was late, p99, in seconds."""


def grow(server: Server, first: int, last: int, rate: float) -> Growth:
    fill_keys(server, first)
    inserting = Stream(server.port, CONNECTIONS, rate / BATCH, inserts(first, last), len("+OK\r\n") * BATCH)
    probing = Stream(server.port, 1, PROBES, probes(first), len(f"${VALUE_BYTES}\r\n\r\n") + VALUE_BYTES)
    before = cpu_seconds(server.pid)
    seconds = play([inserting, probing])
    cpu = cpu_seconds(server.pid) - before
    return Growth(probing.latencies, cpu / (last - first) * 1e6, seconds, quantile(inserting.lags, 0.99))


def half_rate(found: dict[str, list[str]], count: int) -> float:
    """Half of what the slowest server takes, if the client keeps up with that: SETs per second."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(name, command)) for name, command in found.items()]
        taken: dict[str, list[float]] = {}
        for number in range(3):
            for server in turned(servers, number):
                taken.setdefault(server.name, []).append(measure(server, "SET", BATCH, count).per_second)
    return min(*map(statistics.median, taken.values()), 2 * KEPT_UP) / 2


def row(name: str, growth: Growth, redis: float) -> str:
    figures = [quantile(growth.latencies, share) for share in QUANTILES]
    cells = [f"{figure * 1000:.2f}" for figure in figures]
    cells += [f"{figures[-1] / redis:.2f}", f"{max(growth.latencies) * 1000:.1f}"]
    cells += [f"{growth.cpu_us:.2f}", f"{growth.seconds:.0f}", f"{growth.lag * 1000:.2f}"]
    return f"| {name} | {' | '.join(cells)} |"


def run(found: dict[str, list[str]], first: int, last: int, rate: float, rounds: int) -> Sequence[str]:
    lines = [
        "| server | p50 ms | p99 ms | p99.9 ms | × Redis | longest ms | CPU µs/insert | seconds | client's lag, ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for _ in range(rounds):
        redis = 0.0
        for name, command in found.items():
            with running(name, command, empty=True) as server:
                growth = grow(server, first, last, rate)
            redis = redis or quantile(growth.latencies, 0.999)
            lines.append(row(name, growth, redis))
            print(lines[-1], file=sys.stderr)
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description="Latency of reads while keys are inserted.")
    parser.add_argument("--keys", type=int, nargs=2, default=(1_000_000, 10_000_000), metavar=("FROM", "TO"))
    parser.add_argument("--rate", type=float, help="inserts per second; half of what the slowest takes unless given")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="from 100,000 to 500,000 keys")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    first, last = (100_000, 500_000) if options.quick else options.keys
    first, last = first // BATCH * BATCH, last // BATCH * BATCH

    def measure(found: dict[str, list[str]]) -> str:
        rate = options.rate or half_rate(found, CALIBRATING // (10 if options.quick else 1))
        lines = run(found, first, last, rate, options.rounds)
        head = f"{setting(found)}; {first:,} keys grow to {last:,} at {rate:,.0f} inserts a second."
        return "\n".join([head, "", *lines])

    return publish("growth.py", options.write, measure)


if __name__ == "__main__":
    sys.exit(main())
