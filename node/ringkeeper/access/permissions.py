"""What a user's selectors say of a command, made ready so that asking costs little: a check for each command, built
when it is first asked for.

A selector allows a command if it allows the command itself, every key in it for what the command does with it, and
every channel in it. Of several refusals the one that came furthest is told, as in Redis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Protocol

import cython

from ringkeeper.access.selector import READ, WRITE, Selector
from ringkeeper.commands.glob import Glob
from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.values import ReplyError


class Reason(IntEnum):
    """Why something was refused; of several the greatest is told."""

    COMMAND = 1
    KEY = 2
    AUTH = 3
    CHANNEL = 4


Denial = tuple[Reason, int]
"""The reason, and the position in the command of the key or channel that is not allowed."""

NOT_THE_COMMAND: Denial = (Reason.COMMAND, 0)
NOT_THE_FIRST_KEY: Denial = (Reason.KEY, 1)

CHANNELS = {
    "publish": range(1, 2),
    "spublish": range(1, 2),
    "subscribe": range(1, 2**31),
    "ssubscribe": range(1, 2**31),
    "psubscribe": range(1, 2**31),
}
"""Where channels stand that a user must be allowed to name. Anybody may unsubscribe."""


@cython.final
@cython.cclass
class Patterns:
    """Several glob patterns, most of which are a literal, or a literal with a `*` behind or before it."""

    exact: frozenset[bytes]
    prefixes: tuple[bytes, ...]
    suffixes: tuple[bytes, ...]
    globs: list[Glob]

    def __init__(self, patterns: Iterable[bytes], literally: bool = False) -> None:
        """`literally`: as PSUBSCRIBE's patterns are compared with those of the user's rules."""
        exact, prefixes, suffixes, globs = [], [], [], []
        for pattern in patterns:
            start = pattern[:-1]
            if literally or not is_glob(pattern):
                exact.append(pattern)
            elif pattern[-1:] == b"*" and start and not is_glob(start):
                prefixes.append(start)
            elif pattern[:1] == b"*" and pattern[1:] and not is_glob(pattern[1:]):
                suffixes.append(pattern[1:])
            else:
                globs.append(Glob(pattern))
        self.exact = frozenset(exact)
        self.prefixes = tuple(prefixes)
        self.suffixes = tuple(suffixes)
        self.globs = globs

    @cython.ccall
    def match(self, word: bytes) -> cython.bint:
        if word.startswith(self.prefixes) or word in self.exact or word.endswith(self.suffixes):
            return True
        for glob in self.globs:  # noqa: SIM110, a generator would cost more than what it asks
            if glob.match(word):
                return True
        return False


def is_glob(pattern: bytes) -> bool:
    return any(byte in pattern for byte in b"*?[\\")


@cython.final
@cython.cclass
class Grant:
    """One selector's word on one command that it allows, at least sometimes."""

    command: Command
    first_args: frozenset[bytes] | None
    one_key: Patterns | None
    first_key: Patterns | None
    keys: dict[int, Patterns] | None
    channels: Patterns | None

    def __init__(self, command: Command, selector: Selector, first_args: frozenset[bytes] | None) -> None:
        self.command = command
        self.first_args = first_args
        """None: whatever the first argument is."""
        self.one_key = None
        """What the only key, the first argument, must match."""
        self.first_key = None
        """What is enough if the only key matches it, whatever is done with the key."""
        self.keys = None
        """By the permission that is needed of a key: what it must match."""
        self.channels = None
        if not selector.all_keys and has_keys(command):
            by_need = {need: Patterns(allowing(selector, need)) for need in range((READ | WRITE) + 1)}
            has_one_key = command.keys == (1, 1, 1) and len(command.key_specs) == 1
            if has_one_key and command.find_keys is None:
                self.one_key = by_need[need_of(command.key_specs[0].flags)]
            else:
                self.first_key = by_need[READ | WRITE] if has_one_key else None
                self.keys = by_need
        if not selector.all_channels and command.name in CHANNELS:
            self.channels = Patterns(selector.channels, command.name == "psubscribe")

    @property
    def is_free(self) -> bool:
        return self.first_args is None and self.one_key is None and self.keys is None and self.channels is None

    @cython.ccall
    def objection(self, args: list[bytes]) -> object:
        """None, or the `Denial`."""
        if self.first_args is not None and (len(args) < 2 or args[1].lower() not in self.first_args):
            return NOT_THE_COMMAND
        if self.one_key is not None:
            return None if self.one_key.match(args[1]) else NOT_THE_FIRST_KEY
        if self.first_key is not None and self.first_key.match(args[1]):
            return None
        if self.keys is not None:
            for position, flags in self.command.key_uses(args):
                need = need_of(flags)
                if need >= 0 and not self.keys[need].match(args[position]):
                    return (Reason.KEY, position)
        if self.channels is not None:
            for position in CHANNELS[self.command.name]:
                if position == len(args):
                    break
                if not self.channels.match(args[position]):
                    return (Reason.CHANNEL, position)
        return None


