"""The slots of a move as their source tells them: key by key, and behind that what becomes of the keys told.

Nothing is forked: a slot's keys are listed, some at a time, and then told one after the other, in short slices between
which clients are served. What is changed while they are listed is listed as well. What a command does to a key is told
behind it, if the key was told already; if not, the key is told later as it is then. A command that touches keys of both
kinds is not told: all its keys are told anew. So at any moment what was told is what the source has, as far as it has
got.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ringkeeper.cluster.migration import Source, SourceMove, told_rate
from ringkeeper.cluster.topology import Move
from ringkeeper.commands.table import Arguments
from ringkeeper.resp.writer import encode_command, write_command
from ringkeeper.server.session import Session
from ringkeeper.server.slot_parts import Parts, halves, parts_of
from ringkeeper.server.slot_values import tell_small
from ringkeeper.server.snapshots import to_the_letter

if TYPE_CHECKING:
    from ringkeeper.server.moves import Moves

log = logging.getLogger(__name__)

SLICE_NS = 250_000
"""For which keys are told before clients are served again."""
MOST, LEAST = 0.9, 0.25
"""Which part of the loop's time feeds take, in all: what clients leave of the first, but no less than the second."""
SHORTEST_PAUSE = 0.001
"""Seconds: what the loop's timers know. Less is saved up."""
SMOOTHING = 0.3
"""What the last pause counts for, in how busy others are."""
LISTED_AT_ONCE = 256
"""Keys of a slot, about: it may have millions."""
LOADED = b"RINGKEEPER.LOADED"
RELEASED = b"RINGKEEPER.RELEASED"
"""Said behind the last byte of the feed, of which it is no part: the source answers for none of the slots any more."""
MOST_WAITING = 256 << 20
"""Bytes that may wait for the target; as Redis's limit of what may wait for a replica."""
MOST_AHEAD = 4 << 20
"""Bytes that the target may lack for keys to be told: what is written to those told before needs its time as well."""
FAR_BEHIND, CAUGHT_UP = 8 << 20, 1 << 20
"""Bytes of writes that the target lacks, for more writes to be held back, and for them to go on."""
LONGEST_HOLD_NS = 100_000_000
"""As long as for a release. Behind that, writes go on for the same time, whatever the target lacks: one that is slow,
or hangs, takes its source's clients no more than half of their time."""
WINDOW_NS = 2_000_000_000
"""Of what is told of rates."""


@dataclass(slots=True)
class Pace:
    """Lets clients of the slots write no faster than the target takes it. `now` is the monotonic clock, nanoseconds."""

    written: int = 0
    """Bytes of what clients did to keys that were told before."""
    has: int = 0
    """Those of them that the target has."""
    sent: deque[tuple[int, int]] = field(default_factory=deque)
    """How long the feed was at a moment, and how much of it was `written`."""
    held_since: int = 0
    """0 while writes are not held back."""
    free_until: int = 0
    held: int = 0
    """Nanoseconds, of holds that have ended."""
    window: tuple[int, int, int] = (0, 0, 0)
    """When it began, and what was written and held by then."""
    demand: int = 0
    """Bytes a second that clients would write, by what they did while they were let; 0 while they are not held back."""
    let_through: int = 0
    """Bytes a second that they wrote."""

    def confirm(self, offset: int) -> None:
        while self.sent and self.sent[0][0] <= offset:
            self.has = self.sent.popleft()[1]

    def look(self, now: int, *, may_hold: bool) -> bool:
        """Whether writes are to be held back from now on, or to go on."""
        if now - self.window[0] >= WINDOW_NS:
            self.count(now)
        lag = self.written - self.has
        if self.held_since:
            held = now - self.held_since
            if may_hold and lag > CAUGHT_UP and held < LONGEST_HOLD_NS:
                return False
            self.held += held
            self.free_until = now + held
            self.held_since = 0
            return True
        if not may_hold or lag <= FAR_BEHIND or now < self.free_until:
            return False
        self.held_since = now
        return True

    def count(self, now: int) -> None:
        """The rates since the last time."""
        began, written, held = self.window
        held_by_now = self.held + (now - self.held_since if self.held_since else 0)
        if began:
            elapsed, waited = now - began, held_by_now - held
            self.let_through = (self.written - written) * 10**9 // elapsed if waited else 0
            self.demand = (self.written - written) * 10**9 // max(elapsed - waited, 1) if waited else 0
        self.window = (now, self.written, held_by_now)


