"""The admin port: health and metrics for whoever asks, the control API for who has the token.

| request                     | answer |
|-----------------------------|--------|
| `GET /healthz`              | 200 while the event loop runs |
| `GET /readyz`               | 200 when this node does what it is there for, else 503 and the reason |
| `GET /metrics`              | Prometheus' text format |
| `GET /control/state`        | what this node is, as JSON; `?serving=TERM`: when it serves in that, or in a moment |
| `GET /control/topology`     | the topology it holds; 404 none, 304 epoch not above `If-None-Match` |
| `PUT /control/topology`     | 200 taken (on disk) or held already; 409 refused; 400 not one; 413 long |
| `PUT /control/settings`     | 200 in force; 409 of a leader that was succeeded, or refused; 400 not one; 413 long |
| `GET /control/slots`        | keys and bytes of each owned slot that has keys; commands a second where any ran |
| `POST /control/moves/N/release` | 200 what the source says of the move; 404 not its source; 409 of an earlier leader |

`/control/` needs `Authorization: Bearer TOKEN`, the token being the content of `admin-token-file`.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from ringkeeper.cluster.settings import DEFAULTS, Settings, SettingsError, digest_of
from ringkeeper.cluster.settings import decode as decode_settings
from ringkeeper.cluster.topology import Topology, TopologyError, decode
from ringkeeper.resp.values import ReplyError
from ringkeeper.server import lease_report, namespaces
from ringkeeper.server.membership import TopologyRefusedError
from ringkeeper.server.metrics import CONTENT_TYPE, render
from ringkeeper.store import namespace_text

if TYPE_CHECKING:
    import socket

    from ringkeeper.server.node import Node

log = logging.getLogger(__name__)

LARGEST_DOCUMENT = 8 * 1024 * 1024
SHORT_DOCUMENT = 32 * 1024
"""Bytes of a topology up to which it is decoded in the loop: that takes 2 ms, and on a busy machine as long again to
hand it to a thread and back, while clients wait for a master."""
AWAITED_SECONDS = 0.5
"""For this node to serve, or for news of its moves; who wants to wait for longer asks again."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NO_TOKEN = (
    "the control API is off: start this node with --admin-token-file FILE, where FILE holds a token, and send "
    "'Authorization: Bearer TOKEN'"
)
WRONG_TOKEN = "send 'Authorization: Bearer TOKEN', where TOKEN is the content of this node's admin-token-file"


