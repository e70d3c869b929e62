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

from ringkeeper.commands.scores import strtod
from ringkeeper.persist.packed import intset, listpack, write_intset, write_listpack, ziplist, zipmap
from ringkeeper.persist.reader import Corrupt, Empty, Reader
from ringkeeper.persist.writer import write_double, write_length, write_milliseconds, write_string
from ringkeeper.resp.doubles import format_double
from ringkeeper.store.keyspace import Value
from ringkeeper.types.collection import Collection, Limits
from ringkeeper.types.hash import NO_EXPIRY, Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import ADDED, SortedSet
from ringkeeper.types.zset_tree import TUPLES

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


def form_of(value: Value) -> int:
    """The byte that names the form in which `write_value` writes it."""
    if isinstance(value, (bytes, bytearray)):
        return STRING
    if isinstance(value, Hash):
        return HASH_2 if value.expiries else HASH_LISTPACK if value.encoding == "listpack" else HASH
    if isinstance(value, Set):
        return SET_INTSET if value.encoding == "intset" else SET
    if isinstance(value, List):
        return LIST_QUICKLIST_2
    if isinstance(value, SortedSet):
        return ZSET_LISTPACK if value.encoding == "listpack" else ZSET_2
    raise TypeError(f"RDB has no form for {value.kind}")


def write_value(out: bytearray, value: Value) -> None:
    """What follows that byte. O(size of the value)."""
    if isinstance(value, (bytes, bytearray)):
        write_string(out, bytes(value))
    elif isinstance(value, Hash):
        write_hash(out, value)
    elif isinstance(value, Set):
        write_set(out, value)
    elif isinstance(value, List):
        write_list(out, value)
    elif isinstance(value, SortedSet):
        write_sorted_set(out, value)


PLAIN, PACKED = 1, 2
"""How a chunk of a list is kept: one element as it is, or a listpack."""


def write_list(out: bytearray, value: List) -> None:
    write_length(out, len(value.chunks))
    for chunk in value.chunks:
        write_length(out, PLAIN if chunk.plain else PACKED)
        write_string(out, chunk.elements[0] if chunk.plain else write_listpack(chunk.elements))


def write_set(out: bytearray, value: Set) -> None:
    if value.encoding == "intset":
        write_string(out, write_intset(list(value)))
        return
    write_length(out, len(value))
    for member in value:
        write_string(out, member)


def write_hash(out: bytearray, value: Hash) -> None:
    expiring = bool(value.expiries)
    if not expiring and value.encoding == "listpack":
        write_string(out, write_listpack([text for pair in value.items() for text in pair]))
        return
    write_length(out, len(value))
    for field, text in value.items():
        write_string(out, field)
        write_string(out, text)
        if expiring:
            write_milliseconds(out, value.expiry(field))


PART = 100
"""Members that are taken from a sorted set at once."""


def write_sorted_set(out: bytearray, value: SortedSet) -> None:
    if value.encoding == "listpack":
        pairs = value.range(0, len(value), TUPLES)
        write_string(out, write_listpack([text for member, score in pairs for text in (member, format_double(score))]))
        return
    write_length(out, len(value))
    for stop in range(len(value), 0, -PART):
        for member, score in reversed(value.range(max(stop - PART, 0), stop, TUPLES)):
            write_string(out, member)
            write_double(out, score)


# Reading


def read_value(reader: Reader, form: int, limits: Limits) -> Value:
    """The value; raises `Corrupt` for what is none, for an empty collection, and for an element that is there twice."""
    if form == STRING:
        text: bytes = reader.string()
        return text
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


def set_of(members: list[bytes], limits: Limits) -> Set:
    value = Set(limits)
    add_members(value, members)
    return value


def add_members(value: Set, members: list[bytes]) -> None:
    for member in members:
        if not value.add(member):
            raise Corrupt("a member is there twice")


def read_set(reader: Reader, limits: Limits) -> Set:
    return set_of([reader.string() for _ in range(reader.count())], limits)


def read_set_listpack(reader: Reader, limits: Limits) -> Set:
    """It stays a listpack even where its members are numbers alone, as with Redis."""
    members = listpack(reader.string())
    value = Set(limits)
    value.expect(b"", len(members))
    add_members(value, members)
    return value


def read_list(reader: Reader, limits: Limits) -> List:
    value = List(limits)
    value.fill([reader.string() for _ in range(reader.count())])
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
            add_chunk(value, listpack(reader.string()))
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
    members = [(reader.string(), reader.double()) for _ in range(reader.count(9))]
    return sorted_set_of([(score, member) for member, score in members], limits)


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
    ZSET_LISTPACK: lambda reader, limits: packed_sorted_set(listpack(reader.string()), limits),
    HASH: read_hash,
    HASH_2: read_hash_2,
    HASH_ZIPMAP: lambda reader, limits: hash_of(zipmap(reader.string()), limits),
    HASH_ZIPLIST: lambda reader, limits: hash_of(ziplist(reader.string()), limits),
    HASH_LISTPACK: lambda reader, limits: hash_of(listpack(reader.string()), limits),
}
