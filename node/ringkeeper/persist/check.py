"""What people want to know of files: whether they are sound, what they hold, where they are damaged.

Behind `ringkeeper check-rdb` and `ringkeeper check-aof`. Nothing here keeps more of a file than its largest value.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ringkeeper.persist import aof
from ringkeeper.persist.files import opened
from ringkeeper.persist.rdb import Damaged, RdbReader, Record, begins_as_rdb
from ringkeeper.persist.reader import Reader
from ringkeeper.types.collection import Limits

NAMED_AT_MOST: Final = 20
"""Unsupported things that are named one by one."""


@dataclass(slots=True)
class RdbReport:
    """Of an RDB file, as far as it could be read."""

    path: str
    bytes: int = 0
    version: int = 0
    keys: dict[str, int] = field(default_factory=dict)
    """By type."""
    databases: dict[int, int] = field(default_factory=dict)
    """Number -> keys."""
    expiring: int = 0
    empty: int = 0
    """Collections without elements, which are passed over."""
    aux: dict[str, str] = field(default_factory=dict)
    unsupported: list[str] = field(default_factory=list)
    """What a node would refuse, the first of them by name."""
    unsupported_count: int = 0
    checksum: bool = False
    """Whether it has one, and it is right."""
    error: str = ""
    at: int | None = None
    """Where the damage is, in bytes."""

    @property
    def sound(self) -> bool:
        """Whether a node would load it."""
        return not self.error and not self.unsupported_count


def check_rdb(path: Path) -> RdbReport:
    """Raises `OSError`. O(bytes)."""
    report = RdbReport(str(path))
    with opened(path) as (source, report.bytes):
        reader = RdbReader(Reader.of_file(source, report.bytes), Limits(), passing=True)
        read_rdb(reader, report)
    return report


def read_rdb(reader: RdbReader, report: RdbReport) -> None:
    """Go through an RDB file to its end mark, or to where it is damaged."""
    kinds: Counter[str] = Counter()
    databases: Counter[int] = Counter()
    try:
        reader.open()
        while kind := reader.next():
            if kind == Record.ENTRY:
                kinds[getattr(reader.value, "kind", "string")] += 1
                databases[reader.database] += 1
                report.expiring += reader.expires_at != -1
            elif kind == Record.AUX:
                report.aux[shown(reader.key)] = shown(reader.value)
            elif kind == Record.PASSED:
                report.unsupported_count += 1
                if len(report.unsupported) < NAMED_AT_MOST:
                    name = f" {shown(reader.key)}" if reader.key else ""
                    report.unsupported.append(f"{reader.value}{name}, at byte {reader.began:,}")
        report.checksum = reader.checked
    except Damaged as why:
        report.error, report.at = str(why), why.at
    report.version = reader.version
    report.keys, report.databases, report.empty = dict(kinds), dict(databases), reader.empty


def shown(text: bytes) -> str:
    return text[:200].decode("utf-8", "backslashreplace")


# The append-only file


@dataclass(slots=True)
class PartReport:
    """Of one file of the append-only file."""

    name: str
    bytes: int = 0
    commands: int = 0
    rdb: RdbReport | None = None
    """Of a base in that format."""
    error: str = ""
    at: int | None = None
    """Up to here the file is whole."""
    torn: bool = False
    """It ends amid a command, as after a crash."""


@dataclass(slots=True)
class AofReport:
    path: str
    """Of the manifest, or of a single file."""
    parts: list[PartReport] = field(default_factory=list)
    error: str = ""
    """Of the manifest itself."""
    can_be_fixed: bool = False
    """The damage is in the last file: what stands before it can be kept by cutting the rest off."""

    @property
    def sound(self) -> bool:
        return not self.error and not any(part.error for part in self.parts)


def check_aof(path: Path) -> AofReport:
    """Of a manifest, of the folder in which one lies, or of a single file; raises `OSError`. O(bytes)."""
    if path.is_dir():
        found = sorted(path.glob("*.manifest"))
        if len(found) != 1:
            return AofReport(str(path), error=f"there are {len(found)} manifests in this folder, name the one meant")
        path = found[0]
    report = AofReport(str(path))
    if path.suffix != ".manifest":
        report.parts.append(check_part(path))
    else:
        try:
            manifest = aof.decode(path.read_bytes())
        except Damaged as why:
            report.error = f"the manifest is damaged {why}"
            return report
        for part in manifest.parts:
            try:
                report.parts.append(check_part(path.with_name(part.name)))
            except OSError as error:
                report.parts.append(PartReport(part.name, error=error.strerror or str(error)))
    *before, last = report.parts
    if last.error and last.at is not None and not any(part.error for part in before):
        report.can_be_fixed = last.rdb is None or not last.rdb.error
    return report


def check_part(path: Path) -> PartReport:
    report = PartReport(path.name)
    with opened(path) as (source, report.bytes):
        start = 0
        if begins_as_rdb(source):
            reader = RdbReader(Reader.of_file(source, report.bytes), Limits(), passing=True)
            report.rdb = RdbReport(path.name, report.bytes)
            read_rdb(reader, report.rdb)
            report.error, report.at = report.rdb.error, report.rdb.at
            start = reader.reader.at
        elif path.name.endswith(".base.rdb"):
            report.error, report.at = "it does not begin as an RDB file, at byte 0", 0
            report.rdb = RdbReport(path.name, report.bytes, error=report.error, at=0)
        if not report.error:
            check_commands(aof.LogReader(source, report.bytes, start), report)
    return report


def check_commands(reader: aof.LogReader, report: PartReport) -> None:
    """A transaction that does not end counts as torn from its MULTI on: none of it is to be executed."""
    begun: int | None = None
    try:
        while (item := reader.next()) is not None:
            if isinstance(item, list):
                report.commands += 1
                name = item[0].lower()
                begun = reader.began if name == b"multi" else None if name == b"exec" else begun
        if begun is not None:
            raise aof.Torn(begun, "the file ends within a transaction")
    except Damaged as why:
        report.torn = isinstance(why, aof.Torn)
        report.error = str(why)
        report.at = reader.began if begun is None else begun


def fix_aof(report: AofReport) -> int:
    """Cut off what cannot be read at the end of the last file; how many bytes that were. Raises `OSError`."""
    assert report.can_be_fixed
    last = report.parts[-1]
    assert last.at is not None
    path = Path(report.path).with_name(last.name)
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.ftruncate(descriptor, last.at)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return last.bytes - last.at
