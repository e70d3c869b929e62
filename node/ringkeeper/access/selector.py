"""A selector: which commands, keys and channels a user may name together. Rules change it, one at a time, in order.

Every user has a root selector, which rules outside of parentheses change, and maybe further ones. A command runs if one
selector allows all of it. The grammar, the texts of errors and the canonical description are those of ACL SETUSER and
ACL LIST: https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ringkeeper.commands.table import CATEGORIES, Command
from ringkeeper.resp.inline import split_inline

READ, WRITE = 1, 2
ALL = READ | WRITE
PREFIXES = {READ: b"%R~", WRITE: b"%W~", ALL: b"~"}
"""How a key pattern of each permission is written."""

KEY_RULE = re.compile(rb"(?:~|%(R|W|RW|WR)(?:~|\Z))(.*)", re.DOTALL | re.IGNORECASE)
SPACES = re.compile(rb"[\0 \t\n\v\f\r]")
UNREADABLE = re.compile(rb"[\0-\x20\"']")
"""What would make a first argument's rule unreadable where it is written down."""

SYNTAX = "Syntax error"
UNKNOWN = "Unknown command or category name in ACL"
AFTER_ALL_KEYS = (
    "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
    "Try 'resetkeys' to start with an empty list of patterns"
)
AFTER_ALL_CHANNELS = (
    "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. "
    "Try 'resetchannels' to start with an empty list of channels"
)
FIRST_OF_SUBCOMMAND = "Allowing first-arg of a subcommand is not supported"

Table = Mapping[bytes, Command]
"""All commands by lower-case name: what `commands.load` returns."""


class RuleError(Exception):
    """A rule that cannot be applied; its text is what Redis says of it."""

    @property
    def is_unknown_name(self) -> bool:
        """Of a command or category: a text that cannot hold a secret."""
        return str(self) == UNKNOWN


def keyword(rule: bytes) -> bytes:
    """A rule that is a word, in any case; as in C nothing behind a NUL counts."""
    return rule.partition(b"\0")[0].lower()


