"""Words of a command as Redis reads them: integers and options."""

from __future__ import annotations

import re

import cython

from ringkeeper.resp.values import ReplyError

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
SYNTAX = "ERR syntax error"


Word = bytes | bytearray
"""By this name, Cython takes the type from `numbers.pxd`."""


def parse_integer(word: Word) -> int | None:
    """A signed 64-bit number in the one way that Redis accepts: no `+`, no leading zeros, no spaces. Else None."""
    few: cython.longlong = few_digits(word) if type(word) is bytes else -1
    if few >= 0:
        return int(few)
    if not 0 < len(word) <= 20:
        return None
    try:
        number = int(word)
    except ValueError:
        return None
    if b"%d" % number != word or not INT64_MIN <= number <= INT64_MAX:
        return None
    return number


@cython.exceptval(check=False)
def few_digits(word: bytes) -> cython.longlong:
    """The number that up to 15 digits make, without leading zeros. -1 for any other word."""
    return -1 if len(word) > 1 and word[0] == 0x30 else digits(word)


@cython.exceptval(check=False)
def digits(word: bytes) -> cython.longlong:
    """The number that up to 15 digits make, leading zeros among them or not: exact as a double, too. -1 for any other
    word."""
    length: cython.Py_ssize_t = len(word)
    if not 0 < length <= 15:
        return -1
    i: cython.Py_ssize_t
    number: cython.longlong = 0
    for i in range(length):
        digit: cython.int = word[i]
        if not 0x30 <= digit <= 0x39:
            return -1
        number = number * 10 + digit - 0x30
    return number


def small_integer(word: bytes, error: str | None = None) -> int:
    """A signed 32-bit number; `error` replaces Redis's own text for what is none."""
    number = integer(word, error or NOT_AN_INTEGER)
    if not -(2**31) <= number < 2**31:
        raise ReplyError(error or "ERR value is out of range, value must between -2147483648 and 2147483647")
    return number


def option_word(word: bytes) -> bytes:
    """An option's name in lower case. A NUL ends it: Redis compares options as C strings."""
    return word.partition(b"\0")[0].lower()


def leading_integer(word: bytes) -> int:
    """As C's `atoi` reads it, for what Redis does not check: the digits at the beginning, and 0 without any."""
    match = re.match(rb"\s*([+-]?\d{1,18})", word)
    return int(match[1]) if match else 0


def integer(word: Word, error: str = NOT_AN_INTEGER) -> int:
    number = parse_integer(word)
    if number is None:
        raise ReplyError(error)
    return number
