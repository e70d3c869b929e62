"""The operator of `partitions/operate.py`, for clusters whose slots move as a file says.

    python operate.py NAME FOLDER PLACES

Beside PLACES, `weights.json` holds the shards' weights, by index. Moves, and nodes that ended, are tried again soon.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path

# The folder of the operator's tests has its package's name, and would be taken for it where that is installed editable.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "node"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from partitions.operate import main

from ringkeeper.cluster.ring import CEILING, FLOOR, place
from ringkeeper_operator.plan import rebalance
from ringkeeper_operator.runtime import local_process, loop, moving

WEIGHTS = "weights.json"
PAUSE = 0.1
"""Seconds; a person's cluster has more time."""


def read_weights(file: Path) -> dict[int, float]:
    return {int(shard): weight for shard, weight in json.loads(file.read_text()).items()}


def place_by(
    file: Path,
    shards: int,
    vnodes: int,
    _: Mapping[int, float] | None,
    previous: Sequence[int] | None,
    *,
    floor: float = FLOOR,
    ceiling: float = CEILING,
) -> tuple[int, ...]:
    """`place` with the weights that the file holds now."""
    weights = tuple(read_weights(file).items())
    return _place(shards, vnodes, weights, None if previous is None else tuple(previous), floor, ceiling)


@lru_cache(maxsize=64)
def _place(
    shards: int,
    vnodes: int,
    weights: tuple[tuple[int, float], ...],
    previous: tuple[int, ...] | None,
    floor: float,
    ceiling: float,
) -> tuple[int, ...]:
    """Asked for in every round, and the same until a batch has moved."""
    return place(shards, vnodes, dict(weights), previous, floor=floor, ceiling=ceiling)


if __name__ == "__main__":
    rebalance.place = partial(place_by, Path(sys.argv[3]).with_name(WEIGHTS))  # type: ignore[assignment]
    rebalance._transfers = rebalance._transfers.__wrapped__  # type: ignore[assignment]
    moving.FIRST_PAUSE = local_process.FIRST_PAUSE = loop.IDLE_SECONDS = PAUSE
    main(*sys.argv[1:])
