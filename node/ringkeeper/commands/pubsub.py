"""The pubsub group. Patterns are those of KEYS; sharded channels belong to slots, as keys do."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.table import Arguments, Function, Reply, command
from ringkeeper.resp.values import OK, Raw, ReplyError

FLAGS = "pubsub noscript loading stale"
CHANNEL, PATTERN, SHARD = "channel", "pattern", "shard"
OWN_CHANNELS = b"__ringkeeper__:"
"""What begins so is for what the nodes themselves have to tell."""


def _subscribe(kind: str) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        return context.pubsub.subscribe(context.client, kind, args[1:])

    return run


def _unsubscribe(kind: str) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        return context.pubsub.unsubscribe(context.client, kind, args[1:])

    return run


command(
    "SUBSCRIBE",
    arity=-2,
    flags=FLAGS,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of channels to subscribe to.",
    summary="Listens for messages published to channels.",
)(_subscribe(CHANNEL))
command(
    "UNSUBSCRIBE",
    arity=-1,
    flags=FLAGS,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of channels to unsubscribe.",
    summary="Stops listening to messages posted to channels.",
)(_unsubscribe(CHANNEL))
command(
    "PSUBSCRIBE",
    arity=-2,
    flags=FLAGS,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of patterns to subscribe to.",
    summary="Listens for messages published to channels that match one or more patterns.",
)(_subscribe(PATTERN))
command(
    "PUNSUBSCRIBE",
    arity=-1,
    flags=FLAGS,
    group="pubsub",
    since="2.0.0",
    complexity="O(N) where N is the number of patterns to unsubscribe.",
    summary="Stops listening to messages published to channels that match one or more patterns.",
)(_unsubscribe(PATTERN))
command(
    "SSUBSCRIBE",
    arity=-2,
    flags=FLAGS,
    keys=(1, -1, 1),
    access="not_key",
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of shard channels to subscribe to.",
    summary="Listens for messages published to shard channels.",
)(_subscribe(SHARD))
command(
    "SUNSUBSCRIBE",
    arity=-1,
    flags=FLAGS,
    keys=(1, -1, 1),
    access="not_key",
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of shard channels to unsubscribe.",
    summary="Stops listening to messages posted to shard channels.",
)(_unsubscribe(SHARD))


@command(
    "PUBLISH",
    arity=3,
    flags="pubsub loading stale fast",
    group="pubsub",
    since="2.0.0",
    complexity="O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total number "
    "of subscribed patterns (by any client).",
    summary="Posts a message to a channel.",
)
def publish(context: Context, args: Arguments) -> Reply:
    if args[1].startswith(OWN_CHANNELS):
        raise ReplyError(f"ERR Only the nodes publish in channels that begin with {OWN_CHANNELS.decode()}")
    return context.pubsub.publish(args[1], args[2])


@command(
    "SPUBLISH",
    arity=3,
    flags="pubsub loading stale fast",
    keys=(1, 1, 1),
    access="not_key",
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of clients subscribed to the receiving shard channel.",
    summary="Post a message to a shard channel",
)
def spublish(context: Context, args: Arguments) -> Reply:
    return context.pubsub.publish_to_shard(args[1], args[2])


@command(
    "PUBSUB",
    arity=-2,
    flags="",
    group="pubsub",
    since="2.8.0",
    complexity="Depends on subcommand.",
    summary="A container for Pub/Sub commands.",
)
def pubsub_(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    raise ReplyError("ERR wrong number of arguments for 'pubsub' command")


def _channels(kind: str) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        if len(args) > 3:
            name = args[1].decode("utf-8", "replace")
            raise ReplyError(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try PUBSUB HELP.")
        return context.pubsub.channels(kind, args[2] if len(args) == 3 else None)

    return run


def _numsub(kind: str) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        return [part for name in args[2:] for part in (name, context.pubsub.subscribers(kind, name))]

    return run


command(
    "PUBSUB|CHANNELS",
    arity=-2,
    flags="pubsub loading stale",
    group="pubsub",
    since="2.8.0",
    complexity="O(N) where N is the number of active channels, and assuming constant time pattern matching (relatively "
    "short channels and patterns)",
    summary="Returns the active channels.",
)(_channels(CHANNEL))
command(
    "PUBSUB|SHARDCHANNELS",
    arity=-2,
    flags="pubsub loading stale",
    group="pubsub",
    since="7.0.0",
    complexity="O(N) where N is the number of active shard channels, and assuming constant time pattern matching "
    "(relatively short shard channels).",
    summary="Returns the active shard channels.",
)(_channels(SHARD))
command(
    "PUBSUB|NUMSUB",
    arity=-2,
    flags="pubsub loading stale",
    group="pubsub",
    since="2.8.0",
    complexity="O(N) for the NUMSUB subcommand, where N is the number of requested channels",
    summary="Returns a count of subscribers to channels.",
)(_numsub(CHANNEL))
command(
    "PUBSUB|SHARDNUMSUB",
    arity=-2,
    flags="pubsub loading stale",
    group="pubsub",
    since="7.0.0",
    complexity="O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
    summary="Returns the count of subscribers of shard channels.",
)(_numsub(SHARD))


@command(
    "PUBSUB|NUMPAT",
    arity=2,
    flags="pubsub loading stale",
    group="pubsub",
    since="2.8.0",
    complexity="O(1)",
    summary="Returns a count of unique pattern subscriptions.",
)
def numpat(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.pubsub.pattern_count()


@command(
    "PUBSUB|HELP",
    arity=2,
    flags="loading stale",
    group="pubsub",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def pubsub_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply(
        "PUBSUB",
        """
CHANNELS [<pattern>]
    Return the currently active channels matching a <pattern> (default: '*').
NUMPAT
    Return number of subscriptions to patterns.
NUMSUB [<channel> ...]
    Return the number of subscribers for the specified channels, excluding
    pattern subscriptions(default: no channels).
SHARDCHANNELS [<pattern>]
    Return the currently active shard level channels matching a <pattern> (default: '*').
SHARDNUMSUB [<shardchannel> ...]
    Return the number of subscribers for the specified shard level channel(s)
""",
    )


@command(
    "MONITOR",
    arity=1,
    flags="admin noscript loading stale",
    group="server",
    since="1.0.0",
    complexity="",
    summary="Listens for all requests received by the server in real-time.",
)
def monitor(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    """Said a second time it is not answered, as on Redis."""
    return OK if context.clients.monitor(context.client) else Raw(b"")
