"""Numbers as Redis reads and writes them."""

from __future__ import annotations

import re
from fractions import Fraction

from ringkeeper.resp.values import ReplyError

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
NOT_AN_INTEGER = "ERR value is not an integer or out of range"
NOT_A_FLOAT = "ERR value is not a valid float"
SYNTAX = "ERR syntax error"

_FLOAT = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|0[xX][0-9a-fA-F]+|inf(?:inity)?)", re.IGNORECASE
)
SIGNIFICAND_BITS = 64
LARGEST_EXPONENT = 4931
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


def option_word(word: bytes) -> bytes:
    """An option's name in lower case. A NUL ends it: Redis compares options as C strings."""
    return word.partition(b"\0")[0].lower()


def integer(word: bytes | bytearray, error: str = NOT_AN_INTEGER) -> int:
    number = parse_integer(word)
    if number is None:
        raise ReplyError(error)
    return number


def number_of(word: bytes | bytearray, error: str = NOT_A_FLOAT) -> Fraction | None:
    """The number as a long double holds it; None for an infinite one. Not-a-number is an error."""
    text = bytes(word)
    if not _FLOAT.fullmatch(text) or len(text) > 256:
        raise ReplyError(error)
    lower = text.lower()
    if b"inf" in lower:
        return None
    if b"x" in lower:
        return long_double(Fraction(int(lower, 16)))
    exponent = lower.partition(b"e")[2]
    if exponent and abs(int(exponent)) > LARGEST_EXPONENT:
        raise ReplyError(error)
    return long_double(Fraction(lower.decode()))


def long_double(number: Fraction) -> Fraction:
    """The nearest number with a significand of 64 bits, ties to even: x87's extended precision, as Redis adds in."""
    if not number:
        return number
    bits = number.numerator.bit_length() - number.denominator.bit_length()
    scale = Fraction(2) ** (SIGNIFICAND_BITS - 1 - bits)
    if abs(number) * scale >= 1 << SIGNIFICAND_BITS:
        scale /= 2
    elif abs(number) * scale < 1 << (SIGNIFICAND_BITS - 1):
        scale *= 2
    return round(number * scale) / scale


def format_number(number: Fraction) -> bytes:
    """Fixed point with at most 17 digits behind the point and no trailing zeros."""
    scaled = round(number * 10**FLOAT_DIGITS)
    whole, behind = divmod(abs(scaled), 10**FLOAT_DIGITS)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{behind:0{FLOAT_DIGITS}d}".rstrip("0").rstrip(".").encode()
