"""What commands do to one key, as simply as it can be said: the crash tests compare a restarted server with this.

A value is bytes, a tuple (list), a frozenset, or a dict: of bytes (hash) or of floats (sorted set). Nothing is ever
changed in place. Scores and floats are multiples of a half, so that every server prints them alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ringkeeper.resp.values import Simple

Value = Any
"""None where there is no key."""
Words = list[bytes]
ERROR = object()
"""Stands for any error reply."""
OK = Simple(b"OK")
Outcome = tuple[Value, Any]
"""What the key holds then, and the reply."""


def number(value: float) -> bytes:
    return b"%d" % value if value == int(value) else b"%.1f" % value


def kept(value: Value) -> Value:
    """A collection without elements is none."""
    return value if value or isinstance(value, bytes) else None


# Strings


def set_(_: Value, words: Words) -> Outcome:
    return words[0], OK


def setnx(value: Value, words: Words) -> Outcome:
    return (words[0], 1) if value is None else (value, 0)


def append(value: Value, words: Words) -> Outcome:
    text = (value or b"") + words[0]
    return text, len(text)


def setrange(value: Value, words: Words) -> Outcome:
    at, text = int(words[0]), value or b""
    text = text[:at].ljust(at, b"\0") + words[1] + text[at + len(words[1]) :]
    return text, len(text)


def incrby(value: Value, words: Words) -> Outcome:
    total = int(value or 0) + int(words[0])
    return b"%d" % total, total


def incrbyfloat(value: Value, words: Words) -> Outcome:
    text = number(float(value or 0) + float(words[0]))
    return text, text


def getdel(value: Value, _: Words) -> Outcome:
    return None, value


def getset(value: Value, words: Words) -> Outcome:
    return words[0], value


def delete(value: Value, _: Words) -> Outcome:
    return None, int(value is not None)


# Lists


def rpush(value: Value, words: Words) -> Outcome:
    items = (value or ()) + tuple(words)
    return items, len(items)


def lpush(value: Value, words: Words) -> Outcome:
    items = tuple(reversed(words)) + (value or ())
    return items, len(items)


def rpushx(value: Value, words: Words) -> Outcome:
    return rpush(value, words) if value else (None, 0)


def lpop(value: Value, words: Words) -> Outcome:
    count = int(words[0])
    return (kept(value[count:]), list(value[:count])) if value else (None, None)


def rpop(value: Value, words: Words) -> Outcome:
    count = int(words[0])
    return (kept(value[:-count]), list(reversed(value))[:count]) if value else (None, None)


def lset(value: Value, words: Words) -> Outcome:
    at = int(words[0])
    if not value or at >= len(value):
        return value, ERROR
    return (*value[:at], words[1], *value[at + 1 :]), OK


def ltrim(value: Value, words: Words) -> Outcome:
    return kept((value or ())[int(words[0]) : int(words[1]) + 1]), OK


def lrem(value: Value, words: Words) -> Outcome:
    assert words[0] == b"0"
    rest = tuple(item for item in value or () if item != words[1])
    return kept(rest), len(value or ()) - len(rest)


# Sets


def sadd(value: Value, words: Words) -> Outcome:
    members = (value or frozenset()) | set(words)
    return members, len(members) - len(value or ())


def srem(value: Value, words: Words) -> Outcome:
    members = (value or frozenset()) - set(words)
    return kept(members), len(value or ()) - len(members)


# Hashes


def hset(value: Value, words: Words) -> Outcome:
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    fields = (value or {}) | pairs
    return fields, len(fields) - len(value or {})


def hdel(value: Value, words: Words) -> Outcome:
    fields = {field: text for field, text in (value or {}).items() if field not in words}
    return kept(fields), len(value or {}) - len(fields)


def hincrby(value: Value, words: Words) -> Outcome:
    total = int((value or {}).get(words[0], 0)) + int(words[1])
    return (value or {}) | {words[0]: b"%d" % total}, total


def hincrbyfloat(value: Value, words: Words) -> Outcome:
    text = number(float((value or {}).get(words[0], 0)) + float(words[1]))
    return (value or {}) | {words[0]: text}, text


# Sorted sets


def zadd(value: Value, words: Words) -> Outcome:
    members = (value or {}) | {member: float(score) for score, member in zip(words[::2], words[1::2], strict=True)}
    return members, len(members) - len(value or {})


def zrem(value: Value, words: Words) -> Outcome:
    members = {member: score for member, score in (value or {}).items() if member not in words}
    return kept(members), len(value or {}) - len(members)


def zincrby(value: Value, words: Words) -> Outcome:
    score = (value or {}).get(words[1], 0.0) + float(words[0])
    return (value or {}) | {words[1]: score}, number(score)


def in_order(value: Value) -> list[bytes]:
    return sorted(value or {}, key=lambda member: (value[member], member))


def popped(value: Value, members: list[bytes]) -> Outcome:
    reply = [text for member in members for text in (member, number(value[member]))]
    return zrem(value, members)[0], reply


def zpopmin(value: Value, words: Words) -> Outcome:
    return popped(value, in_order(value)[: int(words[0])])


def zpopmax(value: Value, words: Words) -> Outcome:
    return popped(value, in_order(value)[::-1][: int(words[0])])


def zremrangebyrank(value: Value, words: Words) -> Outcome:
    return zrem(value, in_order(value)[int(words[0]) : int(words[1]) + 1])


COMMANDS: dict[bytes, Callable[[Value, Words], Outcome]] = {
    b"SET": set_, b"SETNX": setnx, b"APPEND": append, b"SETRANGE": setrange, b"INCRBY": incrby,
    b"INCRBYFLOAT": incrbyfloat, b"GETDEL": getdel, b"GETSET": getset, b"DEL": delete, b"UNLINK": delete,
    b"RPUSH": rpush, b"LPUSH": lpush, b"RPUSHX": rpushx, b"LPOP": lpop, b"RPOP": rpop, b"LSET": lset,
    b"LTRIM": ltrim, b"LREM": lrem, b"SADD": sadd, b"SREM": srem, b"HSET": hset, b"HDEL": hdel,
    b"HINCRBY": hincrby, b"HINCRBYFLOAT": hincrbyfloat, b"ZADD": zadd, b"ZREM": zrem, b"ZINCRBY": zincrby,
    b"ZPOPMIN": zpopmin, b"ZPOPMAX": zpopmax, b"ZREMRANGEBYRANK": zremrangebyrank,
}  # fmt: skip
"""Each is told the value and the words behind the key."""
FORGET_EXPIRY = {b"SET", b"GETSET"}
