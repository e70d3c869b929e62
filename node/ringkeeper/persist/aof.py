"""The append-only file in its parts: a manifest, a base and increments, as Redis 7 has them. Pure.

The manifest names the files that together are the data: at most one base (an RDB file, or commands), then increments
in the order of their numbers, each a sequence of commands in RESP. Files of type `h` are history: they were replaced,
and are to be deleted. Between commands may stand annotations, lines that begin with `#`. Source: `aof.c` of Redis 7.0.

    file appendonly.aof.2.base.rdb seq 2 type b
    file appendonly.aof.5.incr.aof seq 5 type i
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ringkeeper.persist.rdb import Damaged
from ringkeeper.persist.reader import Source
from ringkeeper.resp.inline import split_inline

BASE: Final = "b"
HISTORY: Final = "h"
INCREMENT: Final = "i"

LONGEST_LINE: Final = 1024
"""Bytes of a line of the manifest, its end included."""
PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
"""What stands in a name without quotes."""


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    number: int
    kind: str

    def line(self) -> bytes:
        name = self.name.encode("utf-8", "surrogateescape")
        return b"file %b seq %d type %b\n" % (quoted(name), self.number, self.kind.encode())


@dataclass(frozen=True, slots=True)
class Manifest:
    base: Part | None = None
    increments: tuple[Part, ...] = ()
    history: tuple[Part, ...] = ()

    def encode(self) -> bytes:
        """O(parts)."""
        parts = ((self.base,) if self.base else ()) + self.history + self.increments
        return b"".join(part.line() for part in parts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Those that are the data, in the order in which they are loaded."""
        return ((self.base,) if self.base else ()) + self.increments


def quoted(name: bytes) -> bytes:
    if name and PLAIN.issuperset(name):
        return name
    escaped = b"".join(b"%c" % byte if 32 <= byte < 127 and byte not in b'"\\' else b"\\x%02x" % byte for byte in name)
    return b'"%b"' % escaped


def decode(data: bytes) -> Manifest:
    """A manifest; raises `Damaged` with the byte at which the line begins that is none."""
    base: Part | None = None
    increments: list[Part] = []
    history: list[Part] = []
    at = 0
    if not data:
        raise Damaged(0, "the manifest is empty")
    for line in data.splitlines(keepends=True):
        if not line.startswith(b"#"):
            part = part_of(line, at)
            if part.kind == HISTORY:
                history.append(part)
            elif part.kind == INCREMENT:
                if increments and increments[-1].number >= part.number:
                    raise Damaged(at, f"increment {part.number} stands behind increment {increments[-1].number}")
                increments.append(part)
            elif base is not None:
                raise Damaged(at, "there is a second base")
            else:
                base = part
        at += len(line)
    return Manifest(base, tuple(increments), tuple(history))


def part_of(line: bytes, at: int) -> Part:
    if not line.endswith(b"\n"):
        raise Damaged(at, "the last line has no end")
    if len(line) > LONGEST_LINE:
        raise Damaged(at, f"a line has {len(line):,} bytes")
    words = split_inline(line.rstrip(b"\r\n"))
    if words is None or len(words) < 6 or len(words) % 2:
        raise Damaged(at, f"{line[:100]!r} names no file")
    given = dict(zip(words[::2], words[1::2], strict=True))
    name = given.get(b"file", b"").decode("utf-8", "surrogateescape")
    number, kind = given.get(b"seq", b""), given.get(b"type", b"").decode("latin-1")
    if not name or "/" in name or name in (".", ".."):
        raise Damaged(at, f"{name!r} is no name of a file in the folder")
    if not number.isdigit() or not 0 < int(number) < 2**63 or kind not in (BASE, HISTORY, INCREMENT):
        raise Damaged(at, f"{line[:100]!r} has no number above 0, or no type of b, h or i")
    return Part(name, int(number), kind)


# Commands


class Torn(Damaged):
    """The file ends amid a command, as after a crash; `at` is where that begins: what stands before it is whole."""


WINDOW: Final = 1 << 18
"""Bytes that are read at once."""
LONGEST_NUMBER: Final = 66
"""Bytes of the line that announces a count or a length."""
LONGEST_ANNOTATION: Final = 1024
MOST_WORDS: Final = 1024 * 1024
LONGEST_WORD: Final = 512 * 1024 * 1024


