"""The command table: the single source for dispatch, `COMMAND`, ACL categories and the reference page.

A command is a plain function registered where it is written:

    @command("GETSET", arity=3, flags="write denyoom fast", keys=(1, 1, 1), group="string",
             since="1.0.0", summary="Sets a key's value and returns the old one.", complexity="O(1)")
    def getset(context: Context, args: Arguments) -> Reply: ...

`args[0]` is the command's own name as the client wrote it. `arity` counts it too; a negative arity is a minimum.
`keys` is (first, last, step) in positions of `args`, last < 0 counted from the end; (0, 0, 0) means no keys.
A subcommand is registered as `"CLIENT|LIST"`, its arity counting both words, as Redis does.
Flags are Redis's own (`write readonly denyoom admin fast loading stale noscript blocking pubsub no_auth movablekeys
skip_slowlog no_async_loading no_multi`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ringkeeper.commands.context import Context

Arguments = list[bytes]
Reply = Any
Function = Callable[[Context, Arguments], Reply]
KeysFunction = Callable[[Arguments], list[int]]
"""For commands whose keys no range describes: the positions of the keys in `args`."""


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
    """ACL categories without the `@`, derived from flags and group, plus what the command names itself."""
    find_keys: KeysFunction | None = None
    subcommands: dict[bytes, Command] = field(default_factory=dict)
    write: bool = False
    denyoom: bool = False

    def key_positions(self, args: Arguments) -> list[int]:
        """Positions of the keys in `args`; empty when there are none. O(keys)."""
        if self.find_keys is not None:
            return self.find_keys(args)
        first, last, step = self.keys
        if first == 0:
            return []
        end = last if last >= 0 else len(args) + last
        return list(range(first, min(end, len(args) - 1) + 1, step))


COMMANDS: dict[bytes, Command] = {}
"""By lower-case name; subcommands hang under their container."""


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
    find_keys: KeysFunction | None = None,
    categories: str = "",
) -> Callable[[Function], Function]:
    """Register a command; its subcommands come after their container."""

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
            categories=derive_categories(flag_set, group) | frozenset(categories.split()),
            find_keys=find_keys,
            write="write" in flag_set,
            denyoom="denyoom" in flag_set,
        )
        container, _, subcommand = entry.name.encode().partition(b"|")
        table = COMMANDS[container].subcommands if subcommand else COMMANDS
        key = subcommand or container
        if key in table:
            raise ValueError(f"command {name} is registered twice")
        table[key] = entry
        return function

    return register


def derive_categories(flags: frozenset[str], group: str) -> frozenset[str]:
    """Redis's implicit ACL categories (`setImplicitACLCategories` in its documentation of ACL)."""
    categories = {"fast" if "fast" in flags else "slow"}
    if "write" in flags:
        categories.add("write")
    if "readonly" in flags and group not in {"server", "connection", "cluster"}:
        categories.add("read")
    if "admin" in flags:
        categories |= {"admin", "dangerous"}
    if "blocking" in flags:
        categories.add("blocking")
    named = {"string": "string", "bitmap": "bitmap", "generic": "keyspace", "connection": "connection"}
    if group in named:
        categories.add(named[group])
    return frozenset(categories)
