"""What the command table says is what a real Redis says of the same command."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from real_redis import real_redis

from ringkeeper import commands
from ringkeeper.commands.cluster import OPERATORS
from ringkeeper.commands.table import CATEGORIES, Command


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[Any]]]:
    with real_redis(tmp_path_factory.mktemp("redis")) as port:
        yield commands_of(port)


def commands_of(port: int) -> dict[str, list[Any]]:
    """COMMAND of a real server, raw, by name; subcommands as `container|name`."""
    client = redis.Redis(port=port)
    client.response_callbacks.clear()
    found = {}
    for entry in client.execute_command("COMMAND"):
        found[entry[0].decode()] = entry
        for subentry in entry[9]:
            found[subentry[0].decode()] = subentry
    return found


def ours() -> dict[str, Command]:
    table = {}
    for command in commands.load().values():
        table[command.name] = command
        table |= {subcommand.name: subcommand for subcommand in command.subcommands.values()}
    return table


def shared(known: dict[str, list[Any]]) -> list[tuple[Command, list[Any]]]:
    pairs = [(command, known[name]) for name, command in ours().items() if name in known]
    assert len(pairs) > 100
    return pairs


def test_arity_and_key_positions_are_redis_own(known: dict[str, list[Any]]) -> None:
    different = {
        command.name: ((command.arity, *command.keys), tuple(entry[1:2] + entry[3:6]))
        for command, entry in shared(known)
        if (command.arity, *command.keys) != tuple(entry[1:2] + entry[3:6]) and command.name not in REFUSED | LATER
    }
    assert not different


def test_flags_that_clients_act_on_are_redis_own(known: dict[str, list[Any]]) -> None:
    matter = {"write", "readonly", "denyoom", "blocking", "pubsub", "movablekeys"}
    different = {}
    for command, entry in shared(known):
        theirs = {flag.decode() for flag in entry[2]} & matter
        if command.flags & matter != theirs and command.name not in BLOCKS_SINCE_LATER:
            different[command.name] = (sorted(command.flags & matter), sorted(theirs))
    assert not different


def test_acl_categories_are_redis_own(known: dict[str, list[Any]]) -> None:
    different = {}
    for command, entry in shared(known):
        theirs = {category.decode().removeprefix("@") for category in entry[6]}
        if command.name in BLOCKS_SINCE_LATER:
            theirs.add("blocking")
        if command.categories != theirs and command.name not in REFUSED:
            different[command.name] = (sorted(command.categories - theirs), sorted(theirs - command.categories))
    assert not different


def test_every_category_is_one_that_acl_cat_lists() -> None:
    assert {category for command in ours().values() for category in command.categories} <= set(CATEGORIES)


def test_key_specifications_are_redis_own(known: dict[str, list[Any]]) -> None:
    different = {}
    for command, entry in shared(known):
        theirs = [in_our_words(spec) for spec in entry[8]]
        found = [{"flags": frozenset(spec.flags.split()), "begin": spec.begin, "counted": spec.counted,
                  "last": spec.last, "step": spec.step} for spec in command.key_specs]  # fmt: skip
        if found != theirs:
            different[command.name] = (found, theirs)
    assert not different


def test_tips_are_valkeys(tmp_path: Path) -> None:
    """Not those of Redis 7.0, which tell proxies nothing of the connection's and the server's commands yet."""
    with real_redis(tmp_path, "valkey") as port:
        pairs = shared(commands_of(port))
    different = {}
    for command, entry in pairs:
        theirs = [tip.decode() for tip in entry[7]]
        if list(command.tips) != theirs and command.name not in REFUSED:
            different[command.name] = (list(command.tips), theirs)
    assert not different


def in_our_words(spec: dict[bytes, Any]) -> dict[str, Any]:
    begin, find = spec[b"begin_search"], spec[b"find_keys"]
    where: dict[str, Any] = {"begin": None, "counted": False, "last": 0, "step": 1}
    if begin[b"type"] != b"unknown":
        where["begin"] = begin[b"spec"][b"index"]
        where["counted"] = find[b"type"] == b"keynum"
        if not where["counted"]:
            where |= {"last": find[b"spec"][b"lastkey"], "step": find[b"spec"][b"keystep"]}
    return {"flags": frozenset(flag.decode() for flag in spec[b"flags"]), **where}


REFUSED = {f"cluster|{name.lower()}" for name in OPERATORS}
"""Subcommands that are only there to say who the topology's author is."""
BLOCKS_SINCE_LATER = {"wait"}
"""Redis 7.2 calls it blocking; the Redis beside this test may be 7.0."""
LATER = {"command|getkeys", "command|getkeysandflags", "zrank", "zrevrank"}
"""Redis 7.2 gave them the arity -3; the Redis beside this test may be 7.0."""
