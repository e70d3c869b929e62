"""python tests/differential/run.py --commands 1000000 --seed 0: random commands beside a real Redis."""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

from compare import Difference, Peer, compare  # noqa: E402
from groups import GROUPS, PEERS, UNCODED, generator_for  # noqa: E402
from real_redis import real_redis  # noqa: E402
from server_process import serving  # noqa: E402

CHUNK = 20_000


def run(commands: int, seed: int, protocol: int, folder: pathlib.Path, group: str = "strings") -> list[Difference]:
    """The differences of so many commands; every chunk begins with empty databases."""
    with (
        real_redis(folder, PEERS.get(group, "redis")) as redis_port,
        serving(folder, "--enable-debug-command", "yes") as node,
    ):
        for start in range(0, commands, CHUNK):
            generator = generator_for(group, seed * 1_000_003 + start)
            batch = [generator.command() for _ in range(min(CHUNK, commands - start))]
            with (
                contextlib.closing(Peer(redis_port, protocol)) as theirs,
                contextlib.closing(Peer(node.port, protocol)) as ours,
            ):
                found = compare(batch, theirs, ours, encodings=group not in UNCODED)
            if found:
                return found
    return []


def show(difference: Difference) -> str:
    lines = [
        f"command {difference.command}",
        f"  Redis: {difference.theirs!r:.500}",
        f"  ours:  {difference.ours!r:.500}",
    ]
    return "\n".join([*lines, *(f"  after  {command}" for command in difference.before)])


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--commands", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--resp", type=int, choices=(2, 3), help="one protocol only")
    options.add_argument("--group", choices=GROUPS, default="strings")
    chosen = options.parse_args()
    code = 0
    for protocol in (chosen.resp,) if chosen.resp else (2, 3):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = run(chosen.commands, chosen.seed, protocol, pathlib.Path(folder), chosen.group)
        for difference in found:
            print(show(difference))
        print(
            f"RESP{protocol}: {chosen.group}: {chosen.commands} commands, seed {chosen.seed}: "
            f"{len(found)} differences, {time.monotonic() - started:.0f} s"
        )
        code |= bool(found)
    return code


if __name__ == "__main__":
    sys.exit(main())
