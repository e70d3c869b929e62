"""A master's stream, applied in pieces of any size: what is done, what counts as done, and what cannot be."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path[:0] = [str(Path(__file__).parents[1] / "differential")]

from in_process import InProcess  # noqa: E402

from ringkeeper import commands  # noqa: E402
from ringkeeper.replication.applying import Applier, Diverged  # noqa: E402
from ringkeeper.resp.writer import encode_command  # noqa: E402


class Replica:
    """Databases that follow."""

    def __init__(self) -> None:
        context = InProcess(2).session.context
        self.databases = context.databases
        for keyspace in self.databases:
            keyspace.follow(True)
        self.changes: list[Any] = []
        self.asked = 0
        self.applier = Applier(context, commands.load(), self.changes, lambda: None, self.ask)

    def ask(self) -> None:
        self.asked += 1

    def apply(self, data: bytes) -> bytes:
        """What counts as done of the stream so far, and was not taken before."""
        self.applier.feed(data)
        while self.applier.some(3):
            pass
        return bytes(self.applier.take())


def stream(*lines: str) -> bytes:
    return b"".join(encode_command([word.encode() for word in line.split()]) for line in lines)


@settings(deadline=None)
@given(st.integers(1, 60))
def test_a_stream_in_pieces_is_applied_whole_and_handed_on_as_it_came(size: int) -> None:
    replica = Replica()
    lines = ("SELECT 1", "SET a 1", "PING", "MULTI", "INCR a", "RPUSH l x y", "EXEC", "SELECT 0", "sadd s m")
    data = stream(*lines)
    taken = b"".join(replica.apply(data[start : start + size]) for start in range(0, len(data), size))
    assert taken == data
    assert replica.databases[1].peek(b"a") == b"2"
    assert len(replica.databases[0]) == 1
    assert replica.applier.waiting == 0


def test_a_transaction_is_done_when_its_end_has_come() -> None:
    replica = Replica()
    before, group = stream("SET a 1"), stream("MULTI", "INCR a", "INCR a")
    assert replica.apply(before + group) == before
    assert replica.databases[0].peek(b"a") == b"1"
    assert replica.apply(stream("EXEC")) == group + stream("EXEC")
    assert replica.databases[0].peek(b"a") == b"3"


def test_the_master_may_ask_how_far_it_is() -> None:
    replica = Replica()
    replica.apply(stream("SET a 1", "REPLCONF GETACK *"))
    assert replica.asked == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("XADD s * a 1", "xadd"),
        ("GET a", "get"),
        ("LPUSH text x", "WRONGTYPE"),
        ("SELECT 99", "database 99"),
        ("INCR text", "not an integer"),
    ],
)
def test_what_cannot_be_applied_ends_it(line: str, why: str) -> None:
    replica = Replica()
    replica.apply(stream("SET text abc"))
    with pytest.raises(Diverged, match=why):
        replica.apply(stream(line))


def test_what_is_no_command_ends_it() -> None:
    with pytest.raises(Diverged, match="cannot be read"):
        Replica().apply(b"*1\r\n$-5\r\n")


@settings(deadline=None)
@given(st.integers(1, 60))
def test_what_is_for_this_node_alone_is_done_in_its_turn_and_not_handed_on(size: int) -> None:
    context = InProcess(2).session.context
    heard: list[tuple[list[bytes], object]] = []

    def hear(args: list[bytes]) -> None:
        heard.append((args[1:], context.databases[0].look(b"a")))

    own = {b"NOTE": hear}
    applier = Applier(context, commands.load(), [], lambda: None, lambda: None, own)
    data = stream("SET a 1", "NOTE x", "NOTE y z", "SET a 2", "SET b 3", "NOTE", "SET a 4")
    taken = bytearray()
    for start in range(0, len(data), size):
        applier.feed(data[start : start + size])
        while applier.some(2):
            pass
        taken += applier.take()
    assert taken == stream("SET a 1", "SET a 2", "SET b 3", "SET a 4")
    assert heard == [([b"x"], b"1"), ([b"y", b"z"], b"1"), ([], b"2")]
    assert applier.waiting == 0
