"""A snapshot for replicas: written by a forked child to a file that nobody else sees, and sent while it grows.

Each replica reads it at its own pace, so a slow one delays neither the child nor the others; one that comes later gets
the same snapshot, as long as the backlog still has all that came since. When the link of a replica breaks that can go
on with the rest, the snapshot and the backlog from there on are kept for it for a while.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ringkeeper.persist.files import DiskOutput
from ringkeeper.persist.snapshot import Report, write_dataset
from ringkeeper.replication.backlog import Backlog
from ringkeeper.server.child import Child
from ringkeeper.server.snapshots import aux_fields, extent_of, to_the_letter

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

KEPT_SECONDS = 10.0
"""How long a finished snapshot serves replicas that come late."""
INTERRUPTED_SECONDS = 60.0
"""How long it is kept for one that had got a part of it."""
CHUNK = 128 * 1024


class Snapshot:
    """Raises `OSError` if there can be no file or no child."""

    def __init__(self, node: Node, offset: int, backlog: Backlog) -> None:
        self.node = node
        self.backlog = backlog
        """That which goes on from it."""
        self.offset = offset
        """Of the history, behind the last change that it has."""
        self.mark = secrets.token_hex(20).encode()
        self.readers = 0
        self.interrupted_at = 0.0
        """When the link broke over which one was sent it that can take the rest later; 0 if none did."""
        self.finished = 0.0
        """When the child had written all of it; 0 before."""
        self.error = ""
        self.size = 0
        self.grown = asyncio.Event()
        self.in_memory = hasattr(os, "RWF_NOWAIT")
        """Whether the system can say what of the file is in memory (Linux, and not every file system)."""
        path = Path(node.config.text("dir"), f"temp-sync-{os.getpid()}-{secrets.token_hex(4)}.rdb").resolve()
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            databases, fields, extent = node.databases, aux_fields(node, base=False), extent_of(node)
            follows = node.effects.journal.following

            def work(report: Report) -> None:
                output = DiskOutput(os.open(path, os.O_WRONLY))
                os.unlink(path)
                with to_the_letter(databases if follows else ()):
                    keys = write_dataset(output.write, databases, fields, extent, lambda done: report({"keys": done}))
                report({"keys": keys, "bytes": os.lseek(output.descriptor, 0, os.SEEK_CUR)})

            self.child: Child | None = node.fork(work, self.ended)
        except OSError:
            os.unlink(path)
            os.close(self.descriptor)
            raise
        self.path = path

    def ended(self, child: Child) -> None:
        self.child = None
        self.finished = time.monotonic()
        self.error = child.error
        self.size = child.bytes
        self.path.unlink(missing_ok=True)
        self.grown.set()
        if self.error:
            log.warning("A snapshot for replicas failed: %s", self.error)

    async def read(self, position: int) -> bytes | bytearray:
        """What there is from there on, a chunk at most; raises `OSError`.

        The child has just written it, so it is in memory as a rule and needs no thread, which would be one more to
        wait for a processor. A thread waits for the disk otherwise.
        """
        if self.in_memory:
            buffer = bytearray(CHUNK)
            try:
                del buffer[os.preadv(self.descriptor, [buffer], position, os.RWF_NOWAIT) :]
                return buffer
            except BlockingIOError:
                pass
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                    raise
                self.in_memory = False
        return await self.node.loop.run_in_executor(None, os.pread, self.descriptor, CHUNK, position)

    @property
    def over(self) -> bool:
        """Whether it serves nobody any more."""
        if not self.finished or self.readers:
            return False
        return bool(self.error) or (time.monotonic() - self.finished > KEPT_SECONDS and not self.is_awaited)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody may come for the rest of it."""
        interrupted = self.interrupted_at
        return interrupted > 0 and not self.error and time.monotonic() - interrupted < INTERRUPTED_SECONDS

    def has(self, mark: bytes, size: int) -> bool:
        """Whether a replica that has so much of a snapshot of this mark can be sent the rest."""
        return mark == self.mark and not self.error and 0 < size <= os.fstat(self.descriptor).st_size

    def close(self) -> None:
        if self.child is not None:
            self.child.cancel()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
