"""A real node as a process, for the tests: forked, on a free port, polled until it answers, stopped by its id."""

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import redis
from forked import forked
from ports import free_ports
from redis.backoff import NoBackoff
from redis.retry import Retry

DEADLINE = 30.0
AT_ONCE = Retry(NoBackoff(), 0)
"""For a client of redis-py that says what is wrong without waiting for seconds and trying again."""


class Server:
    """A running `ringkeeper-server`; a configuration file comes before the directives."""

    def __init__(self, folder: Path, *directives: str, awaits: str = "Ready to accept connections") -> None:
        self.folder = folder
        self.port, self.admin_port = free_ports(2)
        self.log = folder / f"{self.port}.log"
        file = [] if not directives or directives[0].startswith("--") else [directives[0]]
        self.log.write_bytes(b"")
        self.process = forked(
            [*file, "--port", str(self.port), "--admin-port", str(self.admin_port), "--bind", "127.0.0.1",
             "--dir", str(folder), *directives[len(file) :]], self.log,
        )  # fmt: skip
        deadline = time.monotonic() + DEADLINE
        while awaits not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(port=self.port, **{"retry": AT_ONCE} | options)

    def connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(DEADLINE)
        return connection

    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak_memory(self) -> int:
        """The most resident bytes that there ever were."""
        status = Path(f"/proc/{self.process.pid}/status").read_text().split()
        return int(status[status.index("VmHWM:") + 1]) * 1024

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(DEADLINE)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE)


@contextlib.contextmanager
def serving(folder: Path, *directives: str) -> Iterator[Server]:
    server = Server(folder, *directives)
    try:
        yield server
    finally:
        server.stop()


def until_closed(connection: socket.socket) -> bytes:
    """Everything that the server still sends before it closes."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received
