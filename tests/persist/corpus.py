"""Payloads of every form that a supported value ever had in RDB, built here byte by byte, each with what it holds."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from ringkeeper.persist.crc64 import crc64
from ringkeeper.persist.lzf import compress
from ringkeeper.store.keyspace import Value
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

FAR = 9_999_999_999_999
"""A time in milliseconds that will not come."""


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    payload: bytes
    holds: object
    """As `contents` shows it."""


def contents(value: Value) -> object:
    """What a value holds, so that it can be compared; asserts the value's invariants."""
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    value.check()
    if isinstance(value, Hash):
        fields = dict(value.items())
        return (fields, dict(value.expiries)) if value.expiries else fields
    if isinstance(value, List):
        return list(value)
    if isinstance(value, SortedSet):
        return list(value.items())
    assert isinstance(value, Set)
    return set(value)


def signed(data: bytes, version: int = 10) -> bytes:
    data += version.to_bytes(2, "little")
    return data + crc64(data).to_bytes(8, "little")


def length(number: int) -> bytes:
    if number < 64:
        return bytes([number])
    if number < 1 << 14:
        return struct.pack(">H", 0x4000 | number)
    return b"\x80" + struct.pack(">I", number)


def string(text: bytes) -> bytes:
    return length(len(text)) + text


def integer(number: int, width: int) -> bytes:
    return bytes([0xC0 | {1: 0, 2: 1, 4: 2}[width]]) + number.to_bytes(width, "little", signed=True)


def compressed(text: bytes) -> bytes:
    packed = compress(text)
    assert packed is not None
    return b"\xc3" + length(len(packed)) + length(len(text)) + packed


# Small collections in one string


def listpack(*elements: bytes | int, counted: bool = True) -> bytes:
    body = b"".join(entry + backwards(len(entry)) for entry in map(listpack_entry, elements))
    return struct.pack("<IH", len(body) + 7, len(elements) if counted else 0xFFFF) + body + b"\xff"


def listpack_entry(element: bytes | int) -> bytes:
    if isinstance(element, int):
        if 0 <= element < 128:
            return bytes([element])
        if -4096 <= element < 4096:
            return bytes([0xC0 | (element >> 8 & 0x1F), element & 0xFF])
        width = next(width for width in (2, 3, 4, 8) if -(1 << 8 * width - 1) <= element < 1 << 8 * width - 1)
        return bytes([{2: 0xF1, 3: 0xF2, 4: 0xF3, 8: 0xF4}[width]]) + element.to_bytes(width, "little", signed=True)
    if len(element) < 64:
        return bytes([0x80 | len(element)]) + element
    if len(element) < 4096:
        return bytes([0xE0 | len(element) >> 8, len(element) & 0xFF]) + element
    return b"\xf0" + struct.pack("<I", len(element)) + element


def backwards(size: int) -> bytes:
    if size <= 127:
        return bytes([size])
    if size < 16383:
        return bytes([size >> 7, size & 127 | 128])
    return bytes([size >> 14, size >> 7 & 127 | 128, size & 127 | 128])


def ziplist(*elements: bytes | int) -> bytes:
    body, before, last = b"", 0, 10
    for element in elements:
        size = bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)
        entry = size + ziplist_entry(element)
        last, before = 10 + len(body), len(entry)
        body += entry
    return struct.pack("<IIH", len(body) + 11, last, len(elements)) + body + b"\xff"


def ziplist_entry(element: bytes | int) -> bytes:
    if isinstance(element, int):
        if 0 <= element <= 12:
            return bytes([0xF1 + element])
        width = next(width for width in (1, 2, 3, 4, 8) if -(1 << 8 * width - 1) <= element < 1 << 8 * width - 1)
        head = {1: 0xFE, 2: 0xC0, 3: 0xF0, 4: 0xD0, 8: 0xE0}[width]
        return bytes([head]) + element.to_bytes(width, "little", signed=True)
    if len(element) < 64:
        return bytes([len(element)]) + element
    if len(element) < 1 << 14:
        return struct.pack(">H", 0x4000 | len(element)) + element
    return b"\x80" + struct.pack(">I", len(element)) + element


def zipmap(*pairs: tuple[bytes, bytes], unused: int = 0) -> bytes:
    def size(text: bytes) -> bytes:
        return bytes([len(text)]) if len(text) < 254 else b"\xfe" + struct.pack("<I", len(text))

    body = b"".join(size(field) + field + size(text) + bytes([unused]) + text + b"?" * unused for field, text in pairs)
    return bytes([min(len(pairs), 254)]) + body + b"\xff"


def intset(width: int, *numbers: int) -> bytes:
    body = b"".join(number.to_bytes(width, "little", signed=True) for number in sorted(numbers))
    return struct.pack("<II", width, len(numbers)) + body


# Every form

