"""What commands are told as, executed elsewhere and at another time, gives the same data: for random sequences."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from persist.corpus import contents

sys.path[:0] = [str(Path(__file__).parent)]

from groups import generator_for  # noqa: E402
from in_process import InProcess  # noqa: E402

from ringkeeper import commands  # noqa: E402
from ringkeeper.commands.propagation import propagated  # noqa: E402
from ringkeeper.resp.values import ReplyError  # noqa: E402
from ringkeeper.store.keyspace import Keyspace  # noqa: E402
from ringkeeper.store.namespaces import Namespace, Namespaces  # noqa: E402

BEGIN_MS = 1_800_000_000_000
TABLE = commands.load()
Held = dict[tuple[int, bytes], tuple[object, int]]


class Author:
    """Executes commands at a time of its own, and tells them on."""

    def __init__(self) -> None:
        self.node = InProcess(2)
        self.context = self.node.session.context
        self.node.clock.now_ms = BEGIN_MS
        self.changes: list[Any] = []
        self.purged: list[Any] = []
        for keyspace in self.context.databases:
            keyspace.changes, keyspace.purged = self.changes, self.purged
            keyspace.siblings = self.context.databases

    def run(self, args: list[bytes]) -> list[tuple[int, list[bytes]]]:
        entry = TABLE.get(args[0].lower())
        if entry is None or entry.subcommands or len(args) < abs(entry.arity) or 0 < entry.arity < len(args):
            return []
        reply: Any = None
        try:
            reply = entry.function(self.context, args)
        except ReplyError:
            entry = TABLE[b"get"]  # what expired before it is told, and nothing of the command
        told = propagated(self.context, entry, args, reply, self.changes, self.purged)
        self.changes.clear()
        self.purged.clear()
        return told


class Follower:
    """Executes what it is told, and lets nothing expire."""

    def __init__(self) -> None:
        self.node = InProcess(2)
        self.context = self.node.session.context
        self.node.clock.now_ms = 0

    def follow(self, told: list[tuple[int, list[bytes]]]) -> None:
        for database, args in told:
            self.context.database, self.context.keyspace = database, self.context.databases[database]
            TABLE[args[0].lower()].function(self.context, args)


def held(databases: list[Keyspace], now_ms: int) -> Held:
    """What lives at that time."""
    found = {}
    for keyspace in databases:
        for key, value, expires_at, _ in keyspace.entries():
            if expires_at != -1 and expires_at <= now_ms:
                continue
            content = contents(value)
            if isinstance(content, tuple):
                fields, times = content
                fields = {name: text for name, text in fields.items() if times.get(name, now_ms + 1) > now_ms}
                content = fields, {name: at for name, at in times.items() if name in fields}
                if not content[1]:
                    content = fields
                if not fields:
                    continue
            found[keyspace.index, key] = content, expires_at
    return found


@pytest.mark.parametrize(
    "group", ["strings", "hashes", "sets", "hash-expiry", "lists", "serial", "sort", "sorted-sets", "all-and-newer"]
)
@pytest.mark.parametrize("governed", [False, True])
def test_a_follower_holds_the_same(group: str, governed: bool) -> None:
    seed = Random().randrange(1 << 30)
    for example in range(seed, seed + 8):
        follow(group, example, governed)


def follow(group: str, seed: int, governed: bool) -> None:
    random = Random(seed)
    author, follower = Author(), Follower()
    if governed:
        rules = Namespaces([Namespace(b"k", 0, "noeviction", 10**9, 2 * 10**9)])
        for keyspace in author.context.databases:
            keyspace.set_namespaces(rules, bytes(2))
    generator = generator_for(group, seed)
    log: list[object] = []
    for number in range(400):
        if random.random() < 0.05:
            author.node.clock.now_ms += random.choice([1, 1000, 10**6, 10**9, 10**11])
            log.append(author.node.clock.now_ms)
        args = generator.command()
        log.append(args)
        told = author.run(args)
        log.append(told)
        follower.follow(told)
        if number % 20 == 19:
            now_ms = author.node.clock.now_ms
            ours, theirs = held(author.context.databases, now_ms), held(follower.context.databases, now_ms)
            assert ours == theirs, f"seed {seed}: {log[-60:]}"


def test_nothing_is_told_of_what_changed_nothing() -> None:
    author = Author()
    assert author.run([b"SET", b"key", b"1"]) == [(0, [b"SET", b"key", b"1"])]
    for args in ([b"GET", b"key"], [b"DEL", b"none"], [b"SETNX", b"key", b"2"], [b"HSET", b"key", b"f", b"v"]):
        assert author.run(args) == []


def test_times_are_told_as_moments() -> None:
    author = Author()
    at = b"%d" % (BEGIN_MS + 5000)
    assert author.run([b"SET", b"key", b"1", b"EX", b"5"]) == [(0, [b"SET", b"key", b"1", b"PXAT", at])]
    assert author.run([b"INCR", b"key"]) == [(0, [b"INCR", b"key"])]
    assert author.run([b"PEXPIRE", b"key", b"5000", b"XX"]) == [(0, [b"PEXPIREAT", b"key", at])]
    assert author.run([b"INCRBYFLOAT", b"key", b"0.5"]) == [(0, [b"SET", b"key", b"2.5", b"PXAT", at])]
    author.node.clock.now_ms += 5001
    assert author.run([b"GET", b"key"]) == [(0, [b"DEL", b"key"])]
    assert author.run([b"SET", b"key", b"1", b"PXAT", b"1"]) == [(0, [b"DEL", b"key"])]
