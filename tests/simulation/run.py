"""Many histories: `python tests/simulation/run.py [--moves] --histories 5000 --seed 0 [--mutation NAME]`.

History N has seed N, so a run that was stopped goes on with `--seed`; what breaks an invariant is shrunk and told.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from simulation import moving, moving_mutations
from simulation.history import LEAST_EVENTS, SHARES, History, Outcome
from simulation.moving import MovingHistory, moving_plan
from simulation.mutations import MUTATIONS
from simulation.plan import Plan, plan
from simulation.shrink import shrink, trace

OFTEN = 10_000


class Tally:
    """What many histories saw."""

    def __init__(self, shares: tuple[str, ...] = SHARES) -> None:
        self.shares = shares
        self.histories = self.events = self.short = 0
        self.seen: Counter[str] = Counter()

    def count(self, outcome: Outcome) -> None:
        self.histories += 1
        self.events += outcome.events
        self.short += outcome.events < LEAST_EVENTS
        self.seen.update(set(outcome.seen))

    def share(self, what: str) -> float:
        return self.seen[what] / max(self.histories, 1)

    def report(self) -> str:
        shares = ", ".join(f"{what} {self.share(what):.1%}" for what in self.shares)
        others = ", ".join(f"{what} {self.share(what):.1%}" for what in sorted(self.seen) if what not in self.shares)
        return (
            f"{self.histories} histories of {self.events // max(self.histories, 1)} events on average, {self.short} of "
            f"fewer than {LEAST_EVENTS}. Shares with {shares}; {others}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0, help="of the first history; each has the next one")
    parser.add_argument("--moves", action="store_true", help="two shards, between which slots move")
    parser.add_argument(
        "--mutation",
        choices=sorted(MUTATIONS | moving_mutations.MUTATIONS),
        help="leave this rule out, with the plans that show it",
    )
    arguments = parser.parse_args()
    moves = arguments.moves or arguments.mutation in moving_mutations.MUTATIONS
    mutation = (MUTATIONS | moving_mutations.MUTATIONS).get(arguments.mutation)
    history = MovingHistory if moves else History
    make = mutation.plan if mutation else moving_plan if moves else plan
    last = arguments.seed + arguments.histories
    tally, began = Tally(moving.SHARES if moves else SHARES), time.monotonic()
    with mutation.applied() if mutation else nullcontext():
        for seed in range(arguments.seed, last):
            outcome = history(make(seed)).run()
            tally.count(outcome)
            if outcome.violation:
                tell(outcome.plan, history)
                sys.exit(1)
            if tally.histories % OFTEN == 0:
                print(f"{time.monotonic() - began:.0f} s; to go on: --seed {seed + 1} --histories {last - seed - 1}")
    print(f"{tally.report()}; {time.monotonic() - began:.0f} s")


def tell(plan: Plan, history: type[History]) -> None:
    smaller = shrink(plan, lambda plan: bool(history(plan).run().violation))
    print("\n".join(trace(smaller, history)))
    print(f"seed {plan.seed}, shrunk to {len(smaller.faults)} of {len(plan.faults)} faults")


if __name__ == "__main__":
    main()
