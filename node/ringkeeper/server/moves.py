"""This node's part in the moves of slots that the topology names: as a source it feeds and releases, as a target it
takes and confirms. The rules are `cluster/migration.py`; here they meet sockets, clock, disk and clients.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.cluster import migration
from ringkeeper.cluster.migration import Source, SourceMove, Target, TargetMove
from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.topology import FEEDING, Move
from ringkeeper.commands.table import Arguments
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.session import Session
from ringkeeper.server.slot_feed import SlotFeed
from ringkeeper.server.slot_intake import SlotIntake
from ringkeeper.store.slot import key_slot

if TYPE_CHECKING:
    from ringkeeper.commands.context import Client
    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.005
"""Between two looks at what replicas and disk have."""
ASK_SECONDS = 0.1
"""Between two questions to the replicas."""
FLUSHES = (b"flushall", b"flushdb", b"swapdb")


@dataclass(slots=True, kw_only=True)
class Awaited:
    """What voters and disk are to have of a move."""

    mark: int = 0
    """How much of the feed was here; once slots are served by an epoch, -1."""
    position: Position = NOTHING
    """Where this node's own stream was then; NOTHING before there was anything to wait for."""
    synced_at: float = 0.0
    """When the disk was asked to have it."""


@dataclass(slots=True)
class Probe:
    """How long enough voters take to have what is here; times are of the monotonic clock."""

    offset: int = -1
    """Of this node's stream: what they are to have, since `since`; -1 while none is waited for."""
    since: float = 0.0
    took: float = 0.0
    """Seconds, the last time."""

    def behind_ms(self, now: float) -> int:
        return round(1000 * max(self.took, now - self.since if self.offset >= 0 else 0.0))


@dataclass(slots=True)
class Leaving:
    """A move of which this node is the source."""

    rules: SourceMove
    feed: SlotFeed | None = None
    patience: asyncio.TimerHandle | None = None
    awaited: Awaited = field(default_factory=Awaited)


@dataclass(slots=True)
class Coming:
    """A move of which this node is the target."""

    rules: TargetMove
    intake: SlotIntake | None = None
    clearing: asyncio.Task[None] | None = None
    patience: asyncio.TimerHandle | None = None
    """While the source has released the slots, and clients that come for them had better wait for the topology."""
    awaited: Awaited = field(default_factory=Awaited)
    probe: Probe = field(default_factory=Probe)


