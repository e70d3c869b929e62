"""The committed topology is lost, or older than what a node holds: rebuild it from the nodes.

The nodes' newest document is taken over as it is, 1000 epochs and leader numbers above the highest ones seen, so that
whatever was committed in between and is lost cannot be mistaken for the newer. A shard whose appointed run does not
answer may have had later terms that nobody here has heard of, so its term jumps as well: no term ever has two masters.
And it may count on voters that nobody here has heard of, so its place is taken only when its end is certain.
All this holds while fewer than 1000 epochs are lost at once.
"""

from __future__ import annotations

from dataclasses import replace

from ringkeeper.cluster.topology import Former, Topology
from ringkeeper_operator.model import Action, CommitTopology, Observed, Spec, Wait
from ringkeeper_operator.plan.nodes import answering, names, pause

SAFE_DISTANCE = 1000


def refuse_foreign_topology(spec: Spec, observed: Observed) -> Action | None:
    """What was committed for a deleted cluster of the same name is neither used nor overwritten."""
    if observed.topology is None or observed.topology.uid == spec.uid:
        return None
    return Wait(
        reason="ForeignTopology",
        message=f"the committed topology belongs to another cluster named {spec.name} (uid {observed.topology.uid}); "
        "waiting until it is removed. If nothing removes it, delete it yourself",
        warning=True,
        seconds=1.0,
    )


def rebuild_lost_topology(spec: Spec, observed: Observed) -> Action | None:
    committed = observed.topology
    committed_epoch = committed.epoch if committed else 0
    newer = {name: report for name, (_, report) in answering(spec, observed).items() if report.epoch > committed_epoch}
    held = observed.newest_held
    if held is not None and (held.uid != spec.uid or held.epoch <= committed_epoch):
        held = None
    if held is None:
        if not newer:
            return None
        return Wait(
            reason="ReadingTopology",
            message=f"{names(newer)}: holds a newer topology than the committed one; reading it",
            seconds=pause(spec),
        )
    epochs = [held.epoch, *(report.epoch for report in newer.values())]
    leaders = [held.leader, committed.leader if committed else 0, *(report.leader for report in newer.values())]
    rebuilt = replace(
        held,
        epoch=max(epochs) + SAFE_DISTANCE,
        leader=max(leaders) + SAFE_DISTANCE,
        shards=_safe_terms(spec, observed, held).shards,
    )
    what = "was lost" if committed is None else f"was older (epoch {committed.epoch}) than what nodes hold"
    return CommitTopology(
        reason="TopologyRebuilt",
        message=f"the committed topology {what}; rebuilt from the nodes' epoch {held.epoch} as epoch {rebuilt.epoch}",
        warning=True,
        topology=rebuilt,
        expected=observed.topology_version,
    )


def _safe_terms(spec: Spec, observed: Observed, held: Topology) -> Topology:
    """Voters that nobody here knows of cannot be blocked: so the end of a master that does not answer must be certain,
    as where it has no voters (`former`), until it is heard again.
    """
    reports = answering(spec, observed)
    running = {report.id: report.run_id for _, report in reports.values()}
    runs = {node.id: node.run_id for node in held.nodes}
    shards = tuple(
        shard
        if running.get(shard.master) == runs[shard.master]
        else replace(shard, term=shard.term + SAFE_DISTANCE, former=Former((), shard.min_acks))
        for shard in held.shards
    )
    return replace(held, shards=shards)
