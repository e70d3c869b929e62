"""From what is asked for and what is there to the single next action.

Level-triggered: whatever was done before, each call starts from the present state, and applying its actions again and
again converges. The order of the planners is the order of urgency. Those that serve clients at once (leadership,
appointment, moves that keep slots waiting, push) come before the pieces, so that an object which cannot be applied
keeps no restarted master waiting. Settings come late: nothing else waits for a node that refuses them. Slots begin to
move, and masters are spread, when all else is as it should be. Volumes come last: a StorageClass that lets none grow
holds up nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from ringkeeper_operator.model import Action, Observed, Spec, Wait
from ringkeeper_operator.plan.appoint import add_replicas, appoint_restarted
from ringkeeper_operator.plan.bootstrap import bootstrap
from ringkeeper_operator.plan.failover import fail_over, keep_voters
from ringkeeper_operator.plan.handover import hand_over
from ringkeeper_operator.plan.leadership import claim_leadership
from ringkeeper_operator.plan.moves import finish_moves
from ringkeeper_operator.plan.pieces import apply_pieces, remove_obsolete
from ringkeeper_operator.plan.push import push_topology
from ringkeeper_operator.plan.readiness import await_nodes
from ringkeeper_operator.plan.rebalance import rebalance
from ringkeeper_operator.plan.recover import rebuild_lost_topology, refuse_foreign_topology
from ringkeeper_operator.plan.roles import label_roles
from ringkeeper_operator.plan.room import as_it_fits, refuse_fewer_shards, refuse_weights
from ringkeeper_operator.plan.settings import push_settings
from ringkeeper_operator.plan.shards import add_shards, remove_shards
from ringkeeper_operator.plan.spread import spread_masters
from ringkeeper_operator.plan.surplus import await_surplus, drop_surplus, vacate
from ringkeeper_operator.plan.volumes import grow_volumes
from ringkeeper_operator.plan.voters import change_rules
from ringkeeper_operator.plan.window import by_the_clock

Planner = Callable[[Spec, Observed], Action | None]

PLANNERS: tuple[Planner, ...] = (
    refuse_foreign_topology,
    rebuild_lost_topology,
    claim_leadership,
    fail_over,
    appoint_restarted,
    finish_moves,
    push_topology,
    label_roles,
    apply_pieces,
    remove_obsolete,
    bootstrap,
    drop_surplus,
    keep_voters,
    hand_over,
    vacate,
    add_replicas,
    add_shards,
    remove_shards,
    change_rules,
    push_settings,
    rebalance,
    await_nodes,
    spread_masters,
    grow_volumes,
    await_surplus,
)


def decide(spec: Spec, observed: Observed, now: float) -> Action | None:
    """The next action, or None when there is nothing to do. `now` is seconds since the epoch.

    What is to go is kept up until it may; while fewer shards are refused, the cluster is kept up as it runs. What waits
    for a time of day needs no alarm: whoever has nothing to do looks again after two seconds.
    """
    if spec.deleting:
        return None
    fitting = by_the_clock(as_it_fits(spec, observed), now)
    action = _first_wish(fitting, observed)
    if action is None or isinstance(action, Wait):
        return refuse_fewer_shards(spec, observed) or refuse_weights(fitting) or action
    return action


def _first_wish(spec: Spec, observed: Observed) -> Action | None:
    for planner in PLANNERS:
        action = planner(spec, observed)
        if action is not None:
            return action
    return None
