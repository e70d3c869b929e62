"""The table under every kind of use, against a dictionary: growing, splitting, shrinking, spilling, failing."""

from __future__ import annotations

import contextlib
import os
import re
from random import Random

import pytest
from differential.in_process import InProcess

from ringkeeper.commands.table import Reply
from ringkeeper.store import table
from ringkeeper.store.block import FloatText
from ringkeeper.store.keyspace import NO_EXPIRY, Clock, Keyspace
from ringkeeper.types.collection import Limits
from ringkeeper.types.set import Set

STEPS = int(os.environ.get("RINGKEEPER_TABLE_STEPS", "20000"))

Model = dict[bytes, tuple[object, int]]


def members(*names: bytes) -> Set:
    made = Set(Limits())
    for name in names:
        made.add(name)
    return made


def some_value(random: Random) -> object:
    return random.choice(
        [
            b"%d" % random.randrange(-(10**6), 10**6),
            b"%d" % random.choice([2**63 - 1, -(2**63), 2**63, 10**18, 0]),
            random.choice([b"-0", b"007", b"", b"-", b"1e3", b" 1"]),
            FloatText(b"1.5"),
            bytes(random.randrange(60)),
            bytes(random.randrange(400, 600)),
            bytearray(b"edited"),
            bytes(5000),
        ]
    )


class Use:
    """Changes a keyspace and a dictionary alike."""

    def __init__(self, keyspace: Keyspace, random: Random, form: str, names: int = 4000) -> None:
        self.keyspace = keyspace
        self.random = random
        self.form = form
        self.names = names
        self.model: Model = {}

    def key(self) -> bytes:
        return (self.form % self.random.randrange(self.names)).encode()

    def set(self) -> None:
        key, value = self.key(), some_value(self.random)
        at = self.random.choice([NO_EXPIRY, self.keyspace.clock.now_ms + self.random.randrange(1, 100_000)])
        self.keyspace.set(key, value, at)  # type: ignore[arg-type]
        self.model[key] = value, at

    def update(self) -> None:
        key = self.key()
        if isinstance(self.keyspace.peek_string(key), bytes):
            self.keyspace.update(key, b"updated")
            self.model[key] = b"updated", self.model[key][1]

    def increment(self) -> None:
        key, number = self.key(), self.random.choice([1, -7, 10**12, 2**63 - 1, -(2**63)])
        value = self.model.get(key, (b"", NO_EXPIRY))[0]
        total = int(value) + number if type(value) is bytes and re.fullmatch(rb"0|-?[1-9]\d*", value) else None
        if total is not None and not (-(2**63) <= total < 2**63 and -(2**63) <= total - number < 2**63):
            total = None
        assert self.keyspace.increment(key, number) == total
        if total is not None:
            self.model[key] = b"%d" % total, self.model[key][1]

    def delete(self) -> None:
        key = self.key()
        assert self.keyspace.delete(key) == (self.model.pop(key, None) is not None)

    def expire(self) -> None:
        key = self.key()
        if key in self.model:
            at = self.keyspace.clock.now_ms + self.random.randrange(1, 100_000)
            self.keyspace.expire(key, at)
            self.model[key] = self.model[key][0], at

    def persist(self) -> None:
        key = self.key()
        if key in self.model:
            assert self.keyspace.persist(key) == (self.model[key][1] != NO_EXPIRY)
            self.model[key] = self.model[key][0], NO_EXPIRY

    def rename(self) -> None:
        key, name = self.key(), self.key()
        if key in self.model and key != name:
            self.keyspace.hand_over(key, self.keyspace, name, ("rename_from", "rename_to"))
            self.model[name] = self.model.pop(key)

    def read(self) -> None:
        key = self.key()
        assert self.keyspace.peek(key) == self.model.get(key, (None,))[0]

    def compare(self) -> None:
        self.keyspace.check()
        held = {key: (value, at) for key, value, at, _ in self.keyspace.entries()}
        assert held == self.model
        assert [type(held[key][0]) for key in held] == [type(self.model[key][0]) for key in held]
        assert len(self.keyspace) == len(self.model)
        assert self.keyspace.volatile == sum(at != NO_EXPIRY for _, at in self.model.values())


