"""A real Redis beside the tests: started on a free port without persistence, stopped by its id."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from server_process import DEADLINE, free_ports


@contextlib.contextmanager
def real_redis(folder: Path) -> Iterator[int]:
    """The port of a `redis-server` of this machine."""
    port = free_ports(1)[0]
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
         "--enable-debug-command", "yes", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(redis.ConnectionError):
                if redis.Redis(port=port).ping():
                    break
            assert time.monotonic() < deadline, "redis-server does not start"
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(DEADLINE)
