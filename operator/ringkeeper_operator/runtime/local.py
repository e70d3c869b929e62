"""The runtime of this machine: nodes are processes on consecutive ports, the topology is a locked, fsynced file."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import (
    ADMIN_PORT_OFFSET,
    Action,
    ApplyPieces,
    CommitTopology,
    Observed,
    ObservedNode,
    PushSettings,
    PushTopology,
    Spec,
    node_name,
)
from ringkeeper_operator.runtime.base import UncertainCommit
from ringkeeper_operator.runtime.local_folder import ClusterFolder, write_durably
from ringkeeper_operator.runtime.local_process import NodeProcess, age
from ringkeeper_operator.runtime.local_spec import HOST, directives_of
from ringkeeper_operator.runtime.node_admin import NodeAdmin
from ringkeeper_operator.status import build_status, summary

log = logging.getLogger(__name__)

PIECE = "Process"
SILENT_SECONDS = 10.0
"""After its start a node may be silent for so long."""


class LocalRuntime:
    """Implements `runtime.base.Runtime`. `tell` hears every action and status, for the terminal."""

    def __init__(self, folder: ClusterFolder, tell: Callable[[Action], None] | None = None) -> None:
        self.folder = folder
        self.base_port = folder.base_port
        self.tell = tell
        self.admin = NodeAdmin()
        self.admin.token = folder.admin_token() or ""
        self.processes: dict[str, NodeProcess] = {}
        self.leader_number: int | None = None
        self.status: dict[str, Any] = {}
        self.last_told: tuple[str, str] | None = None
        self.when_ready: Callable[[], None] | None = None
        """Called once, when all slots are served."""

    async def close(self) -> None:
        await self.admin.close()

    def process(self, name: str) -> NodeProcess:
        if name not in self.processes:
            self.processes[name] = NodeProcess(name, self.folder.node(name))
        return self.processes[name]

    async def observe(self, spec: Spec) -> Observed:
        now = time.monotonic()
        nodes = []
        pieces = {}
        for shard in range(spec.shards):
            node = self._observe_process(spec, shard)
            nodes.append(node)
            may_start = node.pid is None and self.process(node.name).attempts.may_start(now)
            pieces[f"{PIECE}/{node.name}"] = "absent" if may_start else "current"
        nodes = [_judged(node) for node in await self.admin.ask_all(nodes)]
        topology, version = self.folder.committed()
        return Observed(
            pieces=pieces,
            nodes=tuple(nodes),
            topology=topology,
            topology_version=version,
            newest_held=await self._newest_held(nodes, topology),
            leader_number=self.leader_number,
        )

    def _observe_process(self, spec: Spec, shard: int) -> ObservedNode:
        name = node_name(spec.name, shard, 0)
        process = self.process(name)
        pid = process.pid()
        return ObservedNode(
            name=name,
            shard=shard,
            ordinal=0,
            phase="absent" if pid is None else "starting",
            address=HOST,
            port=self.base_port + shard,
            admin_port=self.base_port + shard + ADMIN_PORT_OFFSET,
            pid=pid,
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
            await self._commit(action)
        elif isinstance(action, PushTopology):
            await self.admin.push(action.topology, self._named(spec, action.nodes))
        elif isinstance(action, PushSettings):
            await self.admin.push_settings(action.settings, action.topology.leader, self._named(spec, action.nodes))

    def _named(self, spec: Spec, names: tuple[str, ...]) -> list[ObservedNode]:
        observed = [self._observe_process(spec, shard) for shard in range(spec.shards)]
        return [node for node in observed if node.name in names]

    async def _commit(self, action: CommitTopology) -> None:
        try:
            await asyncio.to_thread(self.folder.commit, action.topology, action.expected)
        except UncertainCommit:
            self.leader_number = None
            raise
        self.leader_number = action.topology.leader

    def _start(self, spec: Spec, name: str) -> None:
        shard = next(shard for shard in range(spec.shards) if node_name(spec.name, shard, 0) == name)
        self.process(name).start(directives_of(self.folder, spec, shard, self.base_port, self.folder.password()))

    async def publish(self, spec: Spec, observed: Observed, action: Action | None) -> None:
        status = build_status(spec, observed, action, self.status, time.time())
        if status != self.status:
            self.status = status
            await asyncio.to_thread(
                write_durably, self.folder.path / "status.json", json.dumps(status, indent=1).encode()
            )
        if action is not None:
            self._tell(action)
        elif self.when_ready is not None and summary(spec, observed).ready:
            ready, self.when_ready = self.when_ready, None
            ready()

    async def record(self, spec: Spec, action: Action) -> None:  # noqa: ARG002
        self._tell(action)

    def _tell(self, action: Action) -> None:
        if (action.reason, action.message) == self.last_told:
            return
        self.last_told = (action.reason, action.message)
        log.log(logging.WARNING if action.warning else logging.INFO, "%s: %s", action.reason, action.message)
        if self.tell is not None:
            self.tell(action)

    async def stop_nodes(self, spec: Spec) -> None:
        """Stop every node's process, all at the same time."""
        names = {node_name(spec.name, shard, 0) for shard in range(spec.shards)} | set(self.folder.nodes())
        await asyncio.gather(*(self.process(name).stop() for name in names))


def _judged(node: ObservedNode) -> ObservedNode:
    """A process that was given time and does not answer has failed, although it lives."""
    if node.pid is None or node.report is not None or node.trouble or age(node.pid) < SILENT_SECONDS:
        return node
    return replace(node, phase="failed", trouble=f"process {node.pid} runs but does not answer")
