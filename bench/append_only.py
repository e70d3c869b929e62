"""What an append-only file costs: `python bench/append_only.py [--quick] [--write]`.

SETs by redis-benchmark, in rounds as `compare.py` does: without the file, with `appendfsync everysec` (one and sixteen
at a time: the server's CPU time per operation, that of all its threads), and with `appendfsync always` (one at a time
over 50 connections: operations a second, which the disk decides as well). Nothing is rewritten meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
from collections.abc import Callable, Sequence

from compare import DEPTH, Sample, Server, measure, paired, publish, running, spread, turned

POLICIES = {
    "none": ["--appendonly", "no"],
    "everysec": ["--appendonly", "yes", "--appendfsync", "everysec"],
    "always": ["--appendonly", "yes", "--appendfsync", "always"],
}
NO_REWRITE = ("--auto-aof-rewrite-percentage", "0")
RUNS = (("none", DEPTH), ("everysec", DEPTH), ("none", 1), ("everysec", 1), ("always", 1))
"""Policy and pipeline."""
Samples = dict[tuple[str, int, str], list[Sample]]


def run(servers: dict[str, list[Server]], rounds: int, count: int) -> Samples:
    samples: Samples = {}
    for number in range(rounds):
        for policy, pipeline in RUNS:
            for server in turned(servers[policy], number):
                sample = measure(server, "SET", pipeline, count // (1 if pipeline > 1 else 10))
                samples.setdefault((policy, pipeline, server.name), []).append(sample)
                told = f"{sample.cpu_us:.2f} µs/op, {sample.per_second:.0f}/s"
                print(f"{policy} pipeline {pipeline} {server.name}: {told}", file=sys.stderr)
    return samples


def middle(runs: Sequence[Sample], value: Callable[[Sample], float]) -> float:
    return statistics.median(map(value, runs))


def table(samples: Samples) -> str:
    lines = [
        "| appendfsync | pipeline | server | CPU µs/op | × the same without | thousand op/s | × Redis | p99 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (policy, pipeline, name), runs in samples.items():
        without, redis = samples["none", pipeline, name], samples[policy, pipeline, "Redis"]
        cells = [
            policy,
            str(pipeline),
            name,
            spread(runs, lambda sample: sample.cpu_us, 2),
            f"{middle(runs, lambda sample: sample.cpu_us) / middle(without, lambda sample: sample.cpu_us):.2f}",
            spread(runs, lambda sample: sample.per_second / 1000, 1),
            f"{middle(runs, lambda sample: sample.per_second) / middle(redis, lambda sample: sample.per_second):.2f}",
            spread(runs, lambda sample: sample.p99_ms, 2),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="SETs with an append-only file and without.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=500_000, help="of one run; a tenth where they go one at a time")
    parser.add_argument("--quick", action="store_true", help="two rounds of a tenth of the requests")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    rounds, count = (2, options.requests // 10) if options.quick else (options.rounds, options.requests)

    def measured(found: dict[str, list[str]]) -> str:
        pair, head = paired(found)
        with contextlib.ExitStack() as stack:
            servers = {
                policy: [
                    stack.enter_context(running(name, command, *directives, *NO_REWRITE))
                    for name, command in pair.items()
                ]
                for policy, directives in POLICIES.items()
            }
            text = table(run(servers, rounds, count))
        return f"{head}; median of {rounds} rounds (least–most).\n\n{text}"

    return publish("append_only.py", options.write, measured)


if __name__ == "__main__":
    sys.exit(main())
