"""A keyspace as a file: all kinds of values, whole however large, without touching or copying what is written."""

import os
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from persist.corpus import FAR, contents, every_form
from persist.rdb_files import LIMITS, Held, read_file

from ringkeeper import _compiled
from ringkeeper.persist.payload import restore
from ringkeeper.persist.rdb import RdbWriter
from ringkeeper.persist.snapshot import Extent, copied_bytes, write_dataset
from ringkeeper.persist.values import form_of, write_plainly, write_value
from ringkeeper.persist.writer import Writer
from ringkeeper.store.block import FloatText
from ringkeeper.store.keyspace import Clock, Keyspace, Value
from ringkeeper.types.collection import Limits
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

COMPILED = _compiled.form("ringkeeper.persist.writer") == "compiled"
NOW = 1_700_000_000_000
MEGABYTE = 1 << 20


def a_hash(fields: int) -> Hash:
    value = Hash(LIMITS)
    for number in range(fields):
        value.set(b"field:%d" % number, b"value:%d" % (number * 7919))
    return value


def a_set(members: int, text: bytes = b"member:%d") -> Set:
    value = Set(LIMITS)
    for number in range(members):
        value.add(text % (number * 7919))
    return value


def a_sorted_set(members: int) -> SortedSet:
    value = SortedSet(LIMITS)
    for number in range(members):
        value.add(b"member:%d" % number, number * 104729 % 1_000_003 - 500_000.5)
    return value


def a_list(elements: int) -> List:
    value = List(LIMITS)
    value.fill([b"element:%d" % number for number in range(elements)])
    return value


KINDS: list[Callable[[int], Value]] = [a_hash, a_set, a_sorted_set, a_list]


def values() -> list[Value]:
    sizes = (1, 20, 127, 129, 300, 600, 3000)
    made: list[Value] = [kind(size) for kind in KINDS for size in sizes]
    made += [a_set(size, b"%d") for size in sizes]
    made += [a_set(3, b"-%d00000"), a_set(3, b"%d0000000000000")]
    scores = [0.0, -0.0, 1.0, -1.5, 1e100, float("inf"), float("-inf"), 2.0**53, 2.0**62, 3e15, 127.0, -129.0]
    odd = SortedSet(LIMITS)
    for score in scores:
        odd.add(b"%r" % score, score)
    plain = List(LIMITS)
    plain.fill([b"x" * 9_000, b"y" * 70, b"z" * 5_000])
    made += [odd, plain, FloatText(b"3"), FloatText(b"3.50"), bytearray(b"edited"), bytearray(b"12")]
    made += [b"", b"0", b"-1", b"-0", b"127", b"-129", b"32768", b"2147483648", b"-9223372036854775808", b"01"]
    made += [b"x" * size for size in (19, 20, 21, 63, 64, 70, 16383, 16384, 70_000)]
    return made + [restore(example.payload, LIMITS) for example in every_form()]


def written(keyspaces: list[Keyspace]) -> Held:
    chunks: list[bytes] = []
    write_dataset(chunks.append, keyspaces, [(b"name", b"text")], Extent())
    return read_file(b"".join(chunks))


def test_all_that_lives_is_written() -> None:
    clock = Clock(NOW)
    first, third = Keyspace(clock), Keyspace(clock, index=2)
    expected = {}
    for number, value in enumerate(values()):
        key = b"key:%d" % number
        third.set(key, value, FAR if number % 3 == 0 else -1)
        if isinstance(value, Hash) and value.expiries:
            third.edited(key, value, "hset")
        expected[2, key] = contents(value), FAR if number % 3 == 0 else -1
    first.set(b"7", b"7")
    first.set(b"gone", b"soon", NOW + 1)
    clock.now_ms += 2
    held = written([first, Keyspace(clock, index=1), third])
    assert held.keys == expected | {(0, b"7"): (b"7", -1)}
    assert held.sizes == [(2, 1), (len(expected), sum(1 for _, at in expected.values() if at == FAR))]


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_values_are_written_in_the_same_bytes_by_objects_as_directly(value: Value) -> None:
    direct, plain = Writer(), Writer()
    write_value(direct, value, form_of(value))
    write_plainly(plain, value, form_of(value))
    assert direct.whole() == plain.whole()


