"""The longest declared prefix of a key: against a naive search, and by the count of steps with 10,000 of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.store.namespaces import LONGEST_PREFIX, MOST_NAMESPACES, NO_NAMESPACES, Namespace, Namespaces

SIBLINGS_LOOKED_AT = 8
"""Bisection of 256 takes no more."""

WORDS = st.one_of(st.binary(max_size=6), st.text("ab:", max_size=8).map(str.encode), st.binary(max_size=LONGEST_PREFIX))
PREFIXES = st.lists(WORDS.filter(bool), unique=True, max_size=40)


def naive(prefixes: Sequence[bytes], key: bytes) -> int:
    fitting = [(len(prefix), number) for number, prefix in enumerate(prefixes, 1) if key.startswith(prefix)]
    return max(fitting, default=(0, 0))[1]


def declared(*prefixes: bytes) -> Namespaces:
    return Namespaces([Namespace(prefix) for prefix in prefixes])


@settings(max_examples=500)
@given(prefixes=PREFIXES, data=st.data())
def test_the_longest_prefix_wins(prefixes: list[bytes], data: st.DataObject) -> None:
    namespaces = declared(*prefixes)
    namespaces.check()
    near = st.sampled_from(prefixes) if prefixes else WORDS
    keys = data.draw(st.lists(st.one_of(WORDS, st.tuples(near, WORDS).map(b"".join), near.map(lambda it: it[:-1]))))
    for key in keys:
        assert namespaces.match(key) == naive(prefixes, key)


def test_overlapping_prefixes_are_told_apart() -> None:
    namespaces = declared(b"user:", b"u", b"user:admin:", b"us", b"\xff")
    for key, number in {
        b"": 0, b"x": 0, b"u": 2, b"ub": 2, b"us": 4, b"user": 4, b"user:": 1, b"user:1": 1, b"user:admin": 1,
        b"user:admin:": 3, b"user:admin:9": 3, b"\xff\xff": 5, b"\xfe": 0, b"U": 0,
    }.items():  # fmt: skip
        assert namespaces.match(key) == number, key


def test_without_namespaces_nothing_is_looked_at() -> None:
    assert NO_NAMESPACES.match(b"anything") == NO_NAMESPACES.match(b"") == 0
    assert NO_NAMESPACES.steps == 0
    one = declared(b"a")
    assert one.match(b"b" * 1000) == 0
    assert one.steps == 0


@pytest.mark.parametrize(
    "prefixes",
    [
        [b"tenant:%d:" % number for number in range(MOST_NAMESPACES)],
        [b"%05d" % number for number in range(MOST_NAMESPACES)],
        [b"a" * number for number in range(1, LONGEST_PREFIX + 1)],
        [number.to_bytes(2, "big") + b"/" for number in range(MOST_NAMESPACES)],
    ],
    ids=["nested numbers", "numbers", "each the beginning of the next", "binary"],
)
def test_steps_are_bounded_by_the_length_of_the_key_not_by_the_number_of_namespaces(prefixes: list[bytes]) -> None:
    namespaces = declared(*prefixes)
    keys = [*prefixes[::37], prefixes[-1], *(prefix + b"tail" * 100 for prefix in prefixes[::101])]
    keys += [key[:-1] + b"\x00" for key in prefixes[::103]]
    for key in keys:
        before = namespaces.steps
        number = namespaces.match(key)
        length = min(len(key), LONGEST_PREFIX)
        assert namespaces.steps - before <= length * (1 + SIBLINGS_LOOKED_AT)
        assert number == 0 or key.startswith(prefixes[number - 1])
    namespaces.check()


def test_a_long_key_costs_no_more_than_the_prefix_that_it_has() -> None:
    namespaces = declared(*(b"tenant:%d:" % number for number in range(MOST_NAMESPACES)))
    namespaces.match(b"tenant:77:")
    short, before = namespaces.steps, namespaces.steps
    assert namespaces.match(b"tenant:77:" + b"x" * 100_000) == 78
    assert namespaces.steps - before <= short + SIBLINGS_LOOKED_AT


@pytest.mark.parametrize(("prefixes", "why"), [([b"a", b""], "must have a prefix"), ([b"a", b"b", b"a"], "b'a'")])
def test_an_empty_prefix_and_one_that_stands_twice_are_refused(prefixes: list[bytes], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        declared(*prefixes)


def test_a_namespace_is_not_changed() -> None:
    namespaces = declared(b"a")
    with pytest.raises(AttributeError):
        namespaces.items[0].prefix = b"b"  # type: ignore[misc]
