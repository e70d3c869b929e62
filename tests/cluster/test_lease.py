"""What lets a master serve, and what a voter gives and promises."""

from dataclasses import replace

import pytest
from shard_world import ShardWorld, topology

from ringkeeper.cluster.lease import MILLISECOND, NodeLease, Pledge, VoterState, majority, wait_for
from ringkeeper.cluster.messages import (
    NEVER,
    AskPromise,
    AskRelease,
    Grant,
    Heartbeat,
    Hello,
    Promise,
    Refusal,
)
from ringkeeper.cluster.position import Position

SECOND = 1_000 * MILLISECOND
LEASE = 1_500 * MILLISECOND
TOPOLOGY = topology(replicas=3)
MASTER, FIRST, SECOND_VOTER, THIRD = TOPOLOGY.nodes


def node(which: int, **options: object) -> NodeLease:
    listed = TOPOLOGY.nodes[which]
    made = NodeLease(listed.id, listed.run_id, **options)  # type: ignore[arg-type]
    made.follow(TOPOLOGY, SECOND)
    made.node_says(Position(1, 100), candidate=True, progress_at=SECOND)
    return made


def grant(voter: int, stamp: int, **changes: object) -> Grant:
    return replace(Grant(0, 1, f"run-{voter}", "run-0", stamp, LEASE, 0), **changes)  # type: ignore[arg-type]


def by_operator(stamp: int, leader: int = 1) -> Grant:
    return Grant(0, 1, "", "run-0", stamp, LEASE, leader)


def beat(now: int, **changes: object) -> Heartbeat:
    """Of a master that holds a lease and makes progress."""
    heartbeat = Heartbeat(0, 1, MASTER.id, "run-0", 5, "master", now, now + 1, 0, Position(1, 100), True, 0, "")
    return replace(heartbeat, **changes)  # type: ignore[arg-type]


def test_who_granted_reckons_with_more_than_two_clocks_can_go_apart() -> None:
    assert wait_for(LEASE) / 1.05 >= LEASE / 0.95
    assert wait_for(1) == 2
    assert [majority(voters) for voters in range(1, 6)] == [1, 2, 2, 3, 3]


def test_a_master_without_voters_needs_no_lease() -> None:
    master = NodeLease(MASTER.id, "run-0")
    master.follow(topology(replicas=3, voters=0), 0)
    assert master.until() == NEVER


def test_a_new_master_may_not_serve_before_somebody_grants() -> None:
    assert node(0).until() == 0


def test_the_operator_alone_lets_a_master_serve_until_the_stamp_and_the_lease() -> None:
    master = node(0)
    master.on(by_operator(2 * SECOND), 3 * SECOND)
    assert master.until() == 2 * SECOND + LEASE
    master.on(by_operator(1 * SECOND), 3 * SECOND)
    assert master.until() == 2 * SECOND + LEASE, "an older stamp takes nothing back"


def test_a_majority_of_the_voters_lets_a_master_serve_as_long_as_the_oldest_grant_of_it() -> None:
    master = node(0)
    master.on(grant(1, 4 * SECOND), 5 * SECOND)
    assert master.until() == 0, "one of three"
    master.on(grant(2, 3 * SECOND), 5 * SECOND)
    assert master.until() == 3 * SECOND + LEASE
    master.on(grant(3, 2 * SECOND), 5 * SECOND)
    assert master.until() == 3 * SECOND + LEASE
    master.on(grant(3, 5 * SECOND), 5 * SECOND)
    assert master.until() == 4 * SECOND + LEASE


@pytest.mark.parametrize(
    "foreign",
    [
        grant(1, 3 * SECOND + 1),
        grant(1, 2 * SECOND, to="run-before"),
        grant(1, 2 * SECOND, term=2),
        grant(1, 2 * SECOND, run_id="run-9"),
        replace(by_operator(2 * SECOND), to="run-before"),
        by_operator(3 * SECOND + 1),
        by_operator(2 * SECOND, leader=0),
    ],
)
def test_a_stamp_of_another_run_or_term_or_from_the_future_counts_for_nothing(foreign: Grant) -> None:
    master = node(0)
    master.on(grant(2, 2 * SECOND), 3 * SECOND)
    master.on(foreign, 3 * SECOND)
    assert master.until() == 0


