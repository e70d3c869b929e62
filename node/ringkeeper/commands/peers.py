"""What the nodes of a cluster say to each other on the data port. Not in COMMAND, and refused to everybody else."""

from __future__ import annotations

from ringkeeper.commands.cluster import enabled
from ringkeeper.commands.context import Context
from ringkeeper.commands.numbers import integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, Raw, Simple

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
    enabled(context).welcome(context.client, args[1], id_, name)
    return OK


@command(
    "RINGKEEPER.FOLLOW",
    arity=7,
    flags=f"{FLAGS} no_auth",
    internal=True,
    group="cluster",
    since="7.2.0",
    complexity="O(1)",
    summary="Says which replica this connection is, before PSYNC: token, id, run id, and the master's id, run id and "
    "term. Answers with the master's term and offset, and where it was when it was appointed.",
)
def follow(context: Context, args: Arguments) -> Reply:
    enabled(context)
    id_, run_id, master, master_run = (word.decode("utf-8", "replace") for word in args[2:6])
    term = integer(args[6])
    claim: str = context.node.replication.replicas.welcome(
        context.client, args[1], (id_, run_id), (master, master_run, term)
    )
    return Simple(claim.encode())


@command(
    "RINGKEEPER.FEED",
    arity=6,
    flags=f"{FLAGS} no_auth",
    internal=True,
    group="cluster",
    since="7.2.0",
    complexity="O(1)",
    summary="Asks for the slots of a move: token, id, the move, and the asker's term and run id. Answers OK; then come "
    "the keys and what becomes of them, as commands, and RINGKEEPER.LOADED once all keys have come.",
)
def feed(context: Context, args: Arguments) -> Reply:
    enabled(context)
    id_, run_id = args[2].decode("utf-8", "replace"), args[5].decode("utf-8", "replace")
    context.node.moves.feed(context.client, args[1], id_, integer(args[3]), (integer(args[4]), run_id))
    return OK


@command(
    "RINGKEEPER.FED",
    arity=2,
    flags=FLAGS,
    internal=True,
    group="cluster",
    since="7.2.0",
    complexity="O(1)",
    summary="Says how many bytes of its feed a node has taken. Answers nothing.",
)
def fed(context: Context, args: Arguments) -> Reply:
    context.node.moves.fed(context.client, integer(args[1]))
    return NO_REPLY


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
