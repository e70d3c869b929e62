"""SORT and SORT_RO, of the generic group: a list, set or sorted set in the order of its elements or of other keys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from itertools import islice

from ringkeeper.commands.context import Context
from ringkeeper.commands.doubles import strtod
from ringkeeper.commands.hashes import live
from ringkeeper.commands.numbers import SYNTAX, integer, option_word
from ringkeeper.commands.table import COMMANDS, Arguments, KeySpec, KeyUse, Reply, command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import WRONG_TYPE
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

Sortable = List | Set | SortedSet
Lookup = Callable[[bytes], bytes | None]


class Options:
    """What may follow the key."""

    __slots__ = ("alpha", "by", "count", "descending", "get", "sorts", "start", "store")

    def __init__(self, context: Context, args: Arguments, *, may_store: bool) -> None:
        self.descending = self.alpha = False
        self.start, self.count = 0, -1
        """LIMIT; negative means from the beginning, and all."""
        self.by: bytes | None = None
        self.get: list[bytes] = []
        self.store: bytes | None = None
        self.sorts = True
        """False when a pattern of BY without a star leaves the elements as they are."""
        index = 2
        while index < len(args):
            following = len(args) - index - 1
            match option_word(args[index]):
                case b"asc":
                    self.descending = False
                case b"desc":
                    self.descending = True
                case b"alpha":
                    self.alpha = True
                case b"limit" if following >= 2:
                    self.start, self.count = integer(args[index + 1]), integer(args[index + 2])
                    index += 2
                case b"store" if following and may_store:
                    self.store = args[index + 1]
                    index += 1
                case b"by" if following:
                    index += 1
                    self.by = args[index]
                    if b"*" not in as_c(self.by):
                        self.sorts = False
                    else:
                        check_reach(context, args, "BY")
                case b"get" if following:
                    check_reach(context, args, "GET")
                    index += 1
                    self.get.append(args[index])
                case _:
                    raise ReplyError(SYNTAX)
            index += 1

    def bounds(self, length: int) -> tuple[int, int]:
        """First and behind the last of so many elements, by LIMIT."""
        start = min(max(self.start, 0), length)
        return start, length if self.count < 0 else min(start + self.count, length)


def as_c(word: bytes) -> bytes:
    """What C sees of it."""
    return word.partition(b"\0")[0]


def check_reach(context: Context, args: Arguments, option: str) -> None:
    """A pattern may name any key, so no gate can tell whether these keys are here and the client's to read."""
    if context.cluster.enabled:
        raise ReplyError(f"ERR {option} option of SORT denied in Cluster mode.")
    if not context.access.may_read_every_key(context.client, COMMANDS[args[0].lower()], args):
        raise ReplyError(f"ERR {option} option of SORT denied due to insufficient ACL permissions.")


def lookup(context: Context, pattern: bytes) -> Lookup:
    """What a pattern of BY or GET stands for, by element: `#` the element, else a string or `key->field` of a hash."""
    text = as_c(pattern)
    if text == b"#":
        return lambda element: element
    star = text.find(b"*")
    if star < 0:
        return lambda _: None
    arrow = text.find(b"->", star + 1)
    if arrow < 0 or arrow + 2 == len(text):
        arrow = len(pattern)
    before, behind, field = pattern[:star], pattern[star + 1 : arrow], pattern[arrow + 2 :]
    keyspace = context.keyspace

    def string(element: bytes) -> bytes | None:
        value = keyspace.read(before + element + behind)
        return bytes(value) if isinstance(value, (bytes, bytearray)) else None

    def field_of_hash(element: bytes) -> bytes | None:
        key = before + element + behind
        value = keyspace.read(key)
        if not isinstance(value, Hash):
            return None
        value = live(context, key, value)
        return None if value is None else value.get(field)

    return field_of_hash if arrow < len(pattern) else string


def unsorted(value: Sortable, options: Options) -> list[bytes]:
    """The elements within LIMIT in the order that they have: a set has none. O(log n + their number) if it has."""
    start, stop = options.bounds(len(value))
    if isinstance(value, Set):
        return list(islice(value, start, stop))
    if options.descending:
        start, stop = len(value) - stop, len(value) - start
    found: list[bytes] = []
    if stop > start:
        found = value.range(start, stop - 1) if isinstance(value, List) else value.range(start, stop)
    return found[::-1] if options.descending else found


