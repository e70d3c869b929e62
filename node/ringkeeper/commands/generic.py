"""The generic group: keys whatever they hold; and DBSIZE, FLUSHALL and SWAPDB, which Redis counts to the server."""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.glob import compile_glob
from ringkeeper.commands.help import help_reply
from ringkeeper.commands.numbers import SYNTAX, integer, option_word, parse_integer, small_integer
from ringkeeper.commands.table import Arguments, KeySpec, Reply, command
from ringkeeper.resp.values import OK, ReplyError, Simple
from ringkeeper.store.block import FloatText
from ringkeeper.store.keyspace import Keyspace, Value

NO_SUCH_KEY = "ERR no such key"
DB_RANGE = "ERR DB index is out of range"
EMBEDDED = 44
"""The longest string whose encoding Redis calls `embstr`."""


def database(context: Context, word: bytes) -> Keyspace | None:
    """None for one that the configuration knows, but that a node of a cluster does not have."""
    index = small_integer(word)
    if not 0 <= index < int(context.settings.get(["databases"])["databases"]):
        raise ReplyError(DB_RANGE)
    return context.databases[index] if index < len(context.databases) else None


def _delete(context: Context, args: Arguments) -> Reply:
    return sum(context.keyspace.delete(key) for key in args[1:])


command(
    "DEL",
    arity=-2,
    flags="write",
    keys=(1, -1, 1),
    access="RM delete",
    group="generic",
    since="1.0.0",
    complexity="O(N) where N is the number of keys that will be removed.",
    tips="request_policy:multi_shard response_policy:agg_sum",
    summary="Deletes one or more keys.",
)(_delete)
command(
    "UNLINK",
    arity=-2,
    flags="write fast",
    keys=(1, -1, 1),
    access="RM delete",
    group="generic",
    since="4.0.0",
    complexity="O(1) for each key removed.",
    tips="request_policy:multi_shard response_policy:agg_sum",
    summary="Asynchronously deletes one or more keys.",
)(_delete)


def _exists(context: Context, args: Arguments) -> Reply:
    return sum(context.keyspace.read_about(key) is not None for key in args[1:])


def _touch(context: Context, args: Arguments) -> Reply:
    """Use them, even for a client with CLIENT NO-TOUCH."""
    keyspace = context.keyspace
    touching, keyspace.touching = keyspace.touching, True
    found = sum(keyspace.read(key) is not None for key in args[1:])
    keyspace.touching = touching
    return found


command(
    "EXISTS",
    arity=-2,
    flags="readonly fast",
    keys=(1, -1, 1),
    access="RO",
    group="generic",
    since="1.0.0",
    complexity="O(N) where N is the number of keys to check.",
    tips="request_policy:multi_shard response_policy:agg_sum",
    summary="Determines whether one or more keys exist.",
)(_exists)
command(
    "TOUCH",
    arity=-2,
    flags="readonly fast",
    keys=(1, -1, 1),
    access="RO",
    group="generic",
    since="3.2.1",
    complexity="O(N) where N is the number of keys that will be touched.",
    tips="request_policy:multi_shard response_policy:agg_sum",
    summary="Returns the number of existing keys out of those given, after updating the time of their last access.",
)(_touch)


@command(
    "TYPE",
    arity=2,
    flags="readonly fast",
    keys=(1, 1, 1),
    access="RO",
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Determines the type of value stored at a key.",
)
def type_(context: Context, args: Arguments) -> Reply:
    value = context.keyspace.read_about(args[1])
    return Simple(b"none" if value is None else kind_of(value))


def kind_of(value: Value) -> bytes:
    """Redis's TYPE."""
    return b"string" if isinstance(value, (bytes, bytearray)) else value.kind.encode()


