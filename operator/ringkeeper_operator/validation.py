"""Checks a value against a structural schema as the API server does, and says more: the nearest spelling, the range.

The CEL rules of the schema have their twins in Python here, found by the rule's text.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from ringkeeper.store.namespaces import LONGEST_PREFIX
from ringkeeper.store.units import parse_duration
from ringkeeper_operator.quantity import parse_fraction
from ringkeeper_operator.schema import (
    ACKS_RULE,
    BACKLOG_RULE,
    DEFAULT_MEMORY,
    DEFAULT_MODE,
    DEFAULT_REPLICAS,
    DEFAULT_SHARDS,
    DNS_LABEL,
    FASTEST_RATE,
    FSYNC_RULE,
    HEAVIEST,
    INTERVAL_RULE,
    LARGEST_BACKLOG,
    LIGHTEST,
    LIMIT_RULE,
    LONGEST_INTERVAL,
    LONGEST_RECOVERY,
    LONGEST_TTL,
    MAXIMUM_MEMORY,
    MAXIMUM_VOLUME,
    MEMORY,
    MEMORY_RULE,
    MINIMUM_MEMORY,
    MINIMUM_NAMESPACE,
    MINIMUM_VOLUME,
    NAME_FORM_RULE,
    NAME_LENGTH,
    NAME_RULE,
    NAMESPACE_MEMORY_RULE,
    NAMESPACES_RULE,
    PATTERN_MEANINGS,
    PREFIX_RULE,
    RATE_RULE,
    RECOVERY_RULE,
    REQUEST_RULE,
    ROOM_RULE,
    RULES_RULE,
    SAVE,
    SAVE_RULE,
    SHORTEST_INTERVAL,
    SHORTEST_RECOVERY,
    SHORTEST_TTL,
    SIZE_RULE,
    SLOWEST_RATE,
    SMALLEST_BACKLOG,
    TTL_RULE,
    TTLS_RULE,
    VOLUME_RULE,
    WEIGHT_RULE,
    WEIGHTS_RULE,
)
from ringkeeper_operator.schema_parts import Schema
from ringkeeper_operator.schema_window import ENDS_RULE, ZONE_RULE

TYPES = {"string": "a text", "object": "fields with values", "array": "a list", "boolean": "true or false"}

ASIDE = frozenset({"status"})
"""Not for people to write; not checked."""


def _memory_is_in_range(memory: Any, least: str = MINIMUM_MEMORY, most: str = MAXIMUM_MEMORY) -> bool:
    if not isinstance(memory, int) and not re.search(MEMORY, memory):
        return False
    return parse_fraction(least) <= parse_fraction(memory) <= parse_fraction(most)


def _limit_exceeds_memory(spec: Mapping[str, Any]) -> bool:
    limit = (spec.get("resources") or {}).get("limits", {}).get("memory")
    return limit is None or "memory" not in spec or parse_fraction(limit) > parse_fraction(spec["memory"])


def _requests_are_within_limits(resources: Mapping[str, Any]) -> bool:
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    return all(parse_fraction(requests[name]) <= parse_fraction(limits[name]) for name in requests.keys() & limits)


def _fits_prefix(prefix: str) -> bool:
    return len(prefix.encode()) <= LONGEST_PREFIX


def _is_between(shortest: str, longest: str) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        milliseconds = _milliseconds(text)
        return milliseconds is not None and parse_duration(shortest) <= milliseconds <= parse_duration(longest)

    return holds


def _acks_are_possible(spec: Mapping[str, Any]) -> bool:
    return ((spec.get("replication") or {}).get("minAcks") or 0) <= _replicas(spec)


def _replicas(spec: Mapping[str, Any]) -> int:
    given = spec.get("replicasPerShard")
    return DEFAULT_REPLICAS if given is None else int(given)


def _told_acks(spec: Mapping[str, Any], path: str) -> str:
    return (
        f"{path}.replication.minAcks: {spec['replication']['minAcks']} is not allowed; must not exceed "
        f"{path}.replicasPerShard, which is {_replicas(spec)}, or no write would ever be answered"
    )


def _strange_weight(spec: Mapping[str, Any]) -> tuple[int, int] | None:
    """The index and the number of the first shard that has a weight and is none of the cluster."""
    rows = enumerate(spec.get("weights") or ())
    return next(((index, row["shard"]) for index, row in rows if row["shard"] >= _shards(spec)), None)


def _shards(spec: Mapping[str, Any]) -> int:
    return DEFAULT_SHARDS if spec.get("shards") is None else int(spec["shards"])


def _told_strange_weight(spec: Mapping[str, Any], path: str) -> str:
    index, shard = _strange_weight(spec) or (0, 0)
    return (
        f"{path}.weights[{index}].shard: {shard} is not allowed; must be below {path}.shards, which is "
        f"{_shards(spec)}: leave it out, or raise {path}.shards"
    )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _told_zone(name: str, path: str) -> str:
    return f"{path}: {_shown(name)} is not allowed; {ZONE_RULE['message']}{_nearest(name, available_timezones())}"


def _told_ends(window: Mapping[str, Any], path: str) -> str:
    return f"{path}.end: {window['end']} is not allowed; must not be {path}.start; a whole day is from 00:00 to 24:00"


def _ttls_are_in_order(namespace: Mapping[str, Any]) -> bool:
    shorter, longer = (_milliseconds(namespace.get(name)) for name in ("defaultTTL", "maxTTL"))
    return shorter is None or longer is None or longer >= shorter


def _milliseconds(ttl: str | None) -> int | None:
    """None where there is none, or none that can be read, which another rule tells."""
    try:
        return None if ttl is None else parse_duration(ttl)
    except ValueError:
        return None


def _namespaces_fit_memory(spec: Mapping[str, Any]) -> bool:
    return _too_large(spec) is None


def _too_large(spec: Mapping[str, Any]) -> tuple[int, Any] | None:
    """The index and `maxMemory` of the first namespace that has more than a node."""
    memory = parse_fraction(spec.get("memory", DEFAULT_MEMORY))
    for index, namespace in enumerate(spec.get("namespaces") or ()):
        size = namespace.get("maxMemory")
        if size is not None and parse_fraction(size) > memory:
            return index, size
    return None


def _mode(persistence: Mapping[str, Any]) -> str:
    return persistence.get("mode") or DEFAULT_MODE


def _has_size(persistence: Mapping[str, Any]) -> bool:
    return _mode(persistence) == "none" or persistence.get("size") is not None


def _has_room(spec: Mapping[str, Any]) -> bool:
    size = (spec.get("persistence") or {}).get("size")
    return size is None or parse_fraction(size) >= parse_fraction(_memory(spec))


def _memory(spec: Mapping[str, Any]) -> Any:
    return DEFAULT_MEMORY if spec.get("memory") is None else spec["memory"]


def _told_size(persistence: Mapping[str, Any], path: str) -> str:
    return (
        f"{path}.size: missing; must be {VOLUME_RULE['message'].removeprefix('must be ')}: what each node's volume "
        f"holds (mode is {_mode(persistence)}; with mode none it may be left out)"
    )


def _told_foreign(field: str, modes: str, what: str) -> Callable[[Any, str], str]:
    """For a field of persistence that the mode has no use for."""
    return lambda persistence, path: (
        f"{path}.{field}: {_shown(persistence[field])} is not allowed with mode {_mode(persistence)}, which {what}; "
        f"leave it out, or set mode to {modes}"
    )


def _told_room(spec: Mapping[str, Any], path: str) -> str:
    return (
        f"{path}.persistence.size: {spec['persistence']['size']} is not allowed; must be at least {path}.memory, which "
        f"is {_memory(spec)}; three times as much has room for a file that takes the place of another, too"
    )


def _told_ttls(namespace: Mapping[str, Any], path: str) -> str:
    return (
        f"{path}.maxTTL: {namespace['maxTTL']} is not allowed; must be at least defaultTTL, which is "
        f"{namespace['defaultTTL']}"
    )


def _told_too_large(spec: Mapping[str, Any], path: str) -> str:
    index, size = _too_large(spec) or (0, "")
    return (
        f"{path}.namespaces[{index}].maxMemory: {size} is not allowed; must not exceed {path}.memory, which is "
        f"{spec.get('memory', DEFAULT_MEMORY)}"
    )


TWINS: dict[str, Callable[[Any], bool]] = {
    NAME_RULE["rule"]: lambda cluster: len(cluster["metadata"]["name"]) <= NAME_LENGTH,
    NAME_FORM_RULE["rule"]: lambda cluster: re.fullmatch(DNS_LABEL, cluster["metadata"]["name"]) is not None,
    MEMORY_RULE["rule"]: _memory_is_in_range,
    LIMIT_RULE["rule"]: _limit_exceeds_memory,
    REQUEST_RULE["rule"]: _requests_are_within_limits,
    PREFIX_RULE["rule"]: _fits_prefix,
    NAMESPACE_MEMORY_RULE["rule"]: lambda memory: _memory_is_in_range(memory, MINIMUM_NAMESPACE),
    TTL_RULE["rule"]: _is_between(SHORTEST_TTL, LONGEST_TTL),
    INTERVAL_RULE["rule"]: _is_between(SHORTEST_INTERVAL, LONGEST_INTERVAL),
    RECOVERY_RULE["rule"]: _is_between(SHORTEST_RECOVERY, LONGEST_RECOVERY),
    BACKLOG_RULE["rule"]: lambda size: _memory_is_in_range(size, SMALLEST_BACKLOG, LARGEST_BACKLOG),
    RATE_RULE["rule"]: lambda rate: _memory_is_in_range(rate, SLOWEST_RATE, FASTEST_RATE),
    ACKS_RULE["rule"]: _acks_are_possible,
    TTLS_RULE["rule"]: _ttls_are_in_order,
    NAMESPACES_RULE["rule"]: _namespaces_fit_memory,
    VOLUME_RULE["rule"]: lambda size: _memory_is_in_range(size, MINIMUM_VOLUME, MAXIMUM_VOLUME),
    SAVE_RULE["rule"]: lambda save: re.search(SAVE, save) is not None,
    SIZE_RULE["rule"]: _has_size,
    FSYNC_RULE["rule"]: lambda given: given.get("fsync") is None or _mode(given) in ("aof", "hybrid"),
    RULES_RULE["rule"]: lambda given: given.get("save") is None or _mode(given) in ("snapshot", "hybrid"),
    ROOM_RULE["rule"]: _has_room,
    WEIGHT_RULE["rule"]: lambda weight: LIGHTEST <= weight <= HEAVIEST,
    WEIGHTS_RULE["rule"]: lambda spec: _strange_weight(spec) is None,
    ENDS_RULE["rule"]: lambda window: window["start"] != window["end"],
    ZONE_RULE["rule"]: _is_zone,
}
"""Every rule but those that compare with the former value: here is no former value."""

TOLD: dict[str, Callable[[Any, str], str]] = {
    TTLS_RULE["rule"]: _told_ttls,
    NAMESPACES_RULE["rule"]: _told_too_large,
    SIZE_RULE["rule"]: _told_size,
    FSYNC_RULE["rule"]: _told_foreign("fsync", "aof or hybrid", "has no append-only file"),
    RULES_RULE["rule"]: _told_foreign("save", "snapshot or hybrid", "takes no snapshots"),
    ROOM_RULE["rule"]: _told_room,
    ACKS_RULE["rule"]: _told_acks,
    WEIGHTS_RULE["rule"]: _told_strange_weight,
    ENDS_RULE["rule"]: _told_ends,
    ZONE_RULE["rule"]: _told_zone,
}
"""For rules about several fields: the whole line, from the value and its path."""


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
        if twin is None or twin(value):
            continue
        if (told := TOLD.get(rule["rule"])) is not None:
            yield told(value, path)
        else:
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
    elif isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
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
    if len(value) < schema.get("minItems", 0):
        yield f"{path}: {len(value)} entries; must be at least {schema['minItems']}, or leave the field out"
    found: list[str] = []
    for index, item in enumerate(value):
        found += problems_of(item, schema.get("items", {}), f"{path}[{index}]")
    yield from found
    if not found:
        yield from _problems_of_keys(value, schema, path)


def _problems_of_keys(value: list[Any], schema: Schema, path: str) -> Iterator[str]:
    """Of a list that is a map or a set: no two items may have the same keys, or be the same."""
    names = schema.get("x-kubernetes-list-map-keys")
    if names is None and schema.get("x-kubernetes-list-type") != "set":
        return
    first: dict[tuple[Any, ...], int] = {}
    for index, item in enumerate(value):
        key = (item,) if names is None else tuple(item.get(name) for name in names)
        if (other := first.setdefault(key, index)) != index:
            shown = ", ".join(_shown(part) for part in key)
            where = f"{path}[{index}]" if names is None else f"{path}[{index}].{names[0]}"
            yield f"{where}: {shown} stands twice, at {path}[{other}] before; keep one"


def _has_type(value: Any, kind: str | None) -> bool:
    if kind in ("integer", "number"):
        numbers = int if kind == "integer" else int | float
        return isinstance(value, numbers) and not isinstance(value, bool)
    types: dict[str | None, type] = {"string": str, "object": dict, "array": list, "boolean": bool}
    return isinstance(value, types.get(kind, object))


def _wanted(schema: Schema) -> str:
    if "enum" in schema:
        *first, last = schema["enum"]
        return f"{', '.join(first)} or {last}" if first else str(last)
    if "pattern" in schema:
        return PATTERN_MEANINGS[schema["pattern"]]
    if schema.get("type") in ("integer", "number"):
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
