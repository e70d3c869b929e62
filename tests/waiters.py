"""A server, ours or a real one, with clients that wait for a key, and one that sees them wait."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from real_redis import real_redis
from server_process import DEADLINE, serving

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import NULL_ARRAY, Verbatim
from ringkeeper.resp.writer import encode_command


class Client:
    """One connection; commands are words separated by spaces."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(DEADLINE)
        self.reader = ReplyReader()
        self.id = self.ask("CLIENT ID")

    def send(self, *commands: str) -> None:
        self.socket.sendall(b"".join(encode_command(command.encode().split()) for command in commands))

    def reply(self) -> Any:
        while (reply := self.reader.next()) is NOT_READY:
            data = self.socket.recv(1 << 16)
            assert data, "the connection was closed"
            self.reader.feed(data)
        return None if reply is NULL_ARRAY else getattr(reply, "text", reply)

    def ask(self, command: str) -> Any:
        self.send(command)
        return self.reply()

    def ask_raw(self, command: list[bytes]) -> Any:
        self.socket.sendall(encode_command(command))
        return self.reply()

    def raw(self) -> bytes:
        return self.socket.recv(1 << 16)

    @property
    def has_nothing(self) -> bool:
        return not select.select([self.socket], [], [], 0)[0]


class World:
    """A server with clients; `admin` is one that never waits."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.clients: list[Client] = []
        self.admin = self.client()
        self.admin.ask("FLUSHALL")

    def client(self, protocol: int = 2) -> Client:
        client = Client(self.port)
        if protocol == 3:
            client.ask("HELLO 3")
        self.clients.append(client)
        return client

    def waiting(self, command: str, protocol: int = 2) -> Client:
        """A client that has said this and waits."""
        client = self.client(protocol)
        self.wait(client, command)
        return client

    def wait(self, client: Client, *commands: str) -> None:
        client.send(*commands)
        self.poll(lambda: "b" in self.flags(client))

    def flags(self, client: Client) -> str:
        """Of CLIENT LIST; empty when the client is gone."""
        line = self.admin.ask(f"CLIENT LIST ID {client.id}")
        text = (line.text if isinstance(line, Verbatim) else line).decode()
        return next((word[6:] for word in text.split() if word.startswith("flags=")), "")

    def blocked(self) -> int:
        """Of INFO."""
        text = self.admin.ask("INFO clients").decode()
        return next(int(line[16:]) for line in text.split() if line.startswith("blocked_clients:"))

    def poll(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.001)


@contextlib.contextmanager
def node_or_valkey(name: str, folder: Path) -> Iterator[int]:
    """The port of a `node` or of `valkey`."""
    if name == "valkey":
        with real_redis(folder, "valkey") as port:
            yield port
    else:
        with serving(folder) as server:
            yield server.port


@contextlib.contextmanager
def world_of(port: int) -> Iterator[World]:
    """An empty one; its connections end with it."""
    with contextlib.ExitStack() as stack:
        world = World(port)
        yield world
        for client in world.clients:
            stack.callback(client.socket.close)
