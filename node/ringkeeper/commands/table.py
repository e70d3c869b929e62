"""The command table: the single source for dispatch, `COMMAND`, ACL categories and the reference page.

A command is a plain function registered where it is written:

    @command("GETSET", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string",
             since="1.0.0", summary="Sets a key's value and returns the old one.", complexity="O(1)")
    def getset(context: Context, args: Arguments) -> Reply: ...

`args[0]` is the command's own name as the client wrote it. `arity` counts it too; a negative arity is a minimum.
`keys` is (first, last, step) in positions of `args`, last < 0 counted from the end; (0, 0, 0) means no keys, or none
that such a range describes. `access` says what the command does with them, in the words of Redis's key specifications
(https://redis.io/docs/latest/develop/reference/key-specs/): `RO RW OW RM` and `access update insert delete`, or
`not_key`. A command that treats its keys differently, or counts them, gives `key_specs` instead.
A subcommand is registered as `"CLIENT|LIST"`, its arity counting both words, as Redis does.
`tips` are what proxies and smart clients go by (https://redis.io/docs/latest/develop/reference/command-tips/).
Flags are Redis's own (`write readonly denyoom admin fast loading stale noscript blocking pubsub no_auth movablekeys
skip_slowlog no_async_loading no_multi asking`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ringkeeper.commands.context import Context

Arguments = list[bytes]
Reply = Any
Function = Callable[[Context, Arguments], Reply]
KeyUse = tuple[int, str]
"""A position in `args`, and what is done with the key there, in the words of key specifications."""
NUMBER_OF_KEYS = re.compile(rb"[ \t\n\v\f\r]*\+?([0-9]{1,9})(?![0-9])")
"""As Redis finds keys before the command reads the number: by C's atoi, which takes `+1`, ` 1` and `1x` as well."""
KeysFunction = Callable[[Arguments], list[KeyUse]]
"""For commands whose keys or their use depend on options: what `key_specs` would say too much or too little of."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Where keys stand in the words of a command, and what is done with them."""

    flags: str
    begin: int | None
    """The position of the first key; with `counted`, of their number. None: nobody can tell without the options."""
    last: int = 0
    """Counted from `begin`; negative ones from the end of the command."""
    step: int = 1
    counted: bool = False
    """At `begin` stands the number of keys; they come behind it."""

    def positions(self, args: Arguments) -> range:
        """Of those keys that are there; none if there are fewer than their number says, as Redis has it. O(1)."""
        if self.begin is None or self.begin >= len(args):
            return range(0)
        if not self.counted:
            last = self.begin + self.last if self.last >= 0 else len(args) + self.last
            return range(self.begin, min(last + 1, len(args)), self.step)
        number = NUMBER_OF_KEYS.match(args[self.begin])
        count = int(number[1]) if number else 0
        return range(self.begin + 1, self.begin + 1 + count) if self.begin + count < len(args) else range(0)


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    name: str
    """Lower case; a subcommand's is `client|list`."""
    function: Function
    arity: int
    flags: frozenset[str]
    keys: tuple[int, int, int]
    group: str
    """Redis's own group name: string, generic, connection, server, cluster, …"""
    summary: str
    since: str
    complexity: str
    categories: frozenset[str]
    """ACL categories without the `@`, derived from flags and group, plus what the command names itself (with a `-`:
    without it)."""
    tips: tuple[str, ...] = ()
    key_specs: tuple[KeySpec, ...] = ()
    find_keys: KeysFunction | None = None
    subcommands: dict[bytes, Command] = field(default_factory=dict)
    write: bool = False
    denyoom: bool = False
    internal: bool = False
    """For the other nodes of the cluster alone."""

    def key_positions(self, args: Arguments) -> list[int]:
        """Positions of the keys in `args`; empty when there are none. O(keys)."""
        if len(self.key_specs) == 1 and self.find_keys is None:
            return list(self.key_specs[0].positions(args))
        return [position for position, _ in self.key_uses(args)]

    def key_uses(self, args: Arguments) -> list[KeyUse]:
        """Position and use of every key in `args`; none at all where a specification finds none, as in Redis. O(keys).

        Such words are a syntax error, which the command itself tells.
        """
        if self.find_keys is not None:
            return self.find_keys(args)
        uses: list[KeyUse] = []
        for spec in self.key_specs:
            positions = spec.positions(args)
            if not positions:
                return []
            uses += [(position, spec.flags) for position in positions]
        return uses


COMMANDS: dict[bytes, Command] = {}
"""By lower-case name; subcommands hang under their container."""
INTERNAL: dict[bytes, Command] = {}
"""What nodes say to each other: dispatched as the others are, and not shown."""


def command(
    name: str,
    *,
    arity: int,
    flags: str,
    group: str,
    summary: str,
    since: str,
    complexity: str,
    keys: tuple[int, int, int] = (0, 0, 0),
    access: str = "",
    key_specs: tuple[KeySpec, ...] = (),
    find_keys: KeysFunction | None = None,
    categories: str = "",
    tips: str = "",
    internal: bool = False,
) -> Callable[[Function], Function]:
    """Register a command; its subcommands come after their container."""

    if keys[0] and not (access or key_specs):
        raise ValueError(f"command {name} does not say what it does with its keys")
    if access:
        first, last, step = keys
        key_specs = (KeySpec(access, first, last - first if last >= 0 else last, step),)

    def register(function: Function) -> Function:
        flag_set = frozenset(flags.split())
        entry = Command(
            name=name.lower(),
            function=function,
            arity=arity,
            flags=flag_set,
            keys=keys,
            group=group,
            summary=summary,
            since=since,
            complexity=complexity,
            categories=with_exceptions(derive_categories(flag_set, group), categories),
            tips=tuple(tips.split()),
            key_specs=key_specs,
            find_keys=find_keys,
            write="write" in flag_set,
            denyoom="denyoom" in flag_set,
            internal=internal,
        )
        container, _, subcommand = entry.name.encode().partition(b"|")
        table = COMMANDS[container].subcommands if subcommand else INTERNAL if internal else COMMANDS
        key = subcommand or container
        if key in table:
            raise ValueError(f"command {name} is registered twice")
        table[key] = entry
        return function

    return register


CATEGORIES = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
    "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)  # fmt: skip
"""All ACL categories, in the order in which ACL CAT lists them; some have no commands yet."""
CATEGORY_OF_GROUP = {
    "bitmap": "bitmap",
    "connection": "connection",
    "generic": "keyspace",
    "hash": "hash",
    "list": "list",
    "set": "set",
    "sorted_set": "sortedset",
    "string": "string",
    "transactions": "transaction",
}
"""Of the pubsub group, HELP has no category: there it is the flag that decides."""


def with_exceptions(derived: frozenset[str], words: str) -> frozenset[str]:
    """Also those that `words` names, and without those that it names with a `-`."""
    named = frozenset(words.split())
    taken = frozenset(word[1:] for word in named if word.startswith("-"))
    return (derived | named) - taken - {f"-{word}" for word in taken}


def derive_categories(flags: frozenset[str], group: str) -> frozenset[str]:
    """The ACL categories that follow from what else is said of a command.

    A container of subcommands has no flags, and none but the category of its speed: rules about a category reach its
    subcommands one by one.
    """
    categories = {"fast" if "fast" in flags else "slow"}
    categories |= flags & {"write", "blocking", "pubsub"}
    if "readonly" in flags:
        categories.add("read")
    if "admin" in flags:
        categories |= {"admin", "dangerous"}
    if flags and group in CATEGORY_OF_GROUP:
        categories.add(CATEGORY_OF_GROUP[group])
    return frozenset(categories)
