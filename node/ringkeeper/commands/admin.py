"""The server group: looking at the node and setting it. `COMMAND` has its own module, `introspection`."""

from __future__ import annotations

from ringkeeper.commands.connection import COMPATIBLE_VERSION, text_of
from ringkeeper.commands.context import Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import SYNTAX, integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, Raw, ReplyError, Verbatim

ADMIN = "admin noscript loading stale"
NO_REPLY = Raw(b"")


def container(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    """A command that is nothing without its subcommand; its arity never lets it run."""
    raise ReplyError(f"ERR wrong number of arguments for '{text_of(args[0]).lower()}' command")


@command(
    "INFO",
    arity=-1,
    flags="loading stale",
    group="server",
    since="1.0.0",
    complexity="O(1)",
    categories="dangerous",
    tips="nondeterministic_output request_policy:all_shards response_policy:special",
    summary="Returns information and statistics about the server.",
)
def info(context: Context, args: Arguments) -> Reply:
    return Verbatim(context.node.info([text_of(word).lower() for word in args[1:]]))


@command(
    "TIME",
    arity=1,
    flags="loading stale fast",
    group="server",
    since="2.6.0",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns the server time.",
)
def time_(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    seconds, microseconds = divmod(context.node.now_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % microseconds]


@command(
    "ROLE",
    arity=1,
    flags="noscript loading stale fast",
    group="server",
    since="2.8.12",
    complexity="O(1)",
    categories="admin dangerous",
    summary="Returns the replication role.",
)
def role(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.node.role()


@command(
    "SHUTDOWN",
    arity=-1,
    flags="admin noscript loading stale no_multi allow_busy",
    group="server",
    since="1.0.0",
    complexity="O(N) when saving, where N is the total number of keys in all databases",
    summary="Synchronously saves the database(s) to disk and shuts down the server.",
)
def shutdown(context: Context, args: Arguments) -> Reply:
    options = {text_of(word).lower() for word in args[1:]}
    if not options <= {"nosave", "save", "now", "force", "abort"} or {"save", "nosave"} <= options:
        raise ReplyError(SYNTAX)
    if "abort" in options:
        if len(options) > 1:
            raise ReplyError(SYNTAX)
        if not context.node.abort_shutdown():
            raise ReplyError("ERR No shutdown in progress.")
        return OK
    save = False if "nosave" in options else True if "save" in options else None
    context.node.shutdown(context.client, save=save, force="force" in options, now="now" in options)
    return NO_REPLY


@command(
    "LOLWUT",
    arity=-1,
    flags="readonly fast",
    group="server",
    since="5.0.0",
    complexity="O(1)",
    summary="Displays computer art and the version.",
)
def lolwut(context: Context, args: Arguments) -> Reply:
    """The versions of Redis's own art are taken, and the same is shown."""
    if len(args) > 2 and args[1].lower() == b"version":
        integer(args[2])
    ring = "       . o O o .\n     o           o\n    O    slots    O\n     o           o\n       ' o O o '\n"
    return Verbatim(f"{ring}\nRingkeeper ver. {context.node.version}, as Redis ver. {COMPATIBLE_VERSION}\n".encode())


# CONFIG

command(
    "CONFIG",
    arity=-2,
    flags="",
    group="server",
    since="2.0.0",
    complexity="Depends on subcommand.",
    summary="A container for server configuration commands.",
)(container)


@command(
    "CONFIG|GET",
    arity=-3,
    flags=ADMIN,
    group="server",
    since="2.0.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    summary="Returns the effective values of configuration parameters.",
)
def config_get(context: Context, args: Arguments) -> Reply:
    found = context.settings.get([text_of(word) for word in args[2:]])
    return {name.encode(): value.encode("utf-8", "surrogateescape") for name, value in found.items()}


@command(
    "CONFIG|SET",
    arity=-4,
    flags=ADMIN,
    group="server",
    since="2.0.0",
    complexity="O(N) when N is the number of configuration parameters provided",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Sets configuration parameters in-flight.",
)
def config_set(context: Context, args: Arguments) -> Reply:
    if len(args) % 2:
        raise ReplyError(SYNTAX)
    words = [word.decode("utf-8", "surrogateescape") for word in args[2:]]
    context.settings.set(list(zip(words[::2], words[1::2], strict=True)))
    return OK


@command(
    "CONFIG|RESETSTAT",
    arity=2,
    flags=ADMIN,
    group="server",
    since="2.0.0",
    complexity="O(1)",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Resets the server's statistics.",
)
def config_resetstat(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.settings.reset_statistics()
    return OK


@command(
    "CONFIG|REWRITE",
    arity=2,
    flags=ADMIN,
    group="server",
    since="2.8.0",
    complexity="O(1)",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Persists the effective configuration to file.",
)
def config_rewrite(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.settings.rewrite()
    return OK


@command(
    "CONFIG|HELP",
    arity=2,
    flags="loading stale",
    group="server",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def config_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("CONFIG", CONFIG_HELP)


CONFIG_HELP = """
GET <pattern>
    Return parameters matching the glob-like <pattern> and their values.
SET <directive> <value>
    Set the configuration <directive> to <value>.
RESETSTAT
    Reset statistics reported by the INFO command.
REWRITE
    Rewrite the configuration file.
"""

# SLOWLOG

command(
    "SLOWLOG",
    arity=-2,
    flags="",
    group="server",
    since="2.2.12",
    complexity="Depends on subcommand.",
    summary="A container for slow log commands.",
)(container)


@command(
    "SLOWLOG|GET",
    arity=-2,
    flags="admin loading stale",
    group="server",
    since="2.2.12",
    complexity="O(N) where N is the number of entries returned",
    tips="request_policy:all_nodes nondeterministic_output",
    summary="Returns the slow log's entries.",
)
def slowlog_get(context: Context, args: Arguments) -> Reply:
    if len(args) > 3:
        word = text_of(args[1])
        raise ReplyError(f"ERR unknown subcommand or wrong number of arguments for '{word}'. Try SLOWLOG HELP.")
    text = "ERR count should be greater than or equal to -1"
    count = integer(args[2], text) if len(args) == 3 else 10
    if count < -1:
        raise ReplyError(text)
    entries = context.node.slow_commands()
    return [
        [entry.id, entry.unix_seconds, entry.microseconds, entry.args, entry.address, entry.client_name]
        for entry in (entries if count == -1 else entries[:count])
    ]


@command(
    "SLOWLOG|LEN",
    arity=2,
    flags="admin loading stale",
    group="server",
    since="2.2.12",
    complexity="O(1)",
    tips="request_policy:all_nodes response_policy:agg_sum nondeterministic_output",
    summary="Returns the number of entries in the slow log.",
)
def slowlog_len(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return len(context.node.slow_commands())


@command(
    "SLOWLOG|RESET",
    arity=2,
    flags="admin loading stale",
    group="server",
    since="2.2.12",
    complexity="O(N) where N is the number of entries in the slowlog",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Clears all entries from the slow log.",
)
def slowlog_reset(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.node.forget_slow_commands()
    return OK


@command(
    "SLOWLOG|HELP",
    arity=2,
    flags="loading stale",
    group="server",
    since="6.2.0",
    complexity="O(1)",
    summary="Shows helpful text about the different subcommands.",
)
def slowlog_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("SLOWLOG", SLOWLOG_HELP)


SLOWLOG_HELP = """
GET [<count>]
    Return top <count> entries from the slowlog (default: 10, -1 mean all).
    Entries are made of:
    id, timestamp, time in microseconds, arguments array, client IP and port,
    client name
LEN
    Return the length of the slowlog.
RESET
    Reset the slowlog.
"""