@cython.final
@cython.cclass
class Check:
    """All selectors' word on one command, none of which allows it always."""

    grants: list[Grant]

    def __init__(self, grants: list[Grant]) -> None:
        self.grants = grants

    @cython.ccall
    def objection(self, args: list[bytes]) -> object:
        """None, or the `Denial`."""
        grant: Grant
        for grant in self.grants:
            if grant.objection(args) is None:
                return None
        worst = NOT_THE_COMMAND
        for grant in self.grants:
            worst = max(worst, grant.objection(args))
        return worst


@cython.final
@cython.cclass
class Permissions:
    """By command the check that its words must pass. Made for selectors as they are now."""

    selectors = cython.declare(object, visibility="readonly")
    unrestricted = cython.declare(cython.bint, visibility="readonly")
    checks: dict[Command, Check | None]

    def __init__(self, selectors: Sequence[Selector]) -> None:
        self.selectors = selectors
        self.unrestricted = any(each.all_commands and each.all_keys and each.all_channels for each in selectors)
        """Any command may always run."""
        self.checks = {}

    @cython.ccall
    def check_of(self, command: Command) -> object:
        """None if it may always run."""
        try:
            return self.checks[command]
        except KeyError:
            check = self.checks[command] = self.build(command)
            return check

    def build(self, command: Command) -> Check | None:
        grants = []
        for selector in self.selectors:
            name = command.name
            if selector.all_commands or "no_auth" in command.flags or name in selector.commands:
                grant = Grant(command, selector, None)
                if grant.is_free:
                    return None
                grants.append(grant)
            elif name in selector.first_args:
                grants.append(Grant(command, selector, frozenset(selector.first_args[name])))
        return Check(grants)

    def objection(self, command: Command, args: Arguments) -> Denial | None:
        """To a whole command of the right number of words."""
        check = self.check_of(command)
        return None if check is None else check.objection(args)

    def may_use_every_key(self, command: Command, args: Arguments, need: int) -> bool:
        """Whether a selector allows the command and, besides, any key at all for `need` (SORT with BY or GET)."""
        return any(
            Permissions([selector]).objection(command, args) is None
            for selector in self.selectors
            if selector.all_keys or selector.keys.get(b"*", 0) & need == need
        )


class Actor(Protocol):
    """Somebody for whom a command is to run: a session."""

    @property
    def user(self) -> Holder: ...


class Holder(Protocol):
    permissions: Permissions


@cython.final
@cython.cclass
class PermissionGate:
    """Asks an actor's permissions before a command; what to say against it is for `refuse` to know."""

    refuse: object

    def __init__(self, refuse: Callable[[Any, Command, Arguments, Denial], ReplyError]) -> None:
        self.refuse = refuse

    def ask(self, actor: Actor, command: Command, args: list[bytes]) -> ReplyError | None:
        """None if the command may run. Where it always may, this costs a look into a dictionary."""
        permissions: Permissions = actor.user.permissions
        found = permissions.check_of(command)
        if found is None:
            return None
        check: Check = found
        denial = check.objection(args)
        return None if denial is None else self.refuse(actor, command, args, denial)  # type: ignore[operator]


def has_keys(command: Command) -> bool:
    return command.find_keys is not None or any("not_key" not in spec.flags for spec in command.key_specs)


def allowing(selector: Selector, need: int) -> Iterable[bytes]:
    return (pattern for pattern, permission in selector.keys.items() if permission & need == need)


NEEDS: dict[str, int] = {}
"""The permission that each combination of flags needs; they are few."""


def need_of(flags: str) -> int:
    """What a user must be allowed to do with a key that is used so; -1 for what is no key."""
    need = NEEDS.get(flags)
    if need is None:
        words = set(flags.split())
        need = (READ if "access" in words else 0) | (WRITE if words & {"insert", "update", "delete"} else 0)
        NEEDS[flags] = need = -1 if "not_key" in words else need
    return need
