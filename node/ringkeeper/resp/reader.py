"""From bytes to commands (a server's side) and to replies (a client's side), without I/O.

Both readers are fed whatever arrives and asked for whole messages. They take time linear in the bytes fed, however
these are cut, and hold no more memory than the bytes that have come: no announced length is believed before its bytes
are there, and none is read past the limit that it must keep. Three places hold what has come:

- `_buffer`, the bytes being parsed, from `_position` on: the very object that was fed, when all before it was parsed;
- `_more`, what was fed while the buffer was not yet parsed. It joins the buffer when the buffer's unfinished line can
  go on, never before: a line that drips in is not searched, nor copied, once a byte;
- `_bulk`, a string whose length is known and whose bytes have not all come. It grows in place and is handed out
  without another copy.

The verdicts on broken streams, and their texts, are those of Redis 7.0 (`processMultibulkBuffer` and
`processInlineBuffer`), its habits included: the bytes behind a bulk string are skipped, not checked, and a NUL byte
before a line's end hides that end, so that the line can only grow too long.
"""

from __future__ import annotations

import io
import re
from typing import Final

import cython

from ringkeeper.resp.inline import split_inline
from ringkeeper.resp.values import (
    NULL_ARRAY,
    ProtocolError,
    Push,
    ReplyError,
    SetReply,
    Simple,
    TooLargeError,
    Verbatim,
)

if cython.compiled:
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
    from cython.cimports.cpython.list import PyList_New, PyList_SET_ITEM
    from cython.cimports.cpython.ref import Py_INCREF
    from cython.cimports.libc.string import memcmp

Words = list[bytes]
Values = list[object]
"""By these names, Cython takes the types from `reader.pxd`."""
MAX_BULK: Final = 512 * 1024 * 1024
"""Redis's default `proto-max-bulk-len`."""
MAX_ARGUMENTS: Final = 1024 * 1024
MAX_LINE: Final = 64 * 1024
MAX_BULK_UNAUTHENTICATED: Final = 16384
MAX_ARGUMENTS_UNAUTHENTICATED: Final = 10
MAX_DEPTH: Final = 128
"""Collections within collections in a reply. Redis's own replies nest less than ten deep."""
MAX_REPLY_LINE: Final = 1024 * 1024
MAX_ELEMENTS: Final = 2**31 - 1

CR: Final = b"\r"
INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
"""What Redis's `string2ll` reads, apart from the 64-bit range."""
SIGNED: Final = re.compile(rb"[+-]?[0-9]{1,19}")
BIG_NUMBER: Final = re.compile(rb"[+-]?[0-9]{1,4000}")
DOUBLE: Final = re.compile(rb"[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|inf)|-?nan")

LINES: Final = b"+-:_#,("
"""Types whose value stands in their line."""
BULKS: Final = b"$=!"
"""Types whose line says how many bytes follow."""
COLLECTIONS: Final = b"*~>%|"
"""Types whose line says how many values, or pairs of them, follow."""


class NotReady:
    """What `ReplyReader.next` answers when more bytes are needed; `None` is a value of its own there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NOT_READY"


NOT_READY: Final = NotReady()
UNFINISHED: Final = NotReady()
"""Within a parser: a value has begun, or was dropped, and the next line can be read."""


class Nowhere(io.BytesIO):
    """Takes the place of a bulk string that is not to be kept."""

    def write(self, _: object) -> int:
        return 0


NOWHERE: Final = Nowhere()
PLAIN_WORDS = cython.declare(cython.Py_ssize_t, 16)
"""Most words of a command that is read at one go."""
NAME_LENGTH = cython.declare(cython.Py_ssize_t, 24)
NAMES = cython.declare(list, [b""] * 1024)
"""Names of commands, as they came last, each at a place that its bytes tell: most words that come first came before.

