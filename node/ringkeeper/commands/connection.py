"""The connection group: who a client is, how it speaks, and what it may know of the others."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.numbers import SYNTAX, integer, small_integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, PONG, ReplyError, Simple

COMPATIBLE_VERSION = "7.2.0"
"""The Redis version whose commands this node speaks; clients choose what they use by it."""

WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."
OPEN = "noscript loading stale fast no_auth allow_busy"


def text_of(word: bytes) -> str:
    return word.decode("utf-8", "replace")


@command(
    "PING",
    arity=-1,
    flags="fast",
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Returns the server's liveliness response.",
)
def ping(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    if len(args) > 2:
        raise ReplyError("ERR wrong number of arguments for 'ping' command")
    return PONG if len(args) == 1 else args[1]


@command(
    "ECHO",
    arity=2,
    flags="loading stale fast",
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    summary="Returns the given string.",
)
def echo(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return args[1]


@command(
    "SELECT",
    arity=2,
    flags="loading stale fast",
    group="connection",
    since="1.0.0",
    complexity="O(1)",
    summary="Changes the selected database.",
)
def select(context: Context, args: Arguments) -> Reply:
    index = small_integer(args[1])
    if context.node.cluster_enabled and index != 0:
        raise ReplyError("ERR SELECT is not allowed in cluster mode")
    if not 0 <= index < len(context.databases):
        raise ReplyError("ERR DB index is out of range")
    context.database = index
    context.keyspace = context.databases[index]
    return OK


@command(
    "QUIT", arity=-1, flags=OPEN, group="connection", since="1.0.0", complexity="O(1)", summary="Closes the connection."
)
def quit_(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.client.close_after_reply()
    return OK


@command(
    "RESET", arity=1, flags=OPEN, group="connection", since="6.2.0", complexity="O(1)", summary="Resets the connection."
)
def reset(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.client.reset()
    return Simple(b"RESET")


@command(
    "AUTH",
    arity=-2,
    flags=OPEN,
    group="connection",
    since="1.0.0",
    complexity="O(N) where N is the number of passwords defined for the user",
    summary="Authenticates the connection.",
)
def auth(context: Context, args: Arguments) -> Reply:
    if len(args) > 3:
        raise ReplyError(SYNTAX)
    if len(args) == 2 and not context.access.has_password:
        raise ReplyError(
            "ERR AUTH <password> called without any password configured for the default user. "
            "Are you sure your configuration is correct?"
        )
    authenticate(context, args[1] if len(args) == 3 else b"default", args[-1], args[0])
    return OK


def authenticate(context: Context, user: bytes, password: bytes, command: bytes) -> None:
    if not context.access.log_in(context.client, user, password, command):
        raise ReplyError(WRONG_PASSWORD)


@command(
    "HELLO",
    arity=-1,
    flags=OPEN,
    group="connection",
    since="6.0.0",
    complexity="O(1)",
    summary="Handshakes with the server: protocol version, authentication, name.",
)
def hello(context: Context, args: Arguments) -> Reply:
    client = context.client
    protocol = client.protocol
    if len(args) > 1:
        protocol = integer(args[1], "ERR Protocol version is not an integer or out of range")
        if protocol not in (2, 3):
            raise ReplyError("NOPROTO unsupported protocol version")
    name = None
    credentials = None
    position = 2
    while position < len(args):
        option = args[position].lower()
        more = len(args) - position - 1
        if option == b"auth" and more >= 2:
            credentials = args[position + 1], args[position + 2]
            position += 3
        elif option == b"setname" and more >= 1:
            name = args[position + 1]
            position += 2
        else:
            raise ReplyError(f"ERR Syntax error in HELLO option '{text_of(args[position])}'")
    if credentials is not None:
        authenticate(context, *credentials, args[0])
    if not client.authenticated:
        raise ReplyError(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
            "<user> <pass> option can be used to authenticate the client and select the RESP protocol version at the "
            "same time"
        )
    if name is not None:
        client.name = checked_name(name)
    client.protocol = protocol
    return {
        b"server": b"redis",
        b"version": COMPATIBLE_VERSION,
        b"proto": protocol,
        b"id": client.id,
        b"mode": b"cluster" if context.node.cluster_enabled else b"standalone",
        b"role": b"replica" if context.node.role()[0] == "slave" else b"master",
        b"modules": [],
    }


def checked_name(name: bytes, what: str = "Client names") -> bytes:
    if any(not 33 <= byte <= 126 for byte in name):
        raise ReplyError(f"ERR {what} cannot contain spaces, newlines or special characters.")
    return name
