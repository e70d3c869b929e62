"""Hand the committed topology to the nodes that hold an older one."""

from __future__ import annotations

from ringkeeper_operator.model import Observed, PushTopology, Spec
from ringkeeper_operator.plan.nodes import answering, names


def push_topology(spec: Spec, observed: Observed) -> PushTopology | None:
    topology = observed.topology
    if topology is None:
        return None
    listed = {node.id for node in topology.nodes}
    behind = tuple(
        name
        for name, (_, report) in answering(spec, observed).items()
        if report.id in listed and report.epoch < topology.epoch
    )
    if not behind:
        return None
    return PushTopology(
        reason="TopologyPushed",
        message=f"epoch {topology.epoch} handed to {names(behind)}",
        topology=topology,
        nodes=behind,
    )
