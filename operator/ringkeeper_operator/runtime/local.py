"""The runtime of this machine: nodes are processes on consecutive ports, the topology is a locked, fsynced file."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import (
    ADMIN_PORT_OFFSET,
    Action,
    ApplyPieces,
    AskHandover,
    AskRelease,
    CommitTopology,
    DropHandover,
    MeasureSlots,
    Observed,
    ObservedNode,
    PushSettings,
    PushTopology,
    RemovePieces,
    Spec,
    WatchMoves,
    node_name,
    position_of,
)
from ringkeeper_operator.plan.nodes import expected_names
from ringkeeper_operator.plan.size import kept_up
from ringkeeper_operator.rebalance_status import news
from ringkeeper_operator.runtime.base import PushError, UncertainCommit
from ringkeeper_operator.runtime.failover_log import FailoverLog
from ringkeeper_operator.runtime.heartbeats import Watch, boot_time_ns
from ringkeeper_operator.runtime.local_folder import ClusterFolder, write_durably
from ringkeeper_operator.runtime.local_process import NodeProcess, age, end_process
from ringkeeper_operator.runtime.local_spec import Places, directives_of, patience_of, port_of, together
from ringkeeper_operator.runtime.moving import MoveLog, watch_moves
from ringkeeper_operator.runtime.node_admin import NodeAdmin
from ringkeeper_operator.runtime.runs import Runs, superseded
from ringkeeper_operator.status import build_status, summary

log = logging.getLogger(__name__)

PIECE = "Process"
SILENT_SECONDS = 10.0
"""After its start a node may be silent for so long."""


class LocalRuntime:
    """Implements `runtime.base.Runtime`. `tell` hears every action and status, for the terminal. Without a `watch`, as
    for who only looks, nothing is known of heartbeats.
    """

    def __init__(
        self, folder: ClusterFolder, tell: Callable[[Action], None] | None = None, watch: Watch | None = None,
        places: Places = together,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.base_port = folder.base_port
        self.tell = tell
        self.admin = NodeAdmin()
        self.admin.token = folder.admin_token() or ""
        self.watch = watch
        self.places = places
        self.urgent = asyncio.Event()
        self.alarm = asyncio.Event()
        self.publishing = asyncio.Lock()
        self.processes: dict[str, NodeProcess] = {}
        self.ending: set[str] = set()
        """Nodes that were told to end for good."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.runs = Runs()
        self.last: Observed | None = None
        self.moves = MoveLog()
        self.leader_number: int | None = None
        self.status = folder.status() if watch is not None else {}
        self.failovers = FailoverLog(self.status)
        self.last_told: tuple[str, str] | None = None
        self.when_ready: Callable[[], None] | None = None
        """Called once, when all slots are served."""
        self.when_seen: Callable[[dict[str, Any]], object] | None = None
        """Called with every status that differs from the one before."""

    async def close(self) -> None:
        for task in tuple(self.tasks):
            task.cancel()
        if self.watch is not None:
            self.watch.close()
        await self.admin.close()

    def process(self, name: str) -> NodeProcess:
        if name not in self.processes:
            self.processes[name] = NodeProcess(name, self.folder.node(name))
        return self.processes[name]

    async def observe(self, spec: Spec) -> Observed:
        if self.watch is not None:
            self.watch.heed(spec)
        self.reap()
        now = time.monotonic()
        kept = self._kept_up(spec)
        nodes = [self._observe_process(spec, *position) for position in kept.positions()]
        pieces = {}
        for node in nodes:
            may_start = node.pid is None and self.process(node.name).attempts.may_start(now)
            pieces[f"{PIECE}/{node.name}"] = "absent" if may_start else "current"
        beyond = self._beyond(kept)
        nodes = [_judged(node) for node in await self.admin.ask_all([*nodes, *beyond])]
        self.runs.heard(nodes)
        topology, version = self.folder.committed()
        if self.watch is not None:
            for loss in self.failovers.hear(nodes, topology):
                await self.record(spec, loss)
        self._follow(topology, nodes)
        self.moves.hear(topology, nodes, now)
        self.last = Observed(
            pieces=pieces,
            nodes=tuple(nodes),
            topology=topology,
            topology_version=version,
            newest_held=await self._newest_held(nodes, topology),
            verdicts=self.watch.verdicts if self.watch is not None else {},
            leader_number=self.leader_number,
            failovers=tuple(self.failovers.entries),
            calm_seconds=self.failovers.calm_seconds,
            handovers=self.watch.handovers if self.watch is not None else {},
            slot_bytes=self.moves.slot_bytes(topology, now),
            slot_operations=self.moves.slot_operations(topology, now),
            still_seconds=self.moves.still_seconds(now),
            failed_moves=self.moves.recent_failures(now),
            obsolete=tuple(f"{PIECE}/{node.name}" for node in beyond if node.name not in self.ending),
        )
        return self.last

    def _kept_up(self, spec: Spec) -> Spec:
        return kept_up(spec, self.folder.committed()[0])

    def _beyond(self, spec: Spec) -> list[ObservedNode]:
        """Nodes that run although neither the manifest nor the topology asks for them."""
        wanted = frozenset(expected_names(spec))
        positions = [position_of(name) for name in self.folder.nodes() if name not in wanted]
        found = [self._observe_process(spec, *position) for position in positions]
        return [node for node in found if node.pid is not None]

    async def glance(self, spec: Spec) -> Observed | None:  # noqa: ARG002 - Kubernetes has a use for it
        if self.last is None or self.watch is None:
            return None
        topology, version = self.folder.committed()
        return replace(
            self.last,
            topology=topology,
            topology_version=version,
            verdicts=self.watch.verdicts,
            leader_number=self.leader_number,
            is_glance=True,
        )

    def reap(self) -> None:
        """Say whose run is over for certain: the kernel knows no such process any more."""
        living = {name_of(name, process.pid()) for name, process in self.processes.items()}
        over = self.runs.ended(self.runs.of.keys() - living)
        if over and self.watch is not None:
            self.watch.end(over)

    def _follow(self, topology: Topology | None, nodes: Collection[ObservedNode] = ()) -> None:
        """Exchange heartbeats as the leader that committed this topology."""
        if self.watch is None:
            return
        if topology is None or self.leader_number != topology.leader:
            self.watch.pause()
            return
        moved = {node.report.id: (node.address, node.port) for node in nodes if node.report is not None}
        self.watch.follow(topology, self.leader_number, self.admin.token, moved)
        if over := superseded(topology, nodes):
            self.watch.end(over)

    def _observe_process(self, spec: Spec, shard: int, ordinal: int) -> ObservedNode:
        name = node_name(spec.name, shard, ordinal)
        port = port_of(self.folder.width_for(spec), self.base_port, shard, ordinal)
        process = self.process(name)
        pid = process.pid()
        return ObservedNode(
            name=name,
            shard=shard,
            ordinal=ordinal,
            phase="absent" if pid is None else "starting",
            address=self.places(name).host,
            port=port,
            admin_port=port + ADMIN_PORT_OFFSET,
            pid=pid,
            process=name_of(name, pid) if pid is not None else "",
            restarts=max(0, process.attempts.count - 1),
            trouble="" if pid is not None else process.trouble(),
        )

    async def _newest_held(self, nodes: list[ObservedNode], committed: Topology | None) -> Topology | None:
        """Asked for only when a node says that it holds a newer topology than the committed one."""
        mark = (committed.leader, committed.epoch) if committed else (0, 0)
        newer = [node for node in nodes if node.report and (node.report.leader, node.report.epoch) > mark]
        if not newer:
            return None
        newest = max(newer, key=lambda node: (node.report.leader, node.report.epoch) if node.report else (0, 0))
        return await self.admin.topology_of(newest)

    async def apply(self, spec: Spec, action: Action) -> None:
        if isinstance(action, ApplyPieces):
            for piece in action.pieces:
                self._start(spec, piece.partition("/")[2])
        elif isinstance(action, CommitTopology):
            timings = dict(self.watch.timings) if self.watch is not None else {}
            await self._commit(action)
            committed = boot_time_ns()
            if action.at_once:
                await self._hand_out(spec, action)
            self.failovers.add(action.failovers, timings, committed, boot_time_ns())
        elif isinstance(action, AskHandover | DropHandover):
            if self.watch is not None:
                if isinstance(action, AskHandover):
                    self.watch.hand_over(action)
                else:
                    self.watch.forget_handover(action.shard)
            if isinstance(action, DropHandover):
                self.folder.drop_handover(action.shard)
        elif isinstance(action, RemovePieces):
            for piece in action.pieces:
                self._end(spec, piece.partition("/")[2])
        elif isinstance(action, MeasureSlots):
            await self.moves.measure(self.admin, action)
        elif isinstance(action, AskRelease | WatchMoves):
            if self.last is not None:
                self.last = await watch_moves(self.admin, action, self.last, self.urgent)
                self.urgent.set()
        elif isinstance(action, PushTopology):
            await self.admin.push(action.topology, self._named(spec, action.nodes))
        elif isinstance(action, PushSettings):
            await self.admin.push_settings(action.settings, action.topology.leader, self._named(spec, action.nodes))

    def _named(self, spec: Spec, names: tuple[str, ...]) -> list[ObservedNode]:
        return [self._observe_process(spec, *position_of(name)) for name in names]

    async def _commit(self, action: CommitTopology) -> None:
        try:
            await asyncio.to_thread(self.folder.commit, action.topology, action.expected)
        except UncertainCommit:
            self.leader_number = None
            self._follow(None)
            raise
        self.leader_number = action.topology.leader
        self._follow(action.topology)

    async def _hand_out(self, spec: Spec, action: CommitTopology) -> None:
        """To every process there is. Who does not take it now is handed it in a later round."""
        kept = kept_up(spec, action.topology)
        names = tuple(name for name in expected_names(kept) if self.process(name).pid() is not None)
        with contextlib.suppress(PushError):
            await self.admin.push(action.topology, self._named(spec, names), first=action.awaited)

    def _start(self, spec: Spec, name: str) -> None:
        self.ending.discard(name)
        place, position = self.places(name), position_of(name)
        directives = directives_of(self.folder, spec, position, self.base_port, self.folder.password(), place.host)
        self.process(name).start(directives, place.prefix)

    def _end(self, spec: Spec, name: str) -> None:
        """In the background: a node may have much to write before its end. Nothing is left of one without a volume."""
        self.ending.add(name)
        task = asyncio.create_task(self._ended(spec, name))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _ended(self, spec: Spec, name: str) -> None:
        process = self.process(name)
        try:
            await end_process(lambda: process.pid() if name in self.ending else None, patience_of(spec))
            if name in self.ending and process.pid() is None:
                del self.processes[name]
                if spec.volume is None or not spec.volume.retain:
                    self.folder.remove_node(name)
        finally:
            self.ending.discard(name)

    async def publish(self, spec: Spec, observed: Observed, action: Action | None) -> None:
        async with self.publishing:
            status = build_status(spec, observed, action, self.status, time.time())
            told = news(self.status.get("rebalance") or {}, status.get("rebalance") or {})
            await self._write_status(status)
        if told is not None:
            self._tell(told)
        if action is not None:
            self._tell(action)
        if (action is None or action.quiet) and self.when_ready is not None and summary(spec, observed).ready:
            ready, self.when_ready = self.when_ready, None
            ready()

    async def _write_status(self, status: dict[str, Any]) -> None:
        if status == self.status:
            return
        self.status = status
        await asyncio.to_thread(write_durably, self.folder.path / "status.json", json.dumps(status, indent=1).encode())
        if self.when_seen is not None:
            self.when_seen(status)

    async def record(self, spec: Spec, action: Action) -> None:  # noqa: ARG002
        self._tell(action)

    def _tell(self, action: Action) -> None:
        if (action.reason, action.message) == self.last_told:
            return
        self.last_told = (action.reason, action.message)
        log.log(logging.WARNING if action.warning else logging.INFO, "%s: %s", action.reason, action.message)
        if self.tell is not None and not action.quiet:
            self.tell(action)

    async def stop_nodes(self, spec: Spec) -> None:
        """Stop every node's process, all at the same time."""
        names = {*expected_names(self._kept_up(spec)), *self.folder.nodes()}
        await asyncio.gather(*(self.process(name).stop(patience_of(spec)) for name in names))


def name_of(node: str, pid: int | None) -> str:
    """Of a process; a pid returns only after the end of the process before was noticed."""
    return f"{node} {pid}"


def _judged(node: ObservedNode) -> ObservedNode:
    """A process that was given time and does not answer has failed, although it lives."""
    if node.pid is None or node.report is not None or node.trouble or age(node.pid) < SILENT_SECONDS:
        return node
    return replace(node, phase="failed", trouble=f"process {node.pid} runs but does not answer")
