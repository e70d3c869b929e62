"""From what is asked for and what is there to the single next action.

Level-triggered: whatever was done before, each call starts from the present state, and applying its actions again and
again converges. The order of the planners is the order of urgency. Those that serve clients at once (leadership,
appointment, push) come before the pieces, so that an object which cannot be applied keeps no restarted master waiting.
Settings come late: nothing else waits for a node that refuses them.
"""

from __future__ import annotations

from collections.abc import Callable

from ringkeeper_operator.model import Action, Observed, Spec, Wait
from ringkeeper_operator.plan.appoint import appoint_restarted
from ringkeeper_operator.plan.bootstrap import bootstrap
from ringkeeper_operator.plan.leadership import claim_leadership
from ringkeeper_operator.plan.pieces import apply_pieces
from ringkeeper_operator.plan.push import push_topology
from ringkeeper_operator.plan.readiness import await_nodes
from ringkeeper_operator.plan.recover import rebuild_lost_topology, refuse_foreign_topology
from ringkeeper_operator.plan.refuse import refuse_changed_shards, with_running_shards
from ringkeeper_operator.plan.settings import push_settings

Planner = Callable[[Spec, Observed], Action | None]

PLANNERS: tuple[Planner, ...] = (
    refuse_foreign_topology,
    rebuild_lost_topology,
    claim_leadership,
    appoint_restarted,
    push_topology,
    apply_pieces,
    bootstrap,
    push_settings,
    await_nodes,
)


def decide(spec: Spec, observed: Observed, now: float) -> Action | None:  # noqa: ARG001 - deadlines will need it
    """The next action, or None when there is nothing to do. `now` is seconds since the epoch.

    While a change of `shards` is refused, the cluster is kept up as it runs.
    """
    if spec.deleting:
        return None
    refusal = refuse_changed_shards(spec, observed)
    action = _first_wish(with_running_shards(spec, observed), observed)
    if refusal is not None and (action is None or isinstance(action, Wait)):
        return refusal
    return action


def _first_wish(spec: Spec, observed: Observed) -> Action | None:
    for planner in PLANNERS:
        action = planner(spec, observed)
        if action is not None:
            return action
    return None
