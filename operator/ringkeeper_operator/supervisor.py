"""The supervisor of a laptop's cluster: the operator's loop over the local runtime, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ringkeeper_operator.model import Action, Spec
from ringkeeper_operator.runtime import loop
from ringkeeper_operator.runtime.heartbeats import Heartbeats, Watch
from ringkeeper_operator.runtime.local import LocalRuntime
from ringkeeper_operator.runtime.local_folder import ClusterFolder, FolderError
from ringkeeper_operator.runtime.local_spec import Places, together

log = logging.getLogger(__name__)


class ManifestFile:
    """The spec of the folder's manifest, whose settings `ringkeeper up` may change while the cluster is up."""

    def __init__(self, folder: ClusterFolder, spec: Spec, read: Callable[[], Spec]) -> None:
        self.folder = folder
        self.spec = spec
        self.read = read
        self.seen = self.version()

    def version(self) -> tuple[int, int] | None:
        """Another one for each file that was put in its place."""
        try:
            status = os.stat(self.folder.path / "manifest.yaml")
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def current(self) -> Spec | None:
        """None when the folder is gone. A manifest that cannot be read changes nothing."""
        if not self.folder.exists():
            return None
        if (version := self.version()) != self.seen:
            self.seen = version
            try:
                read = self.read()
                self.spec = replace(
                    self.spec,
                    settings=read.settings,
                    volume=read.volume,
                    min_acks=read.min_acks,
                    failover=read.failover,
                    replicas_per_shard=self._replicas(read),
                    shards=read.shards,
                    weights=read.weights,
                    rebalance=read.rebalance,
                )
            except FolderError as error:
                log.warning("The manifest stays in force as it was: %s", error)
        return replace(self.spec, handovers=self.folder.handovers())

    def _replicas(self, read: Spec) -> int:
        """No more than there are ports for."""
        has_room = self.folder.width_for(self.spec) >= read.nodes_per_shard
        return read.replicas_per_shard if has_room else self.spec.replicas_per_shard


async def supervise(
    folder: ClusterFolder,
    spec: Spec,
    *,
    read: Callable[[], Spec],
    tell: Callable[[Action], None] | None = None,
    ready: Callable[[], None] | None = None,
    seen: Callable[[dict[str, Any]], object] | None = None,
    places: Places = together,
) -> None:
    """Keep the cluster as its manifest says until a signal, or until its folder is gone; then stop its nodes.

    `read` reads the manifest anew; `ready` is called once, when all slots are served; `seen` hears of every status;
    `places` says where each node is. The caller holds the folder's lock (`ClusterFolder.supervised`).
    """
    heartbeats = Heartbeats()
    await heartbeats.open()
    watch = Watch(heartbeats)
    runtime = LocalRuntime(folder, tell, watch, places)
    runtime.when_seen = seen
    manifest = ManifestFile(folder, spec, read)
    stop, wake = asyncio.Event(), asyncio.Event()
    events = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if sign != signal.SIGHUP or signal.getsignal(sign) != signal.SIG_IGN:  # nohup is heeded
            events.add_signal_handler(sign, stop.set)

    def changed(urgent: bool) -> None:
        if urgent:
            runtime.urgent.set()
        if watch.alarming:
            runtime.alarm.set()
        wake.set()

    def child_ended() -> None:
        runtime.reap()
        wake.set()

    watch.when_changed = changed
    events.add_signal_handler(signal.SIGCHLD, child_ended)
    if ready is not None:
        runtime.when_ready = ready
    work = asyncio.create_task(loop.run(runtime, manifest.current, wake))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((work, stopping), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        stopping.cancel()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        log.info("Stopping the nodes of %s", spec.name)
        watch.pause()  # nobody takes over: so nobody is to wait for that
        await runtime.stop_nodes(manifest.spec)
        await runtime.close()
        heartbeats.close()
