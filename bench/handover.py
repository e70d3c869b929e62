"""How long clients wait when a master hands over: `python bench/handover.py [--rounds 20] [--against TREE]`.

A cluster of three masters with a replica each, on this machine. Two clients write a key of one shard all the time: one
of plain sockets (`e2e/client/outages.py`), and redis-py's cluster client, which may also fetch the whole table of
slots. Meanwhile a person asks for another master (`ringkeeper failover SHARD`). The pause is the time between two
acknowledged writes; an error that the client lets through, or an acknowledged write that is not there afterwards, is
counted. `--against TREE` runs another checkout of the sources beside this one, in turns, since how fast a machine is
changes while one looks.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import redis

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

from client.outages import Writer
from compare import BenchError, publish, setting
from failover import MANIFEST, SHARDS, Ours, await_
from ring_refresh import free_base_port

HERE = pathlib.Path(__file__).parents[1]
HEARTBEAT_MS = 500
PAUSE = 0.002
"""Seconds between two commands, so that clients leave the processor to the servers."""
BEFORE, BEHIND = 50, 100
"""Writes."""


@dataclass
class Smart:
    """A thread that writes numbers by redis-py's cluster client, and reads each of them back."""

    port: int
    key: str
    writes: int = 0
    longest: float = 0.0
    lost: int = 0
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = redis.RedisCluster(host="127.0.0.1", port=self.port)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        last = time.monotonic()
        while not self.stopping.wait(PAUSE):
            try:
                self.client.set(self.key, self.writes)
                found = int(self.client.get(self.key) or -1)
            except redis.RedisError as error:
                self.errors.append(str(error))
                continue
            self.lost += found != self.writes
            self.writes += 1
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()
        self.client.close()


@dataclass
class Outcome:
    """Of one checkout; seconds."""

    plain: list[float] = field(default_factory=list)
    smart: list[float] = field(default_factory=list)
    errors: int = 0
    lost: int = 0


def one_handover(cluster: Ours, shard: int, outcome: Outcome) -> None:
    key = cluster.key_of(shard)
    plain = Writer(key, cluster.seeds).start()
    smart = Smart(cluster.port, f"{{{key}}}:smart")
    try:
        await_(lambda: min(plain.writes, smart.writes) > BEFORE, "the shard takes writes")
        began, smart.longest = time.monotonic(), 0.0
        cluster.run("failover", str(shard))
        goal = min(plain.writes, smart.writes) + BEHIND
        await_(lambda: plain.ended_gap(began) and min(plain.writes, smart.writes) > goal, "it takes writes again")
    finally:
        plain.stop()
        smart.stop()
    outcome.plain.append(plain.worst(began).seconds)
    outcome.smart.append(smart.longest)
    outcome.errors += len(smart.errors)
    outcome.lost += plain.lost + smart.lost


@contextlib.contextmanager
def cluster_of(tree: pathlib.Path) -> Iterator[Ours]:
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{tree / 'node'}:{tree / 'operator'}"
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        manifest = MANIFEST.format(shards=SHARDS, interval=HEARTBEAT_MS)
        cluster = Ours(pathlib.Path(folder), free_base_port(2 * SHARDS), manifest)
        if before is not None:
            os.environ["PYTHONPATH"] = before
        try:
            yield cluster
        finally:
            cluster.run("down")


def row(name: str, outcome: Outcome) -> str:
    def shown(times: list[float]) -> str:
        return " | ".join(f"{1000 * value:.0f}" for value in (statistics.median(times), min(times), max(times)))

    return (
        f"| {name} | {len(outcome.plain)} | {shown(outcome.plain)} | {shown(outcome.smart)} | {outcome.errors} |"
        f" {outcome.lost} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how long clients wait for a planned handover.")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--against", type=pathlib.Path, help="another checkout, compiled, to be run in turns with this")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    trees = {"this checkout": HERE}
    if options.against is not None:
        if not (options.against / "node" / "ringkeeper").is_dir():
            raise BenchError(f"{options.against}: no checkout of these sources")
        trees["the other"] = options.against.resolve()

    def run(found: dict[str, list[str]]) -> str:
        outcomes = {name: Outcome() for name in trees}
        with contextlib.ExitStack() as exits:
            clusters = {name: exits.enter_context(cluster_of(tree)) for name, tree in trees.items()}
            for number in range(options.rounds):
                for name, cluster in clusters.items():
                    await_(cluster.is_whole, "every shard has its replica")
                    one_handover(cluster, number % SHARDS, outcomes[name])
        rows = [
            "| sources | handovers | plain client, median ms | least | longest | redis-py, median ms | least | longest "
            "| errors | lost writes |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *(row(name, outcome) for name, outcome in outcomes.items()),
        ]
        print("\n".join(rows), flush=True)
        return setting({name: each for name, each in found.items() if name != "Redis"}) + ".\n\n" + "\n".join(rows)

    return publish("handover.py", options.write, run)


if __name__ == "__main__":
    sys.exit(main())
