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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ringkeeper.cluster.settings import Settings
from ringkeeper_operator.node_conf import rendered
from ringkeeper_operator.runtime.local_folder import write_durably

PROGRAM = "ringkeeper.server"
STOP_SECONDS = 5.0
POLL_SECONDS = 0.02
TAIL_BYTES, LINE_BYTES = 4096, 200
"""Of a log: read at least, and for each line that is asked for."""
LIVE = Settings().directives().keys()
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
"""Seconds between the starts of a node that does not stay up."""
SETTLED_SECONDS = 20.0
"""A process that lived for so long is not crash-looping."""


def start_time(pid: int) -> str | None:
    """When the kernel started the process, in ticks since boot, or None when there is none (or only its remains)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def age(pid: int) -> float:
    """Seconds since the process was started; 0 when there is none."""
    started = start_time(pid)
    if started is None:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(started) / os.sysconf("SC_CLK_TCK")


def find_processes(program: str, folder: Path) -> list[int]:
    """The processes whose command line has the word `program` and a path that is `folder` or beneath it."""
    own = str(folder).encode()
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
                if program.encode() in words and any(word == own or word.startswith(own + b"/") for word in words):
                    found.append(int(entry))
    return found


async def end_process(living: Callable[[], int | None], patience: float = STOP_SECONDS) -> None:
    """End what `living` names, politely, then not; returns when it names nothing, or when nothing helped."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        pid = living()
        if pid is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        deadline = time.monotonic() + patience
        while living() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(POLL_SECONDS)


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
        self.known: tuple[int, str] | None = None
        """The pid seen last, and when that process was started."""
        self.searched = False

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    @property
    def conf(self) -> Path:
        return self.folder / "node.conf"

    def pid(self) -> int | None:
        """Of the living process, whoever started it."""
        if self.child is not None:
            if self.child.poll() is None:
                return self.child.pid
            self.exit_code, self.child = self.child.returncode, None
        if self.known is None or not self._lives(*self.known):
            self.known = self._read() or self._search()
        return self.known[0] if self.known else None

    @staticmethod
    def _lives(pid: int, started: str) -> bool:
        return start_time(pid) == started

    def _read(self) -> tuple[int, str] | None:
        with contextlib.suppress(OSError, ValueError):
            pid, started = (self.folder / "node.pid").read_text().split()
            if self._lives(int(pid), started):
                return int(pid), started
        return None

    def _search(self) -> tuple[int, str] | None:
        """Once: a supervisor that was killed right after it had started the node left no word of it."""
        if self.searched or not self.conf.exists():
            return None
        self.searched = True
        for pid in find_processes(PROGRAM, self.conf):
            if started := start_time(pid):
                return pid, started
        return None

    def differs_from(self, directives: Mapping[str, str]) -> list[str]:
        """The directives with which the node was not started as these say. Those that it takes live do not count."""
        wanted = set(rendered(directives))
        try:
            there = set(self.conf.read_text().splitlines(keepends=True))
        except OSError:
            return []
        return sorted({line.split()[0] for line in wanted ^ there} - LIVE)

    def start(self, directives: Mapping[str, str], prefix: Sequence[str] = ()) -> None:
        """Start the node with these directives, by way of the program `prefix` if there is one; raises `OSError`."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_durably(self.conf, "".join(rendered(directives)).encode())
        now = time.monotonic()
        if now - self.attempts.started_at > SETTLED_SECONDS:
            self.attempts.count = 0
        self.attempts.count += 1
        self.attempts.started_at = now
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [*prefix, sys.executable, "-P", "-m", PROGRAM, str(self.conf)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        started = start_time(self.child.pid)
        if started is not None:
            self.known = (self.child.pid, started)
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
        if lines < 1:
            return []
        try:
            with open(self.log, "rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(0, size - max(TAIL_BYTES, LINE_BYTES * lines)))
                return log.read().decode("utf-8", "replace").splitlines()[-lines:]
        except OSError:
            return []

    async def stop(self, patience: float = STOP_SECONDS) -> None:
        """End it; after `patience` seconds by force."""
        await end_process(self.pid, patience)
