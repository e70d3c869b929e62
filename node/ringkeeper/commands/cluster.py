"""The cluster group: what clients ask about slots and nodes. The topology has one author, the operator."""

from __future__ import annotations

from ringkeeper.commands.context import ClusterServices, Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import integer
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, Raw, ReplyError, Verbatim
from ringkeeper.store.slot import SLOTS, key_slot

OPERATORS = (
    "ADDSLOTS",
    "ADDSLOTSRANGE",
    "BUMPEPOCH",
    "COUNT-FAILURE-REPORTS",
    "DELSLOTS",
    "DELSLOTSRANGE",
    "FAILOVER",
    "FLUSHSLOTS",
    "FORGET",
    "MEET",
    "REPLICATE",
    "RESET",
    "SAVECONFIG",
    "SET-CONFIG-EPOCH",
    "SETSLOT",
)
"""What changes the topology in Redis, by hand; here only the operator does."""


def enabled(context: Context) -> ClusterServices:
    if not context.cluster.enabled:
        raise ReplyError("ERR This instance has cluster support disabled")
    return context.cluster


def slot_number(word: bytes) -> int:
    slot = integer(word)
    if not 0 <= slot < SLOTS:
        raise ReplyError("ERR Invalid slot")
    return slot


@command(
    "CLUSTER",
    arity=-2,
    flags="",
    group="cluster",
    since="3.0.0",
    complexity="Depends on subcommand.",
    summary="A container for Redis Cluster commands.",
)
def cluster(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    raise ReplyError("ERR wrong number of arguments for 'cluster' command")


@command(
    "CLUSTER|SLOTS",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
    tips="nondeterministic_output",
    summary="Returns the mapping of cluster slots to nodes.",
)
def slots(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return Raw(enabled(context).slots(context.client.protocol, context.client))


@command(
    "CLUSTER|SHARDS",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="7.0.0",
    complexity="O(N) where N is the total number of cluster nodes",
    tips="nondeterministic_output",
    summary="Returns the mapping of cluster slots to shards.",
)
def shards(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return Raw(enabled(context).shards(context.client.protocol))


@command(
    "CLUSTER|NODES",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
    tips="nondeterministic_output",
    summary="Returns the cluster configuration for a node.",
)
def nodes(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return Verbatim(enabled(context).nodes())


@command(
    "CLUSTER|INFO",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns information about the state of a node.",
)
def info(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return Verbatim(enabled(context).info())


@command(
    "CLUSTER|MYID",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Returns the ID of a node.",
)
def my_id(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return enabled(context).my_id()


@command(
    "CLUSTER|MYSHARDID",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="7.2.0",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns the shard ID of a node.",
)
def my_shard_id(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return enabled(context).my_shard_id()


@command(
    "CLUSTER|LINKS",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="7.0.0",
    complexity="O(N) where N is the total number of Cluster nodes",
    tips="nondeterministic_output",
    summary="Returns a list of all TCP links to and from peer nodes.",
)
def links(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return enabled(context).links()


def _replicas(context: Context, args: Arguments) -> Reply:
    return enabled(context).replicas(args[2].decode("utf-8", "surrogateescape"))


command(
    "CLUSTER|REPLICAS",
    arity=3,
    flags="admin loading stale",
    group="cluster",
    since="5.0.0",
    complexity="O(N) where N is the number of replicas.",
    tips="nondeterministic_output",
    summary="Lists the replica nodes of a master node.",
)(_replicas)
command(
    "CLUSTER|SLAVES",
    arity=3,
    flags="admin loading stale",
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the number of replicas.",
    tips="nondeterministic_output",
    summary="Lists the replica nodes of a master node.",
)(_replicas)


@command(
    "CLUSTER|KEYSLOT",
    arity=3,
    flags="loading stale",
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the number of bytes in the key",
    summary="Returns the hash slot for a key.",
)
def key_slot_of(context: Context, args: Arguments) -> Reply:
    enabled(context)
    return key_slot(args[2])


@command(
    "CLUSTER|COUNTKEYSINSLOT",
    arity=3,
    flags="",
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Returns the number of keys in a hash slot.",
)
def count_keys_in_slot(context: Context, args: Arguments) -> Reply:
    enabled(context)
    return context.keyspace.slot_count(slot_number(args[2]))


@command(
    "CLUSTER|GETKEYSINSLOT",
    arity=4,
    flags="",
    group="cluster",
    since="3.0.0",
    complexity="O(N) where N is the number of requested keys",
    tips="nondeterministic_output",
    summary="Returns the key names in a hash slot.",
)
def get_keys_in_slot(context: Context, args: Arguments) -> Reply:
    enabled(context)
    slot, count = integer(args[2]), integer(args[3])
    if not 0 <= slot < SLOTS or count < 0:
        raise ReplyError("ERR Invalid slot or number of keys")
    return context.keyspace.slot_keys(slot, count)


def _operators(context: Context, args: Arguments) -> Reply:
    enabled(context)
    raise ReplyError(
        f"ERR CLUSTER {args[1].decode('utf-8', 'replace').upper()} is not for clients: the operator is the only author "
        "of this cluster's topology; change the CacheCluster manifest instead"
    )


for _name in OPERATORS:
    command(
        f"CLUSTER|{_name}",
        arity=-2,
        flags="admin stale",
        group="cluster",
        since="3.0.0",
        complexity="O(1)",
        summary="Refused: the operator is the only author of the topology.",
    )(_operators)


@command(
    "CLUSTER|HELP",
    arity=2,
    flags="loading stale",
    group="cluster",
    since="5.0.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def cluster_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    enabled(context)
    return help_reply(
        "CLUSTER",
        """
COUNTKEYSINSLOT <slot>
    Return the number of keys in <slot>.
GETKEYSINSLOT <slot> <count>
    Return key names stored by current node in a slot.
INFO
    Return information about the cluster.
KEYSLOT <key>
    Return the hash slot for <key>.
LINKS
    Return the links between nodes, over which published messages go.
MYID
    Return the node id.
MYSHARDID
    Return the node's shard id.
NODES
    Return cluster configuration seen by node.
REPLICAS <node-id>
    Return <node-id> replicas.
SHARDS
    Return information about slot range mappings and the nodes associated with them.
SLOTS
    Return information about slots range mappings.
""",
    )


@command(
    "READONLY",
    arity=1,
    flags="loading stale fast",
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Enables read-only queries for a connection to a Redis Cluster replica node.",
    categories="connection",
)
def readonly(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    enabled(context)
    context.client.read_only = True
    return OK


@command(
    "READWRITE",
    arity=1,
    flags="loading stale fast",
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Enables read-write queries for a connection to a Redis Cluster replica node.",
    categories="connection",
)
def readwrite(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    enabled(context)
    context.client.read_only = False
    return OK


@command(
    "ASKING",
    arity=1,
    flags="fast",
    group="cluster",
    since="3.0.0",
    complexity="O(1)",
    summary="Signals that a cluster client is following an -ASK redirect.",
    categories="connection",
)
def asking(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    enabled(context)
    context.client.asking = True
    return OK
