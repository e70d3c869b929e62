"""What one command costs between the reader and the writer: `python bench/execute.py [--seconds S]`.

Runs dispatch on commands in memory, without a socket, and prints nanoseconds of CPU per command: the least of several
runs, so that other load on the machine counts little. It is for comparing two states of the code, not for publishing.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).parents[1] / "tests" / "differential")]

from in_process import InProcess  # noqa: E402

ROUND = 2_000
VALUE = b"x" * 64
COMMANDS: dict[str, list[bytes]] = {
    "SET": [b"SET", b"%b", VALUE],
    "GET": [b"GET", b"%b"],
    "INCR": [b"INCR", b"n:%b"],
    "MSET 10": [b"MSET", *[word for i in range(10) for word in (b"%%b:%d" % i, VALUE)]],
    "LPUSH": [b"LPUSH", b"list", VALUE],
    "LPOP": [b"LPOP", b"list"],
    "LRANGE 100": [b"LRANGE", b"fixed-list", b"0", b"99"],
    "SADD": [b"SADD", b"set", b"%b"],
    "SISMEMBER 40": [b"SISMEMBER", b"fixed-set", b"39"],
    "SMEMBERS 40": [b"SMEMBERS", b"fixed-set"],
    "SPOP": [b"SPOP", b"set"],
    "HSET": [b"HSET", b"hash", b"%b", VALUE],
    "HGET": [b"HGET", b"hash", b"%b"],
    "HGET of 20": [b"HGET", b"fixed-hash", b"19"],
    "HGET none": [b"HGET", b"fixed-hash", b"99"],
    "HSET of 20": [b"HSET", b"fixed-hash", b"19", b"%n"],
    "HGETALL 20": [b"HGETALL", b"fixed-hash"],
    "ZADD": [b"ZADD", b"zset", b"%n", b"%b"],
    "ZSCORE": [b"ZSCORE", b"zset", b"%b"],
    "ZPOPMIN": [b"ZPOPMIN", b"zset"],
    "ZRANGE 100": [b"ZRANGE", b"fixed-zset", b"0", b"99"],
}


def made(words: list[bytes], number: int) -> list[bytes]:
    key, score = b"key:%012d" % (number * 7919 % 100_000), b"%d" % (number * 104729 % 1_000_003)
    return [word.replace(b"%b", key) if b"%b" in word else score if word == b"%n" else word for word in words]


def measure(peer: InProcess, words: list[bytes], seconds: float) -> float:
    """Nanoseconds a command."""
    session, context, execute = peer.session, peer.session.context, peer.dispatcher.execute
    least = float("inf")
    number = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        batch = [made(words, number + i) for i in range(ROUND)]
        number += ROUND
        out = bytearray()
        begun = time.thread_time_ns()
        for args in batch:
            execute(session, context, args, out)
        least = min(least, (time.thread_time_ns() - begun) / ROUND)
        assert out[:1] != b"-", out[:100]
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.6, help="for each command")
    parser.add_argument("only", nargs="*", help="commands, as in the first column")
    options = parser.parse_args()
    peer = InProcess(2)
    peer.run([[b"RPUSH", b"fixed-list", *[b"%d" % i for i in range(500)]]])
    peer.run([[b"HSET", b"fixed-hash", *[b"%d" % (i // 2) for i in range(40)]]])
    peer.run([[b"SADD", b"fixed-set", *[b"%d" % i for i in range(40)]]])
    peer.run([[b"ZADD", b"fixed-zset", *[b"%d" % (i // 2) for i in range(1000)]]])
    for name, words in COMMANDS.items():
        if not options.only or name in options.only:
            print(f"{name:<12}{measure(peer, words, options.seconds):8.0f} ns")


if __name__ == "__main__":
    main()
