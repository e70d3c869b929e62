"""Users and their rules beside Valkey, which has Redis 7.2's: what is said of them, and what their sessions may do.

    python tests/differential/acl.py --steps 20000 --seed 0 [--resp 3]

First random ACL SETUSERs: the descriptions and the verdicts of ACL DRYRUN must be the same. Then stories: sessions log
in as users whose rules change while they work, wait, listen and queue; every reply, message and closing is compared.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import random
import sys
import tempfile
import time
from typing import Any

sys.path[:0] = [str(pathlib.Path(__file__).parent), str(pathlib.Path(__file__).parents[1])]

from acl_rules import CHANNELS, KEYS, PASSWORDS, Generator, Words  # noqa: E402
from compare import Peer, normal  # noqa: E402
from real_redis import real_redis  # noqa: E402
from server_process import serving  # noqa: E402
from sessions import ENDS_ALL, SMALLEST_ID, Connection, Side  # noqa: E402

from ringkeeper import commands  # noqa: E402
from ringkeeper.commands.cluster import OPERATORS  # noqa: E402
from ringkeeper.commands.table import COMMANDS, Command  # noqa: E402
from ringkeeper.resp.values import Verbatim  # noqa: E402

USERS = [b"u", b"v"]
REFUSED = {
    *(f"cluster|{name.lower()}" for name in OPERATORS),
    *("command|getkeys", "command|getkeysandflags", "zrank", "zrevrank"),
    "wait",
}
"""Of another arity here, or in Redis 7.0; WAIT is of the category blocking since 7.2."""
TRIES = 12
"""ACL DRYRUNs behind every ACL SETUSER."""
CHANGES_PER_USER = 20
STEPS_PER_STORY = 300
ADMIN = [b"ACL", b"SETUSER", b"admin", b"reset", b"on", b"nopass", b"+@all", b"~*", b"&*"]
OPEN_DEFAULT = [b"ACL", b"SETUSER", b"default", *ADMIN[3:]]
FLAGS = (b"sanitize-payload", b"skip-sanitize-payload")
"""Valkey shows neither; Redis 7.2 always one."""
UNLIKE = {b"databases", b"age-seconds", b"client-info", b"timestamp-created", b"timestamp-last-updated"}
"""Fields that are Valkey's own, or of the moment."""


def table() -> dict[str, Command]:
    """Commands and subcommands that are here and there."""
    commands.load()
    every = [each for command in COMMANDS.values() for each in (command, *command.subcommands.values())]
    return {each.name: each for each in every if each.name not in REFUSED}


def comparable(reply: Any) -> Any:
    """A reply of ACL without what Redis 7.2 and Valkey do not have in common."""
    if isinstance(reply, bytes):
        words = [word for word in reply.split(b" ") if word not in FLAGS]
        return b" ".join(words)
    if isinstance(reply, tuple):
        return tuple(map(comparable, reply))
    if isinstance(reply, dict | list) and b"proto" in reply:
        return "HELLO"
    if isinstance(reply, dict):
        return {key: comparable(value) for key, value in reply.items() if key not in UNLIKE}
    if isinstance(reply, list):
        if b"count" in reply or b"flags" in reply or b"commands" in reply:
            return comparable(dict(zip(reply[::2], reply[1::2], strict=True)))
        return [comparable(item) for item in reply if item not in FLAGS]
    return normal([], reply)


def verdict(reply: Any) -> Any:
    """Of ACL DRYRUN: whether it would run, or in what it would fail. Redis 7.0 has other words for it."""
    if isinstance(reply, bytes):
        return next(kind for kind in (b"' key", b"' channel", b"' command") if reply.endswith(kind))
    return normal([], reply)


def run_rules(changes: int, seed: int, protocol: int, ports: tuple[int, int], *, verdicts_only: bool = False) -> str:
    """The first difference between what two servers say of users, or nothing."""
    show = verdict if verdicts_only else comparable
    with contextlib.closing(Peer(ports[0], protocol)) as theirs, contextlib.closing(Peer(ports[1], protocol)) as ours:
        known = {entry[0].decode() for each in theirs.run([[b"COMMAND"]])[0] for entry in (each, *each[9])}
        generator = Generator(seed, {name: command for name, command in table().items() if name in known})
        said: list[Words] = []
        for number in range(changes):
            if number % CHANGES_PER_USER == 0:
                said = [[b"ACL", b"DELUSER", *USERS]]
                theirs.run(said), ours.run(said)
            user = generator.pick(USERS)
            said.append([b"ACL", b"SETUSER", user, *generator.rules()])
            batch = [said[-1]] if verdicts_only else [said[-1], [b"ACL", b"LIST"], [b"ACL", b"GETUSER", user]]
            batch += [[b"ACL", b"DRYRUN", user, *generator.command()] for _ in range(TRIES)]
            for command, a, b in zip(batch, theirs.run(batch), ours.run(batch), strict=True):
                if show(a) != show(b):
                    return f"{command}\n  theirs: {a!r}\n  ours:   {b!r}\n  after " + "\n  after ".join(map(str, said))
    return ""


