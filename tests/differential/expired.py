"""Every command that takes keys, with each of its keys expired but not removed, gone, and of another type.

For each such case both servers must answer alike, tell the same events in the same order, and hold the same in the end.
A case has keys of its own, in one slot; so all of them wait for the same moment.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import dataclass
from typing import Any

from compare import Command, Peer, final_difference, first_difference
from persist.corpus import every_form

from ringkeeper import commands
from ringkeeper.commands.table import COMMANDS

GROUPS = {"string", "bitmap", "generic", "hash", "set", "list", "sorted_set"}
ALIVE, EXPIRED, GONE, OTHER_TYPE = "alive", "expired", "gone", "of another type"
LEAD_MS = 1000
"""From the first key that is made to the moment when they expire; doubled until it is enough."""
MARK = b"next"
"""A channel: where one case's events end."""
KEYS: dict[bytes, list[bytes]] = {
    b"s": [b"SET", b"KEY", b"12"],
    b"s2": [b"SET", b"KEY", b"foobar"],
    b"h": [b"HSET", b"KEY", b"f", b"1", b"g", b"x"],
    b"l": [b"RPUSH", b"KEY", b"b", b"a", b"c"],
    b"l2": [b"RPUSH", b"KEY", b"x"],
    b"u": [b"SADD", b"KEY", b"1", b"2", b"3"],
    b"u2": [b"SADD", b"KEY", b"2", b"3"],
    b"one": [b"SADD", b"KEY", b"2"],
    b"z": [b"ZADD", b"KEY", b"1", b"a", b"2", b"b", b"3", b"c"],
    b"z2": [b"ZADD", b"KEY", b"2", b"b", b"5", b"d"],
    b"d": [],
}
"""Words that are keys, and what makes them. There is no `d`."""
FORMS = """
SET s v | SET s v XX | SET s v NX | SET s v GET | SET s v KEEPTTL | SET s v EX 1000 | SET s v NX GET | SET s v EXAT 1
SETNX s v | SETEX s 1000 v | PSETEX s 1000000 v | GET s | GETDEL s | GETEX s | GETEX s PERSIST | GETEX s EX 1000
GETEX s EXAT 1 | GETSET s v | MGET s s2 l | MSET s v s2 w | MSETNX s v s2 w | MSETNX d v s w | APPEND s x | APPEND s ""
STRLEN s | SETRANGE s 1 x | SETRANGE s 0 "" | SETRANGE s 70 x | GETRANGE s 0 1 | SUBSTR s 0 1 | INCR s | DECR s
INCRBY s 5 | DECRBY s 5 | INCRBYFLOAT s 1.5 | INCR s2 | INCRBYFLOAT s2 nan | INCRBY s 9223372036854775807
LCS s s2 | LCS s s2 IDX | LCS s s2 LEN
SETBIT s 7 1 | SETBIT s 7 2 | GETBIT s 7 | BITCOUNT s | BITCOUNT s 0 1 BIT | BITPOS s 1 | BITPOS s 0 1 -1
BITOP AND d s s2 | BITOP OR s s2 s | BITOP XOR s2 s d | BITOP NOT s s2 | BITOP AND s d d
DEL s h l | UNLINK s u z | EXISTS s s h | TOUCH s l d | TYPE s | TYPE h | RENAME s s2 | RENAME s l | RENAME s s
RENAME d s | RENAMENX s s2 | RENAMENX s d | RENAMENX s s | COPY s s2 | COPY s s2 REPLACE | COPY s d | COPY l z REPLACE
COPY h d | COPY u d | COPY z d | COPY s s
MOVE s 1 | MOVE s 0 | OBJECT ENCODING s | OBJECT ENCODING z | OBJECT REFCOUNT s2 | OBJECT IDLETIME s | OBJECT FREQ s
EXPIRE s 1000 | EXPIRE s -1 | EXPIRE s 1000 NX | EXPIRE s 1000 XX | EXPIRE s 1000 GT | EXPIRE s 1000 LT
EXPIRE s 9223372036854775807 | PEXPIRE s 1000000 | EXPIREAT s 4102444800 | PEXPIREAT s 4102444800000 | PEXPIREAT s 1
TTL s | PTTL s | EXPIRETIME s | PEXPIRETIME s | PERSIST s | DUMP s | DUMP l
RESTORE s 0 x REPLACE | RESTORE d 0 x | RESTORE s 0 PAYLOAD | RESTORE s 0 PAYLOAD REPLACE | RESTORE d 0 PAYLOAD
RESTORE s 1 PAYLOAD REPLACE ABSTTL | RESTORE d 1 PAYLOAD ABSTTL | RESTORE s 4102444800000 PAYLOAD REPLACE ABSTTL
SORT l ALPHA | SORT u | SORT z ALPHA | SORT l ALPHA STORE d | SORT l ALPHA STORE s | SORT u STORE l | SORT l
SORT l ALPHA STORE l | SORT_RO l ALPHA | SORT l BY nosort STORE l2
HSET h f 2 | HSET h new v | HMSET h f 2 | HSETNX h f 2 | HSETNX h new 2 | HGET h f | HMGET h f g no | HGETALL h
HKEYS h | HVALS h | HLEN h | HSTRLEN h f | HEXISTS h f | HDEL h f | HDEL h f g | HDEL h no | HINCRBY h f 2
HINCRBY h g 2 | HINCRBY h f 9223372036854775807 | HINCRBYFLOAT h f 1.5 | HINCRBYFLOAT h f inf | HRANDFIELD h 9
HRANDFIELD h -9 | HRANDFIELD h 9 WITHVALUES | HSCAN h 0 COUNT 1000
HEXPIRE h 1000 FIELDS 1 f | HPEXPIRE h 1000000 NX FIELDS 2 f no | HEXPIREAT h 4102444800 FIELDS 1 f
HPEXPIREAT h 4102444800000 FIELDS 1 f | HEXPIREAT h 1 FIELDS 1 f | HPEXPIREAT h 1 FIELDS 2 f g | HTTL h FIELDS 1 f
HPTTL h FIELDS 1 no | HEXPIRETIME h FIELDS 1 f | HPEXPIRETIME h FIELDS 1 f | HPERSIST h FIELDS 1 f
HGETEX h FIELDS 1 f | HGETEX h EX 1000 FIELDS 1 f | HGETEX h PXAT 1 FIELDS 2 f g | HGETDEL h FIELDS 1 f
HGETDEL h FIELDS 2 f g | HSETEX h EX 1000 FIELDS 1 f v | HSETEX h FIELDS 1 f v | HSETEX h FNX FIELDS 1 f v
HSETEX h FXX FIELDS 1 f v | HSETEX h PXAT 1 FIELDS 1 f v | HSETEX h PXAT 1 FIELDS 2 f x g x
HSETEX h PXAT 1 FIELDS 2 no x LONG x | HSETEX h PXAT 1 FIELDS 1 LONG x
SADD u 1 9 | SADD u 1 | SADD u x | SREM u 1 | SREM u 1 2 3 | SREM u 9 | SISMEMBER u 1 | SMISMEMBER u 1 9 | SCARD u
SMEMBERS u | SMOVE u u2 1 | SMOVE u u2 2 | SMOVE u d 1 | SMOVE one u 2 | SMOVE u u 1 | SMOVE u u2 9 | SPOP u 9
SPOP one | SPOP u 0 | SPOP u -1 | SRANDMEMBER one | SRANDMEMBER u 9 | SRANDMEMBER u -9 | SSCAN u 0 COUNT 1000
SINTER u u2 | SUNION u u2 d | SDIFF u u2 | SDIFF u2 u | SINTERSTORE d u u2 | SINTERSTORE u u u2 | SUNIONSTORE d u u2
SUNIONSTORE s u u2 | SDIFFSTORE d u u2 | SDIFFSTORE u2 u2 u | SINTERCARD 2 u u2 | SINTERCARD 2 u u2 LIMIT 1
SINTERSTORE s u d | SUNIONSTORE s d
LPUSH l a b | RPUSH l a b | LPUSHX l a | RPUSHX l a | LPOP l | RPOP l | LPOP l 9 | RPOP l 2 | LPOP l 0 | LPOP l -1
LLEN l | LRANGE l 0 -1 | LINDEX l 0 | LPOS l a | LPOS l a COUNT 0 | LSET l 0 v | LSET l 9 v | LINSERT l BEFORE a x
LINSERT l AFTER no x | LREM l 0 a | LREM l -1 no | LREM l2 0 x | LTRIM l 0 0 | LTRIM l 5 9 | LTRIM l 0 -1
LMOVE l l2 LEFT RIGHT | LMOVE l l LEFT RIGHT | LMOVE l2 d LEFT RIGHT | LMOVE l s LEFT LEFT | RPOPLPUSH l l2
RPOPLPUSH l2 l | RPOPLPUSH l l | LMPOP 2 l l2 LEFT | LMPOP 2 d l RIGHT COUNT 2 | LMPOP 1 l LEFT COUNT 9
BLPOP l l2 0.001 | BLPOP d l 0.001 | BRPOP l l2 0.001 | BRPOP l2 0.001 | BLMPOP 0.001 2 l l2 LEFT COUNT 9
BLMOVE l l2 LEFT RIGHT 0.001 | BLMOVE l2 d LEFT RIGHT 0.001 | BRPOPLPUSH l l2 0.001 | BRPOPLPUSH l s 0.001
ZADD z 1 a | ZADD z 9 a | ZADD z XX 9 a | ZADD z NX 9 x | ZADD z GT 0 a | ZADD z LT CH 0 a | ZADD z INCR 1 a
ZADD z NX INCR 1 a | ZADD z nan x | ZADD z XX INCR 1 no | ZADD z inf a | ZINCRBY z 1 a | ZINCRBY z nan a | ZREM z a
ZREM z a b c | ZREM z no | ZCARD z | ZSCORE z a | ZMSCORE z a no | ZRANK z a | ZREVRANK z a | ZRANDMEMBER z 9
ZRANDMEMBER z -9 | ZRANDMEMBER z 9 WITHSCORES | ZSCAN z 0 COUNT 1000 | ZRANGE z 0 -1 WITHSCORES
ZRANGE z 0 9 BYSCORE LIMIT 0 1 | ZRANGE z - + BYLEX | ZREVRANGE z 0 -1 | ZRANGEBYSCORE z -inf +inf
ZREVRANGEBYSCORE z +inf -inf | ZRANGEBYLEX z - + | ZREVRANGEBYLEX z + - | ZRANGESTORE d z 0 -1 | ZRANGESTORE z z2 0 -1
ZRANGESTORE s z 5 9 | ZRANGESTORE z z 0 0 | ZCOUNT z 0 9 | ZLEXCOUNT z - + | ZREMRANGEBYRANK z 0 0
ZREMRANGEBYRANK z 0 -1 | ZREMRANGEBYRANK z 7 9 | ZREMRANGEBYSCORE z 0 1 | ZREMRANGEBYSCORE z -inf inf
ZREMRANGEBYSCORE z 7 9 | ZREMRANGEBYLEX z - + | ZREMRANGEBYLEX z (z + | ZPOPMIN z | ZPOPMAX z 9 | ZPOPMIN z 0
ZPOPMAX z -1 | ZPOPMIN z 2 | ZPOPMAX z | BZPOPMIN z z2 0.001 | BZPOPMAX d z2 0.001 | ZMPOP 2 z z2 MIN
ZMPOP 2 d z MAX COUNT 9 | BZMPOP 0.001 2 z z2 MAX COUNT 9 | ZUNION 2 z z2 | ZINTER 2 z z2 WITHSCORES | ZDIFF 2 z z2
ZUNION 2 z u WEIGHTS 2 1 | ZUNIONSTORE d 2 z z2 | ZUNIONSTORE z 2 z z2 | ZUNIONSTORE s 2 z u | ZINTERSTORE d 2 z z2
ZINTERSTORE z2 2 z z2 AGGREGATE MAX | ZINTERSTORE s 2 z d | ZDIFFSTORE d 2 z z2 | ZDIFFSTORE z 2 z z2
ZDIFFSTORE s 2 z2 z2 | ZINTERCARD 2 z z2 | ZINTERCARD 2 z z2 LIMIT 1 | ZUNIONSTORE z 1 d
"""
PAYLOAD = next(example.payload for example in every_form() if isinstance(example.holds, bytes))
LONG_WORDS = {"PAYLOAD": PAYLOAD, "LONG": b"x" * 80}
OURS_ALONE = {"object|created"}
PAST = {b"SET s v EXAT 1", b"GETEX s EXAT 1", b"EXPIRE s -1", b"PEXPIREAT s 1"}
"""Of which Valkey tells that the key expired; Redis and we, what was done to it."""


