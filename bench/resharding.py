"""How long a fourth shard takes to get its slots: `python bench/resharding.py [--megabytes 25] [--write]`.

A cluster of three masters with a replica each on this machine, and beside it one of Valkey's, whose masters own the
same slots and hold the same keys. A fourth shard, which is there and has nothing yet, is to get its part: here by the
manifest that lets it (`ringkeeper up -f FILE` behind `rebalance: {paused: true}`), there by asking each master to
migrate the very slots that moved here (CLUSTER MIGRATESLOTS, Valkey 9's atomic slot migration). `asked` is from then
until the last of them has its new owner; the start of the command takes part of that here, so `moving` is from the
first change of the topology on.

Once nobody else is there, and once while two processes write without a pause, a client reads and writes keys chosen at
random, one at a time. Its longest wait is the pause; errors are those that it lets through, MOVED and ASK not counted.
Afterwards every key is looked for: lost are those that are not there or hold something else, doubled those of which
another node has a copy.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import multiprocessing
import pathlib
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import Any, Protocol

import redis
from redis.exceptions import AskError, MovedError

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))

from client.outages import Address
from compare import BenchError, publish, setting, valkey_command
from failover import SHARDS, Ours, Valkey, await_, client
from ring_refresh import free_base_port

from ringkeeper.store.slot import SLOTS, key_slot
from ringkeeper_operator.cli_common import spec_of
from ringkeeper_operator.cli_scale import is_settled
from ringkeeper_operator.runtime.local_folder import ClusterFolder

NODES = 2 * (SHARDS + 1)
KILOBYTE = 1000
VALUE = b"v" * KILOBYTE
AT_ONCE = 500
"""Commands of a pipeline."""
PAUSE = 0.001
"""Of the client that looks, seconds between two commands."""
IDLE_SECONDS = 3.0
"""For which the client's waits are taken before slots move, and behind that."""
WRITERS = 2
VALKEY_TIMEOUT_MS = 15000
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {{name: bench}}
spec: {{shards: {shards}, replicasPerShard: 1, memory: {memory}Mi, rebalance: {{paused: {paused}}}}}
"""
Command = tuple[bytes | str | int, ...]


def commands(key: int) -> list[Command]:
    """That make one key: of a kilobyte, most are strings; in a tenth of the keys each, the other types."""
    name = f"key:{key}"
    kind = key % 10
    if kind == 1:
        return [("HSET", name, *itertools.chain.from_iterable((f"field:{n}", VALUE[:80]) for n in range(10)))]
    if kind == 2:
        return [("RPUSH", name, *(VALUE[:90] for _ in range(10)))]
    if kind == 3:
        return [("SADD", name, *(f"{n:03}".encode() + VALUE[:80] for n in range(10)))]
    if kind == 4:
        return [("ZADD", name, *itertools.chain.from_iterable((n, f"{n:03}".encode() + VALUE[:80]) for n in range(10)))]
    return [("SET", name, VALUE)]


def is_text(key: int) -> bool:
    return not 1 <= key % 10 <= 4


class Reach:
    """Sends each command to the owner of its slot, and learns of another by being sent there."""

    def __init__(self, seeds: Sequence[Address]) -> None:
        self.nodes: dict[Address, redis.Redis] = {}
        self.owners: list[Address] = [seeds[0]] * SLOTS
        for first, last, (host, port, *_), *_ in raw(self.node(seeds[0]), "CLUSTER SLOTS"):
            self.owners[first : last + 1] = [(host.decode(), port)] * (last + 1 - first)

    def node(self, address: Address) -> redis.Redis:
        if address not in self.nodes:
            self.nodes[address] = client(address[1])
        return self.nodes[address]

    def ask(self, name: str, *words: Any) -> Any:
        slot = key_slot(name.encode())
        while True:
            try:
                return self.node(self.owners[slot]).execute_command(*words)
            except MovedError as moved:
                self.owners[slot] = (moved.host, moved.port)
            except AskError as asked:
                with self.node((asked.host, asked.port)).pipeline(transaction=False) as pipe:
                    pipe.execute_command("ASKING")
                    pipe.execute_command(*words)
                    return pipe.execute()[1]

    def masters(self) -> set[Address]:
        return set(self.owners)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()


def raw(node: redis.Redis, *words: Any) -> Any:
    node.response_callbacks.clear()
    return node.execute_command(*words)


@dataclass(frozen=True, slots=True)
class Visit:
    """What a client met with."""

    waits: list[tuple[float, float]]
    """When a command began, seconds of the monotonic clock, and how long it took."""
    errors: list[str]


def visit(seeds: list[Address], keys: int, seed: int, pause: float, stop: Event, told: Connection) -> None:
    """Reads and writes random keys until it is to stop; a process of its own."""
    reach, chance = Reach(seeds), random.Random(seed)
    waits, errors = [], []
    while not stop.is_set():
        key = chance.randrange(keys)
        name = f"key:{key}"
        began = time.monotonic()
        try:
            if is_text(key):
                if chance.random() < 0.5:
                    reach.ask(name, "SET", name, VALUE)
                elif reach.ask(name, "GET", name) != VALUE:
                    errors.append(f"{name} holds something else")
            elif not reach.ask(name, "EXISTS", name):
                errors.append(f"{name} is gone")
        except redis.RedisError as error:
            errors.append(str(error))
        waits.append((began, time.monotonic() - began))
        if pause:
            time.sleep(pause)
    reach.close()
    told.send(Visit(waits, errors))


@contextlib.contextmanager
def visitors(seeds: list[Address], keys: int, *, busy: bool) -> Iterator[list[Visit]]:
    """One that looks, and with `busy` those that only write and read; the list is filled at the end."""
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    visits: list[Visit] = []
    with contextlib.ExitStack() as exits:
        ends = []
        for number in range(1 + (WRITERS if busy else 0)):
            end, other = context.Pipe()
            arguments = (seeds, keys, number, 0.0 if number else PAUSE, stop, other)
            process = context.Process(target=visit, args=arguments, daemon=True)
            process.start()
            exits.callback(process.join)
            ends.append(end)
        try:
            yield visits
        finally:
            stop.set()
            visits += [end.recv() for end in ends]


class Cluster(Protocol):
    seeds: list[Address]

    def move(self) -> tuple[float, float]:
        """Let the fourth shard have its part; when it began to be asked for, and when the first slot was on its way."""


class OursGrowing(Ours):
    """Its fourth shard is there, and gets nothing yet."""

    def __init__(self, folder: pathlib.Path, port: int, memory: int) -> None:
        self.memory = memory
        super().__init__(folder, port, self.manifest(SHARDS, paused=False))
        self.seeds = self.seeds[:1]
        self.cluster_folder = ClusterFolder("bench", folder / "ringkeeper" / "bench.d")

    def manifest(self, shards: int, *, paused: bool) -> str:
        return MANIFEST.format(shards=shards, memory=self.memory, paused=str(paused).lower())

    def grow(self) -> None:
        self.up(self.manifest(SHARDS + 1, paused=True))
        await_(lambda: sum(node["state"] == "online" for node in self.nodes()) == NODES, "the fourth shard is there")

    def owners(self) -> tuple[int, ...]:
        topology, _ = self.cluster_folder.committed()
        if topology is None:
            raise BenchError("the cluster has no topology")
        return topology.owners

    def move(self) -> tuple[float, float]:
        file = self.cluster_folder.path / "topology.json"
        before, began = file.stat().st_mtime, time.time()
        owners = self.owners()
        command = threading.Thread(target=self.up, args=(self.manifest(SHARDS + 1, paused=False),))
        command.start()
        await_(lambda: file.stat().st_mtime != before, "the first slots are on their way")
        moving = ended = seen = file.stat().st_mtime

        def settled() -> bool:
            nonlocal owners, ended, seen
            if (written := file.stat().st_mtime) == seen:
                return not command.is_alive() and is_settled(self.cluster_folder, spec_of(self.cluster_folder))
            seen = written
            if (now := self.owners()) != owners:
                owners, ended = now, written
            return False

        await_(settled, "all slots have moved")
        return ended - began, ended - moving


class ValkeyGrowing(Valkey):
    """Has the slots that ours had, and gives the fourth shard those that ours gave."""

    def __init__(
        self, folder: pathlib.Path, port: int, command: list[str], before: Sequence[int], after: Sequence[int]
    ) -> None:
        self.gone = [
            ranges_of([slot for slot in range(SLOTS) if before[slot] == shard and after[slot] == SHARDS])
            for shard in range(SHARDS)
        ]
        owned = [ranges_of([slot for slot in range(SLOTS) if before[slot] == shard]) for shard in range(SHARDS)]
        super().__init__(folder, port, VALKEY_TIMEOUT_MS, command, [*owned, []])

    def move(self) -> tuple[float, float]:
        with contextlib.ExitStack() as exits:
            nodes = [exits.enter_context(client(self.port + number)) for number in range(SHARDS + 1)]
            to = raw(nodes[SHARDS], "CLUSTER MYID")
            began = time.monotonic()
            for node, slots in zip(nodes, self.gone, strict=False):
                raw(node, "CLUSTER MIGRATESLOTS", "SLOTSRANGE", *slots, "NODE", to)
            await_(lambda: all(done(node) for node in nodes[:SHARDS]), "all slots have migrated")
            ended = time.monotonic()
        return ended - began, ended - began


def done(node: redis.Redis) -> bool:
    """Whether the node's migrations have ended well."""
    jobs = raw(node, "CLUSTER GETSLOTMIGRATIONS")
    states = [job[b"state"] for job in jobs]
    if b"failed" in states or b"cancelled" in states:
        raise BenchError(f"Valkey's migration has not succeeded: {states}")
    return bool(states) and all(state == b"success" for state in states)


