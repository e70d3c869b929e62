"""A folder on a disk that forgets what was never synced, fails where it is told to, and loses power at any call.

It is as unkind as POSIX allows. Of a file, what was written since its last sync may be there up to any point, as a hole
of zeros too; of the folder, any of the names made, moved or removed since its last sync, in any combination. A sync
that fails loses for good what it was to write, and the next one succeeds: so Linux does it (see fsync(2), "EIO").
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import math
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from types import FrameType

SYNCS = ("sync", "sync names")
HALF = 2
"""A write that fails, or amid which the power goes, writes one part in so many."""

Folder = dict[str, bytes]
"""Name -> content."""


class PowerLoss(BaseException):
    """From the call amid which the power goes, and from every later one: nothing is done any more."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the program under test."""

    number: int
    kind: str
    name: str
    sites: tuple[str, ...]
    """Where the program made it, innermost first: `files.py:169`."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of a file, since its last sync: written bytes, or a new size."""

    position: int
    data: bytes | None = None

    def apply(self, content: bytearray) -> None:
        end = self.position if self.data is None else self.position + len(self.data)
        if len(content) < end:
            content.extend(bytes(end - len(content)))
        if self.data is None:
            del content[self.position :]
        else:
            content[self.position : end] = self.data

    def parts(self, random: Random) -> Iterator[Change]:
        """What the disk may have of it, other than nothing and all."""
        if self.data:
            size = len(self.data)
            cut = random.randrange(size)
            yield Change(self.position, self.data[:cut])
            yield Change(self.position, bytes(size))
            yield Change(self.position, bytes(cut) + self.data[cut:])
            yield Change(self.position, self.data[:cut] + bytes(size - cut))


class File:
    """What readers see of it, what the disk has, and what is between the two."""

    def __init__(self, content: bytes = b"") -> None:
        self.seen = bytearray(content)
        self.disk = bytearray(content)
        self.changes: list[Change] = []

    def change(self, change: Change) -> None:
        change.apply(self.seen)
        self.changes.append(change)

    def sync(self) -> None:
        for change in self.changes:
            change.apply(self.disk)
        self.changes.clear()

    def possible(self, random: Random) -> list[bytes]:
        """What it may hold after a crash: nothing new first, all of it last."""
        found = {bytes(self.disk): None}
        content = bytearray(self.disk)
        for change in self.changes:
            for part in change.parts(random):
                torn = content.copy()
                part.apply(torn)
                found[bytes(torn)] = None
            change.apply(content)
            found.pop(bytes(content), None)
            found[bytes(content)] = None
        return list(found)


@dataclass(frozen=True, slots=True)
class Naming:
    """A change of the folder: a name made or moved for a file, or removed."""

    name: str
    file: File | None
    old: str = ""

    def apply(self, names: dict[str, File]) -> None:
        if self.file is None:
            names.pop(self.name, None)
            return
        names[self.name] = self.file
        if self.old and names.get(self.old) is self.file:
            del names[self.old]