def test_a_lower_leader_number_is_refused_once_a_higher_one_was_heard() -> None:
    master = node(0)
    assert master.on(Hello(0, 4), 2 * SECOND) != []
    assert master.on(Hello(0, 3), 2 * SECOND) == []
    master.on(by_operator(2 * SECOND, leader=3), 2 * SECOND)
    assert master.until() == 0
    master.on(by_operator(2 * SECOND, leader=4), 2 * SECOND)
    assert master.until() > 0
    assert master.obeys(AskRelease(0, 1, "run-0", 4, FIRST.id))
    assert not master.obeys(AskRelease(0, 1, "run-0", 3, FIRST.id))
    assert not master.obeys(AskRelease(0, 1, "run-1", 4, FIRST.id))
    assert not master.obeys(AskRelease(0, 2, "run-0", 4, FIRST.id))


def test_a_node_without_a_topology_answers_for_the_shard_that_the_operator_names() -> None:
    empty = NodeLease(FIRST.id, "run-1")
    ((_, heartbeat),) = empty.on(Hello(7, 1), SECOND)
    assert isinstance(heartbeat, Heartbeat)
    assert (heartbeat.shard, heartbeat.role, heartbeat.epoch) == (7, "unassigned", 0)


def test_grants_of_those_who_are_voters_no_more_count_no_more() -> None:
    master = node(0)
    for voter in (1, 2):
        master.on(grant(voter, 2 * SECOND), 2 * SECOND)
    assert master.until() > 0
    fewer = replace(TOPOLOGY.shards[0], voters=(FIRST.id, THIRD.id))
    master.follow(replace(TOPOLOGY, epoch=6, shards=(fewer,)), 2 * SECOND)
    assert master.until() == 0


def test_a_term_begins_without_the_grants_of_the_last_one() -> None:
    master = node(0)
    master.on(by_operator(2 * SECOND), 2 * SECOND)
    master.follow(replace(TOPOLOGY, epoch=6, shards=(replace(TOPOLOGY.shards[0], term=2),)), 2 * SECOND)
    assert master.until() == 0


def test_a_released_master_may_not_serve_whoever_grants() -> None:
    master = node(0)
    master.on(by_operator(2 * SECOND), 2 * SECOND)
    master.node_says(Position(1, 100), candidate=True, progress_at=0, released=FIRST.id)
    assert master.until() == 0
    assert master.heartbeat(2 * SECOND).released == FIRST.id


def test_a_voter_repeats_the_stamp_to_the_master_that_the_topology_names() -> None:
    voter = node(1)
    assert voter.on(beat(77), 2 * SECOND) == [(MASTER.id, grant(1, 77))]


@pytest.mark.parametrize(
    "foreign",
    [beat(7, run_id="run-before"), beat(7, term=2), beat(7, term=0), beat(7, shard=1), beat(7, role="replica")],
)
def test_a_voter_grants_nothing_to_another_run_or_term(foreign: Heartbeat) -> None:
    assert node(1).on(foreign, 2 * SECOND) == []


def test_a_node_whose_run_the_topology_does_not_name_grants_nothing() -> None:
    stranger = NodeLease(FIRST.id, "another")
    stranger.follow(TOPOLOGY, SECOND)
    assert stranger.role == "unassigned"
    assert stranger.on(beat(7), 2 * SECOND) == []


def promised(voter: NodeLease, ask: AskPromise, now: int) -> Promise | str:
    """The promise, or why not."""
    answer = voter.on(ask, now)
    if isinstance(answer, Pledge):
        answer = voter.pledged(answer, Position(1, 90), candidate=True, now=now)
    ((_, message),) = answer
    if isinstance(message, Refusal):
        return message.why
    assert isinstance(message, Promise)
    return message


ASK = AskPromise(0, 2, 1, "")


def test_a_voter_that_promised_grants_nothing_in_an_older_term_and_says_how_long_its_grant_lasts() -> None:
    voter = node(1)
    voter.on(beat(2 * SECOND), 2 * SECOND)
    promise = promised(voter, ASK, 2 * SECOND + LEASE)
    assert promise == Promise(0, 2, FIRST.id, "run-1", 1, Position(1, 90), True, wait_for(LEASE) - LEASE)
    assert voter.on(beat(4 * SECOND), 4 * SECOND) == []
    assert voter.heartbeat(4 * SECOND).promised == 2
    again = promised(voter, ASK, 20 * SECOND)
    assert isinstance(again, Promise)
    assert again.remaining == 0


def test_a_voter_grants_nothing_from_the_moment_it_is_asked_even_before_its_disk_has_the_promise() -> None:
    voter = node(1)
    pledge = voter.on(ASK, 2 * SECOND)
    assert isinstance(pledge, Pledge)
    assert pledge.state == VoterState("run-1", 2, 1)
    assert voter.on(beat(2 * SECOND), 2 * SECOND) == []


