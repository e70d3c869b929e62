"""The operator's side of heartbeats, as tests need it: it hears, and grants or asks what a test tells it to."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Self

from laptop import eventually

from ringkeeper.cluster.messages import (
    AskPromise,
    AskRelease,
    Grant,
    Heartbeat,
    Hello,
    Message,
    Promise,
    Refusal,
    decode,
    encode,
)
from ringkeeper.cluster.seal import Sealer

INTERVAL = 0.02
"""Seconds between two words to each node."""
MILLISECOND = 1_000_000


class Operator:
    """Says `Hello` to the nodes of a shard, from a thread of its own, and grants their master leases if `granting`."""

    def __init__(
        self, ports: list[int], *, lease_ms: int, leader: int = 1, token: bytes = b"token", granting: bool = True
    ) -> None:
        self.ports = ports
        self.lease_ms = lease_ms
        self.leader = leader
        self.sealer = Sealer(token)
        self.granting = granting
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(INTERVAL)
        self.heard: dict[int, Heartbeat] = {}
        """The last one, by port."""
        self.answers: list[Promise | Refusal] = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()
        self.thread.join()
        self.socket.close()

    def send(self, port: int, message: Message) -> None:
        self.socket.sendto(self.sealer.seal(encode(message)), ("127.0.0.1", port))

    def run(self) -> None:
        next_round = 0.0
        while not self.ended.is_set():
            if time.monotonic() >= next_round:
                next_round = time.monotonic() + INTERVAL
                for port in self.ports:
                    self.send(port, Hello(0, self.leader))
            try:
                datagram, address = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            data = self.sealer.open(datagram)
            assert data is not None
            self.take(decode(data), address[1])

    def take(self, message: Message, port: int) -> None:
        if isinstance(message, (Promise, Refusal)):
            self.answers.append(message)
        if isinstance(message, Heartbeat):
            self.heard[port] = message
            if self.granting and message.role == "master":
                self.send(port, self.grant(message))

    def grant(self, heartbeat: Heartbeat) -> Grant:
        lease = self.lease_ms * MILLISECOND
        return Grant(heartbeat.shard, heartbeat.term, "", heartbeat.run_id, heartbeat.stamp, lease, self.leader)

    def hears(self, port: int) -> Heartbeat:
        """A heartbeat that came after this was called."""
        self.heard.pop(port, None)
        found: Heartbeat = eventually(lambda: self.heard.get(port), f"a heartbeat of {port}")
        return found

    def ask_promise(self, port: int, term: int, *, ended: str = "") -> Promise | Refusal:
        """What a node answers, asked until it does."""

        def answered() -> Promise | Refusal | None:
            self.send(port, AskPromise(0, term, self.leader, ended))
            return self.answers.pop() if self.answers else None

        self.answers.clear()
        found: Promise | Refusal = eventually(answered, f"an answer of {port}")
        return found

    def ask_release(self, port: int, target: str) -> Heartbeat:
        """The heartbeat in which a master says that it gave up its term to a node (id); asked until it does."""

        def released() -> Heartbeat | None:
            heard = self.heard.get(port)
            if heard is None or heard.role != "master":
                return None
            self.send(port, AskRelease(heard.shard, heard.term, heard.run_id, self.leader, target))
            return heard if heard.released else None

        found: Heartbeat = eventually(released, f"a release by {port}")
        return found
