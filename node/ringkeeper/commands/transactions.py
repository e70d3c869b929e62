"""The transactions group."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.table import Arguments, Reply, command

FLAGS = "noscript loading stale fast"


@command(
    "MULTI",
    arity=1,
    flags=f"{FLAGS} allow_busy",
    group="transactions",
    since="1.2.0",
    complexity="O(1)",
    summary="Starts a transaction.",
)
def multi(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.transactions.begin(context.client)


@command(
    "EXEC",
    arity=1,
    flags="noscript loading stale skip_slowlog",
    group="transactions",
    since="1.2.0",
    complexity="Depends on commands in the transaction",
    summary="Executes all commands in a transaction.",
)
def exec_(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.transactions.execute(context.client)


@command(
    "DISCARD",
    arity=1,
    flags=f"{FLAGS} allow_busy",
    group="transactions",
    since="2.0.0",
    complexity="O(N), when N is the number of queued commands",
    summary="Discards a transaction.",
)
def discard(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.transactions.discard(context.client)


@command(
    "WATCH",
    arity=-2,
    flags=f"{FLAGS} allow_busy",
    keys=(1, -1, 1),
    access="RO",
    group="transactions",
    since="2.2.0",
    complexity="O(1) for every key.",
    summary="Monitors changes to keys to determine the execution of a transaction.",
)
def watch(context: Context, args: Arguments) -> Reply:
    return context.transactions.watch(context.client, args[1:])


@command(
    "UNWATCH",
    arity=1,
    flags=f"{FLAGS} allow_busy",
    group="transactions",
    since="2.2.0",
    complexity="O(1)",
    summary="Forgets about watched keys of a transaction.",
)
def unwatch(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.transactions.unwatch(context.client)
