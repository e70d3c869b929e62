"""Every CacheCluster that the operator looks after: its newest manifest, and the task that runs its loop.

Events only wake: they replace the manifest or end a loop's wait. Nothing else is taken from them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ringkeeper_operator.model import Spec
from ringkeeper_operator.runtime import loop
from ringkeeper_operator.runtime.base import Runtime
from ringkeeper_operator.schema import FAILOVER_ANNOTATION

log = logging.getLogger(__name__)

Body = Mapping[str, Any]


class ClosingRuntime(Runtime, Protocol):
    async def close(self) -> None: ...

    def wake_by(self, wake: Callable[[], None]) -> None:
        """Call this when heartbeats tell something new."""


@dataclass(slots=True)
class Cluster:
    """One CacheCluster of one UID. `spec` is the newest valid one, or None when it is to be left alone from now on."""

    uid: str
    spec: Spec | None
    version: tuple[int | None, str | None, str | None] = (None, None, None)
    """Of the manifest that `spec` was read from: generation, deletion, and the annotation that asks for failovers."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Clusters:
    """Starts a loop for each CacheCluster that appears, and ends it when it goes.

    `read` turns a manifest into a Spec, raising `ValueError`; `make_runtime` makes the runtime of one CacheCluster;
    `complain` is told of a manifest that cannot be read.
    """

    def __init__(
        self,
        read: Callable[[Body], Spec],
        make_runtime: Callable[[Body], ClosingRuntime],
        complain: Callable[[Body, str], None],
    ) -> None:
        self._read = read
        self._make_runtime = make_runtime
        self._complain = complain
        self._clusters: dict[tuple[str, str], Cluster] = {}

    def update(self, body: Body) -> None:
        """A manifest appeared or changed; or its status, of which each write is an event that changes nothing here."""
        metadata = body["metadata"]
        key = (metadata["namespace"], metadata["name"])
        cluster = self._clusters.get(key)
        if cluster is not None and cluster.uid != metadata["uid"]:
            self.forget(*key)
            cluster = None
        asked = (metadata.get("annotations") or {}).get(FAILOVER_ANNOTATION)
        version = (metadata.get("generation"), metadata.get("deletionTimestamp"), asked)
        if cluster is not None and cluster.version == version != (None, None, None):
            return
        try:
            spec = self._read(body)
        except ValueError as error:
            self._complain(body, str(error))
            return
        if cluster is None:
            self._clusters[key] = cluster = Cluster(uid=metadata["uid"], spec=spec)
            cluster.task = asyncio.create_task(self._run(cluster, body), name=f"cluster {'/'.join(key)}")
        elif cluster.spec != spec:
            cluster.spec = spec
            cluster.wake.set()
        cluster.version = version

    def wake(self, namespace: str, name: str) -> None:
        """Something that belongs to the cluster changed."""
        cluster = self._clusters.get((namespace, name))
        if cluster is not None:
            cluster.wake.set()

    def forget(self, namespace: str, name: str) -> None:
        """The CacheCluster is gone; its loop ends after the round that it is in."""
        cluster = self._clusters.pop((namespace, name), None)
        if cluster is not None:
            cluster.spec = None
            cluster.wake.set()

    async def stop(self) -> None:
        """End all loops, wherever they are: every action may be cut off and carried out again."""
        tasks = [cluster.task for cluster in self._clusters.values() if cluster.task is not None]
        self._clusters.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, cluster: Cluster, body: Body) -> None:
        runtime = self._make_runtime(body)
        runtime.wake_by(cluster.wake.set)
        try:
            await loop.run(runtime, lambda: cluster.spec, cluster.wake)
        finally:
            with contextlib.suppress(asyncio.CancelledError):
                await runtime.close()
