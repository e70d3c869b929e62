"""The verdicts of `CommandReader` on good and broken streams, compared with those of a real Redis."""

import pathlib
import random
import socket
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringkeeper.resp.reader import NOT_READY, CommandReader, ReplyReader
from ringkeeper.resp.values import ProtocolError, ReplyError
from ringkeeper.resp.writer import encode_command


class Redis:
    """A real server on a Unix socket, one connection a stream."""

    def __init__(self, folder: pathlib.Path, *directives: str) -> None:
        self.path = folder / "redis.sock"
        self.process = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", str(self.path), "--save", "", *directives],
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if b"ready to accept" in line:
                return
        raise AssertionError("redis-server did not start")

    def answers(self, stream: bytes) -> list[object]:
        """Every reply to a stream whose sender then says no more."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.path))
            connection.sendall(stream)
            connection.shutdown(socket.SHUT_WR)
            reader = ReplyReader()
            try:
                while data := connection.recv(65536):
                    reader.feed(data)
            except ConnectionResetError:
                pass
        replies = []
        while (reply := reader.next()) is not NOT_READY:
            replies.append(reply)
        return replies

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def guarded_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    server = Redis(tmp_path_factory.mktemp("redis"), "--requirepass", "secret")
    yield server
    server.stop()


def verdict(stream: bytes, *, authenticated: bool = True) -> tuple[list[list[bytes]], str | None]:
    reader = CommandReader(authenticated=authenticated)
    reader.feed(stream)
    commands = []
    try:
        while (command := reader.next()) is not None:
            commands.append(command)
    except ProtocolError as error:
        return commands, str(error)
    return commands, None


def assert_same(server: Redis, stream: bytes, *, authenticated: bool = True) -> None:
    """One reply a command, the argument of every ECHO, and the same last words."""
    commands, error = verdict(stream, authenticated=authenticated)
    replies = server.answers(stream)
    if error is not None:
        assert replies, (stream, error)
        last = replies.pop()
        assert isinstance(last, ReplyError), (stream, error)
        assert last.text == f"ERR Protocol error: {error}", stream
    assert len(replies) == len(commands), (stream, commands, replies)
    for command, reply in zip(commands, replies, strict=True):
        if command[0].lower() == b"echo" and len(command) == 2 and authenticated:
            assert reply == command[1], stream


BROKEN = [
    b"*x\r\n", b"*\r\n", b"*01\r\n", b"*+1\r\n", b"*-0\r\n", b"* 1\r\n", b"*9999999999\r\n",
    b"*18446744073709551617\r\n", b"*-9223372036854775809\r\n", b"*-1\r\nECHO a\r\n", b"*0\r\nECHO b\r\n",
    b"*1\r\n$-1\r\n", b"*1\r\n$536870913\r\n", b"*1\r\n$18446744073709551617\r\n", b"*1\r\n$00\r\n", b"*1\r\n$\r\n",
    b"*1\r\nx\r\n", b"*1\r\n\r\n", b"*1\r\n*1\r\n", b"*1\r\n\xff1\r\n", b"*1\rX$4\rXPINGXX", b"*1\n$4\r\nPING\r\n",
    b"*1\0\r\n" + b"x" * 100, b"EC\0HO a\r\nECHO b\r\n", b'ECHO "a\r\n', b"ECHO 'a'b\r\n",
    b"ECHO \"\\x41\\xzz\\n\"\r\n", b"ECHO 'a\\'b\\n'\r\n", b'ECHO a"b c"\r\n', b"\r\n\n \r\n", b"ECHO a\x0bb\r\n",
    b"\x0bECHO \x0c a\r\n", b'ECHO "a"\x0b\r\n', b"ECHO ''\r\n", b"ECHO\ta\n", b"ECHO a\r\r\n", b"ECHO a\\ b\r\n",
    b'ECHO "\\\\"\r\n', b'ECHO "\\"\r\n', b"*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\nECHO x\r\n", b"*2147483648\r\n",
    b"*1\r\n" * 100, b"*1\r\n$4\r\nPI",
]  # fmt: skip


@pytest.mark.parametrize("stream", BROKEN)
def test_redis_says_the_same_of_streams_on_the_edge(redis: Redis, stream: bytes) -> None:
    assert_same(redis, stream)


@pytest.mark.parametrize("head", [b"", b"*", b"*1\r\n$"])
def test_redis_refuses_lines_without_end_in_the_same_words(redis: Redis, head: bytes) -> None:
    assert_same(redis, head + b"1" * 66_000)


@pytest.mark.parametrize(
    "stream",
    [b"*10\r\n", b"*11\r\n", b"*1\r\n$16384\r\n", b"*1\r\n$16385\r\n", b"*-1\r\n", b"PING a b c d e f g h i j k\r\n"],
)
def test_redis_limits_the_unauthenticated_likewise(guarded_redis: Redis, stream: bytes) -> None:
    assert_same(guarded_redis, stream, authenticated=False)


PIECES = st.one_of(
    st.lists(st.binary(max_size=12), max_size=2).map(lambda args: encode_command([b"ECHO", *args])),
    st.text(" \t\x0b\x0cab\\\"'nx4", max_size=12).map(lambda text: b"ECHO " + text.encode() + b"\r\n"),
    st.sampled_from(
        [b"\r\n", b"*0\r\n", b"*-1\r\n", b"*2\r\n", b"$4\r\n", b"ECHO", b"\0", b"*", b"$", b"1", b"-", b"'"]
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=6).map(b"".join), st.integers(0, 1 << 32), st.integers(0, 3))
def test_redis_says_the_same_of_wounded_streams(redis: Redis, stream: bytes, seed: int, wounds: int) -> None:
    rng = random.Random(seed)
    wounded = bytearray(stream)
    for _ in range(wounds):
        at = rng.randrange(len(wounded) + 1)
        wounded[at : at + rng.randrange(2)] = rng.choice(
            [b"", b"\r", b"\n", b"*", b"$", b"0", b"-", b"2", b"9999999999"]
        )
    assert_same(redis, bytes(wounded))