What is here need not be made anew, and has its hash with it.
"""


@cython.cfunc
@cython.exceptval(check=False)
@cython.locals(place=cython.size_t)
def place_of(data: cython.p_const_char, size: cython.Py_ssize_t) -> cython.Py_ssize_t:
    """Where among `NAMES` such a word stands. Compiled only, as are the next two and `CommandReader._whole`."""
    i: cython.Py_ssize_t
    place = size
    for i in range(size):
        place = place * 31 + data[i]
    return place & 1023


@cython.cfunc
def name_of(data: cython.p_const_char, size: cython.Py_ssize_t) -> bytes:
    """The first word of a command."""
    name: bytes
    if size > NAME_LENGTH:
        name = PyBytes_FromStringAndSize(data, size)
        return name
    place: cython.Py_ssize_t = place_of(data, size)
    name = NAMES[place]
    if PyBytes_GET_SIZE(name) != size or memcmp(PyBytes_AS_STRING(name), data, size) != 0:
        name = NAMES[place] = PyBytes_FromStringAndSize(data, size)
    return name


def remember(word: bytes) -> None:
    """Let a name of a command be this very object where it comes from a client: then looking it up compares nothing."""
    if cython.compiled and len(word) <= NAME_LENGTH:
        NAMES[place_of(PyBytes_AS_STRING(word), len(word))] = word


def parse_integer(text: bytes) -> int | None:
    """A 64-bit integer as Redis writes it, without sign `+`, leading zeros or blanks; None for anything else."""
    if len(text) > 20 or INTEGER.fullmatch(text) is None:
        return None
    value: object = int(text)
    assert isinstance(value, int)
    return value if -(1 << 63) <= value < (1 << 63) else None


@cython.cclass
class Inbox:
    """The bytes that were fed and not yet handed out."""

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._length = 0
        self._more = bytearray()
        self._waiting = False
        """The line at `_position` is unfinished: it goes on when `_awaited` comes, or when it has grown too long."""
        self._awaited = b""
        """The byte that ends the line; empty if nothing can end it any more."""
        self._scanned = 0
        """Bytes of `_more` that were searched for it."""
        self._bulk: io.BytesIO | None = None
        self._missing = 0
        """Bytes that `_bulk` lacks, its CRLF included."""
        self._ending = b""
        """The part of that CRLF that has come."""
        self._entry = 0
        """Where in the buffer the unfinished message, or what is left of it, begins."""
        self._held = 0
        """Bytes of the unfinished message that were parsed and have left the buffer."""
        self._max_line = MAX_LINE
        self._nul_hides = True
        """A NUL byte hides the end of its line."""
        self._failure: str | None = None

    def feed(self, data: bytes) -> None:
        """Take what has arrived. After a `ProtocolError` it is dropped."""
        if self._failure is not None:
            return
        if self._position == self._length and not self._more:
            self._held += self._position - self._entry
            self._buffer = data
            self._position = self._entry = 0
            self._length = len(data)
        else:
            self._more += data

    @property
    def buffered(self) -> int:
        """Bytes fed and not yet handed out, those of the unfinished message included. O(1)."""
        return int(self.size())

    @cython.cfunc
    def size(self) -> cython.Py_ssize_t:
        return self._held + self._length - self._entry + len(self._more)

    @cython.cfunc
    def _refill(self) -> cython.bint:
        """Join to the buffer what was fed since; whether there is more to parse now."""
        rest: cython.Py_ssize_t = self._length - self._position
        size: cython.Py_ssize_t = len(self._more)
        if size == 0:
            return False
        if self._waiting:
            grown = rest + size > self._max_line
            if not grown and (not self._awaited or self._more.find(self._awaited, self._scanned) < 0):
                self._scanned = size
                return False
            self._waiting = False
        self._trim()
        self._buffer = self._buffer + self._more
        self._length = len(self._buffer)
        self._more = bytearray()
        return True

    @cython.cfunc
    def _trim(self) -> cython.void:
        """Let go of what was parsed, so that an unfinished line keeps no large buffer alive."""
        self._held += self._position - self._entry
        if self._position == self._length:
            self._buffer = b""
        elif self._position:
            self._buffer = self._buffer[self._position :]
        self._length -= self._position
        self._position = self._entry = 0

    @cython.cfunc
    def _line_end(self, end_byte: bytes) -> cython.Py_ssize_t:
        """Where the line at `_position` ends; -1 when its end has not come, -2 when it is too long."""
        end: cython.Py_ssize_t = self._buffer.find(end_byte, self._position)
        reach: cython.Py_ssize_t = end if end >= 0 else self._length
        hidden: cython.bint = self._nul_hides and self._buffer.find(b"\0", self._position, reach) >= 0
        if hidden:
            end = -1
            reach = self._length
        if reach - self._position > self._max_line:
            return -2
        if end < 0:
            self._waiting = True
            self._awaited = b"" if hidden else end_byte
            self._scanned = 0
        return end

    @cython.cfunc
    def _begin_bulk(self, size: cython.Py_ssize_t) -> cython.void:
        self._bulk = io.BytesIO()
        self._missing = size + 2
        self._ending = b""

    @cython.cfunc
    def _finish_bulk(self) -> bytes | None:
        """Move what has come into the bulk string; the string once it is whole."""
        bulk = self._bulk
        assert bulk is not None
        start: cython.Py_ssize_t = self._position
        taken: cython.Py_ssize_t = min(self._length - start, self._missing)
        body: cython.Py_ssize_t = max(min(taken, self._missing - 2), 0)
        if body:
            bulk.write(memoryview(self._buffer)[start : start + body])
        self._ending += self._buffer[start + body : start + taken]
        self._missing -= taken
        self._position += taken
        if bulk is NOWHERE:
            self._entry += taken  # so that it is not counted as held
        if self._missing:
            return None
        self._bulk = None
        return bulk.getvalue()

    @cython.cfunc
    def _fail(self, text: str) -> object:
        """Break off for good: nothing that follows can be understood."""
        self._failure = text
        self._buffer = b""
        self._more = bytearray()
        self._position = self._length = self._entry = self._held = 0
        self._bulk = None
        raise ProtocolError(text)


@cython.final
@cython.cclass
class CommandReader(Inbox):
    """A server's side: commands, as RESP arrays of bulk strings or as inline requests.

    An unauthenticated client may send 10 arguments and 16384 bytes each, no more. Empty requests are skipped.

    A command with an argument that is longer than `most_kept` and does not come in one piece with what announces it is
    refused: such an argument is skipped as it comes, and takes no memory.
    """

    def __init__(self, *, authenticated: bool = True) -> None:
        Inbox.__init__(self)
        self._authenticated = authenticated
        self._max_bulk = MAX_BULK
        self._max_arguments = MAX_ARGUMENTS
        self._most_kept = MAX_BULK
        self._skipped = False
        """An argument of the unfinished command was not kept."""
        self._args: Words = []
        self._remaining = 0
        """Arguments of the unfinished command that have not come."""
        self._number = 0
        """What `_read_number` has read."""

    @property
    def authenticated(self) -> bool:
        return bool(self._authenticated)

    @authenticated.setter
    def authenticated(self, value: bool) -> None:
        self._authenticated = value

    @property
    def proto_max_bulk_len(self) -> int:
        """The longest argument allowed, in bytes."""
        return int(self._max_bulk)

    @proto_max_bulk_len.setter
    def proto_max_bulk_len(self, value: int) -> None:
        self._max_bulk = value

    @property
    def most_kept(self) -> int:
        """The longest argument that is worth being read, in bytes."""
        return int(self._most_kept)

    @most_kept.setter
    def most_kept(self, value: int) -> None:
        self._most_kept = value

    def next(self) -> Words | None:
        """The next whole command; None when more bytes are needed.

        Raises `TooLargeError` in place of a command that was not kept, and `ProtocolError`, then and ever after.
        """
        if self._failure is not None:
            raise ProtocolError(self._failure)
        if self._waiting and not self._refill():
            return None
        command: Words | None
        if cython.compiled and self._remaining == 0 and self._authenticated:
            command = self._whole()
            if command is not None:
                return command
        while True:
            command = self._parse()
            if command is not None:
                self._held = 0
                self._entry = self._position
                if self._skipped:
                    self._skipped = False
                    raise TooLargeError
                return command
            self._trim()
            if not self._refill():
                return None

    @cython.cfunc
    @cython.locals(data=cython.p_const_uchar, text=cython.p_const_char)
    def _whole(self) -> Words | None:
        """A command that the buffer holds from first to last, in the form in which clients send nearly all.

        None for any other, of which nothing is taken then: the rest of this class reads it.
        """
        starts = cython.declare(cython.Py_ssize_t[16])
        sizes = cython.declare(cython.Py_ssize_t[16])
        end: cython.Py_ssize_t = self._length - 2
        at: cython.Py_ssize_t = self._position
        count: cython.Py_ssize_t = 0
        size: cython.Py_ssize_t
        first: cython.Py_ssize_t
        i: cython.Py_ssize_t
        data = self._buffer
        if at + 1 >= end or data[at] != 42:
            return None
        at += 1
        while 48 <= data[at] <= 57 and count <= PLAIN_WORDS and at < end:
            count = count * 10 + (data[at] - 48)
            at += 1
        if data[at] != 13 or count > PLAIN_WORDS or count == 0 or data[self._position + 1] == 48:
            return None
        at += 2
        for i in range(count):
            if at + 1 >= end or data[at] != 36:
                return None
            at += 1
            first = at
            size = 0
            while 48 <= data[at] <= 57 and at < end and at - first < 9:
                size = size * 10 + (data[at] - 48)
                at += 1
            if data[at] != 13 or at == first or (data[first] == 48 and at != first + 1) or size > self._max_bulk:
                return None
            starts[i] = at + 2
            sizes[i] = size
            at += size + 4
            if at > end + 2:
                return None
        text = self._buffer
        words: Words = PyList_New(count)
        for i in range(count):
            word: bytes = (
                name_of(text + starts[i], sizes[i]) if i == 0 else PyBytes_FromStringAndSize(text + starts[i], sizes[i])
            )
            Py_INCREF(word)
            PyList_SET_ITEM(words, i, word)
        self._held = 0
        self._position = self._entry = at
        return words

    @cython.cfunc
    def _parse(self) -> Words | None:
        """The next command of the buffer; None when it ends within one, whose arguments so far are kept."""
        if self._bulk is not None:
            argument = self._finish_bulk()
            if argument is None:
                return None
            self._args.append(argument)
            self._remaining -= 1
        elif self._remaining == 0:
            command: Words | None = self._begin_command()
            if self._remaining == 0:
                return command
        if self._read_arguments():
            command = self._args
            self._args = []
            return command
        return None

    @cython.cfunc
    def _begin_command(self) -> Words | None:
        """Read an array's header into `_remaining`, or a whole inline request, which is the answer."""
        while True:
            self._entry = self._position
            if self._position == self._length:
                return None
            if self._buffer[self._position] != 42:
                command: Words | None = self._read_inline()
                if command is None or command:
                    return command
                continue
            if not self._read_number(42):
                return None
            if self._number > self._max_arguments:
                self._fail("invalid multibulk length")
            if not self._authenticated and self._number > MAX_ARGUMENTS_UNAUTHENTICATED:
                self._fail("unauthenticated multibulk length")
            if self._number > 0:
                self._remaining = self._number
                return None

    @cython.cfunc
    @cython.locals(data=cython.p_const_uchar)
    def _read_arguments(self) -> cython.bint:
        """Read the bulk strings that the command lacks; whether all have come."""
        size: cython.longlong
        data = self._buffer
        while self._remaining:
            if not self._read_number(36):
                return False
            size = self._number
            if size < 0 or size > self._max_bulk:
                self._fail("invalid bulk length")
            if not self._authenticated and size > MAX_BULK_UNAUTHENTICATED:
                self._fail("unauthenticated bulk length")
            if self._length - self._position < size + 2:
                self._begin_bulk(size)
                if size > self._most_kept:
                    self._bulk = NOWHERE
                    self._skipped = True
                self._finish_bulk()
                return False
            self._args.append(data[self._position : self._position + size])
            self._position += size + 2
            self._remaining -= 1
        return True

    @cython.cfunc
    @cython.locals(data=cython.p_const_uchar)
    def _read_number(self, kind: cython.int) -> cython.bint:
        """Read a line such as `$12` into `_number`; False when it has not all come.

        Ten plain digits at most are read here, which cannot overflow; the rest is left to `_read_rare_number`.
        """
        start: cython.Py_ssize_t = self._position + 1
        end: cython.Py_ssize_t = min(self._length, start + 10)
        i: cython.Py_ssize_t = start
        digit: cython.int
        value: cython.longlong = 0
        data = self._buffer
        while i < end:
            digit = data[i] - 48
            if digit < 0 or digit > 9:
                break
            value = value * 10 + digit
            i += 1
        if (
            i > start
            and i + 1 < self._length
            and data[i] == 13
            and data[start - 1] == kind
            and (data[start] != 48 or i == start + 1)
        ):
            self._number = value
            self._position = i + 2
            return True
        return self._read_rare_number(kind)

    @cython.cfunc
    def _read_rare_number(self, kind: cython.int) -> cython.bint:
        """The same for a line that is unfinished, long, negative or wrong."""
        if self._position == self._length:
            return False
        end: cython.Py_ssize_t = self._line_end(b"\r")
        if end == -2:
            self._fail("too big mbulk count string" if kind == 42 else "too big bulk count string")
        if end < 0 or end + 1 == self._length:
            return False
        first = self._buffer[self._position : self._position + 1]
        if first[0] != kind:
            # Redis writes this byte as it is, be it part of a character or not, but never a line end.
            got = b" " if first in b"\r\n" else first
            self._fail(f"expected '$', got '{got.decode('utf-8', 'surrogateescape')}'")
        number = parse_integer(self._buffer[self._position + 1 : end])
        if number is None:
            self._fail("invalid multibulk length" if kind == 42 else "invalid bulk length")
        else:
            self._number = number
            self._position = end + 2
        return True

    @cython.cfunc
    def _read_inline(self) -> Words | None:
        """The arguments of the line, none if it is blank; None when it has not all come."""
        end: cython.Py_ssize_t = self._line_end(b"\n")
        if end == -2:
            self._fail("too big inline request")
        if end < 0:
            return None
        line = self._buffer[self._position : end]
        arguments = split_inline(line.removesuffix(CR))
        if arguments is None:
            self._fail("unbalanced quotes in request")
        self._position = end + 1
        return arguments


