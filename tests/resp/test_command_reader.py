import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringkeeper.resp.reader import CommandReader
from ringkeeper.resp.values import ProtocolError, TooLargeError
from ringkeeper.resp.writer import encode_command

COMMANDS = st.lists(st.lists(st.binary(max_size=100), min_size=1, max_size=6), max_size=8)


def read_all(reader: CommandReader, *pieces: bytes) -> list[list[bytes]]:
    commands = []
    for piece in pieces:
        reader.feed(piece)
        while (command := reader.next()) is not None:
            commands.append(command)
    return commands


def refusal(stream: bytes, *, authenticated: bool = True) -> str:
    """The text of the error that a stream earns, whole as byte by byte."""
    texts = []
    for pieces in ([stream], [stream[i : i + 1] for i in range(len(stream))]):
        with pytest.raises(ProtocolError) as caught:
            read_all(CommandReader(authenticated=authenticated), *pieces)
        texts.append(str(caught.value))
    assert texts[0] == texts[1]
    return texts[0]


@pytest.mark.parametrize(
    ("stream", "commands"),
    [
        (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", [[b"GET", b"a"]]),
        (b"*1\r\n$0\r\n\r\n", [[b""]]),
        (b"*1\r\n$4\r\n\r\n*1\r\n", [[b"\r\n*1"]]),
        (b"PING\r\nPING\n", [[b"PING"], [b"PING"]]),
        (b"\r\n\n  \r\n*0\r\n*-1\r\n*-9\r\nPING\r\n", [[b"PING"]]),
        (b"*1\rX$1\rXaXX", [[b"a"]]),
        (b"SET 'a b' \"\\x00\"\r\n", [[b"SET", b"a b", b"\0"]]),
    ],
)
def test_commands_are_read_however_the_stream_is_cut(stream: bytes, commands: list[list[bytes]]) -> None:
    assert read_all(CommandReader(), stream) == commands
    for at in range(len(stream)):
        assert read_all(CommandReader(), stream[:at], stream[at:]) == commands
    assert read_all(CommandReader(), *(stream[i : i + 1] for i in range(len(stream)))) == commands


@given(COMMANDS, st.lists(st.integers(1, 200)))
def test_encoded_commands_come_back_in_any_pieces(commands: list[list[bytes]], sizes: list[int]) -> None:
    stream = b"".join(encode_command(command) for command in commands)
    pieces, position = [], 0
    for size in sizes:
        pieces.append(stream[position : position + size])
        position += size
    pieces.append(stream[position:])
    reader = CommandReader()
    assert read_all(reader, *pieces) == commands
    assert reader.buffered == 0


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.integers(1, 3))
def test_a_name_that_came_before_is_told_from_others(names: list[bytes], rounds: int) -> None:
    commands = [[name, b"key"] for name in names] * rounds
    assert read_all(CommandReader(), b"".join(map(encode_command, commands))) == commands


