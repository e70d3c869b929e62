"""Random schedules of partitions and other faults, by seed, and what clients saw of them.

    python tests/partitions/run.py --schedules 500 --seed 1
    python tests/partitions/run.py --schedules 1 --seed 17 --keep DIR    # one again; logs and history stay in DIR

The nodes, the operator and the clients are real, each on a machine (network namespace) of its own. After every
schedule: masters took turns, every key's history is linearizable and ends with what is there (so no acknowledged write
is lost), and the shard is whole again by itself. With `--min-acks 0` writes may be lost; then the loss report must
count them.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

# The folder of the operator's tests has its package's name, and would be taken for it where that is installed editable.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "node"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from histories import turns_out_of_order
from laptop import eventually
from partitions import checker, network
from partitions.checker import NEVER, Operation
from partitions.clients import Clients
from partitions.schedules import Schedule, schedule
from partitions.world import CLIENTS, PASSWORD, WHOLE_SECONDS, World, told_of

CALM = 0.2
"""Seconds in which clients go on after the shard is whole again."""


class Run:
    """Schedules, one after another, on one shard."""

    def __init__(self, world: World, program: Path, *, min_acks: int) -> None:
        self.world = world
        self.program = program
        self.min_acks = min_acks
        self.history: list[Operation] = []
        """Of the last schedule."""

    def carry_out(self, planned: Schedule) -> tuple[str, list[str]]:
        """What happened, in words, and what of that must not be."""
        world = self.world
        term = world.term()
        clients = Clients(
            world.targets, f"{planned.seed}:", PASSWORD, planned.seed, lambda: world.network.go_to(CLIENTS)
        )
        clients.start()
        try:
            time.sleep(CALM)
            world.carry_out(planned.steps)
            healed = time.monotonic()
            eventually(world.is_whole, f"a whole shard after {planned}", WHOLE_SECONDS)
            whole = time.monotonic() - healed
            time.sleep(CALM)
        finally:
            clients.stop()
        answered = [operation for operation in clients.operations if operation.received != NEVER]
        self.history = clients.operations + world.read(sorted({each.key for each in clients.operations}))
        masters = world.appointments.since(term)
        ended = [operation for operation in self.history if operation.received != NEVER]
        found = clients.strange + turns_out_of_order(ended, masters)
        if not answered:
            found.append("no client was answered at all")
        losses = ""
        if self.min_acks:
            found += checker.judge(self.program, self.history)
        elif lost := self.lost():
            if not checker.judge(self.program, self.history):
                found.append("acknowledged writes are lost, and the checker calls that linearizable")
            # A node that was killed cannot tell of what it had.
            reported = self.told_of(0 if planned.deadly else lost, term)
            losses = f"{lost} lost of those written once, {reported} writes reported, "
            if not planned.deadly and reported < lost:
                found.append(losses)
        told = (
            f"{len(answered)} answers, {len(clients.operations) - len(answered)} without, {len(masters) - 1} terms, "
            f"{losses}whole after {whole:.1f} s"
        )
        return told, found

    def lost(self) -> int:
        """Acknowledged writes to keys that were written once, and are not there."""
        there = {each.key for each in self.history if each.client == -1 and each.result is not None}
        return sum(each.kind == "set" and ":once:" in each.key and each.received != NEVER and each.key not in there
                   for each in self.history)  # fmt: skip

    def told_of(self, lost: int, term: int) -> int:
        """How many lost writes the status tells of since a term; waited for, if they are fewer than these."""

        def look() -> int:
            failovers = self.world.folder.status().get("failovers", [])
            return sum(row.get("lostWrites", 0) for row in failovers if row["term"] > term)

        return told_of(look, lost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    parser.add_argument("--min-acks", type=int, default=1)
    parser.add_argument("--heartbeat", type=int, default=200, help="milliseconds")
    parser.add_argument("--short", action="store_true", help="links alone: every kind of partition in turn")
    parser.add_argument("--keep", type=Path, help="a folder for logs and histories")
    parser.add_argument("--go-on", action="store_true", help="after a schedule that failed, too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    try:
        network.enter()
    except network.NoNamespaces as error:
        sys.exit(f"partitions: {error}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        failed = run(options, folder)
    if failed:
        sys.exit(f"{len(failed)} of {options.schedules} schedules failed: seeds {failed}")


def run(options: argparse.Namespace, folder: Path) -> list[int]:
    """The seeds that failed."""
    failed = []
    program = checker.build(folder)
    with World(folder, min_acks=options.min_acks, heartbeat=options.heartbeat) as world:
        network.prove(world.network)
        one = Run(world, program, min_acks=options.min_acks)
        for seed in range(options.seed, options.seed + options.schedules):
            deadly = options.min_acks > 0 or seed % 2 == 0
            planned = schedule(seed, short=options.short, deadly=deadly)
            told, found = one.carry_out(planned)
            print(f"{planned}\n    {told}", flush=True)
            if found:
                failed.append(seed)
                (folder / f"history-{seed}.jsonl").write_text(checker.as_lines(one.history))
                print("FAILED:", *found, sep="\n", flush=True)
                if not options.go_on:
                    break
    return failed


if __name__ == "__main__":
    main()
