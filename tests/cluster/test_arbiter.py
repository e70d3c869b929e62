"""Failover as the operator judges it: stories of one shard."""

from dataclasses import replace

import pytest
from shard_world import ShardWorld, topology

from ringkeeper.cluster.arbiter import Arbiter, Recovery
from ringkeeper.cluster.changes import carried_out, with_run, with_voters
from ringkeeper.cluster.handover import Policy
from ringkeeper.cluster.messages import AskPromise, Grant
from ringkeeper.cluster.position import Position


def world(replicas: int = 2, min_acks: int = 0, **recovery: object) -> ShardWorld:
    made = ShardWorld(topology(replicas, min_acks=min_acks), Recovery(**recovery))  # type: ignore[arg-type]
    made.run(2_000)
    assert made.serves("c-0-0")
    return made


def test_a_silent_master_is_replaced_after_suspicion_and_the_end_of_all_leases() -> None:
    shard = world()
    shard.offsets["c-0-2"] = 120
    shard.kill("c-0-0")
    took = shard.run_until(lambda: shard.serves("c-0-2"))
    assert 1_500 <= took <= 1_700, "grants run out 1.11 leases after the last heartbeat, suspicion is at 1"
    assert shard.term == 2
    assert shard.committed.shards[0].base == Position(1, 120)
    assert [shard.names[voter] for voter in shard.committed.shards[0].voters] == ["c-0-1"]


def test_a_master_whose_end_is_certain_is_replaced_at_once() -> None:
    shard = world()
    shard.kill("c-0-0", is_certain=True)
    assert shard.run_until(lambda: shard.term == 2 and shard.serves(shard.master)) <= 20
    assert shard.term == 2


def test_who_promised_and_has_left_the_shard_is_neither_appointed_nor_a_voter() -> None:
    shard = world()
    shard.offsets["c-0-2"] = 120
    shard.kill("c-0-0")
    shard.run_until(lambda: len(shard.arbiter.promises) == 2)
    assert shard.term == 1
    (first,), nodes = shard.committed.shards, {node.name: node for node in shard.committed.nodes}
    del nodes["c-0-2"]
    voters = replace(first, voters=(nodes["c-0-1"].id,), former=None)
    epoch = shard.committed.epoch + 1
    shard.committed = replace(shard.committed, epoch=epoch, nodes=tuple(nodes.values()), shards=(voters,))
    shard.arbiter.follow(shard.committed, shard.ns)
    shard.run_until(lambda: shard.term == 2)
    assert shard.master == "c-0-1"
    assert shard.committed.shards[0].voters == ()


def test_a_stuck_command_loop_is_suspected_although_heartbeats_go_on() -> None:
    shard = world()
    shard.stuck.add("c-0-0")
    shard.run_until(lambda: shard.term == 2)
    assert shard.master != "c-0-0"


def test_an_operator_that_hears_nothing_promotes_nobody_while_the_voters_hear_the_master() -> None:
    shard = world()
    shard.cut = {("c-0-0", "operator"), ("operator", "c-0-0")}
    shard.run(10_000)
    verdict = shard.arbiter.verdict(shard.ns)
    assert verdict.state == "suspected"
    assert "c-0-1 refuses: it is master, or hears one that holds a lease" in verdict.reason
    assert shard.serves("c-0-0")
    shard.cut = set()
    shard.run(600)
    assert shard.arbiter.verdict(shard.ns).state == "healthy"
    assert shard.term == 1


def test_a_master_that_is_suspected_is_granted_nothing() -> None:
    shard = world()
    shard.stuck.add("c-0-0")
    shard.run(1_600)
    shard.seen.clear()
    shard.run(400)
    granted = {to for sender, to, message in shard.seen if sender == "operator" and isinstance(message, Grant)}
    assert "c-0-0" not in granted