def sorted_by(elements: list[bytes], weight: Lookup | None, options: Options) -> list[bytes]:
    """All the elements in order. O(n log n)."""
    weights = elements if weight is None else [weight(element) for element in elements]
    if not options.alpha:
        try:
            scores = [0.0 if text is None else strtod(text) for text in weights]
        except ValueError:
            raise ReplyError("ERR One or more scores can't be converted into double") from None
        pairs = sorted(zip(scores, elements, strict=True), reverse=options.descending)
        return [element for _, element in pairs]
    if options.store is None:
        # Redis compares by the locale then, C's being the one of a node; and C's strings end with a NUL.
        weights = [None if text is None else as_c(text) for text in weights]
    # What has no weight comes first; what has the same stays in its order.
    keys = [b"" if text is None else b"+" + text for text in weights]
    order = sorted(range(len(elements)), key=keys.__getitem__, reverse=options.descending)
    return [elements[index] for index in order]


def _sort(context: Context, args: Arguments, *, may_store: bool) -> Reply:
    options = Options(context, args, may_store=may_store)
    found = context.keyspace.read(args[1])
    if not isinstance(found, (List, Set, SortedSet)):
        if found is not None:
            raise WRONG_TYPE
        chosen: list[bytes] = []
    else:
        if isinstance(found, SortedSet):
            found.expect(sys.maxsize, 0)  # Redis sorts no listpack: it makes a skip list of it, for good.
        chosen = choose(context, found, options)
    reply: Sequence[bytes | None] = chosen
    if options.get:
        lookups = [lookup(context, pattern) for pattern in options.get]
        reply = [look(element) for element in chosen for look in lookups]
    return reply if options.store is None else store(context, options.store, reply)


def choose(context: Context, value: Sortable, options: Options) -> list[bytes]:
    """The elements within LIMIT, in order."""
    by = options.by
    if not options.sorts:
        if not isinstance(value, Set) or options.store is None:
            return unsorted(value, options)
        # What is stored must not depend on how the set lies in memory.
        by, options.alpha = None, True
    weight = None if by is None else lookup(context, by)
    start, stop = options.bounds(len(value))
    return sorted_by(list(value), weight, options)[start:stop]


def store(context: Context, key: bytes, elements: Sequence[bytes | None]) -> int:
    """As a list, which an empty result deletes; how many there are."""
    if elements:
        value = List(context.limits)
        value.fill([element or b"" for element in elements])
        context.keyspace.set(key, value, event="sortstore")
    else:
        context.keyspace.clear(key)
    return len(elements)


def sort_keys(args: Arguments) -> list[KeyUse]:
    """The key and the last destination of STORE. Patterns of BY and GET are no keys."""
    uses = [(1, "RO access")]
    destination = 0
    index = 2
    while index < len(args):
        word = option_word(args[index])
        if word == b"store" and index + 1 < len(args):
            destination = index + 1
        index += {b"limit": 3, b"by": 2, b"get": 2, b"store": 2}.get(word, 1)
    return [*uses, (destination, "OW update")] if destination else uses


@command(
    "SORT",
    arity=-2,
    flags="write denyoom movablekeys",
    keys=(1, 1, 1),
    key_specs=(KeySpec("RO access", 1), KeySpec("RO access", None), KeySpec("OW update", None)),
    find_keys=sort_keys,
    group="generic",
    since="1.0.0",
    complexity="O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of "
    "returned elements. When the elements are not sorted, complexity is O(N).",
    summary="Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
    categories="-keyspace set sortedset list dangerous",
)
def sort(context: Context, args: Arguments) -> Reply:
    return _sort(context, args, may_store=True)


@command(
    "SORT_RO",
    arity=-2,
    flags="readonly movablekeys",
    keys=(1, 1, 1),
    key_specs=(KeySpec("RO access", 1), KeySpec("RO access", None)),
    find_keys=lambda _: [(1, "RO access")],
    group="generic",
    since="7.0.0",
    complexity="O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of "
    "returned elements. When the elements are not sorted, complexity is O(N).",
    summary="Returns the sorted elements of a list, a set, or a sorted set.",
    categories="-keyspace set sortedset list dangerous",
)
def sort_ro(context: Context, args: Arguments) -> Reply:
    return _sort(context, args, may_store=False)
