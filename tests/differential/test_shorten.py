"""Which items are left."""

import math
import time

import pytest
from differential.shorten import shortened


@pytest.mark.parametrize("needed", [{7}, {0, 99}, {3, 4, 5}, {10, 50, 51, 90}, set(range(0, 100, 9)), set()], ids=str)
def test_what_does_not_matter_is_left_out(needed: set[int]) -> None:
    assert set(shortened(list(range(100)), lambda part: needed <= set(part), math.inf)) == needed


def test_what_does_not_fail_again_stays() -> None:
    assert shortened([1, 2, 3], lambda _: False, math.inf) == [1, 2, 3]


def test_the_deadline_ends_it() -> None:
    assert shortened([1, 2, 3], lambda _: True, time.monotonic()) == [1, 2, 3]
