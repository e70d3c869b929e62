"""Checks a value against a structural schema as the API server does, and says more: the nearest spelling, the range.

The CEL rules of the schema have their twins in Python here, found by the rule's text.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ringkeeper_operator.quantity import parse_fraction
from ringkeeper_operator.schema import (
    DNS_LABEL,
    LIMIT_RULE,
    MAXIMUM_MEMORY,
    MEMORY,
    MEMORY_RULE,
    MINIMUM_MEMORY,
    NAME_FORM_RULE,
    NAME_LENGTH,
    NAME_RULE,
    PATTERN_MEANINGS,
    REQUEST_RULE,
    Schema,
)

TYPES = {"string": "a text", "object": "fields with values", "array": "a list"}

ASIDE = frozenset({"status"})
"""Not for people to write; not checked."""


def _memory_is_in_range(memory: Any) -> bool:
    if not isinstance(memory, int) and not re.search(MEMORY, memory):
        return False
    return parse_fraction(MINIMUM_MEMORY) <= parse_fraction(memory) <= parse_fraction(MAXIMUM_MEMORY)


def _limit_exceeds_memory(spec: Mapping[str, Any]) -> bool:
    limit = (spec.get("resources") or {}).get("limits", {}).get("memory")
    return limit is None or "memory" not in spec or parse_fraction(limit) > parse_fraction(spec["memory"])


def _requests_are_within_limits(resources: Mapping[str, Any]) -> bool:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    return all(parse_fraction(requests[name]) <= parse_fraction(limits[name]) for name in requests.keys() & limits)


TWINS: dict[str, Callable[[Any], bool]] = {
    NAME_RULE["rule"]: lambda cluster: len(cluster["metadata"]["name"]) <= NAME_LENGTH,
    NAME_FORM_RULE["rule"]: lambda cluster: re.fullmatch(DNS_LABEL, cluster["metadata"]["name"]) is not None,
    MEMORY_RULE["rule"]: _memory_is_in_range,
    LIMIT_RULE["rule"]: _limit_exceeds_memory,
    REQUEST_RULE["rule"]: _requests_are_within_limits,
}
"""Every rule but those that compare with the former value: here is no former value."""


def fill_defaults(value: Any, schema: Schema) -> Any:
    """A copy with the schema's defaults where fields are missing or null, as the API server fills them in."""
    if isinstance(value, list):
        return [fill_defaults(item, schema.get("items", {})) for item in value]
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties", {})
    filled = {
        name: fill_defaults(item, properties.get(name) or schema.get("additionalProperties") or {})
        for name, item in value.items()
        if item is not None or name not in properties
    }
    for name, field in properties.items():
        if name not in filled and "default" in field:
            filled[name] = fill_defaults(field["default"], field)
    return filled


def problems_of(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """Every problem, as `path: value is not allowed; must be …`, in the order of the document."""
    found = list(_own_problems(value, schema, path))
    if not found and isinstance(value, dict):
        found += _problems_of_object(value, schema, path)
    if not found and isinstance(value, list):
        found += _problems_of_list(value, schema, path)
    yield from found
    if found:
        return
    for rule in schema.get("x-kubernetes-validations", ()):
        twin = TWINS.get(rule["rule"])
        if twin is not None and not twin(value):
            shown = f"{_shown(value)} is not allowed; " if rule["message"].startswith("must ") else ""
            yield f"{path}: {shown}{rule['message']}" if path else rule["message"]


def _own_problems(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """At most one: of the type, else of the range."""
    if schema.get("x-kubernetes-int-or-string"):
        pattern = schema.get("pattern", "")
        if isinstance(value, bool) or not isinstance(value, int | str) or not re.search(pattern, str(value)):
            yield f"{path}: {_shown(value)} is not allowed; must be {_wanted(schema)}"
        return
    if not _has_type(value, schema.get("type")):
        quote = "; put it in quotes" if schema.get("type") == "string" and not isinstance(value, dict | list) else ""
        yield f"{path or 'document'}: {_shown(value)} is not allowed; must be {_wanted(schema)}{quote}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{path}: {_shown(value)} is not allowed; must be {_wanted(schema)}{_nearest(value, schema['enum'])}"
    elif isinstance(value, int) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        yield f"{path}: {_shown(value)} is not allowed; must be {_wanted(schema)}"
    elif isinstance(value, str):
        yield from _problems_of_text(value, schema, path)


def _problems_of_text(value: str, schema: Schema, path: str) -> Iterator[str]:
    longest, shortest = schema.get("maxLength", len(value)), schema.get("minLength", 0)
    if not shortest <= len(value) <= longest:
        yield f"{path}: {_shown(value)} has {len(value)} characters; must have {shortest} to {longest}"
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{path}: {_shown(value)} is not allowed; must be {PATTERN_MEANINGS[schema['pattern']]}"


def _problems_of_object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[str]:
    properties: Schema = schema.get("properties", {})
    others = schema.get("additionalProperties")
    is_open = schema.get("x-kubernetes-preserve-unknown-fields") or schema.keys() == {"type"}
    if len(value) > schema.get("maxProperties", len(value)):
        yield f"{path}: {len(value)} entries; must be at most {schema['maxProperties']}"
    for name, item in value.items():
        where = f"{path}.{name}" if path else name
        if name in properties:
            if item is not None and not (path == "" and name in ASIDE):
                yield from problems_of(item, properties[name], where)
        elif others is not None:
            yield from problems_of(item, others, where)
        elif not is_open:
            yield f"{where}: unknown field{_nearest(name, properties) or '; known are ' + ', '.join(properties)}"
    for name in schema.get("required", ()):
        if value.get(name) is None:
            yield f"{path}.{name}: missing; must be {_wanted(properties[name])}"


def _problems_of_list(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    if len(value) > schema.get("maxItems", len(value)):
        yield f"{path}: {len(value)} entries; must be at most {schema['maxItems']}"
    for index, item in enumerate(value):
        yield from problems_of(item, schema.get("items", {}), f"{path}[{index}]")


def _has_type(value: Any, kind: str | None) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    types: dict[str | None, type] = {"string": str, "object": dict, "array": list, "boolean": bool}
    return isinstance(value, types.get(kind, object))


def _wanted(schema: Schema) -> str:
    if "enum" in schema:
        *first, last = schema["enum"]
        return f"{', '.join(first)} or {last}" if first else str(last)
    if "pattern" in schema:
        return PATTERN_MEANINGS[schema["pattern"]]
    if schema.get("type") == "integer":
        return f"{schema['minimum']} to {schema['maximum']}"
    return TYPES.get(schema.get("type", ""), "a number or a text")


def _shown(value: Any) -> str:
    """As the person wrote it, short."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    shown = str(value)
    if len(shown) > 60:
        return f"{shown[:57]}…"
    return shown if shown.strip() == shown and shown else repr(shown)


def _nearest(name: Any, known: Any) -> str:
    lowered = {str(candidate).lower(): str(candidate) for candidate in known}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.6)
    return f"; did you mean {lowered[close[0]]}?" if close else ""
