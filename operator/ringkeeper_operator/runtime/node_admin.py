"""The operator's side of a node's admin HTTP: ask for its state, hand it a topology or settings. For both runtimes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import aiohttp

from ringkeeper.cluster.migration import decode as decode_confirmation
from ringkeeper.cluster.migration import progress_of
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.settings import Settings
from ringkeeper.cluster.settings import encode as encode_settings
from ringkeeper.cluster.topology import Topology, TopologyError, decode, encode
from ringkeeper_operator.model import Lost, MoveReport, NodeReport, ObservedNode, SlotFigures
from ringkeeper_operator.runtime.base import PushError

log = logging.getLogger(__name__)

ASK_SECONDS = 1.5
"""For a node's state: one that takes longer counts as not answering in this round."""
PUSH_SECONDS = 5.0
"""For a topology, which the node writes to its disk before it answers."""
HANDED_SECONDS = 1.0
"""After that the others are not kept waiting by those that have not answered yet; these are left to it."""
FIRST_SECONDS = 0.25
"""By how much the others are handed a topology later at most than those who serve by it; and once more than those who
send clients there."""
AT_ONCE = 64
LONGEST_WHY = 300
KEYS_TOLD, LONGEST_KEY = 5, 60
"""Of what was lost."""


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
        leaving=bool(document.get("leaving", False)),
        persistence_error=str(document.get("persistenceError", "")),
        loaded=None if (loaded := document.get("loaded")) is None else min(max(float(loaded), 0.0), 1.0),
        volatile_keys=int(document.get("volatileKeys", 0)),
        moves=tuple(_moves(document.get("moves") or ())),
        **_replication(document.get("replication") or {}),
    )


def _moves(told: Iterable[Any]) -> Iterator[MoveReport]:
    for entry in told:
        said = decode_confirmation(entry)
        if said is not None:
            yield MoveReport(
                said=replace(said, why=said.why[:LONGEST_WHY]),
                keys=int(entry.get("keys", 0)),
                bytes=int(entry.get("bytesSent", entry.get("bytesReceived", 0))),
                lag_bytes=int(entry.get("lagBytes", 0)),
                written=int(entry.get("writtenPerSecond", 0)),
                let_through=int(entry.get("letThroughPerSecond", 0)),
                behind_ms=int(entry.get("behindMs", 0)),
            )


