"""A connection that shows exactly what comes over it, for tests of messages, orders and both protocols."""

import select
import socket
from types import TracebackType
from typing import Any, Self

from server_process import DEADLINE

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import NullArray, Push, ReplyError, SetReply, Simple, Verbatim
from ringkeeper.resp.writer import encode_command

CLOSED = "closed"
"""What a read finds behind the last reply of a connection that the server ended."""


class Wire:
    """Replies come as plain values: texts as str, errors as `-ERR …`, pushes as lists that start with `>`."""

    def __init__(self, port: int, protocol: int = 2, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", port))
        self.reader = ReplyReader()
        if protocol != 2:
            self("HELLO", str(protocol))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, *words: str | bytes | int) -> None:
        self.socket.sendall(encode_command([word if isinstance(word, bytes) else str(word).encode() for word in words]))

    def send_line(self, line: str) -> None:
        self.send(*line.split())

    def read(self) -> Any:
        """The next value that comes; fails when none does."""
        while (reply := self.reader.next()) is NOT_READY:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                return CLOSED
            self.reader.feed(data)
        return plain(reply)

    def __call__(self, *words: str | bytes | int) -> Any:
        """Send a command and read what comes first; a line of words may be given as one."""
        if len(words) == 1 and isinstance(words[0], str):
            self.send_line(words[0])
        else:
            self.send(*words)
        return self.read()

    def arrived(self) -> list[Any]:
        """All that has come by now, without waiting. A PING of another connection sees to it that it has."""
        replies: list[Any] = []
        while select.select([self.socket], [], [], 0)[0]:
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                break
            self.reader.feed(data)
        while (reply := self.reader.next()) is not NOT_READY:
            replies.append(plain(reply))
        return replies


def plain(value: Any) -> Any:
    if isinstance(value, ReplyError):
        return f"-{value.text}"
    if isinstance(value, Simple):
        return value.text.decode()
    if isinstance(value, Verbatim):
        return value.text.decode("utf-8", "backslashreplace")
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Push):
        return [">", *map(plain, value)]
    if isinstance(value, SetReply):
        return sorted(map(plain, value))
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, NullArray):
        return None
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items()}
    return value
