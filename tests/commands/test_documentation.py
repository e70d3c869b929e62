"""What COMMAND DOCS says: the notation, its agreement with the table's arities, and with a real Valkey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from real_redis import real_redis
from wire import Wire, plain

from ringkeeper import commands
from ringkeeper.commands.documentation import DEPRECATED, arguments, texts
from ringkeeper.commands.introspection import documentation
from ringkeeper.commands.notation import Argument, history, parse
from ringkeeper.commands.table import Command

commands.load()


def every() -> Iterator[Command]:
    for entry in commands.COMMANDS.values():
        yield entry
        yield from entry.subcommands.values()


def test_each_part_of_the_notation_is_told() -> None:
    assert plain(parse("key#0 a:integer? OR/either?++@1.2.3 PX=b:unix-time!2.0.0 c+(X|y{K=k#1~shown Z})")) == [
        {"name": "key", "type": "key", "display_text": "key", "key_spec_index": 0},
        {"name": "a", "type": "integer", "display_text": "a", "flags": ["optional"]},
        {
            "name": "either",
            "type": "pure-token",
            "display_text": "either",
            "token": "OR",
            "since": "1.2.3",
            "flags": ["multiple", "multiple_token", "optional"],
        },
        {"name": "b", "type": "unix-time", "display_text": "b", "token": "PX", "deprecated_since": "2.0.0"},
        {
            "name": "c",
            "type": "oneof",
            "flags": ["multiple"],
            "arguments": [
                {"name": "x", "type": "pure-token", "display_text": "x", "token": "X"},
                {
                    "name": "y",
                    "type": "block",
                    "arguments": [
                        {"name": "k", "type": "key", "display_text": "shown", "key_spec_index": 1, "token": "K"},
                        {"name": "z", "type": "pure-token", "display_text": "z", "token": "Z"},
                    ],
                },
            ],
        },
    ]


@pytest.mark.parametrize("text", ["", "a ", "a(b", "a{b c", "a(b}", "a)", "a b|c", "%"])
def test_what_is_not_in_the_notation_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not (understood|closed)"):
        parse(text)


def test_history_is_what_the_arguments_say_of_themselves() -> None:
    words = parse("key#0 c?(NX@2.6.12|XX@2.6.12) GET?@10.0.0 e?@6.2.0")
    assert plain(history(words)) == [
        ["2.6.12", "Added `NX`, `XX`."],
        ["6.2.0", "Added `e`."],
        ["10.0.0", "Added `GET`."],
    ]


def fewest(argument: Argument) -> int:
    """Words that must be written at least."""
    if any(flag.text == b"optional" for flag in argument.get(b"flags", ())):
        return 0
    parts = [fewest(part) for part in argument.get(b"arguments", ())]
    match argument[b"type"]:
        case b"oneof":
            words = min(parts)
        case b"block":
            words = sum(parts)
        case b"pure-token":
            return 1
        case _:
            words = 1
    return words + (b"token" in argument)


CHECKED_BY_THEMSELVES = {"client|kill", "debug"}
"""The arity asks for more than is said: at least one filter, a subcommand."""


def test_the_words_of_each_command_agree_with_its_arity() -> None:
    different = {
        entry.name: (entry.arity, words)
        for entry in every()
        if entry.name not in CHECKED_BY_THEMSELVES
        and not entry.subcommands
        and not (entry.group == "cluster" and entry.arity == -2)  # refused whatever is said behind it
        and (words := 1 + entry.name.count("|") + sum(map(fewest, arguments(entry.name)))) != abs(entry.arity)
    }
    assert not different


def test_what_must_be_the_only_words_is_all_there_is() -> None:
    """A fixed arity means that nothing may be left out or repeated."""
    loose = [
        entry.name
        for entry in every()
        if entry.arity > 0 and any(b"flags" in argument for argument in arguments(entry.name))
    ]
    assert not loose


def test_what_is_deprecated_says_what_to_use_instead() -> None:
    text = plain(documentation(commands.COMMANDS[b"getset"]))
    assert text["doc_flags"] == ["deprecated"]
    assert (text["deprecated_since"], text["replaced_by"]) == ("6.2.0", "`SET` with `GET`")
    assert all(len(why) == 2 for why in DEPRECATED.values())


DIFFERENT = {
    "bgsave": "CANCEL came after 7.2",
    "client|kill": "MAXAGE is there since 7.4",
    "client|list": "Valkey 9 has more filters",
    "cluster|replicate": "Valkey 9 has NO ONE",
    "hexpire": "Valkey says of one of four when its condition came",
}


OUR_OWN = {"object|created"}
"""What no other server has."""


def test_arguments_are_valkeys_as_far_as_redis_has_them(tmp_path: Path) -> None:
    with real_redis(tmp_path, "valkey") as port, Wire(port, 3) as wire:
        theirs = wire("COMMAND DOCS")
    for entry in list(theirs.values()):
        theirs.update(entry.get("subcommands", {}))
    shared = [entry for entry in every() if entry.name not in OUR_OWN]
    different = [
        entry.name
        for entry in shared
        if entry.name not in DIFFERENT
        and plain(arguments(entry.name)) != until_seven(theirs[entry.name].get("arguments", []), theirs[entry.name])
    ]
    assert not different
    for entry in shared:
        assert plain(documentation(entry))["group"] == theirs[entry.name]["group"]


def until_seven(words: list[dict[str, Any]], command: dict[str, Any]) -> list[dict[str, Any]]:
    """Without what came after Redis 7.2, if the command itself is older."""
    newer = int(command["since"].partition(".")[0]) > 7
    kept = [dict(word) for word in words if newer or int(word.get("since", "0").partition(".")[0]) < 8]
    for word in kept:
        if word["type"] not in ("key", "pattern"):
            word.pop("key_spec_index", None)
        if newer:
            word.pop("since", None)
        if "arguments" in word:
            word["arguments"] = until_seven(word["arguments"], command)
    return kept


def test_no_text_is_of_an_unknown_form() -> None:
    for name in texts():
        assert arguments(name), name
