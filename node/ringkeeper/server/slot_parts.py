"""A large value as commands that make it elsewhere, in parts, between which it may change: what most commands do to it
is told amid the parts, in words that fit what was told so far. Behind others the parts must begin again.

- Sets and hashes are scanned. A scan shows every element that stays, at least once and as it is then: so what is told
  last of an element is what it is, whether a change or a part comes first.
- Sorted sets go by score and member, from the last pair that was told. A change is told as the score that a member has
  then, or that it is gone: what lies behind the last pair is told again as it is when its turn comes.
- Lists go from their head. Changes are told so far as they concern the elements that were told, which are the first.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from ringkeeper.commands.table import Arguments
from ringkeeper.resp.doubles import format_double
from ringkeeper.server.slot_values import AT_ONCE, USED, scanned, uses
from ringkeeper.store.keyspace import NO_EXPIRY, Keyspace, Value
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet
from ringkeeper.types.zset_tree import TUPLES

PART = 64 * 1024
"""Bytes of a part, about."""
STRING_PART = 1024 * 1024
"""Bytes of a part of a string, which is copied only."""
EXPIRY = frozenset((b"pexpireat", b"persist"))
"""What changes when a key expires, of which the parts tell last."""
OF_ELEMENTS = frozenset((b"hset", b"hmset", b"hdel", b"hincrby", b"sadd", b"srem"))
"""What adds elements to sets and hashes, and removes them, by name."""
ZADD_OPTIONS = frozenset((b"nx", b"xx", b"gt", b"lt", b"ch", b"incr"))


class Parts:
    """Of one key; of a string, if it is no class below."""

    def __init__(self, keyspace: Keyspace, key: bytes, value: Value) -> None:
        self.keyspace = keyspace
        self.key = key
        self.value = value
        elements = PART * len(value) // max(keyspace.memory_of(key), 1)
        self.at_once = min(max(elements, 1), AT_ONCE)
        """Elements that are read at once."""
        self.complete = False
        """All elements are told."""
        self.parts = self.all()

    def next(self) -> Arguments | None:
        """A command, or None behind the last one."""
        return next(self.parts, None)

    def all(self) -> Iterator[Arguments]:
        """Whatever was there before."""
        yield from self.elements()
        self.complete = True
        if isinstance(self.value, Hash):
            yield from expiries(self.key, self.value)
        if (at := self.keyspace.expiry(self.key)) != NO_EXPIRY:
            yield [b"PEXPIREAT", self.key, b"%d" % at]
        if words := uses(self.keyspace, self.key):
            yield [USED, *words]

    def elements(self) -> Iterator[Arguments]:
        assert isinstance(self.value, (bytes, bytearray))
        yield [b"SET", self.key, bytes(self.value[:STRING_PART])]
        for start in range(STRING_PART, len(self.value), STRING_PART):
            yield [b"APPEND", self.key, bytes(self.value[start : start + STRING_PART])]

    def along(self, args: Arguments, keys: list[bytes]) -> list[Arguments] | None:
        """What is to be told of a command that has just changed these keys, the value's among them; None if the parts
        must begin again.
        """
        if len(keys) > 1 or self.keyspace.look(self.key) is not self.value:
            return None
        name = args[0].lower()
        if name in EXPIRY:
            return [args] if self.complete else []
        return self.changed(name, args)

    def changed(self, name: bytes, args: Arguments) -> list[Arguments] | None:  # noqa: ARG002 - a string begins again
        """As `along`, of a command on the value alone, which has it still."""
        return None


class ScannedParts(Parts):
    """Of a set or a hash."""

    value: Set | Hash

    def elements(self) -> Iterator[Arguments]:
        yield [b"DEL", self.key]
        name, words, size = b"", list[bytes](), 0
        for name, found in scanned(self.value, self.at_once):
            words += found
            size += sum(map(len, found))
            if size >= PART:
                yield [name, self.key, *words]
                words, size = [], 0
        if words:
            yield [name, self.key, *words]

    def changed(self, name: bytes, args: Arguments) -> list[Arguments] | None:
        if isinstance(self.value, Hash) and self.value.expiries:
            return None  # HSET takes its field's, before or behind the field's part
        return [args] if name in OF_ELEMENTS else None


class ListParts(Parts):
    value: List

    def __init__(self, keyspace: Keyspace, key: bytes, value: List) -> None:
        super().__init__(keyspace, key, value)
        self.told = 0
        """Elements that the other side has; they are the first ones here."""
        self.length = len(value)
        """Behind the last change."""

    def elements(self) -> Iterator[Arguments]:
        yield [b"DEL", self.key]
        while self.told < len(self.value):
            words, size = list[bytes](), 0
            while size < PART and (found := self.value.range(self.told, self.told + self.at_once - 1)):
                words += found
                size += sum(map(len, found))
                self.told += len(found)
            yield [b"RPUSH", self.key, *words]

    def changed(self, name: bytes, args: Arguments) -> list[Arguments] | None:
        before, self.length = self.length, len(self.value)
        if self.complete:
            return [args]
        if name in (b"lpush", b"lpushx"):
            if self.told:
                self.told += len(args) - 2
                return [[b"LPUSH", self.key, *args[2:]]]
            return []
        if name in (b"rpush", b"rpushx"):
            return []
        if name in (b"lpop", b"rpop"):
            return self.cut(before - self.length if name == b"lpop" else 0)
        if name == b"ltrim":
            return self.cut(place(args[2], before))
        if name == b"lset":
            index = place(args[2], before)
            return [[b"LSET", self.key, b"%d" % index, args[3]]] if index < self.told else []
        return None

    def cut(self, front: int) -> list[Arguments]:
        """So many elements are gone at the head, and whatever is missing now at the tail."""
        words = []
        if gone := min(front, self.told):
            self.told -= gone
            words.append([b"LPOP", self.key, b"%d" % gone])
        if self.told > self.length:
            words.append([b"RPOP", self.key, b"%d" % (self.told - self.length)])
            self.told = self.length
        return words


class SortedSetParts(Parts):
    value: SortedSet

    def __init__(self, keyspace: Keyspace, key: bytes, value: SortedSet) -> None:
        super().__init__(keyspace, key, value)
        self.last: tuple[float, bytes] | None = None
        """Score and member: what comes before them was told, and they were."""

    def elements(self) -> Iterator[Arguments]:
        yield [b"DEL", self.key]
        while (rank := self.rank()) < (length := len(self.value)):
            words, size = list[bytes](), 0
            while size < PART and rank < length:
                stop = min(rank + self.at_once, length)
                for member, score in self.value.range(rank, stop, TUPLES):
                    words += (format_double(score), member)
                    size += len(member)
                    self.last = score, member
                rank = stop
            yield [b"ZADD", self.key, *words]

    def rank(self) -> int:
        """Of what comes behind the last pair; that itself may be gone."""
        if self.last is None:
            return 0
        score, member = self.last
        low, high = self.value.rank_of_score(score, after=False), self.value.rank_of_score(score, after=True)
        return bisect_right(range(high), member, low, high, key=lambda rank: self.value.at(rank)[0])

    def changed(self, name: bytes, args: Arguments) -> list[Arguments] | None:
        if self.complete or name in (b"zremrangebyscore", b"zpopmin"):
            return [args]  # of pops too, what the other side loses beyond the last pair is told again
        if self.last is None:
            return []
        if name == b"zadd":
            first = next(at for at in range(2, len(args)) if args[at].lower() not in ZADD_OPTIONS)
            return self.as_they_are(args[first + 1 :: 2])
        if name == b"zincrby":
            return self.as_they_are(args[3:])
        if name == b"zrem":
            return self.as_they_are(args[2:])
        if name == b"zpopmax":
            highest = self.value.at(len(self.value) - 1)[1]
            if highest > self.last[0]:
                return [[b"ZREMRANGEBYSCORE", self.key, format_double(highest), b"+inf"]]
        return None

    def as_they_are(self, members: list[bytes]) -> list[Arguments]:
        words = [b"ZADD", self.key]
        gone = [b"ZREM", self.key]
        for member in members:
            score = self.value.score(member)
            if score is None:
                gone.append(member)
            else:
                words += (format_double(score), member)
        return [command for command in (words, gone) if len(command) > 2]


def parts_of(keyspace: Keyspace, key: bytes, value: Value) -> Parts:
    if isinstance(value, List):
        return ListParts(keyspace, key, value)
    if isinstance(value, SortedSet):
        return SortedSetParts(keyspace, key, value)
    if isinstance(value, (Set, Hash)):
        return ScannedParts(keyspace, key, value)
    return Parts(keyspace, key, value)


def halves(keyspace: Keyspace, args: Arguments) -> list[Arguments]:
    """Of a command that has just moved an element from one list to another, its pop and its push; none of any other."""
    name = args[0].lower()
    if name not in (b"lmove", b"rpoplpush") or args[1] == args[2]:
        return []
    source, target = (b"right", b"left") if name == b"rpoplpush" else (args[3].lower(), args[4].lower())
    value = keyspace.look(args[2])
    if not isinstance(value, List):
        return []
    at = 0 if target == b"left" else -1
    return [
        [b"LPOP" if source == b"left" else b"RPOP", args[1]],
        [b"LPUSH" if target == b"left" else b"RPUSH", args[2], *value.range(at, at)],
    ]


def place(index: bytes, length: int) -> int:
    """Of an element of a list, counted from its head; a number below 0 counts from behind."""
    number = int(index)
    return number if number >= 0 else max(number + length, 0)


def expiries(key: bytes, value: Hash) -> Iterator[Arguments]:
    """Of the fields that have one."""
    for field, at in list((value.expiries or {}).items()):
        yield [b"HPEXPIREAT", key, b"%d" % at, b"FIELDS", b"1", field]
