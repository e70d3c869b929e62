"""Which next epoch follows from a change, and from which committed topology none does."""

from dataclasses import replace

import pytest
from shard_world import topology

from ringkeeper.cluster.changes import (
    Appoint,
    BeginMove,
    Change,
    EndMove,
    MoveChange,
    NameRun,
    Settle,
    SettleMove,
    SetVoters,
    basis,
    carried_out,
    electorates,
    with_leader,
    with_run,
    with_voters,
)
from ringkeeper.cluster.position import NOTHING, Position
from ringkeeper.cluster.topology import (
    FEEDING,
    RETURNED,
    SETTLED,
    Former,
    Move,
    Node,
    Shard,
    Topology,
    VoterRun,
    decode,
    encode,
    node_id,
)
from ringkeeper.store.slot import SLOTS

BEFORE = topology(replicas=2, min_acks=1)
MASTER, FIRST, SECOND = BEFORE.nodes
RUNS = tuple(VoterRun(node.id, node.run_id) for node in BEFORE.nodes)


def shard_of(after: Topology | None) -> Shard:
    assert after is not None
    assert after.epoch == BEFORE.epoch + 1
    assert decode(encode(after)) == after, "it is a valid document"
    return after.shards[0]


def based(change: Change, on: Topology = BEFORE) -> Change:
    return replace(change, basis=basis(on, on.shards[0]))


BASIS = basis(BEFORE, BEFORE.shards[0])
PROMOTION = Appoint(BASIS, RUNS[1], Position(1, 70), (RUNS[2],), "silent")


def test_an_appointment_begins_a_term_of_its_own_voters_and_base() -> None:
    after = carried_out(BEFORE, PROMOTION)
    shard = shard_of(after)
    assert shard == Shard(0, 2, FIRST.id, (SECOND.id,), 1, None, Position(1, 70))
    assert after is not None
    assert [node.role for node in after.nodes] == ["replica", "master", "replica"]


def test_who_is_appointed_is_a_run_and_not_whatever_start_of_the_node_is_listed() -> None:
    again = VoterRun(MASTER.id, "run-again")
    after = carried_out(BEFORE, replace(PROMOTION, master=again, voters=(RUNS[1], RUNS[2])))
    shard = shard_of(after)
    assert (shard.master, shard.voters) == (MASTER.id, (FIRST.id, SECOND.id))
    assert after is not None
    assert after.nodes[0].run_id == "run-again"


def test_the_voters_before_count_as_well_until_the_master_has_acknowledged_others() -> None:
    after = with_voters(BEFORE, 0, (SECOND.id,), 0)
    shard = shard_of(after)
    assert (shard.voters, shard.min_acks) == ((SECOND.id,), 0)
    assert shard.former == Former((RUNS[1], RUNS[2]), 1)
    assert after is not None
    assert electorates(after, shard) == (((RUNS[2],), 0), ((RUNS[1], RUNS[2]), 1))
    settled = carried_out(after, based(Settle(BASIS), after))
    assert settled is not None
    assert settled.shards[0].former is None


def test_there_is_room_for_one_change_of_the_voters_at_a_time() -> None:
    pending = with_voters(BEFORE, 0, (SECOND.id,), 1)
    assert pending is not None
    assert with_voters(pending, 0, (), 1) is None
    assert with_run(pending, replace(SECOND, run_id="run-again")) is None
    assert with_voters(BEFORE, 0, (FIRST.id, SECOND.id), 1) is None, "nothing changes"
    assert with_voters(BEFORE, 7, (), 1) is None, "no such shard"


def test_another_start_of_a_voter_is_a_replica_without_a_vote() -> None:
    after = carried_out(BEFORE, NameRun(BASIS, FIRST.id, "run-1", "run-again"))
    shard = shard_of(after)
    assert shard.voters == (SECOND.id,)
    assert shard.former == Former((RUNS[1], RUNS[2]), 1), "the former one is that run, not this"
    assert after is not None
    assert after.nodes[1].run_id == "run-again"


