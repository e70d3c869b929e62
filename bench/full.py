"""Writing when memory is full: `python bench/full.py [--quick] [--write]`.

Each server is filled beyond its `maxmemory`, so that every SET of a new key makes another key go. redis-benchmark sends
them over 50 connections, sixteen at a time, in rounds as `compare.py` does. Policies that only Ringkeeper has stand
beside Redis's `allkeys-lru`. What counts is the server's CPU time per operation.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import itertools
import statistics
import subprocess
import sys
from collections.abc import Sequence

from compare import (
    CONNECTIONS,
    DEPTH,
    RANDOM,
    VALUE,
    BenchError,
    Sample,
    Server,
    cpu_seconds,
    publish,
    running,
    setting,
    spread,
    turned,
)
from rss import ask, figure

EVERYONES = ("allkeys-lru", "allkeys-lfu", "allkeys-random")
OURS = ("allkeys-s3-fifo", "allkeys-w-tinylfu")
DISTINCT = 2_000_000_000
"""Keys of a run are drawn from so many: hardly any comes twice."""
RUNS = itertools.count(1)
"""Runs are told apart by the first characters of their keys: two of them may draw the same numbers."""
Samples = dict[tuple[str, str], list[tuple[Sample, float]]]
"""Policy and server -> for each round what was measured, and keys evicted per SET."""


def write_keys(server: Server, count: int) -> tuple[Sample, float]:
    evicted = figure(server.port, b"stats", "evicted_keys")
    before = cpu_seconds(server.pid)
    words = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "--csv", "--precision", "3"]
    words += ["-n", str(count), "-c", str(CONNECTIONS), "-P", str(DEPTH), "-r", str(DISTINCT)]
    words += ["SET", f"{next(RUNS):03}:{RANDOM}", VALUE]
    done = subprocess.run(words, capture_output=True, text=True)
    cpu = cpu_seconds(server.pid) - before
    rows = list(csv.DictReader(line for line in done.stdout.splitlines() if line.startswith('"')))
    if done.returncode or not rows:
        raise BenchError(f"redis-benchmark failed against {server.name}: {done.stdout}{done.stderr}")
    row = rows[0]
    sample = Sample(
        cpu_us=cpu / count * 1e6,
        per_second=float(row["rps"]),
        p50_ms=float(row["p50_latency_ms"]),
        p99_ms=float(row["p99_latency_ms"]),
    )
    return sample, (figure(server.port, b"stats", "evicted_keys") - evicted) / count


def set_policy(server: Server, policy: str, warm_up: int) -> None:
    """Put it into force and write until it governs."""
    own = "allkeys-lru" if policy in OURS and server.name != "Ringkeeper" else policy
    if isinstance(answer := ask(server.port, b"CONFIG", b"SET", b"maxmemory-policy", own.encode()), Exception):
        raise BenchError(f"{server.name}: {answer}")
    while figure(server.port, b"stats", "evicted_keys") == 0:
        write_keys(server, warm_up)
    write_keys(server, warm_up)


def run(servers: Sequence[Server], policies: Sequence[str], rounds: int, count: int) -> Samples:
    samples: Samples = {}
    for policy in policies:
        chosen = [server for server in servers if policy in EVERYONES or server.name != "Valkey"]
        for server in chosen:
            set_policy(server, policy, count)
        for number in range(rounds):
            for server in turned(chosen, number):
                sample = write_keys(server, count)
                samples.setdefault((policy, server.name), []).append(sample)
                print(f"{policy} {server.name}: {sample[0].cpu_us:.2f} µs/op, {sample[1]:.3f} evicted", file=sys.stderr)
    return samples


def table(samples: Samples) -> str:
    lines = [
        "| policy | server | CPU µs/op | × Redis | thousand op/s | p50 ms | p99 ms | keys evicted per SET |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (policy, name), rounds in samples.items():
        runs = [sample for sample, _ in rounds]
        redis = statistics.median(sample.cpu_us for sample, _ in samples[policy, "Redis"])
        cells = [
            f"{policy} (Redis: allkeys-lru)" if policy in OURS else policy,
            name,
            spread(runs, lambda sample: sample.cpu_us, 2),
            f"{statistics.median(sample.cpu_us for sample in runs) / redis:.2f}",
            spread(runs, lambda sample: sample.per_second / 1000, 0),
            spread(runs, lambda sample: sample.p50_ms, 2),
            spread(runs, lambda sample: sample.p99_ms, 2),
            f"{statistics.mean(evicted for _, evicted in rounds):.3f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="SETs of new keys where memory is full.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=500_000, help="of one run")
    parser.add_argument("--megabytes", type=int, default=100, help="maxmemory")
    parser.add_argument("--policies", nargs="+", default=[*EVERYONES, *OURS], choices=[*EVERYONES, *OURS])
    parser.add_argument("--quick", action="store_true", help="two rounds of a tenth of the requests, 10 MB")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    rounds, count, megabytes = options.rounds, options.requests, options.megabytes
    if options.quick:
        rounds, count, megabytes = 2, count // 10, 10
    limit = ("--maxmemory", f"{megabytes}mb")

    def measure(found: dict[str, list[str]]) -> str:
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(running(name, command, *limit)) for name, command in found.items()]
            text = table(run(servers, options.policies, rounds, count))
        return f"{setting(found)}; `maxmemory` {megabytes} MB; median of {rounds} rounds (least–most).\n\n{text}"

    return publish("full.py", options.write, measure)


if __name__ == "__main__":
    sys.exit(main())
