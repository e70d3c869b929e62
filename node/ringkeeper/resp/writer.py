"""From values to bytes: a reply as RESP2 or RESP3 (the table in `ringkeeper.resp.values`), a command for a server."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import cython

from ringkeeper.resp.doubles import format_double
from ringkeeper.resp.values import OK, Bulks, NullArray, Push, Raw, ReplyError, SetReply, Simple, Verbatim

if cython.compiled:
    from cython.cimports.cpython.bytearray import PyByteArray_Resize
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING, PyBytes_GET_SIZE
    from cython.cimports.cpython.long import PyLong_AsLongLongAndOverflow
    from cython.cimports.libc.string import memcpy
    from cython.cimports.ringkeeper.resp.writer import ByteArray, Py_SET_SIZE

CRLF: Final = b"\r\n"
LINE_ENDS_TO_SPACES: Final = bytes.maketrans(b"\r\n", b"  ")
Words = list[bytes]


def write(out: bytearray, value: object, protocol: cython.int) -> int:
    """Append a reply. Raises `TypeError` for a value that has no place in the protocol. O(size of the reply)."""
    _write(out, value, protocol)
    return 0


def encode_command(args: Sequence[bytes]) -> bytes:
    """A command as a client sends it: an array of bulk strings."""
    out = bytearray()
    write_command(out, list(args))
    return bytes(out)


def write_command(out: bytearray, args: Words) -> int:
    """Append a command as a client sends it."""
    if not cython.compiled:
        out += b"*%d\r\n" % len(args)
        for argument in args:
            out += b"$%d\r\n%b\r\n" % (len(argument), argument)
        return 0
    size: cython.Py_ssize_t
    total: cython.Py_ssize_t = 24
    for argument in args:
        total += PyBytes_GET_SIZE(argument) + 26
    target: cython.p_char = _room(out, total)
    used: cython.Py_ssize_t = _put_line(target, 42, len(args))
    for argument in args:
        size = PyBytes_GET_SIZE(argument)
        used += _put_line(target + used, 36, size)
        memcpy(target + used, PyBytes_AS_STRING(argument), size)
        memcpy(target + used + size, b"\r\n", 2)
        used += size + 2
    _fill(out, used)
    return 0


@cython.cfunc
def _write(out: bytearray, value: Any, protocol: cython.int) -> None:
    """The commonest types first, by identity; what inherits from a type is left to `_write_rare`."""
    kind: object = type(value)
    if kind is bytes:
        _write_bulk(out, value)
    elif kind is int:
        _write_integer(out, value, protocol)
    elif value is OK:
        _append(out, b"+OK\r\n")
    elif value is None:
        _append(out, b"$-1\r\n" if protocol == 2 else b"_\r\n")
    elif kind is list or kind is tuple:
        _write_collection(out, 42, value, protocol)
    elif kind is Bulks:
        _write_bulks(out, value.kind, value.count, value.data, protocol)
    elif kind is float:
        _write_double(out, value, protocol)
    elif kind is Simple:
        _append(out, b"+%b\r\n" % value.text)
    elif kind is str:
        _write_bulk(out, str(value).encode())
    elif kind is bytearray:
        _write_bulk(out, bytes(value))
    else:
        _write_rare(out, value, protocol)


@cython.cfunc
def _write_bulks(out: bytearray, kind: cython.int, count: cython.Py_ssize_t, data: bytes, protocol: cython.int) -> None:
    if protocol == 2:
        kind = 42
    _write_number(out, kind, count // 2 if kind == 37 else count)
    _append(out, data)


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
        _write_collection(out, 42 if protocol == 2 else 126, value, protocol)
    elif isinstance(value, Push):
        _write_collection(out, 42 if protocol == 2 else 62, value, protocol)
    elif isinstance(value, (list, tuple)):
        _write_collection(out, 42, value, protocol)
    elif isinstance(value, (bytes, bytearray)):
        _write_bulk(out, bytes(value))
    elif isinstance(value, int):
        _write_integer(out, int(value), protocol)
    elif isinstance(value, str):
        _write_bulk(out, value.encode())
    elif isinstance(value, Simple):
        out += b"+%b\r\n" % value.text
    else:
        raise TypeError(f"a command answered with a {type(value).__name__}, which RESP cannot carry")


@cython.cfunc
def _write_double(out: bytearray, value: float, protocol: cython.int) -> None:
    text: bytes = format_double(value)
    if protocol == 2:
        _write_bulk(out, text)
    else:
        _append(out, b",%b\r\n" % text)


@cython.cfunc
def _write_integer(out: bytearray, value: Any, protocol: cython.int) -> None:
    """Numbers beyond 64 bits go as RESP3's big numbers, as bulk strings in RESP2."""
    number: cython.longlong = 0
    overflow: cython.int = 0
    if cython.compiled:
        number = PyLong_AsLongLongAndOverflow(value, cython.address(overflow))
    else:
        number, overflow = value, not -(1 << 63) <= value < (1 << 63)
    if not overflow:
        _write_number(out, 58, number)
    elif protocol == 2:
        _write_bulk(out, b"%d" % value)
    else:
        out += b"(%d\r\n" % value