def test_a_voter_that_is_gone_keeps_no_acknowledged_change_from_being_settled() -> None:
    pending = with_voters(BEFORE, 0, (SECOND.id,), 1)
    assert pending is not None
    change = NameRun(BASIS, SECOND.id, "run-2", "run-again")
    assert carried_out(pending, based(change, pending)) is None
    after = carried_out(pending, based(replace(change, is_acknowledged=True), pending))
    assert after is not None
    assert after.shards[0].voters == ()
    assert after.shards[0].former == Former((RUNS[2],), 1)


def test_a_new_address_alone_changes_no_voters() -> None:
    after = with_run(BEFORE, replace(FIRST, address="10.0.0.9"))
    shard = shard_of(after)
    assert (shard.voters, shard.former) == (BEFORE.shards[0].voters, None)


def test_a_master_gets_a_new_run_only_with_a_new_term() -> None:
    assert with_run(BEFORE, replace(MASTER, run_id="run-again")) is None


@pytest.mark.parametrize(
    "change",
    [
        PROMOTION,
        Settle(BASIS),
        SetVoters(BASIS, (RUNS[1],), 1),
        NameRun(BASIS, FIRST.id, "run-1", "run-again"),
    ],
)
@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(BEFORE, shards=(replace(BEFORE.shards[0], term=2),)),
        replace(BEFORE, shards=(replace(BEFORE.shards[0], voters=(FIRST.id,)),)),
        replace(BEFORE, shards=(replace(BEFORE.shards[0], min_acks=0),)),
        replace(BEFORE, shards=(replace(BEFORE.shards[0], former=Former(())),)),
        replace(BEFORE, nodes=(replace(MASTER, run_id="run-again"), FIRST, SECOND)),
        replace(BEFORE, nodes=(MASTER, FIRST, replace(SECOND, run_id="run-again"))),
        replace(BEFORE, shards=(), nodes=()),
    ],
)
def test_a_change_of_another_basis_is_not_carried_out(change: Change, elsewhere: Topology) -> None:
    assert carried_out(elsewhere, change) is None


def test_a_change_is_carried_out_on_a_later_epoch_of_another_leader_with_the_same_basis() -> None:
    later = with_leader(replace(BEFORE, epoch=40, heartbeat_ms=250), 9)
    after = carried_out(later, PROMOTION)
    assert after is not None
    assert (after.epoch, after.leader, after.heartbeat_ms, after.shards[0].term) == (42, 9, 250, 2)


def test_a_replica_that_started_again_meanwhile_becomes_no_voter_by_its_former_run() -> None:
    third = topology(replicas=3, voters=2)
    runs = tuple(VoterRun(node.id, node.run_id) for node in third.nodes)
    restarted = replace(third, nodes=(*third.nodes[:3], replace(third.nodes[3], run_id="run-again")))
    join = SetVoters(basis(third, third.shards[0]), runs[1:], 0)
    assert carried_out(third, join) is not None
    assert carried_out(restarted, join) is None
    promotion = Appoint(basis(third, third.shards[0]), runs[1], Position(1, 1), runs[2:], "silent")
    after = carried_out(restarted, promotion)
    assert after is not None
    assert after.shards[0].voters == (third.nodes[2].id,)


# --- moves


def two_shards() -> Topology:
    """Shard 0 owns all slots; the masters are those of `topology`, and those of shard 1 alike."""
    others = tuple(
        Node(node_id("u", f"c-1-{i}"), f"c-1-{i}", 1, "", "", 1, 2, "replica" if i else "master", f"other-{i}")
        for i in range(2)
    )
    shards = (*BEFORE.shards, Shard(1, 3, others[0].id, (others[1].id,), 0, None, Position(2, 50)))
    return replace(BEFORE, nodes=(*BEFORE.nodes, *others), shards=shards)


