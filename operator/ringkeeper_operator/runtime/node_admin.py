"""The operator's side of a node's admin HTTP: ask for its state, hand it a topology or settings. For both runtimes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import aiohttp

from ringkeeper.cluster.settings import Settings
from ringkeeper.cluster.settings import encode as encode_settings
from ringkeeper.cluster.topology import Topology, TopologyError, decode, encode
from ringkeeper_operator.model import NodeReport, ObservedNode

log = logging.getLogger(__name__)

ASK_SECONDS = 1.5
"""For a node's state: one that takes longer counts as not answering in this round."""
PUSH_SECONDS = 5.0
"""For a topology, which the node writes to its disk before it answers."""
AT_ONCE = 64


class PushError(OSError):
    """Some nodes did not take what they were handed; says which and why."""


def report_from(document: Mapping[str, Any]) -> NodeReport:
    """`/control/state` as data; raises `KeyError`, `TypeError` or `ValueError` for anything else."""
    return NodeReport(
        id=str(document["id"]),
        run_id=str(document["runId"]),
        epoch=int(document["epoch"]),
        leader=int(document["leader"]),
        role=str(document["role"]),
        state=str(document["state"]),
        term=int(document["term"]),
        keys=int(document["keys"]),
        slots_served=int(document["slotsServed"]),
        used_memory=int(document["usedMemory"]),
        version=str(document["version"]),
        settings=str(document.get("settings", "")),
    )


class NodeAdmin:
    """A connection pool to the nodes of one cluster. `token` is the operator's credential; it may change."""

    def __init__(self) -> None:
        self.token = ""
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def ask_all(self, nodes: Iterable[ObservedNode]) -> list[ObservedNode]:
        """The nodes, with a report and as `running` where one answered."""
        return list(await asyncio.gather(*(self._asked(node) for node in nodes)))

    async def topology_of(self, node: ObservedNode) -> Topology | None:
        """The topology that a node holds, or None if it holds none or does not answer."""
        try:
            document = await self._call("GET", node, "topology", ASK_SECONDS)
            return decode(document) if document else None
        except (OSError, TopologyError) as error:
            log.info("%s: its topology could not be read: %s", node.name, error)
            return None

    async def push(self, topology: Topology, nodes: Iterable[ObservedNode]) -> None:
        """Hand the topology to these nodes, all at the same time; raises `PushError` when not all took it."""
        await self._hand("topology", f"epoch {topology.epoch} was", encode(topology), nodes)

    async def push_settings(self, settings: Settings, leader: int, nodes: Iterable[ObservedNode]) -> None:
        """The same with settings."""
        await self._hand("settings", "the settings were", encode_settings(settings, leader), nodes)

    async def _hand(self, what: str, told: str, document: Any, nodes: Iterable[ObservedNode]) -> None:
        nodes = list(nodes)
        calls = (self._call("PUT", node, what, PUSH_SECONDS, document) for node in nodes)
        answers = await asyncio.gather(*calls, return_exceptions=True)
        refused = []
        for node, answer in zip(nodes, answers, strict=True):
            if isinstance(answer, OSError):
                refused.append(f"{node.name}: {answer}")
            elif isinstance(answer, BaseException):
                raise answer
        if refused:
            raise PushError(f"{told} not taken by {len(refused)} nodes: {'; '.join(refused)[:500]}")

    async def _asked(self, node: ObservedNode) -> ObservedNode:
        if not node.address or node.phase in ("absent", "terminating"):
            return node
        try:
            report = report_from(await self._call("GET", node, "state", ASK_SECONDS))
        except OSError:
            return node
        except (KeyError, TypeError, ValueError) as error:
            return replace(node, trouble=f"its admin port answered what is no node's state: {error!r}")
        return replace(node, phase="running", report=report, trouble="")

    async def _call(self, method: str, node: ObservedNode, what: str, seconds: float, body: Any = None) -> Any:
        """Raises `OSError` when the node does not answer, or not with success."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        url = f"http://{node.address}:{node.admin_port}/control/{what}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            async with (
                self._slots,
                asyncio.timeout(seconds),
                self._session.request(method, url, json=body, headers=headers) as response,
            ):
                if response.status == 404:
                    return None
                if response.status >= 300:
                    raise OSError(f"{response.status}: {(await response.text())[:200]}")
                return await response.json() if response.status != 204 else None
        except TimeoutError:
            raise OSError(f"no answer within {seconds:g} s") from None
        except (aiohttp.ClientError, ValueError) as error:
            raise OSError(str(error)) from error
