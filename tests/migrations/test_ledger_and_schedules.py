"""What is lost or doubled does not pass for what clients wrote."""

import pytest
from migrations.ledger import KINDS, Ledger
from migrations.schedules import OPERATOR, SETTINGS, TOLD_TO_END, schedule, setting
from process_faults import DEATH


def ledger(kind: str) -> Ledger:
    """Of a key with the numbers 1, 2 and 4 acknowledged, and without an answer for 3."""
    return Ledger("key", kind, [1, 2, 4], {3})


PLAIN = [kind for kind in KINDS if kind not in ("counter", "register")]


@pytest.mark.parametrize("kind", PLAIN)
def test_a_collection_has_what_was_acknowledged_and_may_have_the_rest(kind: str) -> None:
    for found in ([1, 2, 4], [1, 2, 3, 4], [1, 2, 4, 3]):
        assert (ledger(kind).lost(found), ledger(kind).wrong(found)) == (0, [])
    assert ledger(kind).lost([1, 3]) == 2
    assert ledger(kind).wrong([1, 2, 4, 5]) == ["key (3 acknowledged, 1 without an answer): nobody wrote [5]"]


@pytest.mark.parametrize("kind", ["list", "string"])
def test_numbers_that_are_there_twice_or_in_another_order_are_found(kind: str) -> None:
    assert "doubled [2]" in ledger(kind).wrong([1, 2, 2, 4])[0]
    assert "doubled [3]" in ledger(kind).wrong([1, 3, 2, 4, 3])[0]
    assert "out of order [2, 1, 4]" in ledger(kind).wrong([2, 1, 4])[0]


@pytest.mark.parametrize(("found", "lost", "is_wrong"), [(3, 0, False), (4, 0, False), (2, 1, False), (5, 0, True)])
def test_a_counter_counts_each_write_once(found: int, lost: int, is_wrong: bool) -> None:
    assert ledger("counter").lost([found]) == lost
    assert bool(ledger("counter").wrong([found])) == is_wrong


def test_a_register_has_the_last_write_or_one_without_an_answer() -> None:
    assert [ledger("register").lost(found) for found in ([4], [3], [2], [1], [])] == [0, 0, 1, 2, 3]
    assert ledger("register").wrong([5])


def test_a_seed_makes_the_same_schedule_again() -> None:
    assert str(schedule(17)) == str(schedule(17))
    assert str(schedule(17)) != str(schedule(18))


def test_at_most_one_node_ends() -> None:
    deaths = [
        sum(trouble.name in (DEATH, TOLD_TO_END) and trouble.target != OPERATOR for trouble in schedule(seed).troubles)
        for seed in range(500)
    ]
    assert set(deaths) == {0, 1}
    assert [schedule(seed).deadly for seed in range(500)] == [count > 0 for count in deaths]


def test_every_setting_has_its_turn() -> None:
    assert {setting(seed) for seed in range(30)} == set(SETTINGS)
