"""Runs the same commands on a real Redis and on a node, over pipelined connections, and compares what comes back."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from persist.corpus import contents

from ringkeeper.persist.payload import restore
from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command
from ringkeeper.types.collection import Limits

BATCH = 500
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
"""Of these only the kind of reply is comparable: Redis counts expired keys until its cycle finds them."""
TIMES = {b"ttl", b"pttl", b"expiretime", b"pexpiretime"}
FIELD_TIMES = {b"h" + name for name in TIMES}
CLOCK_SLACK_MS = 60_000
"""How far apart two clocks' readings of one expiry may be: the two servers do not execute in the same instant."""


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
    if name in ANY:
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


def same(command: list[bytes], theirs: Any, ours: Any) -> bool:
    if command and command[0].lower() in TIMES and isinstance(theirs, int) and isinstance(ours, int):
        return theirs == ours or (min(theirs, ours) > 0 and abs(theirs - ours) <= CLOCK_SLACK_MS)
    if command and command[0].lower() in FIELD_TIMES and isinstance(theirs, list) and isinstance(ours, list):
        return len(theirs) == len(ours) and all(same([b"TTL"], *pair) for pair in zip(theirs, ours, strict=True))
    return bool(normal(command, theirs) == normal(command, ours))


def compare(
    commands: list[list[bytes]], theirs: Peer, ours: Peer, stop_after: int = 10, *, encodings: bool = True
) -> list[Difference]:
    found: list[Difference] = []
    for start in range(0, len(commands), BATCH):
        found += differences(commands, range(start, min(start + BATCH, len(commands))), theirs, ours)
        if len(found) >= stop_after:
            return found
    return found or final_differences(theirs, ours, encodings=encodings)


def differences(commands: list[list[bytes]], asked: range, theirs: Peer, ours: Peer) -> list[Difference]:
    batch = commands[asked.start : asked.stop]
    found = []
    for i, command, a, b in zip(asked, batch, theirs.run(batch), ours.run(batch), strict=True):
        if not same(command, a, b):
            words = set(command[1:])
            before = [other for other in commands[max(0, i - 200) : i] if words & set(other[1:])]
            found.append(Difference(command, normal(command, a), normal(command, b), before[-8:]))
    return found


def final_differences(theirs: Peer, ours: Peer, *, encodings: bool = True) -> list[Difference]:
    """What the two hold in the end, in every database: keys, values, expiries and, if asked for, encodings."""
    found = []
    for database in range(DATABASES):
        opening = [[b"SELECT", b"%d" % database], [b"KEYS", b"*"]]
        found += differences(opening, range(len(opening)), theirs, ours)
        keys = sorted(theirs.run([[b"KEYS", b"*"]])[0])
        kinds = theirs.run([[b"TYPE", key] for key in keys])
        asked = []
        for key, kind in zip(keys, kinds, strict=True):
            reads = [[b"TYPE"], [b"PEXPIRETIME"], *([[b"OBJECT", b"ENCODING"]] if encodings else [])]
            asked += [[*read, key] for read in reads]
            name, *rest = CONTENTS[kind.text]
            asked.append([name, key, *rest])
        found += differences(asked, range(len(asked)), theirs, ours)
    return found
