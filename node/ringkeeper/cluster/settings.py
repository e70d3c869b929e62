"""What of a manifest a node takes while it runs: the operator's document, and the digest by which it is compared.

    {"leader": 3, "eviction": "allkeys-lru", "namespaces": [{"prefix": "session:", "maxMemory": "64Mi"}]}

Two hold the same settings if and only if their digests are equal. A digest is made of the canonical texts of the two
directives, so a later field of a namespace, as long as nobody sets it, changes none.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringkeeper.store import namespace_text
from ringkeeper.store.namespaces import Namespace
from ringkeeper.store.policies import NODE_DEFAULT, POLICIES


class SettingsError(ValueError):
    """Settings that cannot be used; the text names the field."""


@dataclass(frozen=True, slots=True)
class Settings:
    eviction: str = NODE_DEFAULT
    """The node's policy, by name."""
    namespaces: tuple[Namespace, ...] = ()

    def directives(self) -> dict[str, str]:
        """As a node's configuration has them."""
        return {"maxmemory-policy": self.eviction, "namespaces": canonical(self.namespaces)}

    def for_file(self) -> dict[str, str]:
        """Those that are not the default: a node of an older release need not know the others."""
        plain = Settings().directives()
        return {name: value for name, value in self.directives().items() if value != plain[name]}

    @property
    def digest(self) -> str:
        return digest_of(self.directives())


@functools.lru_cache(8)
def canonical(namespaces: tuple[Namespace, ...]) -> str:
    """The text of the directive. Asked for in every round of the operator, and long where there are thousands."""
    return namespace_text.render(namespaces)


def digest_of(directives: Mapping[str, str]) -> str:
    """Of the texts that a node holds, which are canonical."""
    text = f"{directives['maxmemory-policy']}\n{directives['namespaces']}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(settings: Settings, leader: int) -> dict[str, Any]:
    return {
        "leader": leader,
        "eviction": settings.eviction,
        "namespaces": namespace_text.to_list(settings.namespaces),
    }


def decode(document: Any) -> tuple[Settings, int]:
    """The settings and the number of the leader who sent them; raises `SettingsError`."""
    if not isinstance(document, dict):
        raise SettingsError("settings: must be an object")
    leader, eviction = document.get("leader"), document.get("eviction")
    if not isinstance(leader, int) or isinstance(leader, bool) or leader < 0:
        raise SettingsError("settings: leader: must be a number")
    if eviction not in POLICIES:
        raise SettingsError(f"settings: eviction: must be one of {', '.join(POLICIES)}")
    try:
        return Settings(str(eviction), namespace_text.from_list(document.get("namespaces"))), leader
    except ValueError as error:
        place = "" if str(error).startswith("[") else ": "
        raise SettingsError(f"settings: namespaces{place}{error}") from None
