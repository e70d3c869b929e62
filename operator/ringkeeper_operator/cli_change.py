"""`ringkeeper up` for a cluster that is up: its supervisor takes what nodes can take while they run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import click

from ringkeeper_operator import manifest
from ringkeeper_operator.cli_common import fail, named, spec_of
from ringkeeper_operator.manifest import Manifest
from ringkeeper_operator.model import Spec
from ringkeeper_operator.plan.nodes import answering, expected_names
from ringkeeper_operator.plan.settings import count_of
from ringkeeper_operator.runtime.local_folder import ClusterFolder, registered, write_durably

CHANGE_SECONDS = 60.0
POLL_SECONDS = 0.1


def change_running(loaded: Manifest, name: str, text: str, data: str | None) -> bool:
    """Hand a manifest to the supervisor if it differs in settings alone; False if that is not so, or there is none."""
    folder = registered(name)
    if folder is None or folder.supervisor_pid() is None or (data is not None and Path(data).absolute() != folder.path):
        return False
    before = spec_of(folder)
    after = manifest.spec_of(named(loaded.cluster, name), uid=folder.uid)
    if after == before or replace(after, settings=before.settings) != before:
        return False
    if before.auth_secret is not None and folder.password() != loaded.secrets[before.auth_secret]["password"].decode():
        return False
    write_durably(folder.path / "manifest.yaml", text.encode())
    await_change(folder, after)
    settings = after.settings
    click.echo(f"{name} is changed: eviction {settings.eviction} and {count_of(len(settings.namespaces))}")
    return True


def await_change(folder: ClusterFolder, spec: Spec) -> None:
    deadline = time.monotonic() + CHANGE_SECONDS
    while missing := asyncio.run(lacking(folder, spec)):
        if time.monotonic() > deadline:
            fail(
                f"not yet taken by {', '.join(missing)}; the supervisor goes on trying (log: {folder.supervisor_log}), "
                "`ringkeeper status` shows the nodes"
            )
        time.sleep(POLL_SECONDS)


async def lacking(folder: ClusterFolder, spec: Spec) -> list[str]:
    """The nodes that do not answer with the settings of the spec."""
    from ringkeeper_operator.runtime.local import LocalRuntime

    runtime = LocalRuntime(folder)
    try:
        heard = answering(spec, await runtime.observe(spec))
    finally:
        await runtime.close()
    wanted = spec.settings.digest
    return [name for name in expected_names(spec) if name not in heard or heard[name][1].settings != wanted]
