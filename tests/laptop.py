"""Real clusters of processes, through the command line that a person uses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from click.testing import CliRunner

from ringkeeper_operator.cli import main
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_process import PROGRAM, find_processes

ROOT = Path(__file__).parents[1]
DEADLINE = 60.0
COMMAND = (sys.executable, "-P", "-m", "ringkeeper_operator.cli")


def eventually(check: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """The first true answer of `check`; fails when there is none in time."""
    end = time.monotonic() + deadline
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"not within {deadline:.0f} s: {what}"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has asked about does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Cli:
    """`ringkeeper` with a state home of its own; every cluster that it started is stopped at the end."""

    def __init__(self, home: Path) -> None:
        self.environment = os.environ | {"XDG_STATE_HOME": str(home), "COLUMNS": "120"}
        self.home = home
        self.started: list[subprocess.Popen[str]] = []

    def __call__(
        self, *arguments: str, code: int = 0, text: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, which must be `code`; `text` is its standard input."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment | environment, input=text, capture_output=True, text=True, timeout=120, cwd=self.home,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        return done

    def start(self, *arguments: str, stdout: IO[str]) -> subprocess.Popen[str]:
        """Run a command in the background; it is killed at the end if it still runs."""
        started = subprocess.Popen(
            [*COMMAND, *arguments], env=self.environment, stdout=stdout, stderr=stdout, text=True, cwd=self.home
        )
        self.started.append(started)
        return started

    def status(self, *arguments: str) -> dict[str, Any]:
        """Looked up in this process: tests look again and again, and a start of the program costs twenty looks."""
        words = ["status", "--output", "json", *arguments]
        done = CliRunner().invoke(main, words, env={"XDG_STATE_HOME": str(self.home)}, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    def owners(self) -> tuple[int, ...]:
        """The shard of each slot, by the committed topology of the only cluster."""
        status = self.status()
        topology, _ = ClusterFolder(status["name"], Path(status["data"])).committed()
        assert topology is not None
        return topology.owners

    def stop_all(self) -> None:
        """Stop every cluster; whatever still runs after that is a fault, and is ended all the same."""
        try:
            for entry in (self.home / "ringkeeper").glob("*.json"):
                self("down", "--name", entry.stem)
        finally:
            for process in self.started:
                process.kill()
                process.wait()
            left = [pid for program in ("supervise", PROGRAM) for pid in find_processes(program, self.home)]
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        assert not left
