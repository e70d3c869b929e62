"""RDB files: read and written record by record, so that neither takes more memory than its largest value.

A file is a magic word with its version, records, an end mark and a CRC-64 of all before it. A record is an opcode with
what it announces, or a form (`values.py`) with a key and its value; expiry, idle time and frequency of a key stand
before it. Read are the versions of Redis up to 11 and of Valkey up to 80; written is that of Redis 7.0 (10), or
Valkey's where hashes have fields that expire. Sources: `rdb.c` of Redis, https://rdb.fnordig.de/file_format.html.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import cython

from ringkeeper.persist import foreign
from ringkeeper.persist.payload import NEWEST_VERSION, NO_BOUND, VALKEY_VERSION, VERSION
from ringkeeper.persist.reader import Corrupt, Empty
from ringkeeper.store.keyspace import Value
from ringkeeper.types.collection import Limits

if TYPE_CHECKING:
    from ringkeeper.persist.reader import Source

if not cython.compiled:
    from ringkeeper.persist.reader import Reader
    from ringkeeper.persist.values import form_of, is_supported, read_value, write_value
    from ringkeeper.persist.writer import Writer
    from ringkeeper.store.keyspace import Keyspace
    from ringkeeper.store.table_plain import Visitor

    Pointer = Any
    ViewPointer = Any
else:
    from cython.cimports.ringkeeper.persist.direct_writing import Pointer  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.persist.reader import Reader  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.persist.values import (  # type: ignore[no-redef]
        form_of,
        is_supported,
        read_value,
        write_value,
    )
    from cython.cimports.ringkeeper.persist.writer import Writer  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.keyspace import Keyspace  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.table import ViewPointer, Visitor  # type: ignore[no-redef]

REDIS: Final = b"REDIS"
VALKEY: Final = b"VALKEY"
MAGIC_BYTES: Final = 9
"""The word and the version's digits."""
CHECKED_SINCE: Final = 5
"""The version from which on a checksum stands at the end."""

IDLE = cython.declare(cython.int, 248)
FREQUENCY = cython.declare(cython.int, 249)
AUX = cython.declare(cython.int, 250)
SIZES = cython.declare(cython.int, 251)
EXPIRY_MS = cython.declare(cython.int, 252)
EXPIRY_S = cython.declare(cython.int, 253)
DATABASE = cython.declare(cython.int, 254)
END = cython.declare(cython.int, 255)
FIRST_OPCODE = cython.declare(cython.int, 242)
"""From here on a byte names no form of a value."""

LARGEST_FREQUENCY: Final = 255
MOST_EXPIRY: Final = 1 << 62


class Damaged(ValueError):
    """A file cannot be read on. The text says where (`at`, a byte's number) and why."""

    def __init__(self, at: int, why: str) -> None:
        super().__init__(f"at byte {at:,}: {why}")
        self.at = at
        self.why = why


class Unsupported(Damaged):
    """It holds what is not supported: `what` names it."""


class Record:
    """Kinds of what `RdbReader.next` comes to."""

    END: Final = 0
    ENTRY: Final = 1
    """A key and its value: `key`, `value`, `expires_at`, `idle_ms`, `frequency`, in `database`."""
    AUX: Final = 2
    """`key` and `value` are an auxiliary field's name and text."""
    SIZES: Final = 3
    """`value` says how many keys the database has, and how many of them expire: to make room for them at once."""
    PASSED: Final = 4
    """What is not supported was passed over: `value` names it; `key` is its key or empty."""


def begins_as_rdb(source: Source) -> bool:
    """Whether a file is one, rather than a log of commands alone."""
    return source.read_at(0, len(VALKEY)).startswith((REDIS, VALKEY))


