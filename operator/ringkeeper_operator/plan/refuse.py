"""What the manifest asks for and no cluster can do yet."""

from __future__ import annotations

from dataclasses import replace

from ringkeeper_operator.model import Observed, Refuse, Spec


def running_shards(spec: Spec, observed: Observed) -> int:
    """How many shards there are now; the spec's number while there is no topology yet."""
    topology = observed.topology or observed.newest_held
    return len(topology.shards) if topology is not None and topology.uid == spec.uid else spec.shards


def refuse_changed_shards(spec: Spec, observed: Observed) -> Refuse | None:
    running = running_shards(spec, observed)
    if running == spec.shards:
        return None
    return Refuse(
        reason="ShardsUnchangeable",
        message=f"spec.shards: {spec.shards} is not possible, the cluster runs {running}: moving slots is not "
        f"supported yet. Set it back to {running}, or create a new cluster",
        warning=True,
    )


def with_running_shards(spec: Spec, observed: Observed) -> Spec:
    """The spec to keep up while a change of `shards` is refused."""
    return replace(spec, shards=running_shards(spec, observed))
