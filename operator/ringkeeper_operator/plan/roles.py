"""Keep the role of each node on its pod as a label, by which the Services for masters and for replicas find it."""

from __future__ import annotations

from ringkeeper_operator.model import LabelRoles, Observed, Spec
from ringkeeper_operator.plan.nodes import names


def label_roles(spec: Spec, observed: Observed) -> LabelRoles | None:
    """As the committed topology has them. Who is master no more is told first: no shard ever shows two."""
    if observed.topology is None or not spec.replicas_per_shard:
        return None
    wanted = {node.name: node.role for node in observed.topology.nodes}
    wrong = {
        node.name: wanted[node.name]
        for node in observed.nodes
        if node.role_label is not None and node.name in wanted and node.role_label != wanted[node.name]
    }
    if not wrong:
        return None
    roles = dict(sorted(wrong.items(), key=lambda item: item[1] == "master"))
    return LabelRoles(reason="RolesLabelled", message=f"{names(roles)}: pods labelled by role", roles=roles)
