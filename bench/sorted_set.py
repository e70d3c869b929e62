"""How sorted sets cost and how that grows with their size: `python bench/sorted_set.py [--members N ...]`.

For each size, a node and a Redis hold one set of so many members, and many of at most four. redis-benchmark drives them
in turns at a pipeline depth of 16. Printed is the server's CPU time per operation, as `compare.py` measures it: the
median of the rounds, and what it is in Redis's.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

from compare import CONNECTIONS, DEPTH, RANDOM, BenchError, Server, commands, cpu_seconds, running

from ringkeeper.resp.writer import encode_command

MEMBER = f"member:{RANDOM}"
LARGE = {
    "ZADD": ["ZADD", "zset", RANDOM, MEMBER],
    "ZINCRBY": ["ZINCRBY", "zset", "1", MEMBER],
    "ZSCORE": ["ZSCORE", "zset", MEMBER],
    "ZRANK": ["ZRANK", "zset", MEMBER],
    "ZCOUNT": ["ZCOUNT", "zset", RANDOM, "+inf"],
    "ZRANGE 100": ["ZRANGE", "zset", RANDOM, f"(1{RANDOM}", "BYSCORE", "LIMIT", "0", "100"],
    "ZRANGE 10 WITHSCORES": ["ZRANGE", "zset", RANDOM, "+inf", "BYSCORE", "LIMIT", "0", "10", "WITHSCORES"],
    "ZPOPMIN": ["ZPOPMIN", "zset"],
}
"""Of the one set; scores are below its size. ZPOPMIN comes last and takes a part of it."""
SMALL = {
    "ZADD small": ["ZADD", f"small:{RANDOM}", "1", "one", "2", "two"],
    "ZRANGE small": ["ZRANGE", f"small:{RANDOM}", "0", "-1"],
    "ZPOPMIN small": ["ZPOPMIN", f"small:{RANDOM}"],
}
SMALL_KEYS = 100_000
BATCH = 1_000


def fill(server: Server, size: int) -> None:
    """Scores are the numbers below the size, in random order."""
    scores = random.Random(size).sample(range(size), size)
    client = subprocess.Popen(
        ["redis-cli", "-p", str(server.port), "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert client.stdin is not None
    for command in filling(scores):
        client.stdin.write(encode_command(command))
    client.stdin.close()
    if client.wait():
        raise BenchError(f"{server.name} could not be filled")


def filling(scores: Sequence[int]) -> Iterator[list[bytes]]:
    yield [b"FLUSHALL"]
    for start in range(0, len(scores), BATCH):
        numbers = range(start, min(start + BATCH, len(scores)))
        yield [b"ZADD", b"zset", *(word for i in numbers for word in (b"%d" % scores[i], b"member:%012d" % i))]


def measure(server: Server, words: list[str], requests: int, numbers: int) -> float:
    """Microseconds of the server's processors an operation."""
    before = cpu_seconds(server.pid)
    done = subprocess.run(
        [
            *("redis-benchmark", "-h", "127.0.0.1", "-p", str(server.port), "-q", "-n", str(requests)),
            *("-c", str(CONNECTIONS), "-P", str(DEPTH), "-r", str(numbers), *words),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode or "ERR" in done.stdout:
        raise BenchError(f"redis-benchmark failed against {server.name}: {done.stdout}{done.stderr}")
    return (cpu_seconds(server.pid) - before) / requests * 1e6


def compare(servers: list[Server], operations: dict[str, list[str]], size: int, requests: int, rounds: int) -> None:
    numbers = SMALL_KEYS if operations is SMALL else size
    for name, words in operations.items():
        count = requests if words[0] != "ZRANGE" else requests // 5
        if name == "ZPOPMIN":
            count = min(count, size // (2 * rounds))
        costs: dict[str, list[float]] = {server.name: [] for server in servers}
        for turn in range(rounds):
            for server in servers[:: 1 if turn % 2 else -1]:
                costs[server.name].append(measure(server, words, count, numbers))
        middle = {server: statistics.median(values) for server, values in costs.items()}
        shown = ", ".join(f"{server} {value:6.2f} µs/op" for server, value in middle.items())
        print(f"{size:>9} {name:<22}{shown}: {middle['Ringkeeper'] / middle['Redis']:.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--members", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--requests", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    try:
        found = {name: command for name, command in commands().items() if name != "Valkey"}
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(running(name, command)) for name, command in found.items()]
            for size in options.members:
                for server in servers:
                    fill(server, size)
                compare(servers, LARGE, size, options.requests, options.rounds)
            compare(servers, SMALL, 4, options.requests, options.rounds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
