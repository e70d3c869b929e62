"""Real clusters of processes, through the command line that a person uses."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DEADLINE = 60.0


def eventually(check: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """The first true answer of `check`; fails when there is none in time."""
    end = time.monotonic() + deadline
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"not within {deadline:.0f} s: {what}"
        time.sleep(0.02)


def free_base_port(count: int = 4) -> int:
    """A port such that it, its followers and their admin ports are free."""
    for base in range(21000 + os.getpid() % 400 * 20, 50000, 20):
        sockets = []
        try:
            for port in (p + offset for p in range(base, base + count) for offset in (0, 10000)):
                probe = socket.socket()
                sockets.append(probe)
                probe.bind(("127.0.0.1", port))
            return base
        except OSError:
            continue
        finally:
            for probe in sockets:
                probe.close()
    raise AssertionError("no free ports")


class Cli:
    """`ringkeeper` with a state home of its own; every cluster that it started is stopped at the end."""

    def __init__(self, home: Path) -> None:
        self.environment = os.environ | {"XDG_STATE_HOME": str(home), "COLUMNS": "120"}
        self.home = home

    def __call__(self, *arguments: str, code: int = 0, text: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ringkeeper_operator.cli", *arguments],
            env=self.environment, input=text, capture_output=True, text=True, timeout=120, cwd=self.home,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def status(self, *arguments: str) -> dict[str, Any]:
        return dict(json.loads(self("status", "--output", "json", *arguments).stdout))

    def stop_all(self) -> None:
        for entry in (self.home / "ringkeeper").glob("*.json"):
            self("down", "--name", entry.stem)
