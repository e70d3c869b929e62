"""All the users of a node, and the two forms in which they are written down: `user NAME rule …` in the configuration
and in an ACL file. As Redis has it, a fault anywhere in them loads nothing, and every fault is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from ringkeeper.access.selector import SPACES, RuleError, Table, merge_parentheses
from ringkeeper.access.user import User, quoted
from ringkeeper.resp.values import ReplyError

DEFAULT = b"default"
UNCHANGED = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed"


class AclFileError(Exception):
    """What is wrong with an ACL file, line by line in one text."""


class Users:
    """By name. There is always a user `default`: who has not said anything is that one."""

    def __init__(self, table: Table, *, pubsub_default: bool = False) -> None:
        self.table = table
        self.pubsub_default = pubsub_default
        self.by_name: dict[bytes, User] = {}
        self.default = self.by_name[DEFAULT] = self.new(DEFAULT)
        self.default.change([b"+@all", b"~*", b"&*", b"on", b"nopass"])

    def new(self, name: bytes) -> User:
        """A user that is nobody yet: without rights, off, and not among these."""
        return User(name, self.table, pubsub_default=self.pubsub_default)

    def sorted(self) -> Iterator[User]:
        return (self.by_name[name] for name in sorted(self.by_name))

    def lines(self) -> list[bytes]:
        """As ACL LIST shows them."""
        return [b"user %b %b" % (user.name, user.describe()) for user in self.sorted()]

    def file_lines(self) -> list[bytes]:
        """As they stand in an ACL file, where blanks part the rules and quotes mean nothing."""
        return [b" ".join([b"user", user.name, *user.rules()]) for user in self.sorted()]

    def configuration_lines(self) -> list[bytes]:
        """As they stand in the configuration, by its rules of quoting."""
        return [b" ".join([b"user", *map(quoted, [user.name, *user.rules()])]) for user in self.sorted()]

    def staged(self, name: bytes, words: Iterable[bytes]) -> User:
        """The user as ACL SETUSER would leave them, not yet put in place; raises `ReplyError` with Redis's text."""
        if SPACES.search(name):
            raise ReplyError("ERR Usernames can't contain spaces or null characters")
        old = self.by_name.get(name)
        user = old.copy() if old is not None else self.new(name)
        user.pubsub_default = self.pubsub_default
        try:
            rules = merge_parentheses(words)
        except ValueError as error:
            word = printable(error.args[0])
            raise ReplyError(f"ERR Unmatched parenthesis in acl selector starting at '{word}'.") from None
        for rule in rules:
            try:
                user.apply(rule)
            except RuleError as error:
                raise ReplyError(f"ERR Error in ACL SETUSER modifier '{printable(rule)}': {error}") from None
        return user

    def put(self, staged: User) -> User:
        """Put a staged user in place; the one that sessions know by this name stays the same object."""
        user = self.by_name.setdefault(staged.name, staged)
        user.assume(staged)
        return user

    def set_default_password(self, password: bytes) -> None:
        """`requirepass`: the only password of the default user; an empty one means that none is needed."""
        self.default.change([b"resetpass", b">" + password if password else b"nopass"])

    def declare(self, words: Sequence[bytes]) -> None:
        """A line `user NAME rule …` of the configuration, without its first word; raises `ValueError`."""
        if not words:
            raise ValueError("a name and rules must follow")
        name = words[0]
        if SPACES.search(name):
            raise ValueError("spaces are not allowed in user names")
        user = self.new(name)
        try:
            user.change(merge_parentheses(words[1:]))
        except RuleError as error:
            raise ValueError(f"{printable(name)}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{printable(name)}: unmatched parenthesis at '{printable(error.args[0])}'") from None
        self.put(user)


def read_acl_file(text: bytes, path: str, users: Users) -> None:
    """Put the users of a file among `users`, which must be new; raises `AclFileError`."""
    faults = []
    seen: set[bytes] = set()
    for number, line in enumerate(text.split(b"\n"), 1):
        words = line.strip(b" \t\r\n").split(b" ")
        where = f"{path}:{number}"
        if words == [b""]:
            continue
        if words[0] != b"user" or len(words) < 2:
            faults.append(f"{where} should start with user keyword followed by the username. ")
        elif SPACES.search(words[1]):
            faults.append(f"'{where}: username '{printable(words[1])}' contains invalid characters. ")
        elif words[1] in seen:
            faults.append(f"WARNING: Duplicate user '{printable(words[1])}' found on line {number}. ")
        else:
            seen.add(words[1])
            user = users.new(words[1])
            faults += apply_line(user, words[2:], where)
            users.put(user)
    if faults:
        raise AclFileError("".join(faults) + UNCHANGED)


def apply_line(user: User, words: Sequence[bytes], where: str) -> Iterator[str]:
    """Apply the rules of a file's line; what is wrong with them. Only names are quoted: other rules may be secrets."""
    try:
        rules = merge_parentheses(words)
    except ValueError:
        yield f"{where}: Unmatched parenthesis in selector definition."
        return
    syntax_told = False
    for rule in rules:
        try:
            user.apply(rule.strip(b"\t\r\n"))
        except RuleError as error:
            if error.is_unknown_name:
                yield f"{where}: Error in applying operation '{printable(rule)}': {error}. "
            elif not syntax_told:
                syntax_told = True
                yield f"{where}: {error}. "


def printable(word: bytes) -> str:
    """As an error line shows a client's bytes: up to a NUL, without line ends."""
    return word.partition(b"\0")[0].decode("utf-8", "surrogateescape").replace("\r", " ").replace("\n", " ")
