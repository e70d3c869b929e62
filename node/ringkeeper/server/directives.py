"""The directives of redis.conf that this node knows: their names, kinds, defaults and what may be set while it runs.

A directive stands here when it does something, or when clients and tools ask for it and its only value is the truth
(`daemonize no`). Any other value of the latter is refused, saying what does not exist yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from ringkeeper.store.policies import NODE_DEFAULT, POLICIES

KINDS = ("number", "yes-no", "memory", "choice", "text", "words", "events", "namespaces", "name")
"""`words` is a text of several words, such as `bind` and `save`; `namespaces` that of `store/namespace_text.py`; `name`
that of a file, without its folder."""


@dataclass(frozen=True, slots=True)
class Directive:
    name: str
    kind: str
    default: str
    help: str
    mutable: bool = True
    protected: bool = False
    """Refused by CONFIG SET as Redis refuses protected configurations, since it names files."""
    secret: bool = False
    """Never written to the log."""
    minimum: int = 0
    maximum: int = 2**31 - 1
    choices: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    """The values that work, of those that Redis knows."""
    instead: str = ""
    """What to say about the others."""


LAZY_FREE = (
    ("lazyfree-lazy-eviction", "evicted keys"),
    ("lazyfree-lazy-expire", "expired keys"),
    ("lazyfree-lazy-server-del", "values that a command replaces"),
    ("lazyfree-lazy-user-del", "what DEL removes"),
    ("lazyfree-lazy-user-flush", "what FLUSHALL and FLUSHDB remove"),
)

COMPACT = (
    ("hash-max-listpack-entries", "512", "fields up to which a hash is a listpack", 0),
    ("hash-max-listpack-value", "64", "bytes of a field or value up to which a hash is a listpack", 0),
    ("list-max-listpack-size", "-2", "elements of a listpack list; -1 to -5 mean 4 to 64 KiB", -(2**31)),
    ("list-compress-depth", "0", "kept for redis.conf's sake: lists are not compressed", 0),
    ("set-max-intset-entries", "512", "integers up to which a set is an intset", 0),
    ("set-max-listpack-entries", "128", "members up to which a set is a listpack", 0),
    ("set-max-listpack-value", "64", "bytes of a member up to which a set is a listpack", 0),
    ("zset-max-listpack-entries", "128", "members up to which a sorted set is a listpack", 0),
    ("zset-max-listpack-value", "64", "bytes of a member up to which a sorted set is a listpack", 0),
)
"""The fields of `types.collection.Limits`: name, default, help, minimum."""

TABLE = (
    *(Directive(name, "number", default, text, minimum=minimum) for name, default, text, minimum in COMPACT),
    *(
        Directive(
            name,
            "yes-no",
            "yes",
            f"free {what} in small steps",
            only=("yes",),
            instead="what is large is always freed in small steps",
        )
        for name, what in LAZY_FREE
    ),
    Directive("port", "number", "6379", "the data port; 0 takes a free one", mutable=False, maximum=65535),
    Directive("bind", "words", "* -::*", "addresses to listen on; a leading - allows one to be missing", mutable=False),
    Directive("admin-port", "number", "0", "the admin HTTP port; 0 means port + 10000", mutable=False, maximum=65535),
    Directive("admin-token-file", "text", "", "file with the token for the admin port's /control/", mutable=False),
    Directive("peer-token-file", "text", "", "file with the token by which nodes know each other", mutable=False),
    Directive("dir", "text", ".", "working directory: node id and topology are kept here", protected=True),
    Directive("requirepass", "text", "", "password of the default user", secret=True),
    Directive("requirepass-file", "text", "", "file with the password, if requirepass names none", mutable=False),
    Directive("aclfile", "text", "", "file that declares the users, instead of `user` lines here", mutable=False),
    Directive("acllog-max-len", "number", "128", "entries that ACL LOG keeps"),
    Directive(
        "acl-pubsub-default",
        "choice",
        "resetchannels",
        "the channels of a new user",
        choices=("allchannels", "resetchannels"),
    ),
    Directive("protected-mode", "yes-no", "yes", "without a password, serve the loopback interface only"),
    Directive("cluster-enabled", "yes-no", "no", "take part in a cluster, by a topology", mutable=False),
    Directive("cluster-announce-hostname", "text", "", "stable DNS name of this node"),
    Directive("cluster-uid", "text", "", "UID of the cluster that this node belongs to", mutable=False),
    Directive("node-name", "text", "", "this node's name; with cluster-uid it fixes the node id", mutable=False),
    Directive(
        "topology-exchange-interval",
        "number",
        "1000",
        "ms between asking another node for a newer topology",
        mutable=False,
        minimum=10,
    ),
    Directive(
        "maxmemory", "memory", "0", "limit on the estimated size of keys and values; 0 means none", maximum=2**63 - 1
    ),
    Directive("maxmemory-policy", "choice", NODE_DEFAULT, "what to evict at maxmemory", choices=POLICIES),
    Directive("maxmemory-samples", "number", "5", "keys that sampled eviction compares", minimum=1, maximum=64),
    Directive("maxmemory-eviction-tenacity", "number", "10", "how long a command may evict for", maximum=100),
    Directive("lfu-log-factor", "number", "10", "how slowly LFU counters grow"),
    Directive("lfu-decay-time", "number", "1", "minutes after which an LFU counter loses one; 0 never"),
    Directive("metrics-namespaces", "number", "200", "namespaces with rows of their own in /metrics", maximum=10_000),
    Directive("namespaces", "namespaces", "[]", "prefixes with limits of their own, as JSON: [{prefix, maxMemory, …}]"),
    Directive("maxclients", "number", "10000", "connections at most", minimum=1),
    Directive("timeout", "number", "0", "close a client idle for so many seconds; 0 never does"),
    Directive("tcp-keepalive", "number", "300", "seconds until a silent peer is probed; 0 never is"),
    Directive("tcp-backlog", "number", "511", "connections that may wait to be accepted", mutable=False),
    Directive("databases", "number", "16", "number of databases (a cluster has one)", mutable=False, minimum=1),
    Directive("hz", "number", "10", "background rounds a second", minimum=1, maximum=500),
    Directive(
        "loglevel", "choice", "notice", "what to log", choices=("debug", "verbose", "notice", "warning", "nothing")
    ),
    Directive("logfile", "text", "", "file to log to; empty means standard error", mutable=False),
    Directive(
        "proto-max-bulk-len",
        "memory",
        str(512 * 1024**2),
        "longest string a client may send",
        minimum=1024**2,
        maximum=512 * 1024**2,
    ),
    Directive(
        "client-query-buffer-limit",
        "memory",
        str(1024**3),
        "unfinished input of a client at most",
        minimum=1024**2,
        maximum=2**63 - 1,
    ),
    Directive(
        "client-output-buffer-limit",
        "words",
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "replies that may wait for a client",
    ),
    Directive(
        "cluster-link-sendbuf-limit",
        "memory",
        str(16 * 1024**2),
        "published messages that may wait for another node; beyond it the oldest are dropped",
        minimum=1,
        maximum=2**63 - 1,
    ),
    Directive("tracking-table-max-keys", "number", "1000000", "keys that client tracking remembers; 0 means no limit"),
    Directive("notify-keyspace-events", "events", "", "which keyspace notifications to publish, such as KEA"),
    Directive(
        "slowlog-log-slower-than",
        "number",
        "10000",
        "log commands that take so many microseconds; -1 none",
        minimum=-1,
        maximum=2**63 - 1,
    ),
    Directive("slowlog-max-len", "number", "128", "entries that SLOWLOG keeps"),
    Directive("latency-monitor-threshold", "number", "0", "ms that LATENCY notes; 0 none", maximum=2**63 - 1),
    Directive("latency-tracking", "yes-no", "yes", "count each command's durations"),
    Directive("latency-tracking-info-percentiles", "words", "50 99 99.9", "what INFO latencystats tells"),
    Directive(
        "enable-debug-command", "choice", "no", "who may use DEBUG", choices=("no", "yes", "local"), mutable=False
    ),
    Directive("active-expire-effort", "number", "1", "how hard to look for expired keys", minimum=1, maximum=10),
    Directive("replicaof", "words", "", "follow this master at start: `HOST PORT`", mutable=False),
    Directive("masterauth", "text", "", "password to log in to the master with", secret=True),
    Directive("masteruser", "text", "", "user to log in to the master as; else the default user"),
    Directive(
        "replica-read-only",
        "yes-no",
        "yes",
        "refuse writes on a replica",
        only=("yes",),
        instead="a replica that is written to would differ from its master",
    ),
    Directive(
        "cluster-allow-reads-when-down", "yes-no", "no", "answer reads, which may be old, as a master without a lease"
    ),
    Directive("replica-serve-stale-data", "yes-no", "yes", "answer reads while the link to the master is down"),
    Directive(
        "replica-announce-ip", "text", "", "address that the master shows of this replica; else that of the link"
    ),
    Directive("replica-announce-port", "number", "0", "port that the master shows of this replica", maximum=65535),
    Directive("replica-priority", "number", "100", "kept for redis.conf's sake: the operator chooses who is promoted"),
    Directive(
        "replica-ignore-maxmemory",
        "yes-no",
        "yes",
        "a replica evicts nothing by itself",
        only=("yes",),
        instead="a replica that evicts would differ from its master",
    ),
    Directive(
        "repl-backlog-size",
        "memory",
        str(16 * 1024**2),
        "bytes of changes kept for replicas that were away",
        minimum=16 * 1024,
        maximum=2**40,
    ),
    Directive("repl-backlog-ttl", "number", "3600", "seconds without replicas until the backlog is let go; 0 never"),
    Directive("shutdown-timeout", "number", "10", "seconds that a master waits for its replicas before it ends"),
    Directive("repl-timeout", "number", "60", "seconds of silence until a replication link is dropped", minimum=1),
    Directive("repl-ping-replica-period", "number", "10", "seconds between a master's signs of life", minimum=1),
    Directive(
        "repl-diskless-sync",
        "yes-no",
        "yes",
        "send a snapshot to replicas while it is written",
        only=("yes",),
        instead="a snapshot is sent from a file while it is written, to each replica at its own pace",
    ),
    Directive("repl-diskless-sync-delay", "number", "0", "kept for redis.conf's sake: late replicas share a snapshot"),
    Directive(
        "repl-disable-tcp-nodelay",
        "yes-no",
        "no",
        "let the system gather what goes to replicas",
        only=("no",),
        instead="what goes to replicas is gathered once a round already",
    ),
    Directive("min-replicas-to-write", "number", "0", "refuse writes with fewer replicas than that; 0 never"),
    Directive("min-replicas-max-lag", "number", "10", "seconds of silence after which a replica does not count for it"),
    Directive("save", "words", "", "snapshots: `SECONDS CHANGES ...`, each after so long if so much changed"),
    Directive("dbfilename", "name", "dump.rdb", "the snapshot's name in dir", protected=True),
    Directive("rdbcompression", "yes-no", "yes", "compress strings in snapshots and in what DUMP gives"),
    Directive(
        "rdbchecksum", "yes-no", "yes", "put a checksum into snapshots, and check it when one is loaded", mutable=False
    ),
    Directive("stop-writes-on-bgsave-error", "yes-no", "yes", "refuse writes while snapshots by `save` fail"),
    Directive("appendonly", "yes-no", "no", "append-only file: keep every change"),
    Directive(
        "appendfsync",
        "choice",
        "everysec",
        "when the disk has a change: before its reply, within two seconds, or when the system likes",
        choices=("always", "everysec", "no"),
    ),
    Directive("appenddirname", "name", "appendonlydir", "the append-only file's folder in dir", mutable=False),
    Directive("appendfilename", "name", "appendonly.aof", "what the names of its parts begin with", mutable=False),
    Directive("auto-aof-rewrite-percentage", "number", "100", "take a new base when it has grown so much; 0 never"),
    Directive("auto-aof-rewrite-min-size", "memory", str(64 * 1024**2), "but not below this size", maximum=2**63 - 1),
    Directive("aof-load-truncated", "yes-no", "yes", "cut off a torn end when loading, as a crash leaves it"),
    Directive("aof-timestamp-enabled", "yes-no", "no", "note the time in the append-only file"),
    Directive(
        "aof-use-rdb-preamble",
        "yes-no",
        "yes",
        "the base is a snapshot",
        only=("yes",),
        instead="a base is always a snapshot, which loads faster",
    ),
    Directive(
        "no-appendfsync-on-rewrite",
        "yes-no",
        "no",
        "do not sync while a base is taken",
        only=("no",),
        instead="it would break the promise of appendfsync; the loop never waits for a sync",
    ),
    Directive(
        "daemonize",
        "yes-no",
        "no",
        "run in the background",
        mutable=False,
        only=("no",),
        instead="a supervisor should run this server; start it with `&` or `nohup` otherwise",
    ),
)

DIRECTIVES = {directive.name: directive for directive in TABLE}
