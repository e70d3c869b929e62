"""That the judge of histories finds what cannot be: each of these was written to be right or wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from partitions.checker import NEVER, Operation, build, judge


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("checker"))


def history(*lines: str) -> list[Operation]:
    """Of lines `sent-received kind argument -> result`; `?` stands for what never came."""
    operations = []
    for client, line in enumerate(lines):
        asked, _, told = line.partition(" -> ")
        times, kind, *argument = asked.split()
        sent, received = times.split("-")
        result = None if told in ("", "OK", "nothing") else told
        end = NEVER if received == "?" else int(received)
        operations.append(Operation(client, 0, "k", kind, "".join(argument), int(sent), end, result))
    return operations


GOOD = {
    "one after another": ("1-2 set 5 -> OK", "3-4 incr -> 6", "5-6 get -> 6"),
    "at the same time, in either order": ("1-9 set 5 -> OK", "2-3 get -> nothing", "4-5 get -> 5"),
    "without an answer and done": ("1-? set 5", "7-8 get -> 5"),
    "without an answer and not done": ("1-? set 5", "7-8 get -> nothing", "9-10 get -> nothing"),
    "without an answer and done late": ("1-? incr", "2-3 get -> nothing", "4-5 incr -> 2"),
    "a read without an answer": ("1-2 set 5 -> OK", "3-? get"),
}
BAD = {
    "a lost write": ("1-2 set 5 -> OK", "3-4 get -> nothing"),
    "an old value after a new one": ("1-9 set 5 -> OK", "2-3 get -> 5", "4-5 get -> nothing"),
    "an old value after its successor was acknowledged": ("1-2 set 5 -> OK", "3-4 set 6 -> OK", "5-6 get -> 5"),
    "a value that nobody wrote": ("1-2 set 5 -> OK", "3-4 get -> 6"),
    "two clients that counted the same": ("1-4 incr -> 1", "2-5 incr -> 1"),
    "a count that goes back": ("1-2 incr -> 1", "3-4 incr -> 2", "5-6 incr -> 2"),
    "a count that nobody made": ("1-2 incr -> 1", "3-4 incr -> 3"),
    "without an answer, seen and gone again": ("1-? set 5", "2-3 get -> 5", "4-5 get -> nothing"),
    "without an answer and done twice": ("1-? incr", "2-3 get -> 1", "4-5 get -> 2"),
    "a read before the write was asked for": ("1-2 get -> 5", "3-? set 5"),
}


@pytest.mark.parametrize("lines", GOOD.values(), ids=GOOD)
def test_a_history_that_can_be_is_accepted(program: Path, lines: tuple[str, ...]) -> None:
    assert judge(program, history(*lines)) == []


@pytest.mark.parametrize("lines", BAD.values(), ids=BAD)
def test_a_history_that_cannot_be_is_found(program: Path, lines: tuple[str, ...]) -> None:
    (told,) = judge(program, history(*lines))
    assert "k: not linearizable" in told


def test_the_operations_that_contradict_each_other_are_told(program: Path) -> None:
    (told,) = judge(program, history("1-2 set 5 -> OK", "3-4 set 6 -> OK", "5-6 get -> 5", "7-8 get -> 6"))
    placed, _, left = told.partition("none of these can come next")
    assert "set 6 -> OK" in placed
    assert "get  -> 5" in left


def test_keys_are_judged_each_by_itself(program: Path) -> None:
    one = history("1-2 set 5 -> OK", "3-4 get -> 5")
    other = [
        Operation(each.client, 0, "other", each.kind, each.argument, each.sent, each.received, each.result)
        for each in history("1-2 get -> nothing", "3-4 set 7 -> OK", "5-6 get -> nothing")
    ]
    (told,) = judge(program, one + other)
    assert "other: not linearizable" in told
    assert "k: not" not in told


def test_what_is_no_history_is_not_judged(program: Path) -> None:
    (told,) = judge(program, history("1-2 append 5 -> OK"))
    assert "no known kind" in told
