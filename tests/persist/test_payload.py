"""DUMP's payloads: what is refused in which words, and that little input never costs much memory."""

import pytest

from ringkeeper.persist.crc64 import crc64
from ringkeeper.persist.payload import BAD_DATA, WRONG_FOOTER, dump, restore
from ringkeeper.resp.values import ReplyError
from ringkeeper.store.keyspace import Value
from ringkeeper.types.collection import Limits
from ringkeeper.types.hash import Hash
from ringkeeper.types.set import Set

LIMITS = Limits()


def signed(data: bytes, version: int = 10) -> bytes:
    data += version.to_bytes(2, "little")
    return data + crc64(data).to_bytes(8, "little")


def refusal(payload: bytes) -> str:
    with pytest.raises(ReplyError) as caught:
        restore(payload, LIMITS)
    return caught.value.text


def contents(value: Value) -> object:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    value.check()
    if isinstance(value, Hash):
        return dict(value.items()), dict(value.expiries or {})
    return set(value)


@pytest.mark.parametrize(
    "text",
    [b"", b"x", b"0", b"-1", b"127", b"128", b"-128", b"-129", b"32767", b"32768", b"2147483647", b"2147483648", b"01",
     b"-0", b"-2147483648", b"-2147483649", b"+1", b" 1", b"1" * 30, b"x" * 63, b"x" * 64, bytes(range(256)) * 70,
     bytearray(b"12")],
)  # fmt: skip
def test_a_string_comes_back(text: bytes) -> None:
    assert restore(dump(text), LIMITS) == text


def test_a_hash_comes_back_with_the_times_of_its_fields() -> None:
    value = Hash(LIMITS)
    for index in range(100):
        value.set(b"field %d" % index, b"%d" % index)
    assert contents(restore(dump(value), LIMITS)) == contents(value)
    assert dump(value)[-10:-8] == b"\x0a\0"
    value.expire(b"field 7", 9_999_999_999_999)
    assert contents(restore(dump(value), LIMITS)) == contents(value)
    assert dump(value)[-10:-8] == b"\x50\0", "only Valkey knows of fields that expire"


def test_a_set_comes_back() -> None:
    value = Set(LIMITS)
    for index in range(300):
        value.add(b"%d" % (index * 1_000_003))
    restored = restore(dump(value), LIMITS)
    assert contents(restored) == contents(value)
    assert isinstance(restored, Set)
    assert restored.encoding == "intset"


def test_versions_that_nobody_here_knows_are_refused() -> None:
    taken = {*range(12), 80}
    for version in range(300):
        payload = signed(b"\0\1x", version)
        if version in taken:
            assert restore(payload, LIMITS) == b"x"
        else:
            assert refusal(payload) == WRONG_FOOTER


def test_every_single_changed_bit_is_noticed() -> None:
    payload = dump(b"hello")
    for bit in range(len(payload) * 8):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        assert refusal(bytes(damaged)) == WRONG_FOOTER


def test_what_is_shorter_than_a_footer_is_refused() -> None:
    for length in range(10):
        assert refusal(bytes(length)) == WRONG_FOOTER
    assert refusal(signed(b"")) == BAD_DATA


@pytest.mark.parametrize(
    "data",
    [
        b"\x02\x00",  # an empty set
        b"\x02\x02\x01a\x01a",  # a member twice
        b"\x04\x02\x01a\x01b\x01a\x01c",  # a field twice
        b"\x04\x01\x01a",  # no value
        b"\x00\x05abc",
        b"\x00\x80\xff\xff\xff\xff",
        b"\x00\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x00\x82\x00",  # begins no length
        b"\x00\xc4\x00",  # begins no string
        b"\x00\xc3\x04\x81\x00\x00\x00\xff\xff\xff\xff\xff\xe0\xff\x00\x00",  # grows to a terabyte
        b"\x00\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01a",
        b"\x02\x81\x00\x00\x00\xff\xff\xff\xff\xff\x01a",
        b"\x04\x80\x7f\xff\xff\xff\x01a\x01b",
        b"\x16\x01\x01a\x01b\xfe\xff\xff\xff\xff\xff\xff\xff",  # expires at -2
        b"\x0b\x08\x02\x00\x00\x00\xff\xff\xff\xff",  # an intset of 2**32 - 1 numbers
        b"\x05\x00",
        b"\x05\x01\x01a\x00\x00\x00\x00\x00\x00\xf8\x7f",  # a score that is no number
        b"\x05\x02" + b"\x01a" + bytes(8) + b"\x01a" + bytes(7) + b"\x40",  # a member twice, with other scores
        b"\x05\x01\x01a" + bytes(7),
        b"\x05\x81\x00\x00\x00\xff\xff\xff\xff\xff\x01a",
        b"\x03\x01\x01a\xfd", b"\x03\x01\x01a\x03nan", b"\x03\x01\x01a\x03one", b"\x03\x01\x01a\x00",
        b"\x03\x01\x01a\xfc1",
        b"\x11\x0a\x0a\x00\x00\x00\x01\x00\x81a\x02\xff",  # a member without a score
        b"\x07\x00", b"\x0f\x00", b"\x18\x00", b"\xff",  # no form of a supported value
    ],
)  # fmt: skip
def test_data_that_are_no_value_are_refused(data: bytes) -> None:
    assert refusal(signed(data)) == BAD_DATA


def test_compressed_strings_may_not_grow_beyond_the_room_for_them() -> None:
    payload = dump(b"x" * 10_000)
    assert len(payload) < 200
    assert restore(payload, LIMITS, 10_000) == b"x" * 10_000
    with pytest.raises(ReplyError, match=BAD_DATA):
        restore(payload, LIMITS, 9_999)


def test_what_stands_between_value_and_footer_is_ignored_as_redis_does() -> None:
    assert restore(signed(b"\0\1xjunk"), LIMITS) == b"x"
