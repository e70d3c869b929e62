"""The operator's process: stands by until it holds the Lease, then leads until it is told to stop or loses it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Mapping
from typing import Any

import click
import kopf
from kopf._core.engines.peering import Identity

from ringkeeper_operator import handlers, manifest
from ringkeeper_operator.model import Spec
from ringkeeper_operator.runtime import health, kubernetes_api
from ringkeeper_operator.runtime.clusters import Body, Clusters
from ringkeeper_operator.runtime.heartbeats import Heartbeats, Watch
from ringkeeper_operator.runtime.kubernetes import KubernetesRuntime
from ringkeeper_operator.runtime.kubernetes_api import Api
from ringkeeper_operator.runtime.kubernetes_status import StatusWriter
from ringkeeper_operator.runtime.lease import Lease
from ringkeeper_operator.schema import DEFAULT_IMAGE

log = logging.getLogger("ringkeeper_operator")

KOPF_END_SECONDS = 8.0


class OneLine(logging.Formatter):
    """A record is one line, its traceback too: what collects logs cuts at line ends."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", " | ")


@click.command(context_settings={"auto_envvar_prefix": "RINGKEEPER"})
@click.option(
    "--watch-namespaces", default="", help="Look after these namespaces only (comma-separated); all if empty."
)
@click.option(
    "--lease-namespace", default="default", help="Namespace of the Lease by which operators agree on a leader."
)
@click.option("--lease-name", default="ringkeeper-operator", show_default=True)
@click.option("--health-port", default=8080, show_default=True)
@click.option("--log-level", default="INFO", show_default=True)
def main(watch_namespaces: str, lease_namespace: str, lease_name: str, health_port: int, log_level: str) -> None:
    """Run the Ringkeeper operator. Options may come from the environment as RINGKEEPER_WATCH_NAMESPACES and so on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    logging.getLogger("kopf").setLevel(logging.WARNING)
    namespaces = [part.strip() for part in watch_namespaces.split(",") if part.strip()]
    code = asyncio.run(operate(namespaces, lease_namespace, lease_name, health_port))
    sys.exit(code)


async def operate(namespaces: list[str], lease_namespace: str, lease_name: str, health_port: int) -> int:
    """The exit code: 0 when told to stop, 1 when the Lease was lost or kopf ended by itself."""
    stopping = asyncio.Event()
    _stop_on_signals(stopping)
    api = await kubernetes_api.connect()
    lease = Lease(api, lease_namespace, lease_name, f"{socket.gethostname()}-{secrets.token_hex(4)}")
    site = await health.serve(health_port, lambda: None)
    try:
        if not await _before(stopping, lease.acquire()):
            return 0
        return await lead(api, lease, namespaces, stopping)
    finally:
        await site.cleanup()
        await api.close()


async def lead(api: Api, lease: Lease, namespaces: list[str], stopping: asyncio.Event) -> int:
    heartbeats = Heartbeats()
    await heartbeats.open()
    clusters = Clusters(read_manifest, lambda body: _runtime(api, lease, heartbeats, body), _complain)
    watching = asyncio.create_task(watch(namespaces, clusters, stopping))
    holding = asyncio.create_task(lease.hold())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([watching, holding, stop], return_when=asyncio.FIRST_COMPLETED)
    if holding.done():
        # Another may lead from now on: not one more request, not even an orderly stop.
        log.error("stopping at once: %s", holding.exception())
        logging.shutdown()
        os._exit(1)
    await clusters.stop()
    holding.cancel()
    await asyncio.wait([holding])
    with contextlib.suppress(OSError):
        await lease.release()
    if not stopping.is_set():
        log.error("kopf ended: %s", watching.exception())
        return 1
    # Only now wait for kopf, which takes seconds to end: the standby leads already.
    await asyncio.wait([watching], timeout=KOPF_END_SECONDS)
    return 0


async def watch(namespaces: list[str], clusters: Clusters, stopping: asyncio.Event) -> None:
    """Run kopf, which takes the signals over when it starts; they are taken back, so that the Lease goes first."""
    ready = asyncio.Event()
    kopf_task = asyncio.create_task(
        kopf.operator(
            registry=handlers.registry,
            settings=handlers.settings(),
            standalone=True,
            identity=Identity(socket.gethostname()),
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=ready,
            stop_flag=stopping,
            memo=kopf.Memo(clusters=clusters),
        )
    )
    await asyncio.wait([kopf_task, asyncio.create_task(ready.wait())], return_when=asyncio.FIRST_COMPLETED)
    _stop_on_signals(stopping)
    await kopf_task


def _stop_on_signals(stopping: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)


def read_manifest(body: Body) -> Spec:
    metadata = body["metadata"]
    return manifest.spec_of(
        body,
        uid=metadata["uid"],
        generation=metadata["generation"],
        namespace=metadata["namespace"],
        default_image=os.environ.get("RINGKEEPER_NODE_IMAGE") or DEFAULT_IMAGE,
    )


def _runtime(api: Api, lease: Lease, heartbeats: Heartbeats, body: Body) -> KubernetesRuntime:
    watch = Watch(heartbeats, leads_until=lambda: int(lease.held_until * 1e9))
    told = body.get("status") or {}
    return KubernetesRuntime(api, StatusWriter(api, told), watch, told)


def _complain(body: Mapping[str, Any], problem: str) -> None:
    metadata = body["metadata"]
    log.warning("%s/%s: the manifest cannot be used: %s", metadata["namespace"], metadata["name"], problem)


async def _before(stopping: asyncio.Event, work: Any) -> bool:
    """Whether the work was done before the process was told to stop."""
    tasks = [asyncio.create_task(work), asyncio.create_task(stopping.wait())]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return tasks[0] in done and not stopping.is_set()


if __name__ == "__main__":
    main()
