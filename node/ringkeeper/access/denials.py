"""ACL LOG: what was refused lately, like refusals told once and counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ringkeeper.access.permissions import Reason

TOGETHER_MS = 60_000
"""How far apart refusals may be that are told as one."""
COMPARED = 10
"""Entries, the newest ones, among which a like one is looked for."""
DEFAULT_LENGTH = 128


@dataclass(slots=True)
class Refusal:
    """An entry of ACL LOG. Times are Unix milliseconds."""

    reason: Reason
    context: str
    """`toplevel` or `multi`."""
    object: bytes
    """The command, key or channel; for a failed login the command that was to log in, as it was written."""
    username: bytes
    client: str
    """The session, as CLIENT LIST shows it; of several, the last."""
    created_ms: int
    updated_ms: int
    count: int = 1
    id: int = 0

    def fields(self, now_ms: int) -> dict[bytes, Any]:
        """As ACL LOG shows it."""
        return {
            b"count": self.count,
            b"reason": self.reason.name.lower(),
            b"context": self.context,
            b"object": self.object,
            b"username": self.username,
            b"age-seconds": (now_ms - self.updated_ms) / 1000,
            b"client-info": self.client,
            b"entry-id": self.id,
            b"timestamp-created": self.created_ms,
            b"timestamp-last-updated": self.updated_ms,
        }

    def is_like(self, other: Refusal) -> bool:
        return (
            (self.reason, self.context, self.object, self.username)
            == (other.reason, other.context, other.object, other.username)
            and abs(self.updated_ms - other.updated_ms) <= TOGETHER_MS
        )  # fmt: skip


class DenialLog:
    """Newest first, no more than `max_length`; and how often each reason occurred since the node started."""

    def __init__(self, max_length: int = DEFAULT_LENGTH) -> None:
        self.max_length = max_length
        """As `acllog-max-len` says; a shorter one trims the log when the next entry comes."""
        self.entries: list[Refusal] = []
        self.next_id = 0
        self.counts = dict.fromkeys(Reason, 0)

    def add(self, refusal: Refusal) -> None:
        self.counts[refusal.reason] += 1
        if self.max_length and self.merge(refusal):
            return
        if self.max_length:
            refusal.id = self.next_id
            self.next_id += 1
            self.entries.insert(0, refusal)
        del self.entries[self.max_length :]

    def merge(self, refusal: Refusal) -> bool:
        """Count it with a like entry, if there is one."""
        for index, entry in enumerate(self.entries[:COMPARED]):
            if entry.is_like(refusal):
                entry.client, entry.updated_ms = refusal.client, refusal.updated_ms
                entry.count += 1
                self.entries.insert(0, self.entries.pop(index))
                return True
        return False

    def newest(self, count: int) -> Iterator[Refusal]:
        return islice(self.entries, max(0, count))

    def clear(self) -> None:
        self.entries.clear()
