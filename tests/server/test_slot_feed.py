"""How a source tells the keys of a slot, step by step, while they change."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / "differential")]

from in_process import InProcess  # noqa: E402

from ringkeeper.cluster.migration import Confirmation, Source  # noqa: E402
from ringkeeper.commands.digest import digest_of_value  # noqa: E402
from ringkeeper.resp.reader import CommandReader  # noqa: E402
from ringkeeper.resp.values import ReplyError  # noqa: E402
from ringkeeper.server.moves import Moves  # noqa: E402
from ringkeeper.server.slot_feed import CAUGHT_UP, FAR_BEHIND, LISTED_AT_ONCE, WINDOW_NS, Pace, SlotFeed  # noqa: E402
from ringkeeper.server.slot_parts import PART, STRING_PART  # noqa: E402
from ringkeeper.server.slot_values import USED  # noqa: E402
from ringkeeper.store.keyspace import NO_EXPIRY, Clock, Keyspace  # noqa: E402
from ringkeeper.store.slot import key_slot  # noqa: E402

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


NOTHING = [b"PING"]


def run(node: InProcess, *commands: list[bytes]) -> list[object]:
    replies = node.run(list(commands))
    for words, reply in zip(commands, replies, strict=True):
        assert not isinstance(reply, ReplyError), (words[:2], reply)
    return replies


async def fed_while_written_to(key: bytes, changes: Iterator[list[bytes]], source: InProcess) -> list[list[bytes]]:
    """What is told of the slot of a large key, which changes behind each step; a target that does it has the same.
    Of a command, keys are those of the first two words that are in the slot."""
    keyspace = source.session.context.keyspace
    feed, slots = feed_of(keyspace), iter((SLOT,))
    while feed.step(slots):
        words = next(changes)
        (reply,) = run(source, words)
        if words != NOTHING and reply is not None:
            feed.told(SLOT, words, [word for word in words[1:3] if word.startswith(b"{a}")])
    reader = CommandReader()
    reader.feed(bytes(feed.out))
    told = []
    while (args := reader.next()) is not None:
        told.append(args)
    target = InProcess(2)
    run(target, *[args for args in told if args[0] != USED])
    copied = target.session.context.keyspace
    for each in {*keyspace.slot_keys(SLOT), *copied.slot_keys(SLOT), key}:
        assert digest_of_value(copied.look(each), NO_EXPIRY) == digest_of_value(keyspace.look(each), NO_EXPIRY)
    return told


def named(number: int) -> bytes:
    return b"%0100d" % number


def random_change(randomness: random.Random, kind: str, key: bytes) -> list[bytes]:
    """Of an element of a large value of 30,000, or of some at an end of it."""
    name = named(randomness.randrange(40_000))
    score = b"%d" % randomness.randrange(30_000)
    some = b"%d" % randomness.randrange(1, 400)
    return randomness.choice(
        {
            "hash": [[b"HSET", key, name, b"9"], [b"HINCRBY", key, name, b"5"], [b"HDEL", key, name]],
            "set": [[b"SADD", key, name], [b"SREM", key, name]],
            "list": [
                [b"LPUSH", key, name, b"2", b"3"], [b"RPUSH", key, name, name], [b"LPUSHX", key, b"4"],
                [b"LPOP", key], [b"LPOP", key, some], [b"RPOP", key], [b"RPOP", key, some],
                [b"LTRIM", key, b"0", b"-2"], [b"LTRIM", key, b"-20000", b"20000"], [b"LTRIM", key, b"3", b"-1"],
                [b"LSET", key, b"7", name], [b"LSET", key, b"-7", name], [b"LSET", key, b"5000", name],
                [b"LMOVE", key, b"{a}other", b"LEFT", b"RIGHT"], [b"RPOPLPUSH", b"{a}large2", key],
                [b"LMOVE", b"{a}other", key, b"RIGHT", b"LEFT"], [b"RPUSH", key, *[name] * 700],
                [b"PEXPIREAT", key, b"4000000000000"], [b"PERSIST", key],
            ],
            "zset": [
                [b"ZADD", key, score, name], [b"ZADD", key, b"GT", b"CH", score, name, score, b"new"],
                [b"ZADD", key, b"XX", score, name], [b"ZINCRBY", key, b"-100.5", name], [b"ZREM", key, name, b"x"],
                [b"ZPOPMIN", key, b"3"], [b"ZPOPMAX", key, b"3"], [b"ZREMRANGEBYSCORE", key, score, score],
            ],
        }[kind]
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["hash", "set", "list", "zset"])
async def test_elements_of_a_large_value_may_change_all_the_time_while_it_is_told_in_parts(
    kind: str, seed: int
) -> None:
    key, randomness, source = b"{a}large", random.Random(seed), InProcess(2)
    names = [named(number) for number in range(30_000)]
    make = {
        "hash": [b"HSET", key, *[word for name in names for word in (name, b"1")]],
        "set": [b"SADD", key, *names],
        "list": [b"RPUSH", key, *names],
        "zset": [b"ZADD", key, *[word for number, name in enumerate(names) for word in (b"%d" % (number // 7), name)]],
    }
    run(source, make[kind])
    if kind == "list":
        run(source, [b"RPUSH", b"{a}large2", *names], [b"RPUSH", b"{a}other", b"one"])
    told = await fed_while_written_to(key, iter(lambda: random_change(randomness, kind, key), None), source)
    assert told.count([b"DEL", key]) == 1, "it is told once"
    assert max(sum(map(len, args)) for args in told) < 2 * PART


@pytest.mark.parametrize("command", [b"HSET", b"SADD", b"RPUSH", b"ZADD"])
async def test_large_elements_come_a_few_at_a_time(command: bytes) -> None:
    key, source = b"{a}large", InProcess(2)
    for number in range(200):
        element = named(number) * 200
        words = {b"HSET": [named(number), element], b"ZADD": [b"1", element]}.get(command, [element])
        run(source, [command, key, *words])
    told = await fed_while_written_to(key, itertools.repeat(NOTHING), source)
    assert max(sum(map(len, args)) for args in told) < 2 * PART


@pytest.mark.parametrize("pop", [b"LPOP", b"RPOP", b"ZPOPMIN"])
async def test_a_queue_that_runs_empty_while_it_is_told_is_what_it_is_then(pop: bytes) -> None:
    key, source = b"{a}large", InProcess(2)
    names = [named(number) for number in range(5_000)]
    if pop == b"ZPOPMIN":
        run(source, [b"ZADD", key, *[word for name in names for word in (b"1", name)]])
    else:
        run(source, [b"RPUSH", key, *names])
    again = [b"ZADD", key, b"1", b"a"] if pop == b"ZPOPMIN" else [b"RPUSH", key, b"a"]
    pops = [[pop, key, b"1800"]] * 3
    await fed_while_written_to(key, itertools.chain([NOTHING] * 5, pops, itertools.repeat(again)), source)


async def test_a_value_that_changes_as_a_whole_all_the_time_is_told_whole_in_the_end() -> None:
    key, source = b"{a}large", InProcess(2)
    run(source, [b"RPUSH", key, *[b"element %d" % number for number in range(30_000)]])
    change = [b"LINSERT", key, b"BEFORE", b"element 3", b"x"]
    told = await fed_while_written_to(key, itertools.repeat(change), source)
    assert [args[0] for args in told].count(b"RESTORE") == 1


async def test_a_large_value_that_is_removed_and_made_anew_is_what_it_is_then() -> None:
    key, source = b"{a}large", InProcess(2)
    fields = [b"field %d" % number for number in range(30_000)]
    run(source, [b"HSET", key, *[word for field in fields for word in (field, b"1")]])
    changes = [NOTHING, NOTHING, NOTHING, [b"HDEL", key, *fields], [b"HSET", key, b"a", b"1"]]
    await fed_while_written_to(key, itertools.chain(changes, itertools.repeat([b"HSET", key, b"b", b"2"])), source)


async def test_a_large_string_comes_in_parts() -> None:
    key, source = b"{a}large", InProcess(2)
    run(source, [b"SET", key, bytes(range(250)) * 20_000])
    told = await fed_while_written_to(key, itertools.repeat(NOTHING), source)
    assert max(sum(map(len, args)) for args in told) < 2 * STRING_PART


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


async def test_who_waits_for_news_of_moves_hears_when_one_is_elsewhere() -> None:
    states = ["feeding"]
    rules = SimpleNamespace(confirmation=lambda: Confirmation(7, "source", states[0], 1, "run"))
    moves = Moves(cast(Any, SimpleNamespace(loop=asyncio.get_running_loop())))
    moves.leaving[7] = cast(Any, SimpleNamespace(rules=rules))
    known = moves.progress
    waiting = asyncio.create_task(moves.await_news(known, 3600.0))
    await asyncio.sleep(0)
    moves.tell_news()
    await asyncio.sleep(0)
    assert not waiting.done(), "nothing is new"
    states[0] = "released"
    moves.tell_news()
    async with asyncio.timeout(60):
        await waiting
        await moves.await_news(known, 3600.0)  # what is new already is not waited for
    assert not moves.watching
    await moves.await_news(moves.progress, 0.0)
    assert not moves.watching
