"""A user: whether they may come in, by which passwords, and what they may do then."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from typing import Any

from ringkeeper.access.permissions import Permissions
from ringkeeper.access.selector import RuleError, Selector, Table, keyword, read_selector
from ringkeeper.resp.values import SetReply

QUOTES = re.compile(rb"[\"']")
HASH = re.compile(rb"[0-9a-f]{64}")
BAD_HASH = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
NO_SUCH_PASSWORD = "The password you are trying to remove from the user does not exist"


class User:
    """Sessions refer to it, so a change of rules replaces what is in it (`assume`) and never itself."""

    __slots__ = (
        "enabled", "name", "no_password", "passwords", "permissions", "pubsub_default", "sanitize", "selectors",
        "table",
    )  # fmt: skip

    def __init__(self, name: bytes, table: Table, *, pubsub_default: bool = False) -> None:
        self.name = name
        self.table = table
        self.pubsub_default = pubsub_default
        """Whether a new selector begins with all channels: `acl-pubsub-default`."""
        self.enabled = False
        self.no_password = False
        self.sanitize = True
        """Kept for the sake of `skip-sanitize-payload`; what RESTORE takes is always checked."""
        self.passwords: dict[bytes, None] = {}
        """Their SHA-256 in lower-case hexadecimal digits."""
        self.selectors = [Selector(table, all_channels=pubsub_default)]
        """The root selector first."""
        self.permissions = Permissions(self.selectors)

    def copy(self) -> User:
        twin = User(self.name, self.table, pubsub_default=self.pubsub_default)
        twin.enabled, twin.no_password, twin.sanitize = self.enabled, self.no_password, self.sanitize
        twin.passwords = dict(self.passwords)
        twin.selectors = [selector.copy() for selector in self.selectors]
        return twin

    def assume(self, other: User) -> None:
        """Become what `other` is, which is not used any more."""
        self.enabled, self.no_password, self.sanitize = other.enabled, other.no_password, other.sanitize
        self.passwords, self.selectors = other.passwords, other.selectors
        self.permissions = Permissions(self.selectors)

    @property
    def root(self) -> Selector:
        return self.selectors[0]

    def admits(self, password: bytes) -> bool:
        """Whether the password opens the door. Takes as long for a wrong one as for a right one."""
        if not self.enabled or self.no_password:
            return self.enabled
        given = digest(password)
        found = False
        for known in self.passwords:
            found |= hmac.compare_digest(known, given)
        return found

    # Rules

    def change(self, rules: Iterable[bytes]) -> None:
        """Apply rules in order; raises `RuleError`. Those before the fault have been applied: change a copy."""
        for rule in rules:
            self.apply(rule)
        self.permissions = Permissions(self.selectors)

    def apply(self, rule: bytes) -> None:
        if rule[:1] in (b">", b"#", b"<", b"!"):
            self.apply_password(rule)
        elif rule[:1] == b"(" and rule.endswith(b")"):
            self.selectors.append(read_selector(self.table, rule, all_channels=self.pubsub_default))
        elif rule:
            self.apply_word(rule)

    def apply_word(self, rule: bytes) -> None:
        match keyword(rule):
            case b"on":
                self.enabled = True
            case b"off":
                self.enabled = False
            case b"nopass":
                self.no_password = True
                self.passwords.clear()
            case b"resetpass":
                self.no_password = False
                self.passwords.clear()
            case b"sanitize-payload":
                self.sanitize = True
            case b"skip-sanitize-payload":
                self.sanitize = False
            case b"clearselectors":
                del self.selectors[1:]
            case b"reset":
                self.assume(User(self.name, self.table, pubsub_default=self.pubsub_default))
            case _:
                self.root.apply(rule)

    def apply_password(self, rule: bytes) -> None:
        sign, word = rule[:1], rule[1:]
        if sign in (b">", b"<"):
            word = digest(word)
        elif not HASH.fullmatch(word):
            raise RuleError(BAD_HASH)
        if sign in (b">", b"#"):
            self.passwords[word] = None
            self.no_password = False
        elif word in self.passwords:
            del self.passwords[word]
        else:
            raise RuleError(NO_SUCH_PASSWORD)

    # Descriptions

    def flags(self) -> list[bytes]:
        return [
            b"on" if self.enabled else b"off",
            *([b"nopass"] if self.no_password else []),
            b"sanitize-payload" if self.sanitize else b"skip-sanitize-payload",
        ]

    def describe(self) -> bytes:
        """The rules that make a new user into this one, as ACL LIST shows them."""
        passwords = [b"#" + word for word in self.passwords]
        others = [b"(%b)" % selector.describe() for selector in self.selectors[1:]]
        return b" ".join([*self.flags(), *passwords, self.root.describe(), *others])

    def fields(self) -> dict[bytes, Any]:
        """As ACL GETUSER shows them."""
        return {
            b"flags": SetReply(self.flags()),
            b"passwords": list(self.passwords),
            **self.root.fields(),
            b"selectors": [selector.fields() for selector in self.selectors[1:]],
        }

    def rules(self) -> list[bytes]:
        """As `describe`, one by one, in a form that is read back as the same whatever stands in their patterns."""
        selectors = [b"(%b)" % b" ".join(map(guarded, each.rules_in_order())) for each in self.selectors[1:]]
        return [*self.flags(), *(b"#" + word for word in self.passwords), *self.root.rules_in_order(), *selectors]

    def channel_patterns(self) -> Iterator[bytes]:
        for selector in self.selectors:
            yield from selector.channels

    @property
    def all_channels(self) -> bool:
        return any(selector.all_channels for selector in self.selectors)


def digest(password: bytes) -> bytes:
    return hashlib.sha256(password).hexdigest().encode()


def quoted(word: bytes) -> bytes:
    """In quotes, by the rules of the configuration, if it holds any."""
    return in_quotes(word) if QUOTES.search(word) else word


def guarded(rule: bytes) -> bytes:
    """A rule within a selector: in quotes also if it might be taken for the selector's end."""
    return in_quotes(rule) if rule.endswith(b")") else quoted(rule)


def in_quotes(word: bytes) -> bytes:
    return b'"%b"' % word.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def may_lose_channels(old: User, new: User) -> bool:
    """Whether sessions must be asked if they listen to what `new` cannot name. As Redis, also behind an addition."""
    return not new.all_channels and (old.all_channels or any(True for _ in old.channel_patterns()))
