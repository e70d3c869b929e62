"""What the nodes of a cluster say to each other on the data port. Not in COMMAND, and refused to everybody else."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, Raw, ReplyError

FLAGS = "admin noscript loading stale fast skip_monitor skip_slowlog"
NO_REPLY = Raw(b"")


@command(
    "RINGKEEPER.PEER",
    arity=4,
    flags=f"{FLAGS} no_auth",
    internal=True,
    group="cluster",
    since="7.2.0",
    complexity="O(1)",
    summary="Says which node's link this connection is: token, id, name. Repeated, it is a sign of life.",
)
def peer(context: Context, args: Arguments) -> Reply:
    id_, name = (word.decode("utf-8", "replace") for word in args[2:])
    if not context.cluster.enabled:
        raise ReplyError("ERR This instance has cluster support disabled")
    context.cluster.welcome(context.client, args[1], id_, name)
    return OK


@command(
    "RINGKEEPER.PUBLISH",
    arity=4,
    flags=FLAGS,
    internal=True,
    group="cluster",
    since="7.2.0",
    complexity="O(N+M) as PUBLISH",
    summary="Delivers a message of another node: kind, channel, message. Answers nothing.",
)
def publish(context: Context, args: Arguments) -> Reply:
    context.pubsub.receive("shard" if args[1] == b"shard" else "channel", args[2], args[3])
    return NO_REPLY
