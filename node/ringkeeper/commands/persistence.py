"""SAVE, BGSAVE, LASTSAVE, BGREWRITEAOF: snapshots on the disk, and new bases of the append-only file."""

from __future__ import annotations

from ringkeeper.commands.admin import NO_REPLY
from ringkeeper.commands.context import Context
from ringkeeper.commands.numbers import SYNTAX
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import ReplyError, Simple


@command(
    "SAVE",
    arity=1,
    flags="admin noscript no_async_loading no_multi",
    group="server",
    since="1.0.0",
    complexity="O(N) where N is the total number of keys in all databases",
    summary="Synchronously saves the database(s) to disk.",
)
def save(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    """Only this client waits: a child process writes, as for BGSAVE."""
    context.node.save(context.client)
    return NO_REPLY


@command(
    "BGSAVE",
    arity=-1,
    flags="admin noscript no_async_loading",
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Asynchronously saves the database(s) to disk.",
)
def bgsave(context: Context, args: Arguments) -> Reply:
    option = b"".join(args[1:]).lower()
    if len(args) > 2 or option not in (b"", b"schedule", b"cancel"):
        raise ReplyError(SYNTAX)
    if option == b"cancel":
        return Simple(context.node.cancel_save().encode())
    if context.node.background_save(schedule=option == b"schedule"):
        return Simple(b"Background saving started")
    return Simple(b"Background saving scheduled")


@command(
    "LASTSAVE",
    arity=1,
    flags="loading stale fast",
    group="server",
    since="1.0.0",
    complexity="O(1)",
    categories="admin dangerous",
    tips="nondeterministic_output",
    summary="Returns the Unix timestamp of the last successful save to disk.",
)
def lastsave(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.node.last_save()


@command(
    "BGREWRITEAOF",
    arity=1,
    flags="admin noscript no_async_loading",
    group="server",
    since="1.0.0",
    complexity="O(1)",
    summary="Asynchronously rewrites the append-only file to disk.",
)
def bgrewriteaof(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    if context.node.rewrite_log():
        return Simple(b"Background append only file rewriting started")
    return Simple(b"Background append only file rewriting scheduled")