NUMBERS = [0, 1, 12, 13, -1, 127, 128, -128, -129, 4095, 4096, -4096, -4097, 32767, 32768, -32768, -32769, 8388607,
           8388608, -8388608, -8388609, 2147483647, 2147483648, -2147483648, -2147483649, 2**63 - 1,
           -(2**63)]  # fmt: skip
TEXTS = [b"", b"a", b"\xff", b"x" * 63, b"y" * 64, b"z" * 253, b"u" * 254, b"v" * 300, b"w" * 4095, b"t" * 4096,
         b"s" * 16382, b"r" * 16383, b"q" * 70_000]  # fmt: skip
FEW = [b"", b"a", b"\xff", b"x" * 63, b"1.5", b"-0"]


def shown(elements: list[bytes | int]) -> list[bytes]:
    return [b"%d" % element if isinstance(element, int) else element for element in elements]


def strings() -> list[Example]:
    made = [Example("raw", b"\0" + string(text), text) for text in TEXTS]
    made += [Example("long length", b"\0\x81" + struct.pack(">Q", 3) + b"abc", b"abc")]
    made += [
        Example(f"integer {width}", b"\0" + integer(number, width), b"%d" % number)
        for width in (1, 2, 4)
        for number in (0, 12, -1, 127, -128, 127 << 8 * (width - 1))
    ]
    return [*made, *(Example("compressed", b"\0" + compressed(text), text) for text in TEXTS if len(text) > 60)]


def lists() -> list[Example]:
    mixed: list[bytes | int] = [*NUMBERS, *TEXTS, *NUMBERS]
    whole = shown(mixed)
    nodes = [mixed[:10], [], mixed[10:30], mixed[30:]]
    plain = b"p" * 9000
    return [
        Example("list", b"\x01" + length(len(whole)) + b"".join(map(string, whole)), whole),
        Example("list of one", b"\x01\x01\x01a", [b"a"]),
        Example("list of many", b"\x01" + length(3000) + integer(7, 1) * 3000, [b"7"] * 3000),
        Example("ziplist", b"\x0a" + string(ziplist(*mixed)), whole),
        Example("small ziplist", b"\x0a" + string(ziplist(1, b"a")), [b"1", b"a"]),
        Example("quicklist", b"\x0e\x04" + b"".join(string(ziplist(*node)) for node in nodes), whole),
        Example("small quicklist", b"\x0e\x01" + string(ziplist(1, b"a")), [b"1", b"a"]),
        Example("quicklist 2", b"\x12\x04" + b"".join(b"\x02" + string(listpack(*node)) for node in nodes), whole),
        Example("small quicklist 2", b"\x12\x01\x02" + string(listpack(1, b"a")), [b"1", b"a"]),
        Example("two nodes", b"\x12\x02\x02" + string(listpack(1)) + b"\x02" + string(listpack(2)), [b"1", b"2"]),
        Example("plain", b"\x12\x01\x01" + string(plain), [plain]),
        Example("plain compressed", b"\x12\x01\x01" + compressed(plain), [plain]),
        Example("small plain", b"\x12\x02\x01\x01a\x01\x01b", [b"a", b"b"]),
        Example("uncounted", b"\x12\x01\x02" + string(listpack(*mixed, counted=False)), whole),
        Example("compressed node", b"\x12\x01\x02" + compressed(listpack(*[b"same"] * 500)), [b"same"] * 500),
    ]


def sets() -> list[Example]:
    numbers = {b"%d" % number for number in NUMBERS}
    small = [number for number in NUMBERS if -(2**15) <= number < 2**15]
    middle = [number for number in NUMBERS if -(2**31) <= number < 2**31]
    few: list[bytes | int] = [*NUMBERS, *FEW]
    many = [b"member %d" % i for i in range(700)]
    return [
        Example("set", b"\x02" + length(len(TEXTS)) + b"".join(map(string, TEXTS)), set(TEXTS)),
        Example("set of few", b"\x02" + length(len(FEW)) + b"".join(map(string, FEW)), set(FEW)),
        Example("set of many", b"\x02" + length(700) + b"".join(map(string, many)), set(many)),
        Example("set of numbers", b"\x02" + length(27) + b"".join(map(string, shown([*NUMBERS]))), numbers),
        Example("set of many numbers", b"\x02" + length(600) + b"".join(integer(i, 2) for i in range(600)),
                {b"%d" % i for i in range(600)}),
        Example("intset 16", b"\x0b" + string(intset(2, *small)), {b"%d" % number for number in small}),
        Example("intset 32", b"\x0b" + string(intset(4, *middle)), {b"%d" % number for number in middle}),
        Example("intset 64", b"\x0b" + string(intset(8, *NUMBERS)), numbers),
        Example("long intset", b"\x0b" + string(intset(4, *range(600))), {b"%d" % i for i in range(600)}),
        Example("set listpack", b"\x14" + string(listpack(*few)), set(shown(few))),
        Example("set listpack of numbers", b"\x14" + string(listpack(3, 1, 2)), {b"1", b"2", b"3"}),
        Example("long set listpack", b"\x14" + string(listpack(*many[:200])), set(many[:200])),
    ]  # fmt: skip


