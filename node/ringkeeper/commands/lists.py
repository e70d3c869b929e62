"""The list group. The commands that wait are in `lists_blocking.py`."""

from __future__ import annotations

import cython

from ringkeeper.commands.numbers import INT64_MIN, SYNTAX, integer, option_word
from ringkeeper.commands.table import Arguments, KeySpec, Reply, command
from ringkeeper.resp.values import ARRAY, NULL_ARRAY, OK, Bulks, ReplyError

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.types.list import List
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.types.list import List  # type: ignore[no-redef]

OUT_OF_RANGE = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
NOT_POSITIVE = "ERR value is out of range, must be positive"


@cython.cfunc
def push(context: Context, args: list[bytes], left: cython.bint) -> int:
    key = args[1]
    found: List | None = context.keyspace.peek_as(key, List)
    if found is None:
        found = List(context.limits)
    found.push(args, left, 2)
    context.keyspace.edited(key, found, "lpush" if left else "rpush", len(args) - 2)
    return found.count


@command(
    "LPUSH",
    arity=-3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW insert",
    group="list",
    since="1.0.0",
    complexity="O(1) for each element added, so O(N) to add N elements when the command is called with multiple "
    "arguments.",
    summary="Prepends one or more elements to a list. Creates the key if it doesn't exist.",
)
def lpush(context: Context, args: Arguments) -> Reply:
    return push(context, args, True)


@command(
    "RPUSH",
    arity=-3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW insert",
    group="list",
    since="1.0.0",
    complexity="O(1) for each element added, so O(N) to add N elements when the command is called with multiple "
    "arguments.",
    summary="Appends one or more elements to a list. Creates the key if it doesn't exist.",
)
def rpush(context: Context, args: Arguments) -> Reply:
    return push(context, args, False)


@command(
    "LPUSHX",
    arity=-3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW insert",
    group="list",
    since="2.2.0",
    complexity="O(1) for each element added, so O(N) to add N elements when the command is called with multiple "
    "arguments.",
    summary="Prepends one or more elements to a list only when the list exists.",
)
def lpushx(context: Context, args: Arguments) -> Reply:
    return 0 if context.keyspace.peek_as(args[1], List) is None else push(context, args, True)


@command(
    "RPUSHX",
    arity=-3,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW insert",
    group="list",
    since="2.2.0",
    complexity="O(1) for each element added, so O(N) to add N elements when the command is called with multiple "
    "arguments.",
    summary="Appends one or more elements to a list only when the list exists.",
)
def rpushx(context: Context, args: Arguments) -> Reply:
    return 0 if context.keyspace.peek_as(args[1], List) is None else push(context, args, False)


@cython.cfunc
def pop(context: Context, args: list[bytes], left: cython.bint) -> Reply:
    key = args[1]
    count = None
    if len(args) > 2:
        if len(args) > 3:
            raise ReplyError(f"ERR wrong number of arguments for '{'lpop' if left else 'rpop'}' command")
        count = not_negative(args[2], NOT_POSITIVE)
    found: List | None = context.keyspace.peek_as(key, List)
    if found is None:
        return None if count is None else NULL_ARRAY
    if count is None:
        element: bytes = found.pop(left)
        context.keyspace.edited(key, found, "lpop" if left else "rpop", 1)
        return element
    return pop_many(context, key, found, count, left=left)


def pop_many(context: Context, key: bytes, found: List, count: int, *, left: bool) -> list[bytes]:
    elements = found.pop_many(count, left)
    context.keyspace.edited(key, found, "lpop" if left else "rpop", len(elements))
    return elements


def not_negative(word: bytes, error: str) -> int:
    number = integer(word, error)
    if number < 0:
        raise ReplyError(error)
    return number


@command(
    "LPOP",
    arity=-2,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access delete",
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements returned",
    summary="Returns and removes one or more elements from the beginning of a list. Deletes the list if the last "
    "element was popped.",
)
def lpop(context: Context, args: Arguments) -> Reply:
    return pop(context, args, True)


@command(
    "RPOP",
    arity=-2,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access delete",
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements returned",
    summary="Returns and removes one or more elements from the end of a list. Deletes the list if the last element "
    "was popped.",
)
def rpop(context: Context, args: Arguments) -> Reply:
    return pop(context, args, False)


@command(
    "LLEN",
    arity=2,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="list",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the length of a list.",
)
def llen(context: Context, args: Arguments) -> Reply:
    found: List | None = context.keyspace.read_as(args[1], List)
    return 0 if found is None else len(found)


