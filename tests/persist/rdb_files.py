"""RDB files in memory: read whole into what they hold, and made of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from persist.corpus import contents

from ringkeeper.persist.rdb import Damaged, RdbReader, RdbWriter, Record
from ringkeeper.persist.reader import Reader
from ringkeeper.types.collection import Limits

LIMITS = Limits()


class Bytes:
    """A file that lies in memory. Implements `reader.Source`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads = 0
        self.longest = 0

    def read_at(self, position: int, count: int) -> bytes:
        self.reads += 1
        self.longest = max(self.longest, count)
        return self.data[position : position + count]


@dataclass
class Held:
    """What a file holds."""

    keys: dict[tuple[int, bytes], tuple[object, int]] = field(default_factory=dict)
    """Database and key -> content and expiry."""
    aux: dict[bytes, bytes] = field(default_factory=dict)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    passed: list[tuple[bytes, str]] = field(default_factory=list)
    empty: int = 0
    version: int = 0


def reader_of(data: bytes, passing: bool = False) -> RdbReader:
    return RdbReader(Reader.of_file(Bytes(data), len(data)), LIMITS, passing)


def read_file(data: bytes, passing: bool = False) -> Held:
    held = Held()
    reader = reader_of(data, passing)
    reader.open()
    while kind := reader.next():
        if kind == Record.ENTRY:
            place = (reader.database, reader.key)
            assert place not in held.keys
            held.keys[place] = (contents(reader.value), reader.expires_at)
        elif kind == Record.AUX:
            held.aux[reader.key] = reader.value
        elif kind == Record.SIZES:
            held.sizes.append(reader.value)
        else:
            held.passed.append((reader.key, reader.value))
    held.empty, held.version = reader.empty, reader.version
    return held


def rewritten(data: bytes) -> bytes:
    """The same keys in a file that is written here."""
    chunks: list[bytes] = []
    reader = reader_of(data)
    reader.open()
    writer = RdbWriter(chunks.append, fields_expire=reader.version == 80)
    database = 0
    while kind := reader.next():
        if kind == Record.AUX:
            writer.aux([(reader.key, reader.value)])
        elif kind == Record.SIZES:
            database = reader.database
            writer.database(database, *(min(size, 1 << 40) for size in reader.value))
        elif kind == Record.ENTRY:
            if database != reader.database:
                database = reader.database
                writer.database(database, 0, 0)
            writer.entry(reader.key, reader.value, reader.expires_at, reader.idle_ms, reader.frequency)
    writer.end()
    return b"".join(chunks)


def damage(data: bytes, passing: bool = False) -> Damaged:
    """Why a file is not read."""
    try:
        read_file(data, passing)
    except Damaged as why:
        return why
    raise AssertionError("the file was read")
