"""Snapshots: when one is taken, by whom it is waited for, and what became of the last.

A forked child writes it (`persist/snapshot.py`); the loop goes on, SAVE's too: only who asked for it waits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ringkeeper.commands.connection import COMPATIBLE_VERSION
from ringkeeper.persist.files import DiskFiles, Files
from ringkeeper.persist.snapshot import Extent, Report, Work, save_in
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.child import Child
from ringkeeper.store.keyspace import Keyspace

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""After a failure the rules wait so long (Redis's CONFIG_BGSAVE_RETRY_DELAY)."""
IN_PROGRESS = ReplyError("ERR Background save already in progress")
REWRITING = ReplyError(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a "
    "BGSAVE whenever possible."
)

Done = Callable[[str], None]
"""Called with what went wrong, or with an empty text."""


class Snapshots:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.rules: list[tuple[int, int]] = []
        """After so many seconds, if there were so many changes."""
        self.running: Child | None = None
        self.running_dirty = 0
        """Changes that the running one holds."""
        self.total = 0
        """Keys that it will write, about."""
        self.waiting: list[Done] = []
        """Who wants to know of its end."""
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
        self.saves = 0
        self.failures = 0

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

    @property
    def files(self) -> DiskFiles:
        """The folder that it is in."""
        return DiskFiles(str(self.path.parent))

    def round(self) -> None:
        """Look whether a rule asks for a snapshot. To be called now and then."""
        if self.running is not None or self.node.append_only.running is not None:
            return
        now = time.monotonic()
        if self.scheduled:
            self.scheduled = False
            self.try_to_start("It was asked for")
        elif not self.succeeded:
            # Whoever waits to write can't change enough for a rule.
            if self.rules and now - self.tried >= RETRY_SECONDS:
                self.try_to_start("The last one failed")
        else:
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
        if self.node.append_only.running is not None:
            raise REWRITING
        self.scheduled = False
        self.tried = time.monotonic()
        try:
            self.running = self.node.fork(saving(self.node, self.files, self.path.name), self.end)
        except OSError as error:
            self.failed(f"fork: {error.strerror}")
            raise ReplyError(f"ERR Can't save in background: fork: {error.strerror}") from None
        self.running_dirty = self.dirty
        self.total = sum(map(len, self.node.databases))
        self.waiting = [done] if done else []
        log.info("Background saving started by pid %d", self.running.pid)

    def last(self, done: Done) -> None:
        """Take one as soon as none is being taken: nothing will be changed any more."""
        if self.running is not None:
            self.waiting.append(lambda _: self.last(done))
            return
        if self.node.append_only.running is not None:
            self.node.append_only.running.cancel()
            self.node.loop.call_later(0.01, self.last, done)
            return
        try:
            self.start(done)
        except ReplyError as error:
            done(error.text)

    def end(self, child: Child) -> None:
        self.running = None
        self.seconds = int(child.seconds)
        if child.error:
            self.path.with_name(f"temp-{child.pid}.rdb").unlink(missing_ok=True)
        if child.cancelled:
            log.info("Background saving by pid %d was cancelled", child.pid)
        elif child.error:
            self.failed(child.error)
        else:
            self.succeeded = True
            self.error = ""
            self.saves += 1
            self.saved_dirty = self.running_dirty
            self.saved_ms = self.node.clock.now_ms
            self.copied = child.copied
            self.node.append_only.snapshot_taken(child.began)
            log.info("DB saved on disk: %d keys in %s; %d MB of memory were copied meanwhile",
                     child.keys, self.path, child.copied >> 20)  # fmt: skip
        self.node.choose_gates()
        waiting, self.waiting = self.waiting, []
        for done in waiting:
            done(child.error)

    def failed(self, error: str) -> None:
        self.succeeded = False
        self.failures += 1
        self.error = error
        log.warning("Background saving error: %s: %s", self.path, error)
        self.node.choose_gates()

    def abort(self) -> None:
        """End the snapshot that is being taken, if there is one: it is no failure."""
        if self.running is not None:
            self.running.cancel()

    def cancel(self) -> str:
        if self.running is not None:
            self.abort()
            return "Background saving cancelled"
        if self.scheduled:
            self.scheduled = False
            return "Scheduled background saving cancelled"
        raise ReplyError("ERR Background saving is currently not in progress or scheduled")


def saving(node: Node, files: Files, name: str, *, base: bool = False) -> Work:
    """Have all that the node holds appear under a name; `base` makes it one of an append-only file."""
    fields, extent = aux_fields(node, base=base), extent_of(node)

    def work(report: Report) -> None:
        with to_the_letter(node.databases if node.effects.journal.following else ()):
            save_in(files, name, node.databases, fields, extent, report)

    return work


@contextmanager
def to_the_letter(databases: Iterable[Keyspace]) -> Iterator[None]:
    """The databases do what a log or a master tells, and hide nothing whose time has come: it says when that goes."""
    followed = list(databases)
    for keyspace in followed:
        keyspace.follow(True)
    try:
        yield
    finally:
        for keyspace in followed:
            keyspace.follow(False)


def extent_of(node: Node) -> Extent:
    policy = node.config.text("maxmemory-policy")
    return Extent(
        idle_times=policy.endswith("-lru"),
        frequencies=policy.endswith("-lfu"),
        compressing=node.config.flag("rdbcompression"),
        summing=node.config.flag("rdbchecksum"),
    )


def aux_fields(node: Node, *, base: bool) -> list[tuple[bytes, bytes]]:
    """What a file says of itself: Redis's own fields, and whose it is and where in the history of all changes."""
    fields = {
        "redis-ver": COMPATIBLE_VERSION,
        "redis-bits": "64",
        "ctime": str(node.clock.now_ms // 1000),
        "used-mem": str(node.used_bytes),
        "repl-stream-db": str(max(node.effects.journal.database, 0)),
        "repl-id": node.replication.id,
        "repl-offset": str(node.replication.offset),
        "ringkeeper-ver": node.version,
        "ringkeeper-term": str(node.replication.term),
    }
    if node.cluster_enabled:
        fields["ringkeeper-node"] = node.membership.id
    if base:
        fields["aof-base"] = "1"
    return [(name.encode(), text.encode()) for name, text in fields.items()]
