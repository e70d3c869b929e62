"""Random commands of the string, generic and expiry groups, with a liking for the edges. Deterministic by seed.

Nothing depends on the time that passes: expiries are absolute, far away or past, and TTLs are not asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

FAR = [b"32503680000", b"41102444800", b"4102444800"]
PAST = [b"1", b"1000000000"]
INTEGERS = [
    b"0", b"1", b"-1", b"7", b"-3", b"100", b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808",
    b"18446744073709551617", b"+1", b" 1", b"1 ", b"01", b"-0", b"1.5", b"", b"abc", b"1e3",
]  # fmt: skip
FLOATS = [b"0.1", b"-2.5", b"1e3", b"3.0e-5", b"10", b"1.123456789", b"nan", b"inf", b"-inf", b"x", b"", b" 1"]
OFFSETS = [b"0", b"1", b"3", b"-1", b"-2", b"-100", b"5", b"100", b"abc", b"9223372036854775807"]
VALUES = [b"", b"v", b"hello world", b"\x00\x01\xff", b"x" * 44, b"x" * 45, b"10", b"-7", b"3.5", b"0012", b"ab" * 50]
PATTERNS = [b"*", b"k*", b"?1", b"[a-c]*", b"k[^1]", b"\\*", b"*1*", b"k[1-3", b"[", b"", b"k**2", b"k?"]
KEYS = [b"k1", b"k2", b"k3", b"key:4", b"", b"\x00k", b"{t}a", b"{t}b"]

Arguments = list[bytes]
Choice = TypeVar("Choice")


class Generator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.makers: list[Callable[[], Arguments]] = [
            self.set, self.set, self.set, self.get, self.get, self.getex, self.increment, self.increment, self.float,
            self.range, self.many, self.expire, self.generic, self.generic, self.simple, self.wrong, self.listing,
        ]  # fmt: skip

    def command(self) -> Arguments:
        command = self.pick(self.makers)()
        if self.random.random() < 0.03 and command[0] != b"COMMAND":  # 7.0 and 7.2 count its arguments differently
            command = command[: self.random.randint(1, len(command))]
        elif self.random.random() < 0.02 and command[0] != b"SCAN":
            command.append(self.pick(VALUES + INTEGERS))
        if self.random.random() < 0.2:
            command[0] = command[0].swapcase()
        return command

    def pick(self, choices: list[Choice]) -> Choice:
        return self.random.choice(choices)

    def key(self) -> bytes:
        return self.pick(KEYS)

    def value(self) -> bytes:
        return self.pick(VALUES + INTEGERS)

    def set(self) -> Arguments:
        command = [b"SET", self.key(), self.value()]
        for _ in range(self.pick([0, 0, 0, 1, 1, 2, 3])):
            option = self.pick([b"NX", b"XX", b"GET", b"KEEPTTL", b"EXAT", b"PXAT", b"ex", b"PX", b"bad"])
            command.append(option)
            if option in (b"EXAT", b"PXAT"):
                command.append(self.pick(FAR) if option == b"EXAT" else self.pick(FAR) + b"000")
            elif option in (b"ex", b"PX"):
                command.append(self.pick([b"0", b"-1", b"x", b"", b"9223372036854775807", b"99999999999999999999"]))
        return command

    def get(self) -> Arguments:
        return [self.pick([b"GET", b"STRLEN", b"GETDEL", b"TYPE", b"EXPIRETIME", b"PEXPIRETIME"]), self.key()]

    def getex(self) -> Arguments:
        command = [b"GETEX", self.key()]
        for _ in range(self.pick([0, 1, 1, 2])):
            option = self.pick([b"PERSIST", b"EXAT", b"PXAT", b"EX", b"NX"])
            command.append(option)
            if option in (b"EXAT", b"PXAT", b"EX"):
                command.append(self.pick(FAR if option != b"EX" else [b"0", b"-5", b"q"]))
        return command

    def increment(self) -> Arguments:
        name = self.pick([b"INCR", b"DECR", b"INCRBY", b"DECRBY"])
        return [name, self.key()] + ([self.pick(INTEGERS)] if name.endswith(b"BY") else [])

    def float(self) -> Arguments:
        return [b"INCRBYFLOAT", self.key(), self.pick(FLOATS + INTEGERS)]

    def range(self) -> Arguments:
        name = self.pick([b"GETRANGE", b"SUBSTR", b"SETRANGE", b"APPEND"])
        if name == b"APPEND":
            return [name, self.key(), self.value()]
        if name == b"SETRANGE":
            return [
                name,
                self.key(),
                self.pick([*OFFSETS, b"536870912", b"536870911"]),
                self.pick([*VALUES, b"", b"zz"]),
            ]
        return [name, self.key(), self.pick(OFFSETS), self.pick(OFFSETS)]

    def many(self) -> Arguments:
        name = self.pick([b"MSET", b"MSETNX", b"MGET", b"DEL", b"UNLINK", b"EXISTS", b"TOUCH", b"LCS"])
        if name == b"LCS":
            options = [
                [],
                [b"LEN"],
                [b"IDX"],
                [b"IDX", b"WITHMATCHLEN"],
                [b"IDX", b"MINMATCHLEN", b"2"],
                [b"LEN", b"IDX"],
            ]
            return [name, self.key(), self.key(), *self.pick(options)]
        count = self.random.randint(1, 4)
        if name in (b"MSET", b"MSETNX"):
            return [name, *(word for _ in range(count) for word in (self.key(), self.value()))]
        return [name, *(self.key() for _ in range(count))]

    def expire(self) -> Arguments:
        name = self.pick([b"EXPIREAT", b"PEXPIREAT", b"EXPIRE", b"PEXPIRE", b"PERSIST"])
        if name == b"PERSIST":
            return [name, self.key()]
        if name in (b"EXPIRE", b"PEXPIRE"):
            at = self.pick([b"-1", b"x", b"", b"9223372036854775807", b"-9223372036854775808", b"0"])
        else:
            at = self.pick(FAR + PAST + INTEGERS) if name == b"EXPIREAT" else self.pick(FAR) + b"000"
        options = [self.pick([b"NX", b"XX", b"GT", b"LT", b"nx", b"bad"]) for _ in range(self.pick([0, 0, 1, 2]))]
        return [name, self.key(), at, *options]

    def generic(self) -> Arguments:
        name = self.pick(
            [b"RENAME", b"RENAMENX", b"COPY", b"SETNX", b"GETSET", b"MOVE", b"OBJECT", b"OBJECT", b"SETEX"]
        )
        if name == b"COPY":
            options = [[], [b"REPLACE"], [b"DB", b"1"], [b"DB", b"1", b"REPLACE"], [b"DB", b"99"], [b"DB"], [b"x"]]
            return [name, self.key(), self.key(), *self.pick(options)]
        if name == b"MOVE":
            return [name, self.key(), self.pick([b"0", b"1", b"99", b"x", b"-1"])]
        if name == b"OBJECT":
            return [name, self.pick([b"ENCODING", b"ENCODING", b"REFCOUNTS"]), self.key()]
        if name == b"SETEX":
            return [
                self.pick([b"SETEX", b"PSETEX"]),
                self.key(),
                self.pick([b"0", b"-1", b"x", b"9223372036854775807"]),
                b"v",
            ]
        return [name, self.key(), self.key() if name.startswith(b"RENAME") else self.value()]

    def simple(self) -> Arguments:
        return self.pick(
            [
                [b"DBSIZE"], [b"PING"], [b"PING", b"hi"], [b"ECHO", self.value()], [b"SELECT", b"1"], [b"SELECT", b"0"],
                [b"SELECT", b"0"], [b"SELECT", b"0"], [b"SELECT", b"16"], [b"SELECT", b"x"], [b"SWAPDB", b"0", b"1"],
                [b"SWAPDB", b"x", b"1"], [b"SWAPDB", b"0", b"99"], [b"FLUSHDB", b"x"], [b"FLUSHDB", b"ASYNC"],
                [b"COMMAND", b"GETKEYS", b"MSET", b"a", b"b", b"c", b"d"], [b"COMMAND", b"GETKEYS", b"GET", b"k"],
                [b"CONFIG", b"GET", b"nothing-*"], [b"CLIENT", b"GETNAME"], [b"CLIENT", b"SETNAME", b"a b"],
            ]
        )  # fmt: skip

    def wrong(self) -> Arguments:
        return self.pick(
            [
                [b"NOSUCH"], [b"NOSUCH", b"a", b"b\r\nc", b"x" * 200], [b"GET"], [b"OBJECT"],
                [b"OBJECT", b"NOSUCH", b"k"],
                [b"CLUSTER", b"INFO"], [b"CLIENT", b"NOSUCH"], [b"CONFIG", b"NOSUCH"], [b"SCAN", b"x"],
                [b"SCAN", b"0", b"COUNT", b"0"], [b"SCAN", b"0", b"COUNT"], [b"SCAN", b"0", b"NOPE", b"1"],
            ]
        )  # fmt: skip

    def listing(self) -> Arguments:
        return [b"KEYS", self.pick(PATTERNS)]
