"""Channels, patterns, sharded channels and their subscribers; keyspace notifications.

Source: https://redis.io/docs/latest/develop/pubsub/ and .../pubsub/keyspace-notifications/.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import cast

from ringkeeper.commands.context import Client
from ringkeeper.commands.glob import compile_glob
from ringkeeper.resp.values import Push, Raw, ReplyError
from ringkeeper.resp.writer import write
from ringkeeper.server.effects import Effects
from ringkeeper.server.session import Session
from ringkeeper.store.events import CLASS_OF, SILENT

CHANNEL, PATTERN, SHARD = "channel", "pattern", "shard"
"""The three kinds of subscription."""
WORDS = {
    CHANNEL: (b"subscribe", b"unsubscribe", b"message"),
    PATTERN: (b"psubscribe", b"punsubscribe", b"pmessage"),
    SHARD: (b"ssubscribe", b"sunsubscribe", b"smessage"),
}
Subscribers = dict[Session, None]


class PubSub:
    """One a node; implements `commands.context.PubSub`, and `effects.Listener` for keyspace notifications."""

    def __init__(self, effects: Effects) -> None:
        self.effects = effects
        self.tables: dict[str, dict[bytes, Subscribers]] = {CHANNEL: {}, PATTERN: {}, SHARD: {}}
        self.notify = ""
        """The classes of `notify-keyspace-events`, `A` written out."""
        self.forward: Callable[[bytes, bytes], None] | None = None
        """Hands a message to the other nodes of the cluster."""
        self.forward_to_shard: Callable[[bytes, bytes], None] | None = None
        """The same, for the nodes of this node's shard."""
        self.received = 0
        """Messages from other nodes."""

    # Subscribing

    def subscribe(self, client: Client, kind: str, names: Sequence[bytes]) -> Raw:
        session = cast(Session, client)
        if kind == SHARD and session.executing:
            raise ReplyError("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
        out = bytearray()
        for name in names:
            mine = session.subscriptions.setdefault(kind, {})
            if name not in mine:
                mine[name] = None
                self.tables[kind].setdefault(name, {})[session] = None
            self.confirm(out, session, WORDS[kind][0], name, kind)
        session.update_mode()
        return Raw(bytes(out))

    def unsubscribe(self, client: Client, kind: str, names: Sequence[bytes]) -> Raw:
        """Without names, from all of the kind."""
        session = cast(Session, client)
        out = bytearray()
        word = WORDS[kind][1]
        if not names:
            names = list(session.subscriptions.get(kind, ()))
            if not names:
                self.confirm(out, session, word, None, kind)
        for name in names:
            self.drop(session, kind, name)
            self.confirm(out, session, word, name, kind)
        session.update_mode()
        return Raw(bytes(out))

    def confirm(self, out: bytearray, session: Session, word: bytes, name: bytes | None, kind: str) -> None:
        write(out, Push([word, name, self.count(session, kind)]), session.protocol)

    def count(self, session: Session, kind: str) -> int:
        """As the confirmations count: channels and patterns together, sharded channels by themselves."""
        mine = session.subscriptions
        if kind == SHARD:
            return len(mine.get(SHARD, ()))
        return len(mine.get(CHANNEL, ())) + len(mine.get(PATTERN, ()))

    def drop(self, session: Session, kind: str, name: bytes) -> None:
        if name not in session.subscriptions.get(kind, ()):
            return
        del session.subscriptions[kind][name]
        table = self.tables[kind]
        del table[name][session]
        if not table[name]:
            del table[name]

    def forget(self, session: Session) -> None:
        """The session is gone, or starts anew."""
        for kind, names in session.subscriptions.items():
            for name in list(names):
                self.drop(session, kind, name)

    def drop_shard_channels(self, lost: Callable[[bytes], bool]) -> None:
        """This node does not own a channel's slot any more: its subscribers are told that they are none."""
        for name in [name for name in self.tables[SHARD] if lost(name)]:
            for session in list(self.tables[SHARD][name]):
                self.drop(session, SHARD, name)
                session.update_mode()
                session.deliver(Push([WORDS[SHARD][1], name, self.count(session, SHARD)]))

    # Publishing

    def publish(self, channel: bytes, message: bytes) -> int:
        """To the subscribers of this node, and on to the other nodes; how many here were reached."""
        reached = self.deliver(channel, message)
        if self.forward is not None:
            self.forward(channel, message)
        return reached

    def deliver(self, channel: bytes, message: bytes) -> int:
        """To the subscribers of this node alone."""
        reached = send(self.tables[CHANNEL].get(channel, ()), [b"message", channel, message])
        if self.tables[PATTERN]:
            for pattern, sessions in list(self.tables[PATTERN].items()):
                if compile_glob(pattern).match(channel):
                    reached += send(sessions, [b"pmessage", pattern, channel, message])
        return reached

    def is_heard(self, channel: bytes) -> bool:
        """Whether anybody would get a message of that channel here."""
        patterns = self.tables[PATTERN]
        return channel in self.tables[CHANNEL] or any(compile_glob(pattern).match(channel) for pattern in patterns)

    def publish_to_shard(self, channel: bytes, message: bytes) -> int:
        reached = self.deliver_to_shard(channel, message)
        if self.forward_to_shard is not None:
            self.forward_to_shard(channel, message)
        return reached

    def receive(self, kind: str, channel: bytes, message: bytes) -> None:
        """From another node: delivered here, never handed on."""
        self.received += 1
        if kind == SHARD:
            self.deliver_to_shard(channel, message)
        else:
            self.deliver(channel, message)

    def deliver_to_shard(self, channel: bytes, message: bytes) -> int:
        return send(self.tables[SHARD].get(channel, ()), [b"smessage", channel, message])

    # PUBSUB

    def channels(self, kind: str, pattern: bytes | None) -> list[bytes]:
        names: Iterable[bytes] = self.tables[kind]
        if pattern is None:
            return list(names)
        match = compile_glob(pattern).match
        return [name for name in names if match(name)]

    def subscribers(self, kind: str, name: bytes) -> int:
        return len(self.tables[kind].get(name, ()))

    def pattern_count(self) -> int:
        return len(self.tables[PATTERN])

    # Keyspace notifications: effects.Listener

    @property
    def listening(self) -> bool:
        return "K" in self.notify or "E" in self.notify

    def changed(self, database: int, event: str, key: bytes | None, author: Session | None) -> None:  # noqa: ARG002
        if key is None or event in SILENT or CLASS_OF.get(event, event) not in self.notify:
            return
        name = event.encode()
        if "K" in self.notify:
            self.deliver(b"__keyspace@%d__:%b" % (database, key), name)
        if "E" in self.notify:
            self.deliver(b"__keyevent@%d__:%b" % (database, name), key)

    def settled(self) -> None:
        pass


def send(sessions: Collection[Session], words: list[bytes]) -> int:
    """A message to all of these, rendered once for each protocol; how many they are."""
    rendered: dict[int, Raw] = {}
    reached = list(sessions)
    for session in reached:
        raw = rendered.get(session.protocol)
        if raw is None:
            out = bytearray()
            write(out, Push(words), session.protocol)
            raw = rendered[session.protocol] = Raw(bytes(out))
        session.deliver(raw)
    return len(reached)
