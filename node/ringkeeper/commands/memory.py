"""MEMORY: what the data costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringkeeper.commands.admin import container
from ringkeeper.commands.context import Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import SYNTAX, integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, ReplyError, Verbatim

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
    """Records and collections keep account of themselves, so the number of samples changes nothing. O(1)."""
    for position in range(3, len(args), 2):
        if args[position].lower() != b"samples" or position + 1 == len(args) or integer(args[position + 1]) < 0:
            raise ReplyError(SYNTAX)
    key = args[2]
    return None if context.keyspace.look(key) is None else context.keyspace.memory_of(key)


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
    "MEMORY|DOCTOR",
    arity=2,
    flags="",
    group="server",
    since="4.0.0",
    complexity="O(1)",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Outputs a memory problems report.",
)
def memory_doctor(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    limit = int(context.settings.get(["maxmemory"])["maxmemory"])
    return Verbatim("".join(f"{line}\n" for line in diagnosis(context.node.memory(), limit)).encode())


EMPTY = 5 * 1024**2
"""Bytes below which nothing that a ratio says means much."""


def diagnosis(figures: Mapping[str, Any], limit: int) -> list[str]:
    """What is out of the ordinary, each with what may be done. `limit` is `maxmemory`, 0 for none."""
    used = figures["total.allocated"]
    if used < EMPTY:
        return ["There is too little data here to say anything about its memory."]
    found = []
    if limit and used > 0.9 * limit:
        found.append(f"{used / limit:.0%} of maxmemory is used: soon writes will be refused. Raise it, or add shards.")
    if figures["peak.allocated"] > 1.5 * used:
        found.append(
            f"At its peak the data was {figures['peak.allocated'] / used:.1f} times what it is now; the process may "
            "still hold that memory. MEMORY PURGE hands back what it can."
        )
    if figures["clients.normal"] > 0.25 * used:
        found.append("Clients' buffers hold much: CLIENT LIST tells whose, client-output-buffer-limit limits it.")
    if figures["fragmentation"] > 3:
        found.append(
            f"The process holds {figures['fragmentation']:.1f} times the estimated size of the data: small values cost "
            "much beyond themselves, and free memory is not always handed back."
        )
    return found or ["Nothing out of the ordinary."]


@command(
    "MEMORY|MALLOC-STATS",
    arity=2,
    flags="",
    group="server",
    since="4.0.0",
    complexity="Depends on how much memory is allocated, could be slow",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Returns the allocator statistics.",
)
def memory_malloc_stats(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return b"Stats not supported for the current allocator"


@command(
    "MEMORY|PURGE",
    arity=2,
    flags="",
    group="server",
    since="4.0.0",
    complexity="Depends on how much memory is allocated, could be slow",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Asks the allocator to release memory.",
)
def memory_purge(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.node.give_back_memory()
    return OK


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
DOCTOR
    Return memory problems reports.
MALLOC-STATS
    Return internal statistics report from the memory allocator.
PURGE
    Attempt to purge dirty pages for reclamation by the allocator.
STATS
    Return information about the memory usage of the server.
USAGE <key> [SAMPLES <count>]
    Return memory in bytes used by <key> and its value. Nested values are
    sampled up to <count> times (default: 5, 0 means sample all).
"""
