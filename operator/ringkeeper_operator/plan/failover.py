"""Commit what the arbiters of the shards propose: another master, other voters, a replica's new run.

The rules stand in `ringkeeper.cluster.arbiter`; here their changes are carried out on the committed topology, all of
them in one commit. A change whose basis is not what is committed is left out: the arbiter will judge anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ringkeeper.cluster.arbiter import Verdict
from ringkeeper.cluster.changes import Appoint, Change, NameRun, SetVoters, carried_out
from ringkeeper.cluster.topology import Topology
from ringkeeper_operator.model import HANDOVER, CommitTopology, Failover, Observed, Spec
from ringkeeper_operator.plan.nodes import names


def fail_over(spec: Spec, observed: Observed) -> CommitTopology | None:  # noqa: ARG001 - a planner's form
    """New masters, which nothing else may keep waiting; with them whatever else is proposed."""
    return _committed(observed, observed.verdicts.values(), urgent=True)


def keep_voters(spec: Spec, observed: Observed) -> CommitTopology | None:  # noqa: ARG001 - a planner's form
    """Who votes in a shard that is well."""
    return _committed(observed, observed.verdicts.values(), urgent=False)


def _committed(observed: Observed, verdicts: Iterable[Verdict], *, urgent: bool) -> CommitTopology | None:
    topology = observed.topology
    changes = [verdict.change for verdict in verdicts if verdict.change is not None]
    if topology is None or urgent != any(isinstance(change, Appoint) for change in changes):
        return None
    changed = topology
    done: list[Change] = []
    for change in changes:
        after = carried_out(changed, change)
        if after is not None:
            changed = after
            done.append(change)
    if not done:
        return None
    changed = replace(changed, epoch=topology.epoch + 1)
    failovers = tuple(_failover(topology, changed, change) for change in done if isinstance(change, Appoint))
    return CommitTopology(
        reason=_reason(failovers, done),
        message=f"{'; '.join(_told(topology, changed, change) for change in done)}; as epoch {changed.epoch}",
        warning=any(failover.cause != HANDOVER for failover in failovers),
        topology=changed,
        expected=observed.topology_version,
        at_once=urgent,
        failovers=failovers,
    )


def _failover(before: Topology, after: Topology, change: Appoint) -> Failover:
    index = change.basis.shard
    return Failover(
        shard=index,
        term=change.basis.term + 1,
        time=0.0,
        cause=change.cause,
        former=name_of(before, change.basis.master.id),
        master=name_of(after, change.master.id),
    )


def _reason(failovers: tuple[Failover, ...], done: list[Change]) -> str:
    if not failovers:
        return "VotersChanged" if any(isinstance(change, SetVoters) for change in done) else "VotersConfirmed"
    if all(failover.cause == HANDOVER for failover in failovers):
        return "HandedOver"
    return "FailedOver" if any(failover.former != failover.master for failover in failovers) else "Reappointed"


def _told(before: Topology, after: Topology, change: Change) -> str:
    index = change.basis.shard
    if isinstance(change, Appoint):
        old, new = name_of(before, change.basis.master.id), name_of(after, change.master.id)
        how = f"{new} is appointed anew" if old == new else f"{new} takes the place of {old}"
        return f"shard {index}: {how} in term {change.basis.term + 1} ({change.cause})"
    if isinstance(change, SetVoters):
        who = names(name_of(after, voter.id) for voter in change.voters) or "nobody"
        return f"shard {index}: {who} can take the master's place"
    if isinstance(change, NameRun):
        return f"{name_of(after, change.node)}: restarted; a replica again"
    return f"shard {index}: the master knows who votes"


def name_of(topology: Topology, id_: str) -> str:
    node = topology.node(id_)
    return node.name if node is not None else id_
