"""Masters stay masters while they are busy, and clients notice nothing of an operator that is away.

    python bench/steady.py [--minutes 60] [--away 600] [--quick]

A cluster of three masters with a replica each, on this machine. A process for each shard keeps its master busy with
pipelined writes and reads, all the time. redis-py's cluster client counts in a key of each shard and reads what it
counted. Meanwhile nodes, masters and replicas in turn, write snapshots, rewrite their logs, sort a long list, and stand
still for most of the time after which a node is suspected, as in a command of that length (the process is stopped,
since how long a command takes on a busy machine nobody can say). A third of the way through the operator, here the
supervisor, is killed, and `--away` seconds later another `ringkeeper up` adopts the nodes. At the end the exit code
is 1 unless

- no shard has another master, or its master another term, than at the start, and no failover is told,
- no client was answered with an error, lost a connection, or read anything else than it had counted.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import os
import pathlib
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from typing import Any

import redis

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

from compare import BenchError
from failover import SHARDS, Ours, await_
from open_loop import quantile
from ring_refresh import free_base_port

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command

SUSPECTED_SECONDS = 1.5
"""Three heartbeats of half a second, the default."""
STILL_SECONDS = 0.8 * SUSPECTED_SECONDS
BETWEEN_SECONDS = 2.0
"""From one disturbance to the next."""
DEPTH = 16
KEYS = 20_000
"""Of each shard, of a kilobyte."""
LIST_LENGTH = 50_000
PATIENCE_SECONDS = 60.0
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {name: bench}
spec:
  shards: 3
  replicasPerShard: 1
  memory: 256Mi
  persistence: {size: 1Gi}
"""
Masters = dict[int, tuple[str, int]]
"""Name and term, by shard."""


@dataclass
class Counting:
    """A thread that counts in one key by redis-py's cluster client, and reads what it counted."""

    port: int
    key: str
    count: int = 0
    waits: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def run(self, stopping: threading.Event) -> None:
        client = redis.RedisCluster(host="127.0.0.1", port=self.port, socket_timeout=PATIENCE_SECONDS)
        while not stopping.wait(0.005):
            began = time.monotonic()
            try:
                counted, read = client.incr(self.key), client.get(self.key)
            except redis.RedisError as error:
                self.errors.append(f"{self.key}: {error!r}")
                continue
            self.waits.append(time.monotonic() - began)
            self.count += 1
            if (counted, read) != (self.count, b"%d" % self.count):
                self.errors.append(f"{self.key}: counted {counted}, read {read!r}, and it was {self.count}")
                self.count = counted
        client.close()


def press(port: int, tag: str, seconds: float, told: Queue[tuple[int, str]]) -> None:
    """In a process of its own: batches of writes and reads to one master; tells how many, and what went wrong."""
    until, chance, done = time.monotonic() + seconds, random.Random(port), 0
    wrong = ""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        replies = ReplyReader()
        while time.monotonic() < until and not wrong:
            keys = [b"{%s}:%d" % (tag.encode(), chance.randrange(KEYS)) for _ in range(DEPTH)]
            words = [[b"GET", key] if chance.random() < 0.5 else [b"SET", key, chance.randbytes(1000)] for key in keys]
            connection.sendall(b"".join(map(encode_command, words)))
            for _ in words:
                while (reply := replies.next()) is NOT_READY:
                    data = connection.recv(1 << 18)
                    if not data:
                        told.put((done, f"the node on port {port} closed a connection"))
                        return
                    replies.feed(data)
                if isinstance(reply, ReplyError):
                    wrong = f"the node on port {port} answered: {reply}"
            done += len(words)
    told.put((done, wrong))


@dataclass
class Disturber:
    """A thread: each node in turn, each kind of disturbance in turn."""

    nodes: list[dict[str, Any]]
    long_lists: dict[int, str]
    """Their keys, by shard."""
    done: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def run(self, stopping: threading.Event) -> None:
        for kind, node in itertools.cycle(
            itertools.product((self.save, self.stand, self.rewrite, self.sort), self.nodes)
        ):
            if stopping.wait(BETWEEN_SECONDS):
                return
            try:
                kind(node)
            except redis.RedisError as error:
                # One child at a time, and the node takes its own snapshots too.
                if "progress" not in str(error) and "active" not in str(error):
                    self.errors.append(f"{kind.__name__} of {node['name']}: {error}")
            else:
                self.done[kind.__name__] += 1

    def save(self, node: dict[str, Any]) -> None:
        self.say(node, "BGSAVE")

    def rewrite(self, node: dict[str, Any]) -> None:
        self.say(node, "BGREWRITEAOF")

    def stand(self, node: dict[str, Any]) -> None:
        os.kill(node["pid"], signal.SIGSTOP)
        time.sleep(STILL_SECONDS)
        os.kill(node["pid"], signal.SIGCONT)

    def sort(self, node: dict[str, Any]) -> None:
        self.say(node, "SORT_RO", self.long_lists[node["shard"]], "ALPHA", "LIMIT", "0", "1")

    def say(self, node: dict[str, Any], *words: str) -> None:
        with redis.Redis(port=node["port"], socket_timeout=PATIENCE_SECONDS, single_connection_client=True) as client:
            client.execute_command("READONLY")
            client.execute_command(*words)