def _rename(context: Context, args: Arguments, *, only_new: bool) -> bool:
    keyspace = context.keyspace
    source, target = args[1], args[2]
    value = keyspace.peek(source)
    if value is None:
        raise ReplyError(NO_SUCH_KEY)
    if source == target:
        return not only_new
    if only_new and keyspace.peek(target) is not None:
        return False
    keyspace.hand_over(source, keyspace, target, ("rename_from", "rename_to"))
    return True


@command(
    "RENAME",
    arity=3,
    flags="write",
    keys=(1, 2, 1),
    key_specs=(
        KeySpec("RW access delete", 1),
        KeySpec("OW update", 2),
    ),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Renames a key and overwrites the destination.",
)
def rename(context: Context, args: Arguments) -> Reply:
    _rename(context, args, only_new=False)
    return OK


@command(
    "RENAMENX",
    arity=3,
    flags="write fast",
    keys=(1, 2, 1),
    key_specs=(
        KeySpec("RW access delete", 1),
        KeySpec("OW insert", 2),
    ),
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Renames a key only when the target key name doesn't exist.",
)
def renamenx(context: Context, args: Arguments) -> Reply:
    return int(_rename(context, args, only_new=True))


@command(
    "COPY",
    arity=-3,
    flags="write denyoom",
    keys=(1, 2, 1),
    key_specs=(
        KeySpec("RO access", 1),
        KeySpec("OW update", 2),
    ),
    group="generic",
    since="6.2.0",
    complexity="O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
    summary="Copies the value of a key to a new key.",
)
def copy(context: Context, args: Arguments) -> Reply:
    source, target = args[1], args[2]
    destination: Keyspace | None = context.keyspace
    replace = False
    index = 3
    while index < len(args):
        word = option_word(args[index])
        if word == b"replace":
            replace = True
        elif word == b"db" and index + 1 < len(args):
            index += 1
            destination = database(context, args[index])
        else:
            raise ReplyError(SYNTAX)
        index += 1
    if destination is None:
        raise ReplyError("ERR Copying to another database is not allowed in cluster mode")
    if destination is context.keyspace and source == target:
        raise ReplyError("ERR source and destination objects are the same")
    value = context.keyspace.read(source)
    if value is None or (destination.peek(target) is not None and not replace):
        return 0
    duplicate = value if isinstance(value, bytes) else value.copy()
    destination.replace(target, duplicate, context.keyspace.expiry(source), "copy_to")
    return 1


@command(
    "MOVE",
    arity=3,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    summary="Moves a key to another database.",
)
def move(context: Context, args: Arguments) -> Reply:
    if context.cluster.enabled:
        raise ReplyError("ERR MOVE is not allowed in cluster mode")
    destination = database(context, args[2])
    if destination is None or destination is context.keyspace:
        raise ReplyError("ERR source and destination objects are the same")
    value = context.keyspace.peek(args[1])
    if value is None or destination.peek(args[1]) is not None:
        return 0
    context.keyspace.hand_over(args[1], destination, args[1], ("move_from", "move_to"))
    return 1


@command(
    "KEYS",
    arity=2,
    flags="readonly",
    group="generic",
    since="1.0.0",
    complexity="O(N) with N being the number of keys in the database.",
    tips="request_policy:all_shards nondeterministic_output_order",
    summary="Returns all key names that match a pattern.",
    categories="dangerous keyspace read",
)
def keys(context: Context, args: Arguments) -> Reply:
    if args[1] == b"*":
        return list(context.keyspace.keys())
    match = compile_glob(args[1]).match
    return [key for key in context.keyspace.keys() if match(key)]  # noqa: SIM118


def parse_cursor(word: bytes) -> int:
    """As C's `strtoul` reads it, which takes a sign, and nothing at all for 0."""
    digits = word.partition(b"\0")[0]
    negative = digits.startswith(b"-")
    if digits[:1] in (b"-", b"+"):
        digits = digits[1:]
    elif not digits:
        return 0
    if not digits.isdigit() or len(digits) > 100 or int(digits) >= 2**64:
        raise ReplyError("ERR invalid cursor")
    return (-int(digits) if negative else int(digits)) % 2**64


