"""The text of `namespaces`: what is read from it, and what is said of mistakes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringkeeper.store.namespace_text import LEAST_MEMORY, LONGEST_TTL_MS, MOST_MEMORY, parse, render
from ringkeeper.store.namespaces import LONGEST_PREFIX, MOST_NAMESPACES, Namespace
from ringkeeper.store.policies import POLICIES


def test_every_field_is_read() -> None:
    text = '[{"prefix": "s:", "maxMemory": "1.5Mi", "eviction": "volatile-ttl", "defaultTTL": "90s", "maxTTL": "1h"}]'
    assert parse(text) == (Namespace(b"s:", 3 * 2**19, "volatile-ttl", 90_000, 3_600_000),)
    assert render(parse(text)) == (
        '[{"prefix":"s:","maxMemory":1572864,"eviction":"volatile-ttl","defaultTTL":"90s","maxTTL":"1h"}]'
    )


def test_only_the_prefix_is_required() -> None:
    assert parse('[{"prefix":"s:"},{"prefix":"s:t","maxMemory":null}]') == (Namespace(b"s:"), Namespace(b"s:t"))
    assert Namespace(b"s:").policy == "allkeys-lru"
    assert parse("") == parse(" ") == parse("[]") == ()


def test_a_prefix_is_its_utf8() -> None:
    assert parse('[{"prefix":"café\\u0000\\""}]')[0].prefix == 'café\0"'.encode()


TTL = st.integers(0, LONGEST_TTL_MS)
NAMESPACES = st.builds(
    Namespace,
    prefix=st.text(st.characters(codec="utf-8"), min_size=1, max_size=LONGEST_PREFIX // 4).map(str.encode),
    max_memory=st.just(0) | st.integers(LEAST_MEMORY, MOST_MEMORY),
    policy=st.sampled_from(POLICIES),
    default_ttl_ms=TTL,
    max_ttl_ms=st.sampled_from([0, LONGEST_TTL_MS]),
)


@given(st.lists(NAMESPACES, unique_by=lambda namespace: namespace.prefix))
def test_the_canonical_text_is_read_as_the_same(namespaces: list[Namespace]) -> None:
    text = render(namespaces)
    assert parse(text) == tuple(namespaces)
    assert render(parse(text)) == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["5m", "1Mi", "prefix"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["prefix", "maxMemory", "eviction", "defaultTTL", "maxTTL", "x"]), inner)
        ),
    )
)
def test_whatever_json_it_is_the_answer_is_namespaces_or_one_line(value: Any) -> None:
    said = ""
    try:
        parse(json.dumps(value))
    except ValueError as error:
        said = str(error)
    assert len(said.splitlines()) <= 1
    assert len(said) < 500


MISTAKES = {
    "[": "is no JSON",
    "prefix": "is no JSON",
    "{}": "an object is not allowed; must be a list",
    "[1]": "[0]: 1 is not allowed; must be an object with the fields prefix, maxMemory, eviction, defaultTTL, maxTTL",
    "[{}]": "[0].prefix: missing; must be a text of 1 to 128 bytes",
    '[{"prefix":""}]': '[0].prefix: "" is not allowed; must be a text of 1 to 128 bytes',
    '[{"prefix":7}]': "[0].prefix: 7 is not allowed",
    '[{"prefix":"' + "é" * 65 + '"}]': "must be a text of 1 to 128 bytes of UTF-8",
    '[{"prefix":"a"},{"prefix":"b"},{"prefix":"a"}]': "[2].prefix: a stands twice, at [0] before; keep one",
    '[{"prefix":"a","maxmemory":1}]': "[0].maxmemory: unknown field; did you mean maxMemory?",
    '[{"prefix":"a","colour":1}]': "[0].colour: unknown field; known are prefix, maxMemory",
    '[{"prefix":"a","maxMemory":"1X"}]': "[0].maxMemory: 1X is not allowed; must be bytes, or a quantity",
    '[{"prefix":"a","maxMemory":0}]': "[0].maxMemory: 0 is not allowed; must be bytes, or a quantity such as 64Mi or "
    "2G, from 1Ki to 16Ti",
    '[{"prefix":"a","maxMemory":"17Ti"}]': "17Ti is not allowed",
    '[{"prefix":"a","maxMemory":1.5}]': "1.5 is not allowed",
    '[{"prefix":"a","maxMemory":true}]': "true is not allowed",
    '[{"prefix":"a","eviction":"allkeys-lur"}]': "[0].eviction: allkeys-lur is not allowed; must be noeviction, "
    "allkeys-lru, allkeys-lfu, allkeys-random, volatile-lru, volatile-lfu, volatile-random, volatile-ttl, "
    "allkeys-s3-fifo, volatile-s3-fifo, allkeys-w-tinylfu or volatile-w-tinylfu; did you mean allkeys-lru?",
    '[{"prefix":"a","defaultTTL":"5"}]': "[0].defaultTTL: 5 is not allowed; must be a duration such as 250ms, 300s",
    '[{"prefix":"a","defaultTTL":5}]': "[0].defaultTTL: 5 is not allowed",
    '[{"prefix":"a","maxTTL":"0s"}]': "[0].maxTTL: 0s is not allowed; must be a duration",
    '[{"prefix":"a","maxTTL":"90000h"}]': "from 1ms to 87600h",
    '[{"prefix":"a","defaultTTL":"2h","maxTTL":"1h"}]': "[0].maxTTL: 1h is not allowed; must be at least defaultTTL, "
    "which is 2h",
}


@pytest.mark.parametrize(("text", "complaint"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(text: str, complaint: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is what is tested
        parse(text)
    assert complaint in str(raised.value)


def test_ten_thousand_are_taken_and_one_more_is_not() -> None:
    declared = [{"prefix": f"tenant:{number}:"} for number in range(MOST_NAMESPACES + 1)]
    assert len(parse(json.dumps(declared[:-1]))) == MOST_NAMESPACES
    with pytest.raises(ValueError, match="10001 namespaces; must be at most 10000"):
        parse(json.dumps(declared))