@contextlib.contextmanager
def cluster() -> Iterator[Ours]:
    with tempfile.TemporaryDirectory(prefix="steady-") as folder:
        started = Ours(pathlib.Path(folder), free_base_port(2 * SHARDS), MANIFEST)
        try:
            await_(started.is_whole, "every shard has its replica")
            yield started
        finally:
            started.run("down")


def masters(cluster: Ours) -> Masters:
    return {node["shard"]: (node["name"], node["term"]) for node in cluster.nodes() if node["role"] == "master"}


def be_away(cluster: Ours, before: float, seconds: float, stopping: threading.Event) -> str:
    """Kills the supervisor after a while, and starts another; what is told of that."""
    if stopping.wait(before):
        return ""
    supervisor = cluster.status()["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    began = time.monotonic()
    stopping.wait(seconds)
    if (found := cluster.status()["supervisor"]) is not None:
        raise BenchError(f"the supervisor is to be away, and is there: {found}")
    away = time.monotonic() - began
    cluster.up(MANIFEST)
    return f"the operator was away for {away:.0f} s"


def watch(cluster: Ours, seconds: float, away: float) -> list[str]:
    """What must not be; tells what was."""
    nodes = cluster.nodes()
    by_shard = {node["shard"]: node["port"] for node in nodes if node["role"] == "master"}
    keys = {shard: cluster.key_of(shard) for shard in by_shard}
    lists = {shard: f"{{{key}}}:list" for shard, key in keys.items()}
    for shard, name in lists.items():
        with redis.Redis(port=by_shard[shard]) as client:
            client.rpush(name, *(random.Random(shard).randbytes(16) for _ in range(LIST_LENGTH)))
    before, disturber = masters(cluster), Disturber(nodes, lists)
    counters = [Counting(cluster.port, f"{{{keys[shard]}}}:count") for shard in keys]
    told: Queue[tuple[int, str]] = multiprocessing.get_context("fork").Queue()
    pressing = [
        multiprocessing.get_context("fork").Process(target=press, args=(by_shard[shard], keys[shard], seconds, told))
        for shard in keys
    ]
    for process in pressing:
        process.start()
    stopping = threading.Event()
    threads = [
        *(threading.Thread(target=counter.run, args=(stopping,)) for counter in counters),
        threading.Thread(target=disturber.run, args=(stopping,)),
    ]
    for thread in threads:
        thread.start()
    try:
        began = time.monotonic()
        print(be_away(cluster, seconds / 3, away, stopping), flush=True)
        stopping.wait(max(0.0, began + seconds - time.monotonic()))
        ended = [told.get(timeout=PATIENCE_SECONDS) for _ in pressing]
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        for process in pressing:
            process.kill()
            process.join()
    errors = disturber.errors + [text for _, text in ended if text]
    errors += [error for counter in counters for error in counter.errors[:10]]
    if (after := masters(cluster)) != before:
        errors.append(f"masters and terms were {before} and are {after}")
    if failovers := cluster.status()["failovers"]:
        errors.append(f"failovers: {failovers}")
    waits = [wait for counter in counters for wait in counter.waits]
    print(
        f"{seconds / 60:.0f} minutes: {sum(count for count, _ in ended):,} pipelined commands, "
        f"{len(waits):,} counts (p50 {1000 * quantile(waits, 0.5):.0f} ms, p99 {1000 * quantile(waits, 0.99):.0f} ms, "
        f"longest {1000 * max(waits):.0f} ms); "
        + ", ".join(f"{number} × {kind}" for kind, number in sorted(disturber.done.items()))
        + f" (for {STILL_SECONDS:.1f} s)"
    )
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--away", type=float, default=600.0, help="seconds without the operator")
    parser.add_argument("--quick", action="store_true", help="one minute, twenty seconds of it without the operator")
    options = parser.parse_args()
    seconds, away = (60.0, 20.0) if options.quick else (60 * options.minutes, options.away)
    try:
        with cluster() as started:
            errors = watch(started, seconds, away)
    except BenchError as error:
        sys.exit(f"steady: {error}")
    print("\n".join(errors) or "no failover, no error, no wrong reply")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
