"""The table behind hashes and sets: what scans see while members come and go."""

from collections import Counter
from random import Random

import pytest

from ringkeeper.types.indexed import SMALL, IndexedTable


def filled(count: int) -> IndexedTable:
    table = IndexedTable()
    for number in range(count):
        table.put(b"%d" % number, number)
    return table


def change(table: IndexedTable, random: Random, gone: set[bytes]) -> None:
    """Remove some members and add some."""
    for _ in range(random.randrange(12)):
        if len(table):
            member = table.random(random)
            assert table.pop(member) == int(member)
            gone.add(member)
    for _ in range(random.randrange(6)):
        number = random.randrange(1000, 100000)
        table.put(b"%d" % number, number)
    table.check()


@pytest.mark.parametrize("seed", range(30))
def test_a_scan_sees_every_member_that_stays_exactly_once(seed: int) -> None:
    random = Random(seed)
    table = filled(300)
    gone: set[bytes] = set()
    seen: Counter[bytes] = Counter()
    cursor, members = table.scan(0, 7)
    seen.update(members)
    while cursor:
        change(table, random, gone)
        cursor, members = table.scan(cursor, 7)
        seen.update(members)
    stayed = {b"%d" % number for number in range(300)} - gone
    assert {seen[member] for member in stayed} == {1}


@pytest.mark.parametrize("seed", range(30))
def test_scans_beside_each_other_miss_nothing_that_stays(seed: int) -> None:
    random = Random(seed)
    table = filled(300)
    gone: set[bytes] = set()
    scans: list[tuple[int, set[bytes]]] = [(0, set()) for _ in range(3)]
    waiting = list(range(3))
    while waiting:
        which = random.choice(waiting)
        cursor, seen = scans[which]
        cursor, members = table.scan(cursor, random.randrange(1, 20))
        scans[which] = cursor, seen | set(members)
        if cursor == 0:
            waiting.remove(which)
        change(table, random, gone)
    stayed = {b"%d" % number for number in range(300)} - gone
    assert all(stayed <= seen for _, seen in scans)


@pytest.mark.parametrize("seed", range(10))
def test_it_is_a_dictionary_with_a_row_and_without(seed: int) -> None:
    random = Random(seed)
    table, model = IndexedTable(), dict[bytes, int]()
    names = random.choice([SMALL, 2 * SMALL, 4 * SMALL])
    most = 0
    for step in range(600):
        member = b"%d" % random.randrange(names)
        if random.random() < 0.6:
            assert table.put(member, step) == model.get(member)
            model[member] = step
        else:
            assert table.pop(member) == model.pop(member, None)
        most = max(most, len(model))
        assert table.get(member) == model.get(member)
        assert (member in table) == (member in model)
        if step % 50 == 0:
            for each in (table, table.copy()):
                each.check()
                assert each.as_dict() == model
                assert dict(zip(each.listed(), each.all_values(), strict=True)) == model
                assert sorted(each) == sorted(model)
            assert set(table.sample(random, 5)) <= model.keys()
            assert not model or table.random(random) in model
    assert (table.members is None) == (most <= SMALL)
    while table.shed(7):
        pass
    assert len(table) == 0
