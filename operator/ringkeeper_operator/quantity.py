"""Kubernetes quantities (`512Mi`, `500m`) as exact numbers."""

from __future__ import annotations

import functools
import re
import sys
from fractions import Fraction

FACTORS = {
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
}
STORED_FACTORS = FACTORS | {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}
"""Those that no manifest of ours may have are there in what others wrote."""


@functools.lru_cache(1024, typed=True)
def parse_fraction(value: str | int) -> Fraction:
    """A quantity's exact value; raises `ValueError`."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,3})?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?", str(value))
    if match is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is no quantity; write bytes, or a number with k, M, G, T, Ki, Mi, Gi or Ti")
    return Fraction(match[1]) * FACTORS[match[2] or ""]


@functools.lru_cache(1024, typed=True)
def parse_quantity(value: str | int) -> int:
    """The same as a whole number (of bytes), rounded up as Kubernetes does; raises `ValueError`."""
    exact = parse_fraction(value)
    return -(-exact.numerator // exact.denominator)


def stored_bytes(value: str) -> int:
    """What a claim asks for, in any form that Kubernetes knows (`1Pi`, `5e9` too); what cannot be read counts as much,
    so that nobody changes it.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(?:[eE]([0-9]{1,2})|([numkMGTPE]|[KMGTPE]i)?)", value)
    if match is None:
        return sys.maxsize
    exact = Fraction(match[1]) * Fraction(10) ** int(match[2] or 0) * STORED_FACTORS[match[3] or ""]
    return -(-exact.numerator // exact.denominator)


def render_bytes(count: int) -> str:
    """Bytes as a quantity, in the largest unit that holds them exactly."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if count and count % FACTORS[unit] == 0:
            return f"{count // FACTORS[unit]}{unit}"
    return str(count)
