"""Servers are killed at random moments, hundreds of times, and come back with what they acknowledged."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random, SystemRandom

import pytest
from crash.cycles import Trial, all_answered, answered_for_two_seconds, run
from crash.history import Lost
from crash.subjects import Node
from crash.trials import ALWAYS, EVERYSEC, PLANS, Plan, redis
from forked import Zygote, zygote

CYCLES = {
    "always": 40,
    "always, the power goes": 50,
    "rewritten all the time": 12,
    "everysec": 25,
    "everysec, the power goes": 3,
    "everysec, a slow disk": 1,
    "the policy changes": 10,
    "told to stop": 10,
    "the disk is full": 4,
    "the disk fails": 4,
    "snapshots": 25,
    "killed while loading": 20,
    "switched on and off": 15,
}
"""Thousands: `make soak`."""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def forks() -> Iterator[Zygote]:
    with zygote() as made:
        yield made


@pytest.fixture
def random() -> Random:
    seed = SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    return Random(seed)


@pytest.mark.parametrize("name", PLANS)
def test_what_was_acknowledged_is_there_behind_a_crash(
    forks: Zygote, tmp_path: Path, random: Random, name: str
) -> None:
    plan = PLANS[name]
    tally = run(plan.trial(forks, tmp_path / "node", random), CYCLES[name], plan.longest, plan.shortest)
    print(tally)
    assert tally.cycles == CYCLES[name]
    assert tally.answered > 0
    if plan.required is all_answered:
        assert tally.required == tally.answered


# That the tests can fail, and do not where nothing is lost


def test_a_real_redis_loses_nothing_either(tmp_path: Path, random: Random) -> None:
    assert run(redis(tmp_path / "redis", random, all_answered, *ALWAYS), 8).required > 0


def test_a_server_that_writes_nothing_is_found_out(tmp_path: Path, random: Random) -> None:
    with pytest.raises(Lost):
        run(redis(tmp_path / "redis", random, all_answered, "--appendonly", "no"), 3, shortest=0.1)


def test_a_node_that_syncs_nothing_is_found_out(forks: Zygote, tmp_path: Path, random: Random) -> None:
    plan = Plan(ALWAYS, all_answered, forgets=True)
    with pytest.raises(Lost):
        run(plan.trial(forks, tmp_path / "node", random, ignored=100), 5, shortest=0.1)


def test_a_node_that_syncs_too_seldom_is_found_out(forks: Zygote, tmp_path: Path, random: Random) -> None:
    plan = Plan(EVERYSEC, answered_for_two_seconds, forgets=True)
    with pytest.raises(Lost):
        run(plan.trial(forks, tmp_path / "node", random, ignored=100), 2, longest=3.5, shortest=3)


class Cutter(Node):
    """Loses the end of the log by itself."""

    def forget(self, random: Random) -> int:  # noqa: ARG002
        last = max(self.folder.glob("appendonlydir/*.incr.aof"), key=lambda path: path.stat().st_mtime)
        size = last.stat().st_size
        os.truncate(last, math.ceil(size * 0.7))
        return size


def test_a_log_whose_end_is_lost_is_found_out(forks: Zygote, tmp_path: Path, random: Random) -> None:
    node = Cutter(forks, tmp_path / "node", *ALWAYS)
    with pytest.raises(Lost):
        run(Trial(node, random, all_answered), 3, shortest=0.1)
