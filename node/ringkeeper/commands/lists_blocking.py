"""The commands of the list group that wait until there is something to pop.

Each reads its words anew when its session's turn has come, and keeps the deadline of the first time.
"""

from __future__ import annotations

from ringkeeper.commands.blocking import Blocked, deadline
from ringkeeper.commands.context import Context
from ringkeeper.commands.lists import first_list, left_end, move, pop_many, several_keys
from ringkeeper.commands.table import Arguments, KeySpec, Reply, command
from ringkeeper.types.list import List


def blocking_pop(context: Context, args: Arguments, *, left: bool) -> Reply:
    keys, until = args[1:-1], deadline(context, args[-1])
    found = first_list(context, keys)
    if found is None:
        return Blocked(tuple(keys), List, until)
    return [found[0], *pop_many(context, *found, 1, left=left)]


@command(
    "BLPOP",
    arity=-3,
    flags="write blocking",
    keys=(1, -2, 1),
    access="RW access delete",
    group="list",
    since="2.0.0",
    complexity="O(N) where N is the number of provided keys.",
    summary="Removes and returns the first element in a list. Blocks until an element is available otherwise. "
    "Deletes the list if the last element was popped.",
)
def blpop(context: Context, args: Arguments) -> Reply:
    return blocking_pop(context, args, left=True)


@command(
    "BRPOP",
    arity=-3,
    flags="write blocking",
    keys=(1, -2, 1),
    access="RW access delete",
    group="list",
    since="2.0.0",
    complexity="O(N) where N is the number of provided keys.",
    summary="Removes and returns the last element in a list. Blocks until an element is available otherwise. Deletes "
    "the list if the last element was popped.",
)
def brpop(context: Context, args: Arguments) -> Reply:
    return blocking_pop(context, args, left=False)


@command(
    "BLMPOP",
    arity=-5,
    flags="write blocking movablekeys",
    key_specs=(KeySpec("RW access delete", 2, counted=True),),
    group="list",
    since="7.0.0",
    complexity="O(N+M) where N is the number of provided keys and M is the number of elements returned.",
    summary="Pops the first element from one of multiple lists. Blocks until an element is available otherwise. "
    "Deletes the list if the last element was popped.",
)
def blmpop(context: Context, args: Arguments) -> Reply:
    keys, left, count = several_keys(args, 2)
    until = deadline(context, args[1])
    found = first_list(context, keys)
    if found is None:
        return Blocked(tuple(keys), List, until)
    return [found[0], pop_many(context, *found, count, left=left)]


def blocking_move(context: Context, args: Arguments, *, from_left: bool, to_left: bool) -> Reply:
    until = deadline(context, args[-1])
    source = context.keyspace.peek_as(args[1], List)
    if source is None:
        return Blocked((args[1],), List, until, in_transaction=None)
    return move(context, source, args, from_left=from_left, to_left=to_left)


@command(
    "BLMOVE",
    arity=6,
    flags="write denyoom blocking",
    keys=(1, 2, 1),
    key_specs=(KeySpec("RW access delete", 1), KeySpec("RW insert", 2)),
    group="list",
    since="6.2.0",
    complexity="O(1)",
    summary="Pops an element from a list, pushes it to another list and returns it. Blocks until an element is "
    "available otherwise. Deletes the list if the last element was moved.",
)
def blmove(context: Context, args: Arguments) -> Reply:
    return blocking_move(context, args, from_left=left_end(args[3]), to_left=left_end(args[4]))


@command(
    "BRPOPLPUSH",
    arity=4,
    flags="write denyoom blocking",
    keys=(1, 2, 1),
    key_specs=(KeySpec("RW access delete", 1), KeySpec("RW insert", 2)),
    group="list",
    since="2.2.0",
    complexity="O(1)",
    summary="Pops an element from a list, pushes it to another list and returns it. Blocks until an element is "
    "available otherwise. Deletes the list if the last element was popped.",
)
def brpoplpush(context: Context, args: Arguments) -> Reply:
    return blocking_move(context, args, from_left=False, to_left=True)
