"""Masters that failures have gathered on a host or in a zone are spread again, by handovers that each improve it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_world import Operator, World, make_spec

from ringkeeper.cluster.arbiter import Verdict
from ringkeeper.cluster.changes import Appoint, BeginMove, SetVoters, basis, carried_out
from ringkeeper.cluster.position import Position
from ringkeeper.cluster.topology import VoterRun
from ringkeeper_operator.decide import decide
from ringkeeper_operator.model import AskHandover, Handover, Observed, Spec
from ringkeeper_operator.plan.spread import CALM_BYTES, CALM_SECONDS, spread_masters


def seen(where: Mapping[str, str], *, replicas: int = 1) -> tuple[Spec, Observed]:
    """A calm cluster whose first nodes are masters. `where`: by shard and ordinal, `host` or `zone/host`."""
    shards = 1 + max(int(place.partition("-")[0]) for place in where)
    world = World(make_spec(shards=shards, replicas_per_shard=replicas))
    operator = Operator("only")
    world.work(operator)
    for place, text in where.items():
        node = world.nodes[f"ring-{place}"]
        node.zone, _, node.host = text.rpartition("/")
    return world.spec, replace(world.observe(operator), calm_seconds=CALM_SECONDS)


GATHERED = {"0-0": "a", "0-1": "b", "1-0": "a", "1-1": "c"}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (GATHERED, "shard 0: ring-0-0 is asked to make room for ring-0-1: 2 masters on host a, no masters on host b"),
        ({"0-0": "a", "0-1": "b", "1-0": "b", "1-1": "a"}, None),
        ({"0-0": "a", "0-1": "a", "1-0": "a", "1-1": "a"}, None),
        (
            {"0-0": "a", "0-1": "b", "1-0": "a", "1-1": "c", "2-0": "a", "2-1": "c", "3-0": "b", "3-1": "a"},
            "shard 1: ring-1-0 is asked to make room for ring-1-1: 3 masters on host a, no masters on host c",
        ),
        (
            {"0-0": "x/a", "0-1": "y/c", "1-0": "x/b", "1-1": "y/d"},
            "shard 0: ring-0-0 is asked to make room for ring-0-1: 2 masters in zone x, no masters in zone y",
        ),
        (
            {"0-0": "x/a", "0-1": "x/b", "1-0": "x/a", "1-1": "x/a", "2-0": "y/c", "2-1": "x/a"},
            "shard 0: ring-0-0 is asked to make room for ring-0-1: 2 masters on host a, no masters on host b",
        ),
        ({"0-0": "x/a", "0-1": "y/c", "1-0": "x/b", "1-1": "d"}, None),
    ],
    ids=["gathered", "spread", "one host", "most gained", "zones", "hosts of one zone", "a zone that is not known"],
)
def test_a_master_makes_room_where_that_spreads_them(where: dict[str, str], message: str | None) -> None:
    action = spread_masters(*seen(where))
    assert (action and action.message) == message


def test_it_is_what_is_decided_when_nothing_else_is_to_be_done() -> None:
    spec, observed = seen(GATHERED)
    action = decide(spec, observed, 0.0)
    assert isinstance(action, AskHandover)
    assert (action.reason, action.shard, action.term) == ("SpreadingMasters", 0, 1)


def changed(observed: Observed, name: str, **report: object) -> Observed:
    nodes = tuple(
        replace(node, report=replace(node.report, **report)) if node.name == name else node  # type: ignore[type-var,arg-type]
        for node in observed.nodes
    )
    return replace(observed, nodes=nodes)


def judged(observed: Observed, verdict: Verdict) -> Observed:
    return replace(observed, verdicts={**observed.verdicts, 1: verdict})


def pending(observed: Observed) -> Observed:
    assert observed.topology
    change = SetVoters(basis(observed.topology, observed.topology.shards[1]), (), 0)
    return judged(observed, Verdict("healthy", "", change))


def moving(observed: Observed) -> Observed:
    assert observed.topology
    source, target = (basis(observed.topology, shard) for shard in observed.topology.shards)
    after = carried_out(observed.topology, BeginMove(source, target, (observed.topology.owners.index(0),), 0))
    assert after
    return replace(observed, topology=replace(after, epoch=observed.topology.epoch))


@pytest.mark.parametrize(
    "unfit",
    [
        lambda seen: replace(seen, calm_seconds=CALM_SECONDS - 1),
        lambda seen: replace(seen, handovers={1: "x"}),
        lambda seen: replace(seen, nodes=seen.nodes[:-1]),
        lambda seen: replace(seen, verdicts={}),
        lambda seen: judged(seen, Verdict("suspected", "")),
        pending,
        moving,
        lambda seen: changed(seen, "ring-1-1", link="sync"),
        lambda seen: changed(seen, "ring-1-1", lag_bytes=CALM_BYTES),
        lambda seen: changed(seen, "ring-1-1", candidate=False),
        lambda seen: changed(seen, "ring-1-1", leaving=True),
        lambda seen: changed(seen, "ring-1-1", epoch=1),
        lambda seen: changed(seen, "ring-1-0", state="fenced"),
        lambda seen: changed(seen, "ring-1-1", run_id="another"),
    ],
    ids=[
        "a failover just now", "a handover elsewhere", "a node is away", "nothing is heard", "a suspected master",
        "voters change", "slots move", "a replica syncs", "a replica lags", "a replica has no data",
        "a replica is about to end", "a node is behind",
        "a master is fenced", "a node has restarted",
    ],
)  # fmt: skip
def test_while_not_all_is_calm_and_well_nobody_is_moved(unfit: object) -> None:
    spec, observed = seen(GATHERED)
    assert spread_masters(spec, unfit(observed)) is None  # type: ignore[operator]


def test_what_a_person_asks_for_comes_first() -> None:
    spec, observed = seen(GATHERED)
    assert spread_masters(replace(spec, handovers=(Handover(1),)), observed) is None


def handed_over(observed: Observed, action: AskHandover) -> Observed:
    assert observed.topology
    shard = observed.topology.shards[action.shard]
    chosen = observed.topology.node(action.target)
    assert chosen
    others = [node for node in observed.topology.nodes if node.shard == action.shard and node is not chosen]
    voters = tuple(VoterRun(node.id, node.run_id) for node in others)
    change = Appoint(basis(observed.topology, shard), VoterRun(chosen.id, chosen.run_id), Position(1, 0), voters, "")
    after = carried_out(observed.topology, change)
    assert after
    roles = {node.id: node.role for node in after.nodes}
    nodes = tuple(
        replace(node, report=replace(node.report, role=roles[node.report.id], epoch=after.epoch, link="connected"))
        for node in observed.nodes
        if node.report
    )
    return replace(observed, topology=after, nodes=nodes)


def places(observed: Observed) -> tuple[list[str], list[str]]:
    """Zones and hosts of the masters."""
    masters = [node for node in observed.nodes if node.report and node.report.role == "master"]
    return [node.zone for node in masters], [f"{node.zone}/{node.host}" for node in masters]


def unevenness(observed: Observed) -> list[int]:
    return [sum(count**2 for count in Counter(where).values()) for where in places(observed)]


HOSTS = st.sampled_from(["x/a", "x/b", "y/c", "y/d", "z/e"])


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 2))
def test_every_handover_makes_the_spread_better_until_none_can(data: st.DataObject, shards: int, replicas: int) -> None:
    where = {f"{shard}-{ordinal}": data.draw(HOSTS) for shard in range(shards) for ordinal in range(1 + replicas)}
    spec, observed = seen(where, replicas=replicas)
    for _ in range(shards * shards):
        action = spread_masters(spec, observed)
        if action is None:
            break
        after = handed_over(observed, action)
        assert unevenness(after) < unevenness(observed)
        observed = after
    assert spread_masters(spec, observed) is None
    assert observed.topology
    for node in observed.topology.nodes:
        if node.role == "replica":
            other = AskHandover(reason="", message="", shard=node.shard, term=0, target=node.id)
            assert unevenness(handed_over(observed, other)) >= unevenness(observed), "one handover would still help"
