"""Latency at half the throughput: `python bench/latency.py [--quick] [--write]`.

First redis-benchmark finds out how many operations each server carries at a pipeline of 1 over 50 connections. Then
each is sent half of what the slowest of them carries, the same rate for all, by schedule (`open_loop.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
from collections.abc import Iterator, Sequence

from compare import (
    CONNECTIONS,
    KEYS,
    VALUE,
    VALUE_BYTES,
    Server,
    measure,
    median_of,
    publish,
    running,
    setting,
    turned,
)
from open_loop import Stream, play, quantile

from ringkeeper.resp.writer import encode_command

READ, WRITE = "GET", "SET"
REPLY_BYTES = {READ: len(f"${VALUE_BYTES}\r\n\r\n") + VALUE_BYTES, WRITE: len("+OK\r\n")}
QUANTILES = (0.5, 0.99, 0.999)
Found = dict[tuple[str, str], list[list[float]]]
"""Operation and server -> for each round its quantiles, its longest, and the client's own lag at p99: milliseconds."""


def requests(operation: str, count: int) -> Iterator[bytes]:
    """Of random keys."""
    values = [VALUE.encode()] if operation == WRITE else []
    made = [encode_command([operation.encode(), b"key:%012d" % number, *values]) for number in range(KEYS)]
    randomness = random.Random(1)
    return iter(randomness.choices(made, k=count))


def at_rate(server: Server, operation: str, rate: float, seconds: float) -> list[float]:
    stream = Stream(server.port, CONNECTIONS, rate, requests(operation, int(rate * seconds)), REPLY_BYTES[operation])
    play([stream])
    figures = [quantile(stream.latencies, share) for share in QUANTILES]
    return [figure * 1000 for figure in (*figures, max(stream.latencies), quantile(stream.lags, 0.99))]


def capacity(servers: Sequence[Server], operation: str, count: int, rounds: int = 3) -> float:
    """What the slowest of them carries at a pipeline of 1: operations per second, the median of three runs."""
    carried: dict[str, list[float]] = {}
    for number in range(rounds):
        for server in turned(servers, number):
            carried.setdefault(server.name, []).append(measure(server, operation, 1, count).per_second)
    return min(map(statistics.median, carried.values()))


def run(servers: Sequence[Server], rounds: int, seconds: float, count: int) -> tuple[dict[str, float], Found]:
    found: Found = {}
    rates = {operation: capacity(servers, operation, count) / 2 for operation in (READ, WRITE)}
    for operation, rate in rates.items():
        for number in range(rounds):
            for server in turned(servers, number):
                figures = at_rate(server, operation, rate, seconds)
                found.setdefault((operation, server.name), []).append(figures)
                told = ", ".join(f"{figure:.3f}" for figure in figures)
                print(f"{operation} at {rate:.0f}/s, round {number + 1}, {server.name}: {told} ms", file=sys.stderr)
    return rates, found


def table(rates: dict[str, float], found: Found) -> str:
    lines = [
        "| operation | requests/s | server | p50 ms | p99 ms | × Redis | p99.9 ms | longest ms | client's lag, ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (operation, name), rounds in found.items():
        columns = [*zip(*rounds, strict=True)]
        redis = [figures[1] for figures in found[operation, "Redis"]]
        cells = [median_of(column, 2) for column in columns]
        cells.insert(2, f"{statistics.median(columns[1]) / statistics.median(redis):.2f}")
        lines.append(f"| {operation} | {rates[operation]:,.0f} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Latency at half the throughput, sent by schedule.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--quick", action="store_true", help="two rounds of a second")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    rounds, seconds, count = (2, 1.0, 10_000) if options.quick else (options.rounds, options.seconds, 100_000)

    def measure(found: dict[str, list[str]]) -> str:
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(running(name, command)) for name, command in found.items()]
            text = table(*run(servers, rounds, seconds, count))
        return f"{setting(found)}; median of {rounds} rounds of {seconds:.0f} s (least–most).\n\n{text}"

    return publish("latency.py", options.write, measure)


if __name__ == "__main__":
    sys.exit(main())
