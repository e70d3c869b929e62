"""Fields of hashes that expire, as Valkey 9 has them: the HEXPIRE family, HGETEX, HSETEX and HGETDEL.

Source: https://valkey.io/commands/hexpire/ and the commands beside it.
"""

from __future__ import annotations

from ringkeeper.commands.context import Context
from ringkeeper.commands.expiry import allows, conditions
from ringkeeper.commands.hashes import peek, peek_or_new, read
from ringkeeper.commands.numbers import INT64_MAX, SYNTAX, integer, option_word
from ringkeeper.commands.strings import EXPIRY_OPTIONS
from ringkeeper.commands.table import Arguments, Function, Reply, command
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import Keyspace
from ringkeeper.types.hash import NO_EXPIRY, Hash

NUMFIELDS = "ERR numfields should be greater than 0 and match the provided number of fields"
NO_FIELD, REFUSED, DONE, DELETED = -2, 0, 1, 2
NO_TTL = -1


def moment(context: Context, word: bytes, *, unit_ms: int, absolute: bool, name: str) -> int:
    """A Unix time in milliseconds; unlike a key's expiry it may have passed, and 0 is one."""
    number = integer(word)
    invalid = ReplyError(f"ERR invalid expire time in '{name}' command")
    if number < 0 or number > INT64_MAX // unit_ms:
        raise invalid
    at = number * unit_ms + (0 if absolute else context.keyspace.clock.now_ms)
    if at > INT64_MAX:
        raise invalid
    return at


def named_fields(args: Arguments, at: int, width: int = 1, wrong: str = NUMFIELDS) -> list[bytes]:
    """The words behind `FIELDS numfields`, which stand at this index; `width` words belong to each field.

    `wrong` is the error when the number is not theirs.
    """
    if at >= len(args) or option_word(args[at]) != b"fields":
        raise ReplyError(SYNTAX)
    if at + 1 == len(args):
        raise ReplyError(NUMFIELDS)
    count = integer(args[at + 1])
    words = args[at + 2 :]
    if count < 1 or count * width != len(words):
        raise ReplyError(wrong)
    return words


def where_fields(args: Arguments, start: int) -> int:
    """The index of the word FIELDS. Without it, or with nothing behind it, no other word is looked at."""
    for index in range(start, len(args) - 1):
        if option_word(args[index]) == b"fields":
            return index
    raise ReplyError(NUMFIELDS)


SET_WORDS = frozenset({b"nx", b"xx", b"fnx", b"fxx", b"keepttl"})
OPPOSITES = ({b"nx", b"xx"}, {b"fnx", b"fxx"})


class FieldOptions:
    """What stands before FIELDS in HGETEX and HSETEX: one of EX, PX, EXAT, PXAT with its time, and these `words`.

    As with SET the same one may come again. Raises `ReplyError`; the time itself is read by `moment`.
    """

    def __init__(self, args: Arguments, words: frozenset[bytes]) -> None:
        self.given: set[bytes] = set()
        self.time = b""
        index = 0
        while index < len(args):
            word = option_word(args[index])
            if word in words:
                self.given.add(word)
            elif word in EXPIRY_OPTIONS and index + 1 < len(args):
                self.given.add(word)
                index += 1
                self.time = args[index]
            else:
                raise ReplyError(SYNTAX)
            index += 1
        exclusive = (*OPPOSITES, {*EXPIRY_OPTIONS, b"keepttl", b"persist"})
        if any(len(self.given & group) > 1 for group in exclusive):
            raise ReplyError(SYNTAX)

    def moment(self, context: Context, name: str) -> int | None:
        """The Unix time in milliseconds that was named, or None."""
        for word in self.given & EXPIRY_OPTIONS.keys():
            unit_ms, absolute = EXPIRY_OPTIONS[word]
            return moment(context, self.time, unit_ms=unit_ms, absolute=absolute, name=name)
        return None


