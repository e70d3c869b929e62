"""Values as they are read: whatever the way, the same comes of them, and it takes no more memory than it needs."""

import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from persist.corpus import contents, length, listpack, string
from persist.rdb_files import LIMITS, Bytes
from persist.test_writing import COMPILED, MEGABYTE, a_hash, a_list, a_set, a_sorted_set

from ringkeeper.persist import values
from ringkeeper.persist.payload import NO_BOUND
from ringkeeper.persist.reader import Corrupt, Reader
from ringkeeper.persist.values import form_of, read_value, write_value
from ringkeeper.persist.writer import Writer
from ringkeeper.store.block import object_memory
from ringkeeper.store.keyspace import Value
from ringkeeper.types.collection import Collection, Limits
from ringkeeper.types.list import List
from ringkeeper.types.set import Set

EXAMPLES = 3_000
BY_OBJECTS: dict[int, Callable[[list[bytes], Limits], Collection]] = {
    values.HASH_LISTPACK: values.hash_of,
    values.ZSET_LISTPACK: values.packed_sorted_set,
    values.SET: values.set_of,
}


def element(rng: Random) -> bytes | int:
    match rng.randrange(12):
        case 0 | 1:
            return rng.randrange(-300, 300)
        case 2:
            return rng.randrange(-(1 << 63), 1 << 63) >> rng.randrange(64)
        case 3:
            return rng.randbytes(rng.choice([0, 1, 7, 8, 9, 63, 64, 65, 254, 255, 256, 5000]))
        case 4:
            return rng.choice([b"1.5", b"-0", b"0.1", b"inf", b"-inf", b"nan", b"1e5", b"0x10", b"1e400", b"+7", b"1."])
        case _:
            return b"member:%d" % rng.randrange(60)


def elements(rng: Random, form: int) -> list[bytes | int]:
    found = [element(rng) for _ in range(rng.choice([1, 2, 3, 4, 10, 100, 254, 256, 258]))]
    if form == values.ZSET_LISTPACK and rng.random() < 0.9:
        pairs = [(rng.choice([rng.randrange(9), rng.randrange(1 << 40)]), member) for member in found]
        texts = [(score, member if isinstance(member, bytes) else b"%d" % member) for score, member in pairs]
        return [item for score, member in (sorted(texts) if rng.random() < 0.8 else texts) for item in (member, score)]
    return found


def outcome(make: Callable[[], Value]) -> object:
    try:
        value = make()
    except Corrupt as why:
        return str(why)
    assert not isinstance(value, (bytes, bytearray))
    found = contents(value)
    return list(value) if isinstance(value, List) else found, value.encoding, value.memory


@pytest.mark.parametrize("form", [values.HASH_LISTPACK, values.ZSET_LISTPACK, values.SET])
def test_small_collections_come_out_as_if_their_elements_had_been_added_one_by_one(form: int) -> None:
    tight = Limits(
        hash_max_listpack_entries=3, hash_max_listpack_value=8, set_max_intset_entries=2, set_max_listpack_entries=3,
        set_max_listpack_value=8, zset_max_listpack_entries=3, zset_max_listpack_value=8,
    )  # fmt: skip
    taken = 0
    for number in range(EXAMPLES if COMPILED else 100):
        rng = Random(f"{form}/{number}")
        limits = rng.choice([LIMITS, tight])
        items = elements(rng, form)
        texts = [item if isinstance(item, bytes) else b"%d" % item for item in items]
        if form == values.SET:
            data = length(len(texts)) + b"".join(map(string, texts))
            plain = added_one_by_one(texts, limits)
        else:
            data = string(listpack(*items))
            plain = outcome(lambda texts=texts, limits=limits: BY_OBJECTS[form](texts, limits))  # type: ignore[misc]
        read = outcome(lambda data=data, limits=limits: read_value(Reader(data), form, limits))  # type: ignore[misc]
        assert read == plain, items
        taken += not isinstance(read, str)
    assert taken > (EXAMPLES if COMPILED else 100) // 10


def added_one_by_one(members: list[bytes], limits: Limits) -> object:
    def make() -> Value:
        value = Set(limits)
        for member in members:
            if not value.add(member):
                raise Corrupt("a member is there twice")
        return value

    return outcome(make)


def test_a_lists_chunks_are_the_same_as_those_of_their_elements() -> None:
    for number in range(EXAMPLES if COMPILED else 100):
        rng = Random(number)
        items = [element(rng) for _ in range(rng.choice([1, 2, 30, 300]))]
        texts = [item if isinstance(item, bytes) else b"%d" % item for item in items]
        plain = List(LIMITS)
        plain.begin_filling()
        plain.add_chunk(texts, False)
        plain.end_filling()
        data = length(1) + length(2) + string(listpack(*items))
        value = read_value(Reader(data), values.LIST_QUICKLIST_2, LIMITS)
        assert isinstance(value, List)
        value.check()
        assert (list(value), value.encoding, value.memory) == (texts, plain.encoding, plain.memory)


def test_a_large_sorted_set_may_come_in_any_order() -> None:
    rng = Random(1)
    pairs = [(float(rng.randrange(50)), b"member:%d" % number) for number in range(1_000)]
    for given in (sorted(pairs, reverse=True), sorted(pairs), pairs):
        out = Writer()
        for score, member in given:
            out.text(member)
            out.double(score)
        value = read_value(Reader(length(1_000) + out.whole()), values.ZSET_2, LIMITS)
        assert contents(value) == [(member, score) for score, member in sorted(pairs)]
    twice = length(200) + (string(b"m") + bytes(8)) * 200
    with pytest.raises(Corrupt, match="twice"):
        read_value(Reader(twice), values.ZSET_2, LIMITS)


def a_text(size: int) -> bytes:
    return b"".join(b"%d and %d, " % (number, number * 7919) for number in range(2 * size))


@pytest.mark.skipif(not COMPILED, reason="the pure form gathers elements")
@pytest.mark.parametrize(
    "make", [a_hash, a_set, a_sorted_set, a_list, a_text, lambda size: Random(1).randbytes(size * 40)]
)
def test_reading_takes_little_more_memory_than_what_is_read(make: Callable[[int], Value]) -> None:
    value = make(200_000)
    chunks: list[bytes] = []
    out = Writer(chunks.append)
    form = form_of(value)
    write_value(out, value, form)
    out.hand_on()
    del value
    data = b"".join(chunks)
    chunks.clear()
    reader = Reader.of_file(Bytes(data), len(data))
    reader.room = NO_BOUND
    tracemalloc.start()
    try:
        value = read_value(reader, form, LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    memory = object_memory(value)
    assert memory > 2 * MEGABYTE
    assert peak < 1.3 * memory
