"""Ports of 127.0.0.1 for the servers of tests. No two processes are given the same: tests can run side by side."""

import socket
from collections import deque
from itertools import islice

ADMIN = 10000
"""From a port to that of the admin server, or of a cluster bus: it is free, too."""
BLOCK = 100
FIRST_OF_BLOCKS = range(12000, 22000, BLOCK)
"""They and their admin ports are below 32768: the system gives those from there on to connections, and to who asks for
any port.
"""


class Ports:
    """Blocks of ports, this process's own as long as it lives: it is bound to the first of each."""

    def __init__(self) -> None:
        self.guards: list[socket.socket] = []
        self.ports: deque[int] = deque()
        """The one that was given longest ago is the next."""

    def take(self, count: int) -> list[int]:
        for _ in range(len(self.ports)):
            found = list(islice(self.ports, count))
            if found == list(range(found[0], found[0] + count)) and all(map(is_free, found)):
                self.ports.rotate(-count)
                return found
            self.ports.rotate(-1)
        self.add_block()
        return self.take(count)

    def add_block(self) -> None:
        for first in FIRST_OF_BLOCKS:
            guard = socket.socket()
            try:
                guard.bind(("127.0.0.1", first))
            except OSError:
                guard.close()
                continue
            self.guards.append(guard)
            self.ports.extendleft(reversed(range(first + 1, first + BLOCK)))
            return
        raise AssertionError("no free ports")


def is_free(port: int) -> bool:
    """Whether nobody listens there or did within the last minute."""
    for number in (port, port + ADMIN):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                return False
    return True


_own = Ports()


def free_ports(count: int) -> list[int]:
    """Ports in a row; what is `ADMIN` above each is free as well."""
    assert count < BLOCK
    return _own.take(count)


def free_base_port(count: int = 12) -> int:
    """The first of so many, which a cluster may grow into."""
    return free_ports(count)[0]
