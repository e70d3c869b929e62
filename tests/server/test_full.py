"""What a full server says and does, beside Redis and Valkey: `world` is each of them in turn."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from laptop import eventually
from wire import Wire
from worlds import World

OUT_OF_MEMORY = "-OOM command not allowed when used memory > 'maxmemory'."
NEARLY = 50_000
"""Bytes of the buffers of who asks, which Redis does not count."""
POLICIES = [
    f"{which}-{how}" for which in ("allkeys", "volatile") for how in ("lru", "lfu", "random")
] + ["volatile-ttl", "noeviction"]  # fmt: skip


@pytest.fixture
def roomy(world: World) -> Iterator[World]:
    """A server that will have room again for whoever comes next."""
    yield world
    world.other("CONFIG", "SET", "maxmemory", 0)
    world.other("CONFIG", "SET", "maxmemory-policy", "noeviction")


def fill(world: World, count: int = 200, *options: str | int) -> list[str]:
    names = [f"key:{number}" for number in range(count)]
    for name in names:
        world.other("SET", name, "x" * 10_000, *options)
    return names


def squeeze(world: World, policy: str, part: float = 0.5) -> int:
    """Let `maxmemory` be less than what is used: that and a part of the keys."""
    world.other("CONFIG", "SET", "maxmemory-policy", policy)
    limit = world.figure("used_memory") - int(200 * 10_000 * part)
    world.other("CONFIG", "SET", "maxmemory", limit)
    return limit


DENIED = [
    "SET a b", "SETEX a 10 b", "APPEND list b", "INCR a", "LPUSH list a", "RPUSHX none a", "SADD s a", "ZADD z 1 a",
    "HSET h f v", "SETRANGE a 0 b", "SETBIT a 1 1", "SORT list STORE a", "PFADD p a", "COPY list a", "MSET a b",
    "GETSET a b", "SUNIONSTORE a s", "HINCRBY h f 1", "LINSERT list BEFORE a b", "RPOPLPUSH list a",
    "LMOVE list a LEFT LEFT", "RESTORE a 0 x",
]  # fmt: skip
ALLOWED = [
    "GET key:0", "DEL key:1", "UNLINK key:2", "EXPIRE key:3 100", "PERSIST key:3", "GETDEL key:4", "GETEX key:5 EX 9",
    "LPOP list", "LRANGE list 0 -1", "LREM list 1 a", "LTRIM list 0 5", "SREM s a", "SPOP s", "SMOVE s t a", "ZREM z a",
    "ZPOPMIN z", "HDEL h f", "RENAME key:6 key:7", "TYPE key:3", "EXISTS key:3", "DBSIZE", "TTL key:3", "TOUCH key:3",
    "RANDOMKEY", "SCAN 0 COUNT 1000", "PUBLISH c m", "MULTI", "EXEC", "CONFIG GET maxmemory", "FLUSHDB",
]  # fmt: skip


def test_a_full_server_that_evicts_nothing_refuses_what_may_grow_and_nothing_else(roomy: World) -> None:
    fill(roomy)
    roomy.other("RPUSH", "list", "a", "b")
    squeeze(roomy, "noeviction")
    for line in DENIED:
        expected: Any = OUT_OF_MEMORY
        if line.startswith("PFADD") and "unknown command" in roomy.other(*line.split()):
            continue
        assert roomy.other(*line.split()) == expected, line
    for line in ALLOWED:
        assert not str(roomy.other(*line.split())).startswith("-OOM"), line
    assert roomy.figure("evicted_keys") == 0
    roomy.other("CONFIG", "SET", "maxmemory", 0)
    assert roomy.other("SET", "a", "b") == "OK"


# Redis 7.0 refuses to queue anything at all, even what frees.


def test_a_transaction_with_a_command_that_may_grow_is_refused_as_a_whole(roomy: World) -> None:
    names = fill(roomy)
    squeeze(roomy, "noeviction")
    assert roomy.other("MULTI") == "OK"
    roomy.other("DEL", names[0])
    assert roomy.other("SET", "a", "b") == OUT_OF_MEMORY
    assert roomy.other("EXEC") == "-EXECABORT Transaction discarded because of previous errors."
    assert roomy.other("EXISTS", names[0]) == 1


def test_a_transaction_that_was_queued_before_memory_was_short_is_refused_by_exec(roomy: World) -> None:
    """Redis says so with the error of the queued command; what counts is that nothing of it runs."""
    names = fill(roomy)
    wire = roomy.wire(2)
    for line in ("MULTI", f"DEL {names[0]}", "SET a b"):
        wire(*line.split())
    squeeze(roomy, "noeviction")
    reply = wire("EXEC")
    assert str(reply).startswith("-EXECABORT") or reply == OUT_OF_MEMORY, reply
    assert roomy.other("EXISTS", names[0]) == 1
    if roomy.name != "redis":
        for line in ("MULTI", f"DEL {names[0]}"):
            wire(*line.split())
        assert wire("EXEC") == [1], "what frees may run"


def test_no_key_goes_amid_a_transaction(roomy: World) -> None:
    """Redis makes room while commands are queued already, since the queue counts."""
    fill(roomy)
    roomy.other("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
    roomy.other("CONFIG", "SET", "maxmemory", roomy.figure("used_memory") + 300_000)
    wire = roomy.wire(2)
    wire("MULTI")
    for name in range(50):
        wire("SET", name, "x" * 10_000)
    wire("EXISTS", *range(50))
    assert wire("EXEC")[-1] == 50


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy.startswith("volatile")])
def test_without_keys_that_expire_a_volatile_policy_is_no_eviction(roomy: World, policy: str) -> None:
    names = fill(roomy)
    squeeze(roomy, policy)
    assert roomy.other("SET", "a", "b") == OUT_OF_MEMORY
    assert roomy.other("DBSIZE") == len(names)


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy.startswith("volatile")])
def test_a_volatile_policy_takes_only_keys_that_expire(roomy: World, policy: str) -> None:
    lasting = fill(roomy, 100)
    for number in range(100):
        roomy.other("SET", f"volatile:{number}", "x" * 10_000, "EX", 1000 + number)
    before = roomy.figure("evicted_keys")
    limit = squeeze(roomy, policy, 0.2)
    for _ in range(100):
        assert roomy.other("SET", "a", "b") == "OK"
    eventually(lambda: roomy.figure("used_memory") <= limit + NEARLY, "room is made")
    assert roomy.other("EXISTS", *lasting) == 100
    evicted = roomy.figure("evicted_keys") - before
    assert 30 <= evicted <= 70, "of 200 keys a fifth, and what clients' buffers take"
    if policy == "volatile-ttl":
        left = [number for number in range(100) if roomy.other("EXISTS", f"volatile:{number}")]
        assert sum(number >= evicted for number in left) > 0.8 * len(left), "those that live longest"


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy.startswith("allkeys")])
def test_a_limit_below_what_is_used_is_reached_without_further_commands(roomy: World, policy: str) -> None:
    fill(roomy)
    limit = squeeze(roomy, policy)
    eventually(lambda: roomy.figure("used_memory") <= limit + NEARLY, "room is made")
    assert 50 <= roomy.other("DBSIZE") <= 110
    assert roomy.other("CONFIG", "GET", "maxmemory-policy") == ["maxmemory-policy", policy]


def told_figures(world: World) -> dict[str, str]:
    return dict(line.split(":", 1) for line in world.other("INFO", "all").split("\r\n") if ":" in line)


def test_info_tells_of_the_limit(roomy: World) -> None:
    roomy.other("CONFIG", "SET", "maxmemory", "100mb")
    roomy.other("CONFIG", "SET", "maxmemory-policy", "volatile-ttl")
    told = told_figures(roomy)
    assert told["maxmemory"] == "104857600"
    assert told["maxmemory_human"] == "100.00M"
    assert told["maxmemory_policy"] == "volatile-ttl"
    for name in ("evicted_keys", "evicted_clients", "total_eviction_exceeded_time", "current_eviction_exceeded_time",
                 "mem_not_counted_for_evict", "mem_fragmentation_ratio", "mem_fragmentation_bytes", "mem_allocator",
                 "mem_clients_normal", "mem_clients_slaves", "mem_aof_buffer", "mem_replication_backlog",
                 "mem_total_replication_buffers", "mem_cluster_links", "expired_keys", "expired_stale_perc",
                 "expired_time_cap_reached_count", "expire_cycle_cpu_milliseconds"):  # fmt: skip
        assert name in told, name


def test_what_is_no_limit_or_policy_is_refused(roomy: World) -> None:
    for name, value in (("maxmemory", "lots"), ("maxmemory", "-1"), ("maxmemory-policy", "lru"),
                        ("maxmemory-policy", "allkeys-fifo"), ("maxmemory-samples", "0")):  # fmt: skip
        reply = roomy.other("CONFIG", "SET", name, value)
        assert reply.startswith(f"-ERR CONFIG SET failed (possibly related to argument '{name}') - "), reply
    assert roomy.other("CONFIG", "GET", "maxmemory-policy") == ["maxmemory-policy", "noeviction"]
    assert roomy.other("CONFIG", "GET", "maxmemory") == ["maxmemory", "0"]
    assert roomy.other("SET", "a", "b") == "OK", "0 is no limit"


def evict_all(world: World, wire: Wire | None = None) -> None:
    """By a command of this client's, or in the background."""
    world.other("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    world.other("CONFIG", "SET", "maxmemory", 1)
    if wire is not None:
        wire("SET", "another", "value")
    eventually(lambda: world.other("DBSIZE") == 0, "room is made")


def test_evicted_keys_are_told_of(roomy: World) -> None:
    roomy.other("CONFIG", "SET", "notify-keyspace-events", "Ee")
    listener = roomy.wire()
    listener("SUBSCRIBE", "__keyevent@0__:evicted")
    names = fill(roomy, 20)
    evict_all(roomy)
    told = roomy.told(listener)
    assert sorted(message[-1] for message in told) == sorted(names)


@pytest.mark.parametrize("by_command", [False, True])
def test_who_watches_an_evicted_key_executes_nothing(roomy: World, by_command: bool) -> None:
    roomy.other("SET", "k", "v")
    wire = roomy.wire(2)
    wire("WATCH", "k")
    evict_all(roomy, roomy.other if by_command else None)
    roomy.other("CONFIG", "SET", "maxmemory", 0)
    wire("MULTI")
    wire("PING")
    assert wire("EXEC") is None


@pytest.mark.parametrize("options", [(), ("NOLOOP",), ("BCAST", "NOLOOP")])
@pytest.mark.parametrize("by_command", [False, True])
def test_who_may_hold_an_evicted_key_is_told(roomy: World, options: tuple[str, ...], by_command: bool) -> None:
    """Also if it was this client's command that needed the room: it did not write that key itself."""
    roomy.other("SET", "k", "v")
    wire = roomy.wire()
    wire("CLIENT", "TRACKING", "ON", *options)
    wire("GET", "k")
    roomy.other("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    roomy.other("CONFIG", "SET", "maxmemory", 1)
    if by_command:
        wire.send("SET", "another", "value")
    eventually(lambda: roomy.other("DBSIZE") == 0, "room is made")
    told = roomy.told(wire)
    assert [">", "invalidate", ["k"]] in told or [">invalidate", ["k"]] in told, told


NOT_LRU = (
    "-ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies "
    "at runtime LRU and LFU data will take some time to adjust."
)
NOT_LFU = (
    "-ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
    "between policies at runtime LRU and LFU data will take some time to adjust."
)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_says_what_is_known_of_a_key(roomy: World, policy: str) -> None:
    """Beyond them, a node knows under every policy when a key was used last."""
    roomy.other("CONFIG", "SET", "maxmemory-policy", policy)
    began = time.monotonic()
    roomy.other("SET", "k", "v")
    counts = policy.endswith("lfu")
    assert roomy.other("OBJECT", "FREQ", "k") == (5 if counts else NOT_LFU)
    idle = roomy.other("OBJECT", "IDLETIME", "k")
    if counts and roomy.name != "node":
        assert idle == NOT_LRU
    else:
        # Its clock has whole seconds, may tick in between, and is looked at ten times a second.
        assert 0 <= idle <= time.monotonic() - began + 1.1
    assert roomy.other("OBJECT", "FREQ", "none") is None
    assert roomy.other("OBJECT", "IDLETIME", "none") is None


def test_a_frequency_grows_with_use_and_not_with_looks(roomy: World) -> None:
    roomy.other("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    roomy.other("CONFIG", "SET", "lfu-log-factor", 0)
    try:
        roomy.other("SET", "k", "v")
        for line in ("OBJECT FREQ k", "TYPE k", "TTL k", "EXISTS k", "OBJECT ENCODING k", "SCAN 0", "DEBUG OBJECT k"):
            roomy.other(*line.split())
        looked = roomy.other("OBJECT", "FREQ", "k")
        for _ in range(20):
            roomy.other("GET", "k")
        assert (looked, roomy.other("OBJECT", "FREQ", "k")) == (5, 25)
        roomy.other("SET", "k", "other")
        assert roomy.other("OBJECT", "FREQ", "k") >= 25
    finally:
        roomy.other("CONFIG", "SET", "lfu-log-factor", 10)
