"""DEBUG: what test suites do to a server. It needs `enable-debug-command`.

What crashes a server, or tunes an allocator and tables that are not those of this one, is not there.
"""

from __future__ import annotations

from collections.abc import Callable

from ringkeeper.commands.connection import text_of
from ringkeeper.commands.context import Context
from ringkeeper.commands.digest import digest_of_dataset, digest_of_value
from ringkeeper.commands.generic import encoding_of
from ringkeeper.commands.glob import compile_glob
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import integer, leading_integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, Raw, ReplyError, SetReply, Simple, Verbatim
from ringkeeper.store.keyspace import Value

NO_SUCH_KEY = ReplyError("ERR no such key")
NOT_POSITIVE = "ERR value is out of range, must be positive"
LONGEST_MATCHED = 1 << 20
"""Bytes that DEBUG STRINGMATCH-LEN builds at most."""
LONGEST_STRING = 512 * 1024**2
AROUND_PAYLOAD = 11
"""Bytes of DUMP's payload that Redis does not count: the type before the value, version and checksum behind it."""


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
    name, count = args[1].lower(), len(args)
    least, most, function = SUBCOMMANDS.get(name, (0, 0, nothing))
    if least <= count <= most:
        return function(context, args)
    raise ReplyError(
        f"ERR unknown subcommand or wrong number of arguments for '{text_of(args[1][:128])}'. Try DEBUG HELP."
    )


