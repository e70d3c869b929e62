"""Histograms of durations, against what redis-server 7.0.15 prints for such."""

import random

import pytest
from differential.in_process import InProcess

from ringkeeper.commands.durations import counter_of, cumulative, longest_counted, percentiles, shortest_counted
from ringkeeper.server.dispatch import DURATIONS


def histogram(*nanoseconds: int) -> list[int]:
    counts = [0] * DURATIONS
    for each in nanoseconds:
        counts[counter_of(each)] += 1
    return counts


def test_every_duration_falls_between_the_bounds_of_its_counter() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        duration = min(rng.getrandbits(rng.randrange(1, 31)), 10**9)
        index = counter_of(duration)
        assert shortest_counted(index) <= duration <= longest_counted(index)
        assert index < DURATIONS


def test_counters_follow_each_other_without_a_gap() -> None:
    assert all(shortest_counted(index + 1) == longest_counted(index) + 1 for index in range(DURATIONS - 1))
    assert all(counter_of(longest_counted(index)) == index for index in range(counter_of(10**9)))


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        ([], {}),
        ([0], {1: 1}),
        ([1031], {1: 1}),
        ([1032], {2: 1}),
        ([12_000, 9_000, 8_000], {8: 1, 16: 3}),
        ([28_000, 10_150_000], {33: 1, 16908: 2}),
        ([1_728_000, 1_730_000], {2113: 2}),
        ([10**9, 700_000_000, 300_000_000], {541065: 1, 1073741: 3}),
    ],
)
def test_latency_histogram_counts_by_doublings_where_the_number_grows(
    nanoseconds: list[int], expected: dict[int, int]
) -> None:
    assert cumulative(histogram(*nanoseconds)) == expected


def test_percentiles_are_the_upper_bounds_of_their_counters() -> None:
    counts = histogram(12_000)
    assert percentiles(counts, [50, 99, 99.9, 100]) == [12.031] * 4
    assert percentiles(counts, [0]) == [11.968]
    assert percentiles(histogram(28_000, 10_150_000), [99, 50]) == [10158.079, 28.031]
    assert percentiles(histogram(10**9), [99.9]) == [1002438.655]
    assert percentiles(counts, []) == []


def test_an_entry_counts_each_call_until_it_is_reset() -> None:
    peer = InProcess(2)
    peer.run([[b"SET", b"k", b"v"], [b"GET", b"k"], [b"GET", b"k"]])
    entries = {entry.command.name: entry for entry in peer.dispatcher.all()}
    assert sum(entries["get"].histogram()) == entries["get"].calls == 2
    assert sum(entries["set"].histogram()) == 1
    assert entries["del"].histogram() == []
    peer.dispatcher.counts_durations = False
    peer.run([[b"GET", b"k"]])
    assert sum(entries["get"].histogram()) == 2
    peer.dispatcher.reset_statistics()
    assert entries["get"].histogram() == []
