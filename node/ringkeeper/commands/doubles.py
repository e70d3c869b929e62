"""Numbers of double precision as the C library reads them."""

from __future__ import annotations

import math
import re
from fractions import Fraction

_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(rb"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_SPACES = b" \t\n\v\f\r"
_LEAST_NORMAL = 2.0**-1022


def strtod(text: bytes) -> float:
    """What `strtod` makes of a C string that is a number and nothing else, or nothing at all, which is 0.

    Raises `ValueError` for anything else, for NaN, and where it would report a number out of range.
    """
    if text.isdigit() and len(text) < 300:
        return float(text)
    text = text.partition(b"\0")[0]
    if not text:
        return 0.0
    text = text.lstrip(_SPACES)
    if _INFINITE.fullmatch(text):
        return float(text)
    if _DECIMAL.fullmatch(text):
        number = float(text)
    elif _HEXADECIMAL.fullmatch(text):
        try:
            number = float.fromhex(text.decode())
        except OverflowError:
            number = math.inf
    else:
        raise ValueError("not a number")
    if math.isinf(number) or (abs(number) < _LEAST_NORMAL and not is_exact(number, text)):
        raise ValueError("out of range")
    return number


def is_exact(number: float, text: bytes) -> bool:
    """Whether a very small number is the very one that was written."""
    written = text.decode().lower().lstrip("+-")
    hexadecimal = written.startswith("0x")
    mantissa, _, power = written.removeprefix("0x").partition("p" if hexadecimal else "e")
    if not number:
        return not mantissa.strip("0.")
    whole, _, behind = mantissa.partition(".")
    digits, base = whole + behind, 16 if hexadecimal else 10
    scale = Fraction(2 if hexadecimal else 10) ** (int(power or "0") - len(behind) * (4 if hexadecimal else 1))
    return abs(Fraction(number)) == int(digits, base) * scale