def test_a_master_whose_loop_hangs_is_followed_when_a_lease_from_its_last_move_has_run_out() -> None:
    shard = world()
    shard.stuck.add("c-0-0")
    shard.run(1_500)
    assert shard.term == 1
    assert not shard.serves("c-0-0"), "nobody granted it more than a lease from when it moved last"
    shard.run(300)
    assert shard.term == 2


def test_an_old_master_that_comes_back_is_a_replica_of_the_next() -> None:
    shard = world(replicas=1)
    shard.kill("c-0-0", is_certain=True)
    shard.run_until(lambda: shard.term == 2)
    shard.start("c-0-0", "run-again", offset=100)
    shard.run(2_000)
    assert shard.master == "c-0-1"
    assert shard.committed.nodes[0].run_id == "run-again"
    assert [shard.names[voter] for voter in shard.committed.shards[0].voters] == ["c-0-0"]
    assert shard.committed.shards[0].former is None


def test_a_replica_that_restarts_is_no_voter_until_the_master_acknowledged_that_and_it_caught_up() -> None:
    shard = world()
    shard.kill("c-0-1")
    shard.start("c-0-1", "run-again", offset=3)
    shard.run(3_000)
    assert [shard.names[voter] for voter in shard.committed.shards[0].voters] == ["c-0-2"]
    shard.offsets["c-0-1"] = 100
    shard.run(2_000)
    assert len(shard.committed.shards[0].voters) == 2
    assert shard.committed.shards[0].former is None
    assert shard.term == 1


def test_with_min_acks_a_promotion_needs_everybody_who_could_have_acknowledged_alone() -> None:
    shard = world(min_acks=1)
    shard.kill("c-0-2")
    shard.kill("c-0-0", is_certain=True)
    shard.run(5_000)
    verdict = shard.arbiter.verdict(shard.ns)
    assert verdict.state == "cannot"
    assert "1 of 2 promises that hold every acknowledged write, waiting for c-0-2" in verdict.reason


def test_what_the_new_master_lacks_no_successor_may_lack_unseen() -> None:
    shard = world(min_acks=1)
    shard.offsets["c-0-2"] = 120
    shard.kill("c-0-0", is_certain=True)
    shard.run_until(lambda: shard.term == 2)
    shard.kill("c-0-2", is_certain=True)
    shard.run(3_000)
    assert "lacks writes that the master had when it was appointed" in shard.arbiter.verdict(shard.ns).reason
    assert shard.term == 2


def test_former_voters_are_blocked_too_until_the_master_has_acknowledged() -> None:
    shard = world(replicas=3)
    shard.refuses_topology.add("c-0-0")
    only = with_voters(shard.committed, 0, (shard.committed.nodes[1].id,), 0)
    assert only is not None
    shard.committed = only
    shard.arbiter.follow(only, shard.ns)
    shard.push()
    shard.cut = {("c-0-0", "operator"), ("operator", "c-0-0"), ("c-0-0", "c-0-1")}
    shard.cut |= {("operator", "c-0-2"), ("operator", "c-0-3")}
    shard.run(6_000)
    assert shard.term == 1
    assert shard.serves("c-0-0"), "by grants of c-0-2 and c-0-3, who vote no more but of whom it has not heard that"
    assert "1 of 2 promises, waiting for c-0-2, waiting for c-0-3" in shard.arbiter.verdict(shard.ns).reason


def test_a_master_that_had_no_voters_cannot_be_failed_over_unless_its_end_is_certain() -> None:
    shard = ShardWorld(topology(replicas=1, voters=0))
    shard.refuses_topology.add("c-0-0")
    shard.run(2_000)
    assert shard.committed.shards[0].former is not None, "it has not acknowledged that it needs leases"
    run = shard.nodes["c-0-0"].run_id
    shard.kill("c-0-0")
    shard.run(5_000)
    verdict = shard.arbiter.verdict(shard.ns)
    assert verdict.state == "cannot"
    assert "its end must be certain" in verdict.reason
    shard.arbiter.end(run, shard.ns)
    shard.run_until(lambda: shard.term == 2)


