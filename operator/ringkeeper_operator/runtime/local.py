"""The runtime of this machine: nodes are processes on consecutive ports, the topology is a locked, fsynced file."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import (
    ADMIN_PORT_OFFSET,
    Action,
    ApplyPieces,
    CommitTopology,
    Observed,
    ObservedNode,
    PushTopology,
    Spec,
    node_name,
)
from ringkeeper_operator.runtime.local_folder import ClusterFolder, write_durably
from ringkeeper_operator.runtime.local_process import NodeProcess
from ringkeeper_operator.runtime.node_admin import NodeAdmin
from ringkeeper_operator.status import build_status, summary

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PIECE = "Process"


class LocalRuntime:
    """Implements `runtime.base.Runtime`. `tell` hears every action and status, for the terminal."""

    def __init__(self, folder: ClusterFolder, tell: Callable[[Action], None] | None = None) -> None:
        self.folder = folder
        self.base_port = folder.base_port
        self.tell = tell
        self.admin = NodeAdmin()
        self.admin.token = folder.admin_token()
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
        nodes = []
        pieces = {}
        for shard in range(spec.shards):
            node = self._observe_process(spec, shard)
            process = self.process(node.name)
            nodes.append(node)
            resting = node.pid is None and not process.attempts.may_start(time.monotonic())
            pieces[f"{PIECE}/{node.name}"] = "absent" if node.pid is None and not resting else "current"
        nodes = await self.admin.ask_all(nodes)
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
            await asyncio.to_thread(self.folder.commit, action.topology, action.expected)
            self.leader_number = action.topology.leader
        elif isinstance(action, PushTopology):
            observed = [self._observe_process(spec, shard) for shard in range(spec.shards)]
            await self.admin.push(action.topology, [node for node in observed if node.name in action.nodes])

    def _start(self, spec: Spec, name: str) -> None:
        shard = next(shard for shard in range(spec.shards) if node_name(spec.name, shard, 0) == name)
        process = self.process(name)
        directives = {
            "port": str(self.base_port + shard),
            "admin-port": str(self.base_port + shard + ADMIN_PORT_OFFSET),
            "bind": HOST,
            "dir": str(process.folder),
            "cluster-enabled": "yes",
            "cluster-uid": spec.uid,
            "node-name": name,
            "maxmemory": str(spec.memory),
            "admin-token-file": str(self.folder.path / "admin-token"),
        }
        if password := self.folder.password():
            directives["requirepass"] = password
        process.start(directives)

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
        names = [node_name(spec.name, shard, 0) for shard in range(spec.shards)]
        await asyncio.gather(*(self.process(name).stop() for name in names))
