"""The table behind hashes and sets: what scans see while members come and go."""

from collections import Counter
from random import Random

import pytest

from ringkeeper.types.indexed import IndexedTable

MOST, LONGEST, LARGEST = 128, 255, 8192
"""How many members are packed, how long each of them or of their values may be, and all with their lengths."""


def filled(count: int) -> IndexedTable:
    table = IndexedTable(True)
    for number in range(count):
        table.put(b"%d" % number, b"%d" % number)
    return table


def change(table: IndexedTable, random: Random, gone: set[bytes]) -> None:
    """Remove some members and add some."""
    for _ in range(random.randrange(12)):
        if len(table):
            member = table.random(random)
            assert table.get(member) == member
            assert table.pop(member)
            gone.add(member)
    for _ in range(random.randrange(6)):
        number = random.randrange(1000, 100000)
        table.put(b"%d" % number, b"%d" % number)
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


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_it_is_a_dictionary_packed_and_in_rows(seed: int, paired: bool) -> None:
    random = Random(seed)
    table, model = IndexedTable(paired), dict[bytes, bytes | None]()
    names = random.choice([MOST // 4, MOST, MOST + 1, 4 * MOST])
    lengths = random.choice([[3], [3, 0, 64], [3, 100, 99], [3, LONGEST], [3, 10, LONGEST + 1], [300]])
    packed = True
    for step in range(1200):
        member = b"%0*d" % (random.choice(lengths), random.randrange(names))
        if random.random() < 0.6:
            value = bytes([step % 251]) * random.choice(lengths) if paired else None
            assert table.put(member, value) == (member not in model)
            model[member] = value
            packed = packed and len(model) <= MOST
            packed = packed and max(len(member), len(value or b"")) <= LONGEST and packed_size(model) <= LARGEST
        else:
            assert table.pop(member) == (member in model)
            model.pop(member, None)
        assert table.get(member) == model.get(member)
        assert (member in table) == (member in model)
        assert (table.rows is None) == packed
        assert table.memory == table.held()
        if step % 50 == 0:
            hold_against(table, model, random)
            hold_against(table.copy(), model, random)
    while table.shed(7):
        pass
    assert len(table) == 0


def packed_size(model: dict[bytes, bytes | None]) -> int:
    return sum(1 + len(member) + (0 if value is None else 1 + len(value)) for member, value in model.items())


def hold_against(table: IndexedTable, model: dict[bytes, bytes | None], random: Random) -> None:
    table.check()
    assert table.memory == table.held()
    assert len(table) == len(model)
    assert sorted(table) == sorted(model)
    assert table.rows is not None or table.listed() == list(model), "they are in the order in which they came"
    assert {member: table.get(member) for member in table.listed()} == model
    if table.paired:
        assert table.as_dict() == model
        assert dict(zip(table.listed(), table.all_values(), strict=True)) == model
    assert set(table.sample(random, 5)) <= model.keys()
    assert not model or table.random(random) in model
