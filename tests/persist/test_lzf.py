"""LZF: what is compressed comes back, and no bytes whatever do harm."""

import random

import pytest

from ringkeeper.persist.lzf import compress, decompress


def texts() -> list[bytes]:
    rng = random.Random(1)
    made = [rng.randbytes(rng.randrange(300)) for _ in range(50)]
    made += [bytes(rng.choices(b"abcd"[: rng.randint(1, 4)], k=rng.randrange(3000))) for _ in range(200)]
    return [*made, b"", b"abc", b"x" * 100_000, b"hello world " * 4000, bytes(range(256)) * 70]


def test_what_is_compressed_is_at_least_four_bytes_shorter_and_comes_back() -> None:
    compressed = 0
    for text in texts():
        packed = compress(text)
        if packed is not None:
            compressed += 1
            assert len(packed) <= len(text) - 4
            assert decompress(packed, len(text)) == text
    assert compressed > 150


def test_a_size_that_is_not_the_texts_is_refused() -> None:
    for text in texts():
        packed = compress(text)
        if packed is not None:
            assert decompress(packed, len(text) + 1) is None
            assert decompress(packed, len(text) - 1) is None
            assert decompress(packed[:-1], len(text)) is None


def test_a_size_that_so_little_data_cannot_hold_takes_no_memory() -> None:
    assert decompress(b"\xe0\xff\x00" * 4, 1 << 40) is None
    assert decompress(b"", 1) is None
    assert decompress(b"\0a", -1) is None


@pytest.mark.parametrize(
    "packed",
    [b"\x00", b"\x05ab", b"\x20\x00", b"\x00a\x20", b"\x00a\xe0", b"\x00a\xe0\x00", b"\x00a\x20\x01", b"\xff"],
)
def test_what_reaches_beyond_either_end_is_refused(packed: bytes) -> None:
    assert all(decompress(packed, size) is None for size in range(20))


def test_a_match_may_overlap_what_it_repeats() -> None:
    assert decompress(b"\x01ab\xe0\x10\x01", 2 + 25) == (b"ab" * 14)[:27]
