"""Random commands of the hash and set groups."""

from __future__ import annotations

from generator import Arguments, Generator
from values import NOISE

COUNTS = [
    b"0", b"1000", b"x", b"5000", b"", b"-3", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
    b"-9223372036854775809", b"4611686018427387903", b"4611686018427387904",
]  # fmt: skip
"""How many members to choose: all, or a few of them again and again. A huge number of repeats would never end."""
FIELDS = [b"f", b"g", b"1", b"2", b"", b"\xff", b"long" * 20, b"caf\xc3\xa9", b"7", b"-3", b"9223372036854775807"]


class Collections(Generator):
    """What the groups of one type have in common: other commands that meet their keys."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.keys = self.keys[:5]
        self.common = {
            self.rename: 2, self.copy: 3, self.move: 1, self.expire: 2, self.object: 6, self.select: 1,
            self.string: 3, self.get: 1, self.drop: 3, self.whole: 1,
        }  # fmt: skip
        self.makers = self.common

    def string(self) -> Arguments:
        """Of the wrong type for the others."""
        return [self.pick([b"SET", b"SETNX", b"GETSET"]), self.key(), b"12"]

    def get(self) -> Arguments:
        return [self.pick([b"GET", b"TYPE", b"TTL", b"STRLEN", b"INCR"]), self.key()]

    def drop(self) -> Arguments:
        return [self.pick([b"DEL", b"EXISTS", b"UNLINK"]), *self.some_keys(2)]

    def object(self) -> Arguments:
        return [b"OBJECT", b"ENCODING", self.key()]

    def member(self) -> bytes:
        return self.pick(FIELDS) if self.chance(0.8) else b"m%d" % self.random.randint(0, 600)

    def members(self) -> Arguments:
        many = self.random.choice([1, 1, 1, 2, 3]) if self.chance(0.995) else 150
        return [self.member() for _ in range(many)] if many < 100 else [b"%d" % i for i in range(many)]

    def pattern_or_count(self) -> Arguments:
        words: Arguments = [b"COUNT", b"1000"]
        if self.chance(0.3):
            words += [b"MATCH", self.pattern()]
        if self.chance(0.05):
            words += [b"COUNT", self.pick([b"0", b"-1", b"x", b"", b"9223372036854775808"])]
        return words if self.chance(0.95) else [*words, self.pick(NOISE)]


class Hashes(Collections):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.makers = self.common | {
            self.hset: 16, self.hget: 12, self.hdel: 6, self.whole_hash: 6, self.hincr: 8, self.hscan: 3,
            self.hrandfield: 3,
        }  # fmt: skip

    def hset(self) -> Arguments:
        name = self.pick([b"HSET", b"HSET", b"HMSET", b"HSETNX"])
        fields = self.members()[: 1 if name == b"HSETNX" else None]
        return [name, self.key(), *(word for field in fields for word in (field, self.value()[:200]))]

    def hget(self) -> Arguments:
        name = self.pick([b"HGET", b"HMGET", b"HEXISTS", b"HSTRLEN"])
        return [name, self.key(), *(self.members() if name == b"HMGET" else [self.member()])]

    def hdel(self) -> Arguments:
        return [b"HDEL", self.key(), *self.members()]

    def whole_hash(self) -> Arguments:
        return [self.pick([b"HGETALL", b"HKEYS", b"HVALS", b"HLEN"]), self.key()]

    def hincr(self) -> Arguments:
        if self.chance(0.5):
            return [b"HINCRBY", self.key(), self.member(), self.integer()]
        return [b"HINCRBYFLOAT", self.key(), self.member(), self.number()]

    def hscan(self) -> Arguments:
        return [b"HSCAN", self.key(), b"0", *self.pattern_or_count()]

    def hrandfield(self) -> Arguments:
        command = [b"HRANDFIELD", self.key()]
        if self.chance(0.7):
            command.append(self.pick(COUNTS))
            if self.chance(0.4):
                command.append(self.option(b"WITHVALUES", b"WITHVALUE"))
        return command


class HashExpiry(Hashes):
    """Beside Valkey alone."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.makers = {
            self.hset: 8, self.hget: 4, self.hdel: 3, self.whole_hash: 4, self.hincr: 4, self.hexpire: 10,
            self.httl: 8, self.hgetex: 6, self.hsetex: 8, self.hgetdel: 2, self.rename: 1, self.drop: 1,
            self.object: 2,
        }  # fmt: skip

    def spoiled(self, command: Arguments) -> Arguments:
        """Where Valkey looks for the word FIELDS in disorder is its own business."""
        return command

    def fields(self) -> Arguments:
        fields = self.members()[:4]
        count = b"%d" % len(fields) if self.chance(0.95) else self.integer()
        return [self.option(b"FIELDS"), count, *fields]

    def hexpire(self) -> Arguments:
        name = self.pick([b"HEXPIRE", b"HPEXPIRE", b"HEXPIREAT", b"HPEXPIREAT"])
        time = self.time_for(name[1:])
        options = [self.option(b"NX", b"XX", b"GT", b"LT") for _ in self.times(0, 0, 0, 1, 1, 2)]
        return [name, self.key(), time, *options, *self.fields()]

    def httl(self) -> Arguments:
        names = [b"HTTL", b"HPTTL", b"HEXPIRETIME", b"HPEXPIRETIME", b"HPERSIST"]
        return [self.pick(names), self.key(), *self.fields()]

    def hgetex(self) -> Arguments:
        options = self.random.choice([[], [b"PERSIST"], self.timed_option(), self.timed_option(), [b"EX"]])
        return [b"HGETEX", self.key(), *options, *self.fields()]

    def hgetdel(self) -> Arguments:
        return [b"HGETDEL", self.key(), *self.fields()]

    def hsetex(self) -> Arguments:
        command = [b"HSETEX", self.key()]
        for _ in self.times(0, 1, 1, 2):
            command += self.random.choice(
                [self.timed_option(), self.timed_option(), [self.option(b"NX", b"XX", b"FNX", b"FXX", b"KEEPTTL")]]
            )
        fields = self.members()[:3]
        words = [word for field in fields for word in (field, self.value()[:100])]
        return [*command, b"FIELDS", b"%d" % len(fields), *words]


