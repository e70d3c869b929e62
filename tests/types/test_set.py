"""Sets: which encoding they have."""

import pytest

from ringkeeper.types.collection import Limits
from ringkeeper.types.set import Set


@pytest.mark.parametrize(
    ("held", "first", "count", "encoding"),
    [
        ([], b"1", 512, "intset"),
        ([], b"1", 513, "hashtable"),
        ([], b"a", 128, "listpack"),
        ([], b"a", 129, "hashtable"),
        ([b"1"], b"a", 512, "intset"),
        ([b"1"], b"1", 513, "hashtable"),
        ([b"a"], b"1", 128, "listpack"),
        ([b"a"], b"a", 129, "hashtable"),
    ],
)
def test_the_number_of_words_decides_before_they_are_added(
    held: list[bytes], first: bytes, count: int, encoding: str
) -> None:
    value = Set(Limits())
    for member in held:
        value.add(member)
    value.expect(first, count)
    assert value.encoding == encoding