class LogReader:
    """Goes through an increment, or a base of commands, from a position on. It believes no length before so many bytes
    are known to be in the file.
    """

    def __init__(self, source: Source, size: int, start: int = 0) -> None:
        self.source = source
        self.size = size
        self.offset = start
        """Of `data` in the file."""
        self.data = b""
        self.position = 0
        self.began = start
        """Where the command begins that was read last."""

    @property
    def at(self) -> int:
        return self.offset + self.position

    def next(self) -> list[bytes] | bytes | None:
        """A command's words, an annotation without its `#`, or None at the end; raises `Torn` or `Damaged`."""
        self.began = self.at
        if self.at == self.size:
            return None
        first = self._take(1)
        if first == b"#":
            return self._line(LONGEST_ANNOTATION)
        if first != b"*":
            if first == b"\0" and self._only_zeros():
                raise Torn(self.began, f"the last {self.size - self.began:,} bytes are zeros, which were never written")
            raise Damaged(self.began, f"{first!r} begins no command")
        count = self._number(MOST_WORDS, 1)
        if count * 5 > self.size - self.at:
            raise Torn(self.began, f"a command of {count} words has {self.size - self.at} bytes")
        return [self._word() for _ in range(count)]

    def _word(self) -> bytes:
        if (first := self._take(1)) != b"$":
            raise Damaged(self.at - 1, f"{first!r} begins no word, in the command that begins at byte {self.began:,}")
        text = self._take(self._number(LONGEST_WORD, 0))
        if (end := self._take(2)) != b"\r\n":
            raise Damaged(self.at - 2, f"a word ends with {end!r}, in the command that begins at byte {self.began:,}")
        return text

    def _number(self, most: int, least: int) -> int:
        line = self._line(LONGEST_NUMBER)
        if not line.isdigit() or not least <= int(line) <= most:
            where = f"in the command that begins at byte {self.began:,}"
            raise Damaged(self.at - len(line) - 2, f"{line[:30]!r} is no number that can stand here, {where}")
        return int(line)

    def _line(self, longest: int) -> bytes:
        """Up to a line feed, without it and a carriage return before it."""
        end = self.data.find(b"\n", self.position, self.position + longest)
        if end < 0:
            self._fill(min(longest, self.size - self.at))
            end = self.data.find(b"\n", self.position, self.position + longest)
        if end < 0:
            if self.size - self.at < longest:
                raise Torn(self.began, "the file ends amid a line")
            raise Damaged(self.at, f"a line has more than {longest} bytes")
        line = self.data[self.position : end]
        self.position = end + 1
        return line.removesuffix(b"\r")

    def _take(self, count: int) -> bytes:
        if count > self.size - self.at:
            raise Torn(self.began, f"{count:,} bytes are announced, {self.size - self.at:,} follow")
        self._fill(count)
        start = self.position
        self.position += count
        return self.data if count == len(self.data) else self.data[start : self.position]

    def _fill(self, count: int) -> None:
        """Have so many bytes from the position on; a long word fills the window alone."""
        if len(self.data) - self.position >= count:
            return
        at = self.at
        wanted = count if count >= WINDOW else min(WINDOW, self.size - at)
        self.data = self.source.read_at(at, wanted)
        self.offset, self.position = at, 0
        if len(self.data) < count:
            raise Torn(self.began, "the file has become shorter")

    def _only_zeros(self) -> bool:
        """Whether nothing else stands from the last command on: a file system may leave that after a crash."""
        at = self.began
        while at < self.size:
            data = self.source.read_at(at, WINDOW)
            if not data or data.count(0) < len(data):
                return not data
            at += len(data)
        return True


def annotation(facts: Iterable[tuple[str, object]]) -> bytes:
    """A line that other servers pass over, such as `#RK:term=3;offset=71`. They read 127 bytes of it at most."""
    line = "#RK:" + ";".join(f"{name}={value}" for name, value in facts)
    assert len(line) < 126
    assert "\n" not in line
    return line.encode() + b"\r\n"


def facts_of(line: bytes) -> dict[str, str]:
    """What such an annotation says; nothing for one of another kind."""
    if not line.startswith(b"RK:"):
        return {}
    pairs = (word.partition("=") for word in line[3:].decode("latin-1").split(";"))
    return {name: value for name, separator, value in pairs if separator}