class Sets(Collections):
    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.makers = self.common | {
            self.sadd: 16, self.srem: 6, self.ask: 8, self.combine: 8, self.combine_store: 5, self.sintercard: 4,
            self.smove: 3, self.spop: 3, self.sscan: 3,
        }  # fmt: skip

    def spoiled(self, command: Arguments) -> Arguments:
        """SPOP without a count takes any member, and the two would part there; cursors are each server's own."""
        return command if command[0] in (b"SPOP", b"SSCAN") else super().spoiled(command)

    def sadd(self) -> Arguments:
        return [b"SADD", self.key(), *self.members()]

    def srem(self) -> Arguments:
        return [b"SREM", self.key(), *self.members()]

    def ask(self) -> Arguments:
        name = self.pick([b"SISMEMBER", b"SMISMEMBER", b"SCARD", b"SMEMBERS"])
        if name in (b"SCARD", b"SMEMBERS"):
            return [name, self.key()]
        return [name, self.key(), *(self.members()[:3] if name == b"SMISMEMBER" else [self.member()])]

    def combine(self) -> Arguments:
        return [self.pick([b"SINTER", b"SUNION", b"SDIFF"]), *self.some_keys(4)]

    def combine_store(self) -> Arguments:
        return [self.pick([b"SINTERSTORE", b"SUNIONSTORE", b"SDIFFSTORE"]), self.key(), *self.some_keys(3)]

    def sintercard(self) -> Arguments:
        keys = self.some_keys(3)
        count = b"%d" % len(keys) if self.chance(0.9) else self.integer()
        options = self.random.choice([[], [b"LIMIT", self.integer()], [b"LIMIT"], [self.pick(NOISE)]])
        return [b"SINTERCARD", count, *keys, *options]

    def smove(self) -> Arguments:
        return [b"SMOVE", self.key(), self.key(), self.member()]

    def spop(self) -> Arguments:
        name = self.pick([b"SPOP", b"SRANDMEMBER"])
        return [name, self.key(), self.pick(COUNTS)]

    def sscan(self) -> Arguments:
        return [b"SSCAN", self.key(), b"0", *self.pattern_or_count()]
