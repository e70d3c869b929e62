"""Several connections to one server, a command at a time: transactions, waiting, publishing and tracking beside Redis.

    python tests/differential/sessions.py --steps 100000 --seed 0 [--resp 3]

After every step all connections are read. What came, and where, must be the same on both sides.
"""

from __future__ import annotations

import argparse
import itertools
import pathlib
import random
import select
import socket
import sys
import tempfile
import time
from typing import Any

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

from compare import normal  # noqa: E402
from real_redis import real_redis  # noqa: E402
from server_process import DEADLINE, serving  # noqa: E402

from ringkeeper.resp.reader import NOT_READY, ReplyReader  # noqa: E402
from ringkeeper.resp.values import Push, Verbatim  # noqa: E402
from ringkeeper.resp.writer import encode_command  # noqa: E402

Arguments = list[bytes]
CONNECTIONS = 4
STEPS_PER_SERVER = 400
"""Then all connections are made anew and the data is dropped."""
SMALLEST_ID = 1000
"""Ids of connections are above all other numbers in replies."""
ID = b"@id:"
"""`@id:2` in a command stands for the third connection's id, which differs between the servers."""


class Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(DEADLINE)
        self.reader = ReplyReader()
        self.open = True
        self.id = self.ask([b"CLIENT", b"ID"])

    def send(self, command: Arguments) -> None:
        self.socket.sendall(encode_command(command))

    def ask(self, command: Arguments) -> Any:
        self.send(command)
        while True:
            reply = self.reader.next()
            if reply is not NOT_READY:
                return reply
            self.receive()

    def receive(self) -> None:
        data = self.socket.recv(1 << 16)
        if data:
            self.reader.feed(data)
        else:
            self.open = False
            raise ConnectionError

    def arrived(self) -> list[Any]:
        """Everything that is there now."""
        replies = []
        try:
            while self.open and select.select([self.socket], [], [], 0)[0]:
                self.receive()
        except ConnectionError:
            replies.append("closed")
        while (reply := self.reader.next()) is not NOT_READY:
            replies.append(reply)
        return replies


class Side:
    """A server and its connections; `control` sees to it that what a step caused has arrived."""

    def __init__(self, port: int, protocol: int) -> None:
        self.port = port
        self.protocol = protocol
        self.control = Connection(port)
        self.control.ask([b"CONFIG", b"SET", b"notify-keyspace-events", b""])
        self.control.ask([b"FLUSHALL"])
        self.connections: list[Connection] = []
        for _ in range(CONNECTIONS):
            connection = Connection(port)
            connection.ask([b"HELLO", b"%d" % protocol])
            self.connections.append(connection)

    def close(self) -> None:
        for connection in [*self.connections, self.control]:
            connection.socket.close()

    def is_blocked(self, index: int) -> bool:
        return "b" in self.flags(index)

    def flags(self, index: int) -> str:
        """As CLIENT LIST shows them: `b` for one that waits, `x` for one behind MULTI."""
        line = self.control.ask([b"CLIENT", b"LIST", b"ID", b"%d" % self.connections[index].id])
        text = (line.text if isinstance(line, Verbatim) else line).decode()
        return next(word[6:] for word in text.split() if word.startswith("flags="))

    def step(self, index: int, command: Arguments) -> list[list[Any]]:
        connection = self.connections[index]
        words = [b"%d" % self.connections[int(word[4:])].id if word.startswith(ID) else word for word in command]
        connection.send(words)
        deadline = time.monotonic() + DEADLINE
        while not select.select([connection.socket], [], [], 0.001)[0] and not self.is_blocked(index):
            assert time.monotonic() < deadline, f"no answer to {command}"
        self.control.ask([b"PING"])
        self.control.ask([b"PING"])
        return [self.show(each.arrived(), command) for each in self.connections]

    def show(self, replies: list[Any], command: Arguments) -> list[Any]:
        told = command[0] in (b"CLIENT", b"EXEC")
        numbers = {connection.id: i for i, connection in enumerate(self.connections)} if told else {}
        shown = [(type(reply) is Push, numbered(normal([], reply), numbers)) for reply in replies]
        shown.sort(key=kind_of)  # messages of different kinds are told at different moments
        return [each for _, run in itertools.groupby(shown, is_unordered) for each in in_order(list(run))]


