"""The sketch counts as a dictionary does, up to 15; it ages, and may change its size at any time."""

from __future__ import annotations

from collections import Counter

import pytest
from eviction_models import ident_of, zipf

from ringkeeper.store.eviction.sketch import Sketch


def sized(count: int) -> Sketch:
    sketch = Sketch()
    while sketch.fit(count):
        pass
    return sketch


def test_counts_are_never_too_low_and_seldom_too_high() -> None:
    sketch = sized(2_000)
    counts: Counter[int] = Counter()
    for ident in zipf(2_000, 15_000, 0.8, seed=1):
        sketch.add(ident)
        counts[ident] += 1
    assert sketch.epoch == 0
    errors = [sketch.estimate(ident) - min(count, 15) for ident, count in counts.items()]
    assert min(errors) == 0
    assert sum(error > 1 for error in errors) <= len(errors) * 0.05
    assert sum(sketch.estimate(ident_of(number)) > 1 for number in range(10_000, 12_000)) <= 2_000 * 0.1


def test_all_counts_are_halved_after_ten_additions_a_key() -> None:
    sketch = sized(1_000)
    for _ in range(13):
        sketch.add(7)
    for number in range(9_900):
        sketch.add(ident_of(number % 1_000 + 1_000))
    assert sketch.epoch == 0
    before = sketch.estimate(7)
    assert before >= 13
    for number in range(200):
        sketch.add(ident_of(number + 1_000))
    assert sketch.epoch == 1
    assert sketch.estimate(7) == before // 2


def test_what_nobody_uses_any_more_comes_down_to_nothing() -> None:
    sketch = sized(100)
    for _ in range(15):
        sketch.add(7)
    for number in range(6_000):
        sketch.add(ident_of(number))
    assert sketch.epoch >= 5
    assert sketch.estimate(7) <= 3


def test_a_full_counter_stays_full_and_does_not_make_time_pass() -> None:
    sketch = sized(1_000)
    for _ in range(20_000):
        sketch.add(7)
    assert sketch.estimate(7) == 15
    assert sketch.epoch == 0


@pytest.mark.parametrize("larger", [300, 1_000, 5_000])
def test_counts_survive_growing_and_shrinking(larger: int) -> None:
    sketch = sized(200)
    counts = {ident_of(number): number % 9 + 1 for number in range(200)}
    for ident, count in counts.items():
        for _ in range(count):
            sketch.add(ident)
    for size in (larger, 200, 20):
        while sketch.fit(size):
            sketch.check()
            assert all(sketch.estimate(ident) >= count for ident, count in list(counts.items())[:20])
        assert all(sketch.estimate(ident) >= count for ident, count in counts.items())


def test_lines_that_have_not_aged_yet_do_so_before_they_are_merged() -> None:
    sketch = sized(2_000)
    old = [ident_of(number) for number in range(800)]
    for ident in old:
        for _ in range(12):
            sketch.add(ident)
    assert sketch.epoch == 0
    sketch.fit(1)
    # From now on, ten additions are an epoch, and only the lines of these keys know of it.
    for number in range(2_000):
        sketch.add(ident_of(100_000 + number % 20))
    assert sketch.epoch > 20
    for _ in range(150):
        sketch.fit(1)
        sketch.check()
    assert sum(sketch.estimate(ident) > 0 for ident in old) <= len(old) * 0.02


def test_it_takes_six_and_a_half_bytes_a_key_and_gives_them_back() -> None:
    sketch = sized(200_000)
    assert 6.4 * 200_000 <= sketch.memory <= 6.4 * 200_000 + 65_536 * 1.1
    while sketch.fit(10):
        pass
    assert sketch.memory <= 2_200
