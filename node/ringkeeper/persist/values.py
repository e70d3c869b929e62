"""A value as RDB has it: a byte that names its form, and what follows it.

Every form of the supported types that Redis up to 7.2 or Valkey up to 9.1 ever wrote is read. Written are those of
Redis 7.0: small hashes, sorted sets and sets of integers in one string, which compresses as a whole; larger ones an
element after the other (of a sorted set the highest first, since a skip list grows cheapest at its head); a list by its
chunks. Redis 7.0 knows no listpack of a set, and a hash with fields that expire takes Valkey's own form. Which encoding
a value has here is decided anew from the limits in force, as Redis does.

Collections do not nest, so nothing here recurses. Each announced element costs at least one byte of input, each
compressed string is bounded by `Reader`: what a value takes in memory is proportional to the bytes that hold it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import cython

from ringkeeper.commands.scores import strtod
from ringkeeper.persist.packed import intset, listpack, write_intset, write_listpack, ziplist, zipmap
from ringkeeper.persist.reader import Corrupt, Empty
from ringkeeper.resp.doubles import format_double
from ringkeeper.store.keyspace import Value
from ringkeeper.types.collection import Collection
from ringkeeper.types.hash import NO_EXPIRY
from ringkeeper.types.zset import ADDED
from ringkeeper.types.zset_tree import TUPLES

if not cython.compiled:
    from ringkeeper.persist.reader import Reader
    from ringkeeper.persist.writer import Writer
    from ringkeeper.types.collection import Limits
    from ringkeeper.types.hash import Hash
    from ringkeeper.types.list import List
    from ringkeeper.types.set import Set
    from ringkeeper.types.zset import SortedSet
else:
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING
    from cython.cimports.cpython.bytes import PyBytes_AS_STRING
    from cython.cimports.ringkeeper.persist import direct_reading, direct_writing
    from cython.cimports.ringkeeper.persist.reader import Reader  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.persist.writer import Writer  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.collection import Limits  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.hash import Hash  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.list import List  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.set import Set  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.zset import SortedSet  # type: ignore[no-redef]

STRING: Final = 0
LIST: Final = 1
SET: Final = 2
ZSET: Final = 3
"""With scores as text."""
HASH: Final = 4
ZSET_2: Final = 5
"""With scores as doubles."""
HASH_ZIPMAP: Final = 9
LIST_ZIPLIST: Final = 10
SET_INTSET: Final = 11
ZSET_ZIPLIST: Final = 12
HASH_ZIPLIST: Final = 13
LIST_QUICKLIST: Final = 14
HASH_LISTPACK: Final = 16
ZSET_LISTPACK: Final = 17
LIST_QUICKLIST_2: Final = 18
SET_LISTPACK: Final = 20
HASH_2: Final = 22
"""Valkey's, since version 80: every field with its expiry."""

# Writing

LARGEST_PACKED = cython.declare(cython.longlong, 1 << 20)
"""Bytes in memory of the largest collection that is written in one string: it is made before it is written. A larger
one, by whatever limits, is written by its elements, and packed by who reads it if his limits say so."""


def form_of(value: Value) -> int:
    """The byte that names the form in which `write_value` writes it."""
    if isinstance(value, (bytes, bytearray)):
        return STRING
    if isinstance(value, List):
        return LIST_QUICKLIST_2
    if isinstance(value, Hash):
        if cython.cast(Hash, value).expiries:
            return HASH_2
        small: cython.bint = cython.cast(Hash, value).memory <= LARGEST_PACKED
        return HASH_LISTPACK if small and cython.cast(Hash, value).compact else HASH
    if isinstance(value, Set):
        small = cython.cast(Set, value).memory <= LARGEST_PACKED
        return SET_INTSET if small and cython.cast(Set, value).encoding == "intset" else SET
    if isinstance(value, SortedSet):
        small = cython.cast(SortedSet, value).memory <= LARGEST_PACKED
        return ZSET_LISTPACK if small and cython.cast(SortedSet, value).compact else ZSET_2
    raise TypeError(f"RDB has no form for {value.kind}")