@command(
    "LRANGE",
    arity=4,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="list",
    since="1.0.0",
    complexity="O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD or "
    "TAIL) for large lists; and N is the number of elements in the specified range.",
    summary="Returns a range of elements from a list.",
)
def lrange(context: Context, args: Arguments) -> Reply:
    start, stop = integer(args[2]), integer(args[3])
    found: List | None = context.keyspace.read_as(args[1], List)
    return [] if found is None else Bulks(ARRAY, *found.bulks(start, stop))


@command(
    "LINDEX",
    arity=3,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements to traverse to get to the element at index. This makes asking "
    "for the first or the last element of the list O(1).",
    summary="Returns an element from a list by its index.",
)
def lindex(context: Context, args: Arguments) -> Reply:
    found: List | None = context.keyspace.read_as(args[1], List)
    return None if found is None else found.get(integer(args[2]))


@command(
    "LPOS",
    arity=-3,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="list",
    since="6.0.6",
    complexity="O(N) where N is the number of elements in the list, for the average case. When searching for "
    "elements near the head or the tail of the list, or when the MAXLEN option is provided, the command may run in "
    "constant time.",
    summary="Returns the index of matching elements in a list.",
)
def lpos(context: Context, args: Arguments) -> Reply:
    rank, count, most = 1, None, 0
    for index in range(3, len(args), 2):
        option = option_word(args[index])
        if index + 1 == len(args):
            raise ReplyError(SYNTAX)
        word = args[index + 1]
        if option == b"rank":
            rank = integer(word)
            if rank == INT64_MIN:
                raise ReplyError(OUT_OF_RANGE)
            if rank == 0:
                raise ReplyError(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use "
                    "negative to start from the end of the list"
                )
        elif option == b"count":
            count = not_negative(word, "ERR COUNT can't be negative")
        elif option == b"maxlen":
            most = not_negative(word, "ERR MAXLEN can't be negative")
        else:
            raise ReplyError(SYNTAX)
    found: List | None = context.keyspace.read_as(args[1], List)
    positions = [] if found is None else found.positions(args[2], rank, 1 if count is None else count, most)
    if count is not None:
        return positions
    return positions[0] if positions else None


@command(
    "LSET",
    arity=4,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="RW update",
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the length of the list. Setting either the first or the last element of the list is "
    "O(1).",
    summary="Sets the value of an element in a list by its index.",
)
def lset(context: Context, args: Arguments) -> Reply:
    found: List | None = context.keyspace.peek_as(args[1], List)
    if found is None:
        raise ReplyError("ERR no such key")
    if not found.set(integer(args[2]), args[3]):
        raise ReplyError("ERR index out of range")
    context.keyspace.edited(args[1], found, "lset")
    return OK


@command(
    "LINSERT",
    arity=5,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="RW insert",
    group="list",
    since="2.2.0",
    complexity="O(N) where N is the number of elements to traverse before seeing the value pivot. This means that "
    "inserting somewhere on the left end on the list (head) can be considered O(1) and inserting somewhere on the "
    "right end (tail) is O(N).",
    summary="Inserts an element before or after another element in a list.",
)
def linsert(context: Context, args: Arguments) -> Reply:
    where = option_word(args[2])
    if where not in (b"before", b"after"):
        raise ReplyError(SYNTAX)
    found: List | None = context.keyspace.peek_as(args[1], List)
    if found is None:
        return 0
    if not found.insert(args[3], args[4], where == b"after"):
        return -1
    context.keyspace.edited(args[1], found, "linsert")
    return len(found)


@command(
    "LREM",
    arity=4,
    flags="write",
    keys=(1, 1, 1),
    access="RW delete",
    group="list",
    since="1.0.0",
    complexity="O(N+M) where N is the length of the list and M is the number of elements removed.",
    summary="Removes elements from a list. Deletes the list if the last element was removed.",
)
def lrem(context: Context, args: Arguments) -> Reply:
    count = integer(args[2])
    if count == INT64_MIN:
        raise ReplyError(OUT_OF_RANGE)
    found: List | None = context.keyspace.peek_as(args[1], List)
    if found is None:
        return 0
    removed = found.remove(args[3], count)
    context.keyspace.edited(args[1], found, "lrem", removed)
    return removed


