"""A histogram of durations: what `dispatch.Entry` counts, read in the ways that Redis tells it.

The counters are those of an HDR histogram of 1 ns to 1 s with two significant digits (http://hdrhistogram.org): below
256 ns every nanosecond has one; beyond, each doubling has 128. So a duration is known to within one part in 128.
"""

from __future__ import annotations

from collections.abc import Sequence

FIRST_LEVEL = 1024
"""Nanoseconds of the first power of two that LATENCY HISTOGRAM reports; the next is twice that."""


def longest_counted(index: int) -> int:
    """The longest duration, in nanoseconds, that a counter counts."""
    if index < 256:
        return index
    doublings = (index >> 7) - 1
    return (((index & 127) + 129) << doublings) - 1


def shortest_counted(index: int) -> int:
    return longest_counted(index - 1) + 1 if index else 0


def counter_of(nanoseconds: int) -> int:
    """The index of the counter of a duration; what `Entry.took` does in C."""
    doublings = max(0, nanoseconds.bit_length() - 8)
    return (doublings << 7) + (nanoseconds >> doublings)


def cumulative(counts: Sequence[int]) -> dict[int, int]:
    """Microseconds -> calls that took no longer, by doublings; those alone where the number grows."""
    found: dict[int, int] = {}
    level, index, calls, told = FIRST_LEVEL, 0, 0, 0
    total = sum(counts)
    while told < total:
        last = min(counter_of(level), len(counts) - 1)
        calls += sum(counts[index : last + 1])
        index = last + 1
        if calls > told:
            found[longest_counted(last) // 1000] = told = calls
        level *= 2
    return found


def percentiles(counts: Sequence[int], wanted: Sequence[float]) -> list[float]:
    """For each percentage, the microseconds within which so many of the calls were done. O(counters)."""
    total = sum(counts)
    targets = sorted((max(1, int(percentage / 100 * total + 0.5)), place) for place, percentage in enumerate(wanted))
    found = [0.0] * len(wanted)
    calls = 0
    index = -1
    for target, place in targets:
        while calls < target:
            index += 1
            calls += counts[index]
        found[place] = (longest_counted(index) if wanted[place] else shortest_counted(index)) / 1000
    return found
