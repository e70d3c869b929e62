"""Random schedules of crashes, pauses and cuts while slots move, by seed, and what becomes of clients' keys.

    python tests/migrations/run.py --schedules 500 --seed 1
    python tests/migrations/run.py --schedules 1 --seed 17 --keep DIR    # one again; logs stay in DIR

The nodes, the operator and the clients are real, each on a machine (network namespace) of its own. After every
schedule: the slots are where they were to go, every shard is whole by itself, every key is on one shard and in no copy
elsewhere, and has what was acknowledged, once. Where writes may be lost, the loss report must count them.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
import time
from pathlib import Path

# The folder of the operator's tests has its package's name, and would be taken for it where that is installed editable.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "node"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from laptop import eventually
from migrations.clients import LASTS_SECONDS, Clients, read, time_left
from migrations.ledger import KINDS
from migrations.schedules import CLIENTS, SAME_SETTING, Schedule, Setting, schedule, setting
from migrations.world import MACHINES, World
from partitions import network
from partitions.world import PASSWORD, WHOLE_SECONDS, told_of

from ringkeeper.store.slot import key_slot

CALM = 0.1
KEYS = 6 * len(KINDS)
STAYING = len(KINDS)
"""Keys in slots that do not move, besides."""


class Run:
    """Schedules, one after another, on one cluster."""

    def __init__(self, world: World, setting: Setting) -> None:
        self.world = world
        self.setting = setting

    def carry_out(self, planned: Schedule) -> tuple[str, list[str]]:
        """What happened, in words, and what of that must not be."""
        world = self.world
        world.trace.clear()
        eventually(world.is_settled, "a cluster at rest", WHOLE_SECONDS)
        world.empty()
        before = world.lost_writes()
        terms = world.terms()
        weights, slots = world.intend(planned)
        world.fill(slots)
        clients = Clients(
            world.targets, PASSWORD, keys_for(planned.seed, slots), planned.seed,
            must_keep=self.setting.min_acks > 0, go=lambda: world.network.go_to(CLIENTS),
        )  # fmt: skip
        clients.start()
        try:
            time.sleep(CALM)
            world.carry_out(planned, weights)
            healed = time.monotonic()
            eventually(world.is_settled, f"all at rest after {planned}", WHOLE_SECONDS)
            whole = time.monotonic() - healed
            time.sleep(CALM)
        finally:
            clients.stop()
        lost, found = self.lost(clients)
        found = clients.strange + found + world.misplaced()
        if not clients.answers:
            found.append("no client was answered at all")
        losses = ""
        if lost and self.setting.min_acks:
            found.append(f"{lost} acknowledged writes are lost")
        elif lost:
            # A node that was killed cannot tell of what it had.
            reported = told_of(lambda: world.lost_writes() - before, 0 if planned.deadly else lost)
            losses = f"{lost} lost, {reported} reported, "
            if not planned.deadly and reported < lost:
                found.append(losses)
        told = f"{len(slots)} slots, {clients.answers} answers, {world.terms() - terms} terms, {losses}"
        return f"{told}at rest after {whole:.1f} s", found

    def lost(self, clients: Clients) -> tuple[int, list[str]]:
        """Acknowledged writes that are not there at the end, and what is there and must not be."""
        total, told = 0, []
        for client in clients.clients:
            for ledger in client.ledgers:
                shard = self.world.topology().owners[key_slot(ledger.key.encode())]
                with self.world.client_of(self.world.master(shard)) as node:
                    found = read(node, ledger.kind, ledger.key)
                    left = time_left(node, ledger.kind, ledger.key, found) if found else []
                told += ledger.wrong(found)
                told += [f"{ledger} lasts {each} s" for each in left if not 0.9 * LASTS_SECONDS < each <= LASTS_SECONDS]
                if lost := ledger.lost(found):
                    total += lost
                    if self.setting.min_acks:
                        told.append(f"{ledger}: {lost} are lost: {found[-9:]} of {ledger.acknowledged[-9:]}")
        return total, told


def keys_for(seed: int, slots: set[int]) -> list[str]:
    names = (f"{seed}:{number}" for number in itertools.count())
    moving = [name for name in itertools.islice(names, 400 * KEYS) if key_slot(name.encode()) in slots]
    staying = (name for name in map("{0}:stays:{1}".format, itertools.repeat(seed), itertools.count())
               if key_slot(name.encode()) not in slots)  # fmt: skip
    return [*moving[:KEYS], *itertools.islice(staying, STAYING)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    parser.add_argument("--short", action="store_true", help="one thing goes wrong at a time, for less than a second")
    parser.add_argument("--keep", type=Path, help="a folder for logs")
    parser.add_argument("--go-on", action="store_true", help="after a schedule that failed, too")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    try:
        network.enter()
    except network.NoNamespaces as error:
        sys.exit(f"migrations: {error}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).absolute()
        failed = run(options, folder)
    if failed:
        sys.exit(f"{len(failed)} of {options.schedules} schedules failed: seeds {failed}")


def run(options: argparse.Namespace, folder: Path) -> list[int]:
    """The seeds that failed."""
    failed: list[int] = []
    machines = network.Network(MACHINES)
    network.prove(machines)
    seeds = range(options.seed, options.seed + options.schedules)
    for number, group in itertools.groupby(seeds, lambda seed: seed // SAME_SETTING):
        own = folder / str(number)
        own.mkdir(parents=True, exist_ok=True)
        kind = setting(number * SAME_SETTING)
        print(f"{kind.name}:", flush=True)
        with World(own, kind, machines) as world:
            for seed in group:
                if not succeeded(Run(world, kind), schedule(seed, short=options.short)):
                    failed.append(seed)
                    if not options.go_on:
                        return failed
    return failed


def succeeded(one: Run, planned: Schedule) -> bool:
    """Tells of a schedule, and all about one that failed."""
    print(planned, flush=True)
    began = time.monotonic()
    try:
        told, found = one.carry_out(planned)
    except AssertionError as error:
        told, found = "no end", [str(error)]
    print(f"    {told}, {time.monotonic() - began:.1f} s in all", flush=True)
    if found:
        print("FAILED:", *found, "TRACE:", *one.world.trace, sep="\n", flush=True)
    return not found


if __name__ == "__main__":
    main()
