"""Keys that somebody has chosen to make a node slow: they must not cost twice what others do."""

from __future__ import annotations

import time
from binascii import crc_hqx
from collections.abc import Callable
from random import Random

import pytest

from ringkeeper.store.keyspace import Clock, Keyspace
from ringkeeper.store.slot import key_slot
from ringkeeper.types.collection import Limits
from ringkeeper.types.hash import Hash
from ringkeeper.types.set import Set

COUNT = 15_000
LENGTH = 60
"""Bytes of every key: hashing takes the same for all."""
ROUNDS = 7


def padded(start: bytes) -> bytes:
    return start + b"x" * (LENGTH - len(start))


def ordinary() -> list[bytes]:
    return [padded(b"user:%d:name:" % number) for number in range(COUNT)]


def of_one_tag() -> list[bytes]:
    """All in one slot."""
    return [padded(b"{tag}:%d:" % number) for number in range(COUNT)]


def of_one_crc() -> list[bytes]:
    """All with the same CRC16: behind any beginning, two bytes can make it what one likes."""
    endings = {crc_hqx(bytes([high, low]), 0): bytes([high, low]) for high in range(256) for low in range(256)}
    found = []
    for number in range(COUNT * 2):
        start = padded(b"%d:" % number)[:-2]
        key = start + endings[crc_hqx(b"\0\0", crc_hqx(start, 0)) ^ 0x1234]
        if b"{" not in key:
            found.append(key)
    assert {crc_hqx(key, 0) for key in found} == {0x1234}
    return found[:COUNT]


def of_one_byte() -> list[bytes]:
    """Each differs from the first in a single byte."""
    base = bytearray(b"-" * LENGTH)
    found = []
    for place in range(LENGTH):
        for byte in range(1, 256):
            if byte not in b"-{}":
                base[place] = byte
                found.append(bytes(base))
        base[place] = ord("-")
    return found[:COUNT]


FAMILIES: dict[str, Callable[[], list[bytes]]] = {
    "tag": of_one_tag, "crc": of_one_crc, "byte": of_one_byte,
}  # fmt: skip


def use_keyspace(keys: list[bytes]) -> None:
    keyspace = Keyspace(Clock(1_700_000_000_000), Random(0))
    for key in keys:
        keyspace.set(key, b"value", -1)
    for key in keys:
        assert keyspace.read(key) is not None
    for key in keys:
        keyspace.delete(key)
    assert len(keyspace) == 0


def use_set(keys: list[bytes]) -> None:
    members = Set(Limits())
    for key in keys:
        members.add(key)
    for key in keys:
        assert key in members


def use_hash(keys: list[bytes]) -> None:
    fields = Hash(Limits())
    for key in keys:
        fields.set(key, b"value")
    for key in keys:
        assert fields.get(key) == b"value"


def cost(use: Callable[[list[bytes]], None], keys: list[bytes]) -> int:
    """Nanoseconds of this process."""
    began = time.process_time_ns()
    use(keys)
    return time.process_time_ns() - began


def test_the_chosen_keys_are_what_they_claim() -> None:
    assert len({key_slot(key) for key in of_one_tag()}) == len({key_slot(key) for key in of_one_crc()}) == 1
    for family in (ordinary, *FAMILIES.values()):
        keys = family()
        assert len(set(keys)) == COUNT
        assert {len(key) for key in keys} == {LENGTH}


@pytest.mark.parametrize("use", [use_keyspace, use_set, use_hash])
@pytest.mark.parametrize("family", FAMILIES)
def test_chosen_keys_cost_less_than_twice_what_others_do(use: Callable[[list[bytes]], None], family: str) -> None:
    """The least of several rounds each, taken in turn: what disturbs one only adds to it."""
    chosen, others = FAMILIES[family](), ordinary()
    pairs = [(cost(use, chosen), cost(use, others)) for _ in range(ROUNDS)]
    least, least_of_others = (min(costs) for costs in zip(*pairs, strict=True))
    assert least < 2 * least_of_others, f"{least / least_of_others:.2f} times as much"
