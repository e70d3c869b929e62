"""In which zone a host is: the label of its Node object, each read once in a while.

Where the operator may not read Nodes (a Role gives no right to what is in no namespace), nothing is known of zones.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from ringkeeper_operator.runtime.kubernetes_api import Api, ApiError

log = logging.getLogger(__name__)

ZONE_LABEL = "topology.kubernetes.io/zone"
REMEMBERED_SECONDS = 600.0
"""A host of the same name may be another one, elsewhere, after that; and the operator may have got the right."""


class Zones:
    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._known: dict[str, tuple[str, float]] = {}
        """By host: its zone, empty if it has none, and when that was read."""
        self._forbidden_until = 0.0

    async def of(self, hosts: Iterable[str]) -> dict[str, str]:
        """By host, of those whose zone is known. Never fails: the spread of masters can wait."""
        wanted = {host for host in hosts if host}
        now = self._clock()
        self._known = {host: known for host, known in self._known.items() if host in wanted}
        old = [host for host in sorted(wanted) if now - self._known.get(host, ("", -REMEMBERED_SECONDS))[1]
               >= REMEMBERED_SECONDS]  # fmt: skip
        if now >= self._forbidden_until:
            await asyncio.gather(*(self._read(host, now) for host in old))
        return {host: zone for host, (zone, _) in self._known.items()}

    async def _read(self, host: str, now: float) -> None:
        try:
            metadata = await self._api.get_metadata(f"/api/v1/nodes/{host}")
        except ApiError as error:
            if error.status == 403 and now >= self._forbidden_until:
                log.info("zones are not known: %s", error)
                self._forbidden_until = now + REMEMBERED_SECONDS
            return
        except OSError as error:
            log.info("the zone of host %s could not be read: %s", host, error)
            return
        self._known[host] = ((metadata.get("labels") or {}).get(ZONE_LABEL, ""), now)
