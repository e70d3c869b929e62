"""What the commands of several kinds of collections share: random choices, scans, counts of fields."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from ringkeeper.commands.glob import compile_glob
from ringkeeper.commands.numbers import SYNTAX, integer, option_word
from ringkeeper.commands.table import Arguments
from ringkeeper.resp.values import ReplyError

OUT_OF_RANGE = "ERR value is out of range"
NOT_A_COUNT = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
MOST_REPEATS = 2**24
"""Elements that a negative count may ask for: Redis would fill its memory with more."""


class Choosable(Protocol):
    def __len__(self) -> int: ...

    def random(self, randomness: Random) -> bytes: ...

    def sample(self, randomness: Random, count: int) -> list[bytes]: ...


def choose(values: Choosable, randomness: Random, count: int) -> list[bytes]:
    """`count` different ones, or all; with a negative count so many, each chosen anew (as SRANDMEMBER does)."""
    if count >= 0:
        return values.sample(randomness, count)
    return [values.random(randomness) for _ in range(-count)]


def random_count(args: Arguments, option: bytes = b"") -> tuple[int, bool]:
    """The count of SRANDMEMBER, HRANDFIELD or ZRANDMEMBER, and whether the option behind it asks for pairs."""
    count = integer(args[2])
    if count == -(2**63):
        raise ReplyError(NOT_A_COUNT)
    pairs = len(args) > 3
    if len(args) > 4 or (pairs and option_word(args[3]) != option):
        raise ReplyError(SYNTAX)
    if count < -MOST_REPEATS or (pairs and count >= 2**62):
        raise ReplyError(OUT_OF_RANGE)
    return count, pairs


def scan_options(args: Arguments, *, flags: frozenset[bytes] = frozenset()) -> tuple[int, bytes | None, set[bytes]]:
    """Count, pattern (None for all) and flags given of `HSCAN key cursor [MATCH …] [COUNT …] [NOVALUES]`."""
    count, pattern = 10, None
    given: set[bytes] = set()
    index = 3
    while index < len(args):
        word = option_word(args[index])
        if word in flags:
            given.add(word)
            index += 1
            continue
        if index + 1 >= len(args) or word not in (b"match", b"count"):
            raise ReplyError(SYNTAX)
        if word == b"match":
            pattern = None if args[index + 1] == b"*" else args[index + 1]
        else:
            count = integer(args[index + 1])
            if count < 1:
                raise ReplyError(SYNTAX)
        index += 2
    return count, pattern, given


def matcher(pattern: bytes | None) -> Callable[[bytes], bool]:
    return compile_glob(pattern).match if pattern is not None else lambda _: True
