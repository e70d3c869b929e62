"""Snapshots: when one is taken, by whom it is waited for, and what became of the last.

A forked child writes it (`persist/snapshot.py`); the loop goes on, SAVE's too: only who asked for it waits.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringkeeper.commands.connection import COMPATIBLE_VERSION
from ringkeeper.persist.files import DiskFiles
from ringkeeper.persist.snapshot import Extent, fork, save_in
from ringkeeper.resp.values import ReplyError

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""After a failure the rules wait so long (Redis's CONFIG_BGSAVE_RETRY_DELAY)."""
IN_PROGRESS = ReplyError("ERR Background save already in progress")
REPORT_BYTES = 65536

Done = Callable[[str], None]
"""Called with what went wrong, or with an empty text."""


@dataclass(slots=True)
class Running:
    """A snapshot that is being taken."""

    pid: int
    reports: int
    began: float
    """By the monotonic clock."""
    dirty: int
    """Changes that it holds."""
    total: int
    """Keys at the fork."""
    keys: int = 0
    """Written so far."""
    error: str = ""
    copied: int = 0
    cancelled: bool = False
    rest: bytes = b""
    """Of a report that has not come whole."""
    waiting: list[Done] = field(default_factory=list)


class Snapshots:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.rules: list[tuple[int, int]] = []
        """After so many seconds, if there were so many changes."""
        self.running: Running | None = None
        self.scheduled = False
        self.saved_dirty = 0
        """Changes that the last snapshot holds."""
        self.saved_ms = node.started_ms
        self.succeeded = True
        """Whether the last one that was tried did."""
        self.error = ""
        self.tried = 0.0
        self.seconds = -1
        """That the last one took."""
        self.copied = 0
        """Memory that had to be copied during it, in bytes."""
        self.fork_us = 0
        self.saves = 0

    @property
    def dirty(self) -> int:
        """Changes since the start."""
        return sum(keyspace.dirty for keyspace in self.node.databases)

    @property
    def unsaved(self) -> int:
        """Changes since the last snapshot."""
        return self.dirty - self.saved_dirty

    @property
    def blocks_writes(self) -> bool:
        """Whether the last failure forbids changes that could not be kept."""
        return bool(self.rules) and not self.succeeded and self.node.config.flag("stop-writes-on-bgsave-error")

    @property
    def path(self) -> Path:
        return Path(self.node.config.text("dir"), self.node.config.text("dbfilename")).resolve()

    def round(self) -> None:
        """Look whether a rule asks for a snapshot. To be called now and then."""
        if self.running is not None:
            return
        now = time.monotonic()
        if self.scheduled:
            self.scheduled = False
            self.try_to_start("It was asked for")
        elif self.succeeded or now - self.tried >= RETRY_SECONDS:
            age = (self.node.clock.now_ms - self.saved_ms) / 1000
            for seconds, changes in self.rules:
                if age >= seconds and self.unsaved >= changes:
                    self.try_to_start(f"{self.unsaved} changes in {age:.0f} seconds")
                    return

    def try_to_start(self, why: str) -> None:
        log.info("%s. Saving...", why)
        try:
            self.start()
        except ReplyError as error:
            log.warning("Cannot take a snapshot: %s", error.text)

    def start(self, done: Done | None = None) -> None:
        """Take one; `done` is told of its end. Raises `ReplyError`."""
        if self.running is not None:
            raise IN_PROGRESS
        self.scheduled = False
        self.tried = time.monotonic()
        try:
            pid, reports = fork(self.work())
        except OSError as error:
            self.failed(f"fork: {error.strerror}")
            raise ReplyError(f"ERR Can't save in background: fork: {error.strerror}") from None
        self.fork_us = int((time.monotonic() - self.tried) * 1e6)
        total = sum(map(len, self.node.databases))
        self.running = Running(pid, reports, self.tried, self.dirty, total, waiting=[done] if done else [])
        self.node.loop.add_reader(reports, self.read)
        log.info("Background saving started by pid %d", pid)

    def last(self, done: Done) -> None:
        """Take one as soon as none is being taken: nothing will be changed any more."""
        if self.running is not None:
            self.running.waiting.append(lambda _: self.last(done))
            return
        try:
            self.start(done)
        except ReplyError as error:
            done(error.text)

    def work(self) -> Callable[[Callable[[dict[str, Any]], None]], None]:
        """What the child does."""
        node, path = self.node, self.path
        policy = node.config.text("maxmemory-policy")
        extent = Extent(idle_times=policy.endswith("-lru"), frequencies=policy.endswith("-lfu"))
        aux = {
            "redis-ver": COMPATIBLE_VERSION,
            "redis-bits": "64",
            "ctime": str(node.clock.now_ms // 1000),
            "used-mem": str(node.used_bytes),
            "ringkeeper-ver": node.version,
            "ringkeeper-node": node.membership.id,
        }
        fields = [(name.encode(), text.encode()) for name, text in aux.items()]
        files = DiskFiles(str(path.parent))
        return lambda report: save_in(files, path.name, node.databases, fields, extent, report)

    def read(self) -> None:
        """The child has told something, or ended."""
        running = self.running
        assert running is not None
        data = os.read(running.reports, REPORT_BYTES)
        if not data:
            self.end(running)
            return
        *lines, running.rest = (running.rest + data).split(b"\n")
        for line in lines:
            facts = json.loads(line)
            running.keys = facts.get("keys", running.keys)
            running.copied = facts.get("copied", running.copied)
            running.error = facts.get("error", running.error)

    def end(self, running: Running) -> None:
        self.node.loop.remove_reader(running.reports)
        os.close(running.reports)
        _, status = os.waitpid(running.pid, 0)
        self.running = None
        self.seconds = int(time.monotonic() - running.began)
        if running.cancelled:
            running.error = "it was cancelled"
            self.remove_leftover(running.pid)
        elif os.WIFSIGNALED(status):
            running.error = f"the child was killed by {signal.Signals(os.WTERMSIG(status)).name}"
            self.remove_leftover(running.pid)
        elif status and not running.error:
            running.error = f"the child ended with {os.waitstatus_to_exitcode(status)}"
        if running.cancelled:
            log.info("Background saving by pid %d was cancelled", running.pid)
        elif running.error:
            self.failed(running.error)
        else:
            self.succeeded = True
            self.error = ""
            self.saves += 1
            self.saved_dirty = running.dirty
            self.saved_ms = self.node.clock.now_ms
            self.copied = running.copied
            log.info("DB saved on disk: %d keys in %s; %d MB of memory were copied meanwhile",
                     running.keys, self.path, running.copied >> 20)  # fmt: skip
        self.node.choose_gates()
        for done in running.waiting:
            done(running.error)

    def failed(self, error: str) -> None:
        self.succeeded = False
        self.error = error
        log.warning("Background saving error: %s: %s", self.path, error)
        self.node.choose_gates()

    def remove_leftover(self, pid: int) -> None:
        """What a child that was killed had written."""
        self.path.with_name(f"temp-{pid}.rdb").unlink(missing_ok=True)

    def abort(self) -> None:
        """End the snapshot that is being taken, if there is one: it is no failure."""
        if self.running is not None:
            self.running.cancelled = True
            os.kill(self.running.pid, signal.SIGKILL)

    def cancel(self) -> str:
        if self.running is not None:
            self.abort()
            return "Background saving cancelled"
        if self.scheduled:
            self.scheduled = False
            return "Scheduled background saving cancelled"
        raise ReplyError("ERR Background saving is currently not in progress or scheduled")
