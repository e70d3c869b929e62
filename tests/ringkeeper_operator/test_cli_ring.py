"""`ringkeeper ring`: what it tells, and what it says to impossible wishes."""

import json

import pytest
from click.testing import CliRunner

from ringkeeper_operator.cli_ring import ring_command
from ringkeeper_operator.ring_report import report

SHARES = ("moves_to_own_arcs_share", "ring_successor_share")


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(ring_command, words, prog_name="ringkeeper ring")
    assert result.exit_code == code, result.output
    return result.output


def test_growth_is_told_as_json() -> None:
    told = json.loads(run("--from", "3", "--to", "4", "--output", "json"))
    assert (told["from"], told["to"], told["vnodes_per_shard"], told["points_per_shard"]) == (3, 4, 1000, 1000)
    assert 1 <= told["peak_over_mean"] <= 1.02
    assert 0.95 <= told["emptiest_over_mean"] <= 1
    assert told["least_moves"] <= told["slots_moved"] <= 1.05 * told["least_moves"]
    assert told["moved_over_ideal"] == told["slots_moved"] / told["ideal_moves"] <= 1.05
    assert told["ideal_moves"] == 4096
    assert told["moves_to_own_arcs_share"] >= 0.75
    assert 0 < told["ring_successor_share"] <= 1
    assert 1000 < told["cluster_slots_ranges"] < 4000
    assert 300_000 < told["cluster_slots_reply_bytes"] < 1_500_000


def test_a_new_cluster_moves_nothing_and_sits_on_the_ring() -> None:
    told = json.loads(run("--to", "16", "-o", "json"))
    assert (told["from"], told["slots_moved"], told["least_moves"], told["moved_over_ideal"]) == (None, 0, 0, 1.0)
    assert told["ring_successor_share"] >= 0.9


def test_shrinking_moves_what_the_shard_held() -> None:
    found = report(4, 3)
    assert found.slots_moved == found.least_moves == found.ideal_moves == 4096
    assert found.moved_over_ideal == 1.0


def test_nothing_moves_when_nothing_changes() -> None:
    found = report(5, 5)
    assert (found.slots_moved, found.moved_over_ideal, found.moved_over_least) == (0, 1.0, 1.0)


def test_figures_are_over_the_fair_share_by_weight() -> None:
    found = report(3, 4, weights={0: 2.0, 3: 0.5})
    assert 1 <= found.peak_over_mean <= 1.02
    assert 0.95 <= found.emptiest_over_mean <= 1
    assert abs(found.ideal_moves - 16384 * 0.5 / 4.5) < 3


def test_people_are_told_the_same_in_words() -> None:
    text = run("--from", "3", "--to", "4", "--weights", "0=2,3=0.5")
    for word in ("from 3 to 4 shards", "peak_over_mean", "slots moved", "moved_over_ideal", "CLUSTER SLOTS", "bytes"):
        assert word in text
    assert "slots moved" not in run("--to", "4")


def test_other_weights_move_what_they_must() -> None:
    told = json.loads(run("--from", "3", "--from-weights", "0=1", "--to", "3", "--weights", "0=2", "-o", "json"))
    assert told["weights"] == {"0": 2.0}
    assert abs(told["weighted_slots"]["0"] - 8192) <= 0.02 * 8192
    assert told["ideal_moves"] == pytest.approx(16384 / 2 - 16384 / 3, abs=2)
    assert told["slots_moved"] <= 1.05 * told["ideal_moves"]
    text = run("--from", "3", "--from-weights", "0=1", "--to", "3", "--weights", "0=2")
    assert f"shard 0                {told['weighted_slots']['0']}   slots, with weight 2" in text


def test_a_shard_that_goes_away_may_have_a_weight() -> None:
    assert "from 4 to 3" in run("--from", "4", "--to", "3", "--weights", "3=2")


@pytest.mark.parametrize("shards", [1, 1000])
def test_the_smallest_and_the_largest_cluster_can_be_planned(shards: int) -> None:
    found = report(None, shards)
    assert found.to == shards
    assert found.points_per_shard == (1000 if shards == 1 else 4)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "Missing option '--to'"),
        ("--from 0 --to 4", "0 is not in the range 1<=x<=1000"),
        ("--to 1001", "1001 is not in the range 1<=x<=1000"),
        ("--to x", "'x' is not a valid integer"),
        ("--to 3 --vnodes 0", "0 is not in the range 1<=x<=4096"),
        ("--to 3 --output xml", "'xml' is not one of"),
        ("--from 3 --to 4 --weights 9=1", "shard 9 is not among the 4 of this plan (0 to 3)"),
        ("--to 3 --from-weights 0=2", "a new cluster had no weights before"),
        ("--from 2 --to 3 --from-weights 2=2", "shard 2 is not among the 2 of this plan (0 to 1)"),
        ("--to 3 --weights 0=nan", "a weight must be 0.01 to 100"),
        ("--to 3 --weights 0=0", "a weight must be 0.01 to 100"),
        ("--to 3 --weights 0=1e9", "a weight must be 0.01 to 100"),
        ("--to 3 --weights -1=1", "a shard an index from 0"),
        ("--to 3 --weights 0", "'0' is not SHARD=WEIGHT"),
        ("--to 3 --weights ,", "'' is not SHARD=WEIGHT"),
        ("--to 3 --weights 0=1,0=2", "shard 0 has two weights, 1 and 2"),
    ],
)
def test_impossible_wishes_end_with_code_2_and_a_reason(words: str, complaint: str) -> None:
    assert complaint in run(*words.split(), code=2)
