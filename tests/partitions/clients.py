"""Clients that ask every node all the time, whoever is master, and write down what they were answered."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from histories import REFUSALS
from partitions.checker import NEVER, Operation

Target = tuple[str, int]
PATIENCE = (0.6, 20.0)
"""Seconds that clients wait for an answer, by turns: some see nodes that were stopped go on, others try again soon."""
PAUSE, PAUSE_AFTER_REFUSAL = 0.004, 0.015
SHARED = ("counter:0", "counter:1", "register:0", "mixed:0")
"""Keys that all clients use; each client also writes keys of its own, each once."""
LAST_WORDS = 1.0
"""Seconds for answers that are on their way when clients are told to stop."""


class Strange(Exception):
    """An answer that no node should give."""


@dataclass
class Client:
    """One, on one connection to one node for as long as that lasts."""

    number: int
    node: int
    target: Target
    prefix: str
    """Of all keys."""
    password: str
    generator: random.Random
    patience: float
    operations: list[Operation] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    stopping: bool = False
    connection: socket.socket | None = None

    def run(self) -> None:
        while not self.stopping:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(self.target, self.patience) as self.connection,
                self.connection.makefile("rb") as replies,
            ):
                authenticate(self.connection, replies, self.password)
                while not self.stopping:
                    served = self.ask(*self.next_request(), replies)
                    time.sleep(PAUSE if served else PAUSE_AFTER_REFUSAL)
            time.sleep(PAUSE_AFTER_REFUSAL)

    def next_request(self) -> tuple[str, str, str]:
        """Kind, key, argument."""
        choice = self.generator.random()
        value = str((self.number + 1) * 10**9 + len(self.operations) * 10**3)
        if choice < 0.2:
            return "set", f"{self.prefix}once:{self.number}:{len(self.operations)}", value
        key = self.generator.choice(SHARED)
        if choice < 0.5:
            return "get", self.prefix + key, ""
        writes = {"counter": ("incr",), "register": ("set",), "mixed": ("set", "incr", "incr")}
        kind = self.generator.choice(writes[key.partition(":")[0]])
        return kind, self.prefix + key, value if kind == "set" else ""

    def ask(self, kind: str, key: str, argument: str, replies: BinaryIO) -> bool:
        """Whether it was served. Raises `OSError` if nothing can be asked here any more."""
        assert self.connection is not None
        sent = time.monotonic_ns()
        received, result, served = NEVER, None, True
        try:
            self.connection.sendall(f"{kind.upper()} {key} {argument}\r\n".encode())
            reply = whole_reply(replies)
            received = time.monotonic_ns()
            result, served = self.understood(kind, reply)
            return served
        finally:
            if served:
                self.operations.append(Operation(self.number, self.node, key, kind, argument, sent, received, result))

    def understood(self, kind: str, reply: bytes) -> tuple[str | None, bool]:
        """The result, and whether there is one."""
        first, rest = reply[:1], reply[1:].decode()
        if first == b"-":
            if reply.split()[0].decode() not in REFUSALS:
                self.strange.append(f"client {self.number}: {kind}: {reply!r}")
            return None, False
        if first == b"$":
            return (None if rest.startswith("-1") else rest.partition("\r\n")[2].strip()), True
        return (rest.strip() if first == b":" else None), True


def whole_reply(replies: BinaryIO) -> bytes:
    """Raises `OSError` where the connection ends."""
    line = replies.readline()
    if line.startswith(b"$") and not line.startswith(b"$-1"):
        line += replies.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError
    return line


def authenticate(connection: socket.socket, replies: BinaryIO, password: str) -> None:
    connection.sendall(f"AUTH {password}\r\n".encode())
    answer = whole_reply(replies)
    assert answer == b"+OK\r\n", answer


class Clients:
    """Two for each node, from `start` to `stop`, in threads that `go` has begin where clients are."""

    def __init__(self, targets: list[Target], prefix: str, password: str, seed: int, go: Callable[[], None]) -> None:
        self.clients = [
            Client(number, number % len(targets), targets[number % len(targets)], prefix, password,
                   random.Random(f"{seed} {number}"), PATIENCE[number // len(targets)])
            for number in range(len(PATIENCE) * len(targets))
        ]  # fmt: skip
        self.go = go
        self.threads = [threading.Thread(target=self._run, args=(client,)) for client in self.clients]

    def _run(self, client: Client) -> None:
        self.go()
        client.run()

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        for client in self.clients:
            client.stopping = True
        deadline = time.monotonic() + LAST_WORDS
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        for client in self.clients:
            with contextlib.suppress(OSError):
                if client.connection is not None:
                    client.connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()

    @property
    def operations(self) -> list[Operation]:
        return [operation for client in self.clients for operation in client.operations]

    @property
    def strange(self) -> list[str]:
        return [each for client in self.clients for each in client.strange]
