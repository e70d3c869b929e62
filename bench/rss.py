"""Resident memory per key: `python bench/rss.py [--keys 500000 5000000] [--quick] [--write]`.

Each server starts empty and is filled over a socket with keys of 16 bytes and values of 64 bytes. What counts is by how
much its resident memory (VmRSS) grew, divided by the number of keys; a server's own account stands beside it.
"""

from __future__ import annotations

import argparse
import pathlib
import socket
import sys
import time
from collections.abc import Iterator

from compare import (
    VALUE,
    BenchError,
    Server,
    fill,
    publish,
    running,
    setting,
)

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.writer import encode_command

BATCH = 1_000
"""Keys of one MSET."""
STEADY_SECONDS = 1.0
"""For so long the memory must not have changed before it is read."""
DEADLINE = 30.0


def resident(pid: int) -> int:
    """VmRSS, in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise BenchError("the server has died")


def settled(pid: int) -> int:
    """Resident bytes once they stay the same, or after half a minute: Redis may still move to a larger table."""
    deadline = time.monotonic() + DEADLINE
    last, since = resident(pid), time.monotonic()
    while time.monotonic() < min(since + STEADY_SECONDS, deadline):
        time.sleep(0.1)
        if (now := resident(pid)) != last:
            last, since = now, time.monotonic()
    return last


def ask(port: int, *words: bytes) -> object:
    """One command on a connection of its own."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        reader = ReplyReader()
        connection.sendall(encode_command([*words]))
        while (reply := reader.next()) is NOT_READY:
            data = connection.recv(1 << 16)
            if not data:
                raise BenchError("the server closed the connection")
            reader.feed(data)
        return reply


def figure(port: int, section: bytes, name: str) -> int:
    """A number of INFO."""
    text = ask(port, b"INFO", section)
    assert isinstance(text, bytes)
    fields = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
    return int(fields[name])


def batches(keys: int) -> Iterator[list[bytes]]:
    for start in range(0, keys, BATCH):
        names = (b"key:%012d" % number for number in range(start, min(start + BATCH, keys)))
        yield [b"MSET", *[word for name in names for word in (name, VALUE.encode())]]


def fill_keys(server: Server, keys: int) -> None:
    fill(socket.create_connection(("127.0.0.1", server.port)), batches(keys))


def measure(server: Server, keys: int) -> tuple[float, float]:
    """Bytes per key: what it takes of the machine, what the server says."""
    before, said = settled(server.pid), figure(server.port, b"memory", "used_memory")
    fill_keys(server, keys)
    after, says = settled(server.pid), figure(server.port, b"memory", "used_memory")
    if ask(server.port, b"DBSIZE") != keys:
        raise BenchError(f"{server.name} does not hold {keys} keys")
    return (after - before) / keys, (says - said) / keys


def main() -> int:
    parser = argparse.ArgumentParser(description="Resident memory per key.")
    parser.add_argument("--keys", type=int, nargs="+", default=[500_000, 5_000_000])
    parser.add_argument("--quick", action="store_true", help="100,000 keys only")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()

    def measured(found: dict[str, list[str]]) -> str:
        lines = [
            "| keys | server | resident, bytes per key | × Redis | `used_memory`, bytes per key |",
            "|---|---|---|---|---|",
        ]
        for keys in [100_000] if options.quick else options.keys:
            redis = 0.0
            for name, command in found.items():
                with running(name, command, empty=True) as server:
                    taken, said = measure(server, keys)
                redis = redis or taken
                lines.append(f"| {keys:,} | {name} | {taken:.1f} | {taken / redis:.2f} | {said:.1f} |")
                print(lines[-1], file=sys.stderr)
        return "\n".join([f"{setting(found)}.", "", *lines])

    return publish("rss.py", options.write, measured)


if __name__ == "__main__":
    sys.exit(main())