@dataclass(slots=True)
class Moves:
    """One a node."""

    node: Node
    leaving: dict[int, Leaving] = field(default_factory=dict)
    coming: dict[int, Coming] = field(default_factory=dict)
    by_slot: dict[int, SlotFeed] = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None
    bytes_out: int = 0
    bytes_in: int = 0
    """Of feeds that have ended."""
    failures: int = 0
    held_since: float = 0.0
    """The monotonic clock when commands were first held back; 0 while none are."""
    held_before: float = 0.0
    """Seconds for which they were, before that."""
    watching: dict[asyncio.Future[None], str] = field(default_factory=dict)
    """Who waits for news, and what each knows (`migration.progress_of`)."""
    asked_at: float = 0.0
    """When the replicas were asked last what they have."""

    # What the topology says

    def follow(self) -> None:
        """A topology is in force."""
        membership = self.node.membership
        topology, standing = membership.topology, membership.standing
        shard = standing.shard if standing.role != "unassigned" else None
        moves = topology.moves if topology is not None and shard is not None else ()
        self.node.databases[0].hidden = frozenset(
            slot for move in moves if migration.keeps_hidden(move, cast(int, shard)) for slot in move.slots
        )
        mine = {move.id: move for move in moves if standing.serves and shard in (move.source, move.target)}
        rules: list[SourceMove | TargetMove] = [leaving.rules for leaving in self.leaving.values()]
        rules += [coming.rules for coming in self.coming.values()]
        if any(each.term != standing.term for each in rules):
            self.match({}, standing.term, shard)
        self.match(mine, standing.term, shard)
        self.look()

    def match(self, moves: dict[int, Move], term: int, shard: int | None) -> None:
        """Begin, go on with and end what these moves ask of the master of `shard`."""
        run_id = self.node.run_id
        for id_ in [id_ for id_ in self.leaving if id_ not in moves]:
            self.end_feed(self.leaving.pop(id_))
        for id_ in [id_ for id_ in self.coming if id_ not in moves]:
            self.end_intake(self.coming.pop(id_))
        for id_, move in moves.items():
            if move.source == shard:
                leaving = self.leaving.get(id_) or self.leaving.setdefault(
                    id_, Leaving(SourceMove(move, term=term, run_id=run_id))
                )
                leaving.rules.follow(move)
                if move.phase != FEEDING:
                    self.end_feed(leaving)
            else:
                coming = self.coming.get(id_) or self.coming.setdefault(
                    id_, Coming(TargetMove(move, term=term, run_id=run_id))
                )
                coming.rules.follow(move)
                if move.phase != FEEDING:
                    self.end_intake(coming)
                elif coming.clearing is None and coming.intake is None and coming.rules.is_mine:
                    coming.clearing = asyncio.create_task(self.clear(coming))
        self.tap()
        self.hold()

    def keeps(self, slot: int) -> bool:
        """Whether keys of a slot that this shard does not own have a reason to be here."""
        return slot in self.node.databases[0].hidden

    def tap(self) -> None:
        """Hear of changes while somebody must be told of them."""
        journal = self.node.effects.journal
        wanted = self.told if self.by_slot or self.taking else None
        if (journal.tap is None) != (wanted is None):
            journal.tap = wanted
            self.node.effects.update()

    def told(self, args: Arguments) -> None:
        """A command has changed data here."""
        name = args[0].lower()
        command = self.node.commands.get(name)
        positions = command.key_positions(args) if command is not None else []
        if positions:
            slot = key_slot(args[positions[0]])
            feed = self.by_slot.get(slot)
            if feed is not None:
                feed.told(slot, args, [args[position] for position in positions])
        elif name in FLUSHES:
            for leaving in self.leaving.values():
                self.fail(leaving.rules, "the source was flushed")
            for coming in self.coming.values():
                if coming.intake is not None:
                    coming.intake.refuse("the target was flushed")

    # The source

    def feed(self, client: Client, token: bytes, id_: str, move: int, target: tuple[int, str]) -> None:
        """RINGKEEPER.FEED; raises `ReplyError`."""
        session = cast(Session, client)
        self.node.peers.check(session, token, id_)
        leaving = self.leaving.get(move)
        if leaving is None and self.node.membership.epoch < move:
            raise ReplyError(f"TRYAGAIN this node has not heard of move {move} yet")
        if leaving is None:
            raise ReplyError(f"ERR this node is not the source of a move {move}")
        if not leaving.rules.followed(*target):
            raise ReplyError(f"ERR move {move} is {leaving.rules.state}, or of other terms or runs")
        session.become_peer(id_)
        leaving.feed = session.replica = SlotFeed(self, leaving.rules, session)
        self.by_slot.update(dict.fromkeys(leaving.rules.move.slots, leaving.feed))
        self.tap()
        log.info(
            "Move %d: feeding %d slots to shard %d", move, len(leaving.rules.move.slots), leaving.rules.move.target
        )

    def fed(self, client: Client, offset: int) -> None:
        """RINGKEEPER.FED."""
        feed = cast(Session, client).replica
        if isinstance(feed, SlotFeed):
            feed.confirm(offset)
            self.look()

    def farewell(self, session: Session) -> None:
        """The session of a target is gone."""
        for leaving in self.leaving.values():
            if leaving.feed is not None and leaving.feed.session is session:
                self.fail(leaving.rules, "the connection to the target has ended")

    def fail(self, rules: SourceMove, why: str) -> None:
        """A feed cannot go on. What is released stays so."""
        rules.fail(why)
        if rules.state is Source.FAILED:
            log.warning("Move %d has failed: %s", rules.move.id, why)
            self.failures += 1
            self.end_feed(self.leaving[rules.move.id])
            self.tap()
            self.hold()

    def end_feed(self, leaving: Leaving) -> None:
        feed, leaving.feed = leaving.feed, None
        if leaving.patience is not None:
            leaving.patience.cancel()
            leaving.patience = None
        if feed is not None:
            self.bytes_out += feed.end
            for slot in feed.move.slots:
                self.by_slot.pop(slot, None)
            feed.close()

    def ask_release(self, move: int) -> dict[str, Any]:
        """The operator asks to release the slots, again and again; raises `KeyError`."""
        leaving = self.leaving[move]
        if leaving.feed is not None:
            before = leaving.rules.state
            leaving.rules.ask(leaving.feed.has, leaving.feed.end, time.monotonic_ns(), holds_lease=self.holds_lease())
            self.after(leaving, before)
        return migration.encode(leaving.rules.confirmation())

    def holds_lease(self) -> bool:
        return self.node.membership.standing.serves and self.node.lease.allows()

    def after(self, leaving: Leaving, before: Source) -> None:
        state = leaving.rules.state
        if state is before:
            return
        move = leaving.rules.move
        self.hold()
        if state is Source.RELEASED:
            leaving.patience = self.node.loop.call_later(self.patience, self.refuse, leaving)
            if leaving.feed is not None:
                leaving.feed.tell_release()
            log.info("Move %d: released %d slots at offset %d", move.id, len(move.slots), leaving.rules.offset)
        self.start_timer()

    @property
    def patience(self) -> float:
        """How many seconds clients wait for the topology behind a release."""
        topology = self.node.membership.topology
        return topology.lease_ms / 1000 if topology is not None else 0.0

    def hold(self) -> None:
        """Let clients wait for the slots that are about to be served by another shard."""
        holding: set[int] = set()
        released: set[int] = set()
        waiting: set[int] = set()
        for leaving in self.leaving.values():
            if leaving.rules.state is Source.HOLDING or (leaving.feed is not None and leaving.feed.holds_writes):
                holding.update(leaving.rules.move.slots)
            elif leaving.rules.state is Source.RELEASED:
                released.update(leaving.rules.move.slots)
                if leaving.patience is not None or leaving.feed is not None:
                    waiting.update(leaving.rules.move.slots)
        for coming in self.coming.values():
            if coming.patience is not None:
                waiting.update(coming.rules.move.slots)
        clients, routes = self.node.clients, self.node.membership.routes
        routes.release(frozenset(released))
        held, unread = frozenset(waiting | holding), frozenset(waiting)
        self.count_held(bool(held))
        if (held, unread) != (clients.held_slots, clients.held_reads):
            clients.hold_slots(held, unread)

    def count_held(self, holding: bool) -> None:
        if holding and not self.held_since:
            self.held_since = time.monotonic()
        elif not holding and self.held_since:
            self.held_before += time.monotonic() - self.held_since
            self.held_since = 0.0

    def refuse(self, leaving: Leaving) -> None:
        """There is no next topology for so long that clients had better hear of it."""
        log.warning("Move %d: no topology yet; clients of its slots are answered CLUSTERDOWN", leaving.rules.move.id)
        self.end_feed(leaving)
        self.hold()

    # The target

    async def clear(self, coming: Coming) -> None:
        """Drop what is left of an earlier time, then ask for the feed."""
        move, membership = coming.rules.move, self.node.membership
        await membership.drop(move.slots)
        topology = membership.topology
        shard = topology.shard(move.source) if topology is not None else None
        if topology is None or shard is None:
            return
        if move.id in self.coming and coming.rules.empty():
            coming.intake = SlotIntake(self, coming.rules, topology.master_of(shard))
            self.tap()
            self.start_timer()

    def expect(self, move: int) -> None:
        """The source has released the slots: the next topology may send clients here before it comes here itself."""
        coming = self.coming.get(move)
        if coming is not None and coming.rules.move.phase == FEEDING and coming.patience is None:
            coming.patience = self.node.loop.call_later(self.patience, self.stop_expecting, coming)
            self.hold()

    def stop_expecting(self, coming: Coming) -> None:
        if coming.patience is not None:
            coming.patience.cancel()
            coming.patience = None
            self.hold()

    def end_intake(self, coming: Coming) -> None:
        self.stop_expecting(coming)
        if coming.clearing is not None:
            coming.clearing.cancel()
        intake, coming.intake = coming.intake, None
        if intake is not None:
            self.bytes_in += intake.total
            intake.close()

    @property
    def taking(self) -> bool:
        """Whether keys come here whose source says when their time has come."""
        return self.intakes > 0

    @property
    def feeds(self) -> int:
        """How many feeds tell their keys at present."""
        return sum(leaving.feed is not None and not leaving.feed.complete for leaving in self.leaving.values())

    @property
    def intakes(self) -> int:
        return sum(coming.intake is not None for coming in self.coming.values())

    # What is waited for

    def start_timer(self) -> None:
        if self.timer is None and (self.leaving or self.coming):
            self.timer = self.node.loop.call_later(LOOK_SECONDS, self.tick)

    def tick(self) -> None:
        self.timer = None
        self.look()
        self.start_timer()

    def look(self) -> None:
        """Whether something that a move waits for has come."""
        now = time.monotonic_ns()
        for leaving in list(self.leaving.values()):
            rules, before = leaving.rules, leaving.rules.state
            if leaving.feed is not None and before is Source.HOLDING:
                rules.confirm(leaving.feed.has, leaving.feed.end, now, holds_lease=self.holds_lease())
                self.after(leaving, before)
            if leaving.feed is not None and leaving.feed.look(now):
                self.hold()
            if rules.state is Source.RESTORING and self.is_held(leaving):
                rules.held()
        for coming in self.coming.values():
            if coming.intake is not None:
                self.measure(coming.probe)
            if coming.rules.state in (Target.FOLLOWING, Target.ADOPTED) and self.is_held(coming):
                coming.rules.held(coming.rules.offset, coming.awaited.position)
        if self.leaving or self.coming:
            self.start_timer()
        if self.watching:
            self.tell_news()

    def tell_news(self) -> None:
        progress = self.progress
        for waiter, known in self.watching.items():
            if known != progress and not waiter.done():
                waiter.set_result(None)

    @property
    def progress(self) -> str:
        parts: list[Leaving | Coming] = [*self.leaving.values(), *self.coming.values()]
        return migration.progress_of(part.rules.confirmation() for part in parts)

    async def await_news(self, known: str, seconds: float) -> None:
        """Until moves are elsewhere than somebody knows, or for so long."""
        if self.progress != known:
            return
        waiter = self.node.loop.create_future()
        self.watching[waiter] = known
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            pass
        finally:
            del self.watching[waiter]

    def is_held(self, part: Leaving | Coming) -> bool:
        """Whether enough voters, and the disk, have what is here of the feed, or what is served since this phase."""
        node, awaited = self.node, part.awaited
        if node.handover.is_under_way:
            return False  # voters may have what the next master lacks
        mark = part.rules.offset if part.rules.move.phase == FEEDING else -1
        if awaited.position == NOTHING or awaited.mark != mark:
            position = Position(node.membership.standing.term, node.replication.offset)
            awaited = part.awaited = Awaited(mark=mark, position=position)
            self.asked_at = 0.0  # what they were asked before was about less
        offset, log = awaited.position.offset, node.append_only
        on_disk = log.appender is None or node.replication.offset_on_disk >= offset
        waits = isinstance(part, Leaving) or part.patience is not None
        if not on_disk and waits and time.monotonic() - awaited.synced_at > ASK_SECONDS:
            awaited.synced_at = time.monotonic()
            log.sync_now()
        return self.has_enough(offset) and on_disk

    def has_enough(self, offset: int) -> bool:
        """Whether enough voters have so much of what is here. Asks them, now and then, if they have not said so."""
        shard, replicas = self.node.membership.shard, self.node.replication.replicas
        if shard is None:
            return False
        enough = migration.enough((feed.acknowledged for feed in replicas.voting), shard, offset)
        if not enough and time.monotonic() - self.asked_at > ASK_SECONDS:
            self.asked_at = time.monotonic()
            replicas.ask()
        return enough

    def measure(self, probe: Probe) -> None:
        now = time.monotonic()
        if probe.offset >= 0 and self.has_enough(probe.offset):
            probe.took, probe.offset = now - probe.since, -1
        if probe.offset < 0:
            probe.since, probe.offset = now, self.node.replication.offset

    # What is told

    @property
    def sent(self) -> int:
        """Bytes that were fed to targets."""
        return self.bytes_out + sum(leaving.feed.end for leaving in self.leaving.values() if leaving.feed)

    @property
    def received(self) -> int:
        """Bytes of feeds that were applied here."""
        return self.bytes_in + sum(coming.intake.total for coming in self.coming.values() if coming.intake)

    @property
    def held_seconds(self) -> float:
        """For how long commands were held back, until now."""
        return self.held_before + (time.monotonic() - self.held_since if self.held_since else 0.0)

    def state(self) -> list[dict[str, Any]]:
        """As `/control/state` tells it."""
        parts: list[tuple[SourceMove | TargetMove, SlotFeed | SlotIntake | None]]
        parts = [(leaving.rules, leaving.feed) for leaving in self.leaving.values()]
        parts += [(coming.rules, coming.intake) for coming in self.coming.values()]
        keyspace, now = self.node.databases[0], time.monotonic()
        return [
            {
                **migration.encode(rules.confirmation()),
                "slots": len(rules.move.slots),
                "keys": sum(map(keyspace.slot_count, rules.move.slots)),
                "bytesSent" if isinstance(rules, SourceMove) else "bytesReceived": link.total if link else 0,
                "lagBytes": link.lag_bytes if link else 0,
                "writtenPerSecond": link.pace.demand if isinstance(link, SlotFeed) else 0,
                "letThroughPerSecond": link.pace.let_through if isinstance(link, SlotFeed) else 0,
                "behindMs": self.coming[rules.move.id].probe.behind_ms(now) if isinstance(rules, TargetMove) else 0,
            }
            for rules, link in parts
        ]

    def slots(self) -> dict[str, list[int]]:
        """Keys and bytes of every slot of this shard that has keys."""
        keyspace = self.node.databases[0]
        return {
            str(slot): [keys, keyspace.slot_bytes(slot)]
            for slot in self.node.membership.routes.own_slots()
            if (keys := keyspace.slot_count(slot))
        }

    def operations(self) -> dict[str, float]:
        """Commands a second on every slot of this shard on which any ran lately."""
        rates = self.node.slot_rates.per_second(self.node.membership.routes.own_slots(), time.monotonic())
        return {str(slot): round(rate, 3) for slot, rate in rates.items()}