class Share:
    """Which part of the loop's time a feed may take: what is left by whatever else keeps the loop's thread busy."""

    def __init__(self) -> None:
        self.busy = 0.0
        """The part of the time between slices for which others kept the processor."""
        self.owed = 0.0
        """Seconds of pause."""

    async def rest(self, spent: float, least: float, feeds: int) -> None:
        """Let others have their time, behind a slice of `spent` seconds, for `least` seconds at least."""
        self.owed += max(spent * (1 / self.part(feeds) - 1), least)
        if self.owed < SHORTEST_PAUSE:
            await asyncio.sleep(0)
            return
        pause, self.owed = self.owed, 0.0
        began, used = time.monotonic_ns(), time.thread_time_ns()
        await asyncio.sleep(pause)
        elapsed = time.monotonic_ns() - began
        if elapsed:
            busy = min((time.thread_time_ns() - used) / elapsed, 1.0)
            self.busy += SMOOTHING * (busy - self.busy)

    def part(self, feeds: int) -> float:
        return max(MOST - self.busy, LEAST / max(feeds, 1))


class SlotFeed:
    """To the target of one move, over the connection on which it asked; the session's `replica`."""

    def __init__(self, moves: Moves, rules: SourceMove, session: Session) -> None:
        self.moves = moves
        self.node = moves.node
        self.rules = rules
        self.session = session
        self.unbegun = set(rules.move.slots)
        """Slots of which no key was told."""
        self.slot = -1
        self.left: dict[bytes, None] = {}
        """The keys of `slot` that have still to be told. Values are None."""
        self.again: set[bytes] = set()
        """Keys of `slot` of which something may have been told before."""
        self.listing = False
        """Whether `left` has not all of them yet; so none is told."""
        self.cursor = 0
        """How far they are listed."""
        self.parts: Parts | None = None
        """Of the large key that is told."""
        self.attempts: dict[bytes, int] = {}
        """How often a large key was changed while its parts were told."""
        self.share = Share()
        self.out = bytearray()
        self.end = 0
        """Bytes told."""
        self.confirmed = -1
        self.complete = False
        """All keys are told."""
        self.keys = 0
        self.sending = False
        self.pace = Pace()
        self.transport_full = False
        self.ready = asyncio.Event()
        """More may have become of `may_tell`."""
        self.task = asyncio.create_task(self.load())

    @property
    def move(self) -> Move:
        return self.rules.move

    @property
    def total(self) -> int:
        return self.end

    @property
    def has(self) -> int:
        """What the target has confirmed, which is worth nothing before it was told all keys."""
        return self.confirmed if self.complete else -1

    @property
    def lag_bytes(self) -> int:
        return self.end - max(self.confirmed, 0)

    @property
    def may_tell(self) -> bool:
        """Whether the target takes more keys."""
        return not self.transport_full and self.lag_bytes < MOST_AHEAD

    @property
    def holds_writes(self) -> bool:
        """Whether writes of the slots wait for the target to catch up."""
        return self.pace.held_since > 0

    def confirm(self, offset: int) -> None:
        """The target has so much of the feed."""
        self.confirmed = max(self.confirmed, offset)
        self.pace.confirm(offset)
        self.ready.set()

    def look(self, now: int) -> bool:
        """Whether writes of the slots are to be held back from now on, or to go on."""
        return self.pace.look(now, may_hold=self.rules.state is Source.FEEDING)

    # What is told

    async def load(self) -> None:
        """All keys, at the pace that clients and the move's rate allow."""
        await asyncio.sleep(0)  # the answer goes first
        slots = iter(self.move.slots)
        more = True
        while more:
            began, before = time.monotonic_ns(), self.end
            with to_the_letter(self.node.databases[:1]):
                more = self.slice(slots, began + SLICE_NS)
            spent, rate = (time.monotonic_ns() - began) / 1e9, self.move.rate
            await self.share.rest(spent, (self.end - before) / rate if rate else 0.0, self.moves.feeds)
            while more and not self.may_tell:
                self.ready.clear()
                await self.ready.wait()
        self.slot = -1
        self.tell([LOADED])
        self.complete = True
        log.info("Move %d: all %d keys are told, %d bytes", self.move.id, self.keys, self.end)

    def slice(self, slots: Iterator[int], end: int) -> bool:
        """Tell keys until the monotonic clock says `end`, or the target has enough; whether there are more."""
        more = True
        while more and time.monotonic_ns() < end and self.may_tell:
            more = self.step(slots, end)
        return more

    def step(self, slots: Iterator[int], end: int = 0) -> bool:
        """Tell a part, or keys until the clock says `end`, or list some; whether there are more."""
        if self.parts is not None:
            self.tell_part(self.parts)
        elif self.listing:
            self.list_some()
        elif self.left:
            self.tell_keys(end)
        else:
            self.slot = next(slots, -1)
            self.listing = self.slot >= 0
            self.again.clear()
            self.unbegun.discard(self.slot)
        return self.slot >= 0

    def list_some(self) -> None:
        self.cursor, found = self.node.databases[0].scan_slot(self.slot, self.cursor, LISTED_AT_ONCE)
        self.left.update(dict.fromkeys(found))
        self.listing = self.cursor != 0

    def tell_keys(self, end: int) -> None:
        """As they are now, one at least; a large one is told in parts from then on."""
        keyspace = self.node.databases[0]
        before = len(self.out)
        room = MOST_AHEAD - self.lag_bytes
        count, large = tell_small(keyspace, self.left, self.again, self.attempts, self.out, end, room)
        self.keys += count
        self.grown(before)
        if large is not None:
            value = keyspace.look(large)
            assert value is not None
            self.parts = parts_of(keyspace, large, value)

    def tell_part(self, parts: Parts) -> None:
        """The next one of the large key."""
        part = parts.next()
        if part is None:
            self.parts = None
        else:
            self.tell(part)

    def told(self, slot: int, args: Arguments, keys: list[bytes]) -> None:
        """A command has changed keys of one of the slots."""
        if slot in self.unbegun or self.rules.state not in (Source.FEEDING, Source.HOLDING):
            return
        commands = [args]
        if slot == self.slot:
            if self.parts is not None and self.parts.key in keys:
                if found := halves(self.node.databases[0], args):
                    for half in found:
                        self.told(slot, half, [half[1]])
                    return
                along = self.parts.along(args, keys)
                if along is None:
                    self.begin_again(self.parts.key)
                commands = along or []
            if self.listing or any(key in self.left for key in keys):
                self.left.update(dict.fromkeys(keys))
                self.again.update(keys)
                return
        before = self.end
        for words in commands:
            self.tell(words)
        self.pace.written += self.end - before

    def begin_again(self, key: bytes) -> None:
        """The large key has changed in a way that cannot be told amid its parts."""
        self.attempts[key] = self.attempts.get(key, 0) + 1
        self.left[key] = None
        self.again.add(key)
        self.parts = None

    # How it goes out

    def tell(self, words: Arguments) -> None:
        before = len(self.out)
        write_command(self.out, words)
        self.grown(before)

    def grown(self, before: int) -> None:
        """More is to go out than so many bytes."""
        self.end += len(self.out) - before
        if not self.sending:
            self.sending = True
            self.node.loop.call_soon(self.send)

    def send(self) -> None:
        self.sending = False
        transport = self.session.transport
        if self.session.closing or not self.out:
            return
        transport.write(bytes(self.out))
        self.out.clear()
        self.pace.sent.append((self.end, self.pace.written))
        if (waiting := transport.get_write_buffer_size()) > MOST_WAITING:
            self.pace.count(time.monotonic_ns())
            self.moves.fail(
                self.rules,
                f"{waiting >> 20} MiB wait for the target: clients write {told_rate(self.pace.demand)} to these slots, "
                f"{told_rate(self.pace.let_through)} are let through, and that is more than it takes",
            )

    def tell_release(self) -> None:
        """Clients that are sent to the target before that has its topology find it knowing that they are to wait."""
        self.send()
        if not self.session.closing:
            self.session.transport.write(encode_command([RELEASED]))

    def hold(self) -> None:
        """The transport has enough."""
        self.transport_full = True

    def resume(self) -> None:
        self.transport_full = False
        self.ready.set()

    def close(self) -> None:
        self.task.cancel()
        if not self.session.closing:
            self.session.transport.abort()
