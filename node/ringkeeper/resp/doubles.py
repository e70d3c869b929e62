"""Doubles as Redis 7.2 prints them: as few digits as tell them from their neighbours, in the layout of its `fpconv`.

The digits are Grisu2's (Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", PLDI
2010): in one of some 400 numbers not the nearest or not the fewest that `repr` finds, so `repr` would not do.

An integer between -2**62 and 2**62 stands as it is. Otherwise, of digits and a power of ten: an integer if it takes at
most seven zeros, a decimal fraction if the power is above -7 or the value is between 0.0001 and 10000, else digits with
an exponent, which has a sign and no leading zeros (`1.5e-7`, `1e+300`).
"""

from __future__ import annotations

import math

import cython

EXACT = cython.declare(cython.double, 2.0**62)
LOW = cython.declare(cython.ulonglong, 0xFFFFFFFF)
FIRST_POWER = cython.declare(cython.int, -348)
STEP = cython.declare(cython.int, 8)
POWERS = cython.declare(cython.int, 87)
"""Powers of ten that are at hand: so many, from the first on, every eighth."""
LEAST_BITS = cython.declare(cython.int, 32)
MOST_BITS = cython.declare(cython.int, 60)
"""Behind the point, of a number times the chosen power: what is before it has 32 bits, and ten times the rest, 64."""
HIDDEN_BIT = cython.declare(cython.ulonglong, 1 << 52)
HIGHEST_BIT = cython.declare(cython.ulonglong, 1 << 63)
LOG10_OF_2 = cython.declare(cython.double, math.log10(2))


def rounded_power(power: int) -> tuple[int, int]:
    """Ten to a power as a number of 64 bits, the highest one set, times two to another power."""
    exact = 10 ** abs(power)
    exponent = exact.bit_length() - 64 if power >= 0 else -exact.bit_length() - 63
    for shift in (exponent, exponent + 1):
        top, bottom = (exact, 1) if power >= 0 else (1, exact)
        top, bottom = (top << -shift, bottom) if shift < 0 else (top, bottom << shift)
        significand = (2 * top + bottom) // (2 * bottom)
        if significand < 1 << 64:
            break
    return significand, shift


POWERS_OF_TEN = [rounded_power(FIRST_POWER + STEP * i) for i in range(POWERS)]


def format_double(value: float) -> bytes:
    """O(1)."""
    number: cython.double = value
    if number != number:
        return b"nan"
    if -EXACT <= number <= EXACT:
        whole: cython.longlong = cython.cast(cython.longlong, number)
        if whole == number:
            return b"%d" % whole if whole or math.copysign(1.0, value) > 0 else b"-0"
    if number - number != 0.0:
        return b"inf" if number > 0 else b"-inf"
    digits, power = shortest(abs(value))
    shown = lay_out(b"%d" % digits, power)
    return shown if number > 0 else b"-" + shown


def shortest(value: float) -> tuple[int, int]:
    """The digits of a positive number, and the power of ten that they are to be multiplied with."""
    fraction, power = math.frexp(value)
    significand: cython.ulonglong = int(fraction * 2.0**53)
    exponent: cython.int = power - 53
    if exponent < -1074:
        significand >>= -1074 - exponent
        exponent = -1074
    # One bit more, for half the way to the neighbours; below a power of two, the neighbour is half as far.
    above: cython.ulonglong = 2 * significand + 1
    below: cython.ulonglong = 2 * significand - 1
    shift: cython.int = 0
    while above < HIGHEST_BIT:
        above <<= 1
        shift += 1
    below = (4 * significand - 1) << (shift - 1) if significand == HIDDEN_BIT else below << shift
    exponent -= 1 + shift
    index: cython.int = (int(-(exponent + POWERS) * LOG10_OF_2) - FIRST_POWER) // STEP
    scale: cython.ulonglong
    point: cython.int
    while True:
        scale, power = POWERS_OF_TEN[index]
        point = -(exponent + power + 64)
        if point > MOST_BITS:
            index += 1
        elif point < LEAST_BITS:
            index -= 1
        else:
            break
    digits, places = generate(
        times(significand << (shift + 1), scale), times(above, scale) - 1, times(below, scale) + 1, point
    )
    return digits, places - (FIRST_POWER + STEP * index)


@cython.cfunc
@cython.exceptval(check=False)
def times(left: cython.ulonglong, right: cython.ulonglong) -> cython.ulonglong:
    """The upper 64 bits of a product, rounded."""
    high: cython.ulonglong = (left >> 32) * (right & LOW)
    other: cython.ulonglong = (left & LOW) * (right >> 32)
    middle: cython.ulonglong = (((left & LOW) * (right & LOW)) >> 32) + (high & LOW) + (other & LOW) + (1 << 31)
    return (left >> 32) * (right >> 32) + (high >> 32) + (other >> 32) + (middle >> 32)


@cython.cfunc
def generate(
    value: cython.ulonglong, above: cython.ulonglong, below: cython.ulonglong, point: cython.int
) -> tuple[int, int]:
    """The first digits of `above` that bring it under `below`, turned down towards `value`, and their power of ten.

    All three are multiples of two to the power of -`point`.
    """
    distance: cython.ulonglong = above - value
    delta: cython.ulonglong = above - below
    one: cython.ulonglong = cython.cast(cython.ulonglong, 1) << point
    whole: cython.ulonglong = above >> point
    rest: cython.ulonglong = above & (one - 1)
    digits: cython.ulonglong = 0
    unit: cython.ulonglong = 1000000000
    left: cython.ulonglong
    places: cython.int = 10
    while places > 0:
        digits = digits * 10 + whole // unit
        whole %= unit
        places -= 1
        left = (whole << point) + rest
        if left <= delta:
            return turned_down(digits, delta, left, unit << point, distance), places
        unit //= 10
    while True:
        rest *= 10
        delta *= 10
        distance *= 10
        places -= 1
        digits = digits * 10 + (rest >> point)
        rest &= one - 1
        if rest < delta:
            return turned_down(digits, delta, rest, one, distance), places


@cython.cfunc
@cython.exceptval(check=False)
def turned_down(
    digits: cython.ulonglong,
    delta: cython.ulonglong,
    left: cython.ulonglong,
    unit: cython.ulonglong,
    distance: cython.ulonglong,
) -> cython.ulonglong:
    """Lower the last digit while that brings the number nearer and leaves it within the interval."""
    while (
        left < distance
        and delta - left >= unit
        and (left + unit < distance or distance - left > left + unit - distance)
    ):
        digits -= 1
        left += unit
    return digits


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
