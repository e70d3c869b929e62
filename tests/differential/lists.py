"""Random commands of the list group. Elements are of such lengths that chunks of every limit fill, split and join."""

from __future__ import annotations

from generator import Arguments
from hashes import Collections
from values import BAD_INTEGERS, INTEGERS, NOISE

ELEMENTS = [
    b"a", b"b", b"c", b"a", b"b", b"c", b"", b"x" * 63, b"x" * 64, b"0", b"127", b"128", b"-1", b"4095", b"-4096",
    b"4096", b"32767", b"32768", b"-32769", b"8388607", b"8388608", b"2147483647", b"2147483648", b"01", b"-0",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"\xff\0",
]  # fmt: skip
LENGTHS = [500, 1000, 2000, 4000, 4083, 4089, 4090, 4095, 4096, 4097, 8000, 8184, 8185, 8191, 8192, 8193, 9000]
LIMITS = [b"-2", b"-2", b"-1", b"-3", b"1", b"2", b"3", b"5", b"128"]


class Lists(Collections):
    """Beside Valkey: Redis 7.0 has no list that is a listpack."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.makers = self.common | {
            self.push: 20, self.pop: 10, self.lrange: 6, self.lindex: 4, self.llen: 2, self.lset: 6, self.linsert: 8,
            self.lrem: 4, self.ltrim: 2, self.lpos: 6, self.lmove: 8, self.lmpop: 5, self.waiting: 4, self.limit: 1,
            self.fill: 2,
        }  # fmt: skip

    def spoiled(self, command: Arguments) -> Arguments:
        """What would wait for ever, set another element (see `lset`) or another directive is left as it is."""
        spared = (b"BLPOP", b"BRPOP", b"BLMOVE", b"BRPOPLPUSH", b"BLMPOP", b"LSET", b"CONFIG")
        return command if command[0] in spared else super().spoiled(command)

    def element(self) -> bytes:
        chosen = self.random.random()
        if chosen < 0.85:
            return self.pick(ELEMENTS)
        return b"x" * (self.random.choice(LENGTHS) if chosen < 0.95 else self.random.randint(0, 9000))

    def elements(self, *counts: int) -> Arguments:
        return [self.element() for _ in self.times(*counts)]

    def index(self) -> bytes:
        if self.chance(0.9):
            return b"%d" % self.random.randint(-12, 12)
        return self.pick(INTEGERS if self.chance(0.6) else BAD_INTEGERS)

    def where(self) -> bytes:
        return self.option(b"LEFT", b"RIGHT") if self.chance(0.96) else self.pick(NOISE)

    def timeout(self) -> bytes:
        """Not below 0 alone: within no transaction, a list that is not there would be waited for."""
        return self.pick([b"0.001", b"0.000001", b"0.0015", b"-1", b"nan", b"inf", b"1e300", b"x", b"", b"-0.5"])

    def push(self) -> Arguments:
        name = self.pick([b"LPUSH", b"RPUSH", b"LPUSH", b"RPUSH", b"LPUSHX", b"RPUSHX"])
        return [name, self.key(), *self.elements(1, 1, 1, 2, 3, 8)]

    def fill(self) -> Arguments:
        element = self.element()[:1000]
        count = self.random.choice([20, 60, 200, 700])
        return [self.pick([b"LPUSH", b"RPUSH"]), self.key(), *[element] * min(count, 40_000 // (len(element) + 5))]

    def pop(self) -> Arguments:
        counts: list[Arguments] = [[], [], [], [b"1"], [b"2"], [b"700"], [b"%d" % self.random.randint(0, 80)]]
        counts += [[self.index()], [self.pick(INTEGERS)], [b"1", b"1"]]
        return [self.pick([b"LPOP", b"RPOP"]), self.key(), *self.random.choice(counts)]

    def llen(self) -> Arguments:
        return [b"LLEN", self.key()]

    def lrange(self) -> Arguments:
        first, last = self.random.choice([(b"0", b"-1"), (self.index(), self.index())])
        return [b"LRANGE", self.key(), first, last]

    def lindex(self) -> Arguments:
        return [b"LINDEX", self.key(), self.index()]

    def lset(self) -> Arguments:
        """Not far beyond 32 bits, where Redis 7.2 sets another element than asked for."""
        index = self.index()
        return [b"LSET", self.key(), index if len(index) < 10 else b"2147483647", self.element()]

    def linsert(self) -> Arguments:
        where = self.option(b"BEFORE", b"AFTER") if self.chance(0.97) else self.pick(NOISE)
        return [b"LINSERT", self.key(), where, self.element(), self.element()]

    def lrem(self) -> Arguments:
        return [b"LREM", self.key(), self.index(), self.element()]

    def ltrim(self) -> Arguments:
        command = [b"LTRIM", self.key(), self.index(), self.index()]
        return command if self.chance(0.4) else [*command[:2], self.pick([b"0", b"1", b"2"]), b"-2"]

    def lpos(self) -> Arguments:
        command = [b"LPOS", self.key(), self.element()]
        for _ in self.times(0, 1, 1, 2, 3):
            command += [self.option(b"RANK", b"COUNT", b"MAXLEN"), self.index()]
        return command if self.chance(0.95) else [*command, self.pick(NOISE)]

    def lmove(self) -> Arguments:
        if self.chance(0.3):
            return [b"RPOPLPUSH", self.key(), self.key()]
        return [b"LMOVE", self.key(), self.key(), self.where(), self.where()]

    def several(self) -> Arguments:
        keys = self.some_keys(4)
        count = b"%d" % len(keys) if self.chance(0.9) else self.index()
        options = self.random.choice([[], [], [b"COUNT", b"3"], [b"count", self.index()], [b"COUNT"], [b"x", b"1"]])
        return [count, *keys, self.where(), *options]

    def lmpop(self) -> Arguments:
        return [b"LMPOP", *self.several()]

    def waiting(self) -> Arguments:
        match self.random.randrange(4):
            case 0:
                return [self.pick([b"BLPOP", b"BRPOP"]), *self.some_keys(3), self.timeout()]
            case 1:
                return [b"BRPOPLPUSH", self.key(), self.key(), self.timeout()]
            case 2:
                return [b"BLMOVE", self.key(), self.key(), self.where(), self.where(), self.timeout()]
            case _:
                return [b"BLMPOP", self.timeout(), *self.several()]

    def limit(self) -> Arguments:
        return [b"CONFIG", b"SET", b"list-max-listpack-size", self.pick(LIMITS)]
