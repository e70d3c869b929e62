"""`rebalance.strategy: load` on real processes: a few busy keys on one shard are spread, and then nothing moves."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis
from laptop import Cli, eventually
from ports import free_base_port

from ringkeeper.store.slot import key_slot

SHARDS = 3
MANIFEST = """
apiVersion: ringkeeper.dev/v1alpha1
kind: CacheCluster
metadata: {name: c}
spec: {shards: 3, replicasPerShard: 0, memory: 64Mi, rebalance: {strategy: load}}
"""
BUSY = (45, 8, 7)
"""How many busy keys each shard has in the beginning."""
ROUNDS_PER_SECOND = 20
"""In which each of them is written once."""
MOST = 600.0
"""Seconds until they are spread: what counts is the average of minutes, and two must pass between rounds."""
CALM = 300.0


@contextmanager
def written_to(port: int, keys: list[str]) -> Iterator[list[str]]:
    """All the time, at an even pace; what went wrong."""
    stopping, errors = threading.Event(), list[str]()

    def write() -> None:
        with closing(redis.RedisCluster(host="127.0.0.1", port=port)) as client:
            while not stopping.wait(1 / ROUNDS_PER_SECOND):
                try:
                    for key in keys:
                        client.incr(key)
                except redis.RedisError as error:
                    errors.append(str(error))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield errors
    finally:
        stopping.set()
        thread.join()


@pytest.mark.soak
def test_busy_keys_are_spread_over_the_shards_once(cli: Cli, tmp_path: Path) -> None:
    manifest, port = tmp_path / "cluster.yaml", free_base_port(SHARDS)
    manifest.write_text(MANIFEST)
    cli("up", "-f", str(manifest), "--base-port", str(port), "--detach")
    before = cli.owners()
    keys: list[str] = []
    slots = {key_slot(b"%d" % number): str(number) for number in range(100_000)}
    for shard, count in enumerate(BUSY):
        keys += [key for slot, key in slots.items() if before[slot] == shard][:count]

    def busy() -> Counter[int]:
        now = cli.owners()
        return Counter(now[key_slot(key.encode())] for key in keys)

    assert tuple(busy()[shard] for shard in range(SHARDS)) == BUSY
    even = sum(BUSY) / SHARDS
    with written_to(port, keys) as errors:
        eventually(lambda: max(busy().values()) <= 1.1 * even, "all shards have as much to do", MOST)
        spread = cli.owners()
        moved = sum(one != other for one, other in zip(before, spread, strict=True))
        assert moved <= 1.5 * (BUSY[0] - even), "few slots, those with traffic"
        end = time.monotonic() + CALM
        eventually(lambda: time.monotonic() > end or cli.owners() != spread, "calm", 2 * CALM)
        assert cli.owners() == spread, "it has come to rest"
    assert not errors
