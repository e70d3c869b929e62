"""When the system gives the node no more memory: an error for the command, and nothing else."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest
import redis
from server_process import Server

ROOM = 48 * 2**20
"""Bytes that the process may still take."""


def store_until_refused(client: redis.Redis, size: int) -> int:
    """How many values were stored. A value that is still to be read when there is no memory costs the connection."""
    for stored in range(2 * ROOM // size):
        try:
            client.set(f"k{stored}", b"x" * size)
        except (redis.ConnectionError, redis.exceptions.OutOfMemoryError):
            return stored
    return 2 * ROOM // size


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit of a running process is Linux's")
@pytest.mark.parametrize("size", [1_000_000, 3_000_000])
def test_a_command_without_memory_is_refused_and_the_node_goes_on(tmp_path: Path, size: int) -> None:
    server = Server(tmp_path)
    try:
        client = server.client(socket_timeout=30)
        client.set("first", "1")
        status = Path(f"/proc/{server.process.pid}/status").read_text().split()
        limit = int(status[status.index("VmSize:") + 1]) * 1024 + ROOM
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        stored = store_until_refused(client, size)
        assert 3 < stored < 2 * ROOM // size
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        client = server.client()
        assert client.get("first") == b"1"
        assert client.strlen("k0") == client.strlen(f"k{stored - 1}") == size
        assert client.dbsize() == stored + 1
        assert client.set("again", b"y" * size)
        assert "Traceback" not in server.log.read_text()
    finally:
        server.stop()
