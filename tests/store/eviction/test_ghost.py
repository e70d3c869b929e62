"""The ghost remembers as many keys as it should, takes hardly any for another, and may change its size at any time."""

from __future__ import annotations

import random
from collections import OrderedDict

import pytest
from eviction_models import ident_of

from ringkeeper.store.eviction.ghost import Ghost


def sized(capacity: int) -> Ghost:
    ghost = Ghost()
    while ghost.fit(capacity):
        pass
    return ghost


@pytest.mark.parametrize("capacity", [1, 5, 64, 100, 1_000, 5_000])
def test_the_last_keys_are_remembered_and_no_others(capacity: int) -> None:
    ghost = sized(capacity)
    idents = [ident_of(number) for number in range(3 * capacity + 50)]
    for ident in idents:
        ghost.add(ident)
    recent = [ghost.take(ident) for ident in idents[-(capacity - capacity // 32) :]]
    old = [ghost.take(ident) for ident in idents[: len(idents) - capacity - capacity // 32]]
    assert sum(recent) >= len(recent) * 0.97
    assert sum(old) <= len(old) * 0.002
    ghost.check()


def test_a_key_is_taken_once() -> None:
    ghost = sized(100)
    ghost.add(7)
    ghost.add(7)
    assert ghost.take(7)
    assert not ghost.take(7)


def test_keys_that_are_taken_out_leave_the_others_more_time() -> None:
    """As in a FIFO of which they are removed."""
    randomness = random.Random(1)
    ghost = sized(1_000)
    exact: OrderedDict[int, None] = OrderedDict()
    agreed = asked = 0
    for number in range(30_000):
        exact[ident_of(number)] = None
        ghost.add(ident_of(number))
        if len(exact) > 1_000:
            exact.popitem(last=False)
        if number % 2:
            ident = ident_of(number - randomness.randrange(1, 2_500))
            there = exact.pop(ident, 0) is None
            asked += 1
            agreed += ghost.take(ident) == there
    assert agreed >= asked * 0.985


def test_strangers_are_hardly_ever_taken_for_what_was_added() -> None:
    ghost = sized(5_000)
    for number in range(5_000):
        ghost.add(ident_of(number))
    assert sum(ghost.take(ident_of(number)) for number in range(100_000, 130_000)) <= 30


@pytest.mark.parametrize("capacity", [3_000, 10_000])
def test_what_is_remembered_stays_so_while_the_ghost_grows_and_shrinks(capacity: int) -> None:
    ghost = sized(2_000)
    for number in range(2_000):
        ghost.add(ident_of(number))
    steps = 0
    while ghost.fit(capacity):
        ghost.check()
        steps += 1
    assert steps == capacity // 13 - 2_000 // 13
    while ghost.fit(1_990):
        ghost.check()
    assert sum(ghost.take(ident_of(number)) for number in range(200, 2_000)) >= 1_800 * 0.97


def test_an_empty_one_remembers_nothing() -> None:
    ghost = sized(0)
    ghost.add(7)
    assert not ghost.take(7)


def test_it_takes_four_and_a_half_bytes_a_key_and_gives_them_back() -> None:
    ghost = sized(200_000)
    assert 64 / 13 * 200_000 <= ghost.memory <= 64 / 13 * 200_000 + 65_536 * 1.1
    while ghost.fit(10):
        pass
    assert ghost.memory <= 1_000
