"""Quantities of bytes and durations as people write them in manifests: `512Mi`, `2G`, `300s`, `1h30m`."""

from __future__ import annotations

import functools
import re
from fractions import Fraction

BYTES = {
    "": 1,
    "k": 1000,
    "M": 1000**2,
    "G": 1000**3,
    "T": 1000**4,
    "Ki": 1024,
    "Mi": 1024**2,
    "Gi": 1024**3,
    "Ti": 1024**4,
}
"""Kubernetes' units."""
REDIS_BYTES = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}
"""Those of redis.conf that mean nothing else in Kubernetes, in any case."""

MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
DURATION = r"^([0-9]{1,12}(h|ms|m|s))+$"
"""What `parse_duration` takes, of at most `LONGEST_TEXT` characters. Kubernetes' `duration()` in CEL means the same."""
LONGEST_TEXT = 20


@functools.lru_cache(1024, typed=True)
def parse_bytes(value: str | int) -> int:
    """Whole bytes, rounded up as Kubernetes does; raises `ValueError`."""
    match = re.fullmatch(r"([0-9]{1,18}(?:\.[0-9]{1,3})?)([A-Za-z]{0,2})", str(value))
    factor = None if match is None else BYTES.get(match[2]) or REDIS_BYTES.get(match[2].lower())
    if match is None or factor is None or isinstance(value, bool):
        raise ValueError(f"{value!r} is no quantity")
    exact = Fraction(match[1]) * factor
    return -(-exact.numerator // exact.denominator)


@functools.lru_cache(1024)
def parse_duration(text: str) -> int:
    """Milliseconds; raises `ValueError`. A number without a unit is refused, since it could mean several."""
    if len(text) > LONGEST_TEXT or re.fullmatch(DURATION, text) is None:
        raise ValueError(f"{text!r} is no duration")
    return sum(int(number) * MILLISECONDS[unit] for number, unit in re.findall(r"([0-9]+)(ms|h|m|s)", text))


def render_duration(milliseconds: int) -> str:
    """In the largest unit that holds it exactly: `5m`, `90s`, `250ms`."""
    unit = next(unit for unit, length in MILLISECONDS.items() if milliseconds % length == 0)
    return f"{milliseconds // MILLISECONDS[unit]}{unit}"
