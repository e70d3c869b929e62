import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringkeeper.resp.reader import MAX_DEPTH, NOT_READY, ReplyReader
from ringkeeper.resp.values import NULL_ARRAY, ProtocolError, Push, ReplyError, SetReply, Simple, Verbatim
from ringkeeper.resp.writer import write

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
SIMPLES = st.binary(max_size=20).filter(lambda text: not set(text) & set(b"\r\n")).map(Simple)
KEYS = st.binary(max_size=10) | INTEGERS
RESP3_VALUES = st.recursive(
    st.binary(max_size=50) | st.integers() | SIMPLES | st.none() | st.booleans() | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(SetReply)
        | st.lists(inner, min_size=1, max_size=5).map(Push)
        | st.dictionaries(KEYS, inner, max_size=5)
    ),
    max_leaves=20,
)
RESP2_VALUES = st.recursive(
    st.binary(max_size=50) | INTEGERS | SIMPLES | st.none() | st.just(NULL_ARRAY),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


def read_all(*pieces: bytes) -> list[object]:
    reader = ReplyReader()
    values = []
    for piece in pieces:
        reader.feed(piece)
        while (value := reader.next()) is not NOT_READY:
            values.append(value)
    return values


def same(one: object, other: object) -> bool:
    """Equality that tells 1, 1.0 and True apart, and a set from a list."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return one == other


def rendered(value: object, protocol: int) -> bytes:
    out = bytearray()
    write(out, value, protocol)
    return bytes(out)


@given(RESP3_VALUES, st.integers(1, 40))
def test_resp3_values_come_back_in_any_pieces(value: object, size: int) -> None:
    stream = rendered(value, 3)
    [whole] = read_all(stream)
    assert same(whole, value)
    [cut] = read_all(*(stream[i : i + size] for i in range(0, len(stream), size)))
    assert same(cut, value)


@given(RESP2_VALUES, st.integers(1, 40))
def test_resp2_values_come_back_in_any_pieces(value: object, size: int) -> None:
    stream = rendered(value, 2)
    assert read_all(stream) == [value]
    assert read_all(*(stream[i : i + size] for i in range(0, len(stream), size))) == [value]


@pytest.mark.parametrize(
    ("stream", "value"),
    [
        (b"+OK\r\n", Simple(b"OK")),
        (b"$-1\r\n", None),
        (b"*-1\r\n", NULL_ARRAY),
        (b"_\r\n", None),
        (b":+7\r\n", 7),
        (b",inf\r\n", math.inf),
        (b",-inf\r\n", -math.inf),
        (b",10\r\n", 10.0),
        (b",1.5e3\r\n", 1500.0),
        (b"(-123456789012345678901234567890\r\n", -123456789012345678901234567890),
        (b"#t\r\n", True),
        (b"~2\r\n:1\r\n:2\r\n", SetReply([1, 2])),
        (b">2\r\n+message\r\n$1\r\nx\r\n", Push([Simple(b"message"), b"x"])),
        (b"%1\r\n$1\r\na\r\n*0\r\n", {b"a": []}),
        (b"|1\r\n+ttl\r\n:5\r\n*2\r\n|1\r\n+x\r\n:5\r\n:1\r\n:2\r\n", [1, 2]),
        (b"|0\r\n:1\r\n", 1),
        (b"$3\r\n\0\r\n\r\n", b"\0\r\n"),
    ],
)
def test_every_type_is_read_however_the_stream_is_cut(stream: bytes, value: object) -> None:
    assert read_all(stream) == [value]
    assert read_all(*(stream[i : i + 1] for i in range(len(stream)))) == [value]


def test_nan_verbatim_text_and_errors_are_read() -> None:
    nan, verbatim, error, blob = read_all(b",nan\r\n=7\r\nmkd:a\r\n\r\n-ERR no\r\n!6\r\nERR\r\nx\r\n")
    assert isinstance(nan, float)
    assert math.isnan(nan)
    assert isinstance(verbatim, Verbatim)
    assert (verbatim.kind, verbatim.text) == (b"mkd", b"a\r\n")
    assert isinstance(error, ReplyError)
    assert (error.text, error.code) == ("ERR no", "ERR")
    assert isinstance(blob, ReplyError)
    assert blob.text == "ERR\r\nx"


@pytest.mark.parametrize(
    "stream",
    [
        b"x\r\n", b"$x\r\n", b"$-2\r\n", b"~-1\r\n", b"=-1\r\n", b"$18446744073709551617\r\n", b"$536870913\r\n",
        b"*18446744073709551617\r\n", b"*2147483648\r\n", b":\r\n", b":1x\r\n", b": 1\r\n", b":1_0\r\n",
        b":9223372036854775808\r\n", b"#x\r\n", b"_x\r\n", b",x\r\n", b",1_0\r\n", b"(x\r\n",
        b"(" + b"1" * 5000 + b"\r\n",
        b"=3\r\ntxt\r\n", b"$1\r\naXX", b"+a\rb\r\n", b"%1\r\n*0\r\n:1\r\n", b"+" + b"x" * 1024 * 1024 + b"\r\n",
    ],
)  # fmt: skip
def test_a_broken_reply_is_a_protocol_error_for_good(stream: bytes) -> None:
    reader = ReplyReader()
    reader.feed(stream)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            reader.next()
        reader.feed(b"+OK\r\n")
    assert reader.buffered == 0


@pytest.mark.parametrize("stream", [b"$?\r\n", b"*?\r\n", b"%?\r\n", b"~?\r\n"])
def test_streamed_replies_are_refused_by_name(stream: bytes) -> None:
    with pytest.raises(ProtocolError, match="streamed"):
        read_all(stream)


def test_collections_may_nest_to_the_limit_and_no_deeper() -> None:
    [value] = read_all(b"*1\r\n" * MAX_DEPTH + b":1\r\n")
    for _ in range(MAX_DEPTH):
        assert isinstance(value, list)
        [value] = value
    assert value == 1
    with pytest.raises(ProtocolError, match="nested deeper"):
        read_all(b"*1\r\n" * 1_000_000)


def test_a_reader_that_waits_says_so_and_counts_what_it_holds() -> None:
    reader = ReplyReader()
    assert reader.next() is NOT_READY
    assert repr(NOT_READY) == "NOT_READY"
    reader.feed(b"*2\r\n:1\r\n$5\r\nab")
    assert reader.next() is NOT_READY
    assert reader.buffered == 14
    reader.feed(b"cde\r\n")
    assert reader.next() == [1, b"abcde"]
    assert reader.buffered == 0
