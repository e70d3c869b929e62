"""The first connection to a cluster that has just become ready, with plain redis-py."""

from __future__ import annotations

import os
import time
from typing import Any

from redis.backoff import ConstantBackoff
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.retry import Retry

CONNECTED_SECONDS = 30


def connect(host: str, port: int, **options: Any) -> RedisCluster:
    """With the password in the environment, PASSWORD.

    Each machine's kube-proxy hears of a Service's pods on its own, a moment later: until then it refuses. RedisCluster
    does not try its first connection again, whatever `retry` says.
    """
    deadline = time.monotonic() + CONNECTED_SECONDS
    while True:
        try:
            return RedisCluster(
                host=host,
                port=port,
                password=os.environ.get("PASSWORD"),
                retry=Retry(ConstantBackoff(1), 30),
                **options,
            )
        except RedisClusterException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
