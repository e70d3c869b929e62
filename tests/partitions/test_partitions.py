"""Partitions of a shard of real processes, each on a machine (network namespace) of its own: see `run.py`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from partitions.schedules import KINDS

NUMBER = int(os.environ.get("RINGKEEPER_PARTITIONS", "0"))
"""Of random schedules; hundreds: `make soak`. 0: every kind of partition once."""
SEED = os.environ.get("RINGKEEPER_PARTITIONS_SEED", "1")
LONGEST = 60 + 30 * NUMBER


def carry_out(folder: Path, schedules: int, *options: str) -> str:
    """What the run told; fails with it."""
    command = [sys.executable, Path(__file__).with_name("run.py"), "--schedules", str(schedules), "--keep", folder]
    run = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told, _ = run.communicate()
    finally:
        run.send_signal(signal.SIGTERM)  # so that it leaves no process
        run.wait()
    assert run.returncode == 0, told
    return told


@pytest.mark.timeout(LONGEST)
def test_clients_cannot_tell_a_shard_with_partitions_from_a_single_server(tmp_path: Path) -> None:
    if NUMBER:
        carry_out(tmp_path, NUMBER, "--seed", SEED)
    else:
        told = carry_out(tmp_path, len(KINDS) // 2, "--seed", "0", "--short")
        assert re.search(r"[1-9]\d* terms", told), "no partition had a replica take over"


@pytest.mark.timeout(LONGEST)
def test_what_is_lost_without_acknowledgements_of_replicas_is_told(tmp_path: Path) -> None:
    if NUMBER:
        told = carry_out(tmp_path, max(1, NUMBER // 5), "--seed", SEED, "--min-acks", "0")
    else:
        told = carry_out(tmp_path, 1, "--seed", "0", "--min-acks", "0", "--short")
    assert "lost of those written once" in told, "nothing was lost: this has shown nothing"