def write_value(out: Writer, value: Value, form: cython.int) -> None:
    """In the form that is its own. O(its size)."""
    if not cython.compiled:
        write_plainly(out, value, form)
    elif isinstance(value, bytes):
        out.string(cython.cast(cython.p_const_uchar, PyBytes_AS_STRING(value)), len(value))
    elif isinstance(value, bytearray):
        out.string(cython.cast(cython.p_const_uchar, PyByteArray_AS_STRING(value)), len(value))
    elif form == LIST_QUICKLIST_2:
        direct_writing.write_list(out, cython.cast(List, value))
    elif form == HASH_2:
        direct_writing.write_expiring_hash(out, cython.cast(Hash, value))
    elif form in (HASH_LISTPACK, HASH):
        direct_writing.write_hash(out, cython.cast(Hash, value), form == HASH_LISTPACK)
    elif form == SET_INTSET:
        direct_writing.write_intset(out, cython.cast(Set, value))
    elif form == SET:
        direct_writing.write_set(out, cython.cast(Set, value))
    else:
        direct_writing.write_sorted_set(out, cython.cast(SortedSet, value), form == ZSET_LISTPACK)


def write_plainly(out: Writer, value: Value, form: int) -> None:
    """As `write_value`, by objects."""
    if isinstance(value, (bytes, bytearray)):
        out.text(bytes(value))
    elif isinstance(value, Hash):
        write_hash(out, value, form)
    elif isinstance(value, Set):
        write_set(out, value, form)
    elif isinstance(value, List):
        write_list(out, value)
    elif isinstance(value, SortedSet):
        write_sorted_set(out, value, form)


PLAIN, PACKED = 1, 2
"""How a chunk of a list is kept: one element as it is, or a listpack."""


def write_list(out: Writer, value: List) -> None:
    out.length(len(value.chunks))
    for chunk in value.chunks:
        out.length(PLAIN if chunk.plain else PACKED)
        out.text(chunk.elements[0] if chunk.plain else write_listpack(chunk.elements))


def write_set(out: Writer, value: Set, form: int) -> None:
    if form == SET_INTSET:
        out.text(write_intset(list(value)))
        return
    out.length(len(value))
    for member in value:
        out.text(member)


def write_hash(out: Writer, value: Hash, form: int) -> None:
    if form == HASH_LISTPACK:
        out.text(write_listpack([text for pair in value.items() for text in pair]))
        return
    out.length(len(value))
    for field, text in value.items():
        out.text(field)
        out.text(text)
        if form == HASH_2:
            out.milliseconds(value.expiry(field))


PART = 100
"""Members that are taken from a sorted set at once."""


def write_sorted_set(out: Writer, value: SortedSet, form: int) -> None:
    if form == ZSET_LISTPACK:
        pairs = value.range(0, len(value), TUPLES)
        out.text(write_listpack([text for member, score in pairs for text in (member, format_double(score))]))
        return
    out.length(len(value))
    for stop in range(len(value), 0, -PART):
        for member, score in reversed(value.range(max(stop - PART, 0), stop, TUPLES)):
            out.text(member)
            out.double(score)


# Reading


def is_supported(form: cython.int) -> bool:
    """Whether `read_value` knows the form."""
    return form == HASH_LISTPACK or form in READERS


def read_value(reader: Reader, form: cython.int, limits: Limits) -> Value:
    """The value; raises `Corrupt` for what is none, for an empty collection, and for an element that is there twice."""
    if form == STRING:
        text: bytes = reader.string()
        return text
    read: Callable[[Reader, Limits], Collection] | None
    read = READERS.get(form)
    if read is None:
        raise Corrupt(f"{form} is no form of a supported value")
    value = read(reader, limits)
    if not len(value):
        raise Empty(f"the {value.kind} is empty")
    return value


