"""The slots of a move as their target takes them: what the source tells is done here, and told to this node's own
replicas and file. Nobody is shown the keys before an epoch gives the slots to this shard (`Keyspace.hidden`)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.cluster.migration import TargetMove
from ringkeeper.cluster.topology import Move
from ringkeeper.cluster.topology import Node as Peer
from ringkeeper.commands.table import Arguments
from ringkeeper.replication.applying import Applier, Diverged
from ringkeeper.resp.writer import encode_command
from ringkeeper.server.slot_feed import LOADED, RELEASED
from ringkeeper.server.slot_values import USED, note_uses
from ringkeeper.server.snapshots import to_the_letter
from ringkeeper.store.policies import NODE_DEFAULT

if TYPE_CHECKING:
    from ringkeeper.server.moves import Moves

log = logging.getLogger(__name__)

TURN_NS = 2_000_000
"""For which feeds are applied, all together, before clients are served again."""
MOST_WAITING = 16 << 20
"""Bytes that may wait to be applied before no more are read."""
COMMANDS_AT_ONCE = 8
"""Between two looks at the clock: one may take 256 KiB."""
CONNECT_SECONDS = 5.0
AGAIN_SECONDS = 0.05
"""After which a source is asked anew that has not heard of the move yet."""
HANDED_OVER_SECONDS = 0.005
"""Between two looks whether this master goes on after all. It takes nothing while it hands over, which its successor
would not have; in its next term another move begins."""
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
        context = self.node.make_context(cast(Any, None))
        context.database = 0
        context.keyspace = self.node.databases[0]
        own: dict[bytes, Callable[[Arguments], object]]
        own = {LOADED: self.loaded, USED: partial(note_uses, context.keyspace), RELEASED: self.released}
        self.applier = Applier(context, self.node.commands, self.node.effects.changes, lambda: None, lambda: None, own)
        self.fed = 0
        """Bytes that came."""
        self.beside = 0
        """Those of them that are no part of the feed."""
        self.scheduled = False
        self.reading_paused = False
        self.patient_until = time.monotonic() + HEARS_WITHIN
        self.task = asyncio.create_task(self.connect(0))

    @property
    def move(self) -> Move:
        return self.rules.move

    @property
    def total(self) -> int:
        """Bytes that are applied."""
        return self.fed - self.applier.waiting - self.beside

    @property
    def lag_bytes(self) -> int:
        return self.applier.waiting

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
        self.applier.feed(data)
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
        """Do what has come, for a turn; the rest follows when others were served, and there is room again."""
        self.scheduled = False
        if self.transport is None:
            return
        if self.node.handover.is_under_way:
            self.scheduled = True
            self.node.loop.call_later(HANDED_OVER_SECONDS, self.apply)
            return
        now = time.monotonic_ns()
        self.node.time.advance(now)
        try:
            more = self.node.evictor.excess > 0 or self.some(now + TURN_NS // self.moves.intakes)
        except (Diverged, MemoryError) as error:
            self.refuse(f"what {self.source.name} sent cannot be done: {str(error) or 'there is no memory'}")
            return
        if data := self.applier.take():
            self.node.effects.journal.pass_on(0, data)
        if not self.make_room():
            return
        more = more or self.node.evictor.excess > 0
        self.rules.received(self.total)
        self.transport.write(encode_command([b"RINGKEEPER.FED", b"%d" % self.total]))
        if more:
            self.scheduled = True
            self.node.loop.call_soon(self.apply)
        if more != self.reading_paused and (not more or self.lag_bytes > MOST_WAITING):
            self.reading_paused = more
            (self.transport.pause_reading if more else self.transport.resume_reading)()
        self.moves.look()

    def some(self, end: int) -> bool:
        """Do some of it, until the monotonic clock says `end`; whether there may be more. Raises `Diverged`."""
        effects = self.node.effects
        try:
            with to_the_letter(self.node.databases[:1]):
                more = self.applier.some(COMMANDS_AT_ONCE)
                while more and time.monotonic_ns() < end:
                    more = self.applier.some(COMMANDS_AT_ONCE)
        finally:
            effects.changes.clear()  # nobody is told of keys that nobody sees
            effects.journal.purged.clear()
        return more

    def make_room(self) -> bool:
        """As for a command that writes: keys that are served go, as many as one command may remove, and no hidden one.
        Gives up where none can go, and answers whether the move goes on."""
        evictor, effects = self.node.evictor, self.node.effects
        if not evictor.excess:
            return True
        helped = evictor.make_room(self.node.gatehouse.most_evicted)
        if effects.changes:
            effects.tell(None)
        if not helped:
            why = "evicts nothing" if evictor.policy == NODE_DEFAULT else "finds no key that may go"
            self.refuse(
                f"{evictor.used_bytes} bytes are used here, maxmemory is {evictor.max_memory}, and maxmemory-policy "
                f"{evictor.policy} {why}"
            )
        return helped

    def released(self, args: Arguments) -> None:
        self.beside += len(encode_command(args))
        self.moves.expect(self.move.id)

    def loaded(self, _: Arguments) -> None:
        self.rules.loaded()
        log.info("Move %d: all keys have come, %d bytes", self.move.id, self.fed)

    def refuse(self, why: str) -> None:
        """This move cannot go on."""
        log.warning("Move %d has failed: %s", self.move.id, why)
        self.moves.failures += 1
        self.rules.fail(why)
        self.close()
