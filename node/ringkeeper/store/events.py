"""The events of keyspace notifications and the class of each.

Source: https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/.
"""

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
SILENT = frozenset({"flushdb", "swapdb", "populate"})
"""Changes of whole databases, and what DEBUG did: watchers and trackers are told, subscribers are not."""

ALL_CLASSES = "g$lshzxetd"
"""What `A` stands for."""


def event_classes(text: str) -> str:
    """`notify-keyspace-events` with `A` written out; raises `ValueError` for a letter that is none."""
    classes = ""
    for letter in text:
        if letter == "A":
            classes += ALL_CLASSES
        elif letter in ALL_CLASSES + "KEmn":
            classes += letter
        else:
            raise ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
    return "".join(sorted(set(classes)))


def canonical_events(text: str) -> str:
    """As CONFIG GET shows them: `A` for all classes, then n, K, E, m.

    Redis leaves `n` out behind `A`: a value that was read and is set again loses it.
    """
    classes = event_classes(text)
    shown = "A" if set(ALL_CLASSES) <= set(classes) else "".join(c for c in "g$lshzxetd" if c in classes)
    return shown + "".join(letter for letter in "nKEm" if letter in classes)