def kind_of(shown: tuple[bool, Any]) -> str:
    return str(shown[1][0]) if isinstance(shown[1], list) and shown[1] else ""


def is_unordered(shown: tuple[bool, Any]) -> bool:
    """Messages for several patterns, and invalidations, come in the order of somebody's hash table."""
    return isinstance(shown[1], list) and shown[1][:1] in ([b"pmessage"], [b"invalidate"], *ENDS)


ENDS_ALL = ([b"UNSUBSCRIBE"], [b"PUNSUBSCRIBE"], [b"SUNSUBSCRIBE"])
ENDS = ([b"unsubscribe"], [b"punsubscribe"], [b"sunsubscribe"])


def in_order(run: list[Any]) -> list[Any]:
    if not is_unordered(run[0]):
        return run
    if run[0][1][:1] in ENDS:
        return [sorted(str(reply[1]) for _, reply in run), [reply[2] for _, reply in run]]
    for _, reply in run:
        if reply[0] == b"invalidate" and reply[1]:
            reply[1].sort()
    return sorted(run, key=repr)


def numbered(reply: Any, numbers: dict[int, int]) -> Any:
    """Ids of connections as their numbers."""
    if isinstance(reply, list):
        return [numbered(item, numbers) for item in reply]
    if isinstance(reply, dict):
        return {key: numbered(value, numbers) for key, value in reply.items()}
    return f"id:{numbers[reply]}" if type(reply) is int and reply in numbers else reply


