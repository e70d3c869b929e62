"""What people are told: the status of a CacheCluster and the Events on it."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringkeeper_operator.model import Action, Observed, Spec
from ringkeeper_operator.rebalance_status import news
from ringkeeper_operator.runtime.kubernetes_api import Api, ApiError, path_of
from ringkeeper_operator.schema import API_VERSION, KIND
from ringkeeper_operator.status import build_status
from ringkeeper_operator.timestamps import timestamp

log = logging.getLogger(__name__)

REPEAT_SECONDS = 60.0
"""An Event that says the same again is counted, and its count written this often."""
REMEMBERED_EVENTS = 100
MESSAGE_LENGTH = 1024
"""The API server takes no longer message of an Event."""


@dataclass(slots=True)
class Told:
    """An Event that was written: its name, how often it happened, and when that was last written (monotonic)."""

    name: str
    count: int
    written: float


class StatusWriter:
    """Writes the status of one CacheCluster when it changed, and its Events, the same ones counted."""

    def __init__(self, api: Api, status: Mapping[str, Any]) -> None:
        self._api = api
        self._status: dict[str, Any] = dict(status)
        self._told: OrderedDict[tuple[str, str], Told] = OrderedDict()
        self._writing = asyncio.Lock()

    async def publish(self, spec: Spec, observed: Observed, action: Action | None) -> None:
        """One write at a time: the loop's, and the alarm that comes in between."""
        async with self._writing:
            await self._publish(spec, build_status(spec, observed, action, self._status, time.time()))

    async def _publish(self, spec: Spec, status: dict[str, Any]) -> None:
        if status == self._status:
            return
        path = path_of(API_VERSION, KIND, spec.namespace, spec.name, "status")
        try:
            await self._api.patch(
                path,
                [
                    {"op": "test", "path": "/metadata/uid", "value": spec.uid},
                    {"op": "add", "path": "/status", "value": status},
                ],
            )
        except ApiError as error:
            if error.status != 404:
                raise
            return  # Deleted a moment ago; the loop is about to hear of it.
        told = news(self._status.get("rebalance") or {}, status.get("rebalance") or {})
        self._status = status
        if told is not None:
            await self.record(spec, told)

    async def record(self, spec: Spec, action: Action) -> None:
        """Never fails: an Event that cannot be written is no reason to stop."""
        log.log(
            logging.WARNING if action.warning else logging.INFO,
            "%s/%s: %s: %s",
            spec.namespace,
            spec.name,
            action.reason,
            action.message,
        )
        if action.quiet:
            return
        key = (action.reason, action.message)
        told = self._told.get(key)
        try:
            if told is None:
                self._told[key] = await self._create_event(spec, action)
                while len(self._told) > REMEMBERED_EVENTS:
                    self._told.popitem(last=False)
            else:
                await self._count_event(spec, told)
        except OSError as error:
            log.warning("%s/%s: an Event could not be written: %s", spec.namespace, spec.name, error)

    async def _create_event(self, spec: Spec, action: Action) -> Told:
        name = f"{spec.name[:200]}.{uuid.uuid4().hex[:16]}"
        now = timestamp(time.time())
        await self._api.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": spec.namespace},
                "involvedObject": {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "namespace": spec.namespace,
                    "name": spec.name,
                    "uid": spec.uid,
                },
                "type": "Warning" if action.warning else "Normal",
                "reason": action.reason,
                "message": action.message[:MESSAGE_LENGTH],
                "source": {"component": "ringkeeper-operator"},
                "reportingComponent": "ringkeeper-operator",
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
            }
        )
        return Told(name=name, count=1, written=time.monotonic())

    async def _count_event(self, spec: Spec, told: Told) -> None:
        told.count += 1
        if time.monotonic() - told.written < REPEAT_SECONDS:
            return
        told.written = time.monotonic()
        path = path_of("v1", "Event", spec.namespace, told.name)
        await self._api.patch(path, {"count": told.count, "lastTimestamp": timestamp(time.time())})
