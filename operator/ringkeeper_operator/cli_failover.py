"""`ringkeeper failover`: give a shard of a laptop's cluster another master, without a write lost."""

from __future__ import annotations

import asyncio
import time

import click

from ringkeeper.cluster.topology import Shard, node_id
from ringkeeper_operator.cli_common import BAD_INPUT, choose_node, data_option, fail, find_cluster, name_option
from ringkeeper_operator.cli_status import Look, look_at
from ringkeeper_operator.model import Handover
from ringkeeper_operator.plan.failover import name_of
from ringkeeper_operator.runtime.local_folder import ClusterFolder

HANDOVER_SECONDS = 30.0
POLL_SECONDS = 0.05


@click.command()
@click.argument("shard", type=click.IntRange(0))
@click.option("--to", "node", metavar="NODE", help="Which replica becomes master; by default the one that is best.")
@click.option("--force", is_flag=True, help="Also if the master is gone and with it writes that it had acknowledged.")
@name_option
@data_option
def failover(shard: int, node: str | None, force: bool, name: str | None, data: str | None) -> None:
    """Give a shard another master. Clients notice a moment's pause; no write is lost.

    NODE is as for `kill`. The former master becomes a replica. With --force, which needs --to, NODE becomes master
    even where nobody can tell whether it has all that was acknowledged.
    """
    if force and node is None:
        raise click.UsageError("--force needs --to: say whose data is to count.")
    look = asyncio.run(look_at(find_cluster(name, data)))
    listed = shard_of(look, shard)
    if look.supervisor is None:
        fail("no supervisor is at work, so nobody can appoint another master; `ringkeeper up` takes over")
    target = "" if node is None else choose_node(node, look.observed.nodes, look.ids()).name
    if target and node_id(look.spec.uid, target) == listed.master:
        fail(f"{target} is the master of shard {shard} already")
    log = look.folder.supervisor_log
    already_said = log.stat().st_size if log.exists() else 0
    look.folder.ask_handover(Handover(shard, target, listed.term, force))
    await_handover(look.folder, shard, listed, already_said)


def shard_of(look: Look, index: int) -> Shard:
    topology = look.observed.topology
    if topology is None:
        fail(f"{look.spec.name} has no master yet: it is starting")
    shard = topology.shard(index)
    if shard is None:
        fail(f"there is no shard {index}; there are 0 to {len(topology.shards) - 1}", BAD_INPUT)
    return shard


def refusal(folder: ClusterFolder, already_said: int) -> str:
    """What the supervisor said when it dropped the request, behind so many bytes of its log."""
    try:
        lines = folder.supervisor_log.read_bytes()[already_said:].decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    told = [line.partition("HandoverRefused: ")[2] for line in lines if "HandoverRefused: " in line]
    return told[-1] if told else ""


def await_handover(folder: ClusterFolder, index: int, before: Shard, already_said: int) -> None:
    """Until the committed topology has another term for the shard, or the supervisor dropped the request."""
    deadline = time.monotonic() + HANDOVER_SECONDS
    while time.monotonic() < deadline:
        topology, _ = folder.committed()
        shard = topology.shard(index) if topology is not None else None
        if topology is not None and shard is not None and shard.term > before.term:
            new, old = name_of(topology, shard.master), name_of(topology, before.master)
            if new == old:
                fail(f"shard {index}: {new} was appointed anew in term {shard.term}; the replica could not take over")
            click.echo(f"shard {index}: {new} is master now (term {shard.term}), {old} was")
            return
        if not any(request.shard == index for request in folder.handovers()):
            fail(refusal(folder, already_said) or f"shard {index} was not handed over (log: {folder.supervisor_log})")
        time.sleep(POLL_SECONDS)
    folder.drop_handover(index)
    fail(f"shard {index} was not handed over within {HANDOVER_SECONDS:.0f} s (log: {folder.supervisor_log})")
