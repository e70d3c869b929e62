"""From whatever state, deciding and applying converges, and no step on the way breaks what must hold."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_world import Conflict, Operator, World, make_spec

from ringkeeper.cluster.settings import Settings
from ringkeeper.store.namespaces import Namespace
from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import ApplyPieces, CommitTopology, Observed, PushSettings, PushTopology, Wait
from ringkeeper_operator.plan import bootstrap

EXAMPLES = int(os.environ.get("RINGKEEPER_DECIDE_EXAMPLES", "150"))

SHARDS = st.integers(0, 2)
CLOCKLESS = 0.0

MISHAPS = st.one_of(
    st.tuples(st.sampled_from(["restart", "vanish", "move", "start", "break", "mend"]), SHARDS),
    st.tuples(st.sampled_from(["lose_topology", "settle", "drift"]), st.just(0)),
    st.tuples(st.sampled_from(["look", "act", "act_uncertain", "replace"]), st.integers(0, 1)),
    st.tuples(st.sampled_from(["load", "have_loaded"]), SHARDS),
    st.tuples(st.sampled_from(["set_by_hand", "change_settings"]), SHARDS),
)
SETTINGS = [Settings(), Settings("allkeys-lru"), Settings("noeviction", (Namespace(b"a:"),), "300 1")]


@pytest.fixture(autouse=True, scope="module")
def placed_once() -> Iterator[None]:
    """The ring is placed a thousand times here, always the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "place", functools.cache(bootstrap.place))
        yield


def happen(world: World, operators: list[Operator], what: str, which: int) -> None:
    if what in ("restart", "vanish", "move", "start"):
        getattr(world, what)(which)
    elif what in ("break", "mend"):
        if node := world.node(which):
            node.reachable = what == "mend"
    elif what in ("load", "have_loaded"):
        if node := world.node(which):
            node.loading = what == "load" and node.run_id != appointed_run(world, which)
    elif what in ("lose_topology", "settle"):
        getattr(world, what)()
    elif what == "set_by_hand":
        world.set_by_hand(which, SETTINGS[which])
    elif what == "change_settings":
        world.change_settings(SETTINGS[which])
    elif what == "drift":
        world.others["Service/ring-nodes"] = "drifted"
    elif what == "look":
        world.observe(operators[which])
    elif what == "replace":
        operators[which] = Operator(f"another {which}")
    else:
        act(world, operators[which], uncertain=what == "act_uncertain")


def appointed_run(world: World, shard: int) -> str | None:
    """Of the node of a shard; a process that was appointed loads nothing any more."""
    held = [world.committed, *(node.held for node in world.nodes.values())]
    runs = {node.run_id for topology in held if topology for node in topology.nodes if node.shard == shard}
    node = world.node(shard)
    return node.run_id if node and node.run_id in runs else None


def act(world: World, operator: Operator, *, uncertain: bool) -> None:
    """On what this operator saw last, as a deposed leader would."""
    if operator.seen is None:
        world.observe(operator)
    assert operator.seen is not None
    action = decide(world.spec, operator.seen, CLOCKLESS)
    if action is not None and not isinstance(action, Wait):
        with contextlib.suppress(Conflict):
            world.apply(operator, action, uncertain=uncertain)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.booleans(), st.lists(MISHAPS, max_size=40))
def test_after_any_mishaps_a_new_operator_brings_every_slot_back_into_service(
    was_running: bool, mishaps: list[tuple[str, int]]
) -> None:
    world = World(make_spec())
    operators = [Operator("first"), Operator("second")]
    if was_running:
        world.work(operators[0])
    for what, which in mishaps:
        happen(world, operators, what, which)
        world.check()
    for node in world.nodes.values():
        node.reachable, node.loading = True, False
    world.work(Operator("last"))
    assert world.is_served()
    assert set(world.others.values()) == {"current"}
    assert {node.settings for node in world.nodes.values()} == {world.configured} == {world.spec.settings}