PAIR = two_shards()
BEGIN = BeginMove(basis(PAIR, PAIR.shards[0]), basis(PAIR, PAIR.shards[1]), (5, 6, 9), rate=1000)
HELD = Position(3, 70)


def committed(before: Topology, change: Change | MoveChange) -> Topology:
    after = carried_out(before, change)
    assert after is not None
    assert after.epoch == before.epoch + 1
    assert decode(encode(after)) == after, "it is a valid document"
    return after


FED = committed(PAIR, BEGIN)
MOVED = committed(FED, SettleMove(FED.moves[0], HELD))


def appointed(before: Topology, shard: int, position: Position) -> Topology:
    of = before.shards[shard]
    voter = before.voter_runs(of)[0]
    return committed(before, Appoint(basis(before, of), voter, position, (), "silent"))


def test_a_move_begins_with_the_masters_of_its_epoch_which_is_its_id() -> None:
    assert FED.moves == (Move(6, 0, 1, (5, 6, 9), 1, "run-0", 3, "other-0", FEEDING, NOTHING, 1000),)
    assert FED.owners == PAIR.owners


def test_a_settled_move_gives_its_slots_to_the_target() -> None:
    assert MOVED.moves == (replace(FED.moves[0], phase=SETTLED, held=HELD),)
    assert [slot for slot, owner in enumerate(MOVED.owners) if owner == 1] == [5, 6, 9]
    assert carried_out(MOVED, SettleMove(MOVED.moves[0], HELD)) is None, "once is enough"


def test_a_feeding_move_is_cancelled_by_anybody_at_any_time() -> None:
    for topology_ in (FED, appointed(FED, 0, HELD), appointed(FED, 1, HELD)):
        after = committed(topology_, EndMove(topology_.moves[0], cause="dry run"))
        assert (after.moves, after.owners) == ((), PAIR.owners)
    assert carried_out(PAIR, EndMove(FED.moves[0])) is None


def test_a_move_that_is_another_by_now_is_not_cancelled() -> None:
    assert carried_out(MOVED, EndMove(FED.moves[0])) is None, "it was settled meanwhile"


@pytest.mark.parametrize("shard", [0, 1])
def test_a_move_whose_source_or_target_has_another_term_is_not_settled(shard: int) -> None:
    later = appointed(FED, shard, HELD)
    assert carried_out(later, SettleMove(later.moves[0], HELD)) is None
    restarted = replace(
        FED, nodes=tuple(replace(node, run_id="x") if node.role == "master" else node for node in FED.nodes)
    )
    assert carried_out(restarted, SettleMove(restarted.moves[0], HELD)) is None


@pytest.mark.parametrize(("term", "run"), [(3, "run-0"), (1, "run-0"), (2, "other-0"), (3, "other-1"), (0, "")])
def test_a_settled_move_ends_by_the_word_of_the_present_master_of_the_target(term: int, run: str) -> None:
    assert carried_out(MOVED, EndMove(MOVED.moves[0], term, run)) is None
    after = committed(MOVED, EndMove(MOVED.moves[0], 3, "other-0"))
    assert (after.moves, after.owners) == ((), MOVED.owners)


def test_a_settled_move_stays_when_masters_are_appointed_that_hold_it() -> None:
    for shard, position in [(0, Position(1, 1)), (1, HELD), (1, Position(3, 99))]:
        assert appointed(MOVED, shard, position).moves == MOVED.moves
    later = appointed(MOVED, 1, HELD)
    assert carried_out(later, EndMove(later.moves[0], 3, "other-0")) is None
    assert committed(later, EndMove(later.moves[0], 4, "other-1")).moves == ()