@dataclass(frozen=True, slots=True)
class Case:
    number: int
    words: Command
    states: dict[bytes, str]
    """Of each key in `words`."""

    def name(self, key: bytes) -> bytes:
        return b"{%d}%b" % (self.number, key)

    def command(self) -> Command:
        return [self.words[0], *(self.name(word) if word in KEYS else word for word in self.words[1:])]

    def preparation(self, moment_ms: int) -> list[Command]:
        made = []
        for key, state in self.states.items():
            making = KEYS[b"h" if state == OTHER_TYPE and key != b"h" else b"l" if state == OTHER_TYPE else key]
            if making and state != GONE:
                made.append([making[0], self.name(key), *making[2:]])
                if state == EXPIRED:
                    made.append([b"PEXPIREAT", self.name(key), b"%d" % moment_ms])
        return made

    def __str__(self) -> str:
        states = ", ".join(f"{key.decode()} {state}" for key, state in self.states.items())
        return f"{b' '.join(self.words)!r} ({states})"


def forms() -> list[Command]:
    """All of `FORMS`, as words; those in quotes as in Python."""
    lines = " | ".join(FORMS.strip().splitlines())
    return [[read(word) for word in form.split()] for form in lines.split(" | ")]


def read(word: str) -> bytes:
    if word in LONG_WORDS:
        return LONG_WORDS[word]
    return word.strip('"').encode().decode("unicode_escape").encode("latin-1")


