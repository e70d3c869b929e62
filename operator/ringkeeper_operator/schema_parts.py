"""What schemas are made of: a function a kind of field. Every text, list and map is bounded."""

from __future__ import annotations

from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

LARGEST = 2**53 - 1
"""An API server compares a maximum as a double: 2**63 - 1 would overflow and refuse everything."""


def text(description: str, *, longest: int = 253, pattern: str | None = None, **more: Any) -> Schema:
    schema: Schema = {"type": "string", "description": description, "maxLength": longest}
    if pattern is not None:
        schema["pattern"] = pattern
    return schema | more


def integer(description: str, minimum: int, maximum: int, **more: Any) -> Schema:
    return {"type": "integer", "description": description, "minimum": minimum, "maximum": maximum, **more}


def quantity(description: str, **more: Any) -> Schema:
    return {
        "x-kubernetes-int-or-string": True,
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "description": description,
        "maxLength": 20,
        **more,
    }


def number(description: str, minimum: float, maximum: float, **more: Any) -> Schema:
    return {"type": "number", "description": description, "minimum": minimum, "maximum": maximum, **more}


def boolean(description: str, **more: Any) -> Schema:
    return {"type": "boolean", "description": description, **more}


def fields(description: str, properties: Schema, **more: Any) -> Schema:
    return {"type": "object", "description": description, "properties": properties, **more}


def mapping(description: str, values: Schema, most: int = 64) -> Schema:
    return {"type": "object", "description": description, "additionalProperties": values, "maxProperties": most}


def items(description: str, item: Schema, most: int = 32) -> Schema:
    return {"type": "array", "description": description, "items": item, "maxItems": most}


def anything(description: str) -> Schema:
    """An object whose fields the API server checks where it is used."""
    return {"type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": True}
