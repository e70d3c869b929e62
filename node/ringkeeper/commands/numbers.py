"""Numbers as Redis reads and writes them."""

from __future__ import annotations

import re
from decimal import Context as DecimalContext
from decimal import Decimal

from ringkeeper.resp.values import ReplyError

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
SYNTAX = "ERR syntax error"

_FLOAT = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|0[xX][0-9a-fA-F]+|inf(?:inity)?)", re.IGNORECASE
)
_LONG_DOUBLE = DecimalContext(prec=40)
FLOAT_DIGITS = 17
"""Digits behind the point that Redis prints of a long double (`ld2string`, human form)."""


def parse_integer(word: bytes | bytearray) -> int | None:
    """A signed 64-bit number in the one way that Redis accepts: no `+`, no leading zeros, no spaces. Else None."""
    length = len(word)
    if not 0 < length <= 20:
        return None
    try:
        number = int(word)
    except ValueError:
        return None
    if b"%d" % number != word or not INT64_MIN <= number <= INT64_MAX:
        return None
    return number


def integer(word: bytes | bytearray, error: str = NOT_AN_INTEGER) -> int:
    number = parse_integer(word)
    if number is None:
        raise ReplyError(error)
    return number


def number_of(word: bytes | bytearray, error: str = NOT_A_FLOAT) -> Decimal:
    """A decimal number within the range of a long double; infinity is accepted, not-a-number is not."""
    text = bytes(word)
    if not _FLOAT.fullmatch(text) or len(text) > 256:
        raise ReplyError(error)
    lower = text.lower()
    if b"inf" in lower:
        return Decimal("-Infinity" if lower.startswith(b"-") else "Infinity")
    if b"x" in lower:
        return Decimal(int(lower, 16))
    number = Decimal(text.decode())
    if number and not -4950 <= number.adjusted() <= 4931:
        raise ReplyError(error)
    return number


def add(left: Decimal, right: Decimal) -> Decimal:
    return _LONG_DOUBLE.add(left, right)


def format_number(number: Decimal) -> bytes:
    """Fixed point with at most 17 digits behind the point and no trailing zeros."""
    text = f"{number:.{FLOAT_DIGITS}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return b"0" if text in ("-0", "") else text.encode()
