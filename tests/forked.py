"""Nodes that are forked from a process that has everything loaded: a start costs a tenth of what imports cost."""

from __future__ import annotations

import atexit
import contextlib
import functools
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Zygote:
    """Forks nodes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("zygote.py"))], text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        self.lock = threading.Lock()

    def ask(self, **wish: Any) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.lock:
            self.process.stdin.write(json.dumps(wish) + "\n")
            self.process.stdin.flush()
            return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    try:
        yield made
    finally:
        made.close()


class Forked:
    """A node's process, with what the tests use of `subprocess.Popen`."""

    def __init__(self, zygote: Zygote, argv: list[str], log: Path) -> None:
        self.zygote = zygote
        self.returncode: int | None = None
        self.pid = zygote.ask(argv=argv, log=str(log))
        self.end = os.pidfd_open(self.pid)

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            ended = select.poll()
            ended.register(self.end, select.POLLIN)
            if not ended.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired(f"node {self.pid}", timeout or 0)
            self.returncode = self.zygote.ask(wait=self.pid)
            os.close(self.end)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _zygotes() -> Iterator[Zygote]:
    """One after the other, so that nodes beside each other hash by different seeds, as those that are started do."""
    made = [Zygote(), Zygote()]
    for each in made:
        atexit.register(each.close)
    return itertools.cycle(made)


def forked(argv: list[str], log: Path) -> Forked:
    return Forked(next(_zygotes()), argv, log)
