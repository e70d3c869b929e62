"""From values to bytes: a reply as RESP2 or RESP3 (the table in `ringkeeper.resp.values`), a command for a server."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import cython

from ringkeeper.resp.doubles import format_double
from ringkeeper.resp.values import NullArray, Push, Raw, ReplyError, SetReply, Simple, Verbatim

if cython.compiled:
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING, PyByteArray_Resize
    from cython.cimports.libc.string import memcpy

CRLF: Final = b"\r\n"
CACHED: Final = 1024
BULK_HEADERS: Final = tuple(b"$%d\r\n" % length for length in range(CACHED))
INTEGERS: Final = tuple(b":%d\r\n" % number for number in range(CACHED))
LINE_ENDS_TO_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")


def write(out: bytearray, value: object, protocol: cython.int) -> int:
    """Append a reply. Raises `TypeError` for a value that has no place in the protocol. O(size of the reply)."""
    _write(out, value, protocol)
    return 0


def encode_command(args: Sequence[bytes]) -> bytes:
    """A command as a client sends it: an array of bulk strings."""
    out = bytearray(b"*%d\r\n" % len(args))
    for argument in args:
        _write_bulk(out, argument)
    return bytes(out)


@cython.cfunc
def _write(out: bytearray, value: object, protocol: cython.int) -> None:
    """The commonest types first, by identity; what inherits from a type is left to `_write_rare`."""
    kind: object = type(value)
    if kind is bytes:
        _write_bulk(out, value)
    elif kind is int:
        _write_integer(out, value, protocol)
    elif kind is Simple:
        _write_simple(out, value)
    elif value is None:
        _append(out, b"$-1" if protocol == 2 else b"_", b"", CRLF)
    elif kind is list or kind is tuple:
        _write_collection(out, b"*", value, protocol)
    elif kind is float:
        _write_double(out, value, protocol)
    elif kind is str:
        _write_bulk(out, str(value).encode())
    elif kind is bytearray:
        _write_buffer(out, value)
    else:
        _write_rare(out, value, protocol)


@cython.cfunc
def _write_rare(out: bytearray, value: object, protocol: cython.int) -> None:
    if isinstance(value, bool):
        if protocol == 2:
            out += b":1\r\n" if value else b":0\r\n"
        else:
            out += b"#t\r\n" if value else b"#f\r\n"
    elif isinstance(value, ReplyError):
        # A line end within would start another reply; Redis replaces it likewise.
        text = value.text.encode("utf-8", "surrogateescape").strip(CRLF)
        out += b"-" + text.translate(LINE_ENDS_TO_SPACES) + CRLF
    elif isinstance(value, float):
        _write_double(out, float(value), protocol)
    elif isinstance(value, dict):
        _write_map(out, value, protocol)
    elif isinstance(value, Raw):
        out += value.data
    elif isinstance(value, Verbatim):
        if protocol == 2:
            _write_bulk(out, value.text)
        else:
            out += b"=%d\r\n%b:%b\r\n" % (len(value.text) + 4, value.kind, value.text)
    elif isinstance(value, NullArray):
        out += b"*-1\r\n" if protocol == 2 else b"_\r\n"
    elif isinstance(value, SetReply):
        _write_collection(out, b"*" if protocol == 2 else b"~", value, protocol)
    elif isinstance(value, Push):
        _write_collection(out, b"*" if protocol == 2 else b">", value, protocol)
    elif isinstance(value, (list, tuple)):
        _write_collection(out, b"*", value, protocol)
    elif isinstance(value, (bytes, bytearray)):
        _write_buffer(out, value)
    elif isinstance(value, int):
        _write_integer(out, int(value), protocol)
    elif isinstance(value, str):
        _write_bulk(out, value.encode())
    elif isinstance(value, Simple):
        _write_simple(out, value)
    else:
        raise TypeError(f"a command answered with a {type(value).__name__}, which RESP cannot carry")


@cython.cfunc
def _write_bulk(out: bytearray, text: bytes) -> None:
    length: cython.Py_ssize_t = len(text)
    _append(out, BULK_HEADERS[length] if length < CACHED else b"$%d\r\n" % length, text, CRLF)


@cython.cfunc
def _write_double(out: bytearray, value: float, protocol: cython.int) -> None:
    text: bytes = format_double(value)
    if protocol == 2:
        _write_bulk(out, text)
    else:
        _append(out, b",", text, CRLF)


@cython.cfunc
def _write_buffer(out: bytearray, text: bytes | bytearray) -> None:
    _write_bulk(out, bytes(text))


@cython.cfunc
def _write_simple(out: bytearray, value: Simple) -> None:
    _append(out, b"+", value.text, CRLF)


@cython.cfunc
@cython.locals(target=cython.p_char, source=cython.p_char)
def _append(out: bytearray, head: bytes, body: bytes, tail: bytes) -> None:
    """Three pieces at once: in C, growing the array costs more than copying short strings."""
    if not cython.compiled:
        out += head
        out += body
        out += tail
        return
    size: cython.Py_ssize_t = len(out)
    middle: cython.Py_ssize_t = size + len(head)
    end: cython.Py_ssize_t = middle + len(body)
    PyByteArray_Resize(out, end + len(tail))
    target = PyByteArray_AS_STRING(out)
    source = head
    memcpy(target + size, source, len(head))
    source = body
    memcpy(target + middle, source, len(body))
    source = tail
    memcpy(target + end, source, len(tail))


@cython.cfunc
def _write_integer(out: bytearray, value: int, protocol: cython.int) -> None:
    """Numbers beyond 64 bits go as RESP3's big numbers, as bulk strings in RESP2."""
    if 0 <= value < CACHED:
        _append(out, INTEGERS[value], b"", b"")
    elif -(1 << 63) <= value < (1 << 63):
        _append(out, b":", str(value).encode(), CRLF)
    elif protocol == 2:
        _write_bulk(out, b"%d" % value)
    else:
        out += b"(%d\r\n" % value


@cython.cfunc
def _write_collection(out: bytearray, kind: bytes, values: Collection[object], protocol: cython.int) -> None:
    out += b"%b%d\r\n" % (kind, len(values))
    for value in values:
        _write(out, value, protocol)


@cython.cfunc
def _write_map(out: bytearray, values: dict[object, object], protocol: cython.int) -> None:
    out += b"*%d\r\n" % (2 * len(values)) if protocol == 2 else b"%%%d\r\n" % len(values)
    for key, value in values.items():
        _write(out, key, protocol)
        _write(out, value, protocol)
