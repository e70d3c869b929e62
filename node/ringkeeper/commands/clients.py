"""CLIENT: what a connection is and may be told, and what may be done to the others."""

from __future__ import annotations

from collections.abc import Callable

from ringkeeper.commands.connection import checked_name, text_of
from ringkeeper.commands.context import Client, Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import SYNTAX, integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, ReplyError, Verbatim

CLIENT = "noscript loading stale"


@command(
    "CLIENT",
    arity=-2,
    flags="",
    group="connection",
    since="2.4.0",
    complexity="Depends on subcommand.",
    summary="A container for client connection commands.",
)
def client_(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    raise ReplyError("ERR wrong number of arguments for 'client' command")


@command(
    "CLIENT|ID",
    arity=2,
    flags=CLIENT,
    group="connection",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns the unique client ID of the connection.",
)
def client_id(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.client.id


@command(
    "CLIENT|INFO",
    arity=2,
    flags=CLIENT,
    group="connection",
    since="6.2.0",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns information about the connection.",
)
def client_info(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return Verbatim(context.client.describe().encode() + b"\n")


@command(
    "CLIENT|LIST",
    arity=-2,
    flags="admin noscript loading stale",
    group="connection",
    since="2.4.0",
    complexity="O(N) where N is the number of client connections",
    tips="nondeterministic_output",
    summary="Lists open connections.",
)
def client_list(context: Context, args: Arguments) -> Reply:
    clients = context.clients.all()
    if len(args) == 4 and args[2].lower() == b"type":
        kind = kind_named(args[3])
        clients = [client for client in clients if kind_of(client) == kind]
    elif len(args) > 3 and args[2].lower() == b"id":
        ids = [integer(word, "ERR Invalid client ID") for word in args[3:]]
        clients = [client for id_ in ids if (client := context.clients.find(id_)) is not None]
    elif len(args) != 2:
        raise ReplyError(SYNTAX)
    return Verbatim("".join([f"{client.describe()}\n" for client in clients]).encode())


KINDS = {b"normal": "normal", b"pubsub": "pubsub", b"master": "master", b"slave": "replica", b"replica": "replica"}


def kind_named(word: bytes) -> str:
    kind = KINDS.get(word.lower())
    if kind is None:
        raise ReplyError(f"ERR Unknown client type '{text_of(word)}'")
    return kind


def kind_of(client: Client) -> str:
    if client.replica is not None:
        return "replica"
    return "pubsub" if client.is_subscribed else "normal"


@command(
    "CLIENT|KILL",
    arity=-3,
    flags="admin noscript loading stale",
    group="connection",
    since="2.4.0",
    complexity="O(N) where N is the number of client connections",
    summary="Terminates open connections.",
)
def client_kill(context: Context, args: Arguments) -> Reply:
    if len(args) == 3:
        address = text_of(args[2])
        victims = [client for client in context.clients.all() if client.address == address]
        if not victims:
            raise ReplyError("ERR No such client")
        kill(context, victims)
        return OK
    tests, skip_me = kill_filters(context, args)
    victims = [
        client
        for client in context.clients.all()
        if not (skip_me and client.id == context.client.id) and all(test(client) for test in tests)
    ]
    kill(context, victims)
    return len(victims)


Test = Callable[[Client], bool]


def kill_filters(context: Context, args: Arguments) -> tuple[list[Test], bool]:
    """What `CLIENT KILL option value …` asks of a client, and whether it spares its own connection.

    Of an option that is given twice the last one counts.
    """
    tests: dict[bytes, Test] = {}
    skip_me = True
    for position in range(2, len(args), 2):
        option = args[position].lower()
        if position + 1 == len(args):
            raise ReplyError(SYNTAX)
        value = args[position + 1]
        if option == b"skipme":
            if value.lower() not in (b"yes", b"no"):
                raise ReplyError(SYNTAX)
            skip_me = value.lower() == b"yes"
        else:
            tests[option] = kill_filter(context, option, value)
    return list(tests.values()), skip_me


def kill_filter(context: Context, option: bytes, value: bytes) -> Test:
    text = text_of(value)
    match option:
        case b"id":
            id_ = positive(value, "ERR client-id should be greater than 0", "ERR client-id should be greater than 0")
            return lambda client: client.id == id_
        case b"type":
            kind = kind_named(value)
            return lambda client: kind_of(client) == kind
        case b"addr":
            return lambda client: client.address == text
        case b"laddr":
            return lambda client: client.local_address == text
        case b"user":
            if not context.access.has_user(value):
                raise ReplyError(f"ERR No such user '{text}'")
            return lambda client: client.user.name == value
        case b"maxage":
            age = positive(value, "ERR maxage is not an integer or out of range", "ERR maxage should be greater than 0")
            latest = context.keyspace.clock.now_ms - 1000 * age
            return lambda client: client.connected_at <= latest
    raise ReplyError(SYNTAX)


def positive(word: bytes, not_a_number: str, too_small: str) -> int:
    number = integer(word, not_a_number)
    if number < 1:
        raise ReplyError(too_small)
    return number


def kill(context: Context, victims: list[Client]) -> None:
    """Close connections; the caller's own one only behind its reply."""
    for victim in victims:
        if victim.id == context.client.id:
            victim.close_after_reply()
        else:
            context.clients.kill(victim)


@command(
    "CLIENT|SETNAME",
    arity=3,
    flags=CLIENT,
    group="connection",
    since="2.6.9",
    complexity="O(1)",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Sets the connection name.",
)
def client_setname(context: Context, args: Arguments) -> Reply:
    context.client.name = checked_name(args[2])
    return OK


@command(
    "CLIENT|GETNAME",
    arity=2,
    flags=CLIENT,
    group="connection",
    since="2.6.9",
    complexity="O(1)",
    summary="Returns the name of the connection.",
)
def client_getname(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.client.name or None


@command(
    "CLIENT|SETINFO",
    arity=4,
    flags=CLIENT,
    group="connection",
    since="7.2.0",
    complexity="O(1)",
    tips="request_policy:all_nodes response_policy:all_succeeded",
    summary="Sets information specific to the client or connection.",
)
def client_setinfo(context: Context, args: Arguments) -> Reply:
    option = args[2].lower()
    if option == b"lib-name":
        context.client.library_name = checked_name(args[3], text_of(args[2]))
    elif option == b"lib-ver":
        context.client.library_version = checked_name(args[3], text_of(args[2]))
    else:
        raise ReplyError(f"ERR Unrecognized option '{text_of(args[2])}'")
    return OK


@command(
    "CLIENT|REPLY",
    arity=3,
    flags=CLIENT,
    group="connection",
    since="3.2.0",
    complexity="O(1)",
    summary="Instructs the server whether to reply to commands.",
)
def client_reply(context: Context, args: Arguments) -> Reply:
    mode = text_of(args[2]).lower()
    if mode not in ("on", "off", "skip"):
        raise ReplyError(SYNTAX)
    if not (mode == "skip" and context.client.reply_mode == "off"):
        context.client.reply_mode = mode
    return OK


@command(
    "CLIENT|NO-EVICT",
    arity=3,
    flags="admin noscript loading stale",
    group="connection",
    since="7.0.0",
    complexity="O(1)",
    summary="Sets the client eviction mode of the connection.",
)
def client_no_evict(context: Context, args: Arguments) -> Reply:
    context.client.no_evict = on_or_off(args[2])
    return OK


@command(
    "CLIENT|NO-TOUCH",
    arity=3,
    flags="noscript loading stale",
    group="connection",
    since="7.2.0",
    complexity="O(1)",
    summary="Controls whether commands of this connection alter the LRU/LFU of keys.",
)
def client_no_touch(context: Context, args: Arguments) -> Reply:
    context.client.no_touch = on_or_off(args[2])
    return OK


def on_or_off(word: bytes) -> bool:
    if word.lower() not in (b"on", b"off"):
        raise ReplyError(SYNTAX)
    return word.lower() == b"on"


def too_many(args: Arguments) -> ReplyError:
    word = text_of(args[1])
    return ReplyError(f"ERR unknown subcommand or wrong number of arguments for '{word}'. Try CLIENT HELP.")


@command(
    "CLIENT|PAUSE",
    arity=-3,
    flags="admin noscript loading stale",
    group="connection",
    since="3.0.0",
    complexity="O(1)",
    summary="Suspends commands processing.",
)
def client_pause(context: Context, args: Arguments) -> Reply:
    writes_only = False
    if len(args) > 4:
        raise too_many(args)
    if len(args) == 4:
        if args[3].lower() not in (b"write", b"all"):
            raise ReplyError("ERR CLIENT PAUSE mode must be WRITE or ALL")
        writes_only = args[3].lower() == b"write"
    now = context.keyspace.clock.now_ms
    milliseconds = integer(args[2], "ERR timeout is not an integer or out of range")
    if milliseconds < 0:
        raise ReplyError("ERR timeout is negative")
    if now + milliseconds >= 2**63:
        raise ReplyError("ERR timeout is out of range")
    context.clients.pause(now + milliseconds, writes_only=writes_only)
    return OK


@command(
    "CLIENT|UNPAUSE",
    arity=2,
    flags="admin noscript loading stale",
    group="connection",
    since="6.2.0",
    complexity="O(N) Where N is the number of paused clients",
    summary="Resumes processing commands from paused clients.",
)
def client_unpause(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    context.clients.unpause()
    return OK


@command(
    "CLIENT|HELP",
    arity=2,
    flags="loading stale",
    group="connection",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def client_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply("CLIENT", CLIENT_HELP)


CLIENT_HELP = """
CACHING (YES|NO)
    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.
GETREDIR
    Return the client ID we are redirecting to when tracking is enabled.
GETNAME
    Return the name of the current connection.
ID
    Return the ID of the current connection.
INFO
    Return information about the current client connection.
KILL <ip:port>
    Kill connection made from <ip:port>.
KILL <option> <value> [<option> <value> [...]]
    Kill connections. Options are:
    * ADDR <ip:port>
      Kill connections made from the specified address
    * LADDR <ip:port>
      Kill connections made to specified local address
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Kill connections by type.
    * USER <username>
      Kill connections authenticated by <username>.
    * ID <client-id>
      Kill connections by client id.
    * MAXAGE <seconds>
      Kill connections that are at least so old.
    * SKIPME (YES|NO)
      Skip killing current connection (default: yes).
LIST [options ...]
    Return information about client connections. Options:
    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)
      Return clients of specified type.
    * ID <client-id> [<client-id> ...]
      Return clients of specified IDs only.
UNPAUSE
    Stop the current client pause, resuming traffic.
PAUSE <timeout> [WRITE|ALL]
    Suspend all, or just write, clients for <timeout> milliseconds.
REPLY (ON|OFF|SKIP)
    Control the replies sent to the current connection.
SETNAME <name>
    Assign the name <name> to the current connection.
SETINFO <option> <value>
    Set client meta attr. Options are:
    * LIB-NAME: the client lib name.
    * LIB-VER: the client lib version.
UNBLOCK <clientid> [TIMEOUT|ERROR]
    Unblock the specified blocked client.
TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]
         [OPTIN] [OPTOUT] [NOLOOP]
    Control server assisted client side caching.
TRACKINGINFO
    Report tracking status for the current connection.
NO-EVICT (ON|OFF)
    Protect current client connection from eviction.
NO-TOUCH (ON|OFF)
    Will not touch LRU/LFU stats when this mode is on.
"""
