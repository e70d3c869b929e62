"""The keyspace against a plain dictionary, step by step; SCAN's guarantee; slots as the specification has them."""

from __future__ import annotations

import binascii

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ringkeeper.store.keyspace import NO_EXPIRY, Clock, Keyspace
from ringkeeper.store.slot import key_slot
from ringkeeper.types.collection import Limits
from ringkeeper.types.hash import Hash
from ringkeeper.types.set import Set

KEYS = st.sampled_from([b"", b"a", b"b", b"{t}1", b"{t}2", b"{}x", b"\x00\xff", b"k" * 300])
VALUES = st.binary(max_size=40)
TIMES = st.integers(1, 60)
TICK_MS = 64
"""To which the last use of a key is known."""


class AgainstADictionary(RuleBasedStateMachine):
    """`model` holds key -> (value, expiry or None)."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock(1_000)
        self.keyspace = Keyspace(self.clock)
        self.model: dict[bytes, tuple[bytes, int | None]] = {}

    def alive(self, key: bytes) -> tuple[bytes, int | None] | None:
        entry = self.model.get(key)
        if entry is not None and entry[1] is not None and entry[1] <= self.clock.now_ms:
            del self.model[key]
            return None
        return entry

    @rule(key=KEYS, value=VALUES, after=st.none() | TIMES)
    def set(self, key: bytes, value: bytes, after: int | None) -> None:
        at = NO_EXPIRY if after is None else self.clock.now_ms + after
        self.keyspace.set(key, value, at)
        self.model[key] = (value, None if after is None else at)

    @rule(key=KEYS)
    def read(self, key: bytes) -> None:
        entry = self.alive(key)
        assert self.keyspace.read(key) == (entry[0] if entry else None)
        if entry:
            assert self.keyspace.expiry(key) == (NO_EXPIRY if entry[1] is None else entry[1])

    @rule(key=KEYS, tail=VALUES)
    def edit_in_place(self, key: bytes, tail: bytes) -> None:
        entry = self.alive(key)
        value = self.keyspace.peek(key)
        if entry is None or value is None:
            assert entry is None
            assert value is None
            return
        if isinstance(value, bytearray):
            value.extend(tail)
            self.keyspace.update(key, value)
        else:
            self.keyspace.update(key, bytearray(value) + tail)
        self.model[key] = (entry[0] + tail, entry[1])

    @rule(key=KEYS)
    def delete(self, key: bytes) -> None:
        assert self.keyspace.delete(key) == (self.alive(key) is not None)
        self.model.pop(key, None)

    @rule(key=KEYS, after=st.integers(-5, 60))
    def expire(self, key: bytes, after: int) -> None:
        entry = self.alive(key)
        if self.keyspace.peek(key) is None:
            return
        assert entry is not None
        self.keyspace.expire(key, self.clock.now_ms + after)
        self.model[key] = (entry[0], self.clock.now_ms + after)

    @rule(key=KEYS)
    def persist(self, key: bytes) -> None:
        entry = self.alive(key)
        if self.keyspace.peek(key) is not None and entry is not None:
            assert self.keyspace.persist(key) == (entry[1] is not None)
            self.model[key] = (entry[0], None)

    @rule(by=TIMES)
    def time_passes(self, by: int) -> None:
        self.clock.now_ms += by

    @rule()
    def sweep(self) -> None:
        self.keyspace.sweep(10**9)
        for key in list(self.model):
            self.alive(key)
        assert len(self.keyspace) == len(self.model)

    @rule()
    def go_through(self) -> None:
        for key in list(self.model):
            self.alive(key)
        assert sorted(self.keyspace.keys()) == sorted(self.model)
        assert (self.keyspace.random_key() in self.model) == bool(self.model)

    @rule()
    def flush(self) -> None:
        self.keyspace.flush()
        self.model.clear()

    @rule(idle_ms=st.integers(0, 90))
    def reload(self, idle_ms: int) -> None:
        for key in list(self.model):
            self.alive(key)
        held = [(key, value, at) for key, value, at, _ in self.keyspace.entries()]
        assert {key: (bytes(value), None if at == NO_EXPIRY else at) for key, value, at in held} == self.model
        dirty = self.keyspace.dirty
        for key, value, at in held:
            self.keyspace.load(key, value, at, idle_ms)
            assert self.keyspace.idle_ms(key) == idle_ms // TICK_MS * TICK_MS
        assert self.keyspace.dirty == dirty

    @invariant()
    def sound(self) -> None:
        self.keyspace.check()


AgainstADictionary.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestAgainstADictionary = AgainstADictionary.TestCase


def scan_all(keyspace: Keyspace, count: int, between: object = None) -> list[list[bytes]]:
    replies, cursor = [], 0
    while True:
        cursor, found = keyspace.scan(cursor, count)
        replies.append(found)
        if callable(between):
            between()
        if cursor == 0:
            return replies


@pytest.mark.parametrize("form", ["key:%d", "{one slot}:%d"])
def test_scan_returns_whatever_stays_throughout_while_others_come_and_go(form: str) -> None:
    keyspace = Keyspace(Clock(1))
    stayers = {(form % i).encode() for i in range(10_000)}
    for key in stayers:
        keyspace.set(key, b"v")
    passing = iter(range(10_000, 100_000))

    def disturb() -> None:
        for _ in range(5):
            number = next(passing)
            keyspace.set((form % number).encode(), b"v")
            keyspace.delete((form % (number - 7)).encode() if number > 10_010 else b"nobody")

    replies = scan_all(keyspace, 500, disturb)
    assert stayers <= {key for reply in replies for key in reply}
    assert max(map(len, replies)) <= 550, "a slot with many keys is cut, too"
    keyspace.check()


def test_a_random_key_is_any_key() -> None:
    keyspace = Keyspace(Clock(1))
    for i in range(20):
        keyspace.set(b"{same}%d" % i, b"v")
        keyspace.set(b"%d" % i, b"v")
    assert {keyspace.random_key() for _ in range(2_000)} == set(keyspace.keys())


def test_a_slots_keys_are_counted_listed_and_dropped_alone() -> None:
    keyspace = Keyspace(Clock(1))
    for i in range(100):
        keyspace.set(b"{a}%d" % i, b"v", 1_000_000)
        keyspace.set(b"{b}%d" % i, b"v")
    slot = key_slot(b"a")
    assert keyspace.slot_count(slot) == 100
    assert len(keyspace.slot_keys(slot, 7)) == 7
    keyspace.drop(keyspace.slot_keys(slot))
    assert (len(keyspace), keyspace.volatile) == (100, 0)
    keyspace.check()


@pytest.mark.parametrize("others", [1, 200])
def test_figures_leave_out_what_is_hidden(others: int) -> None:
    keyspace = Keyspace(Clock(1))
    for i in range(100):
        keyspace.set(b"{a}%d" % i, b"v", 1_000_001)
        keyspace.set(b"{b}%d" % (i % others), b"v", 5_001)
    keyspace.hidden = frozenset({key_slot(b"a")})
    shown = min(others, 100)
    assert (keyspace.shown, keyspace.shown_volatile, keyspace.average_ttl(150)) == (shown, shown, 5_000)
    assert len(keyspace) == keyspace.volatile == 100 + shown


def test_what_is_hidden_goes_when_its_owner_says_so_and_not_by_itself() -> None:
    clock = Clock(1)
    keyspace = Keyspace(clock)
    for tag in (b"a", b"b"):
        for i in range(1_000):
            keyspace.set(b"{%s}%d" % (tag, i), b"v", 5)
        value = Hash(Limits())
        value.set(b"field", b"v")
        value.set(b"other", b"v")
        value.expire(b"field", 5)
        keyspace.set(b"{%s}hash" % tag, value)
    keyspace.hidden = frozenset({key_slot(b"a")})
    clock.now_ms = 10
    for _ in range(100):
        keyspace.sweep(50)
        keyspace.sweep_fields(1)
        keyspace.random_key()
    assert (keyspace.slot_count(key_slot(b"a")), keyspace.slot_count(key_slot(b"b"))) == (1_001, 1)
    lengths = [len(keyspace.look(key) or b"") for key in (b"{a}hash", b"{b}hash")]
    assert lengths == [2, 1]
    keyspace.hidden = frozenset()
    keyspace.sweep(10_000)
    assert len(keyspace) == 2
    keyspace.check()


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        (b"123456789", b"123456789"),
        (b"{user1000}.following", b"user1000"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo{bar", b"foo{bar"),
        (b"}a{b}", b"b"),
        (b"", b""),
    ],
)
def test_a_slot_is_the_crc16_of_the_key_or_of_its_hash_tag(key: bytes, hashed: bytes) -> None:
    assert key_slot(key) == binascii.crc_hqx(hashed, 0) % 16384


@pytest.mark.parametrize("length", range(40))
def test_a_slot_is_the_crc16_of_keys_of_every_length(length: int) -> None:
    key = bytes((length * 37 + place * 101) % 120 for place in range(length))
    assert key_slot(key) == binascii.crc_hqx(key, 0) % 16384


def test_the_specifications_example_of_crc16_holds() -> None:
    assert key_slot(b"123456789") == 0x31C3 % 16384


def test_a_huge_collection_is_freed_in_steps_and_a_renamed_one_stays() -> None:
    keyspace = Keyspace(Clock(0))
    for key in (b"doomed", b"moved"):
        members = Set(Limits())
        for number in range(1000):
            members.add(b"%d" % number)
        keyspace.set(key, members)
    keyspace.delete(b"doomed")
    keyspace.hand_over(b"moved", keyspace, b"there", ("rename_from", "rename_to"))
    assert keyspace.pending == 1
    steps = 0
    while keyspace.pending:
        keyspace.free_some(100)
        steps += 1
    assert steps >= 10
    assert keyspace.freed == 1
    there = keyspace.peek(b"there")
    assert isinstance(there, Set)
    assert len(there) == 1000
    keyspace.check()


def test_a_flushed_database_is_freed_in_steps_with_all_that_was_in_it() -> None:
    keyspace = Keyspace(Clock(0))
    for number in range(1000):
        keyspace.set(b"%d" % number, b"value", 10_000)
    members = Set(Limits())
    for number in range(500):
        members.add(b"%d" % number)
    keyspace.set(b"set", members)
    keyspace.flush()
    assert len(keyspace) == 0
    assert keyspace.used_bytes == 0
    while keyspace.pending:
        keyspace.free_some(50)
    assert keyspace.freed == 1002, "every key, and the large set once more"
    assert len(members) == 0
    keyspace.check()


def test_reading_uses_a_key_and_asking_about_it_does_not() -> None:
    clock = Clock(10 * TICK_MS)
    keyspace = Keyspace(clock)
    keyspace.set(b"k", b"v")
    clock.now_ms = 70 * TICK_MS
    keyspace.look(b"k")
    keyspace.read_about(b"k")
    assert keyspace.idle_ms(b"k") == 60 * TICK_MS
    keyspace.touching = False
    keyspace.read(b"k")
    keyspace.touching = True
    assert keyspace.idle_ms(b"k") == 60 * TICK_MS
    keyspace.read(b"k")
    assert keyspace.idle_ms(b"k") == 0
    keyspace.set_idle(b"k", 40 * TICK_MS)
    assert keyspace.idle_ms(b"k") == 40 * TICK_MS
