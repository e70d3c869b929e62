"""What may happen to the process of a node, and to the lease process beside it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def lease_processes(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        children = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return [child for child in children if b"lease_process.py" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return []


def send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stop(pids: list[int], seconds: float) -> None:
    send(pids, signal.SIGSTOP)
    time.sleep(seconds)
    send(pids, signal.SIGCONT)


DEATH = "death"
FAULTS: dict[str, Callable[[int, float], None]] = {
    DEATH: lambda pid, _: send([pid], signal.SIGKILL),
    "stop": lambda pid, seconds: stop([pid], seconds),
    "stop with the lease process": lambda pid, seconds: stop([*lease_processes(pid), pid], seconds),
    "death of the lease process": lambda pid, _: send(lease_processes(pid), signal.SIGKILL),
    "stop of the lease process": lambda pid, seconds: stop(lease_processes(pid), seconds),
}
"""By name; to be called with the node's process and for how long."""