@settings(max_examples=EXAMPLES // 3, deadline=None)
@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from(["restart", "vanish", "move"]), SHARDS), max_size=6))
def test_it_converges_within_few_rounds(shards: int, mishaps: list[tuple[str, int]]) -> None:
    world = World(make_spec(shards=shards))
    operator = Operator("only")
    world.work(operator, rounds=6)
    for what, shard in mishaps:
        getattr(world, what)(shard)
    world.work(operator, rounds=8)
    assert world.is_served()


def running(**changes: object) -> tuple[World, Operator]:
    world = World(make_spec(**changes))
    operator = Operator("only")
    world.work(operator)
    return world, operator


def wish(world: World, operator: Operator) -> object:
    return decide(world.spec, world.observe(operator), CLOCKLESS)


def test_a_converged_cluster_is_left_alone() -> None:
    assert wish(*running()) is None


def test_a_deleted_cluster_is_left_to_whoever_deletes_it() -> None:
    world, operator = running()
    world.lose_topology()
    world.spec = replace(world.spec, deleting=True)
    assert wish(world, operator) is None


def test_a_new_operator_adopts_what_runs_and_raises_no_term() -> None:
    world, _ = running()
    started, terms = world.started, [shard.term for shard in world.committed.shards]
    world.work(Operator("new"))
    assert world.started == started
    assert [shard.term for shard in world.committed.shards] == terms
    assert world.committed.leader == 2


def test_the_leader_number_is_claimed_before_a_restarted_master_is_appointed() -> None:
    world, _ = running()
    world.restart(1)
    world.settle()
    newcomer = Operator("new")
    first = wish(world, newcomer)
    assert isinstance(first, CommitTopology)
    assert first.reason == "Leading"
    world.apply(newcomer, first)
    second = wish(world, newcomer)
    assert isinstance(second, CommitTopology)
    assert second.reason == "NodeRestarted"


def test_a_commit_of_uncertain_outcome_is_followed_by_a_new_claim() -> None:
    world, operator = running()
    world.restart(0)
    world.settle()
    appointment = wish(world, operator)
    assert isinstance(appointment, CommitTopology)
    world.apply(operator, appointment, uncertain=True)
    claim = wish(world, operator)
    assert isinstance(claim, CommitTopology)
    assert claim.reason == "Leading"
    assert claim.topology.leader == 2


def test_several_restarted_masters_are_appointed_in_one_commit_with_everything_else_equal() -> None:
    world, operator = running()
    before = world.committed
    world.restart(0)
    world.restart(2)
    world.settle()
    action = wish(world, operator)
    assert isinstance(action, CommitTopology)
    assert action.warning
    assert "restarted without data" in action.message
    assert [shard.term for shard in action.topology.shards] == [2, 1, 2]
    assert action.topology.nodes[1] == before.nodes[1]
    assert action.topology.owners == before.owners
    assert action.topology.epoch == before.epoch + 1


def test_a_loading_master_is_not_appointed_yet() -> None:
    world, operator = running()
    world.restart(0)
    world.settle()
    seen = world.observe(operator)
    loading = replace(seen.nodes[0], report=replace(seen.nodes[0].report, state="loading"))
    action = decide(world.spec, replace(seen, nodes=(loading, *seen.nodes[1:])), CLOCKLESS)
    assert isinstance(action, Wait)
    assert "ring-0-0 (loading)" in action.message


def test_a_piece_that_cannot_be_applied_keeps_no_master_waiting() -> None:
    world, operator = running()
    world.others["Service/ring-nodes"] = "drifted"
    world.restart(0)
    world.settle()
    assert isinstance(wish(world, operator), CommitTopology)


def test_an_intruder_gets_neither_topology_nor_role() -> None:
    world, operator = running()
    world.nodes["ring-1-0"].id = "f" * 40
    world.nodes["ring-1-0"].held = None
    world.nodes["ring-1-0"].run_id = "another"
    action = wish(world, operator)
    assert isinstance(action, Wait)
    assert action.warning
    assert "another node answers" in action.message


def test_the_topology_of_a_deleted_cluster_of_the_same_name_is_not_touched() -> None:
    world, operator = running()
    world.spec = replace(world.spec, uid="another-uid")
    action = wish(world, operator)
    assert isinstance(action, Wait)
    assert action.reason == "ForeignTopology"