def test_a_leader_that_is_new_counts_as_having_granted_everything_when_it_became_leader() -> None:
    shard = world()
    shard.kill("c-0-0")
    shard.run(1_000)
    shard.arbiter = Arbiter(0)
    shard.arbiter.lead(2, replace(shard.committed, leader=2), now=shard.ns, until=10**18)
    assert shard.run_until(lambda: shard.term == 2) >= 1_660


def test_a_topology_that_is_older_than_the_one_it_knows_is_ignored() -> None:
    shard = world()
    before = shard.committed
    shard.kill("c-0-0", is_certain=True)
    shard.run_until(lambda: shard.term == 2)
    shard.arbiter.follow(before, shard.ns)
    assert shard.arbiter.topology == shard.committed


def test_an_operator_says_and_sends_nothing_after_its_time() -> None:
    shard = world()
    shard.arbiter.renewed(shard.ns + 10**9, shard.ns)
    shard.run(1_100)
    assert shard.arbiter.verdict(shard.ns).state == "following"
    assert shard.arbiter.tick(shard.ns) == []
    shard.arbiter.renewed(shard.ns + 10**9, shard.ns)
    assert shard.arbiter.verdict(shard.ns).state == "following", "another may have led meanwhile"
    shard.arbiter.lead(2, shard.committed, now=shard.ns, until=shard.ns + 10**9)
    assert shard.arbiter.verdict(shard.ns).state == "healthy"


def test_an_election_that_was_begun_ends_with_the_old_master_in_the_next_term_if_it_is_well() -> None:
    shard = world()
    shard.stuck.add("c-0-0")
    shard.cut = {("operator", "c-0-2"), ("c-0-0", "c-0-1")}
    shard.run(1_600)
    assert shard.arbiter.verdict(shard.ns).state == "electing"
    shard.stuck.clear()
    shard.arbiter.hand_over(None)
    asked = [message for _, _, message in shard.seen if isinstance(message, AskPromise)]
    assert {ask.term for ask in asked} == {2}


def test_promises_hold_for_another_epoch_with_the_same_term_and_voters_and_for_no_other() -> None:
    shard = world()
    shard.kill("c-0-0", is_certain=True)
    shard.deliver("operator", shard.arbiter.tick(shard.ns))
    shard.now += 600
    change = shard.arbiter.verdict(shard.ns).change
    assert change is not None
    committed = shard.committed
    later = replace(committed, epoch=committed.epoch + 7, leader=3)
    appointed = carried_out(later, change)
    assert appointed is not None
    assert appointed.epoch == later.epoch + 1
    assert carried_out(shard.with_shard(term=2), change) is None
    assert carried_out(shard.with_shard(voters=(committed.nodes[1].id,)), change) is None
    renamed = with_run(committed, replace(committed.nodes[1], run_id="run-again"))
    assert renamed is not None
    assert carried_out(renamed, change) is None


@pytest.mark.parametrize(
    ("policy", "returned", "waited", "expected"),
    [
        (Policy.WAIT_FOR_ALL, ["c-0-1"], 100_000, None),
        (Policy.WAIT_FOR_ALL, ["c-0-1", "c-0-2", "c-0-0"], 1_000, "c-0-0"),
        (Policy.MOST_RECENT, ["c-0-1"], 50_000, None),
        (Policy.MOST_RECENT, ["c-0-1", "c-0-2"], 70_000, "c-0-2"),
    ],
)
def test_when_all_were_down_the_most_recent_that_returned_is_master(
    policy: Policy, returned: list[str], waited: int, expected: str | None
) -> None:
    shard = world(policy=policy)
    for name in list(shard.nodes):
        shard.kill(name, is_certain=True)
    shard.run(100)
    offsets = {"c-0-0": 300, "c-0-1": 100, "c-0-2": 200}
    for name in returned:
        shard.start(name, f"again-{name}", offsets[name])
    shard.run(waited)
    assert (shard.master if shard.term == 2 else None) == expected, shard.arbiter.verdict(shard.ns)