@cython.cfunc
def _write_collection(out: bytearray, kind: cython.int, values: Collection[object], protocol: cython.int) -> None:
    _write_number(out, kind, len(values))
    for value in values:
        _write(out, value, protocol)


@cython.cfunc
def _write_map(out: bytearray, values: dict[object, object], protocol: cython.int) -> None:
    if protocol == 2:
        _write_number(out, 42, 2 * len(values))
    else:
        _write_number(out, 37, len(values))
    for key, value in values.items():
        _write(out, key, protocol)
        _write(out, value, protocol)


# What touches the array. In C, it is written to directly: going through Python's calls for every piece, and having the
# array grow by an eighth at a time, took longer than the commands did.


@cython.cfunc
def _append(out: bytearray, text: bytes) -> None:
    if not cython.compiled:
        out += text
        return
    size: cython.Py_ssize_t = PyBytes_GET_SIZE(text)
    memcpy(_room(out, size), PyBytes_AS_STRING(text), size)
    _fill(out, size)


@cython.cfunc
@cython.locals(target=cython.p_char)
def _write_number(out: bytearray, kind: cython.int, number: cython.longlong) -> None:
    """A line of a type (its byte) and a number: an integer, or how many values follow."""
    if not cython.compiled:
        out += b"%c%d\r\n" % (kind, number)
        return
    target = _room(out, 24)
    _fill(out, _put_line(target, kind, number))


@cython.cfunc
@cython.locals(target=cython.p_char)
def _write_bulk(out: bytearray, text: bytes) -> None:
    if not cython.compiled:
        out += b"$%d\r\n%b\r\n" % (len(text), text)
        return
    size: cython.Py_ssize_t = PyBytes_GET_SIZE(text)
    target = _room(out, size + 26)
    head: cython.Py_ssize_t = _put_line(target, 36, size)
    memcpy(target + head, PyBytes_AS_STRING(text), size)
    memcpy(target + head + size, b"\r\n", 2)
    _fill(out, head + size + 2)


@cython.cfunc
@cython.cdivision(True)
@cython.exceptval(check=False)
def _put_line(target: cython.p_char, kind: cython.int, number: cython.longlong) -> cython.Py_ssize_t:
    """As `_write_number`, to memory; how many bytes. Compiled only, as are the next two."""
    i: cython.Py_ssize_t
    size: cython.Py_ssize_t = 1
    target[0] = kind
    left: cython.ulonglong = number
    if number < 0:
        target[1] = 45
        size = 2
        left = -left
    rest: cython.ulonglong = left
    while rest >= 10:
        rest //= 10
        size += 1
    for i in range(size, -1, -1):
        target[i] = 48 + left % 10
        left //= 10
        if left == 0:
            break
    target[size + 1] = 13
    target[size + 2] = 10
    return size + 3


@cython.cfunc
def _room(out: bytearray, count: cython.Py_ssize_t) -> cython.p_char:
    """Where the array ends, with so many bytes of memory behind it: when it must grow, it doubles."""
    size: cython.Py_ssize_t = len(out)
    array: ByteArray = cython.cast(ByteArray, out)
    if array.ob_exports or array.ob_start != array.ob_bytes or size + count >= array.ob_alloc:
        PyByteArray_Resize(out, max(size + count, 2 * size, 256))
        Py_SET_SIZE(out, size)
    return array.ob_start + size


@cython.cfunc
@cython.exceptval(check=False)
def _fill(out: bytearray, count: cython.Py_ssize_t) -> cython.void:
    """So many bytes were written there."""
    array: ByteArray = cython.cast(ByteArray, out)
    size: cython.Py_ssize_t = len(out) + count
    Py_SET_SIZE(out, size)
    array.ob_start[size] = 0


def clear(out: bytearray, most_kept: cython.Py_ssize_t = 2048) -> None:
    """Empty an array. It keeps its memory, for what comes next, unless that is more than so many bytes."""
    if not cython.compiled:
        out.clear()
        return
    array: ByteArray = cython.cast(ByteArray, out)
    if array.ob_exports or array.ob_start != array.ob_bytes or array.ob_alloc > most_kept:
        PyByteArray_Resize(out, 0)
    elif array.ob_alloc:
        Py_SET_SIZE(out, 0)
        array.ob_start[0] = 0
