"""A client of a node in this process, that sends inline commands."""

import asyncio
from collections.abc import Callable

from ringkeeper.server.node import Node

DEADLINE = 30.0


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, text: str) -> None:
        self.writer.write(text.encode() + b"\r\n")

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.reader.readline(), DEADLINE)

    async def ask(self, text: str) -> bytes:
        self.send(text)
        return await self.line()


async def connect(node: Node) -> Client:
    return Client(*await asyncio.open_connection("127.0.0.1", node.port))


async def until(check: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not check():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)
