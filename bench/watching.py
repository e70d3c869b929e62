"""What it costs to be watched, and to have namespaces: `python bench/watching.py [--rounds N] [--write]`.

The server's CPU for a GET while nobody looks, without histograms of durations, and while `/metrics` is read every
second, in turns; how long a scrape takes and for how long it keeps the loop at most; and what finding a key's namespace
takes, counted in calls from Python.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import timeit
import urllib.request
from collections.abc import Iterator

import uvloop

from ringkeeper.server import metrics
from ringkeeper.server.config import read_arguments
from ringkeeper.server.node import Node
from ringkeeper.store.namespaces import NO_NAMESPACES, Namespace, Namespaces

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests")]

from server_process import Server, serving  # noqa: E402

DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- begin: written by bench/watching.py -->", "<!-- end: written by bench/watching.py -->"
REQUESTS = 600_000
MANY = 10_000


def cpu_of(server: Server) -> float:
    """Seconds of all its threads, from the scheduler's own account."""
    tasks = pathlib.Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def per_get(server: Server) -> float:
    """Microseconds of CPU, with 50 connections that send 16 commands at a time."""
    before = cpu_of(server)
    subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-c", "50", "-P", "16", "-n", str(REQUESTS), "-t", "get", "-q"],
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    return (cpu_of(server) - before) / REQUESTS * 1e6


@contextlib.contextmanager
def scraped(server: Server) -> Iterator[None]:
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(1):
            urllib.request.urlopen(f"http://127.0.0.1:{server.admin_port}/metrics").read()

    scraper = threading.Thread(target=scrape)
    scraper.start()
    try:
        yield
    finally:
        over.set()
        scraper.join()


@contextlib.contextmanager
def without_histograms(server: Server) -> Iterator[None]:
    server.client().config_set("latency-tracking", "no")
    yield
    server.client().config_set("latency-tracking", "yes")


def measure_cpu(rounds: int) -> Iterator[str]:
    yield "| GET, pipeline 16 | CPU of the server, µs: least | median | most |"
    yield "|---|---|---|---|"
    ways = {
        "nobody looks": lambda _: contextlib.nullcontext(),
        "`latency-tracking no`": without_histograms,
        "`/metrics` every second": scraped,
    }
    spent: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder, serving(pathlib.Path(folder)) as server:
        per_get(server)
        for _ in range(rounds):
            for name, way in ways.items():
                with way(server):
                    spent[name].append(per_get(server))
    for name, each in spent.items():
        yield f"| {name} | {min(each):.3f} | {statistics.median(each):.3f} | {max(each):.3f} |"


async def scrape_once(declared: int, shown: int) -> tuple[int, float, float]:
    """Lines, milliseconds of CPU, and the most of them between two rounds of the loop; the best of several."""
    text = json.dumps([{"prefix": f"tenant:{number}:", "maxMemory": "64Mi"} for number in range(declared)])
    words = ["--namespaces", text, "--metrics-namespaces", str(shown)]
    node = Node(read_arguments(words), asyncio.get_running_loop())
    for number in range(declared):
        node.databases[0].set(b"tenant:%d:key" % number, b"value")
    for entry in node.dispatcher.all():
        entry.calls = 1
    found = []
    for _ in range(10):
        rounds = [time.thread_time()]
        over = False

        def turn() -> None:
            rounds.append(time.thread_time())  # noqa: B023
            if not over:  # noqa: B023
                node.loop.call_soon(turn)

        node.loop.call_soon(turn)
        text = (await metrics.render(node)).decode()
        over = True
        await asyncio.sleep(0)
        gaps = [after - before for before, after in itertools.pairwise(rounds)]
        found.append((text.count("\n"), 1000 * (rounds[-1] - rounds[0]), 1000 * max(gaps)))
    return min(found, key=lambda each: each[2])


def measure_scrapes() -> Iterator[str]:
    yield "| every command was used, and | lines | CPU of a scrape, ms | most between two rounds of the loop, ms |"
    yield "|---|---|---|---|"
    for what, declared, shown in (
        ("no namespace", 0, 200),
        (f"{MANY:,} namespaces", MANY, 200),
        (f"{MANY:,} namespaces, `metrics-namespaces {MANY}`", MANY, MANY),
    ):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            lines, length, longest = runner.run(scrape_once(declared, shown))
        yield f"| {what} | {lines} | {length:.0f} | {longest:.1f} |"


def measure_matches() -> Iterator[str]:
    yield "| finding the namespace of `tenant:7777:user:123456`, of | ns a call |"
    yield "|---|---|"
    key = b"tenant:7777:user:123456"
    tenants = [Namespace(b"tenant:%d:" % number) for number in range(MANY)]
    for what, namespaces in (
        ("none", NO_NAMESPACES),
        ("one that begins otherwise", Namespaces([Namespace(b"session:")])),
        ("ten", Namespaces(tenants[7770:7780])),
        (f"{MANY:,}", Namespaces(tenants)),
    ):
        best = min(
            timeit.repeat(
                "match(key)", timer=time.thread_time, globals={"match": namespaces.match, "key": key}, number=200_000
            )
        )
        yield f"| {what} | {best / 200_000 * 1e9:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true", help="put the result into docs/performance.md")
    options = parser.parse_args()
    parts = (measure_matches(), measure_scrapes(), measure_cpu(options.rounds))
    text = "\n\n".join("\n".join(part) for part in parts)
    print(text)
    if options.write:
        head, _, rest = DOCUMENT.read_text().partition(BEGIN)
        DOCUMENT.write_text(f"{head}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
