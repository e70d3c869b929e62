"""What may be evicted and how, by name: the values of `maxmemory-policy` and of `eviction` in a manifest.

`allkeys-` chooses among all keys, `volatile-` among those with an expiry. The first eight are Redis's own; S3-FIFO and
W-TinyLFU are described in https://doi.org/10.1145/3600006.3613147 and https://arxiv.org/abs/1512.00727.
"""

from __future__ import annotations

POLICIES = (
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
    "allkeys-s3-fifo",
    "volatile-s3-fifo",
    "allkeys-w-tinylfu",
    "volatile-w-tinylfu",
)

NODE_DEFAULT = "noeviction"
"""Of `maxmemory-policy`, as with Redis."""
NAMESPACE_DEFAULT = "allkeys-lru"

QUEUED_POLICIES = ("allkeys-s3-fifo", "volatile-s3-fifo", "allkeys-w-tinylfu", "volatile-w-tinylfu")
"""Those that keep keys in queues; the others choose among keys drawn at random."""

COUNTS_NOTHING, COUNTS_FREQUENCY, TELLS_ENGINE, TELLS_OF_VOLATILE = range(4)
"""What a policy wants to know of uses: nothing but when; how often; all for an engine's queues, or all of the keys that
have an expiry."""
