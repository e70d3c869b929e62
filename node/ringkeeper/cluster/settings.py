"""What of a manifest a node takes while it runs: the operator's document, and the digest by which it is compared.

    {"leader": 3, "eviction": "allkeys-lru", "namespaces": [{"prefix": "session:", "maxMemory": "64Mi"}],
     "save": "300 1", "appendonly": "yes", "appendfsync": "everysec",
     "repl-backlog-size": "16777216", "cluster-allow-reads-when-down": "no"}

Two hold the same settings if and only if their digests are equal. A digest is made of the canonical texts of the
directives, of the later ones only where they are not the default: so a later field of a namespace, or a later
directive, changes none as long as nobody sets it.
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

SYNCS = ("always", "everysec", "no")
"""When an append-only file is synced to the disk, in the words of `appendfsync`."""
DEFAULTS = {
    "save": "",
    "appendonly": "no",
    "appendfsync": "everysec",
    "repl-backlog-size": str(16 * 1024**2),
    "cluster-allow-reads-when-down": "no",
}
"""The directives that came after the first release, with their defaults. In a document each may be missing."""
YES_NO = ("yes", "no")
MODES = {(False, False): "none", (True, False): "snapshot", (False, True): "aof", (True, True): "hybrid"}


class SettingsError(ValueError):
    """Settings that cannot be used; the text names the field."""


@dataclass(frozen=True, slots=True)
class Settings:
    eviction: str = NODE_DEFAULT
    """The node's policy, by name."""
    namespaces: tuple[Namespace, ...] = ()
    save: str = ""
    """Rules for snapshots, `SECONDS CHANGES ...`; none if empty."""
    append_only: bool = False
    """Whether what is changed is appended to a file."""
    fsync: str = "everysec"
    backlog: int = 16 * 1024**2
    """Bytes of the replication stream that are kept for replicas that come back."""
    stale_reads: bool = False
    """Whether a master without a lease answers reads."""

    @property
    def synced(self) -> bool:
        """Whether a change is on the disk before it is answered."""
        return self.append_only and self.fsync == "always"

    @property
    def mode(self) -> str:
        """What the manifest calls this kind of persistence."""
        return MODES[bool(self.save), self.append_only]

    def directives(self) -> dict[str, str]:
        """As a node's configuration has them."""
        return {
            "maxmemory-policy": self.eviction,
            "namespaces": canonical(self.namespaces),
            "save": self.save,
            "appendonly": "yes" if self.append_only else "no",
            "appendfsync": self.fsync,
            "repl-backlog-size": str(self.backlog),
            "cluster-allow-reads-when-down": "yes" if self.stale_reads else "no",
        }

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
    for name, default in DEFAULTS.items():
        if (value := directives.get(name, default)) != default:
            text += f"\n{name} {value}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def encode(settings: Settings, leader: int) -> dict[str, Any]:
    return {
        "leader": leader,
        "eviction": settings.eviction,
        "namespaces": namespace_text.to_list(settings.namespaces),
        **{name: value for name, value in settings.for_file().items() if name in DEFAULTS},
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
        namespaces = namespace_text.from_list(document.get("namespaces"))
    except ValueError as error:
        place = "" if str(error).startswith("[") else ": "
        raise SettingsError(f"settings: namespaces{place}{error}") from None
    save, append_only, fsync, backlog, stale = (_word(document, name) for name in DEFAULTS)
    return Settings(str(eviction), namespaces, save, append_only == "yes", fsync, int(backlog), stale == "yes"), leader


def _word(document: Mapping[str, Any], name: str) -> str:
    """The value of one of `DEFAULTS`. The rules of `save` are read where they are put into force."""
    value = document.get(name, DEFAULTS[name])
    if not isinstance(value, str):
        raise SettingsError(f"settings: {name}: must be a text")
    if name == "repl-backlog-size":
        if not (value.isascii() and value.isdecimal() and len(value) <= 18):
            raise SettingsError(f"settings: {name}: must be a number of bytes")
        return value
    allowed = {"appendonly": YES_NO, "appendfsync": SYNCS, "cluster-allow-reads-when-down": YES_NO}.get(name)
    if allowed is not None and value not in allowed:
        raise SettingsError(f"settings: {name}: must be one of {', '.join(allowed)}")
    return value
