"""Pipelined connections in one thread: they send until the server is killed, and note when each reply came."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

from crash.commands import DATABASES, Generator
from crash.history import Found, History, Step, is_refused
from crash.states import Held, Span

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import NullArray, ReplyError
from ringkeeper.resp.writer import encode_command

MOST_OUTSTANDING = 60
"""Steps of one connection that are not answered yet."""
MOST_AT_ONCE = 12
PATIENCE = 30.0


def now_ms() -> float:
    return time.time() * 1000


class Connection:
    """Sends steps of one history."""

    def __init__(self, history: History, generator: Generator, random: Random) -> None:
        self.history = history
        self.generator = generator
        self.random = random
        self.socket = socket.socket()
        self.reader = ReplyReader()
        self.database = 0
        self.outstanding: deque[Step | None] = deque()
        """For each reply to come: the step that it answers, if it does."""
        self.unsent = b""
        self.errors: list[str] = []

    def open(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.reader, self.database, self.unsent = ReplyReader(), 0, b""
        self.outstanding.clear()

    def send_more(self) -> None:
        """Some steps at once, if not too many are under way."""
        while not self.unsent and len(self.outstanding) < MOST_OUTSTANDING:
            now = now_ms()
            for _ in range(self.random.randrange(1, MOST_AT_ONCE)):
                self.add(Step(*self.generator.step(int(now)), sent=now))
            self.push()
            if self.random.random() < 0.5:
                return

    def add(self, step: Step) -> None:
        words: list[list[bytes]] = []
        if step.database != self.database:
            self.database = step.database
            words.append([b"SELECT", b"%d" % step.database])
        if len(step.commands) == 1:
            words += step.commands
        else:
            words += [[b"MULTI"], *step.commands, [b"EXEC"]]
        self.outstanding += [None] * (len(words) - 1)
        self.outstanding.append(step)
        self.history.steps.append(step)
        self.unsent += b"".join(map(encode_command, words))

    def push(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def receive(self, earliest: float) -> bool:
        """Note what has come, of which nothing was there at `earliest`; False when the connection is over."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if not data:
            return False
        now = now_ms()
        self.reader.feed(data)
        while (reply := self.reader.next()) is not NOT_READY:
            self.take(plain(reply), earliest, now)
        return True

    def take(self, reply: Any, earliest: float, now: float) -> None:
        step = self.outstanding.popleft()
        if step is not None:
            step.reply, step.earliest, step.answered = reply, earliest, now
        elif isinstance(reply, ReplyError) and not is_refused(reply):
            self.errors.append(reply.text)


def plain(reply: Any) -> Any:
    """With one kind of null."""
    if isinstance(reply, list):
        return [plain(item) for item in reply]
    return None if isinstance(reply, NullArray) else reply


def run_until(connections: list[Connection], over: Callable[[], bool], kill: Callable[[], None]) -> float:
    """Send until `over` says so, then kill the server and take what had been answered; when it was killed, in ms."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            selector.register(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        looked = before = now_ms()
        while not over():
            looked, before = now_ms(), looked
            for key, events in selector.select(0.001):
                if events & selectors.EVENT_READ:
                    assert key.data.receive(before), "the server closed a connection"
                if events & selectors.EVENT_WRITE:
                    if key.data.unsent:
                        key.data.push()
                    else:
                        key.data.send_more()
    killed = now_ms()
    kill()
    for connection in connections:
        connection.socket.setblocking(True)
        connection.socket.settimeout(PATIENCE)
        while connection.receive(looked):
            pass
        connection.socket.close()
        assert not connection.errors, connection.errors[:3]
    return killed


# Looking at everything

READS = {
    b"string": [b"GET"], b"list": [b"LRANGE", b"0", b"-1"], b"set": [b"SMEMBERS"], b"hash": [b"HGETALL"],
    b"zset": [b"ZRANGE", b"0", b"-1", b"WITHSCORES"],
}  # fmt: skip


class Control:
    """A connection that asks and waits."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(PATIENCE)
        self.reader = ReplyReader()

    def run(self, commands: list[list[bytes]]) -> list[Any]:
        """Raises `ConnectionError`."""
        self.socket.sendall(b"".join(map(encode_command, commands)))
        replies = []
        for _ in commands:
            while (reply := self.reader.next()) is NOT_READY:
                data = self.socket.recv(1 << 18)
                if not data:
                    raise ConnectionResetError
                self.reader.feed(data)
            replies.append(reply)
        return replies

    def ask(self, *words: str | bytes) -> Any:
        return self.run([[word.encode() if isinstance(word, str) else word for word in words]])[0]

    def facts(self, section: str) -> dict[str, str]:
        """Of INFO."""
        pairs = (line.partition(":") for line in self.ask("INFO", section).decode().splitlines())
        return {name: value for name, separator, value in pairs if separator}

    def everything(self) -> tuple[Found, Span]:
        """What the server holds, and the time in which that was read."""
        began = now_ms()
        found: Found = {}
        for database in range(DATABASES):
            self.ask("SELECT", str(database))
            keys = self.ask("KEYS", "*")
            kinds = self.run([[b"TYPE", key] for key in keys])
            reads = [read for read in zip(keys, kinds, strict=True) if read[1].text in READS]
            asked = [command for key, kind in reads for command in reading(key, kind.text)]
            replies = self.run(asked) if asked else []
            for (key, kind), content, expires in zip(reads, replies[::2], replies[1::2], strict=True):
                if expires != -2:
                    expiry = None if expires == -1 else Span(expires, expires)
                    found[database, key] = Held(value_of(kind.text, content), expiry)
        return found, Span(began, now_ms())

    def close(self) -> None:
        self.socket.close()


def reading(key: bytes, kind: bytes) -> list[list[bytes]]:
    name, *rest = READS[kind]
    return [[name, key, *rest], [b"PEXPIRETIME", key]]


def value_of(kind: bytes, content: Any) -> Any:
    match kind:
        case b"list":
            return tuple(content)
        case b"set":
            return frozenset(content)
        case b"hash":
            return dict(zip(content[::2], content[1::2], strict=True))
        case b"zset":
            return dict(zip(content[::2], map(float, content[1::2]), strict=True))
        case _:
            return content
