"""How long one command keeps everybody else waiting: `python bench/stall.py [--elements N] [--write]`.

Fills a node and a Redis with large collections, runs each long command once on either, and meanwhile asks the node's
admin port for `/healthz` without pause. What the slowest answer took is the stall. Commands run one at a time in both
servers, so a long one stalls both; the point is to know for how long, and that deleting is not among the long ones.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import pathlib
import sys
import tempfile
import threading
import time
from collections.abc import Iterator

import redis

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from real_redis import real_redis  # noqa: E402
from server_process import serving  # noqa: E402

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- begin: written by bench/stall.py -->", "<!-- end: written by bench/stall.py -->"
BATCH = 5_000
LONG = (
    "KEYS *",
    "SMEMBERS s1",
    "SUNIONSTORE u s1 s2",
    "SINTERCARD 2 s1 s2",
    "HGETALL h",
    "LRANGE l 0 -1",
    "LREM l 0 nothing",
    "SORT l LIMIT 0 10",
    "ZRANGE z 0 -1",
    "ZUNIONSTORE zu 2 z s1",
    "COPY s1 c",
    "UNLINK s1",
    "DEL h",
    "DEL z",
    "FLUSHALL",
)


def fill(client: redis.Redis, elements: int) -> None:
    for start in range(0, elements, BATCH):
        numbers = range(start, min(start + BATCH, elements))
        pipeline = client.pipeline(transaction=False)
        pipeline.mset({b"key:%d" % number: b"value" for number in numbers})
        pipeline.sadd("s1", *numbers)
        pipeline.sadd("s2", *[2 * number for number in numbers])
        pipeline.hset("h", mapping={b"field:%d" % number: b"value" for number in numbers})
        pipeline.rpush("l", *numbers)
        pipeline.zadd("z", {b"member:%d" % number: number * 7919 % elements for number in numbers})
        pipeline.execute()


class Watcher(threading.Thread):
    """Asks for `/healthz` again and again; `slowest` is in seconds."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.slowest = 0.0
        self.over = threading.Event()

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        while not self.over.is_set():
            begun = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self.slowest = max(self.slowest, time.perf_counter() - begun)
            time.sleep(0.0005)


@contextlib.contextmanager
def watching(port: int) -> Iterator[Watcher]:
    watcher = Watcher(port)
    watcher.start()
    try:
        yield watcher
        time.sleep(0.3)  # what is freed in steps is seen too
    finally:
        watcher.over.set()
        watcher.join()


def timed(client: redis.Redis, words: list[str]) -> float:
    """Milliseconds until the whole reply is here, not parsed."""
    connection = client.connection_pool.get_connection()
    connection.send_command(*words)
    sock = connection._sock
    begun = time.perf_counter()
    sock.recv(1)
    spent = (time.perf_counter() - begun) * 1000
    connection.disconnect()
    return spent


def measure(elements: int) -> str:
    lines = ["| command | Redis, ms | node, ms | slowest `/healthz` meanwhile, ms |", "|---|---|---|---|"]
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, server = stack.enter_context(real_redis(folder)), stack.enter_context(serving(folder))
        ours, theirs = redis.Redis(port=server.port, socket_timeout=600), redis.Redis(port=port, socket_timeout=600)
        fill(ours, elements)
        fill(theirs, elements)
        with watching(server.admin_port) as watcher:
            pass
        lines.append(f"| (nothing) | | | {watcher.slowest * 1000:.1f} |")
        for command in LONG:
            reference = timed(theirs, command.split())
            with watching(server.admin_port) as watcher:
                own = timed(ours, command.split())
            lines.append(f"| `{command}` | {reference:.1f} | {own:.1f} | {watcher.slowest * 1000:.1f} |")
            print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, default=1_000_000, help="keys, and elements of each collection")
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md")
    options = parser.parse_args()
    text = f"{options.elements:,} keys, and as many elements in each collection.\n\n{measure(options.elements)}"
    print(text)
    if options.write:
        head, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