@cython.final
@cython.cclass
class ReplyReader(Inbox):
    """A client's side: replies in RESP2 and RESP3, as the values of `ringkeeper.resp.values`.

    Attributes are read and dropped. Streamed strings and collections, which no server sends, are refused; so are
    collections nested deeper than `MAX_DEPTH` and maps whose keys are collections.
    """

    def __init__(self) -> None:
        Inbox.__init__(self)
        self._max_line = MAX_REPLY_LINE
        self._nul_hides = False
        self._kind = 0
        """The type of the line read last, and of the bulk string that it announced."""
        self._text = b""
        self._open: list[tuple[int, int, list[object]]] = []
        """The unfinished collections, outermost first: type, values that it will have, values that have come."""

    def next(self) -> object:
        """The next whole reply, or `NOT_READY`. Raises `ProtocolError`, then and ever after."""
        if self._failure is not None:
            raise ProtocolError(self._failure)
        if self._waiting and not self._refill():
            return NOT_READY
        while True:
            value: object = self._parse()
            if value is not NOT_READY:
                self._held = 0
                self._entry = self._position
                return value
            self._trim()
            if not self._refill():
                return NOT_READY

    @cython.cfunc
    def _parse(self) -> object:
        """The next reply of the buffer; `NOT_READY` when it ends within one, whose values so far are kept."""
        value: object
        while True:
            if self._bulk is not None:
                text = self._finish_bulk()
                value = NOT_READY if text is None else self._bulk_value(text, self._ending)
            elif self._read_line():
                value = self._read_value()
            else:
                value = NOT_READY
            if value is NOT_READY:
                return NOT_READY
            while value is not UNFINISHED:
                if not self._open:
                    return value
                value = self._add(value)

    @cython.cfunc
    def _add(self, value: object) -> object:
        """Put a value into the innermost collection; the collection, if that completes it."""
        kind, total, values = self._open[-1]
        values.append(value)
        if len(values) < total:
            return UNFINISHED
        self._open.pop()
        return self._collection(kind, values)

    @cython.cfunc
    def _read_line(self) -> cython.bint:
        """Read a line into `_kind` and `_text`; False when it has not all come."""
        if self._position == self._length:
            return False
        self._kind = self._buffer[self._position]
        if self._kind not in LINES and self._kind not in BULKS and self._kind not in COLLECTIONS:
            self._fail(f"unknown reply type {self._buffer[self._position : self._position + 1]!r}")
        end: cython.Py_ssize_t = self._line_end(CR)
        if end == -2:
            self._fail("too big reply line")
        if end < 0 or end + 1 == self._length:
            return False
        if self._buffer[end + 1] != 10:
            self._fail("CR without LF in a reply line")
        self._text = self._buffer[self._position + 1 : end]
        self._position = end + 2
        return True

    @cython.cfunc
    def _read_value(self) -> object:
        """What the line says, or what of its collection or bulk string is there already."""
        kind: cython.int = self._kind
        if kind in BULKS:
            size: cython.longlong = self._size(MAX_BULK)
            if size < 0:
                return None
            whole: cython.longlong = self._position + size
            if self._length < whole + 2:
                self._begin_bulk(size)
                return UNFINISHED
            text = self._buffer[self._position : whole]
            self._position = whole + 2
            return self._bulk_value(text, self._buffer[whole : whole + 2])
        if kind in COLLECTIONS:
            count: cython.longlong = self._size(MAX_ELEMENTS)
            if count < 0:
                return NULL_ARRAY
            if len(self._open) >= MAX_DEPTH:
                self._fail(f"reply nested deeper than {MAX_DEPTH} collections")
            if count == 0:
                return self._collection(kind, [])
            self._open.append((kind, count * 2 if kind in b"%|" else count, []))
            return UNFINISHED
        return self._line_value()

    @cython.cfunc
    def _size(self, limit: cython.longlong) -> cython.longlong:
        """The length in the line; -1 for the nulls of RESP2."""
        size = parse_integer(self._text)
        if size is None or size > limit or size < (-1 if self._kind in b"$*" else 0):
            streamed = self._text == b"?"
            self._fail("streamed replies are not supported" if streamed else "invalid length in a reply")
            return -1
        return size

    @cython.cfunc
    def _bulk_value(self, text: bytes, ending: bytes) -> object:
        if ending != b"\r\n":
            self._fail("bulk string without CRLF behind it")
        if self._kind == 36:
            return text
        if self._kind == 33:
            return ReplyError(text.decode("utf-8", "surrogateescape"))
        if text[3:4] != b":":
            self._fail("verbatim string without its kind")
        return Verbatim(text[4:], text[:3])

    @cython.cfunc
    def _collection(self, kind: cython.int, values: Values) -> object:
        if kind == 124:
            return UNFINISHED
        if kind == 37:
            try:
                return dict(zip(values[::2], values[1::2], strict=True))
            except TypeError:
                self._fail("a collection as the key of a map")
        if kind == 126:
            return SetReply(values)
        return Push(values) if kind == 62 else values

    @cython.cfunc
    def _line_value(self) -> object:
        kind: cython.int = self._kind
        text: bytes = self._text
        if kind == 43:
            return Simple(text)
        if kind == 45:
            return ReplyError(text.decode("utf-8", "surrogateescape"))
        if kind == 95 and not text:
            return None
        if kind == 35 and text in (b"t", b"f"):
            return text == b"t"
        if kind == 44 and DOUBLE.fullmatch(text):
            return float(text)
        if kind == 40 and BIG_NUMBER.fullmatch(text):
            return int(text)
        if kind == 58 and SIGNED.fullmatch(text):
            number: object = int(text)
            if -(1 << 63) <= int(text) < (1 << 63):
                return number
        self._fail(f"invalid value in a reply: {text[:32]!r}")
        return None
