"""What collections say that they take, against what the allocators have given for them."""

import contextlib
import gc
from collections.abc import Iterator

import pytest
from allocated import allocated

from ringkeeper.types.collection import Collection, Limits
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

LIMITS = Limits()
ELEMENTS = 4000
"""In all collections of a case together, at least."""
BYTES = 1 << 18
"""Of all of them, at least: what the C library counts as given though it was freed weighs little beside that."""


def used_up_stock() -> list[object]:
    """What CPython has kept of freed lists, dictionaries and tuples, in use as long as this is: the next are new."""
    return [[[] for _ in range(100)], [{} for _ in range(100)], [(i, i) for i in range(2100)]]


@contextlib.contextmanager
def no_garbage() -> Iterator[None]:
    """What other tests have left is not freed meanwhile."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def text(number: int, length: int) -> bytes:
    """An object of its own."""
    return b"%0*d" % (length, number)


def hash_of(size: int, length: int) -> Hash:
    made = Hash(LIMITS)
    for i in range(size):
        made.set(text(i, length), text(i, length))
    return made


def hash_with_expiries(size: int, length: int) -> Hash:
    made = hash_of(size, length)
    for i in range(size):
        made.expire(text(i, length), 10**12 + i)
    return made


def hash_that_shrank(size: int, length: int) -> Hash:
    made = hash_of(3 * size, length)
    for i in range(2 * size):
        made.delete(text(i, length))
    return made


def set_of(size: int, length: int) -> Set:
    made = Set(LIMITS)
    for i in range(size):
        made.add(text(i, length))
    return made


def set_of_integers(size: int, length: int) -> Set:
    made = Set(LIMITS)
    for i in range(size):
        made.add(b"%d" % (10**length + i))
    return made


def copied_set(size: int, length: int) -> Set:
    return set_of(size, length).copy()


def sorted_set(size: int, length: int) -> SortedSet:
    made = SortedSet(LIMITS)
    for i in range(size):
        made.add(text(i, length), i * 7919 % 1009)
    return made


def sorted_set_that_shrank(size: int, length: int) -> SortedSet:
    made = sorted_set(5 * size, length)
    made.remove_range(size, 4 * size)
    for i in range(size):
        made.remove(made.at(i)[0])
    return made


def list_from_the_right(size: int, length: int) -> List:
    made = List(LIMITS)
    for i in range(size):
        made.push([text(i, length)], False)
    return made


def list_from_the_left(size: int, length: int) -> List:
    made = List(LIMITS)
    for i in range(size):
        made.push([text(i, length)], True)
    return made


def trimmed_list(size: int, length: int) -> List:
    made = list_from_the_right(3 * size, length)
    made.trim(size, 2 * size - 1)
    return made


def copied_list(size: int, length: int) -> List:
    return list_from_the_left(size, length).copy()


MAKERS = (
    hash_of, hash_with_expiries, hash_that_shrank, set_of, set_of_integers, copied_set, sorted_set,
    sorted_set_that_shrank, list_from_the_right, list_from_the_left, trimmed_list, copied_list,
)  # fmt: skip


@pytest.mark.compiled_only
@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("size", [1, 4, 8, 33, 128, 1000, 20_000])
@pytest.mark.parametrize("length", [3, 10, 32, 100, 1000])
def test_what_is_said_is_what_was_allocated(make: type[Collection], size: int, length: int) -> None:
    if size * length > 200_000 or (length == 3 and size > 999):
        return
    count = max(ELEMENTS // size, BYTES // make(size, length).memory, 5)
    kept: list[Collection | None] = [None] * count
    stock = used_up_stock()
    with no_garbage():
        before = allocated()
        for i in range(count):
            kept[i] = make(size, length)
        taken = (allocated() - before) / count
    said = kept[0].memory
    kept[0].check()
    assert said == pytest.approx(taken, rel=0.1)
    del stock
