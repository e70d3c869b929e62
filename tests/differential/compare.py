"""Runs the same commands on a real Redis and on a node, over pipelined connections, and compares what comes back."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from differential.known import is_known
from persist.corpus import contents

from ringkeeper.persist.payload import restore
from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ReplyError, Simple
from ringkeeper.resp.writer import encode_command
from ringkeeper.types.collection import Limits

Command = list[bytes]

DATABASES = 16
UNORDERED = {b"keys", b"hkeys", b"hvals", b"smembers", b"sinter", b"sunion", b"sdiff"}
PARTS = {b"sscan", b"hscan", b"zscan"}
CHOSEN = {b"hrandfield", b"srandmember", b"spop", b"zrandmember"}
"""Any of them, or all in any order."""
SORTS = {b"sort", b"sort_ro"}
CONTENTS = {
    b"string": [b"GET"],
    b"hash": [b"HGETALL"],
    b"list": [b"LRANGE", b"0", b"-1"],
    b"set": [b"SMEMBERS"],
    b"zset": [b"ZRANGE", b"0", b"-1", b"WITHSCORES"],
}
"""What reads a key of each type whole."""
ANY = {b"randomkey", b"dbsize"}
"""Of these only the kind of reply is comparable: Redis counts expired keys until somebody meets them."""
TIMES = {b"ttl", b"pttl", b"expiretime", b"pexpiretime"}
FIELD_TIMES = {b"h" + name for name in TIMES}
CLOCK_SLACK_MS = 60_000
"""How far apart two clocks' readings of one expiry may be: the two servers do not execute in the same instant."""
QUEUED = Simple(b"QUEUED")


@dataclass(frozen=True, slots=True)
class Difference:
    command: Command
    theirs: Any
    ours: Any

    def __str__(self) -> str:
        return f"{self.command}\n  Redis {self.theirs!r:.1000}\n  ours  {self.ours!r:.1000}"


class Peer:
    """A connection."""

    def __init__(self, port: int, protocol: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(60)
        self.reader = ReplyReader()
        self.run([[b"HELLO", b"%d" % protocol]])

    def run(self, commands: list[Command]) -> list[Any]:
        self.socket.sendall(b"".join(map(encode_command, commands)))
        return [self.next(command) for command in commands]

    def next(self, command: Command) -> Any:
        """The next reply, or message; `command` is what it is expected of."""
        while (reply := self.reader.next()) is NOT_READY:
            data = self.socket.recv(1 << 16)
            assert data, f"the connection was closed behind {command}"
            self.reader.feed(data)
        return reply

    def close(self) -> None:
        self.socket.close()


def normal(command: Command, reply: Any) -> Any:
    """A reply in a form that can be compared: errors by text, unordered lists sorted."""
    if isinstance(reply, ReplyError):
        return ("error", reply.text)
    name = command[0].lower() if command else b""
    if name in UNORDERED and isinstance(reply, list):
        return sorted(reply)
    if name in PARTS and isinstance(reply, list) and len(reply) == 2 and isinstance(reply[1], list):
        alone = name == b"sscan" or b"noscores" in [word.partition(b"\0")[0].lower() for word in command]
        items = reply[1] if alone else list(zip(reply[1][::2], reply[1][1::2], strict=False))
        return [reply[0], sorted(items)] if b"1000" in command else type(reply)
    if name in CHOSEN and isinstance(reply, list):
        repeats = len(command) > 2 and command[2].startswith(b"-")
        return len(reply) if repeats else sorted(map(str, reply))
    if name in CHOSEN and isinstance(reply, bytes):
        return type(reply)
    if name == b"hgetall" and isinstance(reply, list):
        return dict(zip(reply[::2], reply[1::2], strict=True))
    if name in ANY or ([word.lower() for word in command[:2]] == [b"object", b"idletime"] and isinstance(reply, int)):
        return type(reply)
    if name == b"dump" and isinstance(reply, bytes):
        return contents(restore(reply, Limits()))
    if (
        name in SORTS
        and isinstance(reply, list)
        and {b"alpha", b"by"} <= {word.partition(b"\0")[0].lower() for word in command}
    ):
        # Which of equal weights comes first is nobody's promise.
        return sorted(map(repr, reply))
    if name == b"scan" and isinstance(reply, list):
        # A call that is not the whole iteration: whose cursor, whose part.
        return [reply[0], sorted(reply[1])] if b"1000" in command else type(reply)
    if isinstance(reply, list):
        return [normal([], item) for item in reply]
    if isinstance(reply, dict):
        return {key: normal([], value) for key, value in reply.items()}
    if hasattr(reply, "text"):
        return (type(reply).__name__, reply.text)
    return reply


def same(command: Command, theirs: Any, ours: Any) -> bool:
    if command and command[0].lower() in TIMES and isinstance(theirs, int) and isinstance(ours, int):
        return theirs == ours or (min(theirs, ours) > 0 and abs(theirs - ours) <= CLOCK_SLACK_MS)
    if command and command[0].lower() in FIELD_TIMES and isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(same([b"TTL"], *pair) for pair in zip(theirs, ours, strict=True))
    return bool(normal(command, theirs) == normal(command, ours))


def first_difference(peer: str, commands: list[Command], theirs: list[Any], ours: list[Any]) -> Difference | None:
    """The first pair of replies that part, other than is known of this peer. What EXEC answers is looked at singly."""
    queue: list[Command] = []
    for command, a, b in zip(commands, theirs, ours, strict=True):
        name = command[0].lower()
        if a == QUEUED:
            queue.append(command)
        elif name in (b"multi", b"discard"):
            queue = []
        if name == b"exec" and isinstance(a, list) and isinstance(b, list) and len(a) == len(b) == len(queue):
            if found := first_difference(peer, queue, a, b):
                return found
        elif not same(command, a, b) and not is_known(peer, command, normal(command, a), normal(command, b)):
            return Difference(command, normal(command, a), normal(command, b))
    return None


def final_difference(peer: str, theirs: Peer, ours: Peer) -> Difference | None:
    """What the two hold in the end, in every database: keys, values, expiries and encodings."""
    for commands in asked_in_the_end(theirs):
        if found := first_difference(peer, commands, theirs.run(commands), ours.run(commands)):
            return found
    return None


def asked_in_the_end(theirs: Peer) -> Iterator[list[Command]]:
    """Commands that read everything; `theirs` says what there is to read."""
    numbers = [b"%d" % number for number in range(DATABASES)]
    opening = [[b"SELECT", number] for number in numbers], [[b"KEYS", b"*"]] * DATABASES
    listing = [command for pair in zip(*opening, strict=True) for command in pair]
    yield listing
    replies = theirs.run(listing)
    reading: list[Command] = []
    for number, selected, keys in zip(numbers, replies[::2], replies[1::2], strict=True):
        if not isinstance(selected, ReplyError) and keys:
            theirs.run([[b"SELECT", number]])
            kinds = theirs.run([[b"TYPE", key] for key in keys])
            reading += [[b"SELECT", number]]
            reading += [command for key, kind in zip(keys, kinds, strict=True) for command in reads(key, kind.text)]
    yield reading


def reads(key: bytes, kind: bytes) -> list[Command]:
    name, *rest = CONTENTS[kind]
    return [[b"TYPE", key], [b"PEXPIRETIME", key], [b"OBJECT", b"ENCODING", key], [name, key, *rest]]
