"""Random commands of the string, bitmap, generic and expiry groups, with a liking for the edges. Deterministic by seed.

Nothing depends on how long a run takes: expiries are absolute or far away, no two relative ones near each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from values import BAD_INTEGERS, FLOATS, INTEGERS, KEYS, NOISE, PATTERNS, VALUES

Arguments = list[bytes]

SECONDS, MILLISECONDS = 1000, 1
SOON = 10**5
"""Relative expiries are no shorter, in whatever unit: none comes while a run lasts. Smaller numbers have ≤ 5 digits."""


class Generator:
    """Commands on a few of `KEYS`. `connection` adds those that need a session behind them."""

    def __init__(self, seed: int, *, connection: bool = False) -> None:
        self.random = random.Random(seed)
        self.made = 0
        self.keys = self.random.sample(KEYS, self.random.choice([2, 4, 6, len(KEYS)]))
        self.makers: dict[Callable[[], Arguments], int] = {
            self.set: 16, self.setex: 4, self.getex: 6, self.read: 8, self.replace: 6, self.many: 8, self.append: 5,
            self.setrange: 5, self.getrange: 6, self.increment: 9, self.incrbyfloat: 8, self.lcs: 4, self.setbit: 5,
            self.getbit: 4, self.bitcount: 5, self.bitpos: 6, self.bitop: 5, self.rename: 5, self.copy: 4, self.move: 2,
            self.listing: 3, self.scan: 4, self.whole: 3, self.object: 4, self.expire: 10, self.swapdb: 1,
            self.select: 1, self.unknown: 2,
        }  # fmt: skip
        if connection:
            self.makers[self.session] = 3

    def in_cluster(self) -> None:
        """Most keys in one slot, some in another, some in whichever."""
        self.keys = [self.pick([b"{t}", b"{t}", b"{t}", b"{t}", b"{u}", b""]) + key for key in self.keys]

    def command(self) -> Arguments:
        self.made += 1
        command = self.random.choices(list(self.makers), list(self.makers.values()))[0]()
        if self.chance(0.035):
            command = [self.not_soon(word) for word in self.spoiled(command)]
        command[0] = self.cased(command[0])
        return command

    def spoiled(self, command: Arguments) -> Arguments:
        """Cut short, with a word too many, too few, or out of place. Its name stays."""
        at = self.random.randint(1, len(command))
        match self.random.randrange(4):
            case 0:
                return command[:at]
            case 1:
                return [*command[:at], self.pick((self.value(), self.pick(NOISE))), *command[at:]]
            case 2:
                return command[:at] + command[at + 1 :]
            case _:
                words = command[1:]
                self.random.shuffle(words)
                return [command[0], *words]

    def not_soon(self, word: bytes) -> bytes:
        """A small number might have become a time to live, and its end would race with the run."""
        return b"-7" if len(word) <= 5 and word.isdigit() and int(word) else word

    # Words

    def pick(self, choices: Sequence[bytes]) -> bytes:
        return self.random.choice(choices)

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def times(self, *counts: int) -> range:
        return range(self.random.choice(counts))

    def key(self) -> bytes:
        return self.pick(self.keys)

    def some_keys(self, most: int) -> Arguments:
        return [self.key() for _ in range(self.random.randint(1, most))]

    def cased(self, word: bytes) -> bytes:
        if self.chance(0.6):
            return word
        if self.chance(0.7):
            return word.lower()
        return bytes(byte ^ self.pick(b"\0 ") if 65 <= byte <= 90 else byte for byte in word)  # type: ignore[operator]

    def option(self, *words: bytes) -> bytes:
        """In any case; at times with more behind a NUL, where C no longer looks."""
        word = self.cased(self.pick(words))
        return word + b"\0z" if self.chance(0.02) else word

    def integer(self) -> bytes:
        chosen = self.random.random()
        if chosen < 0.55:
            return b"%d" % self.random.randint(-12, 12)
        if chosen < 0.65:
            return b"%d" % self.random.randint(-(10 ** self.random.randint(1, 19)), 10 ** self.random.randint(1, 19))
        return self.pick(INTEGERS if chosen < 0.93 else BAD_INTEGERS)

    def number(self) -> bytes:
        chosen, digits, unit = self.random.random(), self.random.randint(0, 20), self.random.uniform(-1, 1)
        if chosen < 0.5:
            return self.pick(FLOATS)
        if chosen < 0.7:
            return b"%.*f" % (digits, unit * 10.0 ** self.random.randint(-10, 25))
        if chosen < 0.8:
            return b"%.*e" % (digits, unit * 10.0 ** self.random.randint(-30, 30))
        return self.integer()

    def value(self) -> bytes:
        chosen = self.random.random()
        if chosen < 0.35:
            return self.integer()
        if chosen < 0.45:
            return self.number()
        if chosen < 0.55:
            return self.random.randbytes(self.random.randint(0, 60))
        return self.pick(VALUES)

    def pattern(self) -> bytes:
        if self.chance(0.7):
            return self.pick(PATTERNS)
        pattern = bytearray(self.key()[:12])
        for _ in self.times(0, 1, 2, 3):
            at = self.random.randint(0, len(pattern))
            piece = self.pick([b"*", b"?", b"[", b"]", b"^", b"-", b"\\", b"[a-z]", b"[^a]", b"**"])
            pattern[at : at + self.random.randint(0, 2)] = piece
        return bytes(pattern)

    def database(self) -> bytes:
        return self.pick([b"0", b"1", b"0", b"1", b"2", b"15", b"16", b"-1", self.integer()])

    def bit_offset(self) -> bytes:
        return self.pick(
            [b"%d" % self.random.randint(0, 30), b"%d" % self.random.randint(0, 400), b"-1", b"4294967296",
             b"%d" % self.random.randint(0, 20_000), b"34359738368", b"9223372036854775807", self.pick(BAD_INTEGERS)]
        )  # fmt: skip

    def relative(self, unit: int) -> bytes:
        """Apart from those that are refused, never the same twice within a thousand commands, whatever was drawn: GT
        and LT would compare moments."""
        chosen = self.random.random()
        if chosen < 0.07:
            return self.pick(BAD_INTEGERS)
        if chosen < 0.16:
            edges = [b"9223372036854775", b"9223372036854776", b"-9223372036854775", b"-9223372036854776"]
            return self.pick([word for word in [*INTEGERS, *edges] if not 0 < int(word) < 2**40])
        if chosen < 0.3:
            return b"%d" % self.random.randint(-100_000, -1)
        return b"%d" % ((self.random.randint(SOON // 1000, 10**6) * 1000 + self.made % 1000) * (SECONDS // unit))

    def absolute(self, unit: int) -> bytes:
        """Not within half a second of 2**63 ms, where Redis's EXPIRETIME overflows."""
        chosen = self.random.random()
        if chosen < 0.07:
            return self.pick(BAD_INTEGERS)
        if chosen < 0.16:
            return self.pick([word for word in INTEGERS if not word.startswith(b"922337203685477580")])
        if chosen < 0.3:
            return b"%d" % (self.random.randint(1, 10**9) * (SECONDS // unit))
        far = self.random.choice([4_102_444_800, 5_000_000_000, 6_000_000_000, 32_503_680_000])
        return b"%d" % (far * (SECONDS // unit))

    def timed_option(self) -> Arguments:
        name = self.pick([b"EX", b"PX", b"EXAT", b"PXAT"])
        return [self.option(name), self.time_for(name)]

    def time_for(self, name: bytes) -> bytes:
        unit = MILLISECONDS if name.startswith(b"P") else SECONDS
        return self.absolute(unit) if name.endswith(b"AT") else self.relative(unit)

    # Strings

    def set(self) -> Arguments:
        command = [b"SET", self.key(), self.value()]
        for _ in self.times(0, 0, 0, 1, 1, 2, 2, 3):
            chosen = self.random.random()
            if chosen < 0.35:
                command += self.timed_option()
            elif chosen < 0.9:
                command.append(self.option(b"NX", b"XX", b"GET", b"KEEPTTL"))
            else:
                command.append(self.pick([self.option(b"PERSIST", b"EX", b"PXAT"), self.pick(NOISE)]))
        return command

    def setex(self) -> Arguments:
        name = self.pick([b"SETEX", b"PSETEX"])
        return [name, self.key(), self.time_for(name), self.value()]

    def getex(self) -> Arguments:
        command = [b"GETEX", self.key()]
        for _ in self.times(0, 1, 1, 1, 2):
            chosen = self.random.random()
            if chosen < 0.7:
                command += self.timed_option()
            else:
                command.append(self.option(b"PERSIST") if chosen < 0.9 else self.pick(NOISE))
        return command

    def read(self) -> Arguments:
        names = [b"GET", b"GET", b"GET", b"STRLEN", b"TYPE", b"TTL", b"PTTL", b"EXPIRETIME", b"PEXPIRETIME"]
        return [self.pick(names), self.key()]

    def replace(self) -> Arguments:
        name = self.pick([b"SETNX", b"GETSET", b"GETDEL", b"PERSIST"])
        return [name, self.key(), self.value()] if name in (b"SETNX", b"GETSET") else [name, self.key()]

    def many(self) -> Arguments:
        name = self.pick([b"MSET", b"MSETNX", b"MGET", b"DEL", b"UNLINK", b"EXISTS", b"TOUCH"])
        keys = self.some_keys(4)
        if name in (b"MSET", b"MSETNX"):
            return [name, *(word for key in keys for word in (key, self.value()))]
        return [name, *keys]

    def append(self) -> Arguments:
        return [b"APPEND", self.key(), self.value()]

    def setrange(self) -> Arguments:
        offsets = [b"%d" % self.random.randint(0, 60), b"%d" % self.random.randint(0, 3_000), b"-1", b"536870912"]
        offsets += [b"536870911000", b"4294967295", b"9223372036854775807", self.pick([*BAD_INTEGERS, *INTEGERS[-5:]])]
        return [b"SETRANGE", self.key(), self.pick(offsets), self.value() if self.chance(0.8) else b""]

    def getrange(self) -> Arguments:
        return [self.pick([b"GETRANGE", b"SUBSTR"]), self.key(), self.integer(), self.integer()]

    def increment(self) -> Arguments:
        name = self.pick([b"INCR", b"DECR", b"INCRBY", b"DECRBY"])
        return [name, self.key(), self.integer()] if name.endswith(b"BY") else [name, self.key()]

    def incrbyfloat(self) -> Arguments:
        return [b"INCRBYFLOAT", self.key(), self.number()]

    def lcs(self) -> Arguments:
        command = [b"LCS", self.key(), self.key()]
        for _ in self.times(0, 0, 1, 1, 2, 3):
            name = self.pick([b"LEN", b"IDX", b"IDX", b"WITHMATCHLEN", b"MINMATCHLEN", b"MINMATCHLEN"])
            command.append(self.option(name))
            if name == b"MINMATCHLEN" and self.chance(0.95):
                command.append(self.integer())
            if self.chance(0.03):
                command.append(self.pick(NOISE))
        return command

    # Bitmaps

    def setbit(self) -> Arguments:
        return [b"SETBIT", self.key(), self.bit_offset(), self.pick([b"0", b"1", b"0", b"1", self.integer()])]

    def getbit(self) -> Arguments:
        return [b"GETBIT", self.key(), self.pick([self.bit_offset(), b"4294967295"])]

    def bitcount(self) -> Arguments:
        return [b"BITCOUNT", self.key(), *self.bit_range()]

    def bitpos(self) -> Arguments:
        return [b"BITPOS", self.key(), self.pick([b"0", b"1", b"0", b"1", self.integer()]), *self.bit_range()]

    def bit_range(self) -> Arguments:
        words = [self.integer(), self.integer(), self.option(b"BIT", b"BYTE", b"BIT", b"BITS"), b"x"]
        return words[: self.random.choice([0, 0, 1, 2, 2, 2, 3, 3, 3, 4])]

    def bitop(self) -> Arguments:
        name = self.option(b"AND", b"OR", b"XOR", b"NOT", b"NOT", b"NAND")
        return [b"BITOP", name, self.key(), *self.some_keys(1 if name.lower() == b"not" and self.chance(0.8) else 3)]

    # Keys

    def rename(self) -> Arguments:
        return [self.pick([b"RENAME", b"RENAMENX"]), self.key(), self.key()]

    def copy(self) -> Arguments:
        command = [b"COPY", self.key(), self.key()]
        for _ in self.times(0, 0, 1, 1, 2):
            chosen = self.random.random()
            if chosen < 0.5:
                command.append(self.option(b"REPLACE"))
            else:
                command += [self.option(b"DB"), self.database()] if chosen < 0.93 else [self.pick(NOISE)]
        return command

    def move(self) -> Arguments:
        return [b"MOVE", self.key(), self.database()]

    def expire(self) -> Arguments:
        name = self.pick([b"EXPIRE", b"PEXPIRE", b"EXPIREAT", b"PEXPIREAT"])
        command = [name, self.key(), self.time_for(name)]
        return command + [
            self.option(b"NX", b"XX", b"GT", b"LT") if self.chance(0.95) else self.pick(NOISE)
            for _ in self.times(0, 0, 1, 1, 2, 3)
        ]

    def listing(self) -> Arguments:
        return [b"KEYS", self.pattern()]

    def scan(self) -> Arguments:
        """With a count that makes one call of it, since cursors are everybody's own."""
        cursors = [b"0", b"0", b"0", b"", b"+0", b"-0", b" 0", b"0 ", b"x", b"00", b"18446744073709551616", b"0\0x"]
        command = [b"SCAN", self.pick(cursors), b"COUNT", b"1000"]
        for _ in self.times(0, 0, 1, 1, 2):
            name = self.pick([b"MATCH", b"COUNT", b"TYPE"])
            command.append(self.option(name))
            if name == b"MATCH":
                command.append(self.pattern())
            elif name == b"TYPE":
                command.append(self.pick([b"string", b"STRING", b"hash", b"nonsense", b"string\0x", b""]))
            else:
                command.append(self.pick([b"1000", b"5000", b"0", b"-1", b"x", b"9223372036854775808"]))
        return command if self.chance(0.95) else [*command, self.pick(NOISE)]

    def object(self) -> Arguments:
        return [b"OBJECT", self.cased(self.pick([b"ENCODING", b"ENCODING", b"ENCODING", b"NOPE", b"FREQ"])), self.key()]

    def whole(self) -> Arguments:
        name = self.pick([b"DBSIZE", b"RANDOMKEY", b"FLUSHDB", b"FLUSHALL"])
        if not name.startswith(b"FLUSH"):
            return [name]
        return [name, *self.random.choice([[], [], [b"ASYNC"], [b"sync"], [b"x"], [b"sync", b"async"]])]

    def swapdb(self) -> Arguments:
        return [b"SWAPDB", self.database(), self.database()]

    def select(self) -> Arguments:
        return [b"SELECT", self.pick([b"0", b"0", b"0", b"1", self.database()])]

    # Everything else

    def unknown(self) -> Arguments:
        name = self.pick([b"NOPE", b"", b"ge\0t", b"a\r\nb", b"g" * 200, b"\xff\xfe"])
        return [name, *(self.value() for _ in self.times(0, 1, 2, 3, 4))]

    def session(self) -> Arguments:
        return self.random.choice(
            [
                [b"PING"], [b"PING", b"hi"], [b"ECHO", self.value()], [b"CLIENT", b"GETNAME"], [b"CLIENT", b"NOSUCH"],
                [b"COMMAND", b"GETKEYS", b"MSET", b"a", b"b", b"c", b"d"], [b"COMMAND", b"GETKEYS", b"GET", b"k"],
                [b"CONFIG", b"GET", b"nothing-*"], [b"CONFIG", b"NOSUCH"], [b"CLIENT", b"SETNAME", b"a b"],
                [b"CLUSTER", b"INFO"],
            ]
        )  # fmt: skip