def _replication(told: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing is told by a node of an older release."""
    return {
        "position": Position(int(told.get("term", 0)), int(told.get("offset", 0))),
        "link": str(told.get("link", "none")),
        "lag_bytes": max(0, int(told.get("lagBytes") or 0)),
        "lag_ms": max(0, int(told.get("lagMs") or 0)),
        "candidate": bool(told.get("candidate", True)),
        "lost": _lost(told.get("lost")),
    }


def _lost(told: Mapping[str, Any] | None) -> Lost | None:
    if told is None:
        return None
    keys = tuple(str(key)[:LONGEST_KEY] for key in tuple(told.get("keys") or ())[:KEYS_TOLD])
    return Lost(int(told["term"]), int(told["bytes"]), int(told.get("writes", -1)), keys)


def progress_told(node: ObservedNode) -> str:
    """How far a node said that its moves are."""
    return progress_of(told.said for told in node.report.moves) if node.report is not None else ""


class NodeAdmin:
    """A connection pool to the nodes of one cluster. `token` is the operator's credential; it may change."""

    def __init__(self) -> None:
        self.token = ""
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._late: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        for task in tuple(self._late):
            task.cancel()
        if self._session is not None:
            await self._session.close()

    async def ask_all(self, nodes: Iterable[ObservedNode]) -> list[ObservedNode]:
        """The nodes, with a report and as `running` where one answered."""
        return list(await asyncio.gather(*(self._asked(node) for node in nodes)))

    async def ask_news(self, node: ObservedNode) -> ObservedNode:
        """The same of one, as soon as its moves are elsewhere than it said last; or after a while."""
        return await self._asked(node, f"state?moves={progress_told(node)}")

    async def topology_of(self, node: ObservedNode) -> Topology | None:
        """The topology that a node holds, or None if it holds none or does not answer."""
        try:
            document = await self._call("GET", node, "topology", ASK_SECONDS)
            return decode(document) if document else None
        except (OSError, TopologyError) as error:
            log.info("%s: its topology could not be read: %s", node.name, error)
            return None

    async def slots_of(self, node: ObservedNode) -> SlotFigures:
        """What each slot of a master holds, and how many commands a second run on it. Empty if it does not answer."""
        try:
            document = await self._call("GET", node, "slots", PUSH_SECONDS) or {}
            sizes = {int(slot): int(size) for slot, (_, size) in (document.get("slots") or {}).items()}
            rates = document.get("operationsPerSecond") or {}
            return SlotFigures(sizes, {int(slot): float(rate) for slot, rate in rates.items()})
        except (OSError, TypeError, ValueError, AttributeError) as error:
            log.info("%s: what its slots hold could not be read: %s", node.name, error)
            return SlotFigures(is_answer=False)

    async def ask_release(self, node: ObservedNode, move: int, leader: int) -> None:
        """Ask the source of a move for its slots. Whether it gives them is told with its state."""
        try:
            await self._call(
                "POST", node, f"moves/{move}/release", ASK_SECONDS, json.dumps({"leader": leader}).encode()
            )
        except OSError as error:
            log.info("%s: did not hear that it is to release move %d: %s", node.name, move, error)

    async def push(
        self, topology: Topology, nodes: Iterable[ObservedNode], first: Iterable[Collection[str]] = ()
    ) -> None:
        """Hand the topology to these nodes; raises `PushError` when not all took it.

        Those named in `first` are handed it before the others, group by group: whoever serves by it must know when
        clients come, and on a machine that they share with the others they would wait for these, too.
        """
        await self._hand("topology", f"epoch {topology.epoch} was", encode(topology), nodes, first=first)

    async def push_settings(self, settings: Settings, leader: int, nodes: Iterable[ObservedNode]) -> None:
        """The same with settings."""
        wanted = {"settings": settings.digest}
        await self._hand("settings", "the settings were", encode_settings(settings, leader), nodes, wanted)

    async def _hand(
        self, what: str, told: str, document: Any, nodes: Iterable[ObservedNode], wanted: Any = None,
        first: Iterable[Collection[str]] = (),
    ) -> None:  # fmt: skip
        """`wanted` is the answer of a node that has taken all of it, if that is known."""
        body = json.dumps(document, separators=(",", ":")).encode()
        nodes = list(nodes)
        handing: dict[str, asyncio.Task[Any]] = {}
        late: Collection[asyncio.Task[Any]] = ()
        everybody = {node.name for node in nodes}
        for group, seconds in (*((group, FIRST_SECONDS) for group in first), (everybody, HANDED_SECONDS)):
            for node in nodes:
                if node.name in group and node.name not in handing:
                    handing[node.name] = asyncio.create_task(self._call("PUT", node, what, PUSH_SECONDS, body))
            late = await self._wait(handing.values(), seconds)
        for task in late:
            self._late.add(task)
            task.add_done_callback(self._settle)
        refused = []
        for name, task in handing.items():
            answer = task.exception() or task.result() if task.done() else OSError("no answer yet")
            if isinstance(answer, OSError):
                refused.append(f"{name}: {answer}")
            elif isinstance(answer, BaseException):
                raise answer
            elif wanted is not None and answer != wanted:
                refused.append(f"{name}: it is of another release, which does not know all of them")
        if refused:
            raise PushError(f"{told} not taken by {len(refused)} nodes: {'; '.join(refused)[:500]}")

    @staticmethod
    async def _wait(tasks: Collection[asyncio.Task[Any]], seconds: float) -> Collection[asyncio.Task[Any]]:
        """Until all are done, or those that are not have had time enough: these are returned, and go on."""
        if not tasks:
            return ()
        try:
            return (await asyncio.wait(tasks, timeout=seconds))[1]
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise

    def _settle(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.info("a node that answered late did not take it: %s", error)

    async def _asked(self, node: ObservedNode, what: str = "state") -> ObservedNode:
        if not node.address or node.phase in ("absent", "terminating"):
            return node
        try:
            report = report_from(await self._call("GET", node, what, ASK_SECONDS))
        except OSError:
            return node
        except (KeyError, TypeError, ValueError) as error:
            return replace(node, trouble=f"its admin port answered what is no node's state: {error!r}")
        return replace(node, phase="running", report=report, trouble="")

    async def _call(self, method: str, node: ObservedNode, what: str, seconds: float, body: bytes | None = None) -> Any:
        """Raises `OSError` when the node does not answer, or not with success."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        url = f"http://{node.address}:{node.admin_port}/control/{what}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with (
                self._slots,
                asyncio.timeout(seconds),
                self._session.request(method, url, data=body, headers=headers) as response,
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
