"""A sorted set against its plain form, step by step: packed, and with trees of few and of many entries a node."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ringkeeper.types.collection import Limits
from ringkeeper.types.zset import ADDED, UNCHANGED, UPDATED, SortedSet
from ringkeeper.types.zset_plain import PlainSortedSet
from ringkeeper.types.zset_tree import FLAT, MEMBERS, PAIRS, TUPLES, WIDTH, CountedTree

MEMBERS_OF_ALL_KINDS = st.one_of(
    st.integers(0, 60).map(lambda number: b"%d" % number),
    st.sampled_from([b"", b"\0", b"\xff", b"\xff\xff", b"a", b"ab", b"a\0", b"l" * 64, b"l" * 65, b"l" * 255]),
    st.binary(max_size=3),
)
SCORES = st.one_of(
    st.integers(-3, 3).map(float),
    st.sampled_from([0.0, -0.0, math.inf, -math.inf, 5e-324, 1.7e308, 0.1, 2.0**53]),
    st.sampled_from(
        [float(sign * 2**bits + more) for sign in (1, -1) for bits in (7, 8, 15, 16, 31) for more in (-1, 0)]
    ),
    st.floats(allow_nan=False),
)
FORMS = st.sampled_from([MEMBERS, FLAT, PAIRS, TUPLES])
LITTLE_ROOM = Limits(zset_max_listpack_entries=8, zset_max_listpack_value=64)
NO_ROOM = Limits(zset_max_listpack_entries=0)
MOST, LONGEST, LARGEST = 128, 255, 8192
"""How many members are packed, how long each may be, and all with their scores and the lengths of both."""


def large(limits: Limits, width: int = WIDTH) -> SortedSet:
    """One that is not packed although it is empty."""
    made = SortedSet(limits)
    made.form_index(width)
    return made


def the_same(found: object, expected: object) -> bool:
    """Also as to the sign of zero."""
    return repr(found) == repr(expected)


class AgainstThePlainForm(RuleBasedStateMachine):
    @initialize(width=st.sampled_from([0, 4, 5, 8, WIDTH]), limits=st.sampled_from([LITTLE_ROOM, NO_ROOM, Limits()]))
    def begin(self, width: int, limits: Limits) -> None:
        self.set = large(limits, width) if width else SortedSet(limits)
        self.plain = PlainSortedSet(limits)

    @rule(member=MEMBERS_OF_ALL_KINDS, score=SCORES)
    def add(self, member: bytes, score: float) -> None:
        assert self.set.add(member, score) == self.plain.add(member, score)

    @rule(first=st.integers(0, 1000), count=st.integers(1, 40), score=SCORES, step=st.sampled_from([0.0, 1.0, -1.0]))
    def add_many(self, first: int, count: int, score: float, step: float) -> None:
        for i in range(count):
            self.add(b"%d" % (first + i), score + i * step)

    @rule(member=MEMBERS_OF_ALL_KINDS)
    def remove(self, member: bytes) -> None:
        assert self.set.remove(member) == self.plain.remove(member)

    @rule(data=st.data(), count=st.integers(1, 30))
    def remove_some_that_are_here(self, data: st.DataObject, count: int) -> None:
        for _ in range(min(count, len(self.plain))):
            self.remove(self.plain.at(data.draw(st.integers(0, len(self.plain) - 1)))[0])

    @rule(data=st.data())
    def remove_range(self, data: st.DataObject) -> None:
        start, stop = self.interval(data)
        self.set.remove_range(start, stop)
        self.plain.remove_range(start, stop)

    @rule(data=st.data(), count=st.integers(1, 3), highest=st.booleans())
    def pop(self, data: st.DataObject, count: int, highest: bool) -> None:  # noqa: ARG002
        length = len(self.plain)
        count = min(count, length)
        start, stop = (length - count, length) if highest else (0, count)
        assert self.set.range(start, stop, PAIRS) == self.plain.range(start, stop, PAIRS)
        self.set.remove_range(start, stop)
        self.plain.remove_range(start, stop)

    @rule(data=st.data(), form=FORMS)
    def read_a_range(self, data: st.DataObject, form: int) -> None:
        start, stop = self.interval(data)
        assert the_same(self.set.range(start, stop, form), self.plain.range(start, stop, form))

    def interval(self, data: st.DataObject) -> tuple[int, int]:
        start = data.draw(st.integers(0, len(self.plain)))
        return start, data.draw(st.integers(start, len(self.plain)))

    @rule(member=MEMBERS_OF_ALL_KINDS, score=SCORES, after=st.booleans())
    def ask(self, member: bytes, score: float, after: bool) -> None:
        assert the_same(self.set.score(member), self.plain.score(member))
        assert (member in self.set) == (member in self.plain)
        assert self.set.rank(member) == self.plain.rank(member)
        assert self.set.rank_of_score(score, after) == self.plain.rank_of_score(score, after)
        if len(set(self.plain.scores.values())) < 2:
            assert self.set.rank_of_member(member, after) == self.plain.rank_of_member(member, after)

    @rule(count=st.integers(1, 200), longest=st.integers(0, 100))
    def expect(self, count: int, longest: int) -> None:
        self.set.expect(count, longest)
        self.plain.expect(count, longest)

    @rule(width=st.sampled_from([4, 5, WIDTH]))
    def form_an_index(self, width: int) -> None:
        self.set.form_index(width)

    @rule()
    def go_on_with_a_copy(self) -> None:
        old, self.set = self.set, self.set.copy()
        old.add(b"only in the old one", 1.0)
        old.remove_range(0, len(old))
        old.check()

    @invariant()
    def all_is_as_in_the_plain_form(self) -> None:
        self.set.check()
        self.plain.check()
        assert the_same(list(self.set.items()), list(self.plain.items()))
        assert list(self.set) == list(self.plain)
        assert len(self.set) == len(self.plain)
        assert self.set.encoding == self.plain.encoding


TestAgainstThePlainForm = AgainstThePlainForm.TestCase
TestAgainstThePlainForm.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("width", [4, 7, WIDTH])
def test_thousands_of_members_come_change_and_go(width: int) -> None:
    randomness = random.Random(width)
    found, plain = large(NO_ROOM, width), PlainSortedSet(NO_ROOM)
    for phase in (0.9, 0.5, 0.1, 0.8, 0.0):
        for _ in range(4000):
            member = b"%d" % randomness.randrange(3000)
            if randomness.random() < phase:
                score = randomness.choice([float(randomness.randrange(50)), randomness.uniform(-50, 50)])
                assert found.add(member, score) == plain.add(member, score)
            else:
                assert found.remove(member) == plain.remove(member)
        found.check()
        assert list(found.items()) == list(plain.items())
        assert [found.rank(member) for member in plain] == list(range(len(plain)))


@pytest.mark.parametrize("step", [1, -1])
def test_members_that_come_in_order_fill_their_nodes(step: int) -> None:
    found = large(NO_ROOM, 8)
    for i in range(1000)[::step]:
        assert found.add(b"%d" % i, float(i)) == ADDED
    found.check()
    assert found.range(500, 503, FLAT) == [b"500", 500.0, b"501", 501.0, b"502", 502.0]
    for i in range(1000)[::step]:
        assert found.add(b"%d" % i, float(i)) == UNCHANGED
        assert found.add(b"%d" % i, i + 0.5) == UPDATED
    found.check()
    assert found.at(999) == (b"999", 999.5)


def test_a_score_is_a_number() -> None:
    found = SortedSet(Limits())
    with pytest.raises(ValueError, match="NaN"):
        found.add(b"member", math.nan)
    assert len(found) == 0
    found.check()


def test_the_sign_of_zero_is_lost_while_the_set_is_compact() -> None:
    for found, zero in (
        (SortedSet(Limits()), 0.0),
        (large(Limits()), 0.0),
        (SortedSet(NO_ROOM), -0.0),
        (large(NO_ROOM), -0.0),
    ):
        found.add(b"member", -0.0)
        found.add(b"other", 1.0)
        found.add(b"other", -0.0)
        assert the_same(list(found.items()), [(b"member", zero), (b"other", zero)])
        assert the_same(found.score(b"other"), zero)


def test_the_encoding_changes_behind_the_limits_and_never_back() -> None:
    found = SortedSet(Limits())
    for i in range(128):
        found.add(b"%d" % i, 0.0)
    assert found.encoding == "listpack"
    found.add(b"one more", 0.0)
    assert found.encoding == "skiplist"
    found.remove_range(1, len(found))
    assert found.encoding == found.copy().encoding == "skiplist"
    found = SortedSet(Limits())
    found.add(b"x" * 64, 0.0)
    assert found.encoding == "listpack"
    found.add(b"x" * 65, 0.0)
    assert found.encoding == "skiplist"


def test_a_scan_meets_every_member_that_stays_although_others_come_and_go() -> None:
    randomness = random.Random(1)
    found = SortedSet(NO_ROOM)
    stay = {b"stay:%d" % i for i in range(200)}
    for member in stay | {b"go:%d" % i for i in range(400)}:
        found.add(member, randomness.random())
    met: set[bytes] = set()
    cursor, calls = 0, 0
    while True:
        cursor, members = found.scan(cursor, 10)
        assert len(members) <= 10
        met.update(members)
        calls += 1
        for _ in range(4):
            found.remove(b"go:%d" % randomness.randrange(400))
        found.add(b"new:%d" % calls, 0.0)
        if cursor == 0:
            break
    assert stay <= met
    assert calls <= 60


def test_a_compact_set_is_scanned_whole_and_in_order() -> None:
    found = SortedSet(Limits())
    for i in range(100):
        found.add(b"%03d" % i, float(-i))
    assert found.scan(0, 1) == (0, [b"%03d" % i for i in range(99, -1, -1)])


def test_random_members_are_members() -> None:
    randomness = random.Random(2)
    for found in (SortedSet(NO_ROOM), large(NO_ROOM)):
        for i in range(50):
            found.add(b"%d" % i, 0.0)
        assert {found.random(randomness) for _ in range(2000)} == set(found)
        assert len(set(found.sample(randomness, 20))) == 20
        assert sorted(found.sample(randomness, 51)) == sorted(found)


def test_many_members_are_packed_no_longer() -> None:
    found, plain = SortedSet(Limits()), PlainSortedSet(Limits())
    for i in range(MOST + 40):
        assert (found.indexed is None) == (i <= MOST)
        assert found.add(b"%d" % i, i * 37 % 50) == plain.add(b"%d" % i, i * 37 % 50)
        found.check()
        assert list(found.items()) == list(plain.items())
    found.remove_range(1, len(found))
    assert found.indexed is not None, "once is for good"
    found.check()


def test_a_long_member_is_not_packed() -> None:
    found = SortedSet(NO_ROOM)
    found.add(b"x" * LONGEST, 1.0)
    assert found.indexed is None
    found.add(b"y" * (LONGEST + 1), 0.5)
    assert found.indexed is not None
    assert list(found.items()) == [(b"y" * (LONGEST + 1), 0.5), (b"x" * LONGEST, 1.0)]
    found.check()


@pytest.mark.parametrize("score", [0.0, 0.1])
def test_large_members_are_packed_as_long_as_there_is_room_for_any_score_of_theirs(score: float) -> None:
    found = SortedSet(NO_ROOM)
    size = 0
    for i in range(50):
        member = b"%0*d" % (190 + i, i)
        size += 1 + len(member) + 9
        assert found.add(member, score) == ADDED
        found.check()
        assert (found.indexed is None) == (size <= LARGEST)
        size -= 0 if score else 8
    assert found.range(0, 50) == sorted(b"%0*d" % (190 + i, i) for i in range(50))


def test_a_score_that_takes_more_bytes_may_be_one_too_many() -> None:
    found = SortedSet(NO_ROOM)
    room = LARGEST
    while room > 300:
        found.add(b"%0250d" % room, 0.0)
        room -= 252
    found.add(b"x" * (room - 10), 0.0)
    assert found.indexed is None
    last = found.at(0)[0]
    assert found.add(last, 0.1) == UPDATED
    assert found.indexed is None
    found.check()
    assert found.add(b"x" * (room - 10), 0.1) == UPDATED
    assert found.indexed is not None
    found.check()
    assert {score for _, score in found.items()} == {0.0, 0.1}


def test_a_large_set_is_let_go_of_in_steps() -> None:
    found = large(NO_ROOM, 8)
    for i in range(1000):
        found.add(b"%d" % i, float(i))
    assert [found.shed(300) for _ in range(5)] == [300, 300, 300, 100, 0]
    assert len(found) == 0


def test_what_has_shrunk_gives_its_memory_back() -> None:
    found = SortedSet(NO_ROOM)
    for i in range(10_000):
        found.add(b"%d" % i, float(i))
    found.remove_range(10, 10_000)
    found.check()  # asserts how large the index may be
    assert list(found) == [b"%d" % i for i in range(10)]


def test_an_empty_tree_has_nothing() -> None:
    tree = CountedTree()
    assert tree.range(0, 0, MEMBERS) == []
    assert tree.rank(1.0, b"m", True) == 0
    tree.remove_range(0, 0)
    assert tree.check() == []
