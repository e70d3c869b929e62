"""The bitmap group: strings as rows of bits, the first being the highest of the first byte. No BITFIELD yet."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import and_, or_, xor
from typing import Any

from ringkeeper.commands.context import Context
from ringkeeper.commands.numbers import SYNTAX, integer, option_word
from ringkeeper.commands.strings import edit
from ringkeeper.commands.table import Arguments, KeySpec, Reply, command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import Text

BAD_OFFSET = "ERR bit offset is not an integer or out of range"
BAD_BIT = "ERR bit is not an integer or out of range"
CHUNK = 1 << 16
"""Bytes that a search or a count looks at in one step."""
COMPLEMENT = bytes(255 - byte for byte in range(256))
OPERATIONS: dict[bytes, Callable[[Any, Any], Any]] = {b"and": and_, b"or": or_, b"xor": xor}


def bit_offset(context: Context, word: bytes) -> int:
    offset = integer(word, BAD_OFFSET)
    if not 0 <= offset < context.limits.proto_max_bulk_len * 8:
        raise ReplyError(BAD_OFFSET)
    return offset


def bit_at(value: Text, offset: int) -> int:
    """Bits behind the end are 0."""
    byte = offset >> 3
    return value[byte] >> (7 - (offset & 7)) & 1 if byte < len(value) else 0


@command(
    "SETBIT",
    arity=4,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="RW access update",
    group="bitmap",
    since="2.2.0",
    complexity="O(1)",
    summary="Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
)
def setbit(context: Context, args: Arguments) -> Reply:
    key, offset = args[1], bit_offset(context, args[2])
    bit = integer(args[3], BAD_BIT)
    if bit not in (0, 1):
        raise ReplyError(BAD_BIT)
    byte = offset >> 3
    mask = 0x80 >> (offset & 7)

    def change(buffer: bytearray) -> None:
        if byte >= len(buffer):
            buffer.extend(bytes(byte + 1 - len(buffer)))
        if bit:
            buffer[byte] |= mask
        else:
            buffer[byte] &= ~mask

    value = context.keyspace.peek_string(key)
    if value is None:
        fresh = bytearray()
        change(fresh)
        context.keyspace.set(key, fresh, event="setbit")
        return 0
    before = bit_at(value, offset)
    unchanged = before == bit and byte < len(value)
    edit(context, key, change, None if unchanged else "setbit")
    return before


@command(
    "GETBIT",
    arity=3,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO access",
    group="bitmap",
    since="2.2.0",
    complexity="O(1)",
    summary="Returns a bit value by offset.",
)
def getbit(context: Context, args: Arguments) -> Reply:
    offset = bit_offset(context, args[2])
    value = context.keyspace.read_string(args[1])
    return 0 if value is None else bit_at(value, offset)


def bit_range(start: int, end: int, length: int) -> tuple[int, int]:
    """First and last position of a range in which negative numbers count from the end; empty if first > last."""
    first = max(start + length, 0) if start < 0 else start
    last = max(end + length, 0) if end < 0 else end
    return first, min(last, length - 1)


def counts_bits(word: bytes) -> bool:
    """Whether a range is one of bits; raises `ReplyError` for another unit than BIT and BYTE."""
    unit = option_word(word)
    if unit not in (b"bit", b"byte"):
        raise ReplyError(SYNTAX)
    return unit == b"bit"


def count_ones(value: Text, first: int, last: int) -> int:
    """Set bits among those from `first` to `last`. O(bytes)."""
    if first > last:
        return 0
    view = memoryview(value)
    low, high = first >> 3, last >> 3
    total = sum(
        int.from_bytes(view[at : min(at + CHUNK, high + 1)], "big").bit_count() for at in range(low, high + 1, CHUNK)
    )
    total -= (value[low] >> (8 - (first & 7))).bit_count()
    return total - (value[high] & ((1 << (7 - (last & 7))) - 1)).bit_count()


@command(
    "BITCOUNT",
    arity=-2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="bitmap",
    since="2.6.0",
    complexity="O(N)",
    summary="Counts the number of set bits (population counting) in a string.",
)
def bitcount(context: Context, args: Arguments) -> Reply:
    if len(args) not in (2, 4, 5):
        raise ReplyError(SYNTAX)
    start, end = (integer(args[2]), integer(args[3])) if len(args) > 2 else (0, -1)
    in_bits = len(args) == 5 and counts_bits(args[4])
    value = context.keyspace.read_string(args[1])
    if value is None or (start < 0 and end < 0 and start > end):
        return 0
    if in_bits:
        return count_ones(value, *bit_range(start, end, len(value) * 8))
    first, last = bit_range(start, end, len(value))
    return count_ones(value, first * 8, last * 8 + 7)


def find_bit(value: Text, bit: int, first: int, last: int) -> int:
    """The first such bit from `first` to `last`, or -1. O(bytes)."""
    at, high = first >> 3, last >> 3
    skipped = b"\0" if bit else b"\xff"
    # What stands before the range in its first byte is made to look like a byte to skip.
    outside = 0xFF & ~(0xFF >> (first & 7))
    head = value[at] & ~outside if bit else value[at] | outside
    if head == skipped[0]:
        head_end = at + 1
        at = high + 1
        for begin in range(head_end, high + 1, CHUNK):
            chunk = bytes(value[begin : min(begin + CHUNK, high + 1)])
            rest = chunk.lstrip(skipped)
            if rest:
                at = begin + len(chunk) - len(rest)
                head = rest[0]
                break
        else:
            return -1
    wanted = head if bit else head ^ 0xFF
    position = at * 8 + 8 - wanted.bit_length()
    return position if position <= last else -1


@command(
    "BITPOS",
    arity=-3,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="bitmap",
    since="2.8.7",
    complexity="O(N)",
    summary="Finds the first set (1) or clear (0) bit in a string.",
)
def bitpos(context: Context, args: Arguments) -> Reply:
    bit = integer(args[2])
    if bit not in (0, 1):
        raise ReplyError("ERR The bit argument must be 1 or 0.")
    if len(args) > 6:
        raise ReplyError(SYNTAX)
    start = integer(args[3]) if len(args) > 3 else 0
    in_bits = len(args) == 6 and counts_bits(args[5])
    end = integer(args[4]) if len(args) > 4 else -1
    value = context.keyspace.read_string(args[1])
    if value is None:
        return -1 if bit else 0
    first, last = bit_range(start, end, len(value) * 8 if in_bits else len(value))
    if first > last:
        return -1
    if not in_bits:
        first, last = first * 8, last * 8 + 7
    found = find_bit(value, bit, first, last)
    if found == -1 and bit == 0 and len(args) < 5:
        return len(value) * 8  # a string without given end goes on with zeros
    return found


@command(
    "BITOP",
    arity=-4,
    flags="write denyoom",
    keys=(2, -1, 1),
    key_specs=(
        KeySpec("OW update", 2),
        KeySpec("RO access", 3, last=-1),
    ),
    group="bitmap",
    since="2.6.0",
    complexity="O(N)",
    summary="Performs bitwise operations on multiple strings, and stores the result.",
)
def bitop(context: Context, args: Arguments) -> Reply:
    name = option_word(args[1])
    if name != b"not" and name not in OPERATIONS:
        raise ReplyError(SYNTAX)
    if name == b"not" and len(args) != 4:
        raise ReplyError("ERR BITOP NOT must be called with a single source key.")
    target = args[2]
    sources = [context.keyspace.read_string(key) or b"" for key in args[3:]]
    length = max(map(len, sources))
    if length == 0:
        context.keyspace.clear(target)
        return 0
    if name == b"not":
        result = bytearray(sources[0].translate(COMPLEMENT))
    else:
        # Little-endian numbers: what a shorter string lacks at its end are zeros at the number's top.
        numbers = (int.from_bytes(source, "little") for source in sources)
        result = bytearray(reduce(OPERATIONS[name], numbers).to_bytes(length, "little"))
    context.keyspace.set(target, result)
    return length
