"""A replica's link to its master: connects, and connects again; takes the snapshot and the stream.

connecting -> sync (a snapshot comes, or is being loaded; the old data stays until it is whole) -> connected
           -> connected                                          any of them -> down -> connecting
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.replication import greeting
from ringkeeper.replication.applying import Applier, Diverged
from ringkeeper.replication.greeting import Greeting
from ringkeeper.resp.writer import encode_command
from ringkeeper.server.incoming import Incoming, Part
from ringkeeper.server.snapshots import to_the_letter

if TYPE_CHECKING:
    from ringkeeper.server.replication import Master, Replication

log = logging.getLogger(__name__)

FIRST_PAUSE, LAST_PAUSE = 0.1, 1.0
"""Seconds between attempts: each pause is twice the one before."""
LONG_PAUSE = 10.0
"""Behind a full sync that was for nothing: it costs the master as much every time."""
SIGN_SECONDS = 1.0
"""Between two acknowledgements, and between two looks at what is late."""
TURN_NS = 5_000_000
"""For which the stream is applied before clients are served again."""
COMMANDS_AT_ONCE = 100
PART_SECONDS = 60.0
"""How long the beginning of a snapshot is kept after its link broke."""
MOST_WAITING = 16 << 20
"""Bytes of the stream that may wait to be applied before no more are read."""


class MasterLink(asyncio.Protocol):
    """To one master, until `close`; an asyncio protocol of the connection that it has at present."""

    def __init__(self, replication: Replication, master: Master) -> None:
        self.replication = replication
        self.node = replication.node
        self.master = master
        self.state = "connecting"
        self.error = ""
        """Why the last attempt ended."""
        self.transport: Any = None
        self.greeting: Greeting | None = None
        self.incoming: Incoming | None = None
        self.part: Part | None = None
        """What had come of a snapshot when the link broke."""
        self.part_timer: asyncio.TimerHandle | None = None
        self.applier: Applier | None = None
        self.claim: Any = None
        self.pledged = 0
        """A term that this voter is about to promise."""
        self.heard = 0.0
        """When the master sent something."""
        self.down_since = time.monotonic()
        self.turn_scheduled = False
        self.reading_paused = False
        self.ack_wanted = False
        self.applied_at = 0.0
        self.in_vain = False
        """A snapshot or a stream came that cannot be used."""
        self.closed = False
        self.over = asyncio.Event()
        """Set when the connection has ended."""
        self.task = asyncio.create_task(self.keep())

    @property
    def silent_ms(self) -> int:
        """Since when the master's stream may have gone on without this replica, in milliseconds."""
        since = self.heard if self.state == "connected" else self.down_since
        silent = time.monotonic() - since
        # A master that has nothing to say is silent for its period, and for the way.
        allowed = self.replication.replicas.sign_seconds + 0.5 if self.state == "connected" else 0
        return int(silent * 1000) if silent > allowed else 0

    # Keeping a connection

    async def keep(self) -> None:
        pause = FIRST_PAUSE
        try:
            while True:
                if await self.connect():
                    await self.watch()
                    if self.applied_at:
                        pause = FIRST_PAUSE
                self.applied_at = 0.0
                await asyncio.sleep(LONG_PAUSE if self.in_vain else pause)
                self.in_vain = False
                pause = min(pause * 2, LAST_PAUSE)
        finally:
            self.drop("")

    async def connect(self) -> bool:
        promised = max(self.pledged, self.replication.promised) if self.master.term else 0
        if promised > self.master.term:
            self.lose(f"term {promised} is promised, and this is the master of term {self.master.term}")
            return False
        self.state = "connecting"
        self.over.clear()
        seconds = self.node.config.number("repl-timeout")
        try:
            async with asyncio.timeout(min(seconds, 10)):
                await self.node.loop.create_connection(lambda: self, self.master.host, self.master.port)
        except (OSError, TimeoutError) as error:
            self.lose(f"it cannot be reached: {error or 'no answer'}")
            return False
        return True

    async def watch(self) -> None:
        """Until the connection ends; acknowledge meanwhile."""
        timeout = self.node.config.number("repl-timeout")
        while not self.over.is_set():
            try:
                async with asyncio.timeout(SIGN_SECONDS):
                    await self.over.wait()
            except TimeoutError:
                if self.incoming is not None and self.incoming.loading:
                    self.heard = time.monotonic()
                    self.transport.write(b"\n")
                elif self.state == "connected":
                    self.acknowledge()
                elif self.state == "sync" and self.transport is not None:
                    self.transport.write(b"\n")
                if time.monotonic() - self.heard > timeout:
                    self.drop("it gives no sign of life")

    def lose(self, why: str) -> None:
        """Note that there is no connection, and say so once."""
        if self.state in ("connected", "sync"):
            self.down_since = time.monotonic()
        self.state = "down"
        if why and why != self.error:
            log.warning("The link to the master %s is down: %s", self.master, why)
        self.error = why or self.error
        self.replication.link_changed()

    def drop(self, why: str) -> None:
        """End the connection."""
        if self.incoming is not None:
            self.incoming.abandon()
            self.incoming = None
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()
            self.lose(why)
        self.applier = None
        self.over.set()

    def close(self) -> None:
        """For good."""
        self.closed = True
        self.task.cancel()
        self.drop("")
        self.forget_part()

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        if self.closed:
            transport.abort()
            return
        self.transport = transport
        self.heard = time.monotonic()
        self.reading_paused = False
        self.claim = None
        self.greeting = Greeting(self.replication.steps(self.master, self.part), *self.replication.own_history())
        transport.write(self.greeting.opening())

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self.drop(f"it ended the connection{f': {error}' if error else ''}")

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        self.heard = time.monotonic()
        self.replication.bytes_in += len(data)
        if self.state == "connected":
            self.take_stream(data)
            return
        if self.greeting is None:
            return
        events, answer = self.greeting.receive(data)
        if answer:
            self.transport.write(answer)
        for event in events:
            if self.transport is None:
                return
            self.take(event)

    def take(self, event: greeting.Event) -> None:
        match event:
            case greeting.Stream(data):
                self.take_stream(data)
            case greeting.Payload(data):
                assert self.incoming is not None
                self.incoming.take(data)
            case greeting.PayloadEnd():
                assert self.incoming is not None
                self.incoming.complete()
            case greeting.Welcomed(name, text):
                if reason := self.replication.greeted(self, name, text):
                    self.drop(reason)
            case greeting.Full(id_, offset):
                self.begin_sync(id_, offset)
            case greeting.Announced(size, mark, begin):
                self.announced(size, mark, begin)
            case greeting.Continued(id_):
                self.forget_part()
                self.replication.continued(self, id_)
                self.begin_stream()
            case greeting.Refused(text):
                self.drop(f"it refuses: {text}")

    # A full sync

    def begin_sync(self, id_: str, offset: int) -> None:
        if reason := self.replication.objection(self):
            self.drop(reason)
            return
        self.replication.note_losses(self)
        self.state = "sync"
        log.info("Full sync with the master %s begins: its history is %s, offset %d", self.master, id_, offset)
        try:
            self.incoming = Incoming(self, id_, offset)
        except OSError as error:
            self.drop(f"a snapshot cannot be kept in {self.node.config.text('dir')}: {error.strerror}")
        self.replication.link_changed()

    def announced(self, size: int, mark: bytes, begin: int) -> None:
        """The snapshot comes, or the rest of the one whose beginning is here."""
        incoming = self.incoming
        assert incoming is not None
        if not begin:
            self.forget_part()
            incoming.announced(size, mark)
            return
        part, self.part = self.part, None
        self.forget_part()
        if part is not None and (part.mark, part.size, part.offset) == (mark, begin, incoming.offset):
            log.info("It is the snapshot of before, of which %d bytes are here", part.size)
            incoming.go_on(part)
            return
        if part is not None:
            os.close(part.descriptor)
        self.drop("it goes on with a snapshot whose beginning is not here")

    def keep_part(self, part: Part) -> None:
        """For the next attempt."""
        self.forget_part()
        if self.closed or self.incoming is not None:
            os.close(part.descriptor)
            return
        self.part = part
        self.part_timer = self.node.loop.call_later(PART_SECONDS, self.forget_part)

    def forget_part(self) -> None:
        part, self.part = self.part, None
        if part is not None:
            os.close(part.descriptor)
        if self.part_timer is not None:
            self.part_timer.cancel()
            self.part_timer = None

    def loaded(self, incoming: Incoming) -> None:
        """The snapshot is loaded, and takes the place of the data."""
        self.incoming = None
        self.replication.replace(self, incoming)
        self.begin_stream(incoming.database)
        for data in incoming.behind:
            self.take_stream(data)

    # The stream

    def begin_stream(self, database: int = -1) -> None:
        self.state = "connected"
        self.error = ""
        self.applied_at = time.monotonic()
        context = self.node.make_context(cast(Any, None))
        journal = self.node.effects.journal
        context.database = max(database if database >= 0 else journal.database, 0)
        context.keyspace = self.node.databases[context.database]
        self.applier = Applier(context, self.node.commands, self.node.effects.changes, self.settle, self.want_ack)
        self.replication.link_changed()
        self.acknowledge()

    def settle(self) -> None:
        self.node.effects.hand_on(None)

    def want_ack(self) -> None:
        self.ack_wanted = True

    def take_stream(self, data: bytes) -> None:
        if self.incoming is not None:
            self.incoming.behind.append(data)
            return
        if self.applier is None:
            return
        self.applier.feed(data)
        if not self.turn_scheduled:
            self.apply()

    def apply(self) -> None:
        """Apply what has come, for a turn; the rest follows when others were served."""
        self.turn_scheduled = False
        applier = self.applier
        if applier is None:
            return
        now = time.monotonic_ns()
        self.node.time.advance(now)
        end = now + TURN_NS
        try:
            with to_the_letter(self.node.databases):
                more = applier.some(COMMANDS_AT_ONCE)
                while more and time.monotonic_ns() < end:
                    more = applier.some(COMMANDS_AT_ONCE)
        except Exception as why:
            # Some of it may be done, and nobody knows what: even where there was only no memory for the rest.
            self.node.effects.changes.clear()
            text = str(why) if isinstance(why, Diverged) else f"it cannot be applied: {type(why).__name__}: {why}"
            self.replication.diverged(text)
            self.in_vain = True
            self.drop(text)
            return
        if data := applier.take():
            self.node.effects.journal.relay(data, applier.context.database)
        if self.ack_wanted:
            self.acknowledge()
        if more:
            self.turn_scheduled = True
            self.node.loop.call_soon(self.apply)
        self.steer_reading(applier.waiting > MOST_WAITING)

    def steer_reading(self, pause: bool) -> None:
        if pause != self.reading_paused and self.transport is not None:
            self.reading_paused = pause
            if pause:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()

    def acknowledge(self) -> None:
        """Tell the master what is done."""
        self.ack_wanted = False
        if self.transport is None or not self.replication.may_acknowledge():
            return
        words = [b"REPLCONF", b"ACK", b"%d" % self.replication.offset]
        if self.node.append_only.appender is not None:
            words += [b"FACK", b"%d" % self.replication.offset_on_disk]
        self.transport.write(encode_command(words))