@command(
    "SCAN",
    arity=-2,
    flags="readonly",
    group="generic",
    since="2.8.0",
    complexity="O(1) for every call. O(N) for a complete iteration.",
    tips="nondeterministic_output request_policy:special response_policy:special",
    summary="Iterates over the key names in the database.",
    categories="keyspace read",
)
def scan(context: Context, args: Arguments) -> Reply:
    cursor = parse_cursor(args[1])
    count, pattern = 10, b"*"
    kind: bytes | None = None
    index = 2
    while index < len(args):
        word = option_word(args[index])
        if index + 1 >= len(args) or word not in (b"match", b"count", b"type"):
            raise ReplyError(SYNTAX)
        value = args[index + 1]
        if word == b"match":
            pattern = value
        elif word == b"type":
            kind = option_word(value)
        else:
            count = integer(value)
            if count < 1:
                raise ReplyError(SYNTAX)
        index += 2
    cursor, found = context.keyspace.scan(cursor, count)
    if pattern != b"*":
        match = compile_glob(pattern).match
        found = [key for key in found if match(key)]
    if kind is not None or context.keyspace.volatile:
        values = ((key, context.keyspace.look(key)) for key in found)
        found = [key for key, value in values if value is not None and kind in (None, kind_of(value))]
    return [b"%d" % cursor, found]