def ranges_of(slots: Sequence[int]) -> list[int]:
    """First and last of each run."""
    found: list[int] = []
    for slot in slots:
        if found and found[-1] == slot - 1:
            found[-1] = slot
        else:
            found += [slot, slot]
    return found


def fill(seeds: Sequence[Address], keys: int) -> None:
    reach = Reach(seeds)
    for address in reach.masters():
        mine = (key for key in range(keys) if reach.owners[key_slot(f"key:{key}".encode())] == address)
        with reach.node(address).pipeline(transaction=False) as pipe:
            for number, key in enumerate(mine):
                for command in commands(key):
                    pipe.execute_command(*command)
                if number % AT_ONCE == AT_ONCE - 1:
                    pipe.execute()
            pipe.execute()
    reach.close()


def missed(seeds: Sequence[Address], keys: int) -> tuple[int, int]:
    """Keys that are lost, and copies that should not be there."""
    reach = Reach(seeds)
    held = 0
    for address in reach.masters():
        mine = [key for key in range(keys) if reach.owners[key_slot(f"key:{key}".encode())] == address]
        for start in range(0, len(mine), AT_ONCE):
            with reach.node(address).pipeline(transaction=False) as pipe:
                for key in mine[start : start + AT_ONCE]:
                    pipe.execute_command(*looking(key))
                for key, found in zip(mine[start:], pipe.execute(raise_on_error=False), strict=False):
                    moved = isinstance(found, MovedError)
                    held += (reach.ask(f"key:{key}", *looking(key)) if moved else found) == wanted(key)
    await_(lambda: sum(raw(reach.node(address), "DBSIZE") for address in reach.masters()) <= keys, "copies have gone")
    there = sum(raw(reach.node(address), "DBSIZE") for address in reach.masters())
    reach.close()
    return keys - held, max(0, there - keys)


