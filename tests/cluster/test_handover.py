"""Giving up a term by word, and who is master after all were down."""

import pytest
from shard_world import ShardWorld, topology

from ringkeeper.cluster.changes import Appoint
from ringkeeper.cluster.handover import CONFIRM_WITHIN, Giving, Policy, Release, recover
from ringkeeper.cluster.messages import AskRelease
from ringkeeper.cluster.position import NOTHING, Position

SECOND = 10**9


def asked(confirmed: int = 90) -> Release:
    release = Release("master")
    release.ask("target", 100, confirmed, 0)
    return release


def test_a_master_holds_back_writes_until_the_target_has_confirmed_the_offset() -> None:
    release = asked()
    assert (release.state, release.to) == (Giving.HOLDING, "")
    release.confirm("target", 99, 1)
    release.confirm("another", 100, 1)
    assert release.state is Giving.HOLDING
    release.confirm("target", 100, 1)
    assert (release.state, release.to) == (Giving.RELEASED, "target")


def test_a_target_that_has_everything_already_needs_no_wait() -> None:
    assert asked(confirmed=100).state is Giving.RELEASED


def test_a_target_that_does_not_confirm_in_time_costs_no_more_than_that_pause() -> None:
    release = asked()
    release.tick(CONFIRM_WITHIN, holds_lease=True)
    assert release.state is Giving.HOLDING
    release.tick(CONFIRM_WITHIN + 1, holds_lease=True)
    assert release.state is Giving.NOTHING
    release.confirm("target", 100, CONFIRM_WITHIN + 2)
    assert release.state is Giving.NOTHING, "it has written since"
    release = asked()
    release.confirm("target", 100, CONFIRM_WITHIN + 1)
    assert release.state is Giving.NOTHING


def test_nothing_but_another_term_ends_a_release() -> None:
    release = asked(confirmed=100)
    for now in (1, SECOND, 3_600 * SECOND):
        release.tick(now, holds_lease=False)
        release.ask("another", 200, 200, now)
        release.confirm("another", 200, now)
    assert (release.state, release.to) == (Giving.RELEASED, "target")


def test_a_master_that_lost_its_lease_hands_nothing_over() -> None:
    release = asked()
    release.tick(1, holds_lease=False)
    assert release.state is Giving.NOTHING


def test_a_master_that_is_its_own_target_gives_up_its_term_at_once() -> None:
    release = Release("master")
    release.ask("master", 100, -1, 0)
    assert (release.state, release.to) == (Giving.RELEASED, "master")


A, B, C = Position(3, 10), Position(2, 500), Position(3, 9)


@pytest.mark.parametrize(
    ("present", "missing", "policy", "waited", "chosen", "why"),
    [
        ({"a": A, "b": B, "c": C}, (), Policy.WAIT_FOR_ALL, 0, "a", "all nodes are there, and a is the most recent"),
        ({"a": NOTHING, "b": NOTHING}, (), Policy.MOST_RECENT, 0, "a", "all nodes are there"),
        (
            {"b": B},
            ("a",),
            Policy.WAIT_FOR_ALL,
            999,
            None,
            "waitForAll: waiting for a, which may have later data than b",
        ),
        ({"b": B}, ("a", "c"), Policy.MOST_RECENT, 20, None, "waiting 40 s more for a, c"),
        ({"b": B, "c": C}, ("a",), Policy.MOST_RECENT, 60, "c", "c is the most recent that is there; a did not return"),
        ({"b": NOTHING}, ("a",), Policy.MOST_RECENT, 60, None, "no node that is there has data; waiting for a"),
        ({"b": NOTHING}, ("a",), Policy.START_EMPTY, 59, None, "waiting 1 s more for a"),
        ({"b": NOTHING}, ("a",), Policy.START_EMPTY, 60, "b", "b is the most recent that is there"),
        ({}, ("a", "b"), Policy.START_EMPTY, 999, None, "no node of the shard is there; waiting for a, b"),
    ],
)
def test_who_is_chosen_when_no_quorum_can_be_had(
    present: dict[str, Position], missing: tuple[str, ...], policy: Policy, waited: int, chosen: str | None, why: str
) -> None:
    choice = recover(present, missing, policy, waited=waited * SECOND, timeout=60 * SECOND)
    assert choice.node == chosen
    assert why in choice.why


