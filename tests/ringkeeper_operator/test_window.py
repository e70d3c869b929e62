"""`spec.rebalance.window`: when it is open, what begins only then, and what is said meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_world import Operator, World, make_spec

from ringkeeper.cluster.ring import bounds_of, fair_shares, least_moves
from ringkeeper.cluster.topology import FEEDING, Topology
from ringkeeper_operator import manifest
from ringkeeper_operator.cli_scale import planned
from ringkeeper_operator.decide import decide
from ringkeeper_operator.manifest import ManifestError
from ringkeeper_operator.model import Action, CommitTopology, RebalanceRules, Refuse, Wait, Window
from ringkeeper_operator.plan import rebalance
from ringkeeper_operator.plan.window import next_opening
from ringkeeper_operator.rebalance_status import news
from ringkeeper_operator.status import build_status

EVERY_DAY = tuple(range(7))
HOUR = 3600


def minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def window(start: str, end: str, zone: str = "Etc/UTC", days: tuple[int, ...] = EVERY_DAY) -> Window:
    return Window(minutes(start), minutes(end), days, zone)


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


SAT, SUN = 5, 6
NIGHT = window("02:00", "05:00")
OVER_MIDNIGHT = window("22:00", "04:00", days=(SAT,))
WEEKEND = window("00:00", "24:00", days=(SAT, SUN))
BERLIN = "Europe/Berlin"
OPEN = ""


@pytest.mark.parametrize(
    ("hours", "now", "opens"),
    [
        (NIGHT, "2026-11-28T01:59:59Z", "2026-11-28T02:00:00Z"),
        (NIGHT, "2026-11-28T02:00:00Z", OPEN),
        (NIGHT, "2026-11-28T04:59:59Z", OPEN),
        (NIGHT, "2026-11-28T05:00:00Z", "2026-11-29T02:00:00Z"),
        (OVER_MIDNIGHT, "2026-11-28T21:59:59Z", "2026-11-28T22:00:00Z"),
        (OVER_MIDNIGHT, "2026-11-29T03:59:59Z", OPEN),
        (OVER_MIDNIGHT, "2026-11-29T04:00:00Z", "2026-12-05T22:00:00Z"),
        (OVER_MIDNIGHT, "2026-11-28T03:00:00Z", "2026-11-28T22:00:00Z"),
        (WEEKEND, "2026-11-27T23:59:59Z", "2026-11-28T00:00:00Z"),
        (WEEKEND, "2026-11-29T00:00:00Z", OPEN),
        (WEEKEND, "2026-11-30T00:00:00Z", "2026-12-05T00:00:00Z"),
        (window("00:00", "24:00"), "2026-11-28T00:00:00Z", OPEN),
        (window("02:00", "05:00", "Asia/Kolkata"), "2026-11-27T20:29:59Z", "2026-11-27T20:30:00Z"),
        (window("02:00", "05:00", "Asia/Kolkata"), "2026-11-27T20:30:00Z", OPEN),
        # Clocks go forward: 02:00 is 03:00 at once.
        (window("02:00", "05:00", BERLIN), "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"),
        (window("02:00", "05:00", BERLIN), "2026-03-29T02:59:59Z", OPEN),
        (window("02:00", "05:00", BERLIN), "2026-03-29T03:00:00Z", "2026-03-30T00:00:00Z"),
        (window("02:15", "02:45", BERLIN), "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"),
        (window("02:30", "03:15", BERLIN), "2026-03-29T00:00:00Z", "2026-03-30T00:30:00Z"),
        # Clocks go back: 03:00 is 02:00 again.
        (window("02:30", "03:30", BERLIN), "2026-10-25T00:29:59Z", "2026-10-25T00:30:00Z"),
        (window("02:30", "03:30", BERLIN), "2026-10-25T01:15:00Z", OPEN),
        (window("02:30", "03:30", BERLIN), "2026-10-25T02:30:00Z", "2026-10-26T01:30:00Z"),
        (window("01:00", "02:30", BERLIN), "2026-10-25T00:30:00Z", "2026-10-26T00:00:00Z"),
    ],
)
def test_a_window_is_open_by_the_clock_of_its_zone(hours: Window, now: str, opens: str) -> None:
    assert next_opening(hours, at(now)) == (at(opens) if opens else None)


@given(
    st.integers(0, 24 * 60 - 1), st.integers(0, 24 * 60), st.sets(st.integers(0, 6), min_size=1),
    st.sampled_from(["Etc/UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"]),
    st.integers(int(at("2011-12-01T00:00:00Z")), int(at("2030-01-01T00:00:00Z"))), st.floats(0, 1),
)  # fmt: skip
def test_it_stays_closed_until_it_opens(start: int, end: int, days: set[int], zone: str, now: int, part: float) -> None:
    hours = Window(start, end if end != start else end + 1, tuple(sorted(days)), zone)
    opens = next_opening(hours, now)
    if opens is None:
        return
    assert now < opens <= now + 15 * 24 * HOUR
    assert next_opening(hours, opens) is None
    between = int(now + part * (opens - now))
    assert next_opening(hours, between) == (opens if between < opens else None)


# The manifest


def cluster(**given: Any) -> str:
    document = {"apiVersion": "ringkeeper.dev/v1alpha1", "kind": "CacheCluster", "metadata": {"name": "c"}}
    return yaml.safe_dump(document | {"spec": {"rebalance": {"window": given}}})


def test_a_window_is_read_and_what_is_left_out_has_its_default() -> None:
    def read(text: str) -> Window | None:
        return manifest.spec_of(manifest.load(text, "f").cluster, uid="u").rebalance.window

    assert read(cluster(start="02:00", end="05:30")) == Window(120, 330, EVERY_DAY, "Etc/UTC")
    given = cluster(start="22:00", end="24:00", timeZone=BERLIN, days=["Sun", "Mon"])
    assert read(given) == Window(22 * 60, 24 * 60, (0, 6), BERLIN)
    assert read(given.replace("'", "")) == read(given), "a time of day needs no quotes, as with kubectl"


AT = "spec.rebalance.window"
MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"start": "02:00"}, f"{AT}.end: missing; must be a time of day from 00:00 to 24:00"),
    ({"start": "2:00", "end": "05:00"}, f"{AT}.start: 2:00 is not allowed; must be a time of day from 00:00 to 23:59"),
    ({"start": "24:00", "end": "05:00"}, f"{AT}.start: 24:00 is not allowed; must be a time of day"),
    ({"start": "02:00", "end": "24:01"}, f"{AT}.end: 24:01 is not allowed; must be a time of day from 00:00 to 24:00"),
    ({"start": 2, "end": "05:00"}, f"{AT}.start: 2 is not allowed; must be a time of day from 00:00 to 23:59; put"),
    ({"start": "02:00", "end": "02:00"},
     f"{AT}.end: 02:00 is not allowed; must not be {AT}.start; a whole day is from 00:00 to 24:00"),
    ({"timeZone": "Europe/Berln"},
     f"{AT}.timeZone: Europe/Berln is not allowed; must be an IANA time zone such as Europe/Berlin or Etc/UTC; did you "
     "mean Europe/Berlin?"),
    ({"timeZone": "Local"}, f"{AT}.timeZone: Local is not allowed; must be an IANA time zone"),
    ({"timeZone": "Europe"}, f"{AT}.timeZone: Europe is not allowed; must be an IANA time zone"),
    ({"timeZone": "../../etc/passwd"}, f"{AT}.timeZone: ../../etc/passwd is not allowed; must be an IANA time zone"),
    ({"days": []}, f"{AT}.days: 0 entries; must be at least 1, or leave the field out"),
    ({"days": ["Monday"]}, f"{AT}.days[0]: Monday is not allowed; must be Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
    ({"days": ["Mon", "Tue", "Mon"]}, f"{AT}.days[2]: Mon stands twice, at {AT}.days[0] before; keep one"),
    ({"timezone": "Etc/UTC"}, f"{AT}.timezone: unknown field; did you mean timeZone?"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "complaint"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_named_with_field_value_and_range(given: dict[str, Any], complaint: str) -> None:
    hours = {"start": "02:00", "end": "05:00"} if "start" not in given else {}
    with pytest.raises(ManifestError) as raised:
        manifest.load(cluster(**hours, **given), "f")
    (problem,) = raised.value.problems
    assert complaint in problem


# What begins, and what does not

BEFORE, WITHIN = at("2026-11-28T01:00:00Z"), at("2026-11-28T03:00:00Z")


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebalance, "BATCH_SLOTS", 512)


def growing(**changes: Any) -> tuple[World, Operator]:
    """A cluster of three shards that is just asked to be another one, with a window."""
    world, operator = World(make_spec()), Operator("only")
    world.work(operator)
    rules = RebalanceRules(window=NIGHT)
    world.spec = replace(world.spec, **({"shards": 4, "rebalance": rules} | changes))
    return world, operator


def step(world: World, operator: Operator, now: float) -> Action | None:
    action = decide(world.spec, world.observe(operator), now)
    if action is None or isinstance(action, Wait | Refuse):
        world.settle()
    else:
        world.apply(operator, action)
    return action


def work(world: World, operator: Operator, now: float) -> None:
    """Until nothing is left to do at this time."""
    for _ in range(600):
        if step(world, operator, now) is None:
            return
    raise AssertionError("it does not end")


def is_balanced(world: World) -> bool:
    assert world.committed is not None
    fairs = fair_shares(range(world.spec.shards), world.spec.weights)
    return least_moves(world.committed.owners, {shard: bounds_of(fair) for shard, fair in fairs.items()}) == 0


def begun(topology: Topology) -> set[int]:
    return {move.id for move in topology.moves if move.phase == FEEDING}


@pytest.mark.parametrize("changes", [{}, {"shards": 2}, {"shards": 3, "weights": {0: 2.0}}])
def test_nothing_begins_before_the_window_opens(changes: dict[str, Any]) -> None:
    world, operator = growing(**changes)
    work(world, operator, BEFORE)
    assert not any(topology.moves for topology in world.history)
    assert world.committed is not None
    assert len(world.committed.shards) == max(3, world.spec.shards), "who comes is there, who goes stays"
    work(world, operator, WITHIN)
    assert is_balanced(world)
    assert len(world.committed.shards) == world.spec.shards


def test_what_is_under_way_when_it_closes_is_brought_to_its_end_and_nothing_follows() -> None:
    world, operator = growing()
    while not (isinstance(action := step(world, operator, WITHIN), CommitTopology) and action.reason == "MovesBegun"):
        pass
    started = begun(action.topology)
    slots = {slot: move.target for move in action.topology.moves for slot in move.slots}
    closed = at("2026-11-28T05:00:00Z")
    work(world, operator, closed)
    assert world.committed is not None
    assert set().union(*map(begun, world.history)) == started
    assert all(world.committed.owners[slot] == target for slot, target in slots.items())
    assert not is_balanced(world)
    world.measured.clear()
    assert step(world, operator, closed) is None, "nobody is asked what slots hold, as long as it is closed"
    work(world, operator, closed + 22 * HOUR)
    assert is_balanced(world)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(2, 5), st.integers(1, 12)), max_size=12))
def test_whenever_shards_come_and_go_nothing_begins_outside_the_window(changes: list[tuple[int, int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rebalance, "BATCH_SLOTS", 1024)
        world, operator = growing()
        now = BEFORE
        for hours, shards, rounds in changes:
            now += hours * HOUR
            world.spec = replace(world.spec, shards=shards)
            for _ in range(rounds):
                before = world.history[-1]
                step(world, operator, now)
                if begun(world.history[-1]) - begun(before):
                    assert next_opening(NIGHT, now) is None
        work(world, operator, at("2026-12-05T03:00:00Z"))
        assert is_balanced(world)


# What is told

OPENS = "the window opens on Sat 2026-11-28 at 02:00 (Etc/UTC)"


def test_the_status_says_when_the_window_opens() -> None:
    world, operator = growing()
    work(world, operator, BEFORE)
    status = build_status(world.spec, world.observe(operator), None, {}, BEFORE)
    section = status["rebalance"]
    assert (section["phase"], section["blocked"]) == ("Waiting", OPENS)
    (condition,) = (entry for entry in status["conditions"] if entry["type"] == "Rebalancing")
    assert (condition["status"], condition["reason"]) == ("False", "Waiting")
    assert condition["message"].endswith(f"so that 4 shards have even shares; waiting: {OPENS}")
    event = news({}, section)
    assert event is not None
    assert event.reason == "RebalanceWaiting"
    assert news(section, section) is None
    lines = planned(world.spec, world.observe(operator), BEFORE)
    assert lines[-1] == f"they would wait: {OPENS}"
    assert not any("wait" in line for line in planned(world.spec, world.observe(operator), WITHIN))


def test_the_clock_of_the_zone_is_told() -> None:
    berlin = RebalanceRules(window=window("02:00", "05:00", BERLIN))
    world, operator = growing(rebalance=berlin)
    status = build_status(world.spec, world.observe(operator), None, {}, at("2026-03-28T12:00:00Z"))
    assert status["rebalance"]["blocked"] == "the window opens on Sun 2026-03-29 at 03:00 (Europe/Berlin)"


@pytest.mark.parametrize(("rules", "phase"), [({"paused": True}, "Paused"), ({"dry_run": True}, "DryRun")])
def test_whoever_pauses_is_told_that(rules: dict[str, bool], phase: str) -> None:
    world, operator = growing(rebalance=RebalanceRules(window=NIGHT, **rules))
    assert build_status(world.spec, world.observe(operator), None, {}, BEFORE)["rebalance"]["phase"] == phase