@command(
    "LTRIM",
    arity=4,
    flags="write",
    keys=(1, 1, 1),
    access="RW delete",
    group="list",
    since="1.0.0",
    complexity="O(N) where N is the number of elements to be removed by the operation.",
    summary="Removes elements from both ends of a list. Deletes the list if all elements were trimmed.",
)
def ltrim(context: Context, args: Arguments) -> Reply:
    key = args[1]
    start, stop = integer(args[2]), integer(args[3])
    found: List | None = context.keyspace.peek_as(key, List)
    if found is None:
        return OK
    trimmed = found.trim(start, stop)
    context.keyspace.edited(key, found, "ltrim", trimmed)
    if not trimmed:
        context.keyspace.note(key, "ltrim")  # whoever watches the key is told even so
    return OK


# From one list to another, and from one of several


def left_end(word: bytes) -> bool:
    """Whether LEFT, not RIGHT, is said."""
    where = option_word(word)
    if where not in (b"left", b"right"):
        raise ReplyError(SYNTAX)
    return where == b"left"


def move(context: Context, source: List, args: Arguments, *, from_left: bool, to_left: bool) -> bytes:
    """An element of the list `source`, which is under the key `args[1]`, to that under `args[2]`."""
    source_key, target_key = args[1], args[2]
    keyspace = context.keyspace
    target = keyspace.peek_as(target_key, List)
    if target is source:
        element = source.rotate(from_left, to_left)
    else:
        if target is None:
            target = List(context.limits)
        [element] = source.range(0, 0) if from_left else source.range(-1, -1)
        target.push([element], to_left)
        source.drop_end(from_left)
    keyspace.edited(target_key, target, "lpush" if to_left else "rpush")
    keyspace.edited(source_key, source, "lpop" if from_left else "rpop")
    return element


@command(
    "LMOVE",
    arity=5,
    flags="write denyoom",
    keys=(1, 2, 1),
    key_specs=(KeySpec("RW access delete", 1), KeySpec("RW insert", 2)),
    group="list",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns an element after popping it from one list and pushing it to another. Deletes the list if the "
    "last element was moved.",
)
def lmove(context: Context, args: Arguments) -> Reply:
    from_left, to_left = left_end(args[3]), left_end(args[4])
    source = context.keyspace.peek_as(args[1], List)
    return None if source is None else move(context, source, args, from_left=from_left, to_left=to_left)


@command(
    "RPOPLPUSH",
    arity=3,
    flags="write denyoom",
    keys=(1, 2, 1),
    key_specs=(KeySpec("RW access delete", 1), KeySpec("RW insert", 2)),
    group="list",
    since="1.2.0",
    complexity="O(1)",
    summary="Returns the last element of a list after removing and pushing it to another list. Deletes the list if "
    "the last element was popped.",
)
def rpoplpush(context: Context, args: Arguments) -> Reply:
    source = context.keyspace.peek_as(args[1], List)
    return None if source is None else move(context, source, args, from_left=False, to_left=True)


def first_list(context: Context, keys: list[bytes]) -> tuple[bytes, List] | None:
    """The first key of these that exists, and its list."""
    for key in keys:
        found: List | None = context.keyspace.peek_as(key, List)
        if found is not None:
            return key, found
    return None


def several_keys(args: Arguments, index: int) -> tuple[list[bytes], bool, int]:
    """Keys, whether from the left, and count of `numkeys key [key …] LEFT|RIGHT [COUNT count]` at `index`."""
    number = positive(args[index], "ERR numkeys should be greater than 0")
    where = index + 1 + number
    if where >= len(args):
        raise ReplyError(SYNTAX)
    left = left_end(args[where])
    rest = args[where + 1 :]
    if rest and (len(rest) < 2 or option_word(rest[0]) != b"count"):
        raise ReplyError(SYNTAX)
    count = positive(rest[1], "ERR count should be greater than 0") if rest else 1
    if len(rest) > 2:
        raise ReplyError(SYNTAX)
    return args[index + 1 : where], left, count


def positive(word: bytes, error: str) -> int:
    number = integer(word, error)
    if number < 1:
        raise ReplyError(error)
    return number


@command(
    "LMPOP",
    arity=-4,
    flags="write movablekeys",
    key_specs=(KeySpec("RW access delete", 1, counted=True),),
    group="list",
    since="7.0.0",
    complexity="O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    summary="Returns multiple elements from a list after removing them. Deletes the list if the last element was "
    "popped.",
)
def lmpop(context: Context, args: Arguments) -> Reply:
    keys, left, count = several_keys(args, 1)
    found = first_list(context, keys)
    return NULL_ARRAY if found is None else [found[0], pop_many(context, *found, count, left=left)]
