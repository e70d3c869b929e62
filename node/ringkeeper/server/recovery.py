"""What a node does with the files that it finds at its start: it loads them, in a thread, and says how far it is."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ringkeeper.persist.files import FileSource
from ringkeeper.persist.loading import Loader
from ringkeeper.persist.rdb import Damaged, RdbReader, Unsupported
from ringkeeper.persist.reader import Reader
from ringkeeper.server.config import ConfigError

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

RECORDS_AT_ONCE = 500
"""Records between two moments at which the event loop can go on: about a millisecond."""


class Recovery:
    """One a node."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.loading = False
        self.began_ms = 0
        self.began = 0.0
        self.position = 0
        self.size = 0
        """Of the file, in bytes."""
        self.loaded = 0
        """Keys that the last load brought."""
        self.expired = 0
        """Keys that it left out."""
        self.stopped = False
        """The node is to end: the rest need not be loaded."""

    @property
    def fraction(self) -> float:
        return self.position / self.size if self.size else 0.0

    @property
    def eta_s(self) -> int:
        spent = time.monotonic() - self.began
        return round(spent * (1 - self.fraction) / self.fraction) if self.fraction else 0

    def describe(self) -> str:
        return f"loading its data: {self.fraction:.0%} of {self.size >> 20} MB"

    async def run(self, path: Path) -> None:
        """Load a snapshot; raises `ConfigError` with the way out if it cannot be used."""
        self.began_ms = self.node.clock.now_ms
        self.began = time.monotonic()
        try:
            await asyncio.to_thread(self.open_and_load, path)
        except Unsupported as why:
            raise ConfigError(f"{path}: {why}. {WAY_OUT}") from None
        except Damaged as why:
            raise ConfigError(f"{path} is damaged {why}. {WAY_OUT}") from None
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror or error}, at byte {self.position:,}. {WAY_OUT}") from None
        log.info("DB loaded from disk: %.3f seconds, %d keys, %d expired", time.monotonic() - self.began, self.loaded,
                 self.expired)  # fmt: skip

    def open_and_load(self, path: Path) -> None:
        with path.open("rb", buffering=0) as file:
            self.size = os.fstat(file.fileno()).st_size
            self.load(file.fileno())

    def load(self, descriptor: int) -> None:
        reader = RdbReader(Reader.of_file(FileSource(descriptor), self.size), self.node.limits)
        loader = Loader(reader, self.node.databases)
        collecting = gc.isenabled()
        gc.disable()
        try:
            reader.open()
            while not self.stopped and loader.some(RECORDS_AT_ONCE):
                self.position = reader.reader.at
                self.loaded, self.expired = loader.loaded, loader.expired
        finally:
            if collecting:
                gc.enable()
        self.position = self.size
        self.loaded, self.expired = loader.loaded, loader.expired
        if reader.empty:
            log.warning("%d keys without any elements were passed over", reader.empty)


WAY_OUT = (
    "Nothing was changed or deleted. Put a sound copy of the file in its place, or move it away to start without its "
    "data"
)