def hash_of(items: list[bytes], limits: Limits) -> Hash:
    """Of fields and values in turn."""
    if len(items) % 2:
        raise Corrupt("a field has no value")
    value = Hash(limits)
    for index in range(0, len(items), 2):
        put(value, items[index], items[index + 1])
    return value


def read_hash_listpack(reader: Reader, limits: Limits) -> Hash:
    data: bytes = reader.string()
    value: Hash | None = direct_reading.read_hash(data, limits) if cython.compiled else None
    return hash_of(listpack(data), limits) if value is None else value


def put(value: Hash, field: bytes, text: bytes) -> None:
    if not value.set(field, text):
        raise Corrupt("a field is there twice")


def read_hash(reader: Reader, limits: Limits) -> Hash:
    value = Hash(limits)
    for _ in range(reader.count(2)):
        put(value, reader.string(), reader.string())
    return value


def read_hash_2(reader: Reader, limits: Limits) -> Hash:
    value = Hash(limits)
    for _ in range(reader.count(10)):
        field = reader.string()
        put(value, field, reader.string())
        expires_at = reader.milliseconds()
        if expires_at < NO_EXPIRY:
            raise Corrupt(f"{expires_at} is no time for a field to expire")
        if expires_at != NO_EXPIRY:
            value.expire(field, expires_at)
    return value


FEW = cython.declare(cython.Py_ssize_t, 128)
"""Elements that are gathered before a collection is made of them."""


def set_of(members: list[bytes], limits: Limits) -> Set:
    if cython.compiled and len(members) <= FEW:
        packed: Set | None = direct_reading.read_set(members, limits)
        if packed is not None:
            return packed
    value = Set(limits)
    add_members(value, members)
    return value


def add_members(value: Set, members: list[bytes]) -> None:
    for member in members:
        if not value.add(member):
            raise Corrupt("a member is there twice")


def read_set(reader: Reader, limits: Limits) -> Set:
    count: cython.Py_ssize_t = reader.count()
    if count <= FEW:
        return set_of([reader.string() for _ in range(count)], limits)
    value = Set(limits)
    for _ in range(count):
        if not value.add(reader.string()):
            raise Corrupt("a member is there twice")
    return value


def read_set_listpack(reader: Reader, limits: Limits) -> Set:
    """It stays a listpack even where its members are numbers alone, as with Redis."""
    members = listpack(reader.string())
    value = Set(limits)
    value.expect(b"", len(members))
    add_members(value, members)
    return value


def read_list(reader: Reader, limits: Limits) -> List:
    value = List(limits)
    value.begin_filling()
    for _ in range(reader.count()):
        value.push([reader.string()], False)
    value.end_filling()
    return value


def read_ziplist(reader: Reader, limits: Limits) -> List:
    """The one form that Redis leaves a quicklist, however short."""
    value = List(limits)
    value.begin_filling()
    value.push(ziplist(reader.string()), False)
    return value


def read_quicklist(reader: Reader, limits: Limits) -> List:
    """A list by chunks, each a ziplist."""
    value = List(limits)
    value.begin_filling()
    for _ in range(reader.count()):
        add_chunk(value, ziplist(reader.string()))
    value.end_filling()
    return value


def read_quicklist_2(reader: Reader, limits: Limits) -> List:
    """The same with listpacks, and with elements so large that they are chunks of their own."""
    value = List(limits)
    value.begin_filling()
    for _ in range(reader.count(2)):
        container = reader.length()
        if container == PLAIN:
            element = reader.string()
            if not element:
                raise Corrupt("a chunk of a list is empty")
            value.add_chunk([element], True)
        elif container == PACKED:
            data: bytes = reader.string()
            if not cython.compiled or not direct_reading.add_chunk(value, data):
                add_chunk(value, listpack(data))
        else:
            raise Corrupt(f"a chunk of a list is kept in the way {container}")
    value.end_filling()
    return value