def cases(known: set[bytes]) -> list[Case]:
    """Every form of the commands that are known: with all keys alive, and each key in every other state."""
    made = []
    numbers = itertools.count()
    for words in forms():
        if words[0].lower() in known:
            keys = dict.fromkeys(word for word in words[1:] if word in KEYS)
            plain = dict.fromkeys(keys, ALIVE)
            every = dict.fromkeys(keys, EXPIRED)
            each = [plain | {key: state} for key in keys if KEYS[key] for state in (EXPIRED, GONE, OTHER_TYPE)]
            unlike = [states for states in [plain, every, *each] if states]
            made += [Case(next(numbers), words, states) for i, states in enumerate(unlike) if states not in unlike[:i]]
    return made


def not_covered() -> set[str]:
    """Commands of the groups that take keys, but that no form shows."""
    commands.load()
    every = [each for entry in COMMANDS.values() for each in (entry, *entry.subcommands.values())]
    with_keys = {each.name for each in every if each.group in GROUPS and (each.key_specs or each.find_keys)}
    shown = {b"|".join(words[: 2 if words[0] == b"OBJECT" else 1]).decode().lower() for words in forms()}
    return with_keys - shown - OURS_ALONE


class Side:
    """A server, and one who listens to all of its events."""

    def __init__(self, port: int, protocol: int) -> None:
        self.peer = Peer(port, protocol)
        self.peer.run([[b"FLUSHALL"], [b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"]])
        self.peer.run([[b"CONFIG", b"SET", b"notify-keyspace-events", b"KEAnm"]])
        self.listener = Peer(port, 2)

    def prepare(self, every: list[Case], moment_ms: int) -> None:
        self.peer.run([command for case in every for command in case.preparation(moment_ms)])

    def now_ms(self) -> int:
        seconds, microseconds = self.peer.run([[b"TIME"]])[0]
        return int(seconds) * 1000 + int(microseconds) // 1000

    def run(self, every: list[Case]) -> tuple[list[Any], list[list[Any]]]:
        """Replies and events, by case."""
        self.listener.run([[b"PSUBSCRIBE", b"__key*"]])
        self.listener.run([[b"SUBSCRIBE", MARK]])
        batch = [command for case in every for command in (case.command(), [b"PUBLISH", MARK, b""])]
        replies = self.peer.run(batch)[::2]
        return replies, [self.events() for _ in every]

    def events(self) -> list[Any]:
        told: list[Any] = []
        while (message := self.listener.next([b"PSUBSCRIBE"]))[1] != MARK:
            told.append(message[2:])
        return told

    def close(self) -> None:
        self.peer.run([[b"CONFIG", b"SET", b"notify-keyspace-events", b""], [b"FLUSHALL"]])
        self.peer.close()
        self.listener.close()


def prepared(sides: list[Side], every: list[Case]) -> None:
    """Until the keys that shall be expired are; before that, all were made."""
    lead_ms = LEAD_MS
    while True:
        moment_ms = max(side.now_ms() for side in sides) + lead_ms
        for side in sides:
            side.peer.run([[b"FLUSHALL"]])
            side.prepare(every, moment_ms)
        if all(side.now_ms() < moment_ms for side in sides):
            break
        lead_ms *= 2
    while any(side.now_ms() <= moment_ms for side in sides):
        time.sleep(0.001)


def differences(peer: str, ports: tuple[int, int], protocol: int) -> list[str]:
    """What two servers, theirs first, do otherwise."""
    with contextlib.ExitStack() as stack:
        sides = [stack.enter_context(contextlib.closing(Side(port, protocol))) for port in ports]
        names = sides[0].peer.run([[b"COMMAND", b"LIST"]])[0]
        every = cases(set(names))
        prepared(sides, every)
        (theirs, their_events), (ours, our_events) = (side.run(every) for side in sides)
        found = []
        for case, a, b, c, d in zip(every, theirs, ours, their_events, our_events, strict=True):
            if difference := first_difference(peer, [case.command()], [a], [b]):
                found.append(f"{case}: {difference}")
            if c != d and not (peer == "valkey" and b" ".join(case.words) in PAST):
                found.append(f"{case}: tells\n  Redis {c}\n  ours  {d}")
        if end := final_difference(peer, sides[0].peer, sides[1].peer):
            found.append(f"{every[number_of(end.command)]}: leaves {end}")
        return found


def number_of(command: Command) -> int:
    return next((int(word[1 : word.index(b"}")]) for word in command if word.startswith(b"{")), 0)