@pytest.mark.parametrize("position", [Position(3, 69), Position(2, 80), Position(4, 69), NOTHING])
def test_slots_return_to_their_source_when_a_master_is_appointed_that_lacks_them(position: Position) -> None:
    """Of a later stream too one must have come as far as `held`."""
    after = appointed(MOVED, 1, position)
    assert after.moves == (replace(MOVED.moves[0], phase=RETURNED),)
    assert after.owners == PAIR.owners
    assert carried_out(after, EndMove(after.moves[0], 4, "other-1")) is None
    assert committed(after, EndMove(after.moves[0], 1, "run-0")).moves == ()


@pytest.mark.parametrize(
    "change",
    [
        replace(BEGIN, slots=()),
        replace(BEGIN, target=BEGIN.source),
        replace(BEGIN, source=BEGIN.target, target=BEGIN.source),
        replace(BEGIN, source=replace(BEGIN.source, term=2)),
        replace(BEGIN, source=replace(BEGIN.source, master=VoterRun(MASTER.id, "run-again"))),
        replace(BEGIN, target=replace(BEGIN.target, term=2)),
        replace(BEGIN, target=replace(BEGIN.target, shard=7)),
    ],
)
def test_no_move_begins_that_does_not_fit_the_topology(change: BeginMove) -> None:
    assert carried_out(PAIR, change) is None


def test_a_slot_in_a_move_begins_no_other_whatever_the_phase() -> None:
    assert carried_out(FED, BEGIN) is None
    assert carried_out(FED, replace(BEGIN, slots=(1, 6))) is None
    back = replace(BEGIN, source=BEGIN.target, target=BEGIN.source)
    assert carried_out(MOVED, replace(back, slots=(9,))) is None, "its former copy is still there"
    returned = appointed(MOVED, 1, NOTHING)
    begin = replace(BEGIN, target=basis(returned, returned.shards[1]))
    assert carried_out(returned, replace(begin, slots=(5,))) is None
    assert committed(committed(returned, EndMove(returned.moves[0], 1, "run-0")), begin).moves


def test_moves_of_a_shard_that_gets_another_master_fare_each_by_itself() -> None:
    """Of two that were settled here, the one is held by who is appointed; what feeds, to or from here, is dead."""
    back = replace(BEGIN, source=BEGIN.target, target=BEGIN.source)
    topology_ = MOVED
    for slots in ((1, 2), (3,)):
        topology_ = committed(topology_, replace(BEGIN, slots=slots))
    topology_ = committed(topology_, SettleMove(topology_.moves[1], HELD._replace(offset=90)))
    topology_ = committed(committed(topology_, EndMove(topology_.moves[0], 3, "other-0")), replace(back, slots=(6,)))
    topology_ = committed(topology_, replace(BEGIN, slots=(4, 8)))
    topology_ = committed(topology_, SettleMove(topology_.moves[3], HELD._replace(offset=60)))
    phases = [(move.slots, move.phase, move.source) for move in topology_.moves]
    assert phases == [((1, 2), SETTLED, 0), ((3,), FEEDING, 0), ((6,), FEEDING, 1), ((4, 8), SETTLED, 0)]
    for shard, phase in [(0, SETTLED), (1, RETURNED)]:
        after = appointed(topology_, shard, Position(3, 80))
        assert [move.phase for move in after.moves] == [phase, FEEDING, FEEDING, SETTLED]
        assert [after.is_alive(move) for move in after.moves] == [True, False, False, True]
        assert {after.owners[slot] for slot in (1, 2)} == {1 if phase == SETTLED else 0}
        assert [after.owners[slot] for slot in (3, 4, 5, 6, 8, 9)] == [0, 1, 1, 1, 1, 1]


def test_voters_may_come_and_go_while_slots_move() -> None:
    """What counts is the master: a change of its voters leaves a move as it is."""
    fewer = with_voters(FED, 0, (FIRST.id,), 1)
    assert fewer is not None
    assert committed(fewer, SettleMove(fewer.moves[0], HELD)).owners == MOVED.owners
    assert len(PAIR.owners) == SLOTS
