"""DEBUG DIGEST, DIGEST-VALUE and RELOAD on datasets of every type: one number for the same data here and elsewhere, and
the same data behind a reload."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random, SystemRandom
from typing import Any

import pytest
from differential.compare import Peer, final_difference
from persist.datasets import Command, commands
from wire import Wire
from worlds import World

from ringkeeper.resp.values import ReplyError

Peers = dict[str, Peer]


@pytest.fixture
def peers(all_servers: dict[str, int]) -> Iterator[Peers]:
    with contextlib.ExitStack() as stack:
        made = {}
        for name, port in all_servers.items():
            made[name] = Peer(port, 2)
            stack.callback(made[name].close)
            made[name].run([[b"FLUSHALL"]])
        yield made


def fill(peers: Peers, *, halves: bool) -> list[Command]:
    """The same dataset everywhere; a failure shows the seed."""
    seed = SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    made = commands(Random(seed), halves=halves)
    for peer in peers.values():
        assert not [reply for reply in peer.run(made) if isinstance(reply, ReplyError)]
    return made


def ask(peer: Peer, line: str) -> Any:
    reply = peer.run([line.encode().split()])[0]
    return getattr(reply, "text", reply)


def test_the_digest_is_that_of_redis_and_valkey(peers: Peers) -> None:
    made = fill(peers, halves=True)
    digests = [ask(peer, "DEBUG DIGEST") for peer in peers.values()]
    assert digests == digests[:1] * 3
    keys = sorted({command[1] for command in made} | {b"none"})
    different = set()
    for number in (b"0", b"1", b"2"):
        values = [peer.run([[b"SELECT", number], [b"DEBUG", b"DIGEST-VALUE", *keys]])[1] for peer in peers.values()]
        assert values == values[:1] * 3
        different |= {value.text for value in values[0]}
        assert values[0][keys.index(b"none")].text == b"0" * 40
    assert len(different) > 40


def test_scores_count_as_valkey_prints_them(peers: Peers) -> None:
    del peers["redis"]
    fill(peers, halves=False)
    assert ask(peers["node"], "DEBUG DIGEST") == ask(peers["valkey"], "DEBUG DIGEST")


@pytest.mark.parametrize(
    "change",
    ["SET s w", "SELECT 1 / SET s v / SELECT 0 / DEL s", "EXPIRE l 1000", "PERSIST t", "RENAME s r", "RPUSH l a",
     "LSET l 0 b", "SADD m c", "HSET h f w", "HDEL h g", "ZADD z 2 a", "ZREM z b", "DEL m / RPUSH m a b"],
)  # fmt: skip
def test_any_change_shows(peers: Peers, change: str) -> None:
    for peer in peers.values():
        for line in ("SET s v", "SET t v EX 1000", "RPUSH l a b a", "SADD m a b", "HSET h f v g w", "ZADD z 1 a 1 b"):
            ask(peer, line)
        before = ask(peer, "DEBUG DIGEST")
        for line in change.split(" / "):
            ask(peer, line)
        assert ask(peer, "DEBUG DIGEST") != before


def test_what_does_not_count_does_not_show(peers: Peers) -> None:
    for peer in peers.values():
        assert ask(peer, "DEBUG DIGEST") == b"0" * 40
        for line in ("SADD m 1 2 x", "SET t v EX 1000", "HSET h f v g w", "ZADD z 1 a 1 b"):
            ask(peer, line)
        before = ask(peer, "DEBUG DIGEST")
        for line in ("EXPIRE t 2000", "DEL h z m", "HSET h g w f v", "ZADD z 1 b 1 a", "SADD m x 2 1"):
            ask(peer, line)
        assert ask(peer, "DEBUG DIGEST") == before


def test_what_has_expired_and_was_not_met_does_not_count(peers: Peers) -> None:
    node = peers["node"]
    node.run([[b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"]])
    node.run([[b"MULTI"], [b"SET", b"k", b"v", b"PX", b"1"], [b"DEBUG", b"SLEEP", b"0.002"], [b"EXEC"]])
    assert ask(node, "DBSIZE") == 1
    assert ask(node, "DEBUG DIGEST") == b"0" * 40
    node.run([[b"DEBUG", b"SET-ACTIVE-EXPIRE", b"1"]])


# RELOAD


@pytest.mark.parametrize("line", ["DEBUG RELOAD", "DEBUG RELOAD MERGE NOFLUSH"])
def test_a_reload_leaves_the_same_dataset_in_the_same_encodings(peers: Peers, line: str) -> None:
    fill(peers, halves=True)
    before = ask(peers["node"], "DEBUG DIGEST")
    for peer in peers.values():
        assert ask(peer, line) == b"OK"
    assert [ask(peer, "DEBUG DIGEST") for peer in peers.values()] == [before] * 3
    for name in ("redis", "valkey"):
        difference = final_difference(name, peers[name], peers["node"])
        assert difference is None, str(difference)


def test_a_reload_keeps_idle_times_and_the_times_of_fields(peers: Peers) -> None:
    node = peers["node"]
    payload = node.run([[b"SET", b"k", b"v"], [b"DUMP", b"k"]])[1]
    node.run([[b"RESTORE", b"idle", b"0", payload, b"IDLETIME", b"1000"]])
    node.run([[b"HSET", b"h", b"f", b"v", b"g", b"w"], [b"HPEXPIREAT", b"h", b"4000000000000", b"FIELDS", b"1", b"f"]])
    assert ask(node, "DEBUG RELOAD") == b"OK"
    assert 1000 <= ask(node, "OBJECT IDLETIME idle") < 1100
    assert ask(node, "HPEXPIRETIME h FIELDS 2 f g") == [4000000000000, -1]


def test_a_reload_changes_every_key_for_those_who_watch_and_track(world: World) -> None:
    world.other("SET k v")
    world.other("CONFIG SET notify-keyspace-events KEAn")
    watcher, tracker, listener = world.wire(2), world.wire(3), world.wire(3)
    watcher("WATCH k")
    tracker("CLIENT TRACKING ON")
    tracker("GET k")
    listener("PSUBSCRIBE *")
    assert world.other("DEBUG RELOAD") == "OK"
    watcher("MULTI")
    assert watcher("EXEC") is None
    assert world.told(tracker) == [[">", "invalidate", None]]
    assert world.told(listener) == []


def test_a_reload_of_what_was_never_saved_is_refused_and_nothing_is_lost(all_servers: dict[str, int]) -> None:
    with Wire(all_servers["node"]) as wire:
        wire("FLUSHALL")
        wire("SET k v")
        assert wire("DEBUG RELOAD NOSAVE").startswith("-ERR Error trying to load the RDB dump")
        assert wire("GET k") == "v"
