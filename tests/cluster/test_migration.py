"""Both sides of a move of slots, and what the operator may commit by their confirmations."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from ringkeeper.cluster import migration
from ringkeeper.cluster.changes import EndMove, SettleMove
from ringkeeper.cluster.handover import CONFIRM_WITHIN
from ringkeeper.cluster.migration import (
    Confirmation,
    Source,
    SourceMove,
    Target,
    TargetMove,
    ended,
    enough,
    keeps_hidden,
    may_ask_release,
    settled,
)
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import RETURNED, SETTLED, UNOWNED, Move, Node, Shard, Topology, node_id
from ringkeeper.store.slot import SLOTS

MOVE = Move(7, 0, 1, (1, 2), 3, "source-run", 5, "target-run")
SETTLED_MOVE = replace(MOVE, phase=SETTLED, held=Position(5, 90))
RETURNED_MOVE = replace(SETTLED_MOVE, phase=RETURNED)


def topology(*, move: Move = MOVE, terms: tuple[int, int] = (3, 5), run: str = "target-run") -> Topology:
    nodes = tuple(
        Node(node_id("u", f"c-{i}-0"), f"c-{i}-0", i, "", "", 1, 2, "master", ("source-run", run)[i]) for i in range(2)
    )
    shards = tuple(Shard(i, terms[i], nodes[i].id) for i in range(2))
    owner = move.target if move.phase == SETTLED else move.source
    owners = (UNOWNED, owner, owner, *(UNOWNED,) * (SLOTS - 3))
    return Topology("c", "u", 9, 1, 100, nodes, shards, owners, moves=(move,))


def source(**changes: Any) -> SourceMove:
    fields: dict[str, Any] = {"move": MOVE, "term": 3, "run_id": "source-run"}
    return SourceMove(**(fields | changes))


def target(**changes: Any) -> TargetMove:
    fields: dict[str, Any] = {"move": MOVE, "term": 5, "run_id": "target-run"}
    return TargetMove(**(fields | changes))


def feeding() -> SourceMove:
    side = source()
    assert side.followed(5, "target-run")
    return side


def released() -> SourceMove:
    side = feeding()
    side.ask(100, 100, 0, holds_lease=True)
    assert side.state is Source.RELEASED
    return side


def holding_all() -> TargetMove:
    side = target()
    assert side.empty()
    side.received(100)
    side.loaded()
    side.held(100, Position(5, 90))
    assert side.state is Target.HOLDING_ALL
    return side


# --- the source


def test_writes_are_held_until_the_target_has_confirmed_the_end_of_the_feed_and_then_nothing_is_answered() -> None:
    side = feeding()
    assert side.answers
    assert side.takes_writes
    side.ask(60, 100, 0, holds_lease=True)
    assert (side.state, side.answers, side.takes_writes) == (Source.HOLDING, True, False)
    side.confirm(99, 100, 1, holds_lease=True)
    assert side.state is Source.HOLDING
    side.confirm(100, 100, 2, holds_lease=True)
    assert (side.state, side.answers, side.takes_writes) == (Source.RELEASED, False, False)
    assert side.confirmation() == Confirmation(7, "source", "released", 3, "source-run", 100)


def test_what_was_fed_in_spite_of_holding_must_be_confirmed_too() -> None:
    side = feeding()
    side.ask(60, 100, 0, holds_lease=True)
    side.confirm(100, 101, 1, holds_lease=True)
    assert side.state is Source.HOLDING
    side.confirm(101, 101, 2, holds_lease=True)
    assert side.confirmation().offset == 101


def test_a_target_that_does_not_confirm_in_time_keeps_writes_waiting_no_longer() -> None:
    side = feeding()
    side.ask(60, 100, 0, holds_lease=True)
    side.tick(CONFIRM_WITHIN, holds_lease=True)
    assert side.state is Source.HOLDING
    side.confirm(100, 100, CONFIRM_WITHIN + 1, holds_lease=True)
    assert side.state is Source.FEEDING
    side.ask(100, 100, CONFIRM_WITHIN + 2, holds_lease=True)
    assert side.state is Source.RELEASED, "it may be asked again"


def test_a_release_is_ended_by_no_time_no_lost_lease_and_no_lost_feed() -> None:
    side = released()
    side.tick(10**18, holds_lease=False)
    side.confirm(0, 200, 10**18, holds_lease=False)
    side.ask(0, 200, 10**18, holds_lease=True)
    side.fail("the feed was lost")
    assert (side.state, side.offset, side.why) == (Source.RELEASED, 100, "")


def test_a_master_without_a_lease_releases_nothing() -> None:
    side = feeding()
    side.ask(100, 100, 0, holds_lease=False)
    assert side.state is Source.FEEDING
    side.ask(60, 100, 0, holds_lease=True)
    side.confirm(100, 100, 1, holds_lease=False)
    assert side.state is Source.FEEDING


@pytest.mark.parametrize("of", [{"term": 4}, {"run_id": "another"}, {"move": SETTLED_MOVE}])
def test_a_master_of_another_term_or_run_or_phase_feeds_nothing(of: dict[str, Any]) -> None:
    assert not source(**of).followed(5, "target-run")


@pytest.mark.parametrize("follower", [(4, "target-run"), (5, "another")])
def test_only_the_move_s_own_target_is_fed(follower: tuple[int, str]) -> None:
    assert not source().followed(*follower)


def test_there_is_one_feed_a_move() -> None:
    side = feeding()
    assert not side.followed(5, "target-run")
    side.fail("the feed was lost")
    assert not side.followed(5, "target-run")
    side.ask(100, 100, 0, holds_lease=True)
    assert (side.state, side.why, side.takes_writes) == (Source.FAILED, "the feed was lost", True)


@pytest.mark.parametrize("make", [source, feeding, released])
def test_what_is_settled_is_hidden_and_what_is_returned_is_served_again(make: Any) -> None:
    side = make()
    side.follow(SETTLED_MOVE)
    assert (side.state, side.answers) == (Source.HIDING, False)
    side.follow(RETURNED_MOVE)
    assert (side.state, side.answers, side.takes_writes) == (Source.RESTORING, True, True)
    side.held()
    side.follow(RETURNED_MOVE)
    assert side.confirmation().state == "restored"


def test_a_later_master_of_the_source_hides_or_serves_by_the_phase_alone() -> None:
    assert source(move=SETTLED_MOVE, term=4, run_id="x").state is Source.HIDING
    assert source(move=RETURNED_MOVE, term=4, run_id="x").state is Source.RESTORING
    assert source(term=4, run_id="x").takes_writes, "a dead move keeps nobody waiting"


# --- the target


def test_a_target_holds_all_when_its_voters_hold_all_that_it_received() -> None:
    side = target()
    assert side.state is Target.CLEARING
    side.received(3)
    assert side.offset == 0, "it follows no feed yet"
    assert side.empty()
    assert not side.empty(), "once"
    side.received(60)
    side.held(60, Position(5, 50))
    assert side.state is Target.LOADING
    side.loaded()
    side.held(59, Position(5, 49))
    assert side.state is Target.FOLLOWING
    side.held(60, Position(5, 51))
    assert side.confirmation() == Confirmation(7, "target", "holding all", 5, "target-run", 60, Position(5, 51))
    side.received(60)
    assert side.state is Target.HOLDING_ALL
    side.received(61)
    assert side.state is Target.FOLLOWING


def test_a_target_of_another_term_or_run_asks_for_no_feed() -> None:
    assert not target(term=6).empty()
    assert not target(run_id="another").empty()


def test_a_target_that_fails_says_why_and_still_adopts_what_it_had_confirmed() -> None:
    side = holding_all()
    side.fail("maxmemory 1000, needed 1200")
    side.received(200)
    assert (side.state, side.offset, side.why) == (Target.FAILED, 100, "maxmemory 1000, needed 1200")
    side.follow(SETTLED_MOVE)
    assert side.state is Target.ADOPTED
    side.fail("late")
    side.held(0, Position(5, 95))
    assert (side.state, side.position) == (Target.KEPT, Position(5, 95))


def test_a_lost_feed_fails_who_has_not_all_slots_and_nobody_else() -> None:
    side = target()
    side.empty()
    side.lose_feed()
    assert (side.state, side.why) == (Target.FAILED, "the feed was lost")
    side = holding_all()
    side.lose_feed()
    assert side.state is Target.HOLDING_ALL


def test_a_later_master_of_the_target_keeps_in_its_own_name() -> None:
    side = target(move=SETTLED_MOVE, term=6, run_id="later")
    side.held(0, Position(6, 99))
    assert side.confirmation() == Confirmation(7, "target", "kept", 6, "later", 0, Position(6, 99))
    side.follow(RETURNED_MOVE)
    assert side.state is Target.FAILED


@pytest.mark.parametrize(
    ("voters", "min_acks", "acknowledged", "is_enough"),
    [
        (0, 0, [], True),
        (0, 1, [], False),
        (1, 0, [9], False),
        (1, 0, [10], True),
        (2, 0, [10, 9], False),
        (2, 0, [10, 10], True),
        (3, 0, [10, 11, 0], True),
        (2, 1, [10, 0], True),
        (3, 2, [10, 0, 0], False),
    ],
)
def test_as_many_voters_hold_it_as_every_promotion_needs(
    voters: int, min_acks: int, acknowledged: list[int], *, is_enough: bool
) -> None:
    """Any set of promises that lets one be appointed has somebody in common with them."""
    shard = Shard(0, 1, "m", tuple("abc"[:voters]), min_acks)
    assert enough(acknowledged, shard, 10) is is_enough


@pytest.mark.parametrize(("move", "kept"), [(MOVE, [1]), (SETTLED_MOVE, [0]), (RETURNED_MOVE, [])])
def test_what_is_fed_and_what_may_be_needed_again_is_kept_hidden(move: Move, kept: list[int]) -> None:
    assert [shard for shard in range(3) if keeps_hidden(move, shard)] == kept


def test_no_side_leaves_the_tables() -> None:
    """Every event in every state ends in a state, and only an epoch leads out of a release."""
    events = {event for _, event in (*migration.SOURCE_TRANSITIONS, *migration.TARGET_TRANSITIONS)}
    out = {event for state, event in migration.SOURCE_TRANSITIONS if state is Source.RELEASED}
    assert out == {SETTLED, RETURNED}
    reachable: set[Any] = {Source.WAITING, Target.CLEARING}
    for _ in range(10):
        for state, event in itertools.product(tuple(reachable), events):
            for table in (migration.SOURCE_TRANSITIONS, migration.TARGET_TRANSITIONS):
                reachable.add(table.get((state, event), state))  # type: ignore[call-overload]
    assert reachable == {*Source, *Target}


# --- the operator

RELEASED = released().confirmation()
HOLDING_ALL = holding_all().confirmation()
FOLLOWING = replace(HOLDING_ALL, state="following")


def test_slots_are_settled_when_both_confirmed_the_same_offset() -> None:
    assert settled(topology(), MOVE, RELEASED, HOLDING_ALL) == SettleMove(MOVE, Position(5, 90))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, HOLDING_ALL),
        (RELEASED, None),
        (replace(RELEASED, state="holding"), HOLDING_ALL),
        (RELEASED, FOLLOWING),
        (replace(RELEASED, offset=99), HOLDING_ALL),
        (RELEASED, replace(HOLDING_ALL, offset=101)),
        (replace(RELEASED, term=2), HOLDING_ALL),
        (replace(RELEASED, run_id="another"), HOLDING_ALL),
        (replace(RELEASED, move=6), HOLDING_ALL),
        (RELEASED, replace(HOLDING_ALL, term=6)),
        (RELEASED, replace(HOLDING_ALL, run_id="another")),
        (RELEASED, replace(HOLDING_ALL, move=6)),
        (RELEASED, replace(HOLDING_ALL, held=Position(4, 90))),
        (HOLDING_ALL, RELEASED),
    ],
)
def test_nothing_is_settled_by_other_confirmations(one: Confirmation | None, other: Confirmation | None) -> None:
    assert settled(topology(), MOVE, one, other) is None


@pytest.mark.parametrize("later", [{"terms": (4, 5)}, {"terms": (3, 6)}, {"run": "restarted"}])
def test_a_move_whose_masters_are_others_by_now_is_cancelled_and_not_settled(later: dict[str, Any]) -> None:
    assert settled(topology(**later), MOVE, RELEASED, HOLDING_ALL) is None
    change = ended(topology(**later), MOVE, RELEASED, HOLDING_ALL)
    assert change == EndMove(MOVE, cause="its source or its target has another master now")


def test_a_move_is_cancelled_when_one_side_failed_and_goes_on_otherwise() -> None:
    assert ended(topology(), MOVE, RELEASED, HOLDING_ALL) is None
    assert ended(topology(), MOVE, None, None) is None
    failed = replace(FOLLOWING, state="failed", why="no memory")
    assert ended(topology(), MOVE, RELEASED, failed) == EndMove(MOVE, cause="the target failed: no memory")
    assert ended(topology(), MOVE, RELEASED, replace(failed, move=6)) is None


def test_a_release_is_asked_for_when_the_target_follows() -> None:
    fed = feeding().confirmation()
    assert may_ask_release(fed, FOLLOWING, MOVE)
    assert may_ask_release(fed, HOLDING_ALL, MOVE)
    assert not may_ask_release(fed, replace(FOLLOWING, state="loading"), MOVE)
    assert not may_ask_release(RELEASED, HOLDING_ALL, MOVE)
    assert not may_ask_release(replace(fed, run_id="x"), FOLLOWING, MOVE)
    assert not may_ask_release(None, FOLLOWING, MOVE)


KEPT = Confirmation(7, "target", "kept", 5, "target-run", 100, Position(5, 95))
RESTORED = Confirmation(7, "source", "restored", 3, "source-run")


def test_the_spare_copy_goes_when_the_present_master_confirmed_the_other() -> None:
    after = topology(move=SETTLED_MOVE)
    assert ended(after, SETTLED_MOVE, RESTORED, KEPT) == EndMove(
        SETTLED_MOVE, 5, "target-run", "shard 1 holds the slots"
    )
    assert ended(after, SETTLED_MOVE, RESTORED, replace(KEPT, state="adopted")) is None
    assert ended(after, SETTLED_MOVE, RESTORED, replace(KEPT, term=4)) is None
    assert ended(after, SETTLED_MOVE, RESTORED, replace(KEPT, move=6)) is None
    assert ended(after, SETTLED_MOVE, RESTORED, None) is None
    later = topology(move=SETTLED_MOVE, terms=(9, 6), run="later")
    assert ended(later, SETTLED_MOVE, None, KEPT) is None
    assert ended(later, SETTLED_MOVE, None, replace(KEPT, term=6, run_id="later")) is not None
    back = topology(move=RETURNED_MOVE)
    assert ended(back, RETURNED_MOVE, RESTORED, KEPT) == EndMove(
        RETURNED_MOVE, 3, "source-run", "shard 0 holds the slots"
    )
    assert ended(back, RETURNED_MOVE, replace(RESTORED, state="restoring"), KEPT) is None


def test_a_confirmation_survives_json_with_more_fields_and_nothing_else_is_taken_for_one() -> None:
    for said in (RELEASED, HOLDING_ALL, KEPT):
        document = migration.encode(said)
        assert migration.decode(document | {"lagBytes": 3}) == said
        for field in document.keys() - {"why"}:
            assert migration.decode({key: value for key, value in document.items() if key != field}) is None
            assert migration.decode(document | {field: None}) is None
    assert migration.decode([]) is None


def test_offsets_are_news_where_both_sides_are_to_be_at_the_same() -> None:
    for state in (*Source, *Target):
        told = {migration.progress_of([Confirmation(7, "", state, 1, "run", offset)]) for offset in (5, 6)}
        assert len(told) == (2 if state in (Source.RELEASED, Target.HOLDING_ALL) else 1)
        assert not any(" " in each for each in told), "it stands in a URL"
    assert len({migration.progress_of([Confirmation(7, "", state, 1, "run")]) for state in Target}) == len(Target)
