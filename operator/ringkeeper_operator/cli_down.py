"""`ringkeeper down`: stop a cluster, whatever state it is in, and leave nothing of it but the data that is to stay."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import click

from ringkeeper_operator.cli_common import (
    NoCluster,
    data_option,
    fail,
    keeps_data,
    leave,
    locate,
    name_option,
    spec_of,
)
from ringkeeper_operator.runtime.import_state import forget_loads
from ringkeeper_operator.runtime.local_folder import ClusterFolder, FolderError
from ringkeeper_operator.runtime.local_process import (
    PROGRAM,
    STOP_SECONDS,
    NodeProcess,
    end_process,
    find_processes,
    start_time,
)
from ringkeeper_operator.runtime.local_spec import patience_of

SUPERVISOR_SECONDS = 15.0
"""For the supervisor, beside what its nodes take."""


@click.command()
@name_option
@data_option
@click.option("--delete-data", is_flag=True, help="Remove what its nodes have written, too.")
def down(name: str | None, data: str | None, delete_data: bool) -> None:
    """Stop a cluster and remove what it left on this machine.

    With `persistence` in its manifest the data stays, unless `retain: false` says otherwise: `up` takes it up again.
    """
    try:
        folder = locate(name, data)
    except NoCluster as error:
        click.echo(f"{error} (nothing to stop)", err=True)
        return
    keep = not delete_data and folder.path.exists() and keeps_data(folder)
    patience = patience_for(folder)
    asyncio.run(end_supervisor(folder, patience))
    with folder.supervised() if folder.path.exists() else contextlib.nullcontext():
        asyncio.run(end_nodes(folder, patience))
        if left := find_processes(PROGRAM, folder.path):
            fail(f"these processes of {folder.name} cannot be ended: {', '.join(map(str, left))}; nothing was removed")
        if not keep:
            forget_loads(str(folder.path))
        told = leave(folder, keep=keep)
    click.echo(told)


def patience_for(folder: ClusterFolder) -> float:
    """Seconds for a node to write what is pending."""
    try:
        return patience_of(spec_of(folder))
    except FolderError:
        return STOP_SECONDS


async def end_supervisor(folder: ClusterFolder, patience: float) -> None:
    """So that nothing is started any more. It stops its nodes first, which takes up to `patience`."""
    await end_process(folder.supervisor_pid, patience + SUPERVISOR_SECONDS)
    await end_found(find_processes("supervise", folder.path))


async def end_nodes(folder: ClusterFolder, patience: float) -> None:
    """Those that have a folder, and whatever runs although its folder is gone."""
    await asyncio.gather(*(NodeProcess(name, folder.node(name)).stop(patience) for name in folder.nodes()))
    await end_found(find_processes(PROGRAM, folder.path), patience)


async def end_found(pids: list[int], patience: float = STOP_SECONDS) -> None:
    await asyncio.gather(*(end_process(partial(living, pid), patience) for pid in pids))


def living(pid: int) -> int | None:
    return pid if start_time(pid) is not None else None
