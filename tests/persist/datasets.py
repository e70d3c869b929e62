"""Random datasets: values of every type, large and small, in every encoding that they have, some with expiries."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Command = list[bytes]
DATABASES = 3
FAR_MS = 4_000_000_000_000
"""A time to expire, in Unix milliseconds, that will not come."""
WORDS = [b"", b"a", b"-1", b"007", b"2147483648", b"\0\xff", b"same", b"x" * 63, b"y" * 64, b"z" * 65]


def commands(random: Random, *, keys: int = 60, halves: bool = True) -> list[Command]:
    """What makes such a dataset of an empty server. Scores are multiples of a half, unless all are wanted."""
    made: list[Command] = []
    for number in range(keys):
        key = random.choice([b"key:%d", b"{tag}%d", b"\xff%d", b"%d"]) % number
        if number % 10 == 0:
            made.append([b"SELECT", b"%d" % random.randrange(DATABASES)])
        made += random.choice(MAKERS)(random, key, halves)
        if random.random() < 0.3:
            made.append([b"PEXPIREAT", key, b"%d" % (FAR_MS + random.randrange(10**6))])
    return [*made, [b"SELECT", b"0"]]


def word(random: Random) -> bytes:
    """Short or long, compressible or not, a number or none."""
    match random.randrange(6):
        case 0 | 1:
            return random.choice(WORDS)
        case 2:
            return random.randbytes(random.randrange(40))
        case 3:
            return b"%d" % (random.choice([-1, 1]) * random.randrange(1 << random.randrange(1, 66)))
        case 4:
            return b"word %d" % random.randrange(500)
        case _:
            return random.randbytes(3) * random.randrange(30)


def size(random: Random) -> int:
    """Of a collection: on either side of where its encoding changes."""
    return random.choice([1, 2, 5, 20, 100, 127, 128, 129, 200, 511, 512, 513, 700])


def words(random: Random) -> list[bytes]:
    """Different ones: numbers alone, or all kinds."""
    count = size(random)
    if random.random() < 0.3:
        return [b"%d" % number for number in random.sample(range(-5000, 5000), count)]
    return list({word(random): None for _ in range(count)})


def string(random: Random, key: bytes, halves: bool) -> list[Command]:  # noqa: ARG001
    made = [[b"SET", key, random.choice([word(random), word(random) * 200])]]
    change = random.choice([None, None, [b"APPEND", key, b"more"], [b"SETRANGE", key, b"5", b"12"]])
    return made if change is None else [*made, change]


def whole(random: Random, key: bytes, halves: bool) -> list[Command]:  # noqa: ARG001
    return [[b"SET", key, b"7"], [b"INCRBYFLOAT", key, b"%d" % random.randrange(100)]]


def list_(random: Random, key: bytes, halves: bool) -> list[Command]:  # noqa: ARG001
    elements = [word(random) for _ in range(size(random))]
    if random.random() < 0.2:
        elements.insert(random.randrange(len(elements)), random.randbytes(9) * 1000)
    pushed = [[b"RPUSH", key, *elements[start : start + 50]] for start in range(0, len(elements), 50)]
    return [*pushed, [b"LPUSH", key, b"first"], [b"LREM", key, b"1", b"same"]]


def set_(random: Random, key: bytes, halves: bool) -> list[Command]:  # noqa: ARG001
    members = words(random)
    return [[b"SADD", key, *members], [b"SREM", key, b"none", *members[5:9]]]


def hash_(random: Random, key: bytes, halves: bool) -> list[Command]:  # noqa: ARG001
    fields = words(random)
    pairs = [text for field in fields for text in (field, word(random))]
    return [[b"HSET", key, b"f", b"v", *pairs], [b"HDEL", key, *fields[5:9], b"none"]]


def sorted_set(random: Random, key: bytes, halves: bool) -> list[Command]:
    made = [b"ZADD", key, b"1", b"m"]
    for member in words(random):
        made += [score(random, halves), member]
    return [made, [b"ZREM", key, b"m", b"same"], [b"ZADD", key, b"2", b"last"]]


def score(random: Random, halves: bool) -> bytes:
    if halves:
        return random.choice([b"%d", b"%d.5"]) % random.randrange(-1000, 1000)
    if random.random() < 0.1:
        return random.choice([b"inf", b"-inf", b"-0", b"1e22", b"5e-324", b"1.7976931348623157e308"])
    return b"%r" % random.uniform(-1, 1) if random.random() < 0.5 else b"%r" % (random.gauss(0, 1) * 10**30)


MAKERS: list[Callable[[Random, bytes, bool], list[Command]]] = [string, whole, list_, set_, hash_, sorted_set]
