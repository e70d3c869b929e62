"""What a replica that needs everything costs those who use its master: `python bench/full_sync.py [--write]`.

A master holds values of 1 KB, a gigabyte of them; a client reads random keys by schedule (`open_loop.py`), first alone,
then while a new replica follows, until that says that its link is up. The replica, which is elsewhere in earnest, has
the lowest priority; but with two processors, of which one is the client's, it shares the other with the master and the
child that writes the snapshot. Redis, measured in the same run, tells what of it is the machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence

import redis
from compare import BenchError, Server, paired, publish, running, turned
from open_loop import Stream, play, quantile

from ringkeeper.resp.writer import encode_command

VALUE = b"v" * 1000
RATE = 2_000
CONNECTIONS = 10
CHUNK_SECONDS = 0.5
DEADLINE_SECONDS = 300
AT_ONCE = 1_000
DIRECTIVES = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")
Figures = tuple[float, float, float]
"""p99 before and meanwhile, milliseconds, and how many seconds the sync took."""


def fill(port: int, keys: int) -> None:
    with redis.Redis(port=port) as client, client.pipeline(transaction=False) as pipe:
        for first in range(0, keys, AT_ONCE):
            pipe.mset({f"key:{number}": VALUE for number in range(first, min(first + AT_ONCE, keys))})
            if first % (20 * AT_ONCE) == 0:
                pipe.execute()
        pipe.execute()


def requests(keys: int, seconds: float, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    return iter([encode_command([b"GET", b"key:%d" % chance.randrange(keys)]) for _ in range(int(RATE * seconds))])


def waits(port: int, keys: int, seconds: float, seed: int) -> list[float]:
    stream = Stream(port, CONNECTIONS, RATE, requests(keys, seconds, seed), len(f"${len(VALUE)}\r\n\r\n") + len(VALUE))
    play([stream])
    return stream.latencies


def is_linked(port: int) -> bool:
    with contextlib.suppress(redis.RedisError), redis.Redis(port=port) as client:
        return client.info("replication").get("master_link_status") == "up"
    return False


def one(name: str, command: Sequence[str], master: Server, keys: int, seconds: float, seed: int) -> Figures:
    before = waits(master.port, keys, seconds, seed)
    meanwhile: list[float] = []
    began = time.monotonic()
    with running(name, ["nice", "-n", "19", *command], *DIRECTIVES, empty=True) as replica:
        with redis.Redis(port=replica.port) as client:
            client.replicaof("127.0.0.1", master.port)
        while not is_linked(replica.port):
            meanwhile += waits(master.port, keys, CHUNK_SECONDS, seed)
            if time.monotonic() - began > DEADLINE_SECONDS:
                raise BenchError(f"{name}: no full sync within {DEADLINE_SECONDS} s")
        took = time.monotonic() - began
        with redis.Redis(port=replica.port) as client:
            if (held := client.dbsize()) != keys:
                raise BenchError(f"{name}: the replica has {held} keys of {keys}")
    return 1000 * quantile(before, 0.99), 1000 * quantile(meanwhile, 0.99), took


def table(found: dict[str, list[Figures]]) -> str:
    lines = ["| server | p99 alone, ms | p99 meanwhile, ms | ratio | the sync, s |", "|---|---|---|---|---|"]
    for name, rounds in found.items():
        before, meanwhile, took = (statistics.median(column) for column in zip(*rounds, strict=True))
        lines.append(f"| {name} | {before:.2f} | {meanwhile:.2f} | {meanwhile / before:.2f} | {took:.1f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what a full sync costs a master's clients.")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of the time before")
    parser.add_argument("--quick", action="store_true", help="100 MB, once")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    keys, rounds = (100_000, 1) if options.quick else (options.megabytes * 1000, options.rounds)

    def measure(found: dict[str, list[str]]) -> str:
        pair, where = paired(found)
        figures: dict[str, list[Figures]] = {}
        with contextlib.ExitStack() as exits:
            masters = [exits.enter_context(running(name, pair[name], *DIRECTIVES, empty=True)) for name in pair]
            for master in masters:
                fill(master.port, keys)
            for number in range(rounds):
                for master in turned(masters, number):
                    figure = one(master.name, pair[master.name], master, keys, options.seconds, number)
                    figures.setdefault(master.name, []).append(figure)
                    print(f"{master.name}: {', '.join(f'{value:.2f}' for value in figure)}", file=sys.stderr)
        return f"{where}; {keys:,} keys; {RATE:,} reads a second; median of {rounds}.\n\n{table(figures)}"

    return publish("full_sync.py", options.write, measure)


if __name__ == "__main__":
    sys.exit(main())
