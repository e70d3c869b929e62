"""The cluster group: what clients ask about slots and nodes. The topology has one author, the operator."""

from __future__ import annotations

from collections.abc import Callable

from ringkeeper.commands.context import ClusterServices, Context
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import SYNTAX, integer
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


METRICS: dict[bytes, Callable[[Context, int], int]] = {
    b"key-count": lambda context, slot: context.keyspace.slot_count(slot),
    b"memory-bytes": lambda context, slot: context.keyspace.slot_bytes(slot),
    b"operations": lambda context, slot: context.cluster.operations(slot),
}
"""What CLUSTER SLOT-STATS tells of a slot. The last one is our own: how many commands this node ran on its keys."""


@command(
    "CLUSTER|SLOT-STATS",
    arity=-4,
    flags="loading stale",
    group="cluster",
    since="8.0.0",
    complexity="O(N) where N is the total number of slots based on arguments. O(N*log(N)) with ORDERBY subcommand.",
    tips="nondeterministic_output request_policy:all_shards",
    summary="Return an array of slot usage statistics for slots assigned to the current node.",
)
def slot_stats(context: Context, args: Arguments) -> Reply:
    own = enabled(context).own_slots()
    how = args[2].lower()
    if how == b"slotsrange" and len(args) == 5:
        first, last = slot_in_range(args[3]), slot_in_range(args[4])
        if first > last:
            raise ReplyError(f"ERR Start slot number {first} is greater than end slot number {last}")
        return _statistics(context, [slot for slot in own if first <= slot <= last])
    if how == b"orderby":
        metric = METRICS.get(args[3].lower())
        if metric is None:
            raise ReplyError("ERR Unrecognized sort metric for ORDERBY.")
        limit, descending = order(args[4:])
        own.sort(key=lambda slot: metric(context, slot), reverse=descending)
        return _statistics(context, own[:limit])
    name = args[1].decode("utf-8", "surrogateescape")
    raise ReplyError(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try CLUSTER HELP.")


def _statistics(context: Context, slots: list[int]) -> Reply:
    return [[slot, {name: metric(context, slot) for name, metric in METRICS.items()}] for slot in slots]


def slot_in_range(word: bytes) -> int:
    """As `slot_number`, in the words of the younger subcommands."""
    try:
        return slot_number(word)
    except ReplyError:
        raise ReplyError("ERR Invalid or out of range slot") from None


def order(words: Arguments) -> tuple[int, bool]:
    """How many slots are asked for, and whether those with most."""
    limits: list[int] = []
    directions: list[bool] = []
    while words:
        word = words.pop(0).lower()
        if word == b"limit" and words:
            limits.append(slot_limit(words.pop(0)))
        elif word in (b"asc", b"desc"):
            directions.append(word == b"desc")
        else:
            raise ReplyError(SYNTAX)
        if len(limits) > 1 or len(directions) > 1:
            raise ReplyError("ERR Multiple filters of the same type are disallowed.")
    return (limits or [SLOTS])[0], (directions or [True])[0]


def slot_limit(word: bytes) -> int:
    refusal = ReplyError("ERR Limit has to lie in between 1 and 16384 (maximum number of slots).")
    try:
        limit = integer(word)
    except ReplyError:
        raise refusal from None
    if not 1 <= limit <= SLOTS:
        raise refusal
    return limit


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
SLOT-STATS
    Return an array of slot usage statistics for slots assigned to the current node.
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
