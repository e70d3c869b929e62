"""The events of keyspace notifications and the class of each (https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/)."""

from __future__ import annotations

CLASSES = {
    "g": "del expire persist rename_from rename_to move_from move_to copy_to restore flushdb swapdb",
    "$": "set setrange append incrby incrbyfloat setbit",
    "l": "lpush rpush lpop rpop linsert lset lrem ltrim sortstore",
    "s": "sadd srem spop sinterstore sunionstore sdiffstore",
    "h": "hset hincrby hincrbyfloat hdel hexpire hexpired hpersist",
    "z": "zadd zincr zrem zremrangebyscore zremrangebyrank zremrangebylex zpopmin zpopmax zdiffstore zinterstore "
    "zunionstore zrangestore",
    "x": "expired",
    "e": "evicted",
    "m": "keymiss",
    "n": "new",
}
CLASS_OF = {event: letter for letter, events in CLASSES.items() for event in events.split()}
SILENT = frozenset({"flushdb", "swapdb"})
"""Changes of whole databases: watchers and trackers are told, subscribers are not."""
NO_CHANGE = frozenset({"keymiss", "new"})
"""Nothing that a watcher or a tracking client would have to know."""
