"""Files on a disk, behind a layer that tests replace by one that fails, or forgets what was never synced.

A new file becomes visible under its name whole or not at all: it is written beside it, synced, renamed, and the folder
is synced. Every method raises `OSError` as the system gives it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol


class Output(Protocol):
    """A file that is being written."""

    def write(self, data: bytes) -> None:
        """All of it."""

    def sync(self) -> None:
        """What was written is on the disk when this returns."""

    def close(self) -> None: ...


class Files(Protocol):
    """A folder. Names are relative to it."""

    def create(self, name: str) -> Output:
        """An empty file, in place of one that is there."""

    def rename(self, name: str, new: str) -> None: ...

    def remove(self, name: str) -> None: ...

    def sync(self) -> None:
        """Names that were made, changed or removed are on the disk when this returns."""


class FileSource:
    """Implements `reader.Source`; the descriptor stays the caller's."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def read_at(self, position: int, count: int) -> bytes:
        data = os.pread(self.descriptor, count, position)
        while len(data) < count:
            more = os.pread(self.descriptor, count - len(data), position + len(data))
            if not more:
                break
            data += more
        return data


@contextlib.contextmanager
def opened(path: Path) -> Iterator[tuple[FileSource, int]]:
    """A file to be read, and its bytes."""
    with path.open("rb", buffering=0) as file:
        yield FileSource(file.fileno()), os.fstat(file.fileno()).st_size


class DiskOutput:
    """Implements `Output`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]

    def sync(self) -> None:
        os.fsync(self.descriptor)

    def close(self) -> None:
        os.close(self.descriptor)


class DiskFiles:
    """Implements `Files` by a folder of this machine."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def create(self, name: str) -> DiskOutput:
        return DiskOutput(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))

    def rename(self, name: str, new: str) -> None:
        os.rename(self.path(name), self.path(new))

    def remove(self, name: str) -> None:
        os.unlink(self.path(name))

    def sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(files: Files, name: str, temporary: str, fill: Callable[[Output], None]) -> None:
    """Make a file appear with what `fill` writes. On an error the old one stays, and nothing of the new."""
    output = files.create(temporary)
    try:
        try:
            fill(output)
            output.sync()
        finally:
            output.close()
        files.rename(temporary, name)
    except BaseException:
        with contextlib.suppress(OSError):
            files.remove(temporary)
        raise
    files.sync()