class Stories:
    """Steps: which connection says what. Deterministic by seed."""

    KEYS = (b"a", b"b", b"c", b"ab")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def pick(self, *choices: bytes) -> bytes:
        return self.random.choice(choices)

    def key(self) -> bytes:
        return self.pick(*self.KEYS)

    def some(self, *choices: bytes) -> list[bytes]:
        return [self.pick(*choices) for _ in range(self.random.choice((1, 1, 2, 3)))]

    def command(self) -> Arguments:
        maker = self.random.choice(
            [self.data, self.data, self.data, self.lists, self.lists, self.waits, self.transaction, self.transaction,
             self.pubsub, self.pubsub, self.tracking, self.server]
        )  # fmt: skip
        return maker()

    def data(self) -> Arguments:
        key = self.key()
        return self.random.choice(
            [
                [b"SET", key, b"1"], [b"SET", key, b"2", b"PX", b"100000"], [b"GET", key], [b"DEL", key],
                [b"INCR", key],
                [b"APPEND", key, b"x"], [b"MGET", *self.some(*self.KEYS)], [b"RENAME", key, self.key()],
                [b"EXPIRE", key, b"100"], [b"PERSIST", key], [b"GETDEL", key],
                [b"COPY", key, self.key(), b"REPLACE"], [b"MOVE", key, b"1"], [b"SETRANGE", key, b"1", b"x"],
                [b"GETEX", key, b"EX", b"100"], [b"SETBIT", key, b"3", b"1"], [b"INCRBYFLOAT", key, b"1.5"],
                [b"FLUSHDB"], [b"SWAPDB", b"0", b"1"], [b"EXISTS", key], [b"SETNX", key, b"v"], [b"NOPE"], [b"GET"],
                [b"MSET", key, b"1", self.key(), b"2"], [b"STRLEN", key], [b"TOUCH", key], [b"TYPE", key],
            ]
        )  # fmt: skip

    def end(self) -> bytes:
        return self.pick(b"LEFT", b"RIGHT")

    def lists(self) -> Arguments:
        key = self.key()
        return self.random.choice(
            [
                [b"LPUSH", key, b"1"], [b"RPUSH", key, *self.some(b"2", b"3")], [b"RPUSH", key, b"1"],
                [b"LPUSHX", key, b"4"], [b"RPOP", key], [b"LPOP", key, self.pick(b"0", b"2")],
                [b"LMOVE", key, self.key(), self.end(), self.end()], [b"RPOPLPUSH", key, self.key()],
                [b"LTRIM", key, b"0", b"-2"], [b"LREM", key, b"0", self.pick(b"1", b"2")],
                [b"LSET", key, b"0", b"5"], [b"LINSERT", key, b"BEFORE", b"1", b"6"], [b"LRANGE", key, b"0", b"-1"],
                [b"LMPOP", b"2", key, self.key(), self.end()], [b"DEL", *self.some(*self.KEYS)],
            ]
        )  # fmt: skip

    def waits(self) -> Arguments:
        """They end by a write or by CLIENT UNBLOCK; what ends by time is told in `tests/server/test_blocking.py`."""
        other = ID + b"%d" % self.random.randrange(CONNECTIONS)
        return self.random.choice(
            [
                [self.pick(b"BLPOP", b"BRPOP"), *self.some(*self.KEYS), b"0"],
                [b"BLMOVE", self.key(), self.key(), self.end(), self.end(), b"0"],
                [b"BRPOPLPUSH", self.key(), self.key(), b"0"],
                [b"BLMPOP", b"0", b"2", self.key(), self.key(), self.end(), b"COUNT", b"2"],
                [b"CLIENT", b"UNBLOCK", other], [b"CLIENT", b"UNBLOCK", other, self.pick(b"ERROR", b"TIMEOUT", b"x")],
                [b"CLIENT", b"KILL", b"ID", b"99999"],
            ]
        )  # fmt: skip

    def transaction(self) -> Arguments:
        return self.random.choice(
            [
                [b"MULTI"], [b"MULTI"], [b"EXEC"], [b"EXEC"], [b"EXEC"], [b"DISCARD"], [b"UNWATCH"],
                [b"WATCH", *self.some(*self.KEYS)], [b"WATCH", *self.some(*self.KEYS)], [b"WATCH"], [b"EXEC", b"x"],
            ]
        )  # fmt: skip

    def pubsub(self) -> Arguments:
        channels = (b"a", b"ab", b"news", b"__keyevent@0__:set", b"__keyspace@0__:a")
        patterns = (b"*", b"a*", b"n?ws", b"__key*__:*")
        return self.random.choice(
            [
                [b"SUBSCRIBE", *self.some(*channels)], [b"PSUBSCRIBE", *self.some(*patterns)],
                [b"SSUBSCRIBE", *self.some(*channels)], [b"UNSUBSCRIBE", *self.some(*channels)], [b"UNSUBSCRIBE"],
                [b"PUNSUBSCRIBE", *self.some(*patterns)], [b"PUNSUBSCRIBE"], [b"SUNSUBSCRIBE"],
                [b"PUBLISH", self.pick(*channels), b"m"], [b"PUBLISH", self.pick(*channels), b"m"],
                [b"SPUBLISH", self.pick(*channels), b"m"], [b"PUBSUB", b"NUMPAT"],
                [b"PUBSUB", b"NUMSUB", *self.some(*channels)], [b"PUBSUB", b"SHARDNUMSUB", *self.some(*channels)],
                [b"PING"], [b"PING", b"x"],
            ]
        )  # fmt: skip

    def tracking(self) -> Arguments:
        options = self.random.choice(
            [
                [], [], [b"BCAST"], [b"BCAST", b"PREFIX", b"a"], [b"BCAST", b"PREFIX", b"a", b"PREFIX", b"ab"],
                [b"OPTIN"], [b"OPTOUT"], [b"NOLOOP"], [b"BCAST", b"NOLOOP"], [b"OPTIN", b"OPTOUT"], [b"PREFIX", b"a"],
                [b"REDIRECT", ID + b"%d" % self.random.randrange(CONNECTIONS)], [b"REDIRECT", b"99999"], [b"nope"],
            ]
        )  # fmt: skip
        return self.random.choice(
            [
                [b"CLIENT", b"TRACKING", b"ON", *options], [b"CLIENT", b"TRACKING", b"ON", *options],
                [b"CLIENT", b"TRACKING", b"OFF"], [b"CLIENT", b"CACHING", self.pick(b"YES", b"NO", b"x")],
                [b"CLIENT", b"TRACKINGINFO"], [b"CLIENT", b"GETREDIR"],
            ]
        )  # fmt: skip

    def server(self) -> Arguments:
        return self.random.choice(
            [
                [b"CONFIG", b"SET", b"notify-keyspace-events", self.pick(b"KEA", b"", b"Kg$", b"Exg", b"KEAm", b"q")],
                [b"CONFIG", b"GET", b"notify-keyspace-events"], [b"SELECT", self.pick(b"0", b"0", b"1")],
                [b"RESET"], [b"ECHO", b"x"], [b"CLIENT", b"UNBLOCK", b"99999"],
            ]
        )  # fmt: skip