@command(
    "RANDOMKEY",
    arity=1,
    flags="readonly",
    group="generic",
    since="1.0.0",
    complexity="O(1)",
    tips="request_policy:all_shards response_policy:special nondeterministic_output",
    summary="Returns a random key name from the database.",
    categories="keyspace read",
)
def randomkey(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.keyspace.random_key()


@command(
    "DBSIZE",
    arity=1,
    flags="readonly fast",
    group="server",
    since="1.0.0",
    complexity="O(1)",
    tips="request_policy:all_shards response_policy:agg_sum",
    summary="Returns the number of keys in the database.",
    categories="keyspace read",
)
def dbsize(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return context.keyspace.shown


def check_flush_mode(args: Arguments) -> None:
    if len(args) > 2 or (len(args) == 2 and option_word(args[1]) not in (b"async", b"sync")):
        raise ReplyError(SYNTAX)


@command(
    "FLUSHDB",
    arity=-1,
    flags="write",
    group="server",
    since="1.0.0",
    complexity="O(N) where N is the number of keys in the selected database",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Removes all keys from the current database.",
    categories="keyspace dangerous",
)
def flushdb(context: Context, args: Arguments) -> Reply:
    check_flush_mode(args)
    context.keyspace.flush()
    return OK


@command(
    "FLUSHALL",
    arity=-1,
    flags="write",
    group="server",
    since="1.0.0",
    complexity="O(N) where N is the total number of keys in all databases",
    tips="request_policy:all_shards response_policy:all_succeeded",
    summary="Removes all keys from all databases.",
    categories="keyspace dangerous",
)
def flushall(context: Context, args: Arguments) -> Reply:
    check_flush_mode(args)
    for keyspace in context.databases:
        keyspace.flush()
    return OK


@command(
    "SWAPDB",
    arity=3,
    flags="write fast",
    group="server",
    since="4.0.0",
    complexity="O(N) where N is the count of clients watching or blocking on keys from both databases.",
    summary="Swaps two Redis databases.",
    categories="keyspace dangerous",
)
def swapdb(context: Context, args: Arguments) -> Reply:
    if context.cluster.enabled:
        raise ReplyError("ERR SWAPDB is not allowed in cluster mode")
    first = small_integer(args[1], "ERR invalid first DB index")
    second = small_integer(args[2], "ERR invalid second DB index")
    if not (0 <= first < len(context.databases) and 0 <= second < len(context.databases)):
        raise ReplyError(DB_RANGE)
    if first != second:
        context.databases[first].swap(context.databases[second])
    return OK


def encoding_of(value: Value) -> bytes:
    """What Redis calls the encoding of such a value."""
    if isinstance(value, bytearray):
        return b"raw"
    if not isinstance(value, bytes):
        return value.encoding.encode()
    if type(value) is not FloatText and parse_integer(value) is not None:
        return b"int"
    return b"embstr" if len(value) <= EMBEDDED else b"raw"


@command(
    "OBJECT",
    arity=-2,
    flags="",
    group="generic",
    since="2.2.3",
    complexity="Depends on subcommand.",
    summary="A container for object introspection commands.",
)
def object_(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    raise ReplyError("ERR wrong number of arguments for 'object' command")


@command(
    "OBJECT|ENCODING",
    arity=3,
    flags="readonly",
    keys=(2, 2, 1),
    access="RO",
    group="generic",
    since="2.2.3",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns the internal encoding of a Redis object.",
)
def object_encoding(context: Context, args: Arguments) -> Reply:
    value = context.keyspace.look(args[2])
    return None if value is None else encoding_of(value)


@command(
    "OBJECT|REFCOUNT",
    arity=3,
    flags="readonly",
    keys=(2, 2, 1),
    access="RO",
    group="generic",
    since="2.2.3",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns the reference count of a value of a key.",
)
def object_refcount(context: Context, args: Arguments) -> Reply:
    return None if context.keyspace.look(args[2]) is None else 1


@command(
    "OBJECT|IDLETIME",
    arity=3,
    flags="readonly",
    keys=(2, 2, 1),
    access="RO",
    group="generic",
    since="2.2.3",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns the time since the last access to a Redis object.",
)
def object_idletime(context: Context, args: Arguments) -> Reply:
    keyspace = context.keyspace
    return None if keyspace.look(args[2]) is None else keyspace.idle_ms(args[2]) // 1000


@command(
    "OBJECT|CREATED",
    arity=3,
    flags="readonly",
    keys=(2, 2, 1),
    access="RO",
    group="generic",
    since="0.1.0",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns when a key was created, in Unix seconds.",
)
def object_created(context: Context, args: Arguments) -> Reply:
    """A new value under a key that exists changes nothing of that. Redis has no such command."""
    return None if context.keyspace.look(args[2]) is None else context.keyspace.created_at(args[2])


@command(
    "OBJECT|FREQ",
    arity=3,
    flags="readonly",
    keys=(2, 2, 1),
    access="RO",
    group="generic",
    since="4.0.0",
    complexity="O(1)",
    tips="nondeterministic_output",
    summary="Returns the logarithmic access frequency counter of a Redis object.",
)
def object_freq(context: Context, args: Arguments) -> Reply:
    """Counted under an LFU policy alone."""
    if context.keyspace.look(args[2]) is None:
        return None
    if context.keyspace.counts_frequency(args[2]):
        return context.keyspace.frequency(args[2])
    raise ReplyError(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
        "between policies at runtime LRU and LFU data will take some time to adjust."
    )


@command(
    "OBJECT|HELP",
    arity=2,
    flags="loading stale",
    group="generic",
    since="6.2.0",
    complexity="O(1)",
    summary="Returns helpful text about the different subcommands.",
)
def object_help(context: Context, args: Arguments) -> Reply:  # noqa: ARG001
    return help_reply(
        "OBJECT",
        """
CREATED <key>
    Return when the <key> was created, in Unix seconds.
ENCODING <key>
    Return the kind of internal representation used in order to store the value
    associated with a <key>.
FREQ <key>
    Return the access frequency index of the <key>. The returned integer is
    proportional to the logarithm of the recent access frequency of the key.
IDLETIME <key>
    Return the idle time of the <key>, that is the approximated number of
    seconds elapsed since the last access to the key.
REFCOUNT <key>
    Return the number of references of the value associated with the specified
    <key>.
""",
    )
