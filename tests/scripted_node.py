"""A server that answers commands as a test says, and remembers them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from ringkeeper.resp.reader import CommandReader
from ringkeeper.resp.writer import write

CLOSE = object()
"""An answer: the connection is closed instead."""
Words = list[bytes]


class ScriptedNode:
    """`answer` gets each command; what it returns is sent: a value of `ringkeeper.resp.values`, or `CLOSE`."""

    def __init__(self, answer: Callable[[ScriptedNode, Words], object]) -> None:
        self.answer = answer
        self.seen: list[Words] = []
        self.port = 0
        self.run_id = b"first"
        self.subscribers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = CommandReader()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                commands.feed(data)
                while (words := commands.next()) is not None:
                    self.seen.append(words)
                    if words[0] == b"SUBSCRIBE":
                        self.subscribers.append(writer)
                    reply = self.answer(self, words)
                    if reply is CLOSE:
                        writer.close()
                        return
                    out = bytearray()
                    write(out, reply, 2)
                    writer.write(bytes(out))
        writer.close()

    def say(self, value: object) -> None:
        """To everybody who has subscribed to something."""
        out = bytearray()
        write(out, value, 2)
        for writer in self.subscribers:
            writer.write(bytes(out))

    def of(self, *names: bytes) -> list[Words]:
        """The commands of these names that have come."""
        return [words for words in self.seen if words[0] in names]


@contextlib.asynccontextmanager
async def scripted(answer: Callable[[ScriptedNode, Words], object]) -> AsyncIterator[ScriptedNode]:
    node = ScriptedNode(answer)
    server = await asyncio.start_server(node.serve, "127.0.0.1", 0)
    node.port = server.sockets[0].getsockname()[1]
    try:
        yield node
    finally:
        server.close()
