"""A cluster gets more shards and loses them again while clients use all types: nothing fails, nothing is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import redis
from laptop import Cli, eventually
from mixed_load import mixed_load
from ports import free_base_port

MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {name: c}
spec: {shards: 3, replicasPerShard: 1, memory: 64Mi}
"""
KEYS = 2000
SLOTS = 16384


def owned(cli: Cli) -> list[int]:
    """Slots of each shard, as their masters say."""
    return [node["slots"] for node in cli.status()["nodes"] if node["role"] == "master"]


def test_slots_move_to_new_shards_and_back_and_clients_notice_nothing(cli: Cli, tmp_path: Path) -> None:
    port = free_base_port(16)
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=MANIFEST)
    client = redis.RedisCluster(host="127.0.0.1", port=port, decode_responses=True)
    for number in range(KEYS):
        client.set(f"key:{number}", f"value {number}", ex=3600 if number % 2 else None)
    (npm := tmp_path / "npm").mkdir()
    with mixed_load(port, npm) as load:
        for before, shards in (3, 4), (4, 6), (6, 3):
            assert f"c has {shards} shards now" in cli("scale", "--shards", str(shards)).stdout
            eventually(lambda shards=shards: len(owned(cli)) == shards, f"{shards} masters")
            assert sum(owned(cli)) == SLOTS
            assert max(owned(cli)) <= 1.02 * SLOTS / shards
            assert min(owned(cli)) >= 0.95 * SLOTS / shards - 1
            moved = cli.status()["rebalance"]
            assert moved["phase"] == "Done"
            least = SLOTS * abs(shards - before) / max(shards, before)
            assert moved["slotsMoved"] <= 1.05 * least, moved
            load.goes_on()
        eventually(lambda: len(cli.status()["nodes"]) == 6, "the nodes of the shards that went are gone")
    assert load.errors() == []
    assert load.told["operations"] > 0
    assert [mixed.different(client) for mixed in load.mixed] == [[], []]
    lost = [number for number in range(KEYS) if client.get(f"key:{number}") != f"value {number}"]
    assert not lost
    assert all(client.ttl(f"key:{number}") > 3000 for number in range(1, KEYS, 20))
    held = sum(client.dbsize(target_nodes=node) for node in client.get_primaries())
    assert held == KEYS + load.keys(), "no key is there twice"
    client.close()


FULL = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {name: c}
spec: {shards: 3, replicasPerShard: 0, memory: 16Mi, eviction: allkeys-lru, rebalance: {mayEvict: true}}
"""


def test_a_full_cache_gets_another_shard_and_loses_it_again(cli: Cli) -> None:
    port = free_base_port()
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=FULL)
    client = redis.RedisCluster(host="127.0.0.1", port=port)

    def evicted(shards: int) -> bool:
        """Every shard is full."""
        figures = client.info("stats", target_nodes=redis.RedisCluster.PRIMARIES).values()
        return len(figures) == shards and all(each["evicted_keys"] for each in figures)

    def fill(shards: int) -> None:
        for number in range(100_000):
            client.set(f"key:{number}", b"x" * 20_000)
            if number % 500 == 499 and evicted(shards):
                return

    fill(3)
    assert "c has 4 shards now" in cli("scale", "--shards", "4").stdout
    assert min(owned(cli)) >= 0.95 * 4096 - 1
    fill(4)
    assert "c has 3 shards now" in cli("scale", "--shards", "3").stdout
    eventually(lambda: len(cli.status()["nodes"]) == 3, "the fourth shard is gone")
    assert sum(owned(cli)) == 16384
    assert client.set("key:0", "v")
    client.close()


def test_a_plan_is_shown_and_nothing_moves_while_it_is_only_to_be_shown(cli: Cli) -> None:
    port = free_base_port()
    alone = MANIFEST.replace("shards: 3, replicasPerShard: 1", "shards: 1, replicasPerShard: 0")
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=alone)
    dry = alone.replace("shards: 1,", "shards: 2, rebalance: {dryRun: true},")
    assert "8192 slots with" in cli("plan", "-f", "-", text=dry).stdout
    told = cli("up", "-f", "-", "--base-port", str(port), "-d", text=dry).stdout
    assert "0 of 8192 slots" in told
    assert "dryRun is set" in told
    eventually(lambda: len(cli.status()["nodes"]) == 2, "the new shard's node")
    assert cli.status()["rebalance"]["phase"] == "DryRun"
    assert owned(cli)[0] == 16384
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=dry.replace("true", "false"))
    eventually(lambda: min(owned(cli)) >= 0.95 * 8192 - 1, "about half of the slots each")


def test_slots_follow_weights_while_clients_write(cli: Cli) -> None:
    port = free_base_port()
    even = MANIFEST.replace("replicasPerShard: 1", "replicasPerShard: 0")
    heavy = even.replace("shards: 3", "shards: 3, weights: [{shard: 0, weight: 2}]")
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=even)
    with mixed_load(port, None, clients=1) as load:
        assert "weights: 0=2; the others' is 1" in cli("plan", "-f", "-", text=heavy).stdout
        told = cli("up", "-f", "-", "--base-port", str(port), "-d", text=heavy).stdout
        assert "c has 3 shards now, with shares by their weights" in told
        shares = [slots / 16384 for slots in owned(cli)]
        assert 0.95 * 0.5 <= shares[0] <= 1.02 * 0.5
        assert all(0.95 * 0.25 <= share <= 1.02 * 0.25 for share in shares[1:])
        load.goes_on()
    assert load.errors() == []


def test_fewer_shards_than_have_weights_are_refused_in_words(cli: Cli) -> None:
    port = free_base_port()
    heavy = MANIFEST.replace("shards: 3, replicasPerShard: 1", "shards: 2, replicasPerShard: 0")
    heavy = heavy.replace("shards: 2", "shards: 2, weights: [{shard: 1, weight: 2}]")
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=heavy)
    assert owned(cli)[1] > 10000
    refused = cli("scale", "--shards", "1", code=2)
    assert "spec.weights[0].shard: 1 is not allowed; must be below spec.shards, which is 1" in refused.stderr


def test_slots_wait_for_their_window(cli: Cli) -> None:
    port = free_base_port()
    alone = MANIFEST.replace("shards: 3, replicasPerShard: 1", "shards: 1, replicasPerShard: 0")
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=alone)
    start, end = ((datetime.now(UTC) + timedelta(hours=hours)).strftime("%H:%M") for hours in (6, 8))
    closed = alone.replace("shards: 1,", f"shards: 2, rebalance: {{window: {{start: {start}, end: {end}}}}},")
    assert "they would wait: the window opens on" in cli("plan", "-f", "-", text=closed).stdout
    told = cli("up", "-f", "-", "--base-port", str(port), "-d", text=closed).stdout
    assert "0 of 8192 slots" in told
    assert f"at {start} (Etc/UTC)" in told
    eventually(lambda: len(cli.status()["nodes"]) == 2, "the new shard's node")
    assert cli.status()["rebalance"]["phase"] == "Waiting"
    assert owned(cli)[0] == 16384
    open_ = closed.replace(f"start: {start}, end: {end}", "start: 00:00, end: 24:00")
    cli("up", "-f", "-", "--base-port", str(port), "-d", text=open_)
    eventually(lambda: min(owned(cli)) >= 0.95 * 8192 - 1, "about half of the slots each")
