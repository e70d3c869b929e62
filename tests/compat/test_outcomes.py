"""How the outcomes of a foreign suite are judged; the suites themselves run behind `make compat`."""

import json
import pathlib

import pytest
from compat.outcomes import (
    FAILED,
    PASSED,
    SKIPPED,
    Expectation,
    Outcome,
    failed_on_both,
    judge,
    lost_tests,
    read_expected,
    read_record,
    render,
)

EXPECTED = pathlib.Path(__file__).with_name("expected.txt")


def record(*entries: tuple[str, str, str]) -> str:
    return "".join(json.dumps(dict(zip(("test", "outcome", "text"), entry, strict=True))) + "\n" for entry in entries)


def test_a_test_is_what_the_worst_of_its_phases_was() -> None:
    read = read_record(record(("a", PASSED, ""), ("a", FAILED, "teardown"), ("b", SKIPPED, "why"), ("c", PASSED, "")))
    assert read == {"a": Outcome(FAILED, "teardown"), "b": Outcome(SKIPPED, "why"), "c": Outcome(PASSED)}


def test_the_reason_of_a_failure_is_the_error_at_the_end_of_its_traceback() -> None:
    text = "Traceback (most recent call last):\n  File f\n    g()\nAssertionError: assert 1 == 2\n +  where 1 = g()\n"
    assert Outcome(FAILED, text).reason == "AssertionError: assert 1 == 2"
    assert Outcome(FAILED, "died").reason == "died"
    assert Outcome(FAILED).reason == "failed"


@pytest.mark.parametrize(
    ("theirs", "ours", "is_lost"),
    [
        (PASSED, PASSED, False),
        (PASSED, FAILED, True),
        (PASSED, SKIPPED, True),
        (SKIPPED, FAILED, True),
        (SKIPPED, SKIPPED, False),
        (FAILED, FAILED, False),
        (FAILED, PASSED, False),
    ],
)
def test_a_test_is_lost_if_redis_passes_it_or_skips_what_fails_here(theirs: str, ours: str, is_lost: bool) -> None:
    assert lost_tests({"a": Outcome(theirs)}, {"a": Outcome(ours)}) == (["a"] if is_lost else [])


def test_a_test_that_the_run_did_not_reach_is_lost() -> None:
    assert lost_tests({"a": Outcome(PASSED), "b": Outcome(FAILED)}, {}) == ["a"]


def test_only_a_star_is_special_in_a_pattern() -> None:
    line = Expectation("geo", "redis-py", "t.py::test_geo*[pool-1]")
    assert line.matches("redis-py", "t.py::test_geoadd[pool-1]")
    assert not line.matches("redis-py", "t.py::test_geoaddp")
    assert not line.matches("fakeredis", "t.py::test_geoadd[pool-1]")


def test_what_is_listed_is_checked_both_ways() -> None:
    theirs = {name: Outcome(PASSED) for name in ("geo", "geo_that_passes", "set", "get")}
    ours = theirs | {"geo": Outcome(FAILED, "no geo"), "set": Outcome(FAILED, "broken")}
    verdict = judge("suite", theirs, ours, [Expectation("geo", "*", "geo*"), Expectation("x", "other", "set")])
    assert verdict.excused == {"geo": ["geo"]}
    assert verdict.unexpected == {"set": "broken"}
    assert verdict.kept == ["geo_that_passes"]
    assert verdict.both == 2
    shown = render([verdict], {"geo": "comes later"})
    assert "suite set\n    broken" in shown
    assert "suite geo_that_passes\n    is listed in expected.txt, but passes" in shown
    assert "lost, as expected:    1  geo: comes later" in shown


def test_a_listed_test_that_fails_for_another_reason_is_not_excused() -> None:
    theirs = {"geo": Outcome(PASSED), "geo_set": Outcome(PASSED)}
    ours = {"geo": Outcome(FAILED, "unknown command 'GEOADD'"), "geo_set": Outcome(FAILED, "WRONGTYPE")}
    verdict = judge("suite", theirs, ours, [Expectation("geo", "*", "geo*", "unknown command 'GEO[A-Z]+'")])
    assert verdict.excused == {"geo": ["geo"]}
    assert verdict.unexpected == {"geo_set": "WRONGTYPE"}


def test_what_both_fail_can_be_tried_again() -> None:
    theirs = {name: Outcome(FAILED) for name in ("both", "ours_passes", "ours_lacks")} | {
        "redis_passes": Outcome(PASSED)
    }
    ours = {"both": Outcome(FAILED), "ours_passes": Outcome(PASSED), "redis_passes": Outcome(FAILED)}
    assert failed_on_both(theirs, ours) == ["both"]


def test_a_listed_test_that_passes_and_a_suite_that_did_not_run_are_failures() -> None:
    passed = {"a": Outcome(PASSED)}
    assert not judge("suite", passed, passed, []).is_bad
    assert judge("suite", passed, passed, [Expectation("x", "*", "a")]).is_bad
    verdict = judge("suite", passed, passed, [])
    verdict.missing = 3
    assert verdict.is_bad
    assert "REDIS PASSES TOO FEW by 3" in render([verdict], {})


def test_what_passed_at_the_second_try_is_named() -> None:
    verdict = judge("suite", {}, {}, [])
    verdict.second = {"redis": ["a"], "ringkeeper": []}
    assert "on redis at the second try only: a" in render([verdict], {})


def test_the_list_gives_every_subject_a_reason_and_every_line_a_subject() -> None:
    subjects, expected = read_expected(EXPECTED.read_text())
    assert {line.subject for line in expected} == set(subjects)
    assert all(line.says for line in expected)
    with pytest.raises(ValueError, match="line 1"):
        read_expected("redis-py t.py::test_a")
    with pytest.raises(ValueError, match="line 2"):
        read_expected("[geo] comes later\nredis-py t.py::test_a")
