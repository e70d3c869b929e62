"""Mutation-based fuzzing of both RESP readers: `python tests/resp/fuzz.py --streams 1000000 --seed 0`.

Every stream is read three times: whole, a byte at a time, and in random pieces. It must give the same messages and the
same verdict each time; nothing but `ProtocolError` may be raised; and a reader may never hold more than it was fed.
A finding prints the stream and its number, which with the seed makes it again; the exit code is 1.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ringkeeper import _compiled
from ringkeeper.resp.reader import NOT_READY, CommandReader, ReplyReader
from ringkeeper.resp.values import ProtocolError, Push, ReplyError, SetReply, Verbatim
from ringkeeper.resp.writer import encode_command, write

COMMAND_SEEDS = (
    encode_command([b"SET", b"key:000000000001", b"x" * 64]),
    encode_command([b"GET", b"key"]) * 3,
    encode_command([b"MSET"] + [b"%d" % i for i in range(24)]),
    encode_command([b"SET", b"\r\n$3\r\n*0\r\n", b"\0\xff" * 9, b""]),
    b"PING\r\nSET a b\n\r\n  GET\ta\r\n",
    b"SET \"a\\x41\\n\\\"\" 'b\\'c' d\\e\r\n",
    b"*0\r\n*-1\r\n*1\r\n$4\r\nPING\r\n\r\n",
    b"*1048577\r\n",
    b"*1048576\r\n$1\r\na\r\n",
    b"*18446744073709551617\r\n",
    b"*1\r\n$18446744073709551617\r\n",
    b"*1\r\n$9223372036854775807\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n" * 40,
)
REPLIES: tuple[object, ...] = (
    [b"a", 1, None, [b"b", [], {}]],
    {b"map": SetReply([True, False, 1.5, -math.inf])},
    Push([b"invalidate", [b"key"]]),
    [Verbatim(b"text"), ReplyError("ERR no"), 1 << 80, -1],
    b"\r\n+OK\r\n" * 5,
)
REPLY_SEEDS = (
    b"|1\r\n+ttl\r\n:3600\r\n*2\r\n:1\r\n|1\r\n#t\r\n_\r\n,nan\r\n",
    b"!11\r\nERR blobbed\r\n=7\r\ntxt:abc\r\n(-12345678901234567890\r\n",
    b"$?\r\n;4\r\nabcd\r\n;0\r\n",
    b"*?\r\n:1\r\n.\r\n",
    b"*1\r\n" * 200,
    b"%2147483647\r\n~1\r\n>18446744073709551617\r\n",
    b"$-1\r\n*-1\r\n$-2\r\n",
)
TOKENS = (
    b"\r\n", b"\r", b"\n", b"\0", b"*", b"$", b"$0\r\n\r\n", b"*1\r\n", b"-1", b"-", b"+", b"0", b"00", b"1", b"9" * 10,
    b"9" * 18, b"9" * 20, b"4294967297", b"2147483648", b"16385", b'"', b"'", b"\\x", b" ", b"\x0b", b"%", b"~", b">",
    b"|", b"_\r\n", b"#t\r\n", b",inf\r\n", b"(1\r\n", b"=", b"!", b"?", b"e5", b"\xff",
)  # fmt: skip

Reader = CommandReader | ReplyReader
Outcome = tuple[list[object], str | None, int]


@dataclass(frozen=True, slots=True)
class Finding:
    number: int
    stream: bytes
    what: str


def seeds() -> tuple[bytes, ...]:
    replies = []
    for value in REPLIES:
        for protocol in (2, 3):
            out = bytearray()
            write(out, value, protocol)
            replies.append(bytes(out))
    return COMMAND_SEEDS + REPLY_SEEDS + tuple(replies)


def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """A stream made of one or two seeds, with up to six wounds."""
    stream = bytearray(rng.choice(corpus))
    if rng.random() < 0.4:
        stream += rng.choice(corpus)
    if rng.random() < 0.03:
        return rng.randbytes(rng.randrange(60))
    for _ in range(rng.randrange(7)):
        at = rng.randrange(len(stream) + 1)
        match rng.randrange(6):
            case 0:
                stream[at : at + 1] = rng.randbytes(1)
            case 1 | 2:
                stream[at : at + rng.randrange(3)] = rng.choice(TOKENS)
            case 3:
                del stream[at : at + rng.randrange(1, 9)]
            case 4:
                stream[at:at] = stream[max(0, at - rng.randrange(1, 9)) : at]
            case 5:
                del stream[max(at, len(stream) // 2) :]
    return bytes(stream[:4096])


def comparable(value: object) -> object:
    """A value that equals another if both came from the same bytes (NaN and errors do not equal themselves)."""
    if isinstance(value, list):
        return (type(value).__name__, [comparable(item) for item in value])
    if isinstance(value, dict):
        return [(comparable(key), comparable(item)) for key, item in value.items()]
    if isinstance(value, (float, ReplyError)):
        return repr(value)
    if isinstance(value, Verbatim):
        return (value.kind, value.text)
    return (type(value).__name__, value)


def drain_commands(reader: CommandReader, found: list[object]) -> None:
    while (command := reader.next()) is not None:
        found.append(command)


def drain_replies(reader: ReplyReader, found: list[object]) -> None:
    while (value := reader.next()) is not NOT_READY:
        found.append(comparable(value))


def read(make: Callable[[], Reader], pieces: Iterator[bytes]) -> Outcome:
    """The messages, the verdict, and the bytes held at the end. Raises what must never be raised."""
    reader = make()
    found: list[object] = []
    fed = 0
    try:
        for piece in pieces:
            reader.feed(piece)
            fed += len(piece)
            if isinstance(reader, CommandReader):
                drain_commands(reader, found)
            else:
                drain_replies(reader, found)
            if not 0 <= reader.buffered <= fed:
                raise AssertionError(f"{reader.buffered} bytes held of {fed} fed")
    except ProtocolError as error:
        if reader.buffered:
            raise AssertionError(f"{reader.buffered} bytes held after a protocol error") from None
        return found, str(error), 0
    return found, None, reader.buffered


def cut(stream: bytes, rng: random.Random) -> Iterator[bytes]:
    position = 0
    while position < len(stream):
        size = rng.randrange(1, 20)
        yield stream[position : position + size]
        position += size


def bytewise(stream: bytes) -> Iterator[bytes]:
    return (stream[i : i + 1] for i in range(len(stream)))


MAKERS: tuple[Callable[[], Reader], ...] = (
    CommandReader,
    lambda: CommandReader(authenticated=False),
    ReplyReader,
)


def examine(stream: bytes, rng: random.Random) -> str | None:
    """What is wrong with how the readers take this stream."""
    for make in MAKERS:
        try:
            whole = read(make, iter((stream,)))
            for name, pieces in (("byte by byte", bytewise(stream)), ("in pieces", cut(stream, rng))):
                if (other := read(make, pieces)) != whole:
                    return f"whole: {whole}\n{name}: {other}"
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return None


def fuzz(streams: int, seed: int, first: int = 0) -> Iterator[Finding]:
    """Every stream is made from the seed and its own number, so that a finding can be made again alone."""
    corpus = seeds()
    for number in range(first, first + streams):
        rng = random.Random(f"{seed}/{number}")
        stream = mutate(rng, corpus)
        if what := examine(stream, rng):
            yield Finding(number, stream, what)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the RESP readers.")
    parser.add_argument("--streams", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first stream, to make a finding again")
    options = parser.parse_args()
    form = _compiled.form("ringkeeper.resp.reader")
    started = time.perf_counter()
    findings = 0
    for finding in fuzz(options.streams, options.seed, options.first):
        findings += 1
        print(f"stream {finding.number}: {finding.stream!r}\n{finding.what}\n")
        if findings == 20:
            print("stopping at 20 findings")
            break
    seconds = time.perf_counter() - started
    print(
        f"{form}: {options.streams} streams (seed {options.seed}), each read whole, byte by byte and in pieces by "
        f"{len(MAKERS)} readers: {findings} findings, {options.streams / seconds:.0f} streams/s"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
