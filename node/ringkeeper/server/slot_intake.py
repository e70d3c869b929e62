"""The slots of a move as their target takes them: what the source tells is done here, and told to this node's own
replicas and file. Nobody is shown the keys before an epoch gives the slots to this shard (`Keyspace.hidden`)."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.cluster.migration import TargetMove
from ringkeeper.cluster.topology import Move
from ringkeeper.cluster.topology import Node as Peer
from ringkeeper.commands.table import Arguments
from ringkeeper.resp.reader import CommandReader
from ringkeeper.resp.values import ProtocolError, ReplyError
from ringkeeper.resp.writer import encode_command
from ringkeeper.server.slot_values import USED
from ringkeeper.server.snapshots import to_the_letter

if TYPE_CHECKING:
    from ringkeeper.server.moves import Moves

log = logging.getLogger(__name__)

TURN_NS = 2_000_000
"""For which feeds are applied, all together, before clients are served again."""
MOST_WAITING = 16 << 20
"""Bytes that may wait to be applied before no more are read."""
LONGEST_WORD = 512 << 20
CONNECT_SECONDS = 5.0
AGAIN_SECONDS = 0.05
"""After which a source is asked anew that has not heard of the move yet."""
HEARS_WITHIN = 10.0
"""Seconds after which it is not waited for any more."""


class SlotIntake(asyncio.Protocol):
    """Of one move; an asyncio protocol of its only connection to the source."""

    def __init__(self, moves: Moves, rules: TargetMove, source: Peer) -> None:
        self.moves = moves
        self.node = moves.node
        self.rules = rules
        self.source = source
        self.transport: Any = None
        self.answer = b""
        self.answered = False
        self.reader = CommandReader()
        self.reader.proto_max_bulk_len = LONGEST_WORD
        self.reader.most_kept = LONGEST_WORD
        self.context = self.node.make_context(cast(Any, None))
        self.context.database = 0
        self.context.keyspace = self.node.databases[0]
        self.fed = self.done = 0
        """Bytes that came, and those of them that are applied."""
        self.scheduled = False
        self.reading_paused = False
        self.patient_until = time.monotonic() + HEARS_WITHIN
        self.task = asyncio.create_task(self.connect(0))

    @property
    def move(self) -> Move:
        return self.rules.move

    @property
    def total(self) -> int:
        return self.done

    @property
    def lag_bytes(self) -> int:
        return self.fed - self.done

    async def connect(self, after: float) -> None:
        await asyncio.sleep(after)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self.node.loop.create_connection(lambda: self, self.source.address, self.source.port)
        except (OSError, TimeoutError) as error:
            self.lose(f"{self.source.name} cannot be reached: {error or 'no answer'}")

    def lose(self, why: str) -> None:
        """The feed has ended. What is here may have been released nevertheless: the source knows."""
        log.info("Move %d: the feed has ended: %s", self.move.id, why)
        self.rules.lose_feed()
        self.close()

    def close(self) -> None:
        self.task.cancel()
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        id_ = self.node.membership.id
        transport.write(
            encode_command(
                [b"RINGKEEPER.FEED", self.node.peers.token or b"", id_.encode(), b"%d" % self.move.id,
                 b"%d" % self.rules.term, self.rules.run_id.encode()]
            )
        )  # fmt: skip

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:
            self.lose(f"{self.source.name} ended the connection{f': {error}' if error else ''}")

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        if not self.answered:
            self.answer += data
            line, separator, data = self.answer.partition(b"\r\n")
            if not separator:
                return
            if line.startswith(b"-TRYAGAIN") and time.monotonic() < self.patient_until:
                self.ask_again()
                return
            self.answered = True
            if not line.startswith(b"+"):
                self.refuse(f"{self.source.name} refuses: {line[1:200].decode('utf-8', 'replace')}")
                return
        self.fed += len(data)
        self.reader.feed(data)
        if not self.scheduled:
            self.apply()

    def ask_again(self) -> None:
        """The source has not heard of the move yet, so this was not its feed."""
        transport, self.transport = self.transport, None
        transport.abort()
        self.answer = b""
        self.task = asyncio.create_task(self.connect(AGAIN_SECONDS))

    # What came

    def apply(self) -> None:
        """Do what has come, for a turn; the rest follows when others were served."""
        self.scheduled = False
        if self.transport is None:
            return
        now = time.monotonic_ns()
        self.node.time.advance(now)
        try:
            with to_the_letter(self.node.databases):
                more = self.some(now + TURN_NS // self.moves.intakes)
        except (ReplyError, ProtocolError) as error:
            self.refuse(f"what {self.source.name} sent cannot be done: {error}")
            return
        finally:
            self.node.effects.changes.clear()
            self.node.effects.journal.purged.clear()
        self.done = self.fed - self.reader.buffered
        evictor = self.node.evictor
        if evictor.excess:
            self.refuse(f"{evictor.used_bytes} bytes are used here, and maxmemory is {evictor.max_memory}")
            return
        self.rules.received(self.done)
        self.transport.write(encode_command([b"RINGKEEPER.FED", b"%d" % self.done]))
        if more:
            self.scheduled = True
            self.node.loop.call_soon(self.apply)
        if more != self.reading_paused and (not more or self.reader.buffered > MOST_WAITING):
            self.reading_paused = more
            (self.transport.pause_reading if more else self.transport.resume_reading)()
        self.moves.look()

    def some(self, end: int) -> bool:
        """Whether there may be more."""
        while (args := self.reader.next()) is not None:
            self.execute(args)
            if time.monotonic_ns() >= end:
                return True
        return False

    def execute(self, args: Arguments) -> None:
        """Raises `ReplyError`."""
        name = args[0].lower()
        if name == b"ringkeeper.loaded":
            self.rules.loaded()
            log.info("Move %d: all keys have come, %d bytes", self.move.id, self.fed)
            return
        if args[0] == USED:
            self.note_use(args)
            return
        command = self.node.commands.get(name)
        if command is None or not command.write:
            raise ReplyError(f"ERR {args[0][:50].decode('utf-8', 'replace')} is no command that changes data")
        reply = command.function(self.context, args)
        if isinstance(reply, ReplyError):
            raise reply
        journal = self.node.effects.journal
        if journal.on:
            journal.append(0, args)

    def note_use(self, args: Arguments) -> None:
        """Told to nobody else: a replica's uses are its own."""
        keyspace = self.node.databases[0]
        if int(args[3]) >= 0 and keyspace.counts_frequency(args[1]):
            keyspace.set_frequency(args[1], int(args[3]))
        else:
            keyspace.set_idle(args[1], int(args[2]))

    def refuse(self, why: str) -> None:
        """This move cannot go on."""
        log.warning("Move %d has failed: %s", self.move.id, why)
        self.moves.failures += 1
        self.rules.fail(why)
        self.close()