class Handing(ShardWorld):
    """Nodes whose command loops release at once what they are asked to."""

    def __init__(self) -> None:
        super().__init__(topology(replicas=2, min_acks=1))
        self.run(2_000)

    def release_to(self, name: str, run: str = "") -> None:
        """As the master's node does after the target has confirmed."""
        master = self.nodes["c-0-0"]
        position = Position(1, self.offsets["c-0-0"])
        target = run or next(node.run_id for node in self.committed.nodes if node.name == name)
        leaving = "c-0-0" in self.leaving
        master.node_says(position, candidate=True, progress_at=self.ns, released=target, leaving=leaving)
        self.deliver("c-0-0", [("", master.heartbeat(self.ns))])


def test_a_handover_waits_for_no_lease_and_loses_nothing() -> None:
    shard = Handing()
    shard.offsets["c-0-1"] = 60
    shard.release_to("c-0-2")
    assert not shard.serves("c-0-0")
    assert shard.run_until(lambda: shard.serves("c-0-2")) <= 20
    assert shard.committed.shards[0].base == Position(1, 100)
    voters = {shard.names[voter] for voter in shard.committed.shards[0].voters}
    assert voters == {"c-0-0", "c-0-1"}, "the old master is a voter at once"


def test_if_the_target_cannot_take_over_another_that_has_everything_does() -> None:
    shard = Handing()
    shard.kill("c-0-2", is_certain=True)
    shard.release_to("c-0-2")
    shard.run_until(lambda: shard.serves("c-0-1"))
    assert shard.term == 2


def test_another_start_of_the_node_that_confirmed_has_not_confirmed() -> None:
    """It has what was on its disk. Seed 1321361 of the simulator: it was named anew before the release was heard of."""
    shard = Handing()
    shard.kill("c-0-1")
    before = shard.nodes["c-0-2"].run_id
    shard.kill("c-0-2", is_certain=True)
    shard.start("c-0-2", "another-run", 60)
    shard.run_until(lambda: "another-run" in [node.run_id for node in shard.committed.nodes])
    shard.release_to("c-0-2", run=before)
    shard.run_until(lambda: shard.serves("c-0-0"))
    assert shard.term == 2


def test_if_nobody_can_take_over_the_old_master_is_appointed_in_the_next_term() -> None:
    shard = Handing()
    shard.offsets["c-0-1"] = 60
    shard.kill("c-0-2", is_certain=True)
    shard.release_to("c-0-2")
    shard.run_until(lambda: shard.serves("c-0-0"))
    assert shard.term == 2


def test_an_operator_asks_only_for_a_handover_to_one_that_is_there() -> None:
    shard = Handing()
    second = shard.committed.nodes[2].id
    shard.arbiter.hand_over(second)
    assert any("AskRelease" in str(message) for _, message in shard.arbiter.tick(shard.ns))
    assert "is asked to hand over to c-0-2" in shard.arbiter.verdict(shard.ns).reason
    shard.kill("c-0-2")
    shard.run(1_600)
    assert "cannot hand over to c-0-2" in shard.arbiter.verdict(shard.ns).reason
    shard.arbiter.hand_over(second)
    assert not any("AskRelease" in str(message) for _, message in shard.arbiter.tick(shard.ns))


