"""A list against Python's own, step by step; how it is cut into chunks; the sizes that decide about its encoding."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ringkeeper.types.collection import Limits
from ringkeeper.types.list import List

ELEMENTS = st.one_of(
    st.sampled_from([b"a", b"b", b"", b"7", b"-1", b"01"]),
    st.integers(-(2**64), 2**64).map(lambda number: b"%d" % number),
    st.sampled_from([60, 254, 255, 256, 500, 2000, 4000, 4090, 8184, 8193]).map(lambda length: b"x" * length),
)
INDEXES = st.integers(-12, 12) | st.sampled_from([-(2**63), 2**63 - 1])
ENDS = st.booleans()
LIMITS = st.sampled_from([-2, -1, 1, 3, 8])


class AgainstAPlainList(RuleBasedStateMachine):
    """`model` holds the elements."""

    @initialize(limit=LIMITS)
    def begin(self, limit: int) -> None:
        self.limits = Limits(list_max_listpack_size=limit)
        self.list = List(self.limits)
        self.model: list[bytes] = []

    @rule(elements=st.lists(ELEMENTS, min_size=1, max_size=12), left=ENDS)
    def push(self, elements: list[bytes], left: bool) -> None:
        self.list.push(elements, left)
        self.model = elements[::-1] + self.model if left else self.model + elements

    @rule(left=ENDS)
    def pop(self, left: bool) -> None:
        if self.model:
            assert self.list.pop(left) == self.model.pop(0 if left else -1)

    @rule(count=st.integers(0, 9), left=ENDS)
    def pop_many(self, count: int, left: bool) -> None:
        expected = [self.model.pop(0 if left else -1) for _ in range(min(count, len(self.model)))]
        assert self.list.pop_many(count, left) == expected

    @rule(left=ENDS)
    def drop_end(self, left: bool) -> None:
        if self.model:
            self.list.drop_end(left)
            self.model.pop(0 if left else -1)

    @rule(from_left=ENDS, to_left=ENDS)
    def rotate(self, from_left: bool, to_left: bool) -> None:
        if self.model:
            element = self.model.pop(0 if from_left else -1)
            assert self.list.rotate(from_left, to_left) == element
            self.model.insert(0 if to_left else len(self.model), element)

    @rule(start=INDEXES, stop=INDEXES)
    def read(self, start: int, stop: int) -> None:
        expected = [self.model[i] for i in self.between(start, stop)]
        assert self.list.range(start, stop) == expected
        bulks = b"".join([b"$%d\r\n%b\r\n" % (len(each), each) for each in expected])
        assert self.list.bulks(start, stop) == (len(expected), bulks)
        there = -len(self.model) <= start < len(self.model)
        assert self.list.get(start) == (self.model[start] if there else None)

    def between(self, start: int, stop: int) -> range:
        length = len(self.model)
        start = max(start + length, 0) if start < 0 else start
        stop = stop + length if stop < 0 else min(stop, length - 1)
        return range(start, stop + 1)

    @rule(start=st.integers(0, 3), stop=st.integers(-4, -1))
    def trim_a_little(self, start: int, stop: int) -> None:
        self.trim(start, stop)

    @rule(start=INDEXES, stop=INDEXES)
    def trim(self, start: int, stop: int) -> None:
        kept = [self.model[i] for i in self.between(start, stop)]
        assert self.list.trim(start, stop) == len(self.model) - len(kept)
        self.model = kept

    @rule(index=INDEXES, element=ELEMENTS)
    def set(self, index: int, element: bytes) -> None:
        there = -len(self.model) <= index < len(self.model)
        assert self.list.set(index, element) == there
        if there:
            self.model[index] = element

    @rule(pivot=ELEMENTS, element=ELEMENTS, after=ENDS)
    def insert(self, pivot: bytes, element: bytes, after: bool) -> None:
        assert self.list.insert(pivot, element, after) == (pivot in self.model)
        if pivot in self.model:
            self.model.insert(self.model.index(pivot) + after, element)

    @rule(at=st.integers(0, 30), element=ELEMENTS, after=ENDS)
    def insert_somewhere(self, at: int, element: bytes, after: bool) -> None:
        if self.model:
            self.insert(self.model[at % len(self.model)], element, after)

    @rule(element=ELEMENTS, count=INDEXES)
    def remove(self, element: bytes, count: int) -> None:
        places = [i for i, each in enumerate(self.model) if each == element]
        if count:
            places = places[:count] if count > 0 else places[count:]
        assert self.list.remove(element, count) == len(places)
        self.model = [each for i, each in enumerate(self.model) if i not in places]

    @rule(element=ELEMENTS, rank=INDEXES, count=st.integers(0, 3), most=st.integers(0, 12) | st.just(2**63 - 1))
    def positions(self, element: bytes, rank: int, count: int, most: int) -> None:
        if rank in (0, -(2**63)):
            return
        order = list(range(len(self.model)))[:: 1 if rank > 0 else -1]
        found = [i for i in order[: most or None] if self.model[i] == element][abs(rank) - 1 :]
        assert self.list.positions(element, rank, count, most) == found[: count or None]

    @rule()
    def go_on_with_a_copy(self) -> None:
        original, self.list = self.list, self.list.copy()
        original.push([b"not in the copy"], True)
        original.check()

    @rule(limit=LIMITS)
    def change_the_limit(self, limit: int) -> None:
        self.limits.list_max_listpack_size = limit

    @invariant()
    def is_what_the_model_is(self) -> None:
        self.list.check()
        assert list(self.list) == self.model
        assert len(self.list) == len(self.model)

    @rule(count=st.integers(1, 3), length=st.sampled_from([1, 10, 300]), left=ENDS)
    def push_enough_to_fill_chunks(self, count: int, length: int, left: bool) -> None:
        self.push([b"%0*d" % (length, number) for number in range(count * 4000 // (length + 4))], left)


AgainstAPlainList.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAgainstAPlainList = AgainstAPlainList.TestCase


@pytest.mark.parametrize(
    ("element", "size"),
    [
        (b"0", 2), (b"127", 2), (b"128", 3), (b"-1", 3), (b"-4096", 3), (b"4095", 3), (b"4096", 4), (b"-4097", 4),
        (b"32767", 4), (b"32768", 5), (b"-8388608", 5), (b"8388608", 6), (b"2147483647", 6), (b"2147483648", 10),
        (b"-9223372036854775808", 10), (b"9223372036854775807", 10), (b"9223372036854775808", 21), (b"-", 3),
        (b"-0", 4), (b"01", 4), (b"", 2), (b"x" * 63, 65), (b"x" * 64, 67), (b"x" * 125, 128), (b"x" * 126, 130),
        (b"x" * 4095, 4099), (b"x" * 4096, 4103), (b"1x", 4),
    ],
)  # fmt: skip
def test_an_element_is_as_long_as_in_a_listpack(element: bytes, size: int) -> None:
    found = List(Limits(list_max_listpack_size=-5))
    found.push([element], False)
    assert found.chunks[0].size == 7 + size


def test_the_encoding_follows_the_limit_and_comes_back_at_half_of_it() -> None:
    found = List(Limits(list_max_listpack_size=8))
    found.push([b"a"] * 8, False)
    assert found.encoding == "listpack"
    found.push([b"a"], False)
    assert found.encoding == "quicklist"
    found.pop_many(4, True)
    assert (len(found), found.encoding) == (5, "quicklist")
    found.pop(True)
    assert (len(found), found.encoding) == (4, "quicklist"), "there are two chunks"
    found.pop(False)
    assert (len(found), found.encoding) == (3, "listpack")


def test_the_middle_of_a_million_is_reached_past_whole_chunks() -> None:
    found = List(Limits())
    found.push([b"%07d" % number for number in range(100_000)], False)
    assert len(found.chunks) < 200
    assert found.get(50_000) == b"0050000"
    assert found.range(99_990, 99_999) == [b"%07d" % number for number in range(99_990, 100_000)]
    assert found.insert(b"0050000", b"x", False)
    found.check()


def attempt(number: int, call: Callable[..., Any], *arguments: object) -> bool:
    """Whether a call came to its end although its allocation of this number, counted from 1, failed."""
    testing = pytest.importorskip("_testcapi")
    testing.set_nomemory(number, number + 1)
    try:
        call(*arguments)
    except MemoryError:
        return False
    finally:
        testing.remove_mem_hooks()
    return True


@pytest.mark.compiled_only
@pytest.mark.parametrize("limit", [-2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_a_list_is_as_it_was_where_memory_is_short(limit: int, seed: int) -> None:
    randomness = random.Random(seed)
    found = List(Limits(list_max_listpack_size=limit))
    failures = 0
    for turn in range(4000):
        elements = [
            b"%0*d" % (randomness.choice([2, 10, 300, 4000, 9000]), i) for i in range(randomness.randrange(1, 9))
        ]
        before = list(found)
        encoding = found.encoding
        pivot = before[randomness.randrange(len(before))] if before else b""
        left = turn % 2 == 0
        calls: list[tuple[Any, ...]] = [(found.push, elements, left)]
        if before:
            calls += [
                (found.insert, pivot, elements[0], left), (found.set, randomness.randrange(len(before)), elements[0]),
                (found.rotate, left, turn % 3 == 0), (found.pop, left), (found.pop_many, 3, left), (found.copy,),
            ]  # fmt: skip
        call = randomness.choice(calls if len(before) < 40 else calls[1:])
        if not attempt(randomness.randrange(1, 8), *call):
            failures += 1
            assert list(found) == before
            assert found.encoding == encoding
        found.check()
    assert failures > 200


def test_elements_that_come_together_may_be_more_than_one_chunk_holds() -> None:
    found = List(Limits())
    found.begin_filling()
    elements = [b"%0200d" % number for number in range(10_000)]
    found.add_chunk(elements, False)
    found.end_filling()
    found.check()
    assert list(found) == elements
    assert len(found.chunks) == 2
    assert found.encoding == "quicklist"
