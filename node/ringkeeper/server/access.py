"""Puts the users' rules into force: who a session acts for, what it may do, what was refused, and the ACL file.

The rules themselves are in `ringkeeper.access`. A session refers to its user; when a user changes, every session is
looked at anew, and those that may not go on as they do are closed.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.access.denials import DenialLog, Refusal
from ringkeeper.access.permissions import Denial, Patterns, PermissionGate, Permissions, Reason
from ringkeeper.access.selector import READ, Table
from ringkeeper.access.user import User, may_lose_channels
from ringkeeper.access.users import DEFAULT, AclFileError, Users, printable, read_acl_file
from ringkeeper.commands.context import Client
from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.config import Config, ConfigError
from ringkeeper.server.files import write_durably

if TYPE_CHECKING:
    from ringkeeper.server.session import Session
    from ringkeeper.store.keyspace import Clock

log = logging.getLogger(__name__)

NO_FILE = ReplyError(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER "
    "command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users"
    " in the Redis configuration."
)
NOT_SAVED = ReplyError(
    "ERR There was an error trying to save the ACLs. Please check the server logs for more information"
)
CHANGED_SINCE = (
    "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no"
    " longer allowed for the following reason: "
)
WHY_CHANGED = {
    Reason.COMMAND: "no permission to execute the command or subcommand",
    Reason.KEY: "no permission to touch the specified keys",
    Reason.CHANNEL: "no permission to access one of the channels used as arguments",
}


class AccessControl:
    """One a node; implements `commands.context.Access`."""

    def __init__(self, config: Config, table: Table, clock: Clock) -> None:
        self.config = config
        self.table = table
        self.clock = clock
        self.password_from_file = read_password(config.text("requirepass-file"))
        """Read at start; `requirepass` comes first."""
        self.users = Users(table)
        self.denials = DenialLog()
        self.permission = PermissionGate(self.refuse).ask
        """The gate between restricted sessions and their commands."""
        self.sessions: Callable[[], Iterable[Session]] = tuple
        self.kill: Callable[[Client], None] = lambda _: None
        """Closes a session: its own one only behind its reply."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when the users have changed."""

    # Configuration

    def apply(self, changed: frozenset[str]) -> None:
        """Put changed directives into force."""
        self.users.pubsub_default = self.config.text("acl-pubsub-default") == "allchannels"
        self.denials.max_length = self.config.number("acllog-max-len")
        if "requirepass" in changed:
            self.users.set_default_password(self.password)
            self.changed()

    @property
    def password(self) -> bytes:
        return self.config.text("requirepass").encode("utf-8", "surrogateescape") or self.password_from_file

    def load_at_start(self) -> None:
        """The users that the configuration declares, or those of the ACL file; raises `ConfigError`."""
        declared = self.config.users
        if self.file is not None and declared:
            raise ConfigError(
                f"{declared[0][0]}: users are declared in the configuration while aclfile names {self.file}: "
                "keep them in one place, declare them here or in the ACL file, not in both"
            )
        for where, words in declared:
            try:
                self.users.declare([word.encode("utf-8", "surrogateescape") for word in words])
            except ValueError as error:
                raise ConfigError(f"{where}: user {error}") from None
        if self.file is not None:
            try:
                self.users = self.read_file(self.file)
            except ReplyError as error:
                raise ConfigError(f"aclfile: {error.text.removeprefix('ERR ')}") from None
        for user in self.users.sorted():
            if not user.enabled:
                log.info("The user %r is off: nobody can log in as that one", user.name.decode("utf-8", "replace"))

    # Coming in

    @property
    def password_needed(self) -> bool:
        default = self.users.default
        return not (default.no_password and default.enabled)

    @property
    def has_password(self) -> bool:
        return not self.users.default.no_password

    def welcome(self, session: Session) -> None:
        """A session that is new, or behind RESET, acts for the default user."""
        session.user = self.users.default
        session.authenticated = not self.password_needed
        session.update_access()

    def log_in(self, client: Client, user: bytes, password: bytes, command: bytes) -> bool:
        session = cast("Session", client)
        found = self.users.by_name.get(user)
        if found is None or not found.admits(password):
            self.note(session, Reason.AUTH, command, user)
            return False
        session.user = found
        session.authenticated = True
        session.update_access()
        return True

    # What may be done

    def refuse(self, session: Session, command: Command, args: Arguments, denial: Denial) -> ReplyError:
        reason, position = denial
        name = command.name.encode() if reason is Reason.COMMAND else args[position]
        self.note(session, reason, name, session.user.name)
        if session.executing:
            return ReplyError(CHANGED_SINCE + WHY_CHANGED[reason])
        if reason is Reason.COMMAND:
            return ReplyError(f"NOPERM {printable(objection_text(session.user, command, args, denial))}")
        return ReplyError(f"NOPERM No permissions to access a {reason.name.lower()}")

    def note(self, session: Session, reason: Reason, name: bytes, username: bytes) -> None:
        in_transaction = session.executing or session.transaction is not None
        context = "multi" if in_transaction else "toplevel"
        now = self.clock.now_ms
        self.denials.add(Refusal(reason, context, name, username, session.describe(), now, now))

    def try_out(self, name: bytes, command: Command, args: Sequence[bytes]) -> bytes | None:
        user = self.users.by_name[name]
        words = list(args)
        denial = user.permissions.objection(command, words)
        return None if denial is None else objection_text(user, command, words, denial)

    def may_read_every_key(self, client: Client, command: Command, args: Sequence[bytes]) -> bool:
        permissions: Permissions = cast("Session", client).user.permissions
        return permissions.unrestricted or permissions.may_use_every_key(command, list(args), READ)

    def new_password(self, digits: int) -> str:
        return secrets.token_hex((digits + 1) // 2)[:digits]

    def refusals(self, count: int) -> list[dict[bytes, Any]]:
        return [entry.fields(self.clock.now_ms) for entry in self.denials.newest(count)]

    def forget_refusals(self) -> None:
        self.denials.clear()

    # The users

    def has_user(self, name: bytes) -> bool:
        return name in self.users.by_name

    def names(self) -> list[bytes]:
        return sorted(self.users.by_name)

    def lines(self) -> list[bytes]:
        return self.users.lines()

    def fields(self, name: bytes) -> dict[bytes, Any] | None:
        user = self.users.by_name.get(name)
        return None if user is None else user.fields()

    def set_user(self, name: bytes, words: Sequence[bytes]) -> None:
        staged = self.users.staged(name, words)
        old = self.users.by_name.get(name)
        if old is not None:
            self.close_subscribers(old, staged)
        self.users.put(staged)
        self.changed()

    def delete_users(self, names: Sequence[bytes]) -> int:
        if DEFAULT in names:
            raise ReplyError("ERR The 'default' user cannot be removed")
        gone = [user for name in names if (user := self.users.by_name.pop(name, None))]
        for session in self.sessions():
            if session.user in gone:
                self.dismiss(session)
        return len(gone)

    def close_subscribers(self, old: User, new: User) -> None:
        """Those sessions of the user that listen to a channel to which the user will have no right."""
        if may_lose_channels(old, new):
            for session in self.sessions():
                if session.user is old and listens_elsewhere(session, new):
                    self.dismiss(session)

    def dismiss(self, session: Session) -> None:
        """Close it; whatever it may still do, it does as somebody who has not logged in."""
        session.user = self.users.default
        session.authenticated = False
        session.update_access()
        self.kill(session)

    def changed(self) -> None:
        for session in self.sessions():
            session.update_access()
        self.on_change()

    # The ACL file

    @property
    def file(self) -> Path | None:
        """Relative to the working directory of the node, `dir`."""
        name = self.config.text("aclfile")
        return Path(self.config.text("dir"), name) if name else None

    def read_file(self, path: Path) -> Users:
        """Users by a file; raises `ReplyError`. If it does not speak of the default user, the configuration does."""
        users = Users(self.table, pubsub_default=self.users.pubsub_default)
        users.set_default_password(self.password)
        try:
            read_acl_file(path.read_bytes(), self.config.text("aclfile"), users)
        except OSError as error:
            name = self.config.text("aclfile")
            raise ReplyError(f"ERR Error loading ACLs, opening file '{name}': {error.strerror}") from None
        except AclFileError as error:
            raise ReplyError(f"ERR {error}") from None
        return users

    def lines_for_configuration(self) -> list[bytes]:
        """What CONFIG REWRITE writes: no user of an ACL file, nor a default user who is as `requirepass` has it."""
        if self.file is not None:
            return []
        plain = Users(self.table)
        plain.set_default_password(self.password)
        return [line for line in self.users.configuration_lines() if line not in plain.configuration_lines()]

    def load(self) -> None:
        if self.file is None:
            raise NO_FILE
        new = self.read_file(self.file)
        for old in self.users.sorted():
            user = new.by_name.get(old.name)
            if user is not None:
                self.close_subscribers(old, user)
        self.users = new
        for session in self.sessions():
            successor = new.by_name.get(session.user.name)
            if successor is None:
                self.dismiss(session)
            else:
                session.user = successor
        self.changed()

    def save(self) -> None:
        if self.file is None:
            raise NO_FILE
        try:
            write_durably(self.file, b"".join(line + b"\n" for line in self.users.file_lines()))
        except OSError as error:
            log.warning("The ACL file %s could not be written: %s", self.file, error.strerror or error)
            raise NOT_SAVED from None


def objection_text(user: User, command: Command, args: Arguments, denial: Denial) -> bytes:
    reason, position = denial
    if reason is Reason.COMMAND:
        return b"User %b has no permissions to run the '%b' command" % (user.name, command.name.encode())
    kind = reason.name.lower().encode()
    return b"User %b has no permissions to access the '%b' %b" % (user.name, args[position], kind)


def listens_elsewhere(session: Session, user: User) -> bool:
    """Whether a session has subscribed to what the user has no right to."""
    rights = list(user.channel_patterns())
    channels, patterns = Patterns(rights), Patterns(rights, literally=True)
    return any(
        not (patterns if kind == "pattern" else channels).match(name)
        for kind, names in session.subscriptions.items()
        for name in names
    )


def read_password(path: str) -> bytes:
    """What the file holds, without the line end that an editor leaves; raises `ConfigError`."""
    if not path:
        return b""
    try:
        password = Path(path).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise ConfigError(f"requirepass-file: cannot read {path}: {error.strerror}") from None
    if not password:
        raise ConfigError(f"requirepass-file: {path} is empty; it must hold a password")
    return password
