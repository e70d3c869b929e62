"""Put into the topology what the manifest says of leases and acknowledgements, which nodes read there.

`minAcks` changes as voters do: the former number counts as well until the master has acknowledged the new one.
"""

from __future__ import annotations

from dataclasses import replace

from ringkeeper.cluster.changes import with_voters
from ringkeeper_operator.model import CommitTopology, Observed, Spec


def change_rules(spec: Spec, observed: Observed) -> CommitTopology | None:
    """All shards in one commit; one whose last change is not acknowledged yet comes later."""
    topology = observed.topology
    if topology is None:
        return None
    rules = spec.failover
    changed = replace(topology, heartbeat_ms=rules.heartbeat_ms, misses=rules.misses)
    told = []
    if changed != topology:
        told.append(f"a heartbeat every {rules.heartbeat_ms} ms, a lease of {changed.lease_ms} ms")
    for shard in topology.shards:
        if shard.min_acks == spec.min_acks:
            continue
        others = with_voters(changed, shard.index, shard.voters, spec.min_acks)
        if others is not None:
            changed = others
            told.append(f"shard {shard.index}: minAcks {spec.min_acks}")
    if not told:
        return None
    changed = replace(changed, epoch=topology.epoch + 1)
    return CommitTopology(
        reason="RulesChanged",
        message=f"{'; '.join(told)}; as epoch {changed.epoch}",
        topology=changed,
        expected=observed.topology_version,
    )