class SimulatedOutput:
    """Implements `persist.files.Output`."""

    def __init__(self, files: SimulatedFiles, name: str, file: File) -> None:
        self.files = files
        self.name = name
        self.file = file
        self.position = len(file.seen)
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        try:
            self.files.called("write", self.name)
            room = self.files.room
        except (OSError, PowerLoss):
            if not self.files.was_off:
                self._write(data[: len(data) // HALF])
            raise
        self._write(data[:room])
        if len(data) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _write(self, data: bytes) -> None:
        if data:
            self.file.change(Change(self.position, bytes(data)))
            self.position += len(data)

    def sync(self) -> None:
        assert not self.closed
        try:
            call = self.files.called("sync", self.name)
        except OSError:
            self.file.changes.clear()
            raise
        if not self.files.ignored(call):
            self.file.sync()

    def truncate(self, size: int) -> None:
        assert not self.closed
        self.files.called("truncate", self.name)
        self.file.change(Change(size))
        self.position = size

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True
        self.files.outputs.discard(self)
        self.files.called("close", self.name)


class SimulatedFiles:
    """Implements `persist.files.Files`."""

    def __init__(self, content: Folder | None = None) -> None:
        self.seen = {name: File(data) for name, data in (content or {}).items()}
        self.disk = dict(self.seen)
        self.changes: list[Naming] = []
        self.outputs: set[SimulatedOutput] = set()
        """Those that are open."""
        self.calls: list[Call] = []
        self.cut_at: int | None = None
        """The power goes amid this call."""
        self.was_off = False
        """The power had gone before the last call."""
        self.off = False
        self.size = math.inf
        """Bytes that all files together may have."""
        self.faults: dict[int, int] = {}
        """Number of a call -> the error that it gets."""
        self.on_call: Callable[[Call], None] = lambda _: None
        """Told before each; may wait, and may raise `OSError`."""
        self.ignored: Callable[[Call], bool] = lambda _: False
        """Which syncs do nothing, as if the program had none there."""

    @property
    def room(self) -> int:
        if self.size == math.inf:
            return sys.maxsize
        return max(int(self.size) - sum(len(file.seen) for file in self.seen.values()), 0)

    def called(self, kind: str, name: str) -> Call:
        self.was_off = self.off
        if self.off:
            raise PowerLoss
        call = Call(len(self.calls), kind, name, callers())
        self.calls.append(call)
        if call.number == self.cut_at:
            self.off = True
            raise PowerLoss
        self.on_call(call)
        if code := self.faults.get(call.number):
            raise OSError(code, os.strerror(code), name)
        return call

    def found(self, name: str) -> File:
        if name not in self.seen:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return self.seen[name]

    def rename_now(self, naming: Naming) -> None:
        naming.apply(self.seen)
        self.changes.append(naming)

    # The interface

    def create(self, name: str) -> SimulatedOutput:
        self.called("create", name)
        file = self.seen.get(name)
        if file is None:
            file = File()
            self.rename_now(Naming(name, file))
        else:
            file.change(Change(0))
        return self.opened(name, file)

    def append(self, name: str) -> SimulatedOutput:
        self.called("append", name)
        return self.opened(name, self.found(name))

    def opened(self, name: str, file: File) -> SimulatedOutput:
        output = SimulatedOutput(self, name, file)
        self.outputs.add(output)
        return output

    def read(self, name: str) -> bytes:
        self.called("read", name)
        return bytes(self.found(name).seen)

    @contextlib.contextmanager
    def source(self, name: str) -> Iterator[tuple[SimulatedSource, int]]:
        self.called("source", name)
        file = self.found(name)
        yield SimulatedSource(file), len(file.seen)

    def names(self) -> list[str]:
        self.called("names", "")
        return sorted(self.seen)

    def rename(self, name: str, new: str) -> None:
        self.called("rename", name)
        self.rename_now(Naming(new, self.found(name), name))

    def remove(self, name: str) -> None:
        self.called("remove", name)
        self.found(name)
        self.rename_now(Naming(name, None))

    def sync(self) -> None:
        call = self.called("sync names", "")
        if not self.ignored(call):
            for naming in self.changes:
                naming.apply(self.disk)
            self.changes.clear()

    # What is left

    def restarted(self) -> SimulatedFiles:
        """Only the process died: for the next one all that it did is there, synced or not."""
        again = SimulatedFiles()
        again.seen, again.disk, again.changes = self.seen, self.disk, self.changes
        return again

    def after_kill(self) -> Folder:
        """Only the process died: all that it did is there."""
        return {name: bytes(file.seen) for name, file in self.seen.items()}

    def after_crash(self, choose: Random) -> Folder:
        """The power went: one of the things that may be left."""
        names = dict(self.disk)
        for naming in self.changes:
            if choose.random() < 0.5:
                naming.apply(names)
        return {name: choose.choice(file.possible(choose)) for name, file in names.items()}

    def every_crash(self, random: Random, limit: int = 2000) -> Iterator[Folder]:
        """Everything that may be left, where a part of a write stands for all parts; chosen ones, if there are more
        than so many of a set of names.
        """
        told: set[frozenset[tuple[str, bytes]]] = set()
        for chosen in itertools.product((False, True), repeat=len(self.changes)):
            names = dict(self.disk)
            for naming in itertools.compress(self.changes, chosen):
                naming.apply(names)
            contents = [file.possible(random) for file in names.values()]
            if math.prod(map(len, contents)) <= limit:
                combinations: Iterator[tuple[bytes, ...]] = itertools.product(*contents)
            else:
                combinations = (tuple(map(random.choice, contents)) for _ in range(limit))
            for combination in combinations:
                folder = dict(zip(names, combination, strict=True))
                if (known := frozenset(folder.items())) not in told:
                    told.add(known)
                    yield folder


def callers(count: int = 4) -> tuple[str, ...]:
    """Who called a method of a simulated file or folder."""
    frame: FrameType | None = sys._getframe(3)
    found: list[str] = []
    while frame is not None and len(found) < count:
        found.append(f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}")
        frame = frame.f_back
    return tuple(found)


class SimulatedSource:
    """Implements `reader.Source`."""

    def __init__(self, file: File) -> None:
        self.file = file

    def read_at(self, position: int, count: int) -> bytes:
        return bytes(self.file.seen[position : position + count])
