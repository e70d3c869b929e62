"""The replica's side of PSYNC, fed in pieces of any size."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.replication.greeting import (
    Announced,
    Continued,
    Event,
    Full,
    Greeting,
    Payload,
    PayloadEnd,
    Refused,
    Step,
    Stream,
    Welcomed,
)
from ringkeeper.resp.writer import encode_command

ID = "0123456789" * 4
MARK = b"the mark of a snapshot, forty bytes long"
STEPS = [Step([b"PING"], "ping", needed=False), Step([b"AUTH", b"x"], "auth")]


def received(greeting: Greeting, data: bytes, size: int) -> tuple[list[Event], bytes]:
    """What comes of some bytes in pieces of this size: events, with payloads and stream joined, and the answers."""
    events: list[Event] = []
    answers = b""
    for start in range(0, len(data), size):
        found, answer = greeting.receive(data[start : start + size])
        answers += answer
        for event in found:
            last = events[-1] if events else None
            if isinstance(event, Payload) and isinstance(last, Payload):
                events[-1] = Payload(last.data + event.data)
            elif isinstance(event, Stream) and isinstance(last, Stream):
                events[-1] = Stream(last.data + event.data)
            else:
                events.append(event)
    return events, answers


@settings(deadline=None)
@given(st.integers(1, 200), st.binary(max_size=500), st.binary(min_size=1, max_size=100))
def test_a_snapshot_that_ends_with_a_mark_is_cut_out(size: int, snapshot: bytes, stream: bytes) -> None:
    greeting = Greeting([], "", 0)
    data = b"+FULLRESYNC %b 71\r\n\n\n$EOF:%b\r\n%b%b%b" % (ID.encode(), MARK, snapshot, MARK, stream)
    events, _ = received(greeting, data, size)
    payload: list[Event] = [Payload(snapshot)] if snapshot else []
    assert events == [Full(ID, 71), Announced(-1, MARK), *payload, PayloadEnd(), Stream(stream)]


@settings(deadline=None)
@given(st.integers(1, 200), st.binary(max_size=500), st.binary(min_size=1, max_size=100))
def test_a_snapshot_of_known_length_is_cut_out(size: int, snapshot: bytes, stream: bytes) -> None:
    greeting = Greeting([], "", 0)
    data = b"+FULLRESYNC %b 0\r\n\n$%d\r\n%b%b" % (ID.encode(), len(snapshot), snapshot, stream)
    events, _ = received(greeting, data, size)
    payload: list[Event] = [Payload(snapshot)] if snapshot else []
    assert events == [Full(ID, 0), Announced(len(snapshot)), *payload, PayloadEnd(), Stream(stream)]


def test_each_step_waits_for_the_answer_to_the_one_before() -> None:
    greeting = Greeting(STEPS, ID, 41)
    assert greeting.opening() == encode_command([b"PING"])
    assert greeting.receive(b"-NOAUTH who are you\r\n") == (
        [Welcomed("ping", "-NOAUTH who are you")],
        encode_command([b"AUTH", b"x"]),
    )
    assert greeting.receive(b"+OK\r\n") == (
        [Welcomed("auth", "+OK")],
        encode_command([b"PSYNC", ID.encode(), b"42"]),
    )
    assert greeting.receive(b"\n+CONTINUE\r\nabc") == ([Continued(""), Stream(b"abc")], b"")


def test_a_step_that_is_needed_and_fails_ends_it() -> None:
    greeting = Greeting(STEPS, "", 0)
    greeting.receive(b"+PONG\r\n")
    assert greeting.receive(b"-WRONGPASS no\r\n+OK\r\n") == ([Refused("WRONGPASS no")], b"")


def test_what_is_no_answer_to_psync_ends_it() -> None:
    for line in (b"-LOADING later", b"+FULLRESYNC short 5", b"+FULLRESYNC %b -1" % ID.encode(), b":1"):
        events, _ = Greeting([], "", 0).receive(line + b"\r\n")
        assert len(events) == 1
        assert isinstance(events[0], Refused)


def test_a_line_without_end_is_refused() -> None:
    events, _ = Greeting([], "", 0).receive(b"+" * 5000)
    assert isinstance(events[0], Refused)


def test_what_is_no_announcement_is_refused() -> None:
    for line in (b"$-5", b"$EOF:short", b"+OK", b"$99999999999999999999999"):
        greeting = Greeting([], "", 0)
        greeting.receive(b"+FULLRESYNC %b 0\r\n" % ID.encode())
        assert isinstance(greeting.receive(line + b"\r\n")[0][0], Refused)


@settings(deadline=None)
@given(st.integers(1, 200), st.binary(max_size=500), st.binary(min_size=1, max_size=100))
def test_the_rest_of_a_snapshot_is_cut_out_and_says_where_it_begins(size: int, rest: bytes, stream: bytes) -> None:
    greeting = Greeting([], "", 0)
    data = b"+FULLRESYNC %b 71\r\n\n$REST:%b:4096\r\n%b%b%b" % (ID.encode(), MARK, rest, MARK, stream)
    events, _ = received(greeting, data, size)
    payload: list[Event] = [Payload(rest)] if rest else []
    assert events == [Full(ID, 71), Announced(-1, MARK, 4096), *payload, PayloadEnd(), Stream(stream)]


@pytest.mark.parametrize("part", [MARK, MARK + b":", MARK + b":-1", MARK[1:] + b":1", MARK + b":" + b"1" * 20])
def test_a_rest_that_does_not_say_of_what_is_refused(part: bytes) -> None:
    events, _ = received(Greeting([], "", 0), b"+FULLRESYNC %b 71\r\n$REST:%b\r\n" % (ID.encode(), part), 1000)
    assert isinstance(events[-1], Refused)