def run(steps: int, seed: int, protocol: int, folder: pathlib.Path, peer: str = "valkey") -> str:
    """What differed, and how it came to it; nothing if all was the same."""
    with real_redis(folder, peer) as redis_port, serving(folder, "--enable-debug-command", "yes") as node:
        for port in (redis_port, node.port):
            for _ in range(SMALLEST_ID):
                Connection(port).socket.close()
        for start in range(0, steps, STEPS_PER_SERVER):
            if found := run_once(min(STEPS_PER_SERVER, steps - start), seed * 1_000_003 + start, protocol,
                                 (redis_port, node.port), peer):  # fmt: skip
                return found
    return ""


def run_once(steps: int, seed: int, protocol: int, ports: tuple[int, int], peer: str) -> str:
    stories = Stories(seed)
    sides = [Side(port, protocol) for port in ports]
    said: list[str] = []
    try:
        for _ in range(steps):
            free = [i for i in range(CONNECTIONS) if not sides[0].is_blocked(i)]
            index = stories.random.choice(free or [0])
            command = stories.command()
            if not free:
                continue
            if command[0] in (b"MULTI", b"WATCH") and "x" in sides[0].flags(index) and peer == "valkey":
                continue  # Valkey has another error for it, and the transaction ends with it
            if command[:2] == [b"CLIENT", b"TRACKING"] and "x" in sides[0].flags(index):
                continue  # whom a transaction tells of its first changes would depend on its last commands
            if command in ENDS_ALL and "x" in sides[0].flags(index):
                continue  # in whatever order
            if command == [b"RESET"] and protocol == 3:
                continue
            said.append(f"  {index}: {command}")
            theirs, ours = (side.step(index, command) for side in sides)
            if theirs != ours:
                shown = [
                    f"  on {i}: Redis {a!r:.400}\n        ours  {b!r:.400}"
                    for i, (a, b) in enumerate(zip(theirs, ours, strict=True))
                    if a != b
                ]
                return "\n".join([*said[-40:], *shown, f"  seed {seed}, step {len(said)}"])
    finally:
        for side in sides:
            side.close()
    return ""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--resp", type=int, choices=(2, 3), help="one protocol only")
    options.add_argument(
        "--peer", choices=("redis", "valkey"), default="valkey", help="Redis before 7.2 sends messages before replies"
    )
    chosen = options.parse_args()
    code = 0
    for protocol in (chosen.resp,) if chosen.resp else (2, 3):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = run(chosen.steps, chosen.seed, protocol, pathlib.Path(folder), chosen.peer)
        if found:
            print(found)
        print(
            f"RESP{protocol}: {chosen.steps} steps, seed {chosen.seed}: {'a difference' if found else 'no difference'},"
            f" {time.monotonic() - started:.0f} s"
        )
        code |= bool(found)
    return code


if __name__ == "__main__":
    sys.exit(main())