def test_a_person_may_insist_on_a_master_when_no_quorum_is_to_be_had() -> None:
    shard = Handing()
    shard.kill("c-0-2")
    shard.kill("c-0-0", is_certain=True)
    shard.run(5_000)
    assert shard.arbiter.verdict(shard.ns).state == "cannot"
    shard.arbiter.hand_over(shard.committed.nodes[1].id, insists=True)
    change = shard.arbiter.verdict(shard.ns).change
    assert isinstance(change, Appoint)
    assert change.is_recovery
    assert "c-0-1 is insisted on" in change.cause


def test_who_is_about_to_leave_is_no_voter() -> None:
    shard = Handing()
    shard.arbiter.leaving = frozenset({shard.committed.nodes[2].id})
    shard.run(1_500)
    assert [shard.names[voter] for voter in shard.committed.shards[0].voters] == ["c-0-1"]
    assert shard.committed.shards[0].former is None


class Leaving(Handing):
    """The nodes of these names say that they were told to end."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.offsets["c-0-1"] = 60
        self.run(1_000)
        self.seen.clear()
        self.leaving = set(names)
        self.run(1_000)

    def asked(self) -> set[str]:
        """To whom the master was asked to hand over."""
        return {self.names[message.target] for _, _, message in self.seen if isinstance(message, AskRelease)}


@pytest.mark.parametrize(
    ("leaving", "asked", "reason"),
    [
        (("c-0-0",), {"c-0-2"}, "c-0-0 is leaving, and is asked to hand over to c-0-2"),
        (("c-0-0", "c-0-2"), {"c-0-1"}, "c-0-0 is leaving, and is asked to hand over to c-0-1"),
        (("c-0-0", "c-0-1", "c-0-2"), set(), "c-0-0 is leaving, and has nobody to hand over to"),
        (("c-0-2",), set(), "the master holds a lease and makes progress"),
    ],
)
def test_a_master_that_is_leaving_is_asked_to_hand_over_to_the_voter_with_most_that_stays(
    leaving: tuple[str, ...], asked: set[str], reason: str
) -> None:
    shard = Leaving(*leaving)
    assert shard.asked() == asked
    verdict = shard.arbiter.verdict(shard.ns)
    assert (verdict.state, verdict.reason) == ("healthy", reason)
    assert shard.serves("c-0-0"), "until it has handed over"


def test_what_a_person_wants_goes_before_if_it_can_be() -> None:
    shard = Leaving("c-0-0")
    shard.seen.clear()
    shard.arbiter.hand_over(shard.committed.nodes[1].id)
    shard.run(500)
    assert shard.asked() == {"c-0-1"}
    shard.leaving.add("c-0-1")
    shard.run(500)
    shard.seen.clear()
    shard.run(500)
    assert shard.asked() == {"c-0-2"}


def test_a_master_that_hands_over_because_it_is_leaving_is_no_voter_behind_that() -> None:
    shard = Leaving("c-0-0")
    shard.release_to("c-0-2")
    shard.run_until(lambda: shard.serves("c-0-2"))
    shard.run(2_000)
    assert shard.term == 2
    assert "c-0-0" not in {shard.names[voter] for voter in shard.committed.shards[0].voters}


def test_a_replica_that_is_leaving_becomes_no_voter() -> None:
    shard = ShardWorld(topology(replicas=2, voters=1))
    shard.leaving = {"c-0-2"}
    shard.run(3_000)
    assert [shard.names[voter] for voter in shard.committed.shards[0].voters] == ["c-0-1"]
    shard.leaving = set()
    shard.run(3_000)
    assert [shard.names[voter] for voter in shard.committed.shards[0].voters] == ["c-0-1", "c-0-2"]


def test_a_replica_that_is_leaving_promises_but_is_not_promoted_whatever_it_has() -> None:
    shard = ShardWorld(topology(replicas=2))
    shard.offsets["c-0-1"] = 60
    shard.leaving = {"c-0-2"}
    shard.run(1_000)
    shard.kill("c-0-0", is_certain=True)
    shard.run_until(lambda: shard.serves("c-0-1"))
    assert shard.term == 2
