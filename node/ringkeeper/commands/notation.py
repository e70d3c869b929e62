"""The notation in which `documentation` says what words a command takes, read as COMMAND DOCS tells it.

    key#0 value condition?(NX@2.6.12|XX@2.6.12) GET?@6.2.0 expiration?(EX=seconds:integer@2.6.12|KEEPTTL@6.0.0)

| written           | means                                                                             |
|-------------------|-----------------------------------------------------------------------------------|
| `name`            | a string of that name                                                             |
| `name:integer`    | of another type: integer, double, pattern, unix-time or key                       |
| `name#0`          | a key, of the first key specification; with a type, a word of that type           |
| `WORD`            | this very word; its name is the same in lower case, if `WORD/name` gives no other |
| `WORD=name`       | this word, and then the argument                                                  |
| `name(a|b)`       | one of these                                                                      |
| `name{a b}`       | all of these together                                                             |
| `~text`           | how it is shown, if not by its name                                               |
| `?` `+` `++`      | it may be left out; it may come several times; each time with its word            |
| `@6.2.0` `!6.2.0` | since which version, and deprecated since which                                   |

Source of what is told: https://redis.io/docs/latest/commands/command-docs/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ringkeeper.commands.table import Reply
from ringkeeper.resp.values import SetReply, Simple

ITEM = re.compile(
    r"""(?: (?P<token> [A-Z][A-Z0-9-]* | "[^"]*" ) (?: (?P<joined>=) | /(?P<other>[a-z-]+) )? )?
        (?P<name> [a-z][a-z0-9_-]* )? (?: :(?P<type>[a-z-]+) )? (?: [#](?P<spec>\d) )? (?: ~(?P<shown>[a-z:-]+) )?
        (?P<optional> [?] )? (?P<multiple> [+]{0,2} ) (?: @(?P<since>[\d.]+) )? (?: !(?P<deprecated>[\d.]+) )?""",
    re.VERBOSE,
)
Argument = dict[bytes, Reply]


def parse(text: str) -> list[Argument]:
    """The arguments of one command; raises `ValueError` where the text is none of the above."""
    items, end = parse_items(text, 0, " ")
    if end != len(text):
        raise ValueError(f"not understood: {text[end:]!r} in {text!r}")
    return items


def parse_items(text: str, at: int, separator: str) -> tuple[list[Argument], int]:
    items = []
    while True:
        item, at = parse_item(text, at)
        items.append(item)
        if text[at : at + 1] != separator:
            return items, at
        at += 1


def parse_item(text: str, at: int) -> tuple[Argument, int]:
    match = ITEM.match(text, at)
    if match is None or match.end() == at:
        raise ValueError(f"not understood: {text[at:]!r} in {text!r}")
    at = match.end()
    parts: list[Argument] = []
    opened = text[at : at + 1]
    if opened in ("(", "{"):
        parts, at = parse_items(text, at + 1, "|" if opened == "(" else " ")
        if text[at : at + 1] != {"(": ")", "{": "}"}[opened]:
            raise ValueError(f"{opened!r} is not closed: {text!r}")
        at += 1
    kind = {"(": "oneof", "{": "block"}.get(opened, "")
    return {name: value for name, value in fields(match, kind, parts) if value is not None}, at


def fields(match: re.Match[str], kind: str, parts: list[Argument]) -> Iterator[tuple[bytes, Reply]]:
    token, spec = match["token"], match["spec"]
    name = match["name"]
    if token and not match["joined"]:
        name, kind = match["other"] or token.lower(), "pure-token"
    kind = kind or match["type"] or ("key" if spec else "string")
    yield b"name", name.encode()
    yield b"type", kind.encode()
    if not parts:
        yield b"display_text", (match["shown"] or name).encode()
    yield b"key_spec_index", int(spec) if spec else None
    yield b"token", token.strip('"').encode() if token else None
    for key, group in ((b"since", "since"), (b"deprecated_since", "deprecated")):
        yield key, match[group].encode() if match[group] else None
    flags = ["optional"] * bool(match["optional"])
    flags += ["multiple", "multiple_token"][: len(match["multiple"])]
    yield b"flags", SetReply(Simple(flag.encode()) for flag in flags) if flags else None
    yield b"arguments", parts or None


def history(arguments: list[Argument]) -> list[list[bytes]]:
    """Version and what it added, oldest first, from what the arguments say of themselves."""
    added: dict[bytes, list[bytes]] = {}
    for argument in flattened(arguments):
        if b"since" in argument:
            added.setdefault(argument[b"since"], []).append(argument.get(b"token") or argument[b"name"])
    ordered = sorted(added, key=lambda version: [int(part) for part in version.split(b".")])
    return [[version, b"Added `%b`." % b"`, `".join(added[version])] for version in ordered]


def flattened(arguments: list[Argument]) -> Iterator[Argument]:
    for argument in arguments:
        yield argument
        yield from flattened(argument.get(b"arguments", []))
