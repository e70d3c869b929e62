"""Writes and reads a key of each of some slots all the time, and says for how long none of it was answered.

    python outages.py SECONDS HOST:PORT [HOST:PORT ...]      (the password in the environment, PASSWORD)

Any node may be named. A node that does not answer within `PATIENCE` seconds is left, and the others are tried in turn,
so that what is measured is the cluster and not the patience of a client. Prints a line when each key was written once,
and JSON at the end. Knows no package but Python's.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

PATIENCE = 0.1
PAUSE = 0.002
"""Seconds between two commands, so that the client leaves the processor to the servers."""
READ_EVERY = 8
"""Commands."""
SETTLED = 50
"""Writes."""

Address = tuple[str, int]


class Trouble(Exception):
    """No answer that counts; the address of who might know better, if that was said."""

    def __init__(self, text: str, instead: Address | None = None) -> None:
        super().__init__(text)
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two writes that were answered, one after the other."""

    began: float
    ended: float
    """Seconds of the monotonic clock."""
    troubles: tuple[str, ...]
    """What was answered instead, each kind once."""
    writes: int = 0
    """That were answered before its end."""

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Connection:
    """To one node; only what is needed to SET and GET."""

    def __init__(self, address: Address, password: str | None) -> None:
        try:
            self.socket = socket.create_connection(address, PATIENCE)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise Trouble(f"no connection: {error}") from None
        self.address = address
        self.buffer = b""
        if password:
            self.ask("AUTH", password)

    def ask(self, *words: str) -> str | None:
        """The answer, or None for nil."""
        told = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        try:
            self.socket.sendall(f"*{len(words)}\r\n{told}".encode())
            line = self._line()
            if line[:1] == "$":
                return None if line == "$-1" else self._line()
        except OSError as error:
            raise Trouble(f"no answer: {error}") from None
        if line[:1] != "-":
            return line[1:]
        kind, *rest = line[1:].split(" ")
        if kind == "MOVED":
            host, _, port = rest[1].rpartition(":")
            raise Trouble(kind, (host.strip("[]") or self.address[0], int(port)))
        raise Trouble(kind)

    def _line(self) -> str:
        while b"\r\n" not in self.buffer:
            data = self.socket.recv(4096)
            if not data:
                raise ConnectionResetError("closed")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line.decode()

    def close(self) -> None:
        self.socket.close()


@dataclass
class Writer:
    """Of one key, in a thread of its own between `start` and `stop`."""

    key: str
    nodes: Sequence[Address]
    password: str | None = None
    acknowledged: int = 0
    """The number written last of which a server said that it is."""
    last: float = 0.0
    """When."""
    writes: int = 0
    gaps: list[Gap] = field(default_factory=list)
    lost: int = 0
    """Writes that were acknowledged and are not there any more."""
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def start(self) -> Writer:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        return self

    def stop(self) -> None:
        self.stopping.set()
        if self.thread is not None:
            self.thread.join()

    def worst(self, since: float = 0.0) -> Gap:
        """The longest of the gaps that ended after `since`; the one that lasts counts as well."""
        lasting = Gap(self.last, time.monotonic(), ())
        return max([*(gap for gap in self.gaps if gap.ended > since), lasting], key=lambda gap: gap.seconds)

    def ended_gap(self, since: float) -> bool:
        """Whether what happened at `since` has interrupted it, and is over for good: many writes were answered."""
        return any(gap.ended > since and self.writes > gap.writes + SETTLED for gap in self.gaps)

    def _run(self) -> None:
        turn = itertools.cycle(self.nodes)
        connection: Connection | None = None
        instead: Address | None = None
        troubles: dict[str, None] = {}
        number = 0
        while not self.stopping.is_set():
            try:
                if connection is None:
                    connection = Connection(instead or next(turn), self.password)
                number += 1
                if number % READ_EVERY == 0 and self.writes:
                    self._check(connection.ask("GET", self.key))
                connection.ask("SET", self.key, str(number))
            except Trouble as trouble:
                troubles[str(trouble)] = None
                instead = trouble.instead
                if connection is not None:
                    connection.close()
                connection = None
                if instead is None:
                    self.stopping.wait(PAUSE)
                continue
            self._acknowledge(number, tuple(troubles))
            troubles.clear()
            self.stopping.wait(PAUSE)
        if connection is not None:
            connection.close()

    def _acknowledge(self, number: int, troubles: tuple[str, ...]) -> None:
        now = time.monotonic()
        if self.writes and (troubles or now - self.last > PATIENCE):
            self.gaps.append(Gap(self.last, now, troubles, self.writes))
        self.acknowledged, self.last = number, now
        self.writes += 1

    def _check(self, found: str | None) -> None:
        """A write without an answer may be there or not; one with an answer must be."""
        there = int(found or 0)
        if there < self.acknowledged:
            self.lost += self.acknowledged - there
            self.acknowledged = there


def main(seconds: float, nodes: Sequence[Address]) -> None:
    password = os.environ.get("PASSWORD")
    writers = [Writer(f"outages:{number}", nodes, password).start() for number in range(12)]
    while not all(writer.writes for writer in writers):
        time.sleep(PAUSE)
    print("writing", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        time.sleep(seconds)
    for writer in writers:
        writer.stop()
    print(
        json.dumps(
            {
                "writes": sum(writer.writes for writer in writers),
                "lost": sum(writer.lost for writer in writers),
                "worst": round(max(writer.worst().seconds for writer in writers), 3),
                "gaps": [
                    {"key": writer.key, "seconds": round(gap.seconds, 3), "troubles": gap.troubles}
                    for writer in writers
                    for gap in writer.gaps
                ],
            }
        )
    )


def address(word: str) -> Address:
    host, _, port = word.rpartition(":")
    return host.strip("[]"), int(port)


if __name__ == "__main__":
    main(float(sys.argv[1]), [address(word) for word in sys.argv[2:]])
