"""Nothing is left to do, but not every node serves yet: say who, why, and look again soon."""

from __future__ import annotations

from ringkeeper_operator.model import Observed, Spec, Wait
from ringkeeper_operator.plan.nodes import answering, expected_names, is_in_trouble, is_routed, names, pause, why_silent

NOT_ROUTED = "every node serves; waiting for Kubernetes to call a pod ready, since the Service leads nowhere before"


def await_nodes(spec: Spec, observed: Observed) -> Wait | None:
    heard = answering(spec, observed)
    wanted = expected_names(spec)
    silent = [name for name in wanted if name not in heard]
    if silent:
        return Wait(
            reason="WaitingForNodes",
            message=f"{len(wanted) - len(silent)} of {len(wanted)} nodes answer; "
            f"waiting for {why_silent(spec, silent, observed)}",
            warning=is_in_trouble(spec, silent, observed),
            seconds=pause(spec),
        )
    idle = [f"{name} ({heard[name][1].state})" for name in wanted if heard[name][1].state != "online"]
    if idle:
        return Wait(reason="NodesNotOnline", message=f"waiting for {names(idle)}", warning=False, seconds=pause(spec))
    if not is_routed(spec, observed):
        return Wait(reason="WaitingForService", message=NOT_ROUTED, warning=False, seconds=pause(spec))
    return None
