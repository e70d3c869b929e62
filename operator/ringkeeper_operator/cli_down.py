"""`ringkeeper down`: stop a cluster and leave nothing of it, whatever state it is in."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import click

from ringkeeper_operator.cli_common import NoCluster, data_option, fail, locate, name_option
from ringkeeper_operator.runtime.local_folder import ClusterFolder
from ringkeeper_operator.runtime.local_process import PROGRAM, NodeProcess, end_process, find_processes, start_time

STOP_SECONDS = 20.0
"""For the supervisor, which stops its nodes first."""


@click.command()
@name_option
@data_option
def down(name: str | None, data: str | None) -> None:
    """Stop a cluster and remove what it left on this machine."""
    try:
        folder = locate(name, data)
    except NoCluster as error:
        click.echo(f"{error} (nothing to stop)", err=True)
        return
    asyncio.run(end_supervisor(folder))
    with folder.supervised() if folder.path.exists() else contextlib.nullcontext():
        asyncio.run(end_nodes(folder))
        if left := find_processes(PROGRAM, folder.path):
            fail(f"these processes of {folder.name} cannot be ended: {', '.join(map(str, left))}; nothing was removed")
        folder.remove()
    click.echo(f"{folder.name} is down; nothing of it is left.")


async def end_supervisor(folder: ClusterFolder) -> None:
    """So that nothing is started any more."""
    await end_process(folder.supervisor_pid, STOP_SECONDS)
    await end_found(find_processes("supervise", folder.path))


async def end_nodes(folder: ClusterFolder) -> None:
    """Those that have a folder, and whatever runs although its folder is gone."""
    await asyncio.gather(*(NodeProcess(name, folder.node(name)).stop() for name in folder.nodes()))
    await end_found(find_processes(PROGRAM, folder.path))


async def end_found(pids: list[int]) -> None:
    await asyncio.gather(*(end_process(partial(living, pid)) for pid in pids))


def living(pid: int) -> int | None:
    return pid if start_time(pid) is not None else None
