"""The judge of crash tests finds every kind of loss, and nothing where nothing is lost."""

from __future__ import annotations

import pytest
from crash.history import Found, History, Lost, Step, in_order
from crash.model import OK, Words
from crash.states import NO_REPLY, Held, Span

NOW = Span(2000, 2000)
KILLED = 1900.0


def step(*words: bytes, at: float = 1000, reply: object = NO_REPLY, database: int = 0) -> Step:
    return Step(database, [list(words)], at, None if reply is NO_REPLY else at + 1, reply)


def history(*steps: Step, start: Found | None = None) -> History:
    made = History(b"c0:")
    made.start = start or {}
    made.steps = list(steps)
    return made


def found(**values: object) -> Found:
    return {(0, b"c0:" + name.encode()): Held(value) for name, value in values.items()}


def survivors(history: History, found: Found, required: int = 0) -> list[int]:
    return history.survived(found, required, KILLED, NOW)


A1, A2 = step(b"SET", b"c0:a", b"1", reply=OK), step(b"SET", b"c0:a", b"2", reply=OK)
B1 = step(b"RPUSH", b"c0:b", b"x", b"y", reply=2)


def test_what_is_there_is_what_some_of_the_steps_make() -> None:
    steps = history(A1, B1, A2)
    assert survivors(steps, found()) == [0]
    assert survivors(steps, found(a=b"1")) == [1]
    assert survivors(steps, found(a=b"1", b=(b"x", b"y"))) == [2]
    assert survivors(steps, found(a=b"2", b=(b"x", b"y")), required=3) == [3]


@pytest.mark.parametrize(
    ("there", "required"),
    [
        (found(a=b"1", b=(b"x", b"y")), 3),  # the last answered step is lost
        (found(a=b"3"), 0),  # never written
        (found(a=b"2"), 0),  # a later step without an earlier one
        (found(b=(b"x", b"y")), 0),
        (found(a=b"1", b=(b"x",)), 0),  # half a command
        (found(a=b"1", b=(b"x", b"y", b"x", b"y")), 0),  # executed twice
        (found(a=b"1", c=b"1"), 0),  # a key that nobody made
        ({(1, b"c0:a"): Held(b"1")}, 0),  # in another database
        ({(0, b"c0:a"): Held(b"1", Span(5000, 5000))}, 0),  # it was not to expire
    ],
)
def test_a_loss_is_found(there: Found, required: int) -> None:
    with pytest.raises(Lost, match="3 steps were sent"):
        survivors(history(A1, B1, A2), there, required)


def test_a_deleted_key_does_not_come_back() -> None:
    steps = history(step(b"DEL", b"c0:a", reply=1), start=found(a=b"1"))
    assert survivors(steps, {}, required=1) == [1]
    with pytest.raises(Lost, match="must be there"):
        survivors(steps, found(a=b"1"), required=1)


def test_of_a_transaction_all_is_there_or_nothing() -> None:
    words: list[Words] = [[b"SET", b"c0:a", b"1"], [b"SET", b"c0:b", b"1"]]
    steps = history(Step(0, words, 1000, 1001, [OK, OK]))
    assert survivors(steps, found(a=b"1", b=b"1")) == [1]
    with pytest.raises(Lost, match="closest"):
        survivors(steps, found(a=b"1"))


def test_a_key_goes_when_its_time_has_come_and_not_before() -> None:
    soon = history(step(b"SET", b"c0:a", b"1", b"PX", b"900", reply=OK))
    late = history(step(b"SET", b"c0:a", b"1", b"PXAT", b"90000", reply=OK))
    assert survivors(soon, {}, required=1) == [1]
    assert survivors(late, {(0, b"c0:a"): Held(b"1", Span(90000, 90000))}, required=1) == [1]
    for there in ({}, found(a=b"1"), {(0, b"c0:a"): Held(b"1", Span(95000, 95000))}):
        with pytest.raises(Lost, match="must be there"):
            survivors(late, there, required=1)


def test_a_reply_tells_whether_a_key_had_expired() -> None:
    """The list was to expire at about the time of the push."""
    start = {(0, b"c0:b"): Held((b"old",), Span(1000, 1000))}
    new = history(step(b"RPUSH", b"c0:b", b"new", reply=1), start=start)
    assert survivors(new, found(b=(b"new",)), required=1) == [1]
    with pytest.raises(Lost, match="must be there"):
        survivors(new, found(b=(b"old", b"new")), required=1)
    unknown = history(step(b"RPUSH", b"c0:b", b"new"), start=start)
    assert survivors(unknown, found(b=(b"new",)), required=1) == [1]


def test_a_pop_that_was_not_answered_may_have_taken_any_member() -> None:
    start = found(t=frozenset((b"1", b"2")))
    for left in (b"1", b"2"):
        assert survivors(history(step(b"SPOP", b"c0:t"), start=start), found(t=frozenset((left,))), 1) == [1]
        with pytest.raises(Lost, match="must be there"):
            survivors(history(step(b"SPOP", b"c0:t", reply=left), start=start), found(t=frozenset((left,))), 1)


def test_an_answer_that_cannot_be_is_found() -> None:
    with pytest.raises(AssertionError, match="was answered 3"):
        survivors(history(step(b"RPUSH", b"c0:b", b"x", reply=3)), {})


def test_what_was_answered_before_something_that_survived_survived() -> None:
    first = history(step(b"SET", b"c0:a", b"1", at=1000, reply=OK))
    second = History(b"c1:")
    second.steps = [step(b"SET", b"c1:a", b"1", at=1500, reply=OK)]
    in_order([first, second], [[1], [1]])
    in_order([first, second], [[1], [0]])
    with pytest.raises(Lost, match="c0:"):
        in_order([first, second], [[0], [1]])
