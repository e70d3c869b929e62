"""From a history that breaks an invariant to a short one that still does, and to a trace that can be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from simulation.history import History, run
from simulation.plan import MILLISECOND, Plan

QUIET = ("Heartbeat(", "Hello(", "Grant(")
"""Messages of which there are so many that a trace leaves them out."""


def shrink(plan: Plan, breaks: Callable[[Plan], bool] = lambda plan: bool(run(plan).violation)) -> Plan:
    """Takes away faults and troubles of the network, one at a time, while the history still breaks an invariant."""
    assert breaks(plan)
    while True:
        simpler = next((one for one in _simpler(plan) if breaks(one)), None)
        if simpler is None:
            return plan
        plan = simpler


def _simpler(plan: Plan) -> Iterator[Plan]:
    for i in range(len(plan.faults)):
        yield replace(plan, faults=plan.faults[:i] + plan.faults[i + 1 :])
    for trouble in ("replays", "duplicates", "loss", "slow", "drift"):
        if getattr(plan, trouble):
            yield replace(plan, **{trouble: 0.0})
    if plan.replicas > 1:
        yield replace(plan, replicas=plan.replicas - 1)
    if plan.min_acks:
        yield replace(plan, min_acks=plan.min_acks - 1)
    for i, fault in enumerate(plan.faults):
        if fault.lasts > 200 * MILLISECOND:
            shorter = replace(fault, lasts=fault.lasts // 2)
            yield replace(plan, faults=(*plan.faults[:i], shorter, *plan.faults[i + 1 :]))


def trace(plan: Plan, history: type[History] = History) -> list[str]:
    """What happened, one line each: time in seconds, then who does what. The last line is the violation."""
    lines: list[str] = []
    outcome = history(plan, lines.append).run()
    names = {node.id: node.name for node in history.first(plan).nodes}
    told = [f"{plan}", *(line for line in lines if not any(quiet in line for quiet in QUIET)), outcome.violation]
    return [_readable(line, names) for line in told]


def _readable(line: str, names: dict[str, str]) -> str:
    for id_, name in names.items():
        line = line.replace(f"'{id_}'", name)
    line = re.sub(r"basis=Basis\(.*?\)\),? ?\), (?=master)|basis=Basis\([^=]*?shard=\d+, ", "", line)
    return re.sub(r"VoterRun\(id=[^,]*, run_id='([^']*)'\)", r"\1", line)
