"""Thousands of crashes: `python tests/crash/run.py --cycles 3000 --seed 0`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from crash.cycles import run
from crash.trials import PLANS
from forked import zygote


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=3000, help="of all plans together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plan", choices=PLANS, help="only this one")
    arguments = parser.parse_args()
    names = [arguments.plan] if arguments.plan else list(PLANS)
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    print(f"files and logs are kept in {folder} if something is lost", flush=True)
    with zygote() as forks:
        for name in names:
            plan, began = PLANS[name], time.monotonic()
            count = max(arguments.cycles // len(names), 1)
            trial = plan.trial(
                forks, folder / name.replace(" ", "-").replace(",", ""), Random(f"{arguments.seed} {name}")
            )
            try:
                run(trial, count, plan.longest, plan.shortest)
            finally:
                print(f"{name}: {trial.tally}, {(time.monotonic() - began) / count:.2f} s a cycle", flush=True)


if __name__ == "__main__":
    main()
