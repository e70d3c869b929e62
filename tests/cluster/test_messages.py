"""Messages survive their datagram, and no bytes do more than raise `MessageError`."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.cluster.messages import (
    LARGEST,
    NEVER,
    AskPromise,
    AskRelease,
    Grant,
    Heartbeat,
    Hello,
    Message,
    MessageError,
    Promise,
    Refusal,
    decode,
    encode,
)
from ringkeeper.cluster.position import Position

ID, RUN = "a" * 40, "b" * 40
MESSAGES: list[Message] = [
    Hello(0, 3),
    Heartbeat(2, 7, ID, RUN, 12, "master", 5 * 10**9, NEVER, 10, Position(7, 2**62), candidate=True, promised=0,
              released=ID, leaving=True),
    Grant(2, 7, RUN, ID, 5, 1_500_000_000, 0),
    AskPromise(2, 8, 3, ""),
    Promise(2, 8, ID, RUN, 3, Position(6, 0), candidate=False, remaining=17),
    Refusal(2, 8, ID, RUN, 3, "master"),
    AskRelease(2, 7, RUN, 3, ID),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_its_datagram(message: Message) -> None:
    data = encode(message)
    assert decode(data) == message
    assert len(data) < 400


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 1000, "no JSON"),
        (b'"Hello"', "must be a list that begins with one of Hello, Heartbeat"),
        (b'["Bye", 1]', "must be a list that begins with"),
        (b'[["Hello"], 1, 2]', "must be a list that begins with"),
        (b'["Hello", 1]', "Hello: 1 fields, must be 2"),
        (b'["Hello", 1, -1]', "Hello.leader: -1, must be a whole number from 0"),
        (b'["Hello", 1, 1.0]', "Hello.leader: 1.0, must be"),
        (b'["Hello", true, 1]', "Hello.shard: True, must be"),
        (b'["Hello", 1, 9223372036854775808]', "Hello.leader: 9223372036854775808, must be"),
        (b'["AskPromise", 1, 1, 1, "a b"]', "AskPromise.ended: 'a b', must be at most 64 ASCII"),
        (b'["Promise", 1, 1, "i", "r", 1, [1], true, 1]', r"Promise.position: \[1\], must be \[term, offset\]"),
        (b'["Promise", 1, 1, "i", "r", 1, [1, 2], 1, 1]', "Promise.candidate: 1, must be true or false"),
        (b" " * (LARGEST + 1), "1401 bytes, must be at most 1400"),
    ],
)
def test_what_is_wrong_in_a_datagram_is_named(data: bytes, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint):
        decode(data)


def test_a_heartbeat_of_an_earlier_version_says_nothing_of_leaving() -> None:
    words = json.loads(encode(MESSAGES[1]))
    heartbeat = decode(json.dumps(words[:-1]).encode())
    assert isinstance(heartbeat, Heartbeat)
    assert not heartbeat.leaving
    assert heartbeat.released == ID
    with pytest.raises(MessageError, match="Heartbeat: 12 fields, must be 14"):
        decode(json.dumps(words[:-2]).encode())


def test_a_message_that_fits_no_datagram_is_not_made() -> None:
    with pytest.raises(MessageError, match="must be at most 1400"):
        encode(AskPromise(1, 1, 1, "x" * 1400))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_bytes_are_a_message_or_a_message_error(data: st.DataObject) -> None:
    words: Any = json.loads(encode(data.draw(st.sampled_from(MESSAGES))))
    words[data.draw(st.integers(0, len(words) - 1))] = data.draw(JSON)
    mutated = bytearray(json.dumps(words).encode())
    if data.draw(st.booleans()):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MessageError):
        assert decode(encode(decode(bytes(mutated)))) == decode(bytes(mutated))
    with contextlib.suppress(MessageError):
        decode(data.draw(st.binary(max_size=60)))