class Stories:
    """Steps: which connection says what; None is the administrator's. Deterministic by seed."""

    def __init__(self, seed: int, names: dict[str, Command]) -> None:
        self.random = random.Random(seed)
        self.rules = Generator(seed, names)

    def pick(self, *choices: bytes) -> bytes:
        return self.random.choice(choices)

    def step(self, connections: list[int]) -> tuple[int | None, Words]:
        if self.random.random() < 0.25:
            return None, self.administration()
        maker = self.random.choice([self.login, self.data, self.data, self.data, self.transaction, self.pubsub])
        own = self.random.random() < 0.05
        return self.random.choice(connections), self.of_oneself() if own else maker()

    def administration(self) -> Words:
        user = self.pick(*USERS, *USERS, b"default")
        return self.random.choice(
            [
                [b"ACL", b"SETUSER", user, *self.rules.rules()],
                [b"ACL", b"SETUSER", user, *self.rules.rules()],
                [b"ACL", b"SETUSER", user, b"on", b"nopass", b"+@all", b"~*", b"&*"],
                [b"ACL", b"SETUSER", user, b"on", b"resetkeys", b"~a*", b"resetchannels", b"&n*", b"+@all"],
                [b"ACL", b"SETUSER", user, self.pick(b"-get", b"-@write", b"+@read", b"-@pubsub", b"-multi", b"-exec")],
                [b"ACL", b"DELUSER", user], [b"ACL", b"LOG"], [b"ACL", b"LOG", self.pick(b"2", b"RESET", b"-1", b"x")],
                [b"LPUSH", self.pick(*KEYS), b"x"], [b"PUBLISH", self.pick(*CHANNELS), b"m"], [b"ACL", b"USERS"],
                [b"ACL", b"LIST"], [b"CLIENT", b"KILL", b"USER", user],
                [b"CONFIG", b"SET", b"requirepass", self.pick(b"", b"", b"secret")],
                [b"CONFIG", b"SET", b"acl-pubsub-default", self.pick(b"allchannels", b"resetchannels")],
                [b"CONFIG", b"SET", b"acllog-max-len", self.pick(b"0", b"3", b"128", b"128")],
            ]
        )  # fmt: skip

    def of_oneself(self) -> Words:
        """What a session may do to its own user, and to itself."""
        user = self.pick(*USERS, b"default")
        return self.random.choice(
            [
                [b"ACL", b"DELUSER", self.pick(*USERS)], [b"ACL", b"SETUSER", user, *self.rules.rules()],
                [b"ACL", b"SETUSER", user, b"resetchannels"], [b"ACL", b"LOG"], [b"ACL", b"GETUSER", user],
                [b"CLIENT", b"KILL", b"USER", user, b"SKIPME", self.pick(b"yes", b"no")],
                [b"ACL", b"DRYRUN", user, *self.data()], [b"CONFIG", b"SET", b"requirepass", b""],
            ]
        )  # fmt: skip

    def login(self) -> Words:
        user, password = self.pick(*USERS, b"default", b"nobody"), self.pick(*PASSWORDS)
        return self.random.choice(
            [
                [b"AUTH", user, password], [b"AUTH", user, password], [b"auth", password], [b"ACL", b"WHOAMI"],
                [b"HELLO", b"2", b"AUTH", user, password], [b"HELLO"], [b"RESET"], [b"AUTH", user, password, b"x"],
            ]
        )  # fmt: skip

    def data(self) -> Words:
        key, other = self.pick(*KEYS), self.pick(*KEYS)
        return self.random.choice(
            [
                [b"GET", key], [b"SET", key, b"1"], [b"SET", key, b"1", b"GET"], [b"MGET", key, other], [b"DEL", key],
                [b"COPY", key, other], [b"RENAME", key, other], [b"LPUSH", key, b"v"], [b"HSET", key, b"f", b"1"],
                [b"SADD", key, b"1"], [b"SINTERCARD", b"2", key, other], [b"SINTERCARD", b"3", key, other],
                [b"SINTERSTORE", key, other], [b"LMOVE", key, other, b"LEFT", b"LEFT"], [b"BLPOP", key, other, b"0"],
                [b"BLMOVE", key, other, b"LEFT", b"LEFT", b"0"], [b"OBJECT", b"ENCODING", key], [b"SELECT", b"0"],
                [b"SELECT", b"1"], [b"CLIENT", b"GETNAME"], [b"CONFIG", b"GET", b"acllog-max-len"], [b"DBSIZE"],
                [b"PING"], [b"EXISTS", key, other], [b"FLUSHDB"], [b"TYPE", key],
            ]
        )  # fmt: skip

    def transaction(self) -> Words:
        return self.random.choice(
            [[b"MULTI"], [b"MULTI"], [b"EXEC"], [b"EXEC"], [b"DISCARD"], [b"WATCH", self.pick(*KEYS)], [b"UNWATCH"]]
        )

    def pubsub(self) -> Words:
        channel = self.pick(*CHANNELS)
        return self.random.choice(
            [
                [b"SUBSCRIBE", channel], [b"SUBSCRIBE", channel, self.pick(*CHANNELS)], [b"PSUBSCRIBE", channel],
                [b"SSUBSCRIBE", channel], [b"UNSUBSCRIBE"], [b"PUNSUBSCRIBE"], [b"SUNSUBSCRIBE"],
                [b"PUBLISH", channel, b"m"], [b"SPUBLISH", channel, b"m"],
            ]
        )  # fmt: skip