@pytest.mark.parametrize(
    ("stream", "text"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*\r\n", "invalid multibulk length"),
        (b"*01\r\n", "invalid multibulk length"),
        (b"*+1\r\n", "invalid multibulk length"),
        (b"* 1\r\n", "invalid multibulk length"),
        (b"*-0\r\n", "invalid multibulk length"),
        (b"*1048577\r\n", "invalid multibulk length"),
        (b"*9999999999\r\n", "invalid multibulk length"),
        (b"*4294967297\r\n", "invalid multibulk length"),
        (b"*18446744073709551617\r\n", "invalid multibulk length"),
        (b"*-9223372036854775809\r\n", "invalid multibulk length"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$4294967297\r\n", "invalid bulk length"),
        (b"*1\r\n$18446744073709551617\r\n", "invalid bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "invalid bulk length"),
        (b"*1\r\n$1x\r\n", "invalid bulk length"),
        (b"*1\r\nx\r\n", "expected '$', got 'x'"),
        (b"*1\r\n\r\n", "expected '$', got ' '"),
        (b"*1\r\n*1\r\n", "expected '$', got '*'"),
        (b"*1\r\n" * 1_000, "expected '$', got '*'"),
        (b'SET "a\r\n', "unbalanced quotes in request"),
        (b"x" * 65537, "too big inline request"),
        (b"x\0" + b"y\n" * 40_000, "too big inline request"),
        (b"*" + b"1" * 65536, "too big mbulk count string"),
        (b"*1\r\n$" + b"1" * 65536, "too big bulk count string"),
    ],
)
def test_a_broken_stream_is_refused_in_the_words_of_redis(stream: bytes, text: str) -> None:
    assert refusal(stream) == text


def test_a_line_of_exactly_the_limit_is_read() -> None:
    assert read_all(CommandReader(), b"x" * 65536 + b"\n") == [[b"x" * 65536]]


def test_the_commands_before_a_broken_one_are_handed_out_first() -> None:
    reader = CommandReader()
    reader.feed(b"PING\r\n*1\r\nx\r\nPING\r\n")
    assert reader.next() == [b"PING"]
    for _ in range(3):
        with pytest.raises(ProtocolError, match="expected"):
            reader.next()
        reader.feed(b"PING\r\n")
    assert reader.buffered == 0


def test_an_unauthenticated_client_may_send_little() -> None:
    assert refusal(b"*11\r\n", authenticated=False) == "unauthenticated multibulk length"
    assert refusal(b"*1\r\n$16385\r\n", authenticated=False) == "unauthenticated bulk length"
    assert refusal(b"*1\r\n$1073741824\r\n", authenticated=False) == "invalid bulk length"
    longest = [b"x" * 16384] * 10
    assert read_all(CommandReader(authenticated=False), encode_command(longest)) == [longest]


def test_limits_widen_for_what_follows_in_the_same_batch_once_the_client_is_authenticated() -> None:
    reader = CommandReader(authenticated=False)
    wide = [b"x"] * 11
    reader.feed(encode_command([b"AUTH", b"secret"]) + encode_command(wide))
    assert reader.next() == [b"AUTH", b"secret"]
    reader.authenticated = True
    assert reader.authenticated
    assert reader.next() == wide


def test_the_longest_argument_can_be_configured() -> None:
    reader = CommandReader()
    reader.proto_max_bulk_len = 5
    assert reader.proto_max_bulk_len == 5
    reader.feed(encode_command([b"x" * 5, b"y" * 6]))
    with pytest.raises(ProtocolError, match="invalid bulk length"):
        reader.next()


@pytest.mark.parametrize("piece", [1, 7, 4096, 10**6])
def test_a_word_that_is_too_large_is_skipped_and_what_follows_is_read(piece: int) -> None:
    reader = CommandReader()
    reader.most_kept = 1000
    large = encode_command([b"SET", b"k", b"x" * 50_000, b"EX", b"9"])
    for start in range(0, 40_000, piece):
        reader.feed(large[start : min(start + piece, 40_000)])
        assert reader.next() is None
        assert reader.buffered < 100, "nothing of it is kept"
    reader.feed(large[40_000:] + encode_command([b"SET", b"k", b"y" * 1000]))
    with pytest.raises(TooLargeError):
        reader.next()
    assert reader.next() == [b"SET", b"k", b"y" * 1000]
    assert reader.next() is None
    assert reader.buffered == 0


def test_announced_lengths_take_no_memory() -> None:
    tracemalloc.start()
    try:
        readers = [CommandReader() for _ in range(50)]
        for reader in readers:
            reader.feed(b"*1000000\r\n$536870912\r\nx")
            assert reader.next() is None
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()


def test_what_is_buffered_counts_the_arguments_that_have_come() -> None:
    reader = CommandReader()
    stream = encode_command([b"SET", b"k" * 1000, b"v" * 100_000])
    for fed in range(1, len(stream), 997):
        reader = CommandReader()
        reader.feed(stream[:fed])
        assert reader.next() is None
        assert reader.buffered == fed
    reader.feed(b"PING\r\n" * 3)
    assert reader.buffered == fed + 18


def test_a_large_argument_in_small_pieces_is_held_once() -> None:
    size = 8 * 1024 * 1024
    reader = CommandReader()
    reader.feed(b"*1\r\n$%d\r\n" % size)
    piece = b"x" * 4096
    tracemalloc.start()
    try:
        for _ in range(size // len(piece)):
            reader.feed(piece)
            assert reader.next() is None
        reader.feed(b"\r\n")
        command = reader.next()
        assert tracemalloc.get_traced_memory()[1] < 2.4 * size
    finally:
        tracemalloc.stop()
    assert command == [b"x" * size]


def test_a_small_rest_keeps_no_large_buffer_alive() -> None:
    reader = CommandReader()
    tracemalloc.start()
    try:
        reader.feed(encode_command([b"x" * 4_000_000]) + b"*1")
        assert reader.next() is not None
        assert reader.next() is None
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_the_arguments_are_lists_of_bytes_that_the_caller_may_change() -> None:
    reader = CommandReader()
    reader.feed(encode_command([b"a", b"b"]) * 2)
    first = reader.next()
    assert first is not None
    first.clear()
    assert reader.next() == [b"a", b"b"]