def looking(key: int) -> Command:
    names = {1: "HLEN", 2: "LLEN", 3: "SCARD", 4: "ZCARD"}
    return (names.get(key % 10, "GET"), f"key:{key}")


def wanted(key: int) -> object:
    return VALUE if is_text(key) else 10


@dataclass
class Outcome:
    asked: float = 0.0
    moving: float = 0.0
    idle: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    errors: int = 0
    lost: int = 0
    doubled: int = 0


def measured(cluster: Cluster, keys: int, *, busy: bool) -> Outcome:
    with visitors(cluster.seeds, keys, busy=busy) as visits:
        begins = time.monotonic() + IDLE_SECONDS
        await_(lambda: time.monotonic() > begins, "clients are at work")
        began = time.monotonic()
        asked, moving = cluster.move()
        ended = time.monotonic()
    waits = visits[0].waits
    return Outcome(
        asked,
        moving,
        [wait for at, wait in waits if at < began],
        [wait for at, wait in waits if began <= at < ended],
        sum(len(each.errors) for each in visits),
        *missed(cluster.seeds, keys),
    )


def row(name: str, what: str, slots: int, outcome: Outcome) -> str:
    def p99(waits: list[float]) -> float:
        return 1000 * statistics.quantiles(waits, n=100)[98] if len(waits) > 1 else float("nan")

    return (
        f"| {name} | {what} | {slots} | {outcome.asked:.2f} | {outcome.moving:.2f} | {p99(outcome.idle):.1f} |"
        f" {p99(outcome.during):.1f} | {1000 * max(outcome.during, default=0.0):.0f} | {outcome.errors} |"
        f" {outcome.lost} | {outcome.doubled} |"
    )


def compared(megabytes: int, *, busy: bool, valkey: list[str] | None, tell: Callable[[str], None]) -> None:
    """Ours first: it says which slots move."""
    keys = megabytes * 1_000_000 // KILOBYTE
    what = f"{keys:,} keys" + (", written to all the time" if busy else "")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ours = OursGrowing(pathlib.Path(folder), free_base_port(NODES), max(64, 2 * megabytes // SHARDS))
        try:
            fill(ours.seeds, keys)
            ours.grow()
            before = ours.owners()
            outcome = measured(ours, keys, busy=busy)
            after = ours.owners()
        finally:
            ours.run("down")
    slots = after.count(SHARDS)
    tell(row("Ringkeeper", what, slots, outcome))
    if valkey is None:
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        theirs = ValkeyGrowing(pathlib.Path(folder), free_base_port(NODES), valkey, before, after)
        try:
            fill(theirs.seeds, keys)
            tell(row("Valkey", what, slots, measured(theirs, keys, busy=busy)))
        finally:
            theirs.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure how slots move to a new shard, beside Valkey's.")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[25, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="25 MB, once")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()

    def run(found: dict[str, list[str]]) -> str:
        rows = [
            "| cluster | keys of 1 KB, all types | slots | asked, s | moving, s | p99 before, ms | p99 meanwhile, ms "
            "| longest wait, ms | errors | lost | doubled |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]

        def tell(text: str) -> None:
            rows.append(text)
            print(text, flush=True)

        for megabytes in [25] if options.quick else options.megabytes:
            for busy in (False, True):
                for _ in range(1 if options.quick else options.rounds):
                    compared(megabytes, busy=busy, valkey=valkey_command(), tell=tell)
        measured = {name: each for name, each in found.items() if name != "Redis"}
        return setting(measured) + ".\n\n" + "\n".join(rows)

    return publish("resharding.py", options.write, run)


if __name__ == "__main__":
    sys.exit(main())
