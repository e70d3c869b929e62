"""Doubles as Redis 7.2 prints them: as few digits as tell them from their neighbours, in the layout of its `fpconv`.

An integer between -2**62 and 2**62 stands as it is. Otherwise, of digits and a power of ten: an integer if it takes at
most seven zeros, a decimal fraction if the power is above -7 or the value is between 0.0001 and 10000, else digits with
an exponent, which has a sign and no leading zeros (`1.5e-7`, `1e+300`).
"""

from __future__ import annotations

EXACT = 2.0**62


def format_double(value: float) -> bytes:
    """O(1)."""
    if value != value:
        return b"nan"
    if -EXACT <= value <= EXACT and value == int(value):
        return b"%d" % int(value) if value or str(value) == "0.0" else b"-0"
    if value - value != 0.0:
        return b"inf" if value > 0 else b"-inf"
    text = repr(value)
    sign = b"-" if value < 0 else b""
    mantissa, _, exponent = text.lstrip("-").partition("e")
    whole, _, behind = mantissa.partition(".")
    power = int(exponent or 0) - len(behind)
    digits = (whole + behind).lstrip("0")
    shown = digits.rstrip("0")
    power += len(digits) - len(shown)
    return sign + lay_out(shown.encode(), power)


def lay_out(digits: bytes, power: int) -> bytes:
    """`digits` times ten to a power."""
    count = len(digits)
    exponent = power + count - 1
    if power >= 0 and exponent < count + 7:
        return digits + b"0" * power
    if -7 < power < 0 or (power < 0 and abs(exponent) < 4):
        point = count + power
        if point <= 0:
            return b"0." + b"0" * -point + digits
        return digits[:point] + b"." + digits[point:]
    head = digits[:1] if count == 1 else digits[:1] + b"." + digits[1:]
    return b"%be%b%d" % (head, b"-" if exponent < 0 else b"+", abs(exponent))
