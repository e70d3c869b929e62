"""A snapshot that comes from a master: kept in a file that nobody else sees, then loaded into databases of its own.

The data that is here stays, and is read, until the snapshot is loaded whole. If the link breaks before all has come,
what has is kept for a while: a node that is asked next sends the rest, if it still has that very snapshot.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ringkeeper.persist.files import FileSource
from ringkeeper.persist.loading import Loader
from ringkeeper.persist.rdb import Damaged, RdbReader
from ringkeeper.persist.reader import Reader
from ringkeeper.server.snapshots import to_the_letter
from ringkeeper.store.keyspace import Keyspace

if TYPE_CHECKING:
    from ringkeeper.server.master_link import MasterLink

log = logging.getLogger(__name__)

RECORDS_AT_ONCE = 500
MOST_QUEUED = 4 << 20
"""Bytes that may wait to be written before no more are read."""


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of a snapshot."""

    mark: bytes
    """That names it."""
    offset: int
    """Of the history, behind the last change that it has."""
    descriptor: int
    """The file's, whoever holds this closes it."""
    size: int
    """Bytes."""


class Incoming:
    """Raises `OSError` if there can be no file."""

    def __init__(self, link: MasterLink, id_: str, offset: int) -> None:
        self.link = link
        self.node = link.node
        self.id = id_
        self.offset = offset
        self.size = -1
        """Bytes that were announced; -1 if the end is marked."""
        self.mark = b""
        """That names it where others know it by that."""
        self.received = 0
        self.written = 0
        """Bytes of it that the file has."""
        self.loading = False
        self.abandoned = False
        self.began = time.monotonic()
        self.database = -1
        """That of the stream behind the snapshot, where it says so."""
        self.keys = 0
        self.behind: list[bytes] = []
        """What of the stream came behind the snapshot."""
        self.queued = 0
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        path = Path(self.node.config.text("dir"), f"temp-sync-{os.getpid()}-{secrets.token_hex(4)}.rdb").resolve()
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
        self.databases = [
            Keyspace(self.node.clock, self.node.random, index) for index in range(len(self.node.databases))
        ]
        self.task = asyncio.create_task(self.run())

    def announced(self, size: int, mark: bytes) -> None:
        self.size, self.mark = size, mark

    def go_on(self, part: Part) -> None:
        """What comes is the rest of this."""
        os.close(self.descriptor)
        self.descriptor = part.descriptor
        self.mark = part.mark
        self.received = self.written = part.size

    def take(self, data: bytes) -> None:
        self.received += len(data)
        self.queued += len(data)
        self.queue.put_nowait(data)
        if self.queued > MOST_QUEUED:
            self.link.steer_reading(True)

    def complete(self) -> None:
        """All has come."""
        self.queue.put_nowait(b"")
        self.link.steer_reading(True)
        log.info("The snapshot of the master has come: %d bytes in %.1f seconds", self.received,
                 time.monotonic() - self.began)  # fmt: skip

    async def run(self) -> None:
        try:
            await self.keep_all()
            if self.abandoned:
                return
            self.loading = True
            await asyncio.to_thread(self.load)
            if not self.abandoned:
                self.link.loaded(self)
                self.link.steer_reading(False)
        except OSError as error:
            self.fail(f"its snapshot could not be kept: {error.strerror}")
        except Damaged as why:
            self.fail(f"its snapshot cannot be loaded, {why}")
        finally:
            if self.abandoned and self.mark and self.written and not self.loading:
                self.link.keep_part(Part(self.mark, self.offset, self.descriptor, self.written))
            else:
                os.close(self.descriptor)

    def fail(self, why: str) -> None:
        self.mark = b""  # the beginning is worth nothing either
        if not self.abandoned:
            self.link.in_vain = True
            self.link.drop(why)

    async def keep_all(self) -> None:
        """Write what comes, until all has."""
        while (data := await self.queue.get()) and not self.abandoned:
            await asyncio.to_thread(self.write, data)
            self.queued -= len(data)
            if self.queued <= MOST_QUEUED // 2 and self.queue.empty():
                self.link.steer_reading(False)

    def write(self, data: bytes) -> None:
        rest, position = memoryview(data), self.written
        while rest:
            count = os.pwrite(self.descriptor, rest, position)
            rest, position = rest[count:], position + count
        self.written = position

    def load(self) -> None:
        """In a thread. Raises `Damaged`, `OSError`."""
        summing = self.node.config.flag("rdbchecksum")
        source = FileSource(self.descriptor)
        reader = RdbReader(Reader.of_file(source, self.received, summing=summing), self.node.limits)
        loader = Loader(reader, self.databases)
        reader.open()
        collecting = gc.isenabled()
        gc.disable()
        try:
            with to_the_letter(self.databases):
                while not self.abandoned and loader.some(RECORDS_AT_ONCE):
                    pass
        finally:
            if collecting:
                gc.enable()
        self.keys = loader.loaded
        database = loader.aux.get(b"repl-stream-db", b"")
        if database.isdigit() and int(database) < len(self.databases):
            self.database = int(database)

    def abandon(self) -> None:
        """It is not wanted any more."""
        self.abandoned = True
        self.queue.put_nowait(b"")
