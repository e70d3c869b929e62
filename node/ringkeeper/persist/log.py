"""The append-only file in its folder: how parts come, go on and go, in which order the disk is told. Synchronous.

At every moment the manifest on the disk names parts that together are the data, up to a point behind the last `sync`.
So an increment is whole before the next has a byte, a part has its name before a manifest says it, and what a manifest
no longer names is removed afterwards. What it does not name is of no account: leftovers of a crash, removed at the
start if they bear a temporary name.

After a failed sync nobody knows what the disk holds of the increment (https://lwn.net/Articles/752063/), and a later
sync may succeed without it. The log is then `broken`: it goes on in an increment of its own that no manifest names, and
only a base written since makes it whole again.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from typing import Final

from ringkeeper.persist import aof
from ringkeeper.persist.aof import BASE, HISTORY, INCREMENT, Manifest, Part
from ringkeeper.persist.files import Files, Output, write_whole
from ringkeeper.persist.rdb import Damaged

TEMPORARY: Final = "temp-"


class NotNamedError(Damaged):
    """There are parts and no manifest that names them."""


class LogFolder:
    """Used by one thread. Every method may raise `OSError`; the log is then as it was, or `broken`."""

    def __init__(self, files: Files, name: str) -> None:
        self.files = files
        self.name = name
        """The parts' names begin with it."""
        self.manifest = Manifest()
        self.output: Output | None = None
        """The increment that grows."""
        self.part = Part("", 0, INCREMENT)
        self.size = 0
        """Bytes of it, whole commands."""
        self.torn = False
        """More than that may stand there: the disk was full amid a command."""
        self.listed = False
        """The manifest names it; until then nothing that it holds would be found."""
        self.broken = False
        self.sizes: dict[str, int] = {}
        """Bytes of the manifest's parts, as far as they are known."""

    @property
    def manifest_name(self) -> str:
        return f"{self.name}.manifest"

    @property
    def marker(self) -> str:
        """A file that says: without a manifest, the parts here are of no account. They are to become a log, or were."""
        return f"{self.manifest_name}.retired"

    @property
    def base_size(self) -> int:
        return self.sizes.get(self.manifest.base.name, 0) if self.manifest.base else 0

    @property
    def total_size(self) -> int:
        parts = sum(self.sizes.get(part.name, 0) for part in self.manifest.parts if part != self.part)
        return parts + self.size

    @property
    def durable(self) -> bool:
        """Whether what was synced would be found after a crash."""
        return self.listed and not self.broken and self.output is not None

    # Starting

    def find(self) -> Manifest | None:
        """The manifest, if there is one. Raises `Damaged` for one that cannot be used, `NotNamedError`."""
        self.files.sync()  # a killed process may have moved names that no disk has heard of yet
        names = self.files.names()
        if self.manifest_name in names:
            self.manifest = aof.decode(self.files.read(self.manifest_name))
            return self.manifest
        parts = [name for name in names if self.number_of(name)]
        if parts and self.marker not in names:
            raise NotNamedError(0, f"{self.manifest_name} is missing, which names the parts: {', '.join(parts)}")
        return None

    def number_of(self, name: str) -> int:
        """Of a part's name; 0 for any other."""
        found = re.fullmatch(re.escape(self.name) + r"\.([0-9]{1,18})\.(base\.rdb|base\.aof|incr\.aof)", name)
        return int(found.group(1)) if found else 0

    def clean(self) -> None:
        """Remove what is of no account: temporary files, and parts that are history or that no manifest names."""
        names = self.files.names()
        kept = {part.name for part in (*self.manifest.parts, self.part)}
        history = {part.name for part in self.manifest.history}
        for name in names:
            if name.startswith(TEMPORARY) or name in history or (self.number_of(name) and name not in kept):
                self.files.remove(name)
        if history:
            self.tell(replace(self.manifest, history=()))
        if self.manifest.parts and self.marker in names:
            self.files.remove(self.marker)

    def resume(self, sizes: dict[str, int]) -> None:
        """Go on in the last increment of the manifest, all parts having been read; with their bytes."""
        self.sizes = dict(sizes)
        if not self.manifest.increments:
            self.next_increment()
            return
        self.part = self.manifest.increments[-1]
        self.output = self.files.append(self.part.name)
        self.output.sync()  # what was read may be known to the system alone: a killed process wrote it
        self.size = sizes[self.part.name]
        self.listed, self.broken, self.torn = True, False, False

    def cut(self, part: Part, size: int) -> None:
        """Let a part end behind so many bytes: what follows is torn."""
        output = self.files.append(part.name)
        try:
            output.truncate(size)
            output.sync()
        finally:
            output.close()

    # Growing

    def append(self, data: bytes | bytearray) -> None:
        """Whole commands."""
        assert self.output is not None
        self.mend()
        self.torn = True
        try:
            self.output.write(data)
        except OSError:
            with contextlib.suppress(OSError):
                self.mend()
            raise
        self.torn = False
        self.size += len(data)

    def mend(self) -> None:
        """Let the increment end behind its last whole command."""
        if self.torn:
            assert self.output is not None
            self.output.truncate(self.size)
            self.torn = False

    def sync(self) -> None:
        """What was appended is on the disk when this returns; afterwards it is `durable`, unless no manifest says so.

        If the disk refuses, the increment is abandoned.
        """
        assert self.output is not None
        try:
            self.output.sync()
        except OSError:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Trust the increment no more."""
        self.broken = True
        if self.output is not None:
            with contextlib.suppress(OSError):
                self.output.close()
        self.output = None

    # Parts

    def next_increment(self) -> None:
        """Go on in a new one. If the log is whole, its manifest names it at once, else that of the next base."""
        whole = self.durable if self.output else bool(self.manifest.parts) and not self.broken
        if self.output is not None:
            self.mend()
            self.sync()
        if not self.manifest.parts:
            write_whole(self.files, self.marker, f"{TEMPORARY}{self.marker}", lambda output: output.write(b""))
        part = self.fresh_part(INCREMENT)
        output = self.files.create(part.name)
        try:
            if whole:
                self.files.sync()
                self.tell(replace(self.manifest, increments=(*self.manifest.increments, part)))
        except BaseException:
            output.close()
            raise
        if self.output is not None:
            with contextlib.suppress(OSError):  # it was synced
                self.output.close()
            self.sizes[self.part.name] = self.size
        self.output, self.part, self.size, self.listed, self.torn = output, part, 0, whole, False

    def adopt_base(self, temporary: str, size: int, first: int) -> None:
        """Put a new base, which was written and synced under a temporary name, in the place of all before increment
        number `first`, which began when it was taken."""
        assert self.output is not None
        increments = tuple(part for part in self.manifest.increments if part.number >= first)
        if not self.listed:
            self.mend()
            increments = (*increments, self.part)
        base = self.fresh_part(BASE)
        self.files.rename(temporary, base.name)
        self.files.sync()
        replaced = [part for part in self.manifest.parts if part not in increments]
        self.tell(Manifest(base, increments, tuple(Part(part.name, part.number, HISTORY) for part in replaced)))
        self.sizes[base.name] = size
        self.listed, self.broken = True, False
        with contextlib.suppress(OSError):
            self.clean()

    def retire(self) -> None:
        """The log is no longer the data: a snapshot is. Its parts stay until a new one begins."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self.files.rename(self.manifest_name, self.marker)
            self.files.sync()
        self.manifest, self.listed, self.sizes = Manifest(), False, {}

    def close(self) -> None:
        output, self.output = self.output, None
        if output is not None:
            output.close()

    def fresh_part(self, kind: str) -> Part:
        """One of a number above all of its kind that there are or were."""
        suffix = "incr.aof" if kind == INCREMENT else "base.rdb"
        middle = "." + suffix.partition(".")[0] + "."
        used = [self.number_of(name) for name in self.files.names() if middle in name]
        used += [part.number for part in self.manifest.parts if part.kind == kind]
        number = max(used, default=0) + 1
        return Part(f"{self.name}.{number}.{suffix}", number, kind)

    def tell(self, manifest: Manifest) -> None:
        """Put a manifest in force."""
        text = manifest.encode()
        write_whole(self.files, self.manifest_name, TEMPORARY + self.manifest_name, lambda output: output.write(text))
        self.manifest = manifest
