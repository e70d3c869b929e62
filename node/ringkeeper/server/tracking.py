"""Client tracking: who has read which keys, or follows which prefixes, and whom to tell that they changed.

Source: https://redis.io/docs/latest/develop/reference/client-side-caching/ and CLIENT TRACKING's own page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from itertools import chain, islice
from random import Random
from typing import Any, cast

from ringkeeper.commands.context import Client, TrackingState
from ringkeeper.resp.values import Push, ReplyError
from ringkeeper.server.effects import Effects
from ringkeeper.server.session import Session
from ringkeeper.store.slot import key_slot

INVALIDATIONS = b"__redis__:invalidate"
"""The channel on which a RESP2 connection is told."""

KEY_OVERHEAD = 350
"""Bytes of a tracked key's entry, header and set of readers, beyond the key itself."""
ITEM_OVERHEAD = 60
PARTED_AT_ONCE = 1000
"""Keys that are looked at when slots have gone, before others are served again."""
NONE = -2
"""No database, nor the one before the first."""


class TrackingTable:
    """One a node; implements `commands.context.Tracking` and `effects.Listener`.

    Keys are remembered without their database, as Redis does.
    """

    def __init__(
        self,
        effects: Effects,
        session_by_id: Callable[[int], Session | None],
        call_soon: Callable[[Callable[[], None]], Any],
        random: Random,
    ) -> None:
        self.effects = effects
        self.session_by_id = session_by_id
        self.call_soon = call_soon
        self.random = random
        self.max_keys = 1_000_000
        """`tracking-table-max-keys`; 0 means no limit."""
        self.readers: dict[bytes, set[int]] = {}
        """Key -> ids of the sessions that may hold it."""
        self.items = 0
        """Ids in `readers`."""
        self.key_bytes = 0
        """Bytes of its keys."""
        self.row: list[bytes] = []
        """The keys of `readers` and perhaps some that left: to choose one at random."""
        self.sessions: dict[int, Session] = {}
        """Those that track."""
        self.prefixes: dict[bytes, dict[int, Session]] = {}
        self.pending: dict[bytes, dict[bytes, Session | None]] = {}
        """Prefix -> changed keys and who changed them, told once per loop iteration."""
        self.flushed = NONE
        """The database that was emptied last, if nothing else has changed since."""

    # CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR

    def enable(self, client: Client, wanted: TrackingState) -> None:
        """Raises `ReplyError` for what does not go together with what is on already."""
        session = cast(Session, client)
        present: TrackingState | None = session.tracking
        if wanted.broadcast:
            before = present.prefixes if present is not None else []
            check_overlap(wanted.prefixes, before)
            wanted.prefixes = sorted({*before, *(wanted.prefixes or [b""])})
            for prefix in wanted.prefixes:
                self.prefixes.setdefault(prefix, {})[session.id] = session
        session.tracking = wanted
        self.sessions[session.id] = session
        session.update_mode()
        self.effects.update()

    def disable(self, client: Client) -> None:
        session = cast(Session, client)
        tracking: TrackingState | None = session.tracking
        if tracking is None:
            return
        for prefix in tracking.prefixes:
            followers = self.prefixes.get(prefix, {})
            followers.pop(session.id, None)
            if not followers:
                self.prefixes.pop(prefix, None)
        session.tracking = None
        self.sessions.pop(session.id, None)
        session.update_mode()
        self.effects.update()

    def state(self, client: Client) -> TrackingState | None:
        return cast("TrackingState | None", cast(Session, client).tracking)

    # Reading

    def remember(self, session: Session, keys: list[bytes]) -> None:
        """The session has read these keys and may keep what it got."""
        tracking: TrackingState = session.tracking
        if tracking.broadcast:
            return
        if (tracking.opt_in and not tracking.caching) or (tracking.opt_out and tracking.caching is False):
            return
        for key in keys:
            readers = self.readers.get(key)
            if readers is None:
                readers = self.readers[key] = set()
                self.row.append(key)
                self.key_bytes += len(key)
            elif session.id in readers:
                continue
            readers.add(session.id)
            self.items += 1
        self.make_room()

    @property
    def memory(self) -> int:
        """About how many bytes the table takes."""
        return self.key_bytes + KEY_OVERHEAD * len(self.readers) + ITEM_OVERHEAD * self.items

    def make_room(self) -> None:
        """Forget keys beyond the limit, any of them; who holds them is told that they changed."""
        while self.max_keys and len(self.readers) > self.max_keys:
            key = self.random_key()
            self.invalidate(key, None, evicted=True)
        if len(self.row) > 2 * len(self.readers) + 1000:
            self.row = list(self.readers)

    def random_key(self) -> bytes:
        while True:
            at = self.random.randrange(len(self.row))
            self.row[at], self.row[-1] = self.row[-1], self.row[at]
            key = self.row.pop()
            if key in self.readers:
                return key

    # effects.Listener

    @property
    def listening(self) -> bool:
        """Also when nobody tracks any more: who returns must not be told of a change that is old."""
        return bool(self.sessions or self.readers)

    def changed(self, database: int, event: str, key: bytes | None, author: Session | None) -> None:
        if key is None:
            if event == "flushdb":
                # FLUSHALL empties one database after the other, and is told of once.
                if database != self.flushed + 1:
                    self.invalidate_all()
                self.flushed = database
            return
        self.flushed = NONE
        self.invalidate(key, author)
        for prefix in self.prefixes:
            if key.startswith(prefix):
                if not self.pending:
                    self.call_soon(self.broadcast)
                self.pending.setdefault(prefix, {})[key] = author

    def settled(self) -> None:
        self.flushed = NONE

    def part(self, slots: Set[int], keys: Iterator[bytes]) -> None:
        """These slots are served elsewhere: what becomes of their keys is told there, so they count as changed here.

        `keys` are those that the slots have. It is told in portions, to all who may hold something of them.
        """
        waiting = chain(list(self.readers), keys if self.prefixes else ())

        def some() -> None:
            portion = list(islice(waiting, PARTED_AT_ONCE))
            for key in portion:
                if key_slot(key) in slots:
                    self.changed(0, "del", key, None)
            if portion:
                self.call_soon(some)

        some()

    def invalidate(self, key: bytes, author: Session | None, *, evicted: bool = False) -> None:
        readers = self.readers.pop(key, None)
        if readers is None:
            return
        self.items -= len(readers)
        self.key_bytes -= len(key)
        for reader in readers:
            session = self.sessions.get(reader)
            if session is None or session.tracking.broadcast:
                continue
            if session is author and session.tracking.no_loop and not evicted:
                continue
            self.tell(session, [key])

    def invalidate_all(self) -> None:
        self.readers.clear()
        self.row.clear()
        self.items = self.key_bytes = 0
        for session in list(self.sessions.values()):
            self.tell(session, None)

    def broadcast(self) -> None:
        pending, self.pending = self.pending, {}
        for prefix, keys in pending.items():
            for session in list(self.prefixes.get(prefix, {}).values()):
                told = [key for key, author in keys.items() if not (session.tracking.no_loop and author is session)]
                if told:
                    self.tell(session, told)

    def tell(self, session: Session, keys: list[bytes] | None) -> None:
        tracking: TrackingState = session.tracking
        target = session
        if tracking.redirect:
            other = self.session_by_id(tracking.redirect)
            if other is None:
                tracking.broken = True
                if session.protocol > 2:
                    session.deliver(Push([b"tracking-redir-broken", tracking.redirect]))
                return
            target = other
        if target.protocol > 2:
            target.deliver(Push([b"invalidate", keys]))
        elif tracking.redirect and target.is_subscribed:
            target.deliver(Push([b"message", INVALIDATIONS, keys]))


def check_overlap(new: list[bytes], old: list[bytes]) -> None:
    for i, prefix in enumerate(new):
        for other in old:
            if prefix.startswith(other) or other.startswith(prefix):
                raise overlap(prefix, other, "an existing prefix")
        for other in new[i + 1 :]:
            if prefix.startswith(other) or other.startswith(prefix):
                raise overlap(prefix, other, "another provided prefix")


def overlap(prefix: bytes, other: bytes, what: str) -> ReplyError:
    shown, against = (word.decode("utf-8", "surrogateescape") for word in (prefix, other))
    return ReplyError(
        f"ERR Prefix '{shown}' overlaps with {what} '{against}'. Prefixes for a single client must not overlap."
    )