class Guarded(Side):
    """A side whose control connection is an administrator's, so that the default user may be changed as well."""

    def __init__(self, port: int, protocol: int) -> None:
        super().__init__(port, protocol)
        for command in (ADMIN, [b"AUTH", b"admin", b"x"], [b"ACL", b"DELUSER", *USERS], [b"ACL", b"LOG", b"RESET"]):
            self.control.ask(command)

    def administrate(self, command: Words) -> list[Any]:
        reply = self.control.ask(command)
        self.control.ask([b"PING"])
        self.control.ask([b"PING"])
        return [comparable(reply), *(self.show(each.arrived(), command) for each in self.connections)]

    def reopen(self) -> list[int]:
        """New connections in place of those that were closed."""
        closed = [index for index, each in enumerate(self.connections) if not each.open]
        for index in closed:
            self.connections[index].socket.close()
            self.connections[index] = new = Connection(self.port)
            listed = self.control.ask([b"CLIENT", b"LIST"])
            lines = (listed.text if isinstance(listed, Verbatim) else listed).split(b"\n")
            new.id = max(int(line.split(b" ")[0][3:]) for line in lines if line)
        return closed

    def close(self) -> None:
        for command in (OPEN_DEFAULT, [b"CONFIG", b"SET", b"acllog-max-len", b"128"],
                        [b"CONFIG", b"SET", b"acl-pubsub-default", b"resetchannels"]):  # fmt: skip
            self.control.ask(command)
        super().close()


def run_story(steps: int, seed: int, protocol: int, ports: tuple[int, int]) -> str:
    stories = Stories(seed, table())
    sides = [Guarded(port, protocol) for port in ports]
    said: list[str] = []
    try:
        while len(said) < steps:
            free = [index for index in range(len(sides[0].connections)) if not sides[0].is_blocked(index)]
            index, command = stories.step(free or [0])
            if not free and index is not None:
                continue
            if index is not None and unfit(command, sides[0].flags(index), protocol):
                continue
            said.append(f"  {'admin' if index is None else index}: {command}")
            theirs, ours = (
                side.administrate(command) if index is None else side.step(index, command) for side in sides
            )
            reopened = [side.reopen() for side in sides]
            if comparable(theirs) != comparable(ours) or reopened[0] != reopened[1]:
                return "\n".join([*said[-60:], f"  Valkey {theirs!r}", f"  ours   {ours!r}", f"  seed {seed}"])
    finally:
        for side in sides:
            side.close()
    return ""


def unfit(command: Words, flags: str, protocol: int) -> bool:
    """What `sessions.py` does not compare either, for the reasons given there."""
    if command[0] in (b"MULTI", b"WATCH") or command in ENDS_ALL:
        return "x" in flags
    return command == [b"RESET"] and protocol == 3


def run(steps: int, seed: int, protocol: int, folder: pathlib.Path) -> str:
    """What differed, and how it came to it; nothing if all was the same."""
    with real_redis(folder, "valkey") as port, serving(folder) as node:
        ports = (port, node.port)
        if found := run_rules(steps // 4, seed, protocol, ports):
            return found
        for each in ports:
            for _ in range(SMALLEST_ID):
                Connection(each).socket.close()
        for start in range(0, steps, STEPS_PER_STORY):
            steps_now = min(STEPS_PER_STORY, steps - start)
            if found := run_story(steps_now, seed * 1_000_003 + start, protocol, ports):
                return found
    return ""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--resp", type=int, choices=(2, 3), help="one protocol only")
    chosen = options.parse_args()
    code = 0
    for protocol in (chosen.resp,) if chosen.resp else (2, 3):
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = run(chosen.steps, chosen.seed, protocol, pathlib.Path(folder))
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
