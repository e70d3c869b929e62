"""A node as a process of this machine: started, recognised after a restart of the supervisor, stopped.

A pid alone names no process for long: with it stands the time at which the kernel started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ringkeeper_operator.runtime.local_folder import write_durably

STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
TAIL_BYTES = 4096
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
"""Seconds between the starts of a node that does not stay up."""
SETTLED_SECONDS = 20.0
"""A process that lived for so long is not crash-looping."""


def start_time(pid: int) -> str | None:
    """When the kernel started the process, in its own unit, or None when there is none (or only its remains)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


@dataclass(slots=True)
class Attempts:
    """How often a node was started, and when it may be started again."""

    count: int = 0
    started_at: float = 0.0

    def may_start(self, now: float) -> bool:
        return now >= self.started_at + self.pause(now)

    def pause(self, now: float) -> float:
        if self.count < 2 or now - self.started_at > SETTLED_SECONDS:
            return 0.0
        return float(min(FIRST_PAUSE * 2 ** (self.count - 2), LAST_PAUSE))


class NodeProcess:
    """One node's process. `folder` is the node's own."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.child: subprocess.Popen[bytes] | None = None
        self.attempts = Attempts()
        self.exit_code: int | None = None

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    def pid(self) -> int | None:
        """Of the living process, whoever started it."""
        if self.child is not None and self.child.poll() is not None:
            self.exit_code, self.child = self.child.returncode, None
        try:
            pid, started = (self.folder / "node.pid").read_text().split()
        except (OSError, ValueError):
            return None
        return int(pid) if start_time(int(pid)) == started else None

    def start(self, directives: dict[str, str]) -> None:
        """Start the node with these directives; raises `OSError`."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = "".join(f"{name} {quoted(value)}\n" for name, value in directives.items())
        write_durably(self.folder / "node.conf", lines.encode())
        now = time.monotonic()
        if now - self.attempts.started_at > SETTLED_SECONDS:
            self.attempts.count = 0
        self.attempts.count += 1
        self.attempts.started_at = now
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-P", "-m", "ringkeeper.server", str(self.folder / "node.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        started = start_time(self.child.pid)
        write_durably(self.folder / "node.pid", f"{self.child.pid} {started}".encode())

    def trouble(self) -> str:
        """Why it is not there, if it was: how it ended and the last thing that it said."""
        if self.exit_code is None or self.exit_code == -signal.SIGKILL:
            return ""
        how = f"exited with code {self.exit_code}" if self.exit_code >= 0 else f"was ended by signal {-self.exit_code}"
        last = self.tail(1)
        return f"{how}: {last[0]}" if last else how

    def tail(self, lines: int) -> list[str]:
        """The last lines of its log."""
        try:
            with open(self.log, "rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - max(TAIL_BYTES, 200 * lines)))
                return log.read().decode("utf-8", "replace").splitlines()[-lines:]
        except OSError:
            return []

    async def stop(self, patience: float = STOP_SECONDS) -> None:
        """End it: politely, then not."""
        for sign, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, patience)):
            pid = self.pid()
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
            deadline = time.monotonic() + seconds
            while self.pid() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells of it
                await asyncio.sleep(POLL_SECONDS)


PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:")


def quoted(value: str) -> str:
    """A word of a configuration file, whatever it holds."""
    return '"' + "".join(chr(byte) if byte in PLAIN else f"\\x{byte:02x}" for byte in value.encode()) + '"'
