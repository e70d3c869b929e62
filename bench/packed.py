"""What finding an element among few costs: `python bench/packed.py [--sizes N ...]`.

Small collections are packed and searched from the beginning (`docs/memory.md`). For each size, a node and a Redis hold
a hash, a set and a sorted set of so many elements of 19 bytes, each twice: as it is, and with one element more that is
too long to be packed, in either. redis-benchmark asks for elements at random, at a pipeline depth of 16. Printed is the
server's CPU time per operation, as `compare.py` measures it: the median of the rounds, and what it is in Redis's.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator

from compare import RANDOM, BenchError, Server, commands, running
from sorted_set import measure

from ringkeeper.resp.writer import encode_command

LONG = b"x" * 300
MEMBER = f"member:{RANDOM}"
OPERATIONS = {
    "HGET": ["HGET", "hash{}", MEMBER],
    "HSET": ["HSET", "hash{}", MEMBER, "0123456789"],
    "SISMEMBER": ["SISMEMBER", "set{}", MEMBER],
    "ZSCORE": ["ZSCORE", "zset{}", MEMBER],
    "ZADD": ["ZADD", "zset{}", RANDOM, MEMBER],
}


def filling(size: int) -> Iterator[list[bytes]]:
    members = [b"member:%012d" % number for number in range(size)]
    yield [b"FLUSHALL"]
    for form in (b"", b":long"):
        yield [b"HSET", b"hash" + form, *[word for member in members for word in (member, b"0123456789")]]
        yield [b"SADD", b"set" + form, *members]
        yield [b"ZADD", b"zset" + form, *[word for i in range(size) for word in (b"%d" % i, members[i])]]
    yield [b"HSET", b"hash:long", b"long", LONG]
    yield [b"SADD", b"set:long", LONG]
    yield [b"ZADD", b"zset:long", b"0", LONG]


def fill(server: Server, size: int) -> None:
    words = b"".join(map(encode_command, filling(size)))
    done = subprocess.run(
        ["redis-cli", "-p", str(server.port), "--pipe"], input=words, capture_output=True, check=False
    )
    if done.returncode:
        raise BenchError(f"{server.name} could not be filled")


def compare(servers: list[Server], only: list[str], size: int, requests: int, rounds: int) -> None:
    for name, words in OPERATIONS.items():
        if only and name not in only:
            continue
        for form in ("", ":long"):
            costs: dict[str, list[float]] = {server.name: [] for server in servers}
            for turn in range(rounds):
                for server in servers[:: 1 if turn % 2 else -1]:
                    asked = [word.format(form) for word in words]
                    costs[server.name].append(measure(server, asked, requests, size))
            middle = {server: statistics.median(values) for server, values in costs.items()}
            shown = ", ".join(f"{server} {value:5.2f} µs/op" for server, value in middle.items())
            label = f"{name}{form and ', long'}"
            print(f"{size:>5} {label:<16}{shown}: {middle['Ringkeeper'] / middle['Redis']:.2f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 24, 48, 64, 128])
    parser.add_argument("--requests", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("only", nargs="*", help="of: " + ", ".join(OPERATIONS))
    options = parser.parse_args()
    try:
        found = {name: command for name, command in commands().items() if name != "Valkey"}
        with contextlib.ExitStack() as stack:
            servers = [stack.enter_context(running(name, command)) for name, command in found.items()]
            for size in options.sizes:
                for server in servers:
                    fill(server, size)
                compare(servers, options.only, size, options.requests, options.rounds)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
