"""`ringkeeper status`, `kill` and `logs`: look at a laptop's cluster and prod it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from ringkeeper.cluster.topology import node_id
from ringkeeper_operator.cli_common import choose_node, data_option, fail, find_cluster, name_option, spec_of
from ringkeeper_operator.model import NodeReport, Observed, ObservedNode, Spec
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_process import NodeProcess
from ringkeeper_operator.status import Summary, build_status, summary

WATCH_SECONDS = 1.0
FOLLOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a cluster, taken from its nodes."""

    folder: ClusterFolder
    spec: Spec
    observed: Observed
    summary: Summary
    supervisor: int | None

    def ids(self) -> dict[str, str]:
        return {node.name: node_id(self.spec.uid, node.name) for node in self.observed.nodes}


async def look_at(folder: ClusterFolder) -> Look:
    from ringkeeper_operator.runtime.local import LocalRuntime

    spec = spec_of(folder)
    runtime = LocalRuntime(folder)
    try:
        observed = await runtime.observe(spec)
    finally:
        await runtime.close()
    return Look(folder, spec, observed, summary(spec, observed), folder.supervisor_pid())


def state_of(node: ObservedNode) -> str:
    """One of starting, loading, online, syncing, disconnected, fenced, failed, stopped."""
    if node.report is not None:
        return link_state(node.report) or node.report.state
    if node.phase == "absent":
        return "failed" if node.trouble else "stopped"
    return "failed" if node.phase == "failed" else "starting"


def link_state(report: NodeReport) -> str:
    """What hinders a replica that is well otherwise; empty for none."""
    if report.role != "replica" or report.state != "online" or report.link == "connected":
        return ""
    return "syncing" if report.link == "sync" else "disconnected"


def as_json(look: Look) -> dict[str, Any]:
    """The stable form of `status`, for programs."""
    ids = look.ids()
    status = build_status(look.spec, look.observed, None, look.folder.status(), time.time())
    voters = (
        {voter for shard in look.observed.topology.shards for voter in shard.voters}
        if look.observed.topology
        else set()
    )
    return {
        "name": look.spec.name,
        "password": look.folder.password(),
        "epoch": look.summary.epoch,
        "slotsServed": look.summary.slots_served,
        "ready": look.summary.ready,
        "message": status["message"],
        "supervisor": look.supervisor,
        "data": str(look.folder.path),
        "nodes": [
            {
                "id": ids[node.name],
                "name": node.name,
                "shard": node.shard,
                "ordinal": node.ordinal,
                "role": node.report.role if node.report else "unassigned",
                "host": node.address,
                "port": node.port,
                "adminPort": node.admin_port,
                "pid": node.pid,
                "state": state_of(node),
                "term": node.report.term if node.report else 0,
                "epoch": node.report.epoch if node.report else 0,
                "keys": node.report.keys if node.report else 0,
                "slots": node.report.slots_served if node.report else 0,
                "offset": node.report.position.offset if node.report else 0,
                "link": node.report.link if node.report else "none",
                "lagBytes": node.report.lag_bytes if node.report else 0,
                "lagSeconds": node.report.lag_ms / 1000 if node.report else 0,
                "voter": ids[node.name] in voters,
                "usedMemory": node.report.used_memory if node.report else 0,
                "loaded": node.report.loaded if node.report else None,
                "persistenceError": node.report.persistence_error if node.report else "",
                "trouble": node.trouble,
            }
            for node in look.observed.nodes
        ],
        "conditions": status["conditions"],
        "failovers": status.get("failovers", []),
        "rebalance": status.get("rebalance", {}),
    }


@click.command()
@name_option
@data_option
@click.option("--watch", "-w", is_flag=True, help="Look again every second, until Ctrl-C.")
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
def status(name: str | None, data: str | None, watch: bool, output: str) -> None:
    """Show a cluster's ring, nodes and slots, as its nodes tell them."""
    folder = find_cluster(name, data)
    if output == "json":
        show(folder, watch, lambda look: click.echo(json.dumps(as_json(look), indent=None if watch else 2)))
        return
    from ringkeeper_operator.drawing import console, draw

    screen = console()
    if not (watch and screen.is_terminal):
        show(folder, watch, lambda look: screen.print(draw(look, screen)))
        return
    from rich.live import Live

    with Live(console=screen, auto_refresh=False) as live:
        show(folder, watch, lambda look: live.update(draw(look, screen), refresh=True))


def show(folder: ClusterFolder, watch: bool, once: Callable[[Look], None]) -> None:
    """Look and show, again and again if asked, until Ctrl-C or `down`."""
    with contextlib.suppress(KeyboardInterrupt):
        once(asyncio.run(look_at(folder)))
        while watch:
            time.sleep(WATCH_SECONDS)
            if not folder.exists():
                return
            once(asyncio.run(look_at(folder)))


@click.command()
@click.argument("node")
@name_option
@data_option
def kill(node: str, name: str | None, data: str | None) -> None:
    """Kill a node's process, as a crash would (SIGKILL). The supervisor starts it again.

    NODE is SHARD-ORDINAL (0-0), a node's name, its id, or a unique beginning of the id.
    """
    look = asyncio.run(look_at(find_cluster(name, data)))
    chosen = choose_node(node, look.observed.nodes, look.ids())
    if chosen.pid is None:
        fail(f"{chosen.name} does not run" + (f": {chosen.trouble}" if chosen.trouble else ""))
    os.kill(chosen.pid, signal.SIGKILL)
    click.echo(f"killed {chosen.name} (pid {chosen.pid})")
    if look.supervisor is None:
        click.echo("no supervisor is at work, so nobody starts it again; `ringkeeper up` takes over", err=True)


@click.command()
@click.argument("node")
@name_option
@data_option
@click.option("--lines", default=50, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what the node writes, until Ctrl-C.")
def logs(node: str, name: str | None, data: str | None, lines: int, follow: bool) -> None:
    """Show a node's log. NODE is as for `kill`."""
    look = asyncio.run(look_at(find_cluster(name, data)))
    chosen = choose_node(node, look.observed.nodes, look.ids())
    process = NodeProcess(chosen.name, look.folder.node(chosen.name))
    for line in process.tail(lines):
        click.echo(line)
    if not follow:
        return
    if not process.log.exists():
        fail(f"{chosen.name} has written no log yet")
    with contextlib.suppress(KeyboardInterrupt), open(process.log, encoding="utf-8", errors="replace") as log:
        log.seek(0, os.SEEK_END)
        while process.folder.exists():
            click.echo(log.read(), nl=False)
            time.sleep(FOLLOW_SECONDS)
