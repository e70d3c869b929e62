"""REPLICAOF, PSYNC, REPLCONF: who follows whom. Redis counts them to the server group."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.numbers import SYNTAX, integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import ReplyError


def follow(context: Context, args: Arguments) -> Reply:
    host, port = args[1:3]
    if host.lower() == b"no" and port.lower() == b"one":
        return context.node.replication.follow_nobody()
    if not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ReplyError("ERR Invalid master port")
    return context.node.replication.follow(host.decode("utf-8", "replace"), int(port))


for _name, _since in (("REPLICAOF", "5.0.0"), ("SLAVEOF", "1.0.0")):
    command(
        _name,
        arity=3,
        flags="admin noscript stale no_async_loading",
        group="server",
        since=_since,
        complexity="O(1)",
        summary="Configures a server as replica of another, or promotes it to a master.",
    )(follow)


@command(
    "PSYNC",
    arity=-3,
    flags="admin noscript no_async_loading no_multi",
    group="server",
    since="2.8.0",
    complexity="O(1)",
    summary="An internal command used in replication.",
)
def psync(context: Context, args: Arguments) -> Reply:
    if len(args) > 3:
        raise ReplyError(
            "ERR PSYNC FAILOVER is not for this node: it is promoted with REPLICAOF NO ONE, or by the operator"
        )
    return context.node.replication.replicas.synchronise(context.client, args[1].decode("latin-1"), integer(args[2]))


@command(
    "REPLCONF",
    arity=-1,
    flags="admin noscript loading stale allow_busy",
    group="server",
    since="3.0.0",
    complexity="O(1)",
    summary="An internal command for configuring the replication stream.",
)
def replconf(context: Context, args: Arguments) -> Reply:
    if len(args) % 2 == 0:
        raise ReplyError(SYNTAX)
    return context.node.replication.replicas.configure(context.client, list(zip(args[1::2], args[2::2], strict=True)))


@command(
    "WAIT",
    arity=3,
    flags="noscript blocking",
    group="generic",
    since="3.0.0",
    complexity="O(1)",
    categories="connection -keyspace",
    tips="request_policy:all_shards response_policy:agg_min",
    summary="Blocks until the asynchronous replication of all preceding write commands sent by the connection is "
    "completed.",
)
def wait(context: Context, args: Arguments) -> Reply:
    return context.node.replication.replicas.waits.wait(context.client, integer(args[1]), timeout(args[2]))


@command(
    "WAITAOF",
    arity=4,
    flags="noscript blocking",
    group="generic",
    since="7.2.0",
    complexity="O(1)",
    categories="connection -keyspace",
    tips="request_policy:all_shards response_policy:agg_min",
    summary="Blocks until all of the preceding write commands sent by the connection are written to the append-only "
    "file of the master and/or replicas.",
)
def waitaof(context: Context, args: Arguments) -> Reply:
    local, replicas = integer(args[1]), integer(args[2])
    if not 0 <= local <= 1:
        raise ReplyError("ERR value is out of range, must be between 0 and 1")
    if replicas < 0:
        raise ReplyError("ERR value is out of range, must be positive")
    return context.node.replication.replicas.waits.wait_for_disks(context.client, local, replicas, timeout(args[3]))


def timeout(word: bytes) -> int:
    """Milliseconds; 0 for none."""
    number = integer(word, "ERR timeout is not an integer or out of range")
    if number < 0:
        raise ReplyError("ERR timeout is negative")
    return number


@command(
    "FAILOVER",
    arity=-1,
    flags="admin noscript stale",
    group="server",
    since="6.2.0",
    complexity="O(1)",
    summary="Starts a coordinated failover from a server to one of its replicas.",
)
def failover(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    """Refused: in a cluster the operator chooses, and knows that nobody else is master."""
    if context.node.cluster_enabled:
        raise ReplyError(
            "ERR FAILOVER not allowed in cluster mode: `ringkeeper failover SHARD [--to NODE]` hands a shard over"
        )
    raise ReplyError(
        "ERR FAILOVER is not supported: stop the writers, WAIT until the replica has all, and tell it REPLICAOF NO ONE"
    )
