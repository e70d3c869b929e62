"""Files on a disk, behind a layer that tests replace by one that fails, or forgets what was never synced."""

from __future__ import annotations

import os


class FileSource:
    """Implements `reader.Source`; the descriptor stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read_at(self, position: int, count: int) -> bytes:
        """Raises `OSError` as the system gives it."""
        data = os.pread(self.descriptor, count, position)
        while len(data) < count:
            more = os.pread(self.descriptor, count - len(data), position + len(data))
            if not more:
                break
            data += more
        return data
