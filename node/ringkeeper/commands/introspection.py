"""COMMAND: what the command table says about itself, in the shapes that clients read."""

from __future__ import annotations

from collections.abc import Iterable

from ringkeeper.commands.connection import text_of
from ringkeeper.commands.context import Context
from ringkeeper.commands.documentation import DEPRECATED, SYSTEM, arguments
from ringkeeper.commands.glob import compile_glob
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.notation import history
from ringkeeper.commands.numbers import SYNTAX
from ringkeeper.commands.table import COMMANDS, Arguments, Command, KeySpec, KeyUse, Reply, command
from ringkeeper.resp.values import ReplyError, SetReply, Simple

FAST = "loading stale"


@command(
    "COMMAND",
    arity=-1,
    flags=FAST,
    group="server",
    since="2.8.13",
    categories="connection",
    complexity="O(N) where N is the total number of commands",
    tips="nondeterministic_output_order",
    summary="Returns detailed information about all commands.",
)
def command_(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return [information(entry) for entry in COMMANDS.values()]


@command(
    "COMMAND|COUNT",
    arity=2,
    flags=FAST,
    group="server",
    since="2.8.13",
    categories="connection",
    complexity="O(1)",
    summary="Returns a count of commands.",
)
def command_count(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return len(COMMANDS)


@command(
    "COMMAND|INFO",
    arity=-2,
    flags=FAST,
    group="server",
    since="2.8.13",
    categories="connection",
    complexity="O(N) where N is the number of commands to look up",
    tips="nondeterministic_output_order",
    summary="Returns information about one, multiple or all commands.",
)
def command_info(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    if len(args) == 2:
        return [information(entry) for entry in COMMANDS.values()]
    return [information(entry) if (entry := named(word)) else None for word in args[2:]]


@command(
    "COMMAND|DOCS",
    arity=-2,
    flags=FAST,
    group="server",
    since="7.0.0",
    categories="connection",
    complexity="O(N) where N is the number of commands to look up",
    tips="nondeterministic_output_order",
    summary="Returns documentary information about one, multiple or all commands.",
)
def command_docs(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    entries = list(COMMANDS.values()) if len(args) == 2 else [entry for word in args[2:] if (entry := named(word))]
    return {entry.name.encode(): documentation(entry) for entry in entries}


@command(
    "COMMAND|LIST",
    arity=-2,
    flags=FAST,
    group="server",
    since="7.0.0",
    categories="connection",
    complexity="O(N) where N is the total number of commands",
    tips="nondeterministic_output_order",
    summary="Returns a list of command names.",
)
def command_list(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    if len(args) == 2:
        return [entry.name.encode() for entry in with_subcommands()]
    if len(args) != 5 or args[2].lower() != b"filterby":
        raise ReplyError(SYNTAX)
    return [entry.name.encode() for entry in filtered(args[3].lower(), args[4])]


def with_subcommands() -> list[Command]:
    return [each for entry in COMMANDS.values() for each in (entry, *entry.subcommands.values())]


def filtered(kind: bytes, value: bytes) -> Iterable[Command]:
    """The commands, and subcommands, that FILTERBY keeps."""
    if kind == b"module":
        return []
    every = with_subcommands()
    if kind == b"aclcat":
        return [entry for entry in every if text_of(value).lower() in entry.categories]
    if kind == b"pattern":
        match = compile_glob(value.lower()).match
        return [entry for entry in every if match(entry.name.encode())]
    raise ReplyError(SYNTAX)


@command(
    "COMMAND|GETKEYS",
    arity=-3,
    flags=FAST,
    group="server",
    since="2.8.13",
    categories="connection",
    complexity="O(N) where N is the number of arguments to the command",
    summary="Extracts the key names from an arbitrary command.",
)
def command_getkeys(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return [args[2 + position] for position, _ in uses_of(args[2:])]


@command(
    "COMMAND|GETKEYSANDFLAGS",
    arity=-3,
    flags=FAST,
    group="server",
    since="7.0.0",
    categories="connection",
    complexity="O(N) where N is the number of arguments to the command",
    summary="Extracts the key names and access flags for an arbitrary command.",
)
def command_getkeysandflags(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return [[args[2 + position], flag_words(flags)] for position, flags in uses_of(args[2:])]


def uses_of(args: Arguments) -> list[KeyUse]:
    """The keys of a whole command; raises Redis's errors."""
    entry = COMMANDS.get(args[0].lower())
    if entry is not None and entry.subcommands and len(args) > 1:
        entry = entry.subcommands.get(args[1].lower())
    if entry is None:
        raise ReplyError("ERR Invalid command specified")
    if not entry.key_specs and entry.find_keys is None:
        raise ReplyError("ERR The command has no key arguments")
    if (entry.arity > 0 and entry.arity != len(args)) or len(args) < -entry.arity:
        raise ReplyError("ERR Invalid number of arguments specified for command")
    if not (uses := entry.key_uses(args)):
        raise ReplyError("ERR Invalid arguments specified for command")
    return uses


@command(
    "COMMAND|HELP",
    arity=2,
    flags=FAST,
    group="server",
    since="5.0.0",
    categories="connection",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def command_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("COMMAND", COMMAND_HELP)


def named(word: bytes) -> Command | None:
    """A command by `name` or `container|subcommand`."""
    name, _, subcommand = word.lower().partition(b"|")
    entry = COMMANDS.get(name)
    return entry.subcommands.get(subcommand) if entry and subcommand else entry


def information(entry: Command) -> Reply:
    """The ten elements of COMMAND INFO."""
    return [
        entry.name.encode(),
        entry.arity,
        SetReply(Simple(flag.encode()) for flag in sorted(entry.flags)),
        *key_range(entry),
        SetReply(Simple(f"@{category}".encode()) for category in sorted(entry.categories)),
        [tip.encode() for tip in entry.tips],
        [specification(spec) for spec in entry.key_specs],
        [information(each) for each in entry.subcommands.values()],
    ]


def key_range(entry: Command) -> tuple[int, int, int]:
    return entry.keys


def flag_words(flags: str) -> SetReply:
    return SetReply(Simple(word.encode()) for word in flags.split())


def specification(spec: KeySpec) -> Reply:
    """One of Redis's key specifications."""
    if spec.begin is None:
        begin: dict[bytes, Reply] = {b"type": b"unknown", b"spec": {}}
        find: dict[bytes, Reply] = {b"type": b"unknown", b"spec": {}}
    else:
        begin = {b"type": b"index", b"spec": {b"index": spec.begin}}
        find = {b"type": b"range", b"spec": {b"lastkey": spec.last, b"keystep": spec.step, b"limit": 0}}
        if spec.counted:
            find = {b"type": b"keynum", b"spec": {b"keynumidx": 0, b"firstkey": 1, b"keystep": 1}}
    return {b"flags": flag_words(spec.flags), b"begin_search": begin, b"find_keys": find}


def documentation(entry: Command) -> dict[bytes, Reply]:
    text: dict[bytes, Reply] = {
        b"summary": entry.summary.encode(),
        b"since": entry.since.encode(),
        b"group": entry.group.replace("_", "-").encode(),
        b"complexity": entry.complexity.encode(),
    }
    deprecated = DEPRECATED.get(entry.name)
    flags = [word for word, holds in ((b"deprecated", deprecated), (b"syscmd", entry.name in SYSTEM)) if holds]
    if flags:
        text[b"doc_flags"] = SetReply(map(Simple, flags))
    if deprecated is not None:
        text[b"deprecated_since"], text[b"replaced_by"] = (word.encode() for word in deprecated)
    words = arguments(entry.name)
    if versions := history(words):
        text[b"history"] = versions
    if words:
        text[b"arguments"] = words
    if entry.subcommands:
        text[b"subcommands"] = {each.name.encode(): documentation(each) for each in entry.subcommands.values()}
    return text


COMMAND_HELP = """
(no subcommand)
    Return details about all Redis commands.
COUNT
    Return the total number of commands in this Redis server.
LIST
    Return a list of all commands in this Redis server.
INFO [<command-name> ...]
    Return details about multiple Redis commands.
    If no command names are given, documentation details for all
    commands are returned.
DOCS [<command-name> ...]
    Return documentation details about multiple Redis commands.
    If no command names are given, documentation details for all
    commands are returned.
GETKEYS <full-command>
    Return the keys from a full Redis command.
GETKEYSANDFLAGS <full-command>
    Return the keys and the access flags from a full Redis command.
"""
