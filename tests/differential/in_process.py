"""A node's commands without its sockets: dispatch on a `Context` whose upper layers are stand-ins."""

from __future__ import annotations

import time
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from ringkeeper import commands
from ringkeeper.commands.context import Context
from ringkeeper.persist.payload import Payloads
from ringkeeper.resp.reader import ReplyReader
from ringkeeper.server.dispatch import Dispatcher
from ringkeeper.store.keyspace import Clock, Keyspace
from ringkeeper.types.collection import Limits

DATABASES = 16


class InProcess:
    """Answers like `compare.Peer`. Time stands still within a batch."""

    def __init__(self, protocol: int) -> None:
        self.clock = Clock(0)
        unused = cast(Any, SimpleNamespace())
        limits = Limits()
        context = Context(
            databases=[Keyspace(self.clock, index=index) for index in range(DATABASES)],
            limits=limits,
            serializer=Payloads(limits),
            random=Random(),
            client=unused,
            clients=unused,
            settings=cast(Any, SimpleNamespace(get=lambda _: {"databases": str(DATABASES)})),
            access=cast(Any, SimpleNamespace(may_read_every_key=lambda *_: True)),
            transactions=unused,
            pubsub=unused,
            tracking=unused,
            cluster=cast(Any, SimpleNamespace(enabled=False)),
            node=cast(Any, SimpleNamespace(cluster_enabled=False)),
        )
        context.protocol = protocol
        self.session = cast(
            Any, SimpleNamespace(context=context, protocol=protocol, authenticated=True, transaction=None)
        )
        self.dispatcher = Dispatcher(commands.load())
        self.reader = ReplyReader()

    def run(self, batch: list[list[bytes]]) -> list[Any]:
        self.clock.now_ms = time.time_ns() // 1_000_000
        replies = []
        for command in batch:
            out = bytearray()
            self.dispatcher.execute(self.session, self.session.context, command, out)
            self.reader.feed(bytes(out))
            replies.append(self.reader.next())
        return replies

    def check(self) -> None:
        for keyspace in self.session.context.databases:
            keyspace.check()

    def close(self) -> None:
        self.check()
