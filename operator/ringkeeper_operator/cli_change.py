"""`ringkeeper up` for a cluster that is up: its supervisor takes what nodes can take while they run."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import click

from ringkeeper.cluster.settings import Settings
from ringkeeper_operator import manifest
from ringkeeper_operator.cli_common import fail, named, spec_of
from ringkeeper_operator.cli_scale import await_shards, check_new_ports
from ringkeeper_operator.manifest import Manifest
from ringkeeper_operator.model import FailoverRules, RebalanceRules, Spec
from ringkeeper_operator.plan.nodes import answering, expected_names
from ringkeeper_operator.plan.settings import described
from ringkeeper_operator.runtime.local_folder import ClusterFolder, registered, write_durably

CHANGE_SECONDS = 60.0
POLL_SECONDS = 0.1


def but_for_live(spec: Spec) -> Spec:
    """Without what a cluster takes while it is up."""
    return replace(
        spec,
        settings=Settings(),
        volume=None,
        min_acks=0,
        failover=FailoverRules(),
        replicas_per_shard=0,
        shards=1,
        rebalance=RebalanceRules(),
        weights={},
    )


def change_running(loaded: Manifest, name: str, text: str, data: str | None) -> bool:
    """Hand a manifest to the supervisor if it differs in what is taken live; False if not so, or there is none."""
    folder = registered(name)
    if folder is None or folder.supervisor_pid() is None or (data is not None and Path(data).absolute() != folder.path):
        return False
    before = spec_of(folder)
    after = manifest.spec_of(named(loaded.cluster, name), uid=folder.uid)
    if after == before or but_for_live(after) != but_for_live(before):
        return False
    if after.nodes_per_shard > folder.width_for(before):
        return False
    if before.auth_secret is not None and folder.password() != loaded.secrets[before.auth_secret]["password"].decode():
        return False
    check_new_ports(folder, before, after)
    write_durably(folder.path / "manifest.yaml", text.encode())
    if (after.shards, after.weights) != (before.shards, before.weights):
        await_shards(folder, after)
    await_change(folder, after)
    click.echo(f"{name} is changed: {described(after.settings)}")
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
    """The nodes that do not answer with the settings of the spec, and those that should be gone."""
    from ringkeeper_operator.runtime.local import LocalRuntime

    runtime = LocalRuntime(folder)
    try:
        observed = await runtime.observe(spec)
    finally:
        await runtime.close()
    heard, wanted = answering(spec, observed), expected_names(spec)
    others = [name for name in wanted if name not in heard or heard[name][1].settings != spec.settings.digest]
    return others + [node.name for node in observed.nodes if node.name not in wanted]
