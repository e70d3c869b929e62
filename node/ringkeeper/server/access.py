"""Who may come in: the default user, with the password of `requirepass` or none."""

from __future__ import annotations

import hmac

from ringkeeper.server.config import Config


class PasswordAccess:
    """Implements `commands.context.Access`."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    def password_needed(self) -> bool:
        return self.config.text("requirepass") != ""

    def authenticate(self, user: str, password: bytes) -> bool:
        """As with Redis, a default user without a password takes any."""
        if user != "default":
            return False
        expected = self.config.text("requirepass").encode("utf-8", "surrogateescape")
        return not expected or hmac.compare_digest(expected, password)