@cython.final
@cython.cclass
class RdbReader:
    """Goes through a file. `next` leaves what it comes to in the fields; it raises `Damaged`, and nothing else, for
    what is no RDB file. `passing`: what is not supported is passed over instead of refused.
    """

    if TYPE_CHECKING:
        key: bytes
        value: Any

    def __init__(self, reader: Reader, limits: Limits, passing: bool = False) -> None:
        self.reader = reader
        self.limits = limits
        self.passing = passing
        self.version = 0
        self.database = 0
        self.key = b""
        self.value = None
        self.expires_at = self.idle_ms = self.frequency = -1
        self.began = reader.at
        """Where the record begins that was read last."""
        self.empty = 0
        """Collections without elements that were passed over."""
        self.checked = False
        """Whether the file has a checksum, and it is right."""
        self.doing = "the head"
        """What is being read, for the words of an error."""
        self.in_value = False
        """It is the value of `key`."""

    def open(self) -> None:
        """Read the magic word and the version."""
        try:
            self._open(self.reader.take(MAGIC_BYTES))
        except Corrupt:
            raise Damaged(self.began, "it is too short for an RDB file") from None

    def go_on(self, version: int, database: int, checksum: int) -> None:
        """Instead of `open`: read on at the beginning of a record, with what a reader of what is before it knew."""
        self.version = version
        self.database = database
        self.reader.sum = checksum

    def _open(self, magic: bytes) -> None:
        word = VALKEY if magic.startswith(VALKEY) else REDIS
        digits = magic[len(word) :]
        if not magic.startswith(word) or not digits.isdigit():
            raise Damaged(self.began, f"it begins with {magic!r}, which no RDB file does")
        self.version = int(digits)
        newest = VALKEY_VERSION if word == VALKEY else NEWEST_VERSION
        if not (VALKEY_VERSION if word == VALKEY else 1) <= self.version <= newest:
            text = f"RDB version {self.version} of {word.decode().title()} is not supported, but up to {newest}"
            raise Unsupported(self.began, text)

    def next(self) -> cython.int:
        """Go to the next record; its kind, one of `Record`."""
        try:
            return self._next()
        except Corrupt as why:
            raise Damaged(self.reader.at, f"{why}, in {self._place()}") from None

    def _place(self) -> str:
        doing = f"the value of key {self.key[:100]!r}" if self.in_value else self.doing
        return f"{doing} that begins at byte {self.began:,}"

    def _next(self) -> cython.int:
        kind: cython.int = 0
        opcode: cython.int
        self.expires_at = self.idle_ms = self.frequency = -1
        self.doing = "a record"
        self.in_value = False
        self.began = self.reader.at
        while kind == 0:
            opcode = self.reader.byte()
            if opcode < FIRST_OPCODE:
                kind = self._entry(opcode)
            elif opcode == END:
                self._end()
                return Record.END
            else:
                kind = self._special(opcode)
        return kind

    def _entry(self, form: cython.int) -> cython.int:
        """A key and its value; 0 if the value was empty."""
        self.key = self.reader.string()
        if form == 0:
            self.value = self.reader.string()
            return 1
        self.in_value = True
        if not is_supported(form):
            return self._foreign(form)
        self.reader.room = NO_BOUND
        try:
            self.value = read_value(self.reader, form, self.limits)
        except Empty:
            self.empty += 1
            self.expires_at = self.idle_ms = self.frequency = -1
            return 0
        return 1

    def _foreign(self, form: int) -> int:
        name = foreign.FORMS.get(form)
        if name is None:
            raise Corrupt(f"{form} is no form of a value")
        if not self.passing:
            raise Unsupported(self.began, f"the key {self.key!r} holds a {name} (form {form}), which is not supported")
        foreign.pass_value(self.reader, form)
        self.value = name
        return Record.PASSED

    def _special(self, opcode: cython.int) -> cython.int:
        """What no key is; 0 for what belongs to the record that goes on behind it."""
        if opcode == EXPIRY_MS:
            self.expires_at = self._expiry(self.reader.milliseconds())
        elif opcode == EXPIRY_S:
            self.expires_at = self._expiry(1000 * int.from_bytes(self.reader.take(4), "little", signed=True))
        elif opcode == IDLE:
            self.idle_ms = min(self.reader.length() * 1000, MOST_EXPIRY)
        elif opcode == FREQUENCY:
            self.frequency = self.reader.byte()
        elif opcode == AUX:
            self.doing = "an auxiliary field"
            self.key = self.reader.string()
            self.value = self.reader.string()
            return Record.AUX
        elif opcode == DATABASE:
            self.database = self.reader.length()
        elif opcode == SIZES:
            self.value = (self.reader.length(), self.reader.length())
            return Record.SIZES
        elif opcode == foreign.SLOT_INFO:
            for _ in range(3):
                self.reader.length()
        else:
            return self._section(opcode)
        return 0

    def _expiry(self, at: int) -> int:
        if at < 0:
            raise Corrupt(f"{at} is no time for a key to expire")
        return at

    def _section(self, opcode: int) -> int:
        what = foreign.OPCODES.get(opcode)
        if what is None:
            raise Corrupt(f"{opcode} is no opcode")
        self.doing = what
        if not self.passing:
            raise Unsupported(self.began, f"it holds {what}, which is not supported")
        foreign.pass_section(self.reader, opcode)
        self.key, self.value = b"", what
        return Record.PASSED

    def _end(self) -> None:
        """The checksum; 0 means that whoever wrote the file made none."""
        if self.version < CHECKED_SINCE:
            return
        self.doing = "the checksum"
        found = self.reader.checksum()
        stated = int.from_bytes(self.reader.take(8), "little")
        self.checked = stated == found and self.reader.summing
        if stated not in (0, found) and self.reader.summing:
            raise Corrupt(f"the file says {stated:016x}, its content sums up to {found:016x}")


