"""DUMP and RESTORE, of the generic group: a key's value as bytes that another server takes."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.hashes import live
from ringkeeper.commands.numbers import INT64_MAX, SYNTAX, integer, option_word
from ringkeeper.commands.table import Arguments, Reply, command
from ringkeeper.resp.values import OK, ReplyError
from ringkeeper.store.keyspace import NO_EXPIRY
from ringkeeper.types.hash import Hash

LONGEST_IDLE = 2**24 - 1
"""Seconds, more than which Redis cannot tell."""


@command(
    "DUMP",
    arity=2,
    flags="readonly",
    keys=(1, 1, 1),
    access="RO access",
    group="generic",
    since="2.6.0",
    complexity="O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis objects "
    "composing the value and M their average size. For small string values the time complexity is thus O(1)+O(1*M) "
    "where M is small, so simply O(1).",
    summary="Returns a serialized representation of the value stored at a key.",
    tips="nondeterministic_output",
)
def dump(context: Context, args: Arguments) -> Reply:
    value = context.keyspace.read(args[1])
    if isinstance(value, Hash):
        value = live(context, args[1], value)
    return None if value is None else context.serializer.dump(value)


class Options:
    """What may follow the payload."""

    __slots__ = ("absolute", "frequency", "idle_seconds", "replace")

    def __init__(self, words: Arguments) -> None:
        self.replace = self.absolute = False
        self.idle_seconds = self.frequency = -1
        """Of the access metadata one at most; -1 where it is not given."""
        index = 0
        while index < len(words):
            word = option_word(words[index])
            following = index + 1 < len(words)
            if word == b"replace":
                self.replace = True
            elif word == b"absttl":
                self.absolute = True
            elif word == b"idletime" and following and self.frequency == -1:
                index += 1
                self.idle_seconds = integer(words[index])
                if self.idle_seconds < 0:
                    raise ReplyError("ERR Invalid IDLETIME value, must be >= 0")
            elif word == b"freq" and following and self.idle_seconds == -1:
                index += 1
                self.frequency = integer(words[index])
                if not 0 <= self.frequency <= 255:
                    raise ReplyError("ERR Invalid FREQ value, must be >= 0 and <= 255")
            else:
                raise ReplyError(SYNTAX)
            index += 1


def _restore(context: Context, args: Arguments) -> Reply:
    options = Options(args[4:])
    keyspace, key = context.keyspace, args[1]
    if not options.replace and keyspace.peek(key) is not None:
        raise ReplyError("BUSYKEY Target key name already exists.")
    expires_at = integer(args[2])
    if expires_at < 0:
        raise ReplyError("ERR Invalid TTL value, must be >= 0")
    value = context.serializer.restore(args[3])
    now = keyspace.clock.now_ms
    if not expires_at:
        expires_at = NO_EXPIRY
    elif not options.absolute:
        expires_at += now
    if expires_at != NO_EXPIRY and not now < expires_at <= INT64_MAX:
        # Redis's sum of a TTL and the time overflows, and what it gets lies in the past.
        keyspace.clear(key)
    else:
        keyspace.replace(key, value, expires_at, "restore")
        if options.idle_seconds > 0:
            keyspace.set_idle(key, min(options.idle_seconds, LONGEST_IDLE) * 1000)
        if options.frequency >= 0 and keyspace.counts_frequency(key):
            keyspace.set_frequency(key, options.frequency)
    return OK


command(
    "RESTORE",
    arity=-4,
    flags="write denyoom",
    keys=(1, 1, 1),
    access="OW update",
    group="generic",
    since="2.6.0",
    complexity="O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the "
    "number of Redis objects composing the value and M their average size. For small string values the time complexity "
    "is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is "
    "O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
    summary="Creates a key from the serialized representation of a value.",
    categories="dangerous",
)(_restore)
command(
    "RESTORE-ASKING",
    arity=-4,
    flags="write denyoom asking",
    keys=(1, 1, 1),
    access="OW update",
    group="server",
    since="3.0.0",
    complexity="O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is the "
    "number of Redis objects composing the value and M their average size. For small string values the time complexity "
    "is thus O(1)+O(1*M) where M is small, so simply O(1). However for sorted set values the complexity is "
    "O(N*M*log(N)) because inserting values into sorted sets is O(log(N)).",
    summary="An internal command for migrating keys in a cluster.",
    categories="keyspace dangerous",
)(_restore)
