"""`ringkeeper scale` and `plan`: another number of shards for a laptop's cluster, and what a manifest would change."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import click

from ringkeeper_operator import manifest
from ringkeeper_operator.bars import bars
from ringkeeper_operator.cli_common import BAD_INPUT, data_option, fail, find_cluster, name_option, named, spec_of
from ringkeeper_operator.cli_preflight import why_unusable
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import ADMIN_PORT_OFFSET, MeasureSlots, Observed, Spec, node_name
from ringkeeper_operator.plan.rebalance import transfers
from ringkeeper_operator.plan.room import as_it_fits, lacks_room, told_weights
from ringkeeper_operator.plan.window import by_the_clock, told_opening
from ringkeeper_operator.quantity import render_bytes
from ringkeeper_operator.rebalance_status import told
from ringkeeper_operator.runtime.local_folder import ClusterFolder, registered, write_durably
from ringkeeper_operator.runtime.local_spec import port_of
from ringkeeper_operator.schema import KIND
from ringkeeper_operator.yaml_reader import read_documents

POLL_SECONDS = 0.05


@click.command()
@click.option("--shards", required=True, type=click.IntRange(1, 1000), metavar="N", help="How many there are to be.")
@name_option
@data_option
def scale(shards: int, name: str | None, data: str | None) -> None:
    """Give a cluster more shards, or fewer, while it serves.

    The file that the cluster was started from stays as it is: write the number there, too, or the next `up` sets it
    back.
    """
    folder = find_cluster(name, data)
    before = spec_of(folder)
    if folder.supervisor_pid() is None:
        fail("no supervisor is at work, so nobody moves slots; `ringkeeper up` takes over")
    if before.shards != shards:
        text = with_shards(folder.manifest, shards)
        try:
            loaded = manifest.load(text, "the manifest")
        except ManifestError as error:
            fail("\n".join(error.problems), BAD_INPUT)
        after = manifest.spec_of(named(loaded.cluster, folder.name), uid=folder.uid)
        check_new_ports(folder, before, after)
        write_durably(folder.path / "manifest.yaml", text.encode())
    await_shards(folder, spec_of(folder))


def with_shards(text: str, shards: int) -> str:
    """A manifest with another number of shards; without its comments."""
    import yaml

    documents = read_documents(text)
    for document in documents:
        if document.get("kind") == KIND:
            document["spec"] = (document.get("spec") or {}) | {"shards": shards}
    return yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True)


def check_new_ports(folder: ClusterFolder, before: Spec, after: Spec) -> None:
    """Those of the shards that are to come must be free; ends the program if one is not."""
    for shard, ordinal in after.positions():
        if shard < before.shards or folder.node(node_name(after.name, shard, ordinal)).exists():
            continue
        port = port_of(folder.width_for(after), folder.base_port, shard, ordinal)
        for number in (port, port + ADMIN_PORT_OFFSET):
            if problem := why_unusable(number):
                fail(
                    f"port {number}, which shard {shard} would have, {problem}; so there can be {shard} shards at most"
                )


def await_shards(folder: ClusterFolder, spec: Spec) -> None:
    """Until the slots are where they are to be; returns earlier where they are not to move, and says so."""
    moved = 0
    try:
        with bars() as bar:
            task = bar.add_task("slots", total=None, figures="")
            while not is_settled(folder, spec):
                status = folder.status()
                section = status.get("rebalance") or {}
                if refusal := refused(status, spec):
                    bar.stop()
                    fail(refusal)
                if section.get("phase") in ("Paused", "DryRun", "Waiting") and section.get("to") == spec.shards:
                    bar.stop()
                    click.echo(told(section))
                    return
                if section.get("to") == spec.shards and "slots" in section:
                    moved = section["slotsMoved"]
                    bar.update(task, total=section["slots"], completed=moved, figures=section.get("blocked", ""))
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        fail(f"{folder.name} goes on moving slots; `ringkeeper status` shows how far it is", 130)
    shares = ", with shares by their weights" if spec.weights else ""
    click.echo(f"{folder.name} has {'1 shard' if spec.shards == 1 else f'{spec.shards} shards'} now{shares}")


def is_settled(folder: ClusterFolder, spec: Spec) -> bool:
    topology, _ = folder.committed()
    if topology is None or len(topology.shards) != spec.shards or topology.moves:
        return False
    return not transfers(spec, topology)


def refused(status: dict[str, Any], spec: Spec) -> str:
    """What the supervisor says against so few shards, or against these weights."""
    subjects = {"TooFewShards": f"spec.shards: {spec.shards} ", "TooHeavy": f"spec.weights: {told_weights(spec)} "}
    for entry in status.get("conditions") or ():
        subject = subjects.get(entry.get("reason", ""))
        if subject is not None and subject in entry.get("message", ""):
            return str(entry["message"])
    return ""


@click.command(name="plan")
@click.option("--file", "-f", "file", required=True, metavar="FILE", help="The manifest; - reads standard input.")
@name_option
def plan_command(file: str, name: str | None) -> None:
    """Print what `ringkeeper up -f FILE` would change. Nothing is changed."""
    from ringkeeper_operator.cli_up import load, read

    text, source = read(file)
    loaded, cluster_name = load(text, source, name)
    folder = registered(cluster_name)
    cluster = named(loaded.cluster, cluster_name)
    if folder is None or not folder.exists() or folder.committed()[0] is None:
        spec = manifest.spec_of(cluster, uid="")
        nodes = spec.shards * spec.nodes_per_shard
        click.echo(f"{cluster_name} is not there: {spec.shards} shards, {nodes} nodes would be started")
        return
    spec = manifest.spec_of(cluster, uid=folder.uid)
    for line in planned(spec, asyncio.run(measured(folder, spec)), time.time()):
        click.echo(line)


async def measured(folder: ClusterFolder, spec: Spec) -> Observed:
    """The cluster as it is, and what the slots hold that would move."""
    from ringkeeper_operator.runtime.local import LocalRuntime

    runtime = LocalRuntime(folder)
    try:
        observed = await runtime.observe(spec)
        if observed.topology is not None:
            sources = {transfer.source for transfer in transfers(as_it_fits(spec, observed), observed.topology)}
            weigh = MeasureSlots(reason="", message="", topology=observed.topology, shards=tuple(sorted(sources)))
            await runtime.apply(spec, weigh)
            observed = await runtime.observe(spec)
        return observed
    finally:
        await runtime.close()


def planned(spec: Spec, observed: Observed, now: float) -> list[str]:
    """What would change about the shards, a line each. `now` is seconds since the epoch."""
    topology = observed.topology
    if topology is None:
        return ["nothing is committed yet: the cluster is starting"]
    if lack := lacks_room(spec, observed):
        return [f"spec.shards: {spec.shards} would be refused: {lack}"]
    fitting = as_it_fits(spec, observed)
    if fitting.overweight:
        return [f"spec.weights: {told_weights(spec)} would be refused: {fitting.overweight}"]
    there = len(topology.shards)
    if there == spec.shards and not topology.moves and not transfers(spec, topology):
        return [f"shards: {there}, as they are; no slot would move"]
    lines = [f"shards: {there} -> {spec.shards}" if there != spec.shards else f"shards: {there}"]
    if spec.weights:
        lines.append(f"weights: {told_weights(spec)}; the others' is 1")
    leaving: Counter[int] = Counter()
    for transfer in transfers(fitting, topology):
        sizes = observed.slot_bytes.get(transfer.source, {})
        size = sum(sizes.get(slot, 0) for slot in transfer.slots)
        leaving[transfer.source] += size
        lines.append(
            f"  shard {transfer.source} -> shard {transfer.target}: {len(transfer.slots)} slots, {render_bytes(size)}"
        )
    moved = sum(len(transfer.slots) for transfer in transfers(fitting, topology))
    lines.append(f"{moved} slots with {render_bytes(leaving.total())} would move{_time(spec, leaving)}")
    if opening := told_opening(by_the_clock(spec, now).rebalance):
        lines.append(f"they would wait: {opening}")
    return lines


def _time(spec: Spec, leaving: Counter[int]) -> str:
    rate = spec.rebalance.max_bytes_per_second
    return f", in {max(leaving.values()) / rate:.0f} s at least, by maxBytesPerSecond" if rate and leaving else ""
