"""DEBUG: what test suites do to a server. It needs `enable-debug-command`."""

from __future__ import annotations

from ringkeeper.commands.connection import text_of
from ringkeeper.commands.context import Context
from ringkeeper.commands.generic import encoding_of
from ringkeeper.commands.glob import compile_glob
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, ReplyError, Simple


@command(
    "DEBUG",
    arity=-2,
    flags="admin noscript loading stale",
    group="server",
    since="1.0.0",
    complexity="Depends on subcommand.",
    summary="A container for debugging commands.",
)
def debug(context: Context, args: Arguments) -> Reply:
    name = args[1].lower()
    match (name, len(args)):
        case (b"help", 2):
            return help_reply("DEBUG", DEBUG_HELP)
        case (b"sleep", 3):
            context.node.sleep(sleep_seconds(args[2]))
            return OK
        case (b"set-active-expire", 3):
            context.node.set_active_expiry(integer(args[2]) != 0)
            return OK
        case (b"stringmatch-len", 4):
            return 1 if compile_glob(args[3]).match(b"a" * min(integer(args[2]), LONGEST_MATCHED)) else 0
        case (b"object", 3):
            return debug_object(context, args[2])
        case (b"error", 3):
            raise ReplyError(text_of(args[2]))
    raise ReplyError(
        f"ERR unknown subcommand or wrong number of arguments for '{text_of(args[1][:128])}'. Try DEBUG HELP."
    )


LONGEST_MATCHED = 1 << 20
"""Bytes that DEBUG STRINGMATCH-LEN builds at most."""


def sleep_seconds(word: bytes) -> float:
    try:
        return max(0.0, float(word))
    except ValueError:
        return 0.0


def debug_object(context: Context, key: bytes) -> Reply:
    value = context.keyspace.look(key)
    if value is None:
        raise ReplyError("ERR no such key")
    text = f"Value at:0x{id(value):x} refcount:1 encoding:{encoding_of(value).decode()} serializedlength:{len(value)}"
    return Simple(f"{text} lru:0 lru_seconds_idle:0".encode())


DEBUG_HELP = """
ERROR <string>
    Return a Redis protocol error with <string> as message. Useful for clients
    unit tests to simulate Redis errors.
OBJECT <key>
    Show low level info about `key` and associated value.
SET-ACTIVE-EXPIRE <0|1>
    Setting it to 0 disables expiring keys (and hash-fields) in background
    when they are not accessed.
SLEEP <seconds>
    Stop the server for <seconds>. Decimals allowed.
STRINGMATCH-LEN <len> <pattern>
    Match a string of <len> bytes against <pattern>.
"""
