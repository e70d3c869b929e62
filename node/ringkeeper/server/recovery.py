"""What a node does with the files that it finds at its start: it loads them, in a thread, and says how far it is."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ringkeeper.persist.files import opened
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
        self.size = 0
        """Of the file, in bytes."""
        self.loader: Loader | None = None
        """That of the last load."""
        self.stopped = False
        """The node is to end: the rest need not be loaded."""

    @property
    def position(self) -> int:
        """Of the file, in bytes."""
        return self.loader.reader.reader.at if self.loader else 0

    @property
    def loaded(self) -> int:
        """Keys that the last load brought."""
        return self.loader.loaded if self.loader else 0

    @property
    def expired(self) -> int:
        """Keys that it left out."""
        return self.loader.expired if self.loader else 0

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
        with opened(path) as (source, self.size):
            self.load(RdbReader(Reader.of_file(source, self.size), self.node.limits))

    def load(self, reader: RdbReader) -> None:
        self.loader = loader = Loader(reader, self.node.databases)
        collecting = gc.isenabled()
        gc.disable()
        try:
            reader.open()
            while not self.stopped and loader.some(RECORDS_AT_ONCE):
                pass
        finally:
            if collecting:
                gc.enable()
        if reader.empty:
            log.warning("%d keys without any elements were passed over", reader.empty)


WAY_OUT = (
    "Nothing was changed or deleted. Put a sound copy of the file in its place, or move it away to start without its "
    "data"
)
