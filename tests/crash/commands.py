"""Random commands of one client on keys of its own: of all types, in two databases, alone and in transactions.

The keys named `v` may expire at any moment; only commands of one key are sent to those.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from crash.model import Words

DATABASES = 2
KEYS = 3
"""Of each type, in each database."""
SOON_MS = 400
FAR_MS = 10**9
TRANSACTIONS = 0.1
VOLATILE = 0.35


class Generator:
    """Makes what one client sends."""

    def __init__(self, random: Random, client: int) -> None:
        self.random = random
        self.prefix = b"c%d:" % client
        self.count = 0

    def step(self, now_ms: int) -> tuple[int, list[Words]]:
        """A database, and commands: those of a transaction if there are several."""
        random = self.random
        count = random.randrange(2, 6) if random.random() < TRANSACTIONS else 1
        commands = [self.command(now_ms) for _ in range(count)]
        if count > 1:
            commands = [command for command in commands if not command[0].startswith(b"BL")] or [self.string(b"s", 0)]
        return random.randrange(DATABASES), commands

    def command(self, now_ms: int) -> Words:
        volatile = self.random.random() < VOLATILE
        kind = self.random.choice(list(KINDS))
        if volatile:
            if self.random.random() < 0.3:
                return self.soon(kind, now_ms)
            return KINDS[kind](self, b"v" + kind, 0.0)
        if self.random.random() < 0.08:
            return self.far(kind, now_ms)
        return KINDS[kind](self, kind, 0.25)

    def key(self, kind: bytes) -> bytes:
        return b"%b%b%d" % (self.prefix, kind, self.random.randrange(KEYS))

    def text(self) -> bytes:
        """Never the same twice; short as a rule."""
        self.count += 1
        text = b"%d." % self.count
        chosen = self.random.random()
        return (
            text
            if chosen < 0.85
            else text + self.random.randbytes(self.random.randrange(300 if chosen < 0.99 else 30000))
        )

    def small(self) -> bytes:
        return b"%d" % self.random.randrange(-9, 40)

    def half(self) -> bytes:
        return b"%.1f" % (self.random.randrange(-9, 40) / 2)

    def pick(self, *choices: Words) -> Words:
        return self.random.choice(choices)

    def some(self, make: Callable[[], bytes]) -> Words:
        many = self.random.choice([1, 1, 2, 3, 5]) if self.random.random() < 0.97 else 150
        return [make() for _ in range(many)]

    # Expiry

    def soon(self, kind: bytes, now_ms: int) -> Words:
        key, ms = self.key(b"v" + kind), self.random.randrange(1, SOON_MS)
        if kind == b"s" and self.random.random() < 0.5:
            return [b"SET", key, self.text(), *self.pick([b"PX", b"%d" % ms], [b"PXAT", b"%d" % (now_ms + ms)])]
        return self.pick(
            [b"PEXPIRE", key, b"%d" % ms], [b"PEXPIREAT", key, b"%d" % (now_ms + ms)], [b"PEXPIRE", key, b"%d" % ms],
            [b"PERSIST", key],
        )  # fmt: skip

    def far(self, kind: bytes, now_ms: int) -> Words:
        key, ms = self.key(kind), FAR_MS + self.random.randrange(10**6)
        if kind == b"s" and self.random.random() < 0.3:
            return [b"SET", key, self.text(), *self.pick([b"PX", b"%d" % ms], [b"PXAT", b"%d" % (now_ms + ms)])]
        return self.pick([b"PEXPIRE", key, b"%d" % ms], [b"PEXPIREAT", key, b"%d" % (now_ms + ms)], [b"PERSIST", key])

    # The types

    def general(self, kind: bytes) -> Words:
        """What any type takes, of several keys."""
        key, other = self.key(kind), self.key(kind)
        database = b"%d" % self.random.randrange(DATABASES)
        return self.pick(
            [b"RENAME", key, other], [b"COPY", key, other, b"DB", database, b"REPLACE"], [b"MOVE", key, database]
        )

    def string(self, kind: bytes, several: float) -> Words:
        key = self.key(kind)
        if self.random.random() < several:
            return self.pick(
                self.general(kind), [b"MSET", *(word for _ in range(3) for word in (self.key(kind), self.text()))]
            )
        return self.pick(
            [b"SET", key, self.text()], [b"SET", key, self.text()], [b"SETNX", key, self.text()],
            [b"APPEND", key, self.text()], [b"SETRANGE", key, b"%d" % self.random.randrange(20), self.text()],
            [b"GETDEL", key], [b"GETSET", key, self.text()], [b"DEL", key],
        )  # fmt: skip

    def counter(self, kind: bytes, several: float) -> Words:
        key = self.key(kind)
        if self.random.random() < several:
            return self.general(kind)
        return self.pick([b"INCRBY", key, self.small()], [b"SET", key, self.small()], [b"DEL", key])

    def float_(self, kind: bytes, several: float) -> Words:
        key = self.key(kind)
        if self.random.random() < several:
            return self.general(kind)
        return self.pick([b"INCRBYFLOAT", key, self.half()], [b"INCRBYFLOAT", key, self.half()], [b"GETDEL", key])

    def list_(self, kind: bytes, several: float) -> Words:
        key, other = self.key(kind), self.key(kind)
        if self.random.random() < several:
            ends = self.random.choice([b"LEFT", b"RIGHT"]), self.random.choice([b"LEFT", b"RIGHT"])
            return self.pick(
                self.general(kind), [b"LMOVE", key, other, *ends], [b"BLPOP", key, other, b"0.001"],
                [b"BLMOVE", key, other, *ends, b"0.001"],
            )  # fmt: skip
        return self.pick(
            [b"RPUSH", key, *self.some(self.text)], [b"LPUSH", key, *self.some(self.text)],
            [b"RPUSHX", key, *self.some(self.small)], [b"RPUSH", key, *self.some(self.small)],
            [b"LPOP", key, b"%d" % self.random.randrange(1, 4)], [b"RPOP", key, b"%d" % self.random.randrange(1, 4)],
            [b"LSET", key, b"%d" % self.random.randrange(5), self.text()], [b"LREM", key, b"0", self.small()],
            [b"LTRIM", key, b"%d" % self.random.randrange(4), b"%d" % self.random.randrange(3, 40)],
        )  # fmt: skip

    def set_(self, kind: bytes, several: float) -> Words:
        key, other = self.key(kind), self.key(kind)
        if self.random.random() < several:
            return self.pick(
                self.general(kind), [b"SMOVE", key, other, self.small()], [b"SUNIONSTORE", key, other, self.key(kind)]
            )
        if several == 0:
            # Few members: a pop that was not answered may have taken any.
            few = [b"%d" % self.random.randrange(8) for _ in range(3)]
            return self.pick([b"SADD", key, *few], [b"SREM", key, *few[1:]], [b"SPOP", key])
        return self.pick(
            [b"SADD", key, *self.some(self.small)], [b"SREM", key, *self.some(self.small)], [b"DEL", key],
            [b"SADD", key, *self.some(self.half)],
        )  # fmt: skip

    def hash_(self, kind: bytes, several: float) -> Words:
        key = self.key(kind)
        if self.random.random() < several:
            return self.general(kind)
        return self.pick(
            [b"HSET", key, *(word for field in self.some(self.small) for word in (b"f" + field, self.text()))],
            [b"HDEL", key, *(b"f" + field for field in self.some(self.small))],
            [b"HINCRBY", key, b"n" + self.small(), self.small()],
            [b"HINCRBYFLOAT", key, b"x" + self.small(), self.half()], [b"UNLINK", key],
        )  # fmt: skip

    def sorted_set(self, kind: bytes, several: float) -> Words:
        key = self.key(kind)
        if self.random.random() < several:
            return self.general(kind)
        count = b"%d" % self.random.randrange(1, 4)
        return self.pick(
            [b"ZADD", key, *(word for member in set(self.some(self.small)) for word in (self.half(), member))],
            [b"ZREM", key, *self.some(self.small)], [b"ZINCRBY", key, self.half(), self.small()],
            [b"ZPOPMIN", key, count], [b"ZPOPMAX", key, count], [b"ZREMRANGEBYRANK", key, b"0", count],
        )  # fmt: skip


KINDS = {
    b"s": Generator.string, b"n": Generator.counter, b"x": Generator.float_, b"l": Generator.list_,
    b"t": Generator.set_, b"h": Generator.hash_, b"z": Generator.sorted_set,
}  # fmt: skip