def test_a_restored_older_topology_gives_way_to_what_the_nodes_hold() -> None:
    world, operator = running()
    older = world.committed
    world.restart(0)
    world.work(operator)
    newest = world.committed
    world.committed = older
    action = wish(world, Operator("new"))
    assert isinstance(action, CommitTopology)
    assert action.reason == "TopologyRebuilt"
    assert action.topology.epoch == newest.epoch + 1000
    assert action.topology.shards == newest.shards


def test_a_committed_document_that_nodes_would_refuse_is_committed_anew() -> None:
    world, operator = running()
    world.committed = replace(world.committed, leader=9)
    operator.leader_number = 9
    action = wish(world, operator)
    assert isinstance(action, CommitTopology)
    assert action.topology.epoch == world.committed.epoch + 1


def test_a_newer_topology_that_could_not_be_read_is_waited_for() -> None:
    world, operator = running()
    world.committed = None
    seen = replace(world.observe(operator), newest_held=None)
    assert isinstance(decide(world.spec, seen, CLOCKLESS), Wait)


def test_all_nodes_that_are_behind_are_pushed_to_at_once() -> None:
    world, _ = running()
    newcomer = Operator("new")
    claim = wish(world, newcomer)
    assert isinstance(claim, CommitTopology)
    world.apply(newcomer, replace(claim, at_once=False))
    push = wish(world, newcomer)
    assert isinstance(push, PushTopology)
    assert push.nodes == ("ring-0-0", "ring-1-0", "ring-2-0")


def test_settings_are_handed_to_those_that_hold_others_and_to_no_older_node() -> None:
    world, operator = running()
    world.change_settings(SETTINGS[1])
    world.set_by_hand(2, SETTINGS[1])
    pieces = wish(world, operator)
    assert isinstance(pieces, ApplyPieces), "first what nodes start from"
    world.apply(operator, pieces)
    push = wish(world, operator)
    assert isinstance(push, PushSettings)
    assert (push.settings, push.nodes) == (SETTINGS[1], ("ring-0-0", "ring-1-0"))
    seen = world.observe(operator)
    older = [replace(node, report=replace(node.report, settings="")) for node in seen.nodes]
    assert decide(world.spec, replace(seen, nodes=tuple(older)), CLOCKLESS) is None


def test_nothing_else_waits_for_a_node_that_refuses_settings() -> None:
    world, operator = running()
    world.set_by_hand(0, SETTINGS[1])
    assert isinstance(wish(world, operator), PushSettings)
    world.restart(1)
    world.settle()
    assert isinstance(wish(world, operator), CommitTopology)
    world.others["Service/ring-nodes"] = "drifted"
    world.work(operator)
    assert world.is_served()


def test_missing_pieces_are_made_in_the_order_in_which_they_stand() -> None:
    world = World(make_spec())
    action = wish(world, Operator("only"))
    assert isinstance(action, ApplyPieces)
    assert action.reason == "Creating"
    assert action.pieces == tuple(world.observe(Operator("only")).pieces)


def test_who_is_waited_for_is_named_with_the_reason() -> None:
    world, operator = running()
    node = world.nodes["ring-2-0"]
    node.phase, node.trouble = "failed", "exited with code 1: port 6402 is taken"
    action = wish(world, operator)
    assert isinstance(action, Wait)
    assert action.warning
    assert action.message == "2 of 3 nodes answer; waiting for ring-2-0 (exited with code 1: port 6402 is taken)"


def test_a_silent_node_keeps_the_first_topology_waiting() -> None:
    world = World(make_spec())
    operator = Operator("only")
    world.apply(operator, wish(world, operator))
    world.settle()
    world.nodes["ring-1-0"].reachable = False
    action = wish(world, operator)
    assert isinstance(action, Wait)
    assert "ring-1-0 (running, but does not answer yet)" in action.message


def test_nothing_observed_at_all_is_no_reason_to_fail() -> None:
    assert isinstance(decide(make_spec(), Observed(pieces={}, nodes=()), CLOCKLESS), Wait)
