"""Thousands of histories keep the invariants; every rule left out breaks one."""

import pytest
from simulation.history import SHARES, run
from simulation.mutations import BEGIN, MUTATIONS
from simulation.plan import plan
from simulation.run import Tally
from simulation.shrink import shrink, trace

HISTORIES = 5_000
MOST = 3_000
"""Histories in which the simulator must have found that a rule is left out."""


@pytest.mark.timeout(600)
def test_no_history_breaks_an_invariant_and_all_kinds_of_events_are_frequent() -> None:
    tally = Tally()
    for seed in range(HISTORIES):
        outcome = run(plan(seed))
        tally.count(outcome)
        assert not outcome.violation, "\n".join(trace(shrink(outcome.plan)))
    assert tally.short == 0, tally.report()
    assert all(tally.share(what) >= 0.05 for what in SHARES), tally.report()


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_rule_that_is_left_out_is_missed(name: str) -> None:
    mutation = MUTATIONS[name]
    with mutation.applied():
        seeds = range(BEGIN.get(name, 0), BEGIN.get(name, 0) + MOST)
        failing = next((mutation.plan(seed) for seed in seeds if run(mutation.plan(seed)).violation), None)
    assert failing is not None, mutation.rule
    assert not run(failing).violation, "it breaks an invariant with the rule as well"


def test_a_history_follows_from_its_seed() -> None:
    assert run(plan(7)) == run(plan(7))
    assert trace(plan(7)) == trace(plan(7))


def test_a_failing_history_shrinks_to_few_faults_and_a_trace_that_ends_with_the_violation() -> None:
    mutation = MUTATIONS["no-wait-for-leases"]
    with mutation.applied():
        failing = next(mutation.plan(seed) for seed in range(MOST) if run(mutation.plan(seed)).violation)
        small = shrink(failing)
        told = trace(small)
    assert len(small.faults) <= 2
    assert "may still answer as that of term" in told[-1]
    assert any("hears Promise(shard=0, term=2, id=c-0-" in line for line in told)
    assert len(told) < 60
