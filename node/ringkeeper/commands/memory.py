"""MEMORY: what the data costs."""

from __future__ import annotations

from ringkeeper.commands.admin import container
from ringkeeper.commands.context import Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import SYNTAX, integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import EXPIRY_OVERHEAD, KEY_OVERHEAD, NO_EXPIRY

command(
    "MEMORY",
    arity=-2,
    flags="",
    group="server",
    since="4.0.0",
    complexity="Depends on subcommand.",
    summary="A container for memory diagnostics commands.",
)(container)


@command(
    "MEMORY|USAGE",
    arity=-3,
    flags="readonly",
    keys=(2, 2, 1),
    access="RO",
    group="server",
    since="4.0.0",
    complexity="O(N) where N is the number of samples.",
    summary="Estimates the memory usage of a key.",
)
def memory_usage(context: Context, args: Arguments) -> Reply:
    if len(args) not in (3, 5) or (len(args) == 5 and args[3].lower() != b"samples"):
        raise ReplyError(SYNTAX)
    if len(args) == 5 and integer(args[4]) < 0:
        raise ReplyError(SYNTAX)
    key = args[2]
    value = context.keyspace.look(key)
    if value is None:
        return None
    expiry = EXPIRY_OVERHEAD if context.keyspace.expiry(key) != NO_EXPIRY else 0
    return KEY_OVERHEAD + len(key) + len(value) + expiry


@command(
    "MEMORY|STATS",
    arity=2,
    flags="",
    group="server",
    since="4.0.0",
    complexity="O(1)",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Returns details about memory usage.",
)
def memory_stats(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return {name.encode(): figure for name, figure in context.node.memory().items()}


@command(
    "MEMORY|HELP",
    arity=2,
    flags="loading stale",
    group="server",
    since="4.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def memory_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("MEMORY", MEMORY_HELP)


MEMORY_HELP = """
STATS
    Return information about the memory usage of the server.
USAGE <key> [SAMPLES <count>]
    Return memory in bytes used by <key> and its value. Nested values are
    sampled up to <count> times (default: 5, 0 means sample all).
"""
