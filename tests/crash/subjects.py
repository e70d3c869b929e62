"""The servers that are killed: our node, forked from a process that has everything loaded, and a real Redis."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Protocol

from crash.client import Control
from crash.history import Lost
from forked import Zygote
from ports import free_ports
from server_process import DEADLINE

LONGEST_START = 120.0
"""Seconds; a start takes far less where nothing else runs."""


class Subject(Protocol):
    """A server on a folder, that can be started, killed, and started again."""

    folder: Path
    port: int
    pid: int

    def start(self) -> None:
        """Without waiting for anything."""

    def wait(self) -> int:
        """Until it has ended; its exit code."""


def log_of(subject: Subject) -> str:
    """What it has said since its last start."""
    path = Path(f"{subject.folder}.log")
    return path.read_text() if path.exists() else ""


def ready(subject: Subject) -> Control:
    """A connection to it when it has loaded everything. Raises `Lost` if it refuses to start."""
    deadline = time.monotonic() + LONGEST_START
    while True:
        with contextlib.suppress(ConnectionError):
            control = Control(subject.port)
            if getattr(control.ask("PING"), "text", b"") == b"PONG" and control.facts("persistence")["loading"] == "0":
                return control
            control.close()
        if has_ended(subject.pid):
            raise Lost(f"it does not start: {log_of(subject)}")
        assert time.monotonic() < deadline, log_of(subject)
        time.sleep(0.004)


def has_ended(pid: int) -> bool:
    """Also if nobody has asked yet how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # before it was opened, or after
        return True


def kill(subject: Subject, number: signal.Signals = signal.SIGKILL) -> int:
    """Its exit code."""
    os.kill(subject.pid, number)
    return subject.wait()


def children(subject: Subject) -> list[int]:
    """Those that it has forked, and that live."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{subject.pid}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


class Redis:
    """A real one."""

    def __init__(self, folder: Path, *directives: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.directives = directives
        self.port = self.pid = 0

    def start(self) -> None:
        self.port = free_ports(1)[0]
        with open(f"{self.folder}.log", "wb") as log:
            self.process = subprocess.Popen(
                ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder),
                 *self.directives], stdout=log, stderr=log)  # fmt: skip
        self.pid = self.process.pid

    def wait(self) -> int:
        return self.process.wait(DEADLINE)


class Node:
    """Ours. With `forgets` the disk keeps of each file only what was synced, and perhaps some more."""

    def __init__(self, zygote: Zygote, folder: Path, *directives: str, forgets: bool = False, ignored: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        self.zygote = zygote
        self.folder = folder
        self.directives = directives
        self.syncs = folder.parent / f"{folder.name}.syncs" if forgets else None
        self.ignored = ignored
        """Syncs in a hundred that are left out."""
        self.slowest = 0.01
        """Seconds that a sync takes at most, where the disk forgets: what comes meanwhile is not synced."""
        self.user = 0
        """Another than root, if it is to be."""
        self.port = self.pid = 0

    @property
    def trouble(self) -> Path:
        """While there is this file, the disk fails now and then."""
        return Path(f"{self.syncs}.trouble")

    def start(self) -> None:
        self.trouble.unlink(missing_ok=True)
        Path(f"{self.folder}.log").unlink(missing_ok=True)
        self.port, admin = free_ports(2)
        argv = ["--port", str(self.port), "--admin-port", str(admin), "--bind", "127.0.0.1", "--dir", str(self.folder),
                *self.directives]  # fmt: skip
        self.pid = self.zygote.ask(
            argv=argv,
            log=f"{self.folder}.log",
            syncs=str(self.syncs or ""),
            ignored=self.ignored,
            user=self.user,
            slowest=self.slowest,
        )

    def wait(self) -> int:
        code = self.zygote.ask(wait=self.pid)
        self.pid = 0
        return code

    def forget(self, random: Random) -> int:
        """Let the power have gone as well: cut off some or all of what was not synced. How many bytes that were."""
        if self.syncs is None:
            return 0
        lines = self.syncs.read_text().split("\n")[:-1] if self.syncs.exists() else []
        synced = {int(inode): int(size) for inode, size in map(str.split, lines)}
        cut = 0
        for path in self.folder.rglob("*"):
            if path.is_file():
                file = path.stat()
                kept = synced.get(file.st_ino, 0)
                if kept < file.st_size:
                    keep = kept if random.random() < 0.75 else random.randrange(kept, file.st_size)
                    cut += file.st_size - keep
                    os.truncate(path, keep)
        self.syncs.write_text("")
        for path in self.folder.rglob("*"):
            with open(self.syncs, "a") as notes:
                notes.write(f"{path.stat().st_ino} {path.stat().st_size}\n")
        return cut
