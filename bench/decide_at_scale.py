"""How long one round of `decide` takes in a large cluster: idle, when slots begin to move, while they move, and when
they have moved. Processor time, in a world that is made up (`tests/operator_world.py`).

    python bench/decide_at_scale.py [SHARDS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from operator_world import Operator, World, make_spec

from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import RebalanceRules, Refuse, Spec, Wait
from ringkeeper_operator.plan import rebalance
from ringkeeper_operator.status import build_status

TRIES = 3


class Unjudged(World):
    """Without what tests look at after each step."""

    def check(self) -> None: ...


def timed(world: World, operator: Operator) -> tuple[float, float]:
    """Milliseconds for a decision, and for the status that tells of it: the least of some tries."""
    best = [float("inf"), float("inf")]
    for _ in range(TRIES):
        seen = world.observe(operator)
        rebalance._transfers.cache_clear()  # as when a batch has moved
        began = time.process_time()
        action = decide(world.spec, seen, 0.0)
        decided = time.process_time()
        build_status(world.spec, seen, action, {}, 0.0)
        best = [min(best[0], decided - began), min(best[1], time.process_time() - decided)]
    return 1000 * best[0], 1000 * best[1]


def begin(world: World, operator: Operator) -> tuple[float, float]:
    """Up to the commit by which slots begin to move, which is timed."""
    while True:
        action = decide(world.spec, world.observe(operator), 0.0)
        if action is None or isinstance(action, Wait | Refuse):
            world.settle()
        elif action.reason == "MovesBegun":
            figures = timed(world, operator)
            world.apply(operator, action)
            return figures
        else:
            world.apply(operator, action)


def say(world: World, source: str, target: str) -> None:
    """How far the masters are with their moves."""
    assert world.committed
    masters = {node.id: node.shard for node in world.committed.nodes if node.role == "master"}
    for node in world.nodes.values():
        if node.id in masters:
            for move in world.committed.moves_of(node.shard):
                node.moving[move.id] = source if move.source == node.shard else target


def rest(world: World) -> None:
    """As if nothing had begun."""
    assert world.committed
    world.committed = replace(world.committed, epoch=world.committed.epoch + 1, moves=())
    for node in world.nodes.values():
        node.held = world.committed
        node.moving.clear()


def main(shards: int) -> None:
    world, operator = (
        Unjudged(make_spec(shards=shards - 1, replicas_per_shard=1, vnodes_per_shard=1000)),
        Operator("only"),
    )
    world.work(operator)
    world.operations = {slot: 9900.0 if slot % 97 == 0 else 100.0 for slot in range(16384)}
    print(f"{shards} shards of two nodes, milliseconds: a round of `decide` + its status\n")
    print("| | moves | begins | moving | moved |\n|---|---|---|---|---|")
    idle = timed(world, operator)
    print(f"| nothing to do | 0 | {idle[0]:.0f} + {idle[1]:.0f} | | |", flush=True)
    by_load = RebalanceRules(strategy="load")
    heavy = dict.fromkeys(range(0, shards, 10), 2.0)
    changes: list[tuple[str, Callable[[Spec], Spec]]] = [
        ("by load", lambda spec: replace(spec, rebalance=by_load)),
        ("other weights", lambda spec: replace(spec, rebalance=RebalanceRules(), weights=heavy)),
        ("a shard less", lambda spec: replace(spec, weights={}, shards=shards - 2)),
        ("a shard more", lambda spec: replace(spec, shards=shards)),
    ]
    for name, change in changes:
        world.spec = change(world.spec)
        world.measured = set(range(shards))
        begins = begin(world, operator)
        assert world.committed
        say(world, "feeding", "loading")
        moving = timed(world, operator)
        say(world, "released", "holding all")
        moved = timed(world, operator)
        cells = (f"{each[0]:.0f} + {each[1]:.0f}" for each in (begins, moving, moved))
        print(f"| {name} | {len(world.committed.moves)} | {' | '.join(cells)} |", flush=True)
        rest(world)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