@pytest.mark.parametrize("form", ["key:%d", "{one slot}:%d"])
def test_it_holds_what_a_dictionary_holds_growing_and_shrinking(form: str) -> None:
    use = Use(Keyspace(Clock(1_000_000)), Random(form), form)
    growing = [
        use.set,
        use.set,
        use.set,
        use.update,
        use.increment,
        use.expire,
        use.persist,
        use.read,
        use.rename,
        use.delete,
    ]
    shrinking = [use.set, use.update, use.expire, use.persist, use.read, use.rename, *[use.delete] * 5]
    for phase in (growing, shrinking, growing, [use.delete]):
        for step in range(STEPS):
            use.random.choice(phase)()
            if step % (STEPS // 4) == 0:
                use.compare()
        use.compare()
    for key in list(use.model):
        use.keyspace.delete(key)
    use.keyspace.check()
    assert use.keyspace.used_bytes == 0, "an empty table takes nothing"


def test_a_long_key_and_every_length_around_the_limits_are_kept() -> None:
    keyspace = Keyspace(Clock(1))
    lengths = [0, 1, *range(460, 520), 65534, 65535, 65536, 70_000]
    for length in lengths:
        keyspace.set(b"k" * length, b"v" * (length % 7), 10_000 if length % 2 else NO_EXPIRY)
    for length in lengths:
        keyspace.set(b"v:%d" % length, b"v" * length)
    keyspace.check()
    for length in lengths:
        assert keyspace.peek(b"k" * length) == b"v" * (length % 7)
        assert keyspace.peek(b"v:%d" % length) == b"v" * length
    for length in lengths:
        assert keyspace.persist(b"k" * length) == bool(length % 2)
    keyspace.check()
    assert keyspace.flush() == 2 * len(lengths)


def test_scan_gives_what_stays_while_a_slot_is_split_and_becomes_one_again() -> None:
    for seed in range(20):
        random = Random(seed)
        keyspace = Keyspace(Clock(1))
        stayers = {b"{t}stays:%d" % number for number in range(40)}
        passing = [b"{t}goes:%d" % number for number in range(3000)]
        for key in stayers:
            keyspace.set(key, b"v")
        there = random.choice([True, False])
        if there:
            for key in passing:
                keyspace.set(key, b"v")
        seen: set[bytes] = set()
        cursor, steps = 0, 0
        while True:
            cursor, found = keyspace.scan(cursor, random.choice([1, 10, 50]))
            seen.update(found)
            steps += 1
            if cursor == 0:
                break
            if random.random() < 0.2 and steps < 200:
                there = not there
                for key in passing:
                    if there:
                        keyspace.set(key, b"v")
                    else:
                        keyspace.delete(key)
        assert stayers <= seen, seed
        keyspace.check()


def test_scan_gives_everything_once_when_nothing_changes() -> None:
    keyspace = Keyspace(Clock(1))
    keys = {b"{t}%d" % number for number in range(1500)} | {b"%d" % number for number in range(1500)}
    for key in keys:
        keyspace.set(key, b"v")
    for count in (1, 7, 1000):
        cursor, found = keyspace.scan(0, count)
        while cursor:
            cursor, more = keyspace.scan(cursor, count)
            found += more
        assert len(found) == len(keys)
        assert set(found) == keys


def test_every_expired_key_is_swept_and_no_other() -> None:
    clock = Clock(1_000_000)
    keyspace = Keyspace(clock)
    random = Random(1)
    due = {}
    for form in (b"{t}%d", b"%d"):
        for number in range(4000):
            key = form % number
            due[key] = random.choice([NO_EXPIRY, clock.now_ms + random.randrange(1, 20_000)])
            keyspace.set(key, random.choice([b"v", members(b"a")]), due[key])
    for _ in range(4):
        clock.now_ms += 5_000
        for limit in (100, 100, 500, 10**9, 10**9):  # the last begins where a slot does
            keyspace.sweep(limit)
        keyspace.check()
        assert len(keyspace) == sum(at == NO_EXPIRY or at > clock.now_ms for at in due.values())
    assert keyspace.volatile == 0


@pytest.mark.parametrize("form", [b"{t}%d", b"%d"])
def test_a_sample_is_fair(form: bytes) -> None:
    """Chi-squared: of 300 keys with an expiry or without, each is met as often as any other, nearly."""
    keyspace = Keyspace(Clock(1), Random(5))
    for number in range(300):
        keyspace.set(form % number, b"v")
    met = dict.fromkeys(keyspace.keys(), 0)
    draws = 300 * 40
    for _ in range(draws):
        key = keyspace.random_key()
        assert key is not None
        met[key] += 1
    squared = sum((count - 40) ** 2 / 40 for count in met.values())
    assert squared < 299 + 5 * (2 * 299) ** 0.5, squared


@pytest.mark.compiled_only
def test_an_allocation_that_fails_leaves_the_keyspace_as_it_was() -> None:
    for form in ("key:%d", "{one slot}:%d"):
        use = Use(Keyspace(Clock(1_000_000)), Random(7), form)
        failed = 0
        actions = [use.set, use.set, use.set, use.expire, use.persist, use.update, use.delete]
        for step in range(6000):
            table.fail_allocation(use.random.randrange(1, 4))
            try:
                use.random.choice(actions)()
            except MemoryError:
                failed += 1
                table.fail_allocation(0)
                if step % 20 == 0:
                    use.compare()
        table.fail_allocation(0)
        use.compare()
        assert failed > 500


def state(peer: InProcess) -> list[Reply]:
    return peer.run([[b"KEYS", b"*"], [b"GET", b"k"], [b"PTTL", b"k"], [b"HGETALL", b"h"], [b"EXPIRETIME", b"h"]])


@pytest.mark.compiled_only
def test_a_node_that_gets_no_memory_says_so_and_is_as_it_was() -> None:
    peer = InProcess(2)
    peer.run([[b"SET", b"k", b"v"], [b"HSET", b"h", b"f", b"v"], [b"EXPIRE", b"h", b"100"]])
    for command in (b"SET k " + b"x" * 99, b"SET new v", b"SET k v EX 10", b"EXPIRE k 10", b"PERSIST h", b"RENAME k h"):
        before = state(peer)
        table.fail_allocation(1)
        (reply,) = peer.run([command.split()])
        table.fail_allocation(0)
        assert str(reply).startswith("OOM the system gave this node no memory"), command
        assert state(peer) == before, command
        peer.check()


@pytest.mark.compiled_only
def test_it_is_sound_behind_every_step_also_where_memory_is_short() -> None:
    """Few keys, so that all of it can be looked at each time, and enough for the slot to be split and to become one."""
    use = Use(Keyspace(Clock(1_000_000)), Random(11), "{one slot}:%d", 900)
    growing = [use.set, use.set, use.set, use.update, use.expire, use.persist, use.rename, use.read, use.delete]
    shrinking = [use.set, use.update, use.expire, use.persist, use.read, *[use.delete] * 5]
    for step in range(STEPS // 5):
        table.fail_allocation(use.random.choice([0, 0, 0, 1, 2, 3]))
        actions = growing if step % 1500 < 1000 else shrinking
        with contextlib.suppress(MemoryError):
            use.random.choice(actions)()
        table.fail_allocation(0)
        use.compare()