class Selector:
    """What one selector allows. It holds names of commands: `config|get` is one, `config` its container."""

    __slots__ = ("all_channels", "all_commands", "all_keys", "channels", "commands", "first_args", "future", "keys",
                 "rules", "table")  # fmt: skip

    def __init__(self, table: Table, *, all_channels: bool = False) -> None:
        self.table = table
        self.commands: set[str] = set()
        self.all_commands = False
        """Every command, whatever `commands` says: nothing was taken away since `+@all`."""
        self.future = False
        """The last rule about all commands was `+@all`: a description starts with it."""
        self.rules: dict[bytes, bytes] = {}
        """Command or category -> `+` or `-`: the rules since then that still mean something, in order."""
        self.first_args: dict[str, dict[bytes, None]] = {}
        """First arguments with which an otherwise forbidden command may run."""
        self.keys: dict[bytes, int] = {}
        """Pattern -> `READ`, `WRITE` or both."""
        self.all_keys = False
        self.channels: dict[bytes, None] = {}
        self.all_channels = all_channels

    def copy(self) -> Selector:
        twin = Selector(self.table, all_channels=self.all_channels)
        twin.commands = set(self.commands)
        twin.all_commands, twin.future, twin.all_keys = self.all_commands, self.future, self.all_keys
        twin.rules, twin.keys, twin.channels = dict(self.rules), dict(self.keys), dict(self.channels)
        twin.first_args = {name: dict(words) for name, words in self.first_args.items()}
        return twin

    # Rules

    def apply(self, rule: bytes) -> None:
        """Raises `RuleError` and changes nothing if the rule is none."""
        if rule[:1] in (b"+", b"-"):
            self.apply_command_rule(rule)
            return
        match keyword(rule):
            case b"allkeys" | b"~*":
                self.all_keys = True
                self.keys.clear()
            case b"resetkeys":
                self.all_keys = False
                self.keys.clear()
            case b"allchannels" | b"&*":
                self.all_channels = True
                self.channels.clear()
            case b"resetchannels":
                self.all_channels = False
                self.channels.clear()
            case b"allcommands":
                self.set_all_commands(allowed=True)
            case b"nocommands":
                self.set_all_commands(allowed=False)
            case _:
                self.apply_pattern(rule)

    def apply_pattern(self, rule: bytes) -> None:
        if rule[:1] in (b"~", b"%"):
            if self.all_keys:
                raise RuleError(AFTER_ALL_KEYS)
            found = KEY_RULE.fullmatch(rule)
            if found is None or SPACES.search(found[2]):
                raise RuleError(SYNTAX)
            letters = (found[1] or b"RW").upper()
            permission = (READ if b"R" in letters else 0) | (WRITE if b"W" in letters else 0)
            self.keys[found[2]] = self.keys.get(found[2], 0) | permission
        elif rule[:1] == b"&":
            if self.all_channels:
                raise RuleError(AFTER_ALL_CHANNELS)
            if SPACES.search(rule):
                raise RuleError(SYNTAX)
            self.channels[rule[1:]] = None
        else:
            raise RuleError(SYNTAX)

    def apply_command_rule(self, rule: bytes) -> None:
        allowed = rule[:1] == b"+"
        name = keyword(rule[1:])
        if name == b"@all":
            self.set_all_commands(allowed=allowed)
        elif name[:1] == b"@":
            self.set_category(name, allowed=allowed)
        elif allowed and b"|" in name:
            self.allow_subcommand(name)
        else:
            self.set_command(self.find(name), allowed=allowed)
            self.remember(name, allowed=allowed)

    def find(self, name: bytes) -> Command:
        """A command, or `container|subcommand`; raises `RuleError`."""
        container, bar, subcommand = name.partition(b"|")
        command = self.table.get(container)
        if command is not None and bar:
            command = command.subcommands.get(subcommand)
        if command is None:
            raise RuleError(UNKNOWN)
        return command

    def set_all_commands(self, *, allowed: bool) -> None:
        self.all_commands = self.future = allowed
        self.commands = {command.name for command in self.every_command()} if allowed else set()
        self.rules.clear()
        self.first_args.clear()

    def every_command(self) -> Iterator[Command]:
        for command in self.table.values():
            yield command
            yield from command.subcommands.values()

    def set_category(self, name: bytes, *, allowed: bool) -> None:
        """What holds for a container holds for its subcommands, whatever their own categories."""
        category = name[1:].decode("latin-1")
        if category not in CATEGORIES:
            raise RuleError(UNKNOWN)
        for command in self.every_command():
            if category in command.categories:
                self.set_command(command, allowed=allowed)
        self.remember(name, allowed=allowed)

    def set_command(self, command: Command, *, allowed: bool) -> None:
        names = {command.name, *(subcommand.name for subcommand in command.subcommands.values())}
        self.first_args.pop(command.name, None)
        if allowed:
            self.commands |= names
        else:
            self.commands -= names
            self.all_commands = False

    def allow_subcommand(self, name: bytes) -> None:
        """Or, of a command without any, a first argument."""
        container, _, word = name.rpartition(b"|")
        command = self.find(container)
        if "|" in command.name:
            raise RuleError(FIRST_OF_SUBCOMMAND)
        if not word:
            raise RuleError(SYNTAX)
        if command.subcommands:
            self.set_command(self.find(name), allowed=True)
        elif UNREADABLE.search(word):
            raise RuleError(SYNTAX)
        else:
            self.first_args.setdefault(command.name, {})[word] = None
        self.remember(name, allowed=True)

    def remember(self, name: bytes, *, allowed: bool) -> None:
        """The rule replaces an earlier one of the same name, and those about its subcommands."""
        for other in [other for other in self.rules if other == name or other.startswith(name + b"|")]:
            del self.rules[other]
        self.rules[name] = b"+" if allowed else b"-"

    # Descriptions

    def command_rules(self) -> bytes:
        first = b"+@all" if self.future else b"-@all"
        return b" ".join([first, *(sign + name for name, sign in self.rules.items())])

    def key_rules(self) -> bytes:
        if self.all_keys:
            return b"~*"
        return b" ".join(PREFIXES[permission] + pattern for pattern, permission in self.keys.items())

    def channel_rules(self) -> bytes:
        return b"&*" if self.all_channels else b" ".join(b"&" + pattern for pattern in self.channels)

    def fields(self) -> dict[bytes, bytes]:
        """Its part of ACL GETUSER."""
        return {b"commands": self.command_rules(), b"keys": self.key_rules(), b"channels": self.channel_rules()}

    def rules_in_order(self) -> Iterator[bytes]:
        """The rules that make a new selector into this one."""
        yield from self.key_rules().split()
        if not self.all_channels:
            yield b"resetchannels"
        yield from self.channel_rules().split()
        yield from self.command_rules().split()

    def describe(self) -> bytes:
        return b" ".join(self.rules_in_order())


def read_selector(table: Table, text: bytes, *, all_channels: bool) -> Selector:
    """From `(rule …)`. Raises `RuleError`."""
    selector = Selector(table, all_channels=all_channels)
    for rule in split_inline(text[1:-1]) or ():
        selector.apply(rule)
    return selector


def merge_parentheses(words: Iterable[bytes]) -> list[bytes]:
    """The rules of words that may spread a selector over several; raises `ValueError` with the word that opens one."""
    rules: list[bytes] = []
    opened: list[bytes] = []
    for word in words:
        if opened:
            opened.append(word)
            if word.endswith(b")"):
                rules.append(b" ".join(opened))
                opened = []
        elif word.startswith(b"(") and not word.endswith(b")"):
            opened = [word]
        else:
            rules.append(word)
    if opened:
        raise ValueError(opened[0])
    return rules
