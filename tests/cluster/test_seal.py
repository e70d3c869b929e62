"""Datagrams of those who have the token are read, and no others."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringkeeper.cluster.seal import SEAL, Sealer


@pytest.mark.parametrize(
    ("key", "data", "digest"),
    [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (b"Jefe", b"what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ],
)
def test_seals_are_those_of_rfc_4231(key: bytes, data: bytes, digest: str) -> None:
    assert Sealer(key).of(data).hex() == digest


@given(st.binary(max_size=200), st.binary(max_size=1500))
def test_seals_are_those_of_the_standard_library(token: bytes, data: bytes) -> None:
    sealer = Sealer(token)
    assert sealer.seal(data)[:SEAL] == hmac.digest(token, data, hashlib.sha256)
    assert sealer.open(sealer.seal(data)) == data


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(1, 255))
def test_what_was_changed_on_the_way_is_not_read(data: bytes, at: int, change: int) -> None:
    sealer = Sealer(b"token")
    datagram = bytearray(sealer.seal(data))
    datagram[at % len(datagram)] ^= change
    assert sealer.open(bytes(datagram)) is None
    assert Sealer(b"other").open(sealer.seal(data)) is None
    assert sealer.open(sealer.seal(data)[: at % (SEAL + len(data))]) is None
