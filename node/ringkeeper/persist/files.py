"""Files on a disk, behind a layer that tests replace by one that fails, or forgets what was never synced.

A new file becomes visible under its name whole or not at all: it is written beside it, synced, renamed, and the folder
is synced. Every method raises `OSError` as the system gives it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from ringkeeper.persist.reader import Source


class Output(Protocol):
    """A file that is being written."""

    def write(self, data: bytes | bytearray) -> None:
        """All of it."""

    def sync(self) -> None:
        """What was written is on the disk when this returns. After an error nobody knows what is."""

    def truncate(self, size: int) -> None:
        """Cut off what stands behind so many bytes; what is written next follows them."""

    def close(self) -> None: ...


class Files(Protocol):
    """A folder. Names are relative to it."""

    def create(self, name: str) -> Output:
        """An empty file, in place of one that is there."""

    def append(self, name: str) -> Output:
        """A file that is there, to be written to at its end."""

    def read(self, name: str) -> bytes:
        """A small file's content."""

    def source(self, name: str) -> AbstractContextManager[tuple[Source, int]]:
        """A file to be read piece by piece, and its bytes."""

    def names(self) -> list[str]:
        """Of the files in the folder, sorted."""

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


UNCACHED_BYTES = 4 << 20
"""So much of a file, once synced, is dropped from the system's cache at a time."""


class DiskOutput:
    """Implements `Output`. What was synced is dropped from the system's cache: nobody reads it before the next start.

    There it would count as the container's memory, and a cache that grows gets fresh pages, each of which a virtual
    machine pays for with a fault: `write` took up to ten times as long (bench/append_only.py).
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.end = self.dropped = os.lseek(descriptor, 0, os.SEEK_CUR)

    def write(self, data: bytes | bytearray) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        self.end += len(data)

    def sync(self) -> None:
        os.fdatasync(self.descriptor)
        if self.end - self.dropped >= UNCACHED_BYTES:
            os.posix_fadvise(self.descriptor, self.dropped, self.end - self.dropped, os.POSIX_FADV_DONTNEED)
            self.dropped = self.end

    def truncate(self, size: int) -> None:
        os.ftruncate(self.descriptor, size)
        os.lseek(self.descriptor, size, os.SEEK_SET)
        self.end = self.dropped = size

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

    def append(self, name: str) -> DiskOutput:
        descriptor = os.open(self.path(name), os.O_WRONLY)
        os.lseek(descriptor, 0, os.SEEK_END)
        return DiskOutput(descriptor)

    def read(self, name: str) -> bytes:
        return Path(self.path(name)).read_bytes()

    def source(self, name: str) -> AbstractContextManager[tuple[Source, int]]:
        return opened(Path(self.path(name)))

    def names(self) -> list[str]:
        return sorted(entry.name for entry in os.scandir(self.folder) if entry.is_file())

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


def make_folder(path: Path) -> None:
    """A folder that is there after a crash too, if the one that it is in is; also if a killed process made it."""
    path.mkdir(mode=0o700, exist_ok=True)
    DiskFiles(str(path.parent)).sync()


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
