"""Crashes, pauses and cuts of real processes while slots move: see `run.py`. Hundreds: `make soak`."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from migrations.schedules import SAME_SETTING, SETTINGS

LONGEST = 300


def carry_out(folder: Path, schedules: int, seed: int, *options: str) -> str:
    """What the run told; fails with it."""
    command = [sys.executable, Path(__file__).with_name("run.py"), "--schedules", str(schedules), "--seed", str(seed)]
    run = subprocess.Popen(
        [*command, "--keep", folder, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        told, _ = run.communicate()
    finally:
        run.send_signal(signal.SIGTERM)  # so that it leaves no process
        run.wait()
    assert run.returncode == 0, told
    return told


@pytest.mark.timeout(LONGEST)
def test_nothing_is_lost_or_doubled_whatever_happens_while_slots_move(tmp_path: Path) -> None:
    seeds = [number * SAME_SETTING for number in range(len(SETTINGS))]
    with ThreadPoolExecutor(len(seeds)) as pool:
        runs = [pool.submit(carry_out, tmp_path / str(seed), SAME_SETTING, seed, "--short") for seed in seeds]
    told = "".join(run.result() for run in runs)
    assert re.search(r"[1-9]\d* terms", told), "no shard got another master: this has shown little"
