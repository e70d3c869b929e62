"""What memory is spent on, for INFO, MEMORY and `/metrics`.

`used` is what keys, values and their tables take, block by block, which `maxmemory` limits. Of the rest Python's
allocator gives no figures, so that is told as a Redis built with libc's tells it: all resident memory counts as active.
"""

from __future__ import annotations

import ctypes
import os
import resource
from typing import TYPE_CHECKING, Any

from ringkeeper.store.keyspace import EXPIRY_BYTES, HEADER_BYTES

if TYPE_CHECKING:
    from ringkeeper.server.node import Node

LIBC = ctypes.CDLL(None)
MALLOC_TRIM = getattr(LIBC, "malloc_trim", None)
MALLOPT = getattr(LIBC, "mallopt", None)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
MAPPED_BYTES = 512 << 10
"""What is larger is mapped from the system on its own, and leaves no hole when it goes."""
MOST_MAPPED = 30_000
"""Of these; a process may have 65,530 mappings (`vm.max_map_count`), and others need some."""
KEPT_BYTES = 32 << 20
"""Free memory that the C library may keep at the end of its heap."""


class Memory:
    """The figures of one moment, in bytes. O(databases)."""

    def __init__(self, node: Node) -> None:
        self.used = node.used_bytes
        self.peak = max(node.peak_bytes, self.used)
        self.resident = resident_bytes()
        self.swapped = swapped_bytes()
        self.clients = node.survey.buffered
        self.links = sum(link.buffered for link in node.peers.links.values())
        self.keys = sum(len(keyspace) for keyspace in node.databases)
        self.tables = {
            keyspace.index: (keyspace.structure_bytes + HEADER_BYTES * len(keyspace), EXPIRY_BYTES * keyspace.volatile)
            for keyspace in node.databases
            if len(keyspace)
        }
        """Database -> what its keys and their expiries cost beyond names and values."""
        self.log = node.append_only.pending
        """Changes that the append-only file has not taken yet."""
        self.overhead = node.evictor.overhead + sum(map(sum, self.tables.values()))
        self.dataset = self.used - self.overhead

    @property
    def dataset_percentage(self) -> float:
        return percentage(self.dataset, self.used)

    @property
    def peak_percentage(self) -> float:
        return percentage(self.used, self.peak)

    @property
    def fragmentation(self) -> float:
        return self.resident / self.used if self.used else 0.0

    def statistics(self) -> dict[str, Any]:
        """As MEMORY STATS tells it."""
        beyond = max(0, self.resident - self.used)
        return {
            "peak.allocated": self.peak,
            "total.allocated": self.used,
            "startup.allocated": 0,
            "replication.backlog": 0,
            "clients.slaves": 0,
            "clients.normal": self.clients,
            "cluster.links": self.links,
            "aof.buffer": self.log,
            "lua.caches": 0,
            "functions.caches": 0,
            **{
                f"db.{index}": {
                    "overhead.hashtable.main": main,
                    "overhead.hashtable.expires": expires,
                    "overhead.hashtable.slot-to-keys": 0,
                }
                for index, (main, expires) in self.tables.items()
            },
            "overhead.total": self.overhead,
            "keys.count": self.keys,
            "keys.bytes-per-key": self.used // self.keys if self.keys else 0,
            "dataset.bytes": self.dataset,
            "dataset.percentage": self.dataset_percentage,
            "peak.percentage": self.peak_percentage,
            "allocator.allocated": self.used,
            "allocator.active": self.resident,
            "allocator.resident": self.resident,
            "allocator-fragmentation.ratio": self.fragmentation,
            "allocator-fragmentation.bytes": beyond,
            "allocator-rss.ratio": 1.0,
            "allocator-rss.bytes": 0,
            "rss-overhead.ratio": 1.0,
            "rss-overhead.bytes": 0,
            "fragmentation": self.fragmentation,
            "fragmentation.bytes": beyond,
        }


def percentage(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100.0


def resident_bytes() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def swapped_bytes() -> int:
    """What of this process is in swap; 0 where the system does not tell."""
    try:
        with open("/proc/self/status", "rb") as file:
            fields = file.read().split()
        return int(fields[fields.index(b"VmSwap:") + 1]) * 1024
    except (OSError, ValueError, IndexError):
        return 0


def total_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def set_up_allocator() -> None:
    """Say what the C library maps on its own, if it is glibc and nobody has said so by its own environment variables.

    By default this bound grows to 32 MB as soon as something so large was freed; then the holes in the heap do too.
    """
    if MALLOPT is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        MALLOPT(M_MMAP_THRESHOLD, MAPPED_BYTES)
        MALLOPT(M_MMAP_MAX, MOST_MAPPED)
        MALLOPT(M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back() -> None:
    """Hand what the C library holds free back to the system, where the C library can (glibc's `malloc_trim`)."""
    if MALLOC_TRIM is not None:
        MALLOC_TRIM(0)
