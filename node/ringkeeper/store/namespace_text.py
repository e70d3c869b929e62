"""Namespaces as text: the value of the directive `namespaces`, which is `spec.namespaces` of a manifest as JSON.

    [{"prefix": "session:", "maxMemory": "64Mi", "eviction": "allkeys-lfu", "defaultTTL": "30m", "maxTTL": "24h"}]

Only `prefix` is required. What is declared is canonical once read: bytes as a number, durations in their largest unit,
fields that mean nothing left out. Ten thousand take some 20 ms each to read and to write, so the last texts are
remembered: who can wait reads them first, in a thread.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from ringkeeper.store.namespaces import LONGEST_PREFIX, MOST_NAMESPACES, Namespace
from ringkeeper.store.policies import NAMESPACE_DEFAULT, POLICIES
from ringkeeper.store.units import parse_bytes, parse_duration, render_duration

FIELDS = ("prefix", "maxMemory", "eviction", "defaultTTL", "maxTTL")

LEAST_MEMORY, MOST_MEMORY = 1024, 16 * 1024**4
MEMORY_RANGE = (
    "bytes, or a quantity such as 64Mi or 2G, from 1Ki to 16Ti; left out, the node's memory is the only limit"
)
LONGEST_TTL_MS = 10 * 365 * 24 * 3_600_000
DURATION_RANGE = "a duration such as 250ms, 300s, 5m or 1h30m, from 1ms to 87600h; left out, there is none"
PREFIX_RANGE = f"a text of 1 to {LONGEST_PREFIX} bytes of UTF-8"


@functools.lru_cache(2)
def parse(text: str) -> tuple[Namespace, ...]:
    """Raises `ValueError` with one line that names the field, the value and what is allowed. Nothing means none."""
    if not text.strip():
        return ()
    try:
        declared = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is no JSON ({error}); must be a list such as " + EXAMPLE) from None
    return from_list(declared)


EXAMPLE = '[{"prefix":"session:","maxMemory":"64Mi","eviction":"allkeys-lfu","defaultTTL":"30m","maxTTL":"24h"}]'


def from_list(declared: Any) -> tuple[Namespace, ...]:
    """From the list that the JSON holds; raises `ValueError` as `parse` does."""
    if not isinstance(declared, list):
        raise ValueError(f"{shown(declared)} is not allowed; must be a list such as {EXAMPLE}")
    if len(declared) > MOST_NAMESPACES:
        raise ValueError(f"{len(declared)} namespaces; must be at most {MOST_NAMESPACES}")
    first: dict[bytes, int] = {}
    found = []
    for index, fields in enumerate(declared):
        try:
            namespace = from_fields(fields)
        except ValueError as error:
            raise ValueError(f"[{index}]{error}") from None
        if (other := first.setdefault(namespace.prefix, index)) != index:
            raise ValueError(f"[{index}].prefix: {shown(fields['prefix'])} stands twice, at [{other}] before; keep one")
        found.append(namespace)
    return tuple(found)


def from_fields(fields: Any) -> Namespace:
    """One namespace; raises `ValueError`, whose text begins with the path of the field."""
    if not isinstance(fields, dict):
        raise ValueError(f": {shown(fields)} is not allowed; must be an object with the fields {', '.join(FIELDS)}")
    for name in fields:
        if name not in FIELDS:
            close = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(FIELDS)}"
            raise ValueError(f".{name}: unknown field; {hint}")
    default_ttl, max_ttl = duration(fields, "defaultTTL"), duration(fields, "maxTTL")
    if 0 < max_ttl < default_ttl:
        raise ValueError(
            f".maxTTL: {fields['maxTTL']} is not allowed; must be at least defaultTTL, which is {fields['defaultTTL']}"
        )
    return Namespace(prefix_of(fields), memory(fields), policy(fields), default_ttl, max_ttl)


def prefix_of(fields: Mapping[str, Any]) -> bytes:
    value = fields.get("prefix")
    prefix = value.encode() if isinstance(value, str) else b""
    if not 0 < len(prefix) <= LONGEST_PREFIX:
        what = "missing" if value is None else f"{shown(value)} is not allowed"
        raise ValueError(f".prefix: {what}; must be {PREFIX_RANGE}")
    return prefix


def memory(fields: Mapping[str, Any]) -> int:
    value = fields.get("maxMemory")
    if value is None:
        return 0
    try:
        count = parse_bytes(value) if isinstance(value, str | int) else 0
    except ValueError:
        count = 0
    if not LEAST_MEMORY <= count <= MOST_MEMORY:
        raise ValueError(f".maxMemory: {shown(value)} is not allowed; must be {MEMORY_RANGE}")
    return count


def policy(fields: Mapping[str, Any]) -> str:
    value = fields.get("eviction")
    if value is None:
        return NAMESPACE_DEFAULT
    if value not in POLICIES:
        close = difflib.get_close_matches(str(value).lower(), POLICIES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise ValueError(f".eviction: {shown(value)} is not allowed; must be {' or '.join(listed(POLICIES))}{hint}")
    return str(value)


def duration(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if value is None:
        return 0
    try:
        milliseconds = parse_duration(value) if isinstance(value, str) else 0
    except ValueError:
        milliseconds = 0
    if not 0 < milliseconds <= LONGEST_TTL_MS:
        raise ValueError(f".{name}: {shown(value)} is not allowed; must be {DURATION_RANGE}")
    return milliseconds


def listed(words: Iterable[str]) -> tuple[str, str]:
    *first, last = words
    return ", ".join(first), last


def shown(value: Any) -> str:
    """A JSON value, as it was written and short."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    plain = isinstance(value, str) and value.isprintable() and value.strip() == value != ""
    text = value if plain else orjson.dumps(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"


def to_list(namespaces: Iterable[Namespace]) -> list[dict[str, Any]]:
    return [dict(fields_of(namespace)) for namespace in namespaces]


def fields_of(namespace: Namespace) -> Iterator[tuple[str, Any]]:
    yield "prefix", namespace.prefix.decode()
    if namespace.max_memory:
        yield "maxMemory", namespace.max_memory
    yield "eviction", namespace.policy
    for name, milliseconds in (("defaultTTL", namespace.default_ttl_ms), ("maxTTL", namespace.max_ttl_ms)):
        if milliseconds:
            yield name, render_duration(milliseconds)


def render(namespaces: Iterable[Namespace]) -> str:
    """The canonical text, which `parse` reads again."""
    return orjson.dumps(to_list(namespaces)).decode()


@functools.lru_cache(2)
def canonical(text: str) -> str:
    """Of any text that `parse` takes; raises `ValueError` as that does."""
    return render(parse(text))
