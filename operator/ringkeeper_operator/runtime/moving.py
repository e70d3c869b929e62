"""What the operator asks nodes while slots move, and remembers of it for a while. For both runtimes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ringkeeper.cluster.migration import Source, Target
from ringkeeper.cluster.topology import Move, Topology
from ringkeeper_operator.model import (
    AskRelease,
    MeasureSlots,
    Observed,
    ObservedNode,
    SlotFigures,
    WatchMoves,
    position_of,
)
from ringkeeper_operator.runtime.node_admin import NodeAdmin, progress_told

log = logging.getLogger(__name__)

FRESH_SECONDS = 15.0
"""So long it counts what slots were found to hold: it only bounds batches."""
HALF_LIFE_SECONDS = 60.0
LEAST_RATE = 0.01
"""Commands a second: less is none."""
RELEASE_SECONDS = 0.5
"""How long a release is watched before everything is looked at again."""
POLL_SECONDS = 0.005
OTHERS_SECONDS = 0.02
"""How long clients of slots whose new owner has all of them wait for other slots, to be told of in the same commit."""
BEGINNING = frozenset((Source.WAITING, Target.CLEARING, Target.LOADING))
"""States of a move whose keys have not come."""
FIRST_PAUSE, LAST_PAUSE = 2.0, 60.0
"""After a move that failed, before another of the same shards."""


@dataclass(slots=True)
class Failure:
    """The last failed move of a pair of shards."""

    id: int
    why: str
    count: int
    until: float


@dataclass(slots=True)
class MoveLog:
    """Of one cluster. Times are of the monotonic clock."""

    measured: dict[int, tuple[float, str, SlotFigures]] = field(default_factory=dict)
    """Shard -> when, by which run, and what."""
    failures: dict[tuple[int, int], Failure] = field(default_factory=dict)
    owners: tuple[int, ...] = ()
    still_since: float = 0.0
    """When slots had changed hands, or were looked at first."""

    def hear(self, topology: Topology | None, nodes: Iterable[ObservedNode], now: float) -> None:
        """Who owns slots, and what nodes say of moves that failed."""
        if topology is not None and topology.owners != self.owners:
            self.owners, self.still_since = topology.owners, now
        pairs = {} if topology is None else {move.id: (move.source, move.target) for move in topology.moves}
        for node in nodes:
            for told in node.report.moves if node.report is not None else ():
                said = told.said
                if said.state in (Source.FAILED, Target.FAILED) and (pair := pairs.get(said.move)) is not None:
                    self.failed(pair, said.move, said.why, now)

    def failed(self, pair: tuple[int, int], id_: int, why: str, now: float) -> None:
        before = self.failures.get(pair)
        if before is not None and before.id == id_:
            return
        count = 1 if before is None or now > before.until + LAST_PAUSE else before.count + 1
        pause = min(FIRST_PAUSE * 2 ** (count - 1), LAST_PAUSE)
        self.failures[pair] = Failure(id_, why or "it failed", count, now + pause)

    def recent_failures(self, now: float) -> dict[tuple[int, int], str]:
        return {pair: failure.why for pair, failure in self.failures.items() if now < failure.until}

    def still_seconds(self, now: float) -> float:
        return now - self.still_since if self.owners else 0.0

    def slot_bytes(self, topology: Topology | None, now: float) -> dict[int, Mapping[int, int]]:
        return {shard: figures.sizes for shard, figures in self.fresh(topology, now)}

    def slot_operations(self, topology: Topology | None, now: float) -> dict[int, Mapping[int, float]]:
        return {shard: figures.operations for shard, figures in self.fresh(topology, now) if figures.is_answer}

    def fresh(self, topology: Topology | None, now: float) -> Iterator[tuple[int, SlotFigures]]:
        """Of shards that were asked lately and have the same master since."""
        if topology is None or not self.measured:
            return
        runs = {node.id: node.run_id for node in topology.nodes}
        masters = {shard.index: runs[shard.master] for shard in topology.shards}
        for shard, (when, run, figures) in self.measured.items():
            if now < when + FRESH_SECONDS and masters.get(shard) == run:
                yield shard, figures

    async def measure(self, admin: NodeAdmin, action: MeasureSlots) -> None:
        """One that does not answer counts as holding nothing, for a while."""
        masters = {shard: master_in(action.topology, shard) for shard in action.shards}
        figures = await asyncio.gather(*(admin.slots_of(node) for node, _ in masters.values()))
        now = time.monotonic()
        for (shard, (_, run)), found in zip(masters.items(), figures, strict=True):
            before = self.measured.get(shard)
            if before is not None and before[1] == run and before[2].is_answer and found.is_answer:
                found = replace(found, operations=decayed(before[2].operations, found.operations, now - before[0]))
            self.measured[shard] = (now, run, found)


def decayed(before: Mapping[int, float], found: Mapping[int, float], seconds: float) -> dict[int, float]:
    """Commands a second on the average, in which what was found earlier counts half after `HALF_LIFE_SECONDS`."""
    old = 0.5 ** (seconds / HALF_LIFE_SECONDS)
    rates = {slot: old * before.get(slot, 0.0) + (1 - old) * found.get(slot, 0.0) for slot in before.keys() | found}
    return {slot: rate for slot, rate in rates.items() if rate >= LEAST_RATE}


async def watch_moves(
    admin: NodeAdmin, action: AskRelease | WatchMoves, observed: Observed, urgent: asyncio.Event
) -> Observed:
    if isinstance(action, AskRelease):
        return await release(admin, action, observed, urgent)
    return await await_news(admin, action, observed, urgent)


async def release(admin: NodeAdmin, action: AskRelease, observed: Observed, urgent: asyncio.Event) -> Observed:
    """Ask for it, and watch until sources and targets are at one, so that clients wait no longer than they must: of one
    move, and for a moment of all.

    Answers what was observed, with what these nodes say now. Breaks off when something is urgent.
    """
    sources = {id_: master_in(action.topology, move.source)[0] for id_, move in _wanted(action)}
    await asyncio.gather(*(admin.ask_release(node, id_, action.topology.leader) for id_, node in sources.items()))

    def left(nodes: Collection[ObservedNode]) -> float:
        at_one = _at_one(nodes, action.moves)
        return 0.0 if at_one == set(action.moves) else OTHERS_SECONDS if at_one else RELEASE_SECONDS

    return await _watch(admin, action, observed, urgent, left)


async def await_news(admin: NodeAdmin, action: WatchMoves, observed: Observed, urgent: asyncio.Event) -> Observed:
    """Until one of them has come so far that something can be done about it, and for a moment until others have; the
    same otherwise.
    """
    wanted = dict(_wanted(action))
    before = {id_: _stage(observed.nodes, move) for id_, move in wanted.items()}

    def left(nodes: Collection[ObservedNode]) -> float:
        stages = {id_: _stage(nodes, move) for id_, move in wanted.items()}
        news = [id_ for id_, stage in stages.items() if stage != before[id_] and not stage & BEGINNING]
        return 0.0 if len(news) == len(wanted) else OTHERS_SECONDS if news else RELEASE_SECONDS

    return await _watch(admin, action, observed, urgent, left)


async def _watch(
    admin: NodeAdmin,
    action: AskRelease | WatchMoves,
    observed: Observed,
    urgent: asyncio.Event,
    left: Callable[[Collection[ObservedNode]], float],
) -> Observed:
    """Ask the masters of these moves for news, again and again, for as many seconds as what they say leaves."""
    names = {node.name for _, move in _wanted(action) for node in _masters(action.topology, move)}
    known = {node.name: node for node in observed.nodes if node.name in names}
    asked = {asyncio.create_task(_news(admin, node)) for node in known.values()}
    woken = asyncio.create_task(urgent.wait())
    deadline = time.monotonic() + RELEASE_SECONDS
    try:
        while asked and (seconds := deadline - time.monotonic()) > 0:
            done, _ = await asyncio.wait((*asked, woken), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if not done or woken in done:
                break
            answers = [task.result() for task in asked & done]
            asked -= done
            known |= {node.name: node for node in answers}
            deadline = min(deadline, time.monotonic() + left(known.values()))
            asked |= {asyncio.create_task(_news(admin, node)) for node in answers}
    finally:
        for task in (*asked, woken):
            task.cancel()
        await asyncio.gather(*asked, woken, return_exceptions=True)
    return replace(observed, nodes=tuple(known.get(node.name, node) for node in observed.nodes))


async def _news(admin: NodeAdmin, node: ObservedNode) -> ObservedNode:
    found = await admin.ask_news(node)
    if progress_told(found) == progress_told(node):
        await asyncio.sleep(POLL_SECONDS)  # it does not wait: it cannot be reached, or is of an older release
    return found


def _wanted(action: AskRelease | WatchMoves) -> Iterator[tuple[int, Move]]:
    return ((move.id, move) for move in action.topology.moves if move.id in action.moves)


def _masters(topology: Topology, move: Move) -> tuple[ObservedNode, ObservedNode]:
    return master_in(topology, move.source)[0], master_in(topology, move.target)[0]


def _stage(nodes: Iterable[ObservedNode], move: Move) -> frozenset[str]:
    """What both ends say of a move."""
    reports = (node.report for node in nodes if node.report is not None)
    return frozenset(told.said.state for report in reports for told in report.moves if told.said.move == move.id)


def _at_one(nodes: Iterable[ObservedNode], moves: tuple[int, ...]) -> set[int]:
    """The moves of which the source has released and the target holds the same."""
    offsets: dict[int, dict[str, int]] = {id_: {} for id_ in moves}
    for node in nodes:
        for told in node.report.moves if node.report is not None else ():
            if told.said.move in offsets and told.said.state in (Source.RELEASED, Target.HOLDING_ALL):
                offsets[told.said.move][told.said.role] = told.said.offset
    return {id_ for id_, ends in offsets.items() if len(ends) == 2 and len(set(ends.values())) == 1}


def master_in(topology: Topology, index: int) -> tuple[ObservedNode, str]:
    """A shard's master at the address that the topology names, and its run id."""
    shard = topology.shard(index)
    assert shard is not None
    node = topology.master_of(shard)
    seen = ObservedNode(
        name=node.name,
        shard=index,
        ordinal=position_of(node.name)[1],
        phase="running",
        address=node.address,
        port=node.port,
        admin_port=node.admin_port,
    )
    return seen, node.run_id
