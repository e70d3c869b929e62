"""How long nodes, and the children that write their snapshots, keep a processor that others wait for."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from laptop import eventually
from server_process import serving

from ringkeeper import turns
from ringkeeper.persist import snapshot

KERNEL = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2]) if sys.platform == "linux" else ()


def asked(pid: int = 0) -> tuple[int, int, int]:
    """Policy, niceness and the length of turns of a process, by sched_getattr(2), whose number follows the other's."""
    attributes = ctypes.create_string_buffer(turns.ATTRIBUTES.size)
    number = turns.CALLS[os.uname().machine] + 1
    assert ctypes.CDLL(None).syscall(number, pid, attributes, turns.ATTRIBUTES.size, 0) == 0
    _, policy, _, nice, _, runtime, _, _ = turns.ATTRIBUTES.unpack(attributes.raw)
    return policy, nice, runtime


def in_a_child(work: Any) -> Any:
    pid, reports = snapshot.fork(lambda report: report({"found": work()}))
    os.set_blocking(reports, True)
    with os.fdopen(reports) as told:
        found = json.loads(told.readline())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, found
    return found["found"]


@pytest.mark.skipif(KERNEL < (6, 12), reason="before Linux 6.12 nobody may ask for turns of another length")
def test_a_node_has_short_turns_and_the_child_that_writes_its_snapshot_has_not(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        policy, nice, runtime = eventually(lambda: asked(server.process.pid), "it is there")
        assert (policy, nice, runtime) == (os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0), turns.SHORT)

    def child() -> tuple[int, int, int]:
        return asked()

    def short() -> tuple[int, int, int]:
        turns.take(turns.SHORT)
        return asked()

    policy, nice, runtime = in_a_child(child)
    assert nice == min(os.getpriority(os.PRIO_PROCESS, 0) + snapshot.NICENESS, 19)
    assert runtime > turns.SHORT
    assert in_a_child(short) == [policy, nice, turns.SHORT], "nothing else of it changes"


def test_a_machine_that_cannot_be_asked_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "CALLS", {})
    assert not turns.take(turns.SHORT)


def test_a_process_that_somebody_gave_another_policy_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: os.SCHED_IDLE)
    assert not turns.take(turns.SHORT)
