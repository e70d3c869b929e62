"""What a long slot table costs: `python bench/ring_refresh.py [--write] [--real 3 16]`.

For several cluster sizes and `vnodesPerShard`: the size of the CLUSTER SLOTS reply, the time in which a node renders it
(once an epoch), and the time that redis-py takes to refresh its slot table from it. The reply is served over TCP by a
process of its own that knows nothing but this answer, so that clusters of any size can be asked; `--real` starts true
clusters through `ringkeeper up` and asks those.

Times are the least of several tries, which other load on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import redis
from redis.cluster import ClusterNode, NodesManager

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from compare import BenchError, machine

from ringkeeper import _compiled
from ringkeeper.cluster.ring import place
from ringkeeper.cluster.view import ClusterView
from ringkeeper.resp.reader import CommandReader
from ringkeeper_operator.ring_report import example_topology, report

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "ring.md"
BEGIN = "<!-- begin: written by bench/ring_refresh.py -->"
END = "<!-- end: written by bench/ring_refresh.py -->"

SIZES = ((3, 1000), (16, 1000), (100, 1000), (333, 1000), (3, 250), (3, 100), (16, 100), (16, 50))
"""Shards and vnodesPerShard."""
TRIES = 15
BASES = range(12000, 22000, 20)


@dataclass(frozen=True, slots=True)
class Row:
    shards: int
    vnodes: int
    ranges: int
    reply_bytes: int
    render_ms: float
    wall_ms: float
    cpu_ms: float


def least_ms(run: Callable[[], object], clock: Callable[[], float]) -> float:
    times = []
    for _ in range(TRIES):
        start = clock()
        run()
        times.append(clock() - start)
    return min(times) * 1000


def answer_forever(listener: socket.socket, table: bytes) -> None:
    """A node as far as a refresh goes: CLUSTER SLOTS is answered, everything else is OK."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, table), daemon=True).start()


def answer(connection: socket.socket, table: bytes) -> None:
    with connection:
        reader = CommandReader()
        while data := connection.recv(65536):
            reader.feed(data)
            for words in reader.take(100):
                is_table = b" ".join(words).upper() == b"CLUSTER SLOTS"
                connection.sendall(table if is_table else b"+OK\r\n")


@contextlib.contextmanager
def responder(table: bytes) -> Iterator[int]:
    """The port of a process that answers with this table."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(target=answer_forever, args=(listener, table))
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.join()


def refresh_ms(port: int) -> tuple[float, float]:
    """Wall and CPU time of the client for one refresh as redis-py does it, its new connection included."""
    manager = NodesManager(
        [ClusterNode("127.0.0.1", port)], dynamic_startup_nodes=False, require_full_coverage=True, protocol=2
    )
    with contextlib.closing(manager):
        return least_ms(manager.initialize, time.perf_counter), least_ms(manager.initialize, time.process_time)


def measure(shards: int, vnodes: int) -> Row:
    topology = example_topology(place(shards, vnodes), shards, vnodes)
    view = ClusterView(topology, my_id="")
    table = view.slots(2)
    with responder(table) as port:
        wall_ms, cpu_ms = refresh_ms(port)
    render_ms = least_ms(lambda: ClusterView(topology, my_id="").slots(2), time.process_time)
    return Row(shards, vnodes, len(view.ranges), len(table), render_ms, wall_ms, cpu_ms)


def measure_real(shards: int) -> str:
    """A cluster of processes, one node a shard."""
    ringkeeper = [sys.executable, "-P", "-m", "ringkeeper_operator.cli"]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        environment = os.environ | {"XDG_STATE_HOME": folder}
        manifest = pathlib.Path(folder, "cluster.yaml")
        manifest.write_text(
            "apiVersion: ringkeeper.dev/v1alpha1\nkind: CacheCluster\nmetadata: {name: bench}\n"
            f"spec: {{shards: {shards}, replicasPerShard: 0, memory: 64Mi}}\n"
        )
        port = free_base_port(shards)
        up = [*ringkeeper, "up", "-f", str(manifest), "--base-port", str(port), "--detach"]
        subprocess.run(up, env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port) as node:
                node.response_callbacks.clear()
                ranges = len(node.execute_command("CLUSTER SLOTS"))
            wall_ms, cpu_ms = refresh_ms(port)
        finally:
            subprocess.run([*ringkeeper, "down"], env=environment, check=True, stdout=subprocess.DEVNULL)
    return f"| {shards} | {ranges:,} | {wall_ms:.0f} | {cpu_ms:.0f} |"


def free_base_port(count: int) -> int:
    """Ports in a row that are free, as are those 10000 above; and stay so: the system gives none of them to who asks
    for any port, since it keeps those from 32768 on for that."""
    for base in random.sample(BASES, len(BASES)):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + count):
                for offset in (0, 10_000):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port + offset))
            return base
    raise BenchError("no free ports")


def table(rows: list[Row]) -> str:
    lines = [
        "| shards | vnodesPerShard | in use | ranges | reply | rendering | redis-py refresh | of it CPU | own arcs |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        growth = report(row.shards, row.shards + 1, vnodes=row.vnodes)
        in_use = report(None, row.shards, vnodes=row.vnodes).points_per_shard
        lines.append(
            f"| {row.shards} | {row.vnodes} | {in_use} | {row.ranges:,} | {row.reply_bytes / 1000:,.0f} kB "
            f"| {row.render_ms:.1f} ms | {row.wall_ms:.0f} ms | {row.cpu_ms:.0f} ms "
            f"| {growth.moves_to_own_arcs_share:.0%} |"
        )
    return "\n".join(lines)


def write(text: str) -> None:
    document = DOCUMENT.read_text()
    head, _, rest = document.partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what the slot table costs nodes and clients.")
    parser.add_argument("--real", type=int, nargs="*", default=[], metavar="SHARDS", help="also start true clusters")
    parser.add_argument("--write", action="store_true", help="put the result into docs/ring.md")
    options = parser.parse_args()
    form = _compiled.form("ringkeeper.resp.writer")
    pieces = [
        f"redis-py {redis.__version__}, two nodes a shard with hostnames; {form} writer; {machine()}; the least of "
        f"{TRIES} tries.",
        table([measure(shards, vnodes) for shards, vnodes in SIZES]),
    ]
    if options.real:
        rows = "\n".join(measure_real(shards) for shards in options.real)
        pieces.append(
            "True clusters on this machine (`ringkeeper up`, one node a shard, vnodesPerShard 1000):\n\n"
            f"| shards | ranges | redis-py refresh, ms | of it CPU, ms |\n|---|---|---|---|\n{rows}"
        )
    text = "\n\n".join(pieces)
    print(text)
    if options.write:
        write(text)


if __name__ == "__main__":
    main()