def hashes() -> list[Example]:
    pairs = list(zip(shown([*NUMBERS]), [*FEW, *FEW, *FEW, *FEW, *FEW], strict=False))
    flat = [word for pair in pairs for word in pair]
    mixed = [word for number, (_, text) in zip(NUMBERS, pairs, strict=False) for word in (number, text)]
    large = dict(zip(TEXTS, reversed(TEXTS), strict=True))
    many = {b"field %d" % i: b"%d" % i for i in range(600)}
    timed = b"".join(
        string(field) + string(text) + struct.pack("<q", FAR if field in (b"0", b"-1") else -1) for field, text in pairs
    )
    return [
        Example("hash", b"\x04" + length(len(pairs)) + b"".join(map(string, flat)), dict(pairs)),
        Example("large hash", b"\x04" + length(13) + b"".join(string(w) for p in large.items() for w in p), large),
        Example("long hash", b"\x04" + length(600) + b"".join(string(w) for p in many.items() for w in p), many),
        Example("zipmap", b"\x09" + string(zipmap(*pairs)), dict(pairs)),
        Example("zipmap with gaps", b"\x09" + string(zipmap(*large.items(), unused=3)), large),
        Example("long zipmap", b"\x09" + string(zipmap(*many.items())), many),
        Example("hash ziplist", b"\x0d" + string(ziplist(*mixed)), dict(pairs)),
        Example("hash listpack", b"\x10" + string(listpack(*mixed)), dict(pairs)),
        Example("long hash listpack", b"\x10" + compressed(listpack(*(w for p in many.items() for w in p))), many),
        Example("hash 2", b"\x16" + length(len(pairs)) + timed, (dict(pairs), {b"0": FAR, b"-1": FAR})),
        Example("hash 2 without times", b"\x16\x01\x01a\x01b" + b"\xff" * 8, {b"a": b"b"}),
    ]  # fmt: skip


def sorted_sets() -> list[Example]:
    texts = [b"%d" % number for number in NUMBERS]
    texts += [b"1.5", b"-0.10000000000000001", b"1e-7", b"1.7976931348623157e+308", b"4.9406564584124654e-324", b"+2"]
    pairs = [(b"member %d" % i, text) for i, text in enumerate(texts)] + [(text, b"3") for text in FEW]
    infinite = [(b"low", -math.inf), (b"high", math.inf)]
    held = [(member, float(text)) for member, text in pairs]
    by_score = sorted(pairs, key=lambda pair: (float(pair[1]), pair[0]))
    packed = [word for member, text in by_score for word in (member, int(text) if text in texts[:27] else text)]
    packed = [b"low", b"-inf", *packed, b"high", b"inf"]
    many = [(b"member %d" % (i * 7 % 600), float(i // 4)) for i in range(600)]
    large = [(text, -float(len(text))) for text in TEXTS]
    words = b"".join(string(member) + bytes([len(text)]) + text for member, text in pairs)
    return [
        Example("zset", b"\x03" + length(len(pairs) + 2) + words + string(b"low") + b"\xff" + string(b"high") + b"\xfe",
                in_order(held + infinite)),
        Example("zset 2", b"\x05" + length(len(held) + 2) + with_doubles(held + infinite), in_order(held + infinite)),
        Example("zset 2 of few", b"\x05\x02\x01b" + struct.pack("<d", 2) + b"\x01a" + struct.pack("<d", 2),
                [(b"a", 2.0), (b"b", 2.0)]),
        Example("zset 2 of large", b"\x05" + length(len(large)) + with_doubles(large), in_order(large)),
        Example("zset 2 of many", b"\x05" + length(600) + with_doubles(many), in_order(many)),
        Example("zset ziplist", b"\x0c" + string(ziplist(*packed)), in_order(held + infinite)),
        Example("zset listpack", b"\x11" + string(listpack(*packed)), in_order(held + infinite)),
        Example("long zset listpack",
                b"\x11" + compressed(listpack(*(w for member, score in in_order(many) for w in (member, int(score))))),
                in_order(many)),
    ]  # fmt: skip


def with_doubles(pairs: list[tuple[bytes, float]]) -> bytes:
    return b"".join(string(member) + struct.pack("<d", score) for member, score in pairs)


def in_order(pairs: list[tuple[bytes, float]]) -> list[tuple[bytes, float]]:
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def every_form() -> list[Example]:
    made = [*strings(), *lists(), *sets(), *hashes(), *sorted_sets()]
    return [
        Example(example.name, signed(example.payload, version(example.payload[0])), example.holds) for example in made
    ]


def version(form: int) -> int:
    """The first that has the form, as far as it matters: Redis 7.0's, 7.2's or Valkey's."""
    return {0x14: 11, 0x16: 80}.get(form, 10)