def let_go(found: Hash, field: bytes, at: int, now: int) -> int:
    """Give a field its time, or delete it if that has passed."""
    if at <= now:
        found.delete(field)
        return DELETED
    found.expire(field, at)
    return DONE


def note_changes(context: Context, key: bytes, found: Hash, codes: list[int]) -> None:
    """Tell what `let_go` and its like have answered."""
    if deleted := codes.count(DELETED):
        context.keyspace.edited(key, found, "hexpired", deleted)
    if (changed := codes.count(DONE)) and len(found):
        context.keyspace.edited(key, found, "hexpire", changed)


def _expire(name: str, *, unit_ms: int, absolute: bool) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        key, now = args[1], context.keyspace.clock.now_ms
        start = where_fields(args, 3)
        chosen = conditions(args[3:start])
        fields = named_fields(args, start)
        at = moment(context, args[2], unit_ms=unit_ms, absolute=absolute, name=name)
        found = peek(context, key)
        if found is None:
            return [NO_FIELD] * len(fields)
        codes = []
        for field in fields:
            if field not in found:
                codes.append(NO_FIELD)
            elif allows(chosen, found.expiry(field), at):
                codes.append(let_go(found, field, at, now))
            else:
                codes.append(REFUSED)
        note_changes(context, key, found, codes)
        return codes

    return run


def _time_of(*, unit_ms: int, absolute: bool) -> Function:
    def run(context: Context, args: Arguments) -> Reply:
        fields = named_fields(args, 2, wrong=SYNTAX)
        found = read(context, args[1])
        now = 0 if absolute else context.keyspace.clock.now_ms
        return [time_left(found, field, now, unit_ms) for field in fields]

    return run


def time_left(found: Hash | None, field: bytes, now: int, unit_ms: int) -> int:
    if found is None or field not in found:
        return NO_FIELD
    at = found.expiry(field)
    if at == NO_EXPIRY:
        return NO_TTL
    return at - now if unit_ms == 1 else (at - now + 500) // 1000


for _name, _unit, _absolute, _summary in (
    ("HEXPIRE", 1000, False, "Sets the expiration time of fields in seconds."),
    ("HPEXPIRE", 1, False, "Sets the expiration time of fields in milliseconds."),
    ("HEXPIREAT", 1000, True, "Sets the expiration time of fields to a Unix timestamp in seconds."),
    ("HPEXPIREAT", 1, True, "Sets the expiration time of fields to a Unix timestamp in milliseconds."),
):
    command(
        _name,
        arity=-6,
        flags="write fast",
        keys=(1, 1, 1),
        access="RW update",
        group="hash",
        since="9.0.0",
        complexity="O(N) where N is the number of specified fields.",
        summary=_summary,
    )(_expire(_name.lower(), unit_ms=_unit, absolute=_absolute))

for _name, _unit, _absolute, _summary in (
    ("HTTL", 1000, False, "Returns the remaining time to live of fields in seconds."),
    ("HPTTL", 1, False, "Returns the remaining time to live of fields in milliseconds."),
    ("HEXPIRETIME", 1000, True, "Returns the Unix timestamps in seconds at which fields expire."),
    ("HPEXPIRETIME", 1, True, "Returns the Unix timestamps in milliseconds at which fields expire."),
):
    command(
        _name,
        arity=-5,
        flags="readonly fast",
        keys=(1, 1, 1),
        access="RO access",
        group="hash",
        since="9.0.0",
        complexity="O(N) where N is the number of specified fields.",
        summary=_summary,
    )(_time_of(unit_ms=_unit, absolute=_absolute))


@command(
    "HPERSIST",
    arity=-5,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW update",
    group="hash",
    since="9.0.0",
    complexity="O(N) where N is the number of specified fields.",
    summary="Removes the expiration time of fields.",
)
def hpersist(context: Context, args: Arguments) -> Reply:
    fields = named_fields(args, 2)
    found = peek(context, args[1])
    if found is None:
        return [NO_FIELD] * len(fields)
    codes = [NO_FIELD if field not in found else DONE if found.persist(field) else NO_TTL for field in fields]
    context.keyspace.edited(args[1], found, "hpersist", codes.count(DONE))
    return codes