def test_a_collection_too_large_for_one_string_is_written_by_its_elements() -> None:
    generous = Limits(
        hash_max_listpack_entries=1 << 20, set_max_intset_entries=1 << 20, zset_max_listpack_entries=1 << 20
    )
    fields, numbers, scores = Hash(generous), Set(generous), SortedSet(generous)
    for number in range(30_000):
        fields.set(b"%d" % number, b"%d" % number)
        numbers.add(b"%d" % number)
        scores.add(b"%d" % number, number)
    for value, encoding, form in ((fields, "listpack", 4), (numbers, "intset", 2), (scores, "listpack", 5)):
        assert value.encoding == encoding
        assert value.memory > MEGABYTE
        assert form_of(value) == form


def test_pieces_of_a_long_text_are_compressed_to_one() -> None:
    text = b"".join(b"%d and %d, " % (number, number * number) for number in range(60_000))
    assert len(text) > MEGABYTE
    chunks: list[bytes] = []
    out = RdbWriter(chunks.append)
    out.entry(b"text", text)
    out.entry(b"random", Random(1).randbytes(MEGABYTE))
    out.end()
    file = b"".join(chunks)
    held = read_file(file)
    assert held.keys[0, b"text"] == (text, -1)
    assert len(file) < MEGABYTE + len(text) // 2
    assert max(map(len, chunks)) < 1 << 17


@pytest.mark.skipif(not COMPILED, reason="the pure form makes objects")
@pytest.mark.parametrize("make", [a_hash, a_set, a_sorted_set, a_list, lambda size: b"x" * 40 * size])
def test_however_large_a_value_is_little_memory_is_taken_to_write_it(make: Callable[[int], Value]) -> None:
    keyspace = Keyspace(Clock(NOW))
    keyspace.set(b"key", make(300_000))
    tracemalloc.start()
    try:
        write_dataset(lambda _: None, [keyspace], [], Extent())
        assert tracemalloc.get_traced_memory()[1] < 4 * MEGABYTE
    finally:
        tracemalloc.stop()


def in_a_child(work: Callable[[], int]) -> int:
    """What a forked child finds."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, b"%d" % work())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    found = int(os.read(reading, 20))
    os.close(reading)
    os.close(writing)
    return found


@pytest.mark.skipif(not COMPILED, reason="the pure form counts references")
@pytest.mark.skipif(copied_bytes() == 0, reason="the system does not tell")
@pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="a sanitizer's own memory counts as well")
def test_a_child_that_writes_copies_nothing_of_what_it_writes() -> None:
    keyspace = Keyspace(Clock(NOW))
    for number in range(4_000):
        keyspace.set(b"text:%d" % number, Random(number).randbytes(1_000))
        for kind in KINDS:
            keyspace.set(b"%s:%d" % (kind.__name__.encode(), number), kind(5 if number % 50 else 200))
    assert keyspace.used_bytes > 8 * MEGABYTE

    def work() -> int:
        before = copied_bytes()
        write_dataset(lambda _: None, [keyspace], [], Extent(idle_times=True, frequencies=True))
        return copied_bytes() - before

    # What it needs for itself is about one, with what the heap of this process happens to look like.
    assert in_a_child(work) < keyspace.used_bytes // 4


def test_the_last_use_and_the_frequency_of_keys_are_written_where_they_are_wanted() -> None:
    clock = Clock(NOW)
    keyspace = Keyspace(clock)
    keyspace.set(b"key", b"value")
    clock.now_ms += 64_000
    chunks: list[bytes] = []
    write_dataset(chunks.append, [keyspace], [], Extent(idle_times=True))
    assert b"\xf8\x40\x40\x00\x03key" in b"".join(chunks)
    chunks.clear()
    write_dataset(chunks.append, [keyspace], [], Extent(frequencies=True))
    assert b"\xf9\x00\x00\x03key" in b"".join(chunks)


def test_what_is_done_is_told_now_and_then() -> None:
    keyspace = Keyspace(Clock(NOW))
    for number in range(25_000):
        keyspace.set(b"%d" % number, b"")
    told: list[int] = []
    assert write_dataset(lambda _: None, [keyspace], [], Extent(), told.append) == 25_000
    assert told == [10_000, 20_000]
