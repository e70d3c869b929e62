"""Thousands of histories of slots that move keep the invariants; every rule left out breaks one."""

import pytest
from simulation.moving import SHARES, MovingHistory, moving_plan, run_moves
from simulation.moving_mutations import BEGIN, MUTATIONS
from simulation.run import Tally
from simulation.shrink import shrink, trace

HISTORIES = 500
MOST = 1_500
"""Histories in which the simulator must have found that a rule is left out."""


@pytest.mark.timeout(600)
def test_no_history_of_moves_breaks_an_invariant_and_all_kinds_of_events_are_there() -> None:
    tally = Tally(SHARES)
    for seed in range(HISTORIES):
        outcome = run_moves(moving_plan(seed))
        tally.count(outcome)
        assert not outcome.violation, "\n".join(trace(outcome.plan, MovingHistory))
    assert tally.short == 0, tally.report()
    assert all(tally.share(what) >= 0.05 for what in SHARES), tally.report()
    assert tally.share("returned") > 0, tally.report()
    assert tally.share("came back") > 0, tally.report()


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_of_moves_that_is_left_out_is_missed(name: str) -> None:
    mutation = MUTATIONS[name]
    with mutation.applied():
        seeds = range(BEGIN[name], BEGIN[name] + MOST)
        failing = next((mutation.plan(seed) for seed in seeds if run_moves(mutation.plan(seed)).violation), None)
    assert failing is not None, mutation.rule
    assert not run_moves(failing).violation, "it breaks an invariant with the rule as well"


def test_a_history_of_moves_follows_from_its_seed() -> None:
    assert run_moves(moving_plan(7)) == run_moves(moving_plan(7))


def test_a_failing_history_of_moves_shrinks_to_a_trace_that_ends_with_the_violation() -> None:
    mutation = MUTATIONS["slots-taken-back-by-a-timeout"]
    with mutation.applied():
        failing = next(mutation.plan(seed) for seed in range(MOST) if run_moves(mutation.plan(seed)).violation)
        small = shrink(failing, lambda plan: bool(run_moves(plan).violation))
        told = trace(small, MovingHistory)
    assert len(small.faults) <= 3
    assert "answers for slot" in told[-1]
    assert any("releases slots" in line for line in told)