def nothing(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return OK


def show_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("DEBUG", DEBUG_HELP)


# The whole node


def sleep(context: Context, args: Arguments) -> Reply:
    try:
        seconds = float(args[2])
    except ValueError:
        seconds = 0.0
    if seconds > 0:
        context.node.sleep(seconds)
    return OK


def set_active_expire(context: Context, args: Arguments) -> Reply:
    context.node.set_active_expiry(leading_integer(args[2]) != 0)
    return OK


def pause_cron(context: Context, args: Arguments) -> Reply:
    context.node.pause_rounds(leading_integer(args[2]) != 0)
    return OK


def change_replication_id(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.node.change_replication_id()
    return OK


def log(context: Context, args: Arguments) -> Reply:
    context.node.log_for_debugging(f"DEBUG LOG: {text_of(args[2])}")
    return OK


def populate(context: Context, args: Arguments) -> Reply:
    """Keys that exist stay as they are. Where there is a `maxmemory`, it ends the command."""
    count = integer(args[2], NOT_POSITIVE)
    size = integer(args[4], NOT_POSITIVE) if len(args) == 5 else 0
    if count < 0 or size < 0:
        raise ReplyError(NOT_POSITIVE)
    if size > LONGEST_STRING:
        raise ReplyError("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
    prefix = args[3] if len(args) > 3 else b"key"
    keyspace = context.keyspace
    limit = int(context.settings.get(["maxmemory"])["maxmemory"])
    for number in range(count):
        key = b"%b:%d" % (prefix, number)
        if keyspace.peek(key) is not None:
            continue
        if limit and keyspace.used_bytes + size > limit:
            raise ReplyError("OOM command not allowed when used memory > 'maxmemory'.")
        value = b"value:%d" % number
        keyspace.set(key, value[:size].ljust(size, b"\0") if size else value, event="populate")
    return OK


RELOAD_OPTIONS = frozenset({b"merge", b"noflush", b"nosave"})


def reload_(context: Context, args: Arguments) -> Reply:
    """Every key as the codec of DUMP writes and reads it; only when all are read does anything change."""
    options = {word.lower() for word in args[2:]}
    if not options <= RELOAD_OPTIONS:
        raise ReplyError("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
    if b"nosave" in options:
        raise ReplyError("ERR Error trying to load the RDB dump, there is no file of an earlier one")
    read_back = context.serializer.read_back
    held = [
        [(key, read_back(value), expires_at, idle_ms) for key, value, expires_at, idle_ms in keyspace.entries()]
        for keyspace in context.databases
    ]
    for keyspace, entries in zip(context.databases, held, strict=True):
        if b"noflush" not in options:
            keyspace.flush()
        for entry in entries:
            keyspace.load(*entry)
    return OK


def digest(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    """Of what is alive: what has expired and was not yet met does not count."""
    return Simple(digest_of_dataset(context.databases).hex().encode())


# Keys


def digest_values(context: Context, args: Arguments) -> Reply:
    keyspace = context.keyspace
    return [Simple(digest_of_value(keyspace.look(key), keyspace.expiry(key)).hex().encode()) for key in args[2:]]


def found(context: Context, key: bytes) -> Value:
    value = context.keyspace.look(key)
    if value is None:
        raise NO_SUCH_KEY
    return value


def object_(context: Context, args: Arguments) -> Reply:
    value = found(context, args[2])
    idle = context.keyspace.idle_ms(args[2]) // 1000
    used_at = (context.keyspace.clock.now_ms // 1000 - idle) & 0xFFFFFF
    length = len(context.serializer.dump(value)) - AROUND_PAYLOAD
    text = f"Value at:0x{id(value):x} refcount:1 encoding:{encoding_of(value).decode()} serializedlength:{length}"
    return Simple(f"{text} lru:{used_at} lru_seconds_idle:{idle}".encode())


def string_length(context: Context, args: Arguments) -> Reply:
    """In Redis's words. Nothing here is allocated with room to spare, but for strings that are edited in place."""
    key, value = args[2], found(context, args[2])
    if not isinstance(value, (bytes, bytearray)) or encoding_of(value) == b"int":
        raise ReplyError("ERR Not an sds encoded string.")
    room = max(0, value.__sizeof__() - bytearray().__sizeof__() - len(value)) if type(value) is bytearray else 0
    return Simple(
        f"key_sds_len:{len(key)}, key_sds_avail:0, key_zmalloc: {key.__sizeof__()}, "
        f"val_sds_len:{len(value)}, val_sds_avail:{room}, val_zmalloc: {value.__sizeof__()}".encode()
    )


def structure(context: Context, args: Arguments) -> Reply:
    """LISTPACK and QUICKLIST: what there is to say goes to the log, as Redis prints it."""
    name = text_of(args[1]).lower()
    value = found(context, args[2])
    if encoding_of(value).decode() != name:
        raise ReplyError(f"ERR Not a {name} encoded object.")
    memory = 0 if isinstance(value, (bytes, bytearray)) else value.memory
    context.node.log_for_debugging(f"DEBUG {name.upper()}: {len(value)} elements, about {memory} bytes")
    return Simple(f"{name.capitalize()} structure printed on stdout".encode())


# Replies


def match(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return 1 if compile_glob(args[3]).match(b"a" * min(integer(args[2]), LONGEST_MATCHED)) else 0


def error(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    raise ReplyError(text_of(args[2]))


BIG_NUMBER = b"1234567999999999999999999999999999999"
BEHIND_PUSH = b"Some real reply following the push reply"
BEHIND_ATTRIBUTE = b"Some real reply following the attribute"
VALUES: dict[bytes, Reply] = {
    b"string": b"Hello World",
    b"integer": 12345,
    b"double": 3.141,
    b"null": None,
    b"array": [0, 1, 2],
    b"set": SetReply([0, 1, 2]),
    b"map": {0: False, 1: True, 2: False},
    b"verbatim": Verbatim(b"This is a verbatim\nstring"),
    b"true": True,
    b"false": False,
    b"bignum": BIG_NUMBER,
    b"attrib": BEHIND_ATTRIBUTE,
    b"push": ReplyError("ERR RESP2 is not supported by this command"),
}
IN_RESP3: dict[bytes, Reply] = {
    b"bignum": Raw(b"(%b\r\n" % BIG_NUMBER),
    b"attrib": Raw(
        b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$%d\r\n%b\r\n"
        % (len(BEHIND_ATTRIBUTE), BEHIND_ATTRIBUTE)
    ),
    b"push": Raw(b"$%d\r\n%b\r\n>2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n" % (len(BEHIND_PUSH), BEHIND_PUSH)),
}
"""What no other command answers. As with every message, the push comes behind the reply."""


def protocol(context: Context, args: Arguments) -> Reply:
    name = args[2].lower()
    if name not in VALUES:
        raise ReplyError(
            "ERR Wrong protocol type name. Please use one of the following: "
            "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
        )
    return IN_RESP3[name] if name in IN_RESP3 and context.client.protocol > 2 else VALUES[name]


EVER_SO_MANY = 1 << 62
SUBCOMMANDS: dict[bytes, tuple[int, int, Callable[[Context, Arguments], Reply]]] = {
    b"change-repl-id": (2, 2, change_replication_id),
    b"digest": (2, 2, digest),
    b"digest-value": (2, EVER_SO_MANY, digest_values),
    b"error": (3, 3, error),
    b"help": (2, 2, show_help),
    b"listpack": (3, 3, structure),
    b"log": (3, 3, log),
    b"object": (3, 3, object_),
    b"pause-cron": (3, 3, pause_cron),
    b"populate": (3, 5, populate),
    b"protocol": (3, 3, protocol),
    b"quicklist": (3, 4, structure),
    b"reload": (2, EVER_SO_MANY, reload_),
    b"sdslen": (3, 3, string_length),
    b"set-active-expire": (3, 3, set_active_expire),
    b"sleep": (3, 3, sleep),
    b"stringmatch-len": (4, 4, match),
}
"""Fewest and most words, DEBUG included, and what they do."""

DEBUG_HELP = """
CHANGE-REPL-ID
    Change the replication IDs of the instance.
    Dangerous: should be used only for testing the replication subsystem.
DIGEST
    Output a hex signature representing the current DB content.
DIGEST-VALUE <key> [<key> ...]
    Output a hex signature of the values of all the specified keys.
ERROR <string>
    Return a Redis protocol error with <string> as message. Useful for clients
    unit tests to simulate Redis errors.
LISTPACK <key>
    Show low level info about the listpack encoding of <key>.
LOG <message>
    Write <message> to the server log.
OBJECT <key>
    Show low level info about `key` and associated value.
PAUSE-CRON <0|1>
    Stop periodic cron job processing.
POPULATE <count> [<prefix>] [<size>]
    Create <count> string keys named key:<num>. If <prefix> is specified then
    it is used instead of the 'key' prefix.
PROTOCOL <type>
    Reply with a test value of the specified type. <type> can be: string,
    integer, double, bignum, null, array, set, map, attrib, push, verbatim,
    true, false.
QUICKLIST <key> [<0|1>]
    Show low level info about the quicklist encoding of <key>.
RELOAD [option ...]
    Write every key as DUMP does and read it back. Valid <option> values:
    * MERGE: conflicting keys will be loaded from what was written.
    * NOFLUSH: the existing database will not be removed before.
SDSLEN <key>
    Show low level SDS string info representing `key` and value.
SET-ACTIVE-EXPIRE <0|1>
    Setting it to 0 disables expiring keys (and hash-fields) in background
    when they are not accessed.
SLEEP <seconds>
    Stop the server for <seconds>. Decimals allowed.
STRINGMATCH-LEN <len> <pattern>
    Match a string of <len> bytes against <pattern>.
"""
