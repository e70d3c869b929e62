"""Arithmetic of INCRBYFLOAT: the 80-bit extended precision of x86, in which Redis adds, computed with integers.

So every machine gives the same digits. A number is `(n, q)`, meaning n * 2**q with at most 64 bits in n, or None for an
infinite one. Rounding is to nearest, ties to even, as the C library's `strtold`, addition and `printf` do it.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

LongDouble = tuple[int, int]

SIGNIFICAND_BITS = 64
LEAST_EXPONENT = -16445
"""Of the last bit of the smallest number."""
OVERFLOW = 1 << 16384
LONGEST = 5 * 1024
"""Redis reads numbers of fewer characters only."""
DIGITS = 17
"""Behind the point, as Redis prints for people (`ld2string`, human form)."""

_DECIMAL = re.compile(rb"([+-]?)([0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")
_HEXADECIMAL = re.compile(rb"([+-]?)0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP]([+-]?[0-9]+))?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_EXPONENT_LIMIT = 40_000
"""Beyond it, no mantissa that is short enough to be read keeps a number from overflow or underflow."""


def parse(text: bytes) -> LongDouble | None:
    """What `strtold` makes of the whole text; raises `ValueError` for what it does not take, and for its range."""
    if len(text) >= LONGEST:
        raise ValueError("too long")
    if _INFINITE.fullmatch(text):
        return None
    base, found = 10, _DECIMAL.fullmatch(text)
    if found is None:
        base, found = 2, _HEXADECIMAL.fullmatch(text)
    if found is None:
        raise ValueError("not a number")
    sign, mantissa, power = found.groups()
    whole, _, behind = mantissa.partition(b".")
    digits = (whole + behind).decode()
    # Decimal reads and writes any number of digits, where int refuses more than 4300.
    number = int(Decimal(digits)) if base == 10 else int(digits, 16)
    if number == 0:
        return 0, 0
    exponent = _exponent(power) - len(behind) * (1 if base == 10 else 4)
    if abs(exponent) > _EXPONENT_LIMIT:
        raise ValueError("out of range")
    scale = base ** abs(exponent)
    rounded = round_ratio(number * scale, 1) if exponent >= 0 else round_ratio(number, scale)
    if rounded is None or rounded[0] == 0:
        raise ValueError("out of range")
    return (-rounded[0] if sign == b"-" else rounded[0]), rounded[1]


def _exponent(text: bytes | None) -> int:
    if text is None:
        return 0
    limit = 2 * _EXPONENT_LIMIT
    return max(-limit, min(limit, int(Decimal(text.decode()))))


def round_ratio(numerator: int, denominator: int) -> LongDouble | None:
    """The number nearest to a ratio; None if that is infinite. The denominator is positive."""
    if numerator < 0:
        mirrored = round_ratio(-numerator, denominator)
        return None if mirrored is None else (-mirrored[0], mirrored[1])
    lowest = max(numerator.bit_length() - denominator.bit_length() - SIGNIFICAND_BITS, LEAST_EXPONENT)
    n = divide(numerator, denominator, lowest)
    if n.bit_length() > SIGNIFICAND_BITS:  # rounded anew from the ratio: rounding twice would not be to nearest
        lowest += 1
        n = divide(numerator, denominator, lowest)
    if n and (n.bit_length() + lowest > OVERFLOW.bit_length() - 1):
        return None
    return n, lowest


def divide(numerator: int, denominator: int, shift: int) -> int:
    """numerator / (denominator * 2**shift), to the nearest integer, ties to even."""
    if shift >= 0:
        denominator <<= shift
    else:
        numerator <<= -shift
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient & 1))


def add(left: LongDouble, right: LongDouble) -> LongDouble | None:
    """None if the sum is infinite."""
    lowest = min(left[1], right[1])
    total = (left[0] << (left[1] - lowest)) + (right[0] << (right[1] - lowest))
    return round_ratio(total << lowest, 1) if lowest >= 0 else round_ratio(total, 1 << -lowest)


def show(number: LongDouble) -> bytes:
    """`%.17Lf`, without the zeros at its end."""
    n, lowest = number
    scaled = abs(n) * 10**DIGITS
    scaled = scaled << lowest if lowest >= 0 else divide(scaled, 1 << -lowest, 0)
    digits = str(Decimal(scaled)).rjust(DIGITS + 1, "0")
    text = f"{digits[:-DIGITS]}.{digits[-DIGITS:]}".rstrip("0").rstrip(".")
    return (f"-{text}" if n < 0 and text != "0" else text).encode()


def as_fraction(number: LongDouble) -> Fraction:
    n, lowest = number
    return Fraction(n << lowest) if lowest >= 0 else Fraction(n, 1 << -lowest)
