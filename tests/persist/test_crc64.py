"""The checksum of RDB."""

import random

from ringkeeper.persist.crc64 import crc64, crc64_plain


def test_the_sum_of_the_standard_text_is_the_published_one() -> None:
    assert crc64(b"123456789") == 0xE9C6D914C4B8D9CA
    assert crc64(b"") == 0


def test_a_sum_can_be_continued_and_is_the_same_eight_bytes_at_a_time() -> None:
    data = random.Random(1).randbytes(200)
    for length in range(len(data)):
        assert crc64(data[:length]) == crc64_plain(data[:length], 0)
        assert crc64(data[length:], crc64(data[:length])) == crc64(data)
