"""Runs the same commands on a real Redis and on a node, over pipelined connections, and compares what comes back."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command

BATCH = 500
UNORDERED = {b"keys"}


@dataclass(frozen=True, slots=True)
class Difference:
    command: list[bytes]
    theirs: Any
    ours: Any
    before: list[list[bytes]]
    """The commands that led there, as far as they touch the same keys."""


class Peer:
    def __init__(self, port: int, protocol: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(60)
        self.reader = ReplyReader()
        self.run([[b"HELLO", b"%d" % protocol], [b"FLUSHALL"]])

    def run(self, commands: list[list[bytes]]) -> list[Any]:
        self.socket.sendall(b"".join(map(encode_command, commands)))
        replies = []
        while len(replies) < len(commands):
            reply = self.reader.next()
            if reply is NOT_READY:
                data = self.socket.recv(1 << 16)
                assert data, f"the connection was closed behind {commands[len(replies)]}"
                self.reader.feed(data)
            else:
                replies.append(reply)
        return replies

    def close(self) -> None:
        self.socket.close()


def normal(command: list[bytes], reply: Any) -> Any:
    """A reply in a form that can be compared: errors by text, unordered lists sorted."""
    if isinstance(reply, ReplyError):
        return ("error", reply.text)
    if command and command[0].lower() in UNORDERED and isinstance(reply, list):
        return sorted(reply)
    if command and command[0].lower() == b"scan" and isinstance(reply, list):
        return [reply[0], sorted(reply[1])]
    if isinstance(reply, list):
        return [normal([], item) for item in reply]
    if isinstance(reply, dict):
        return {key: normal([], value) for key, value in reply.items()}
    if hasattr(reply, "text"):
        return (type(reply).__name__, reply.text)
    return reply


def final_state(peer: Peer) -> dict[bytes, tuple[Any, ...]]:
    keys = sorted(peer.run([[b"SELECT", b"0"], [b"KEYS", b"*"]])[1])
    asked = [[name, key] for key in keys for name in (b"GET", b"PEXPIRETIME")] + [
        [b"OBJECT", b"ENCODING", key] for key in keys
    ]
    answers = peer.run(asked) if asked else []
    pairs = [tuple(answers[2 * i : 2 * i + 2]) for i in range(len(keys))]
    return {key: (*pairs[i], answers[2 * len(keys) + i]) for i, key in enumerate(keys)}


def compare(commands: list[list[bytes]], theirs: Peer, ours: Peer, stop_after: int = 10) -> list[Difference]:
    found: list[Difference] = []
    for start in range(0, len(commands), BATCH):
        batch = commands[start : start + BATCH]
        for i, (command, a, b) in enumerate(zip(batch, theirs.run(batch), ours.run(batch), strict=True)):
            if normal(command, a) != normal(command, b):
                words = set(command[1:])
                before = [other for other in commands[max(0, start + i - 200) : start + i] if words & set(other[1:])]
                found.append(Difference(command, normal(command, a), normal(command, b), before[-8:]))
        if len(found) >= stop_after:
            break
    if not found and (a := final_state(theirs)) != (b := final_state(ours)):
        found.append(Difference([b"(final state)"], a, b, commands[-8:]))
    return found
