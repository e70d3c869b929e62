"""Who may come in: the default user, with the password of `requirepass` or of `requirepass-file`."""

from __future__ import annotations

import hmac
from pathlib import Path

from ringkeeper.server.config import Config, ConfigError


class PasswordAccess:
    """Implements `commands.context.Access`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.kept = read_password(config.text("requirepass-file"))
        """From the file, read at start; `requirepass` comes first."""

    @property
    def password(self) -> bytes:
        return self.config.text("requirepass").encode("utf-8", "surrogateescape") or self.kept

    @property
    def password_needed(self) -> bool:
        return self.password != b""

    def authenticate(self, user: str, password: bytes) -> bool:
        """As with Redis, a default user without a password takes any."""
        if user != "default":
            return False
        expected = self.password
        return not expected or hmac.compare_digest(expected, password)


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
