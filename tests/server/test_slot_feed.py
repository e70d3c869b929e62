"""How a source tells the keys of a slot, step by step, while they change."""

from __future__ import annotations

import asyncio
from itertools import groupby
from types import SimpleNamespace
from typing import Any, cast

from ringkeeper.cluster.migration import Source
from ringkeeper.resp.reader import CommandReader
from ringkeeper.server.slot_feed import CAUGHT_UP, FAR_BEHIND, LISTED_AT_ONCE, WINDOW_NS, Pace, SlotFeed
from ringkeeper.store.keyspace import Clock, Keyspace
from ringkeeper.store.slot import key_slot

SLOT = key_slot(b"{a}")
COUNT = 20_000


class Dumped:
    """Instead of a payload, the value itself."""

    def dump(self, value: Any) -> bytes:
        return bytes(value)


def feed_of(keyspace: Keyspace) -> SlotFeed:
    """Of one slot; nothing goes out."""
    node = SimpleNamespace(databases=[keyspace], loop=asyncio.get_running_loop(), payloads=Dumped())
    rules = SimpleNamespace(state=Source.FEEDING, move=SimpleNamespace(slots=(SLOT,)))
    feed = SlotFeed(cast(Any, SimpleNamespace(node=node)), cast(Any, rules), cast(Any, None))
    feed.task.cancel()
    feed.sending = True
    return feed


def taken(feed: SlotFeed) -> dict[bytes, bytes]:
    """What a target has that did all that was told so far."""
    reader, keys = CommandReader(), dict[bytes, bytes]()
    reader.feed(bytes(feed.out))
    while (args := reader.next()) is not None:
        if args[0] == b"DEL":
            keys.pop(args[1], None)
        elif args[0] == b"RENAME":
            keys[args[2]] = keys.pop(args[1])  # which a target without the key would refuse
        else:
            keys[args[1]] = args[3] if args[0] == b"RESTORE" else args[2]
    return keys


MS = 1_000_000


class Fed:
    """Writes of a slot that goes to a target; time passes as the test says."""

    def __init__(self) -> None:
        self.pace, self.end, self.now = Pace(), 0, WINDOW_NS
        self.look()

    def write(self, size: int) -> None:
        self.end += size
        self.pace.written += size
        self.pace.sent.append((self.end, self.pace.written))

    def look(self, *, may_hold: bool = True) -> bool:
        """Whether writes are held back now."""
        before = self.pace.held_since > 0
        changed = self.pace.look(self.now, may_hold=may_hold)
        assert changed == (before != (self.pace.held_since > 0))
        return self.pace.held_since > 0

    def after(self, ms: int) -> bool:
        self.now += ms * MS
        return self.look()


def test_writes_wait_for_a_target_that_lacks_too_much_until_it_has_caught_up() -> None:
    fed = Fed()
    fed.write(FAR_BEHIND)
    assert not fed.look()
    fed.write(1)
    assert fed.look()
    assert fed.after(50)
    fed.pace.confirm(FAR_BEHIND)
    assert not fed.look()


def test_what_is_told_of_keys_holds_no_writes_back() -> None:
    fed = Fed()
    fed.end += 10 * FAR_BEHIND
    fed.write(CAUGHT_UP)
    assert not fed.look()


def test_a_target_that_hangs_takes_half_of_the_time_and_no_more() -> None:
    fed = Fed()
    fed.write(2 * FAR_BEHIND)
    held = [fed.after(10) for _ in range(200)]
    assert 90 <= sum(held) <= 110
    longest = max(len(list(group)) for on, group in groupby(held) if on)
    assert longest <= 11


def test_nothing_is_held_back_once_it_may_not_be() -> None:
    fed = Fed()
    fed.write(2 * FAR_BEHIND)
    assert fed.look()
    assert not fed.look(may_hold=False), "a release holds writes itself"


def test_rates_are_what_clients_would_write_and_what_they_could() -> None:
    fed = Fed()
    for _ in range(WINDOW_NS // (10 * MS)):
        if not fed.after(10):
            fed.write(2**20)
    assert 90 * 2**20 < fed.pace.demand <= 110 * 2**20
    assert 40 * 2**20 < fed.pace.let_through < 60 * 2**20
    fed.pace.confirm(fed.end)
    fed.after(1)
    fed.now += WINDOW_NS
    fed.look()
    fed.now += WINDOW_NS
    fed.look()
    assert (fed.pace.demand, fed.pace.let_through) == (0, 0), "nothing was held back"


async def test_no_step_handles_more_keys_of_a_slot_than_a_few() -> None:
    keyspace = Keyspace(Clock(1))
    for number in range(COUNT):
        keyspace.set(b"{a}%d" % number, b"v")
        keyspace.set(b"%d" % number, b"v")
    feed, slots = feed_of(keyspace), iter((SLOT,))
    listed = told = 0
    more = True
    while more:
        left, keys = len(feed.left), feed.keys
        more = feed.step(slots)
        listed, told = max(listed, len(feed.left) - left), max(told, feed.keys - keys)
    assert 0 < listed <= 2 * LISTED_AT_ONCE
    assert told == 1
    assert taken(feed) == {b"{a}%d" % number: b"v" for number in range(COUNT)}


async def test_what_changes_while_keys_are_listed_and_told_is_told_as_it_is_then() -> None:
    keyspace = Keyspace(Clock(1))
    for number in range(COUNT):
        keyspace.set(b"{a}%d" % number, b"v")
    feed, slots = feed_of(keyspace), iter((SLOT,))

    def change(number: int) -> None:
        new, renamed = b"{a}%d" % (COUNT + number), b"{a}new%d" % number
        old, gone, former = (b"{a}%d" % (7 * number + each) for each in range(3))
        for key in (new, old):
            keyspace.set(key, b"changed")
            feed.told(SLOT, [b"SET", key, b"changed"], [key])
        keyspace.delete(gone)
        feed.told(SLOT, [b"DEL", gone], [gone])
        if keyspace.delete(former):
            keyspace.set(renamed, b"v")
            feed.told(SLOT, [b"RENAME", former, renamed], [former, renamed])

    steps = 0
    while feed.step(slots):
        steps += 1
        if steps < 50 or (steps % 20 == 0 and steps < COUNT):
            change(steps % 2_000)
    keys = keyspace.slot_keys(SLOT)
    assert taken(feed) == {key: bytes(cast(bytes, keyspace.look(key))) for key in keys}