def test_a_pledge_that_a_later_topology_has_overtaken_is_not_given() -> None:
    voter = node(1)
    pledge = voter.on(ASK, 2 * SECOND)
    assert isinstance(pledge, Pledge)
    voter.follow(replace(TOPOLOGY, epoch=6, shards=(replace(TOPOLOGY.shards[0], term=2),)), 2 * SECOND)
    assert voter.pledged(pledge, Position(1, 90), candidate=True, now=2 * SECOND) == []


def test_a_voter_refuses_while_it_hears_a_master_that_is_well() -> None:
    voter = node(1)
    voter.on(beat(2 * SECOND), 2 * SECOND)
    assert promised(voter, ASK, 3 * SECOND) == "master"
    assert isinstance(promised(voter, ASK, 2 * SECOND + LEASE), Promise)


@pytest.mark.parametrize("unwell", [{"lease_until": 0}, {"progress_age": LEASE}])
def test_a_master_without_lease_or_progress_is_no_reason_to_refuse(unwell: dict[str, int]) -> None:
    voter = node(1)
    voter.on(beat(2 * SECOND, **unwell), 2 * SECOND)
    assert isinstance(promised(voter, ASK, 2 * SECOND), Promise)


def test_a_master_whose_end_is_certain_is_no_reason_to_refuse() -> None:
    voter = node(1)
    voter.on(beat(2 * SECOND), 2 * SECOND)
    assert promised(voter, replace(ASK, ended="run-before"), 2 * SECOND) == "master"
    assert isinstance(promised(voter, replace(ASK, ended="run-0"), 2 * SECOND), Promise)


def test_a_promise_is_refused_to_an_old_leader_and_for_an_old_term() -> None:
    voter = node(1)
    assert promised(voter, replace(ASK, term=1), 2 * SECOND) == "term"
    assert isinstance(promised(voter, replace(ASK, leader=5), 2 * SECOND), Promise)
    assert promised(voter, replace(ASK, leader=4), 2 * SECOND) == "leader"
    assert isinstance(promised(voter, AskPromise(0, 3, 5, ""), 2 * SECOND), Promise)
    assert promised(voter, replace(ASK, leader=5), 2 * SECOND) == "promised"


def test_a_master_promises_nothing() -> None:
    assert promised(node(0), ASK, 2 * SECOND) == "master"


def test_a_lease_process_that_restarts_keeps_its_promise_and_reckons_with_a_grant_at_its_start() -> None:
    voter = node(1, state=VoterState("run-1", 2, 1), restarted_at=5 * SECOND)
    assert voter.on(beat(5 * SECOND), 5 * SECOND) == []
    promise = promised(voter, ASK, 6 * SECOND)
    assert isinstance(promise, Promise)
    assert promise.remaining == wait_for(LEASE) - SECOND


@pytest.mark.parametrize("state", [None, VoterState("run-before", 2, 1)])
def test_a_lease_process_that_lost_its_state_neither_grants_nor_promises(state: VoterState | None) -> None:
    voter = node(1, state=state, restarted_at=5 * SECOND)
    assert voter.on(beat(6 * SECOND), 6 * SECOND) == []
    assert promised(voter, ASK, 60 * SECOND) == "forgot"


def test_nothing_is_acknowledged_of_terms_before_a_promise_that_was_given_or_may_be_forgotten() -> None:
    assert node(1).voter.bound == 0
    assert node(1, state=VoterState("run-1", 2, 1), restarted_at=SECOND).voter.bound == 2
    assert node(1, restarted_at=SECOND).voter.bound == NEVER


def test_a_new_run_is_bound_by_no_promise_of_the_run_before() -> None:
    assert node(1, state=VoterState("run-before", 9, 1)).on(beat(7), 2 * SECOND) != []


def test_a_healthy_shard_holds_leases_of_the_operator_and_of_its_voters() -> None:
    world = ShardWorld(topology(replicas=2))
    assert world.run(3_000) == ["healthy"]
    world.cut = {("c-0-0", "operator")}
    world.arbiter.resign()
    world.run(10_000)
    assert world.serves("c-0-0"), "without an operator nothing stops"
    world.cut = {("c-0-0", "c-0-1"), ("c-0-0", "c-0-2"), ("c-0-0", "operator")}
    world.run(1_600)
    assert not world.serves("c-0-0")
