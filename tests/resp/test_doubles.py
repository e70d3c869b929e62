"""How doubles are printed: known ones, any of them read back, and many beside Valkey."""

import math
import random
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_redis import real_redis

from ringkeeper.resp.doubles import format_double
from ringkeeper.resp.reader import NOT_READY, ReplyReader


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (3.0, b"3"),
        (-17.5, b"-17.5"),
        (0.1, b"0.1"),
        (0.1 + 0.2, b"0.30000000000000004"),
        (math.inf, b"inf"),
        (-math.inf, b"-inf"),
        (math.nan, b"nan"),
        (-math.nan, b"nan"),
        (1e18, b"1000000000000000000"),
        (2.0**62, b"4611686018427387904"),
        (2.0**62 + 1024, b"4611686018427389000"),
        (1e20, b"1e+20"),
        (1234567e7, b"12345670000000"),
        (1.5e300, b"1.5e+300"),
        (0.00015, b"0.00015"),
        (1.5e-5, b"0.000015"),
        (1.5e-7, b"1.5e-7"),
        (5e-324, b"5e-324"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (187642080847565.88, b"187642080847565.87"),
        (-5.687751372086755e20, b"-568775137208675470000"),
    ],
)
def test_known_numbers(number: float, text: bytes) -> None:
    assert format_double(number) == text


@given(st.floats(allow_nan=False))
def test_what_is_printed_is_read_back_as_the_same_number(number: float) -> None:
    assert repr(float(format_double(number))) == repr(number)


def any_number(randomness: random.Random) -> float:
    """Numbers of people, powers of two, whole ones, tiny ones, any bits."""
    match randomness.randrange(6):
        case 0:
            return randomness.uniform(-10, 10) * 10.0 ** randomness.randint(-30, 40)
        case 1:
            return float(randomness.getrandbits(randomness.randint(1, 70)))
        case 2:
            return 2.0 ** randomness.randint(-1074, 1023)
        case 3:
            return round(randomness.uniform(-1000, 1000), randomness.randint(1, 8))
        case 4:
            return randomness.getrandbits(randomness.randint(1, 52)) * 5e-324
    (number,) = struct.unpack("d", randomness.getrandbits(64).to_bytes(8, "little"))
    return number if number == number else 0.0


def test_any_number_is_printed_as_valkey_prints_it(tmp_path: Path) -> None:
    randomness = random.Random(3)
    numbers = [any_number(randomness) for _ in range(6000)]
    with real_redis(tmp_path, "valkey") as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"CONFIG SET zset-max-listpack-entries 0\r\n")
        for number in numbers:
            connection.sendall(b"DEL k\r\nZADD k %r m\r\nZSCORE k m\r\n" % number)
        reader, replies = ReplyReader(), []
        while len(replies) < 1 + 3 * len(numbers):
            reply = reader.next()
            if reply is NOT_READY:
                reader.feed(connection.recv(1 << 16))
            else:
                replies.append(reply)
    assert list(map(format_double, numbers)) == replies[3::3]