class AdminApi:
    """The handlers. Reads the node; changes nothing but the topology and the settings."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.membership = node.membership

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self.guard], client_max_size=LARGEST_DOCUMENT)
        application.router.add_get("/healthz", self.healthz)
        application.router.add_get("/readyz", self.readyz)
        application.router.add_get("/metrics", self.metrics)
        application.router.add_get("/control/state", self.state)
        application.router.add_get("/control/topology", self.topology)
        application.router.add_put("/control/topology", self.put_topology)
        application.router.add_put("/control/settings", self.put_settings)
        application.router.add_get("/control/slots", self.slots)
        application.router.add_post("/control/moves/{move}/release", self.release)
        return application

    @web.middleware
    async def guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/control/"):
            token = self.membership.token
            if token is None:
                return web.json_response({"error": NO_TOKEN}, status=403)
            given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, b"Bearer " + token):
                return web.json_response({"error": WRONG_TOKEN}, status=401)
        return await handler(request)

    async def healthz(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:  # noqa: ARG002
        node = self.node
        recovery = node.recovery
        reason = recovery.describe() if recovery.loading else self.membership.unready() or node.fence.reason()
        reason = reason or node.departure.reason()
        return web.Response(text=f"{reason or 'ok'}\n", status=503 if reason else 200)

    async def metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(body=await render(self.node), headers={"Content-Type": CONTENT_TYPE})

    async def state(self, request: web.Request) -> web.Response:
        if (term := request.query.get("serving", "")).isdecimal():
            await self.node.fence.await_serving(int(term), AWAITED_SECONDS)
        if (known := request.query.get("moves")) is not None:
            await self.node.moves.await_news(known, AWAITED_SECONDS)
        node, membership = self.node, self.membership
        topology, standing = membership.topology, membership.standing
        document = {
            "id": membership.id,
            "name": node.config.text("node-name"),
            "runId": node.run_id,
            "role": standing.role,
            "state": membership.state(),
            "leaving": node.departure.leaving,
            "shard": standing.shard,
            "term": standing.term,
            "epoch": membership.epoch,
            "leader": topology.leader if topology else 0,
            "keys": sum(len(keyspace) for keyspace in node.databases),
            "volatileKeys": sum(keyspace.shown_volatile for keyspace in node.databases),
            "slotsServed": membership.slots_served,
            "usedMemory": node.used_bytes,
            "settings": digest_of(node.config.values),
            "version": node.version,
            "persistenceError": node.persistence_error(),
            "loaded": round(node.recovery.fraction, 3) if node.recovery.loading else None,
            "replication": node.replication.state(),
            "uptimeSeconds": round(time.monotonic() - node.started, 3),
            "lease": lease_report.document(node),
            "moves": node.moves.state(),
            "clusterUid": membership.cluster_uid or (topology.uid if topology else ""),
        }
        return web.json_response(document)

    async def slots(self, request: web.Request) -> web.Response:  # noqa: ARG002
        moves = self.node.moves
        return web.json_response(
            {"epoch": self.membership.epoch, "slots": moves.slots(), "operationsPerSecond": moves.operations()}
        )

    async def release(self, request: web.Request) -> web.Response:
        """The body is `{"leader": N}`: a leader that was succeeded decides nothing any more."""
        try:
            move, leader = int(request.match_info["move"]), int(json.loads(await request.read())["leader"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return web.json_response({"error": 'release: the body must be {"leader": NUMBER}'}, status=400)
        topology = self.membership.topology
        if topology is not None and leader < topology.leader:
            reason = f"leader {leader} was succeeded; this node has obeyed leader {topology.leader}"
            return web.json_response({"error": reason}, status=409)
        try:
            return web.json_response(self.node.moves.ask_release(move))
        except KeyError:
            return web.json_response({"error": f"this node is not the source of a move {move}"}, status=404)

    async def topology(self, request: web.Request) -> web.Response:
        membership = self.membership
        if membership.topology is None:
            return web.json_response({"error": "this node holds no topology"}, status=404)
        known = request.headers.get("If-None-Match", "").strip('"')
        headers = {"ETag": f'"{membership.epoch}"'}
        if known.isdecimal() and membership.epoch <= int(known):
            return web.Response(status=304, headers=headers)
        return web.Response(body=membership.document, content_type="application/json", headers=headers)

    async def put_topology(self, request: web.Request) -> web.Response:
        if not self.membership.enabled:
            reason = "this node runs alone: start it with --cluster-enabled yes"
            return web.json_response({"error": reason}, status=409)
        try:
            data = await request.read()
            is_short = len(data) <= SHORT_DOCUMENT
            topology = read_document(data) if is_short else await asyncio.to_thread(read_document, data)
        except TopologyError as error:
            return web.json_response({"error": str(error)}, status=400)
        try:
            epoch = await self.membership.offer(topology, data)
        except TopologyRefusedError as error:
            return web.json_response({"error": str(error)}, status=409)
        except OSError as error:
            log.error("Cannot keep the topology in %s: %s", self.membership.file, error.strerror)
            return web.json_response({"error": f"{self.membership.file}: {error.strerror}"}, status=500)
        return web.json_response({"epoch": epoch})

    async def put_settings(self, request: web.Request) -> web.Response:
        """They are kept by who sends them: a node that starts is told them again."""
        try:
            settings, leader = await asyncio.to_thread(read_settings, await request.read())
        except SettingsError as error:
            return web.json_response({"error": str(error)}, status=400)
        topology = self.membership.topology
        if topology is not None and leader < topology.leader:
            reason = f"these settings are of leader {leader}; this node has obeyed leader {topology.leader}"
            return web.json_response({"error": reason}, status=409)
        present = DEFAULTS | self.node.config.values
        try:
            self.node.config.set([item for item in settings.directives().items() if item not in present.items()])
        except ReplyError as error:
            return web.json_response({"error": error.text}, status=409)
        log.info("Settings of leader %d: eviction %s, %d namespaces, persistence %s", leader, settings.eviction,
                 len(settings.namespaces), settings.mode)  # fmt: skip
        return web.json_response({"settings": digest_of(self.node.config.values)})


def read_settings(data: bytes) -> tuple[Settings, int]:
    """Raises `SettingsError`. Reads all of it, for the loop to find it read."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"settings: not JSON: {error}") from None
    settings, leader = decode_settings(document)
    text = settings.directives()["namespaces"]
    namespace_text.canonical(text)
    namespaces.declared(text)
    return settings, leader


def read_document(data: bytes) -> Topology:
    """A topology from its JSON; raises `TopologyError`."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TopologyError(f"topology: not JSON: {error}") from None
    return decode(document)


async def start(node: Node, sockets: list[socket.socket]) -> web.AppRunner:
    """Serve on sockets that listen already. `cleanup()` of what this returns ends it."""
    runner = web.AppRunner(AdminApi(node).application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return runner
