"""A node's configuration file: directives, each value as one word, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping


def quoted(value: str) -> str:
    """A word of a configuration file. JSON, of which there may be much, stands in single quotes if it can."""
    if '"' in value and "'" not in value and value.isprintable() and not value.endswith("\\"):
        return f"'{value}'"
    return '"' + "".join(_escaped(character) for character in value) + '"'


def _escaped(character: str) -> str:
    if character in '"\\' or not character.isprintable():
        return "".join(f"\\x{byte:02x}" for byte in character.encode())
    return character


def rendered(directives: Mapping[str, str]) -> list[str]:
    """The lines of a node's configuration file."""
    return [f"{name} {quoted(value)}\n" for name, value in directives.items()]
