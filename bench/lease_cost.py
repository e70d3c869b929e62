"""What a lease costs a master: its CPU for each command, in a term with voters and in one without, by turns.

    python bench/lease_cost.py [ROUNDS]

One node, the same connections of redis-benchmark; the topology changes between two runs, so that whatever else the
machine does meets both alike. Prints microseconds of server CPU per command, medians, and their ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from members import Members, member  # noqa: E402
from server_process import Server, serving  # noqa: E402

from ringkeeper.cluster.topology import Shard  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
REQUESTS = {1: 60_000, 16: 400_000}
"""By pipeline."""


def cpu_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def run(server: Server, pipeline: int) -> float:
    """Microseconds of CPU for a command."""
    before = cpu_seconds(server)
    subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-t", "get", "-n", str(REQUESTS[pipeline]), "-P", str(pipeline),
         "-c", "50", "-q", "--csv"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return (cpu_seconds(server) - before) / REQUESTS[pipeline] * 1e6


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        servers = []
        for index in range(2):
            folder = Path(name) / str(index)
            folder.mkdir()
            servers.append(stack.enter_context(serving(folder, *member(folder, index))))
        members = Members(servers)
        master, epoch = servers[0], 0
        found: dict[tuple[int, bool], list[float]] = {}
        for _ in range(rounds):
            for voting in (False, True):
                epoch += 1
                plain = members.one_shard(epoch)
                voters = (plain.nodes[1].id,) if voting else ()
                topology = replace(plain, shards=(Shard(0, 1, plain.nodes[0].id, voters),))
                for index in range(2):
                    members.push(index, topology)
                client = master.client()
                while members.state(0)["lease"]["needed"] != voting or not members.state(0)["lease"]["holds"]:
                    time.sleep(0.05)
                client.set("key:__rand_int__", "xxx")
                for pipeline in REQUESTS:
                    found.setdefault((pipeline, voting), []).append(run(master, pipeline))
        for pipeline in REQUESTS:
            without, under = (statistics.median(found[pipeline, voting]) for voting in (False, True))
            figures = f"{without:.3f} µs without, {under:.3f} µs under a lease"
            print(f"pipeline {pipeline}: {figures}, × {under / without:.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
