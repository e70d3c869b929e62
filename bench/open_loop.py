"""A client that sends by schedule, whatever the replies do: what latency under a given load needs.

Request n is due at a time that was fixed before the first one was sent, and its latency counts from then, so that a
server that stalls answers for everyone who would have come meanwhile (Gil Tene: "coordinated omission"). A client that
waits for a reply before it sends the next request, as redis-benchmark's connections do, asks a slow server less often
and hides its worst moments.

One thread looks at the clock and at its sockets without pause: it needs a processor of its own. How late it was itself
is kept beside the latencies and is part of them.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence

AT_ONCE = 64
"""Requests that are late already are sent in such portions, between which replies are read."""
PATIENCE = 60
"""Seconds without a reply, after which the server is given up."""


class Stream:
    """Requests of one kind over connections of their own, in turns."""

    def __init__(self, port: int, connections: int, rate: float, requests: Iterator[bytes], reply_bytes: int) -> None:
        """`rate` in requests per second; each of `requests` is answered by exactly so many bytes."""
        self.interval = 1 / rate
        self.requests = requests
        self.reply_bytes = reply_bytes
        self.sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        for each in self.sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waiting: list[deque[float]] = [deque() for _ in self.sockets]
        """Of each connection: when what is not answered yet was due."""
        self.received = [0] * connections
        """Bytes of the reply that has begun."""
        self.due = 0.0
        self.turn = 0
        self.latencies: list[float] = []
        """Seconds from when a request was due to its whole reply."""
        self.lags: list[float] = []
        """Seconds by which a request was sent too late."""

    def send(self, now: float) -> None:
        """What is due. Raises StopIteration when there is no more."""
        for _ in range(AT_ONCE):
            if self.due > now:
                return
            request = next(self.requests)
            self.sockets[self.turn].sendall(request)
            self.waiting[self.turn].append(self.due)
            self.lags.append(now - self.due)
            self.due += self.interval
            self.turn = (self.turn + 1) % len(self.sockets)

    def receive(self, number: int) -> None:
        """Read what has come for a connection."""
        data = self.sockets[number].recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed a connection")
        if data[0] == 45:
            raise ValueError(f"the server said {data[:200]!r}")
        now = time.perf_counter()
        received = self.received[number] + len(data)
        while received >= self.reply_bytes:
            received -= self.reply_bytes
            self.latencies.append(now - self.waiting[number].popleft())
        self.received[number] = received

    @property
    def pending(self) -> int:
        return sum(map(len, self.waiting))

    def close(self) -> None:
        for each in self.sockets:
            each.close()


def play(streams: Sequence[Stream]) -> float:
    """Send until the first stream ends and wait for the rest of the replies; the seconds that sending took."""
    places = {each.fileno(): (stream, number) for stream in streams for number, each in enumerate(stream.sockets)}
    poll = select.epoll()
    for descriptor in places:
        poll.register(descriptor, select.EPOLLIN)
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        for stream in streams:
            stream.due = began
        sending = True
        answered = took = 0.0
        while sending or any(stream.pending for stream in streams):
            now = time.perf_counter()
            if sending:
                try:
                    for stream in streams:
                        stream.send(now)
                except StopIteration:
                    sending = False
                    took, answered = now - began, now
            ready = poll.poll(0)
            for descriptor, _ in ready:
                stream, number = places[descriptor]
                stream.receive(number)
            if ready or sending:
                answered = now
            elif now - answered > PATIENCE:
                raise ConnectionError(f"no reply for {PATIENCE} s")
        return took
    finally:
        gc.enable()
        poll.close()
        for stream in streams:
            stream.close()


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that so large a share of all does not exceed. Sorts them: O(n log n)."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