@command(
    "HGETEX",
    arity=-5,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access update",
    group="hash",
    since="9.0.0",
    complexity="O(N) where N is the number of specified fields.",
    summary="Returns the values of fields and sets or removes their expiration time.",
)
def hgetex(context: Context, args: Arguments) -> Reply:
    key, now = args[1], context.keyspace.clock.now_ms
    start = where_fields(args, 2)
    options = FieldOptions(args[2:start], words=frozenset({b"persist"}))
    fields = named_fields(args, start)
    found = read(context, key)
    at = options.moment(context, "hgetex")
    if found is None:
        return [None] * len(fields)
    values, codes, persisted = [], [], 0
    for field in fields:
        values.append(found.get(field))
        if at is not None and field in found:
            codes.append(let_go(found, field, at, now))
        elif b"persist" in options.given:
            persisted += found.persist(field)
    note_changes(context, key, found, codes)
    context.keyspace.edited(key, found, "hpersist", persisted)
    return values


@command(
    "HGETDEL",
    arity=-5,
    flags="write fast",
    keys=(1, 1, 1),
    access="RW access delete",
    group="hash",
    since="9.1.0",
    complexity="O(N) where N is the number of specified fields.",
    summary="Returns the values of fields and deletes them.",
)
def hgetdel(context: Context, args: Arguments) -> Reply:
    fields = named_fields(args, 2)
    found = peek(context, args[1])
    if found is None:
        return [None] * len(fields)
    values = []
    for field in fields:
        values.append(found.get(field))
        found.delete(field)
    context.keyspace.edited(args[1], found, "hdel", len(values) - values.count(None))
    return values


@command(
    "HSETEX",
    arity=-6,
    flags="write denyoom fast",
    keys=(1, 1, 1),
    access="RW update",
    group="hash",
    since="9.0.0",
    complexity="O(N) where N is the number of specified fields.",
    summary="Sets the values of fields, and their expiration time.",
)
def hsetex(context: Context, args: Arguments) -> Reply:
    key, now = args[1], context.keyspace.clock.now_ms
    start = where_fields(args, 2)
    options = FieldOptions(args[2:start], words=SET_WORDS)
    words = named_fields(args, start, 2)
    fields = words[::2]
    exists = context.keyspace.peek(key) is not None
    found = peek_or_new(context, key)
    if (b"nx" in options.given and exists) or (b"xx" in options.given and not exists):
        return 0
    at = options.moment(context, "hsetex")
    if b"fnx" in options.given and any(field in found for field in fields):
        return 0
    if b"fxx" in options.given and not all(field in found for field in fields):
        return 0
    if at is not None and at <= now:
        expire_at_once(context.keyspace, key, found, fields, exists=exists)
        return 1
    for field, value in zip(fields, words[1::2], strict=True):
        found.set(field, value)
        if b"keepttl" not in options.given:
            found.persist(field)
        if at is not None:
            found.expire(field, at)
    context.keyspace.edited(key, found, "hset", len(fields))
    if at is not None:
        context.keyspace.note(key, "hexpire")
    return 1


def expire_at_once(keyspace: Keyspace, key: bytes, found: Hash, fields: list[bytes], *, exists: bool) -> None:
    """Fields that are set with a time in the past: only told of, as by Valkey; what they held before goes."""
    deleted = sum(found.delete(field) for field in fields)
    for event in ("hset", "hexpire") if exists else ("new", "hset", "hexpire", "hexpired", "del"):
        keyspace.announce(key, event)
    if exists and not deleted:
        keyspace.announce(key, "hexpired")
    keyspace.edited(key, found, "hexpired", deleted)