TOLD_AFTER = cython.declare(cython.longlong, 10_000)
"""Keys between two reports of progress."""


@cython.final
@cython.cclass
class RdbWriter(Visitor):
    """Makes a file's bytes, and hands them on in chunks of some 64 KiB."""

    def __init__(
        self,
        write: Callable[[bytes], object],
        fields_expire: bool = False,
        compressing: bool = True,
        summing: bool = True,
    ) -> None:
        """`fields_expire`: whether any hash has such; only Valkey can read the file then. `compressing`: whether
        strings are; `summing`: whether a checksum is made."""
        self.out: Writer = Writer(write, compressing, summing)
        magic = b"%s%03d" % (VALKEY, VALKEY_VERSION) if fields_expire else b"%s%04d" % (REDIS, VERSION)
        for byte in magic:
            self.out.byte(byte)
        self.keyspace: Keyspace | None = None
        """That which is being written."""
        self.idle_times = self.frequencies = False
        self.done = 0
        """Keys that were written."""
        self.told: Callable[[int], None] | None = None

    @property
    def written(self) -> int:
        """Bytes that were handed on."""
        return int(self.out.written)

    def aux(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """What is to be known of the file. Names that others do not know they pass over."""
        for name, text in fields:
            self.out.byte(AUX)
            self.out.text(name)
            self.out.text(text)

    def database(self, number: int, keys: int, expiring: int) -> None:
        """The keys that follow are this database's. Of how many there are is a hint for the reader's tables."""
        self.out.byte(DATABASE)
        self.out.length(number)
        self.out.byte(SIZES)
        self.out.length(keys)
        self.out.length(expiring)

    def entry(
        self,
        key: bytes,
        value: Value,
        expires_at: cython.longlong = -1,
        idle_ms: cython.longlong = -1,
        frequency: cython.int = -1,
    ) -> None:
        """A key. -1 stands for no expiry, and for an idle time or frequency that is not told. O(size of the value)."""
        self._describe(expires_at, idle_ms, frequency)
        form: cython.int = form_of(value)
        self.out.byte(form)
        self.out.text(key)
        write_value(self.out, value, form)

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def _describe(self, expires_at: cython.longlong, idle_ms: cython.longlong, frequency: cython.int) -> cython.int:
        """What stands before a key."""
        if expires_at != -1:
            self.out.byte(EXPIRY_MS)
            self.out.milliseconds(expires_at)
        if idle_ms != -1:
            self.out.byte(IDLE)
            self.out.length(idle_ms // 1000)
        if frequency != -1:
            self.out.byte(FREQUENCY)
            self.out.byte(frequency)
        return 0

    def everything(
        self, keyspace: Keyspace, idle_times: bool, frequencies: bool, told: Callable[[int], None] | None = None
    ) -> None:
        """All keys of a database that live; `told` is called now and then with the keys so far, of all databases.

        Nothing that is written is touched: a forked child copies no memory for it. O(n).
        """
        self.told = told
        if not cython.compiled:
            for key, value, expires_at, idle_ms in keyspace.entries():
                frequency = keyspace.frequency(key) if frequencies else -1
                self.entry(key, value, expires_at, idle_ms if idle_times else -1, frequency)
                self._count()
            return
        self.keyspace, self.idle_times, self.frequencies = keyspace, idle_times, frequencies
        keyspace.table.walk(self)
        self.keyspace = None

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def visit(self, view: ViewPointer) -> cython.int:
        """A key as it lies in memory. Compiled only."""
        form: cython.int = 0
        keyspace: Keyspace = cython.cast(Keyspace, self.keyspace)
        if 0 <= view.expires_at <= keyspace.clock.now_ms:
            return 0
        idle_ms: cython.longlong = keyspace._idle(view.record.used_at) if self.idle_times else -1
        self._describe(view.expires_at, idle_ms, keyspace._frequency(view.record) if self.frequencies else -1)
        value: Pointer = view.value  # not view.value itself: to hand that on would count a reference
        if value is not cython.NULL:
            form = form_of(cython.cast(object, value))
        self.out.byte(form)
        self.out.string(view.key, view.key_length)
        if value is not cython.NULL:
            write_value(self.out, cython.cast(object, value), form)
        elif view.is_number:
            self.out.integer(view.number)
        else:
            self.out.string(view.text, view.text_length)
        self._count()
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=False)
    def _count(self) -> cython.int:
        self.done += 1
        if self.done % TOLD_AFTER == 0 and self.told is not None:
            self.told(self.done)
        return 0

    def end(self) -> None:
        """The end mark and the checksum; 0 says that there is none."""
        self.out.byte(END)
        self.out.checksum()
