"""What to do next, one concern a file. A planner maps `(Spec, Observed)` to an `Action`, or None when it has no wish.

Planners are pure and know nothing of each other; `decide.py` holds their order. A planner that commits changes one
thing of the topology and keeps the rest, and no planner ever lowers an epoch, a leader number or a term.
"""
