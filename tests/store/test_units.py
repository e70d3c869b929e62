"""Quantities and durations, as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringkeeper.store.units import parse_bytes, parse_duration, render_duration


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1k", 1000), (1024, 1024), ("1Ki", 1024), ("2M", 2_000_000), ("2Mi", 2**21), ("1.5Gi", 3 * 2**29),
        ("0.001k", 1), ("0.001Ki", 2), ("3T", 3 * 10**12), ("1kb", 1024), ("1MB", 2**20), ("7gb", 7 * 2**30),
    ],
)  # fmt: skip
def test_bytes(text: str | int, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "1m", "-1", "1 Ki", "1ki", "1e3", "1.5555Ki", "Ki", "9" * 30, True, "1Ei", "1\n"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="no quantity"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("300s", 300_000), ("5m", 300_000), ("1h", 3_600_000), ("1h30m", 5_400_000), ("1m1ms", 60_001)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds


@pytest.mark.parametrize("text", ["", "5", "5d", "-5s", "1.5h", "5 m", "5M", "s", "1h ", "1s\n", "1" * 20 + "s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)


@given(st.integers(1, 10**12))
def test_a_rendered_duration_is_read_as_the_same(milliseconds: int) -> None:
    assert parse_duration(render_duration(milliseconds)) == milliseconds
