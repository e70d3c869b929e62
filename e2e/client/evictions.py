"""Writes more into a namespace than its budget, as an application would: with plain redis-py.

    python evictions.py HOST PORT      (the password in the environment, PASSWORD)

The keys of another namespace, and of none, are there before. The cluster must have the namespaces `small:`, with a
budget, and `other:`. Prints what is left as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

from connecting import connect
from redis.cluster import RedisCluster

BATCH = 500
VALUE = b"x" * 500
STAYING = 2_000
"""Keys each."""
WRITTEN = 20_000
"""Keys of `small:`, 10 MB without what they take besides."""


def write(client: RedisCluster, prefix: str, numbers: Iterable[int]) -> None:
    pipeline = client.pipeline()
    for number in numbers:
        pipeline.set(f"{prefix}{number}", VALUE)
    pipeline.execute()


def count(client: RedisCluster, prefix: str, keys: int) -> int:
    """How many are there."""
    found = 0
    for start in range(0, keys, BATCH):
        pipeline = client.pipeline()
        for number in range(start, min(start + BATCH, keys)):
            pipeline.exists(f"{prefix}{number}")
        found += sum(pipeline.execute())
    return found


def evicted(client: RedisCluster) -> int:
    return sum(client.info("stats", target_nodes=node)["evicted_keys"] for node in client.get_primaries())


def main(host: str, port: int) -> None:
    client = connect(host, port)
    before = evicted(client)
    for prefix in ("other:", "none:"):
        write(client, prefix, range(STAYING))
    for start in range(0, WRITTEN, BATCH):
        write(client, "small:", range(start, start + BATCH))
    left = count(client, "small:", WRITTEN)
    report = {
        "other": count(client, "other:", STAYING),
        "none": count(client, "none:", STAYING),
        "staying": STAYING,
        "small": left,
        "written": WRITTEN,
        "small_bytes": left * len(VALUE),
        "evicted": evicted(client) - before,
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