def add_chunk(value: List, elements: list[bytes]) -> None:
    """Empty ones are passed over, as by Redis."""
    if elements:
        value.add_chunk(elements, False)


def sorted_set_of(pairs: list[tuple[float, bytes]], limits: Limits) -> SortedSet:
    """O(n log n); in order they come at the least cost, and leave the tree's nodes full."""
    value = SortedSet(limits)
    value.expect(len(pairs), max((len(member) for _, member in pairs), default=0))
    pairs.sort()
    for score, member in pairs:
        if score != score:
            raise Corrupt("a score is no number")
        if value.add(member, score) != ADDED:
            raise Corrupt("a member is there twice")
    return value


def score_of(text: bytes) -> float:
    score = strtod(text)
    if score is None:
        raise Corrupt("a score is no number")
    return score


def packed_sorted_set(items: list[bytes], limits: Limits) -> SortedSet:
    """Of members and scores in turn."""
    if len(items) % 2:
        raise Corrupt("a member has no score")
    return sorted_set_of([(score_of(items[i + 1]), items[i]) for i in range(0, len(items), 2)], limits)


def read_sorted_set_listpack(reader: Reader, limits: Limits) -> SortedSet:
    data: bytes = reader.string()
    value: SortedSet | None = direct_reading.read_sorted_set(data, limits) if cython.compiled else None
    return packed_sorted_set(listpack(data), limits) if value is None else value


INFINITE: Final = {254: math.inf, 255: -math.inf}
"""By what stands in the place of a text's length; 253 is what is no number."""


def read_text_score(reader: Reader) -> float:
    size = reader.byte()
    if size in INFINITE:
        return INFINITE[size]
    if size == 253:
        raise Corrupt("a score is no number")
    return score_of(reader.take(size))


def read_sorted_set(reader: Reader, limits: Limits) -> SortedSet:
    members = [(reader.string(), read_text_score(reader)) for _ in range(reader.count(2))]
    return sorted_set_of([(score, member) for member, score in members], limits)


def read_sorted_set_2(reader: Reader, limits: Limits) -> SortedSet:
    """A large one is neither gathered nor sorted: whoever writes one has it in order."""
    count: cython.Py_ssize_t = reader.count(9)
    if count <= max(FEW, limits.zset_max_listpack_entries):
        members = [(reader.string(), reader.double()) for _ in range(count)]
        return sorted_set_of([(score, member) for member, score in members], limits)
    value: SortedSet = SortedSet(limits)
    value.expect(count, 0)
    falling: cython.bint = True
    last: bytes | None = None
    lowest: cython.double = math.inf
    for _ in range(count):
        member: bytes = reader.string()
        score: cython.double = reader.double()
        if score != score:
            raise Corrupt("a score is no number")
        if not value.append(member, score):
            raise Corrupt("a member is there twice")
        if falling and last is not None and not score < lowest:
            falling = score == lowest and member < last
        last, lowest = member, score
    value.order(falling)
    return value


READERS: Final[dict[int, Callable[[Reader, Limits], Collection]]] = {
    LIST: read_list,
    LIST_ZIPLIST: read_ziplist,
    LIST_QUICKLIST: read_quicklist,
    LIST_QUICKLIST_2: read_quicklist_2,
    SET: read_set,
    SET_INTSET: lambda reader, limits: set_of(intset(reader.string()), limits),
    SET_LISTPACK: read_set_listpack,
    ZSET: read_sorted_set,
    ZSET_2: read_sorted_set_2,
    ZSET_ZIPLIST: lambda reader, limits: packed_sorted_set(ziplist(reader.string()), limits),
    ZSET_LISTPACK: read_sorted_set_listpack,
    HASH: read_hash,
    HASH_2: read_hash_2,
    HASH_ZIPMAP: lambda reader, limits: hash_of(zipmap(reader.string()), limits),
    HASH_ZIPLIST: lambda reader, limits: hash_of(ziplist(reader.string()), limits),
    HASH_LISTPACK: read_hash_listpack,
}
