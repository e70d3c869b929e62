"""Clients that write and read values of every type, find the master by themselves, and keep a ledger of each key."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import redis
from histories import REFUSALS
from migrations.ledger import COUNTER, KINDS, REGISTER, Ledger
from partitions.clients import PAUSE, PAUSE_AFTER_REFUSAL, Target
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE = (0.6, 3.0)
"""Seconds that clients wait for an answer, by turns."""
LASTS_SECONDS = 10_000
REFUSED = (*(word[1:] for word in REFUSALS), "EXECABORT", "MISCONF", "OOM")
"""Error codes of what was not done."""


class Refused(Exception):
    """It was not done."""


def connect(target: Target, password: str, patience: float) -> redis.Redis:
    """To one node, and asking nothing twice."""
    return redis.Redis(
        *target, password=password, socket_timeout=patience, socket_connect_timeout=patience,
        retry=Retry(NoBackoff(), 0), single_connection_client=False, decode_responses=True, protocol=2,
    )  # fmt: skip


def write(client: redis.Redis, kind: str, key: str, number: int) -> Any:
    commands: dict[str, Callable[[], Any]] = {
        "list": lambda: client.rpush(key, number),
        "string": lambda: client.append(key, f"{number},"),
        "set": lambda: client.sadd(key, number),
        "hash": lambda: client.hset(key, str(number), str(number)),
        "fields": lambda: _fields(client, key, number),
        "zset": lambda: client.zadd(key, {str(number): number}),
        COUNTER: lambda: client.incr(key),
        REGISTER: lambda: client.set(key, number, ex=LASTS_SECONDS),
    }
    return commands[kind]()


def _fields(client: redis.Redis, key: str, number: int) -> None:
    with client.pipeline(transaction=True) as pipeline:
        pipeline.hset(key, str(number), str(number))
        pipeline.hexpire(key, LASTS_SECONDS, str(number))
        pipeline.execute()


def read(client: redis.Redis, kind: str, key: str) -> list[int]:
    """The numbers in a value; fails where one is not as it was written."""
    if kind in (COUNTER, REGISTER):
        value: Any = client.get(key)
        return [] if value is None else [int(value)]
    if kind in ("hash", "fields"):
        pairs: Any = client.hgetall(key)
        assert all(name == value for name, value in pairs.items()), (key, pairs)
        return [int(name) for name in pairs]
    if kind == "zset":
        scored: Any = client.zrange(key, 0, -1, withscores=True)
        assert all(float(member) == score for member, score in scored), (key, scored)
        return [int(member) for member, _ in scored]
    found: Any
    if kind == "string":
        found = [each for each in str(client.get(key) or "").split(",") if each]
    else:
        found = client.lrange(key, 0, -1) if kind == "list" else client.smembers(key)
    return [int(each) for each in found]


def time_left(client: redis.Redis, kind: str, key: str, numbers: Sequence[int]) -> list[int]:
    """Seconds that a value, or its fields, have left; nothing if it does not expire."""
    if kind == REGISTER:
        return [int(client.ttl(key))]
    if kind == "fields":
        return [int(left) for left in client.execute_command("HTTL", key, "FIELDS", len(numbers), *numbers)]
    return []


class Client:
    """One; `ledgers` are of the keys that it alone writes."""

    def __init__(self, targets: list[Target], password: str, ledgers: list[Ledger], patience: float, seed: str) -> None:
        self.targets, self.password, self.ledgers, self.patience = targets, password, ledgers, patience
        self.generator = random.Random(seed)
        self.connections: dict[Target, redis.Redis] = {}
        self.masters: dict[str, Target] = {}
        """Of keys, as was heard last."""
        self.numbers = 0
        self.answers = 0
        self.strange: list[str] = []
        self.refusals: dict[str, int] = {}
        self.stopping = False

    def run(self, *, must_keep: bool) -> None:
        """`must_keep`: reads have all that was acknowledged before."""
        while not self.stopping:
            ledger = self.generator.choice(self.ledgers)
            try:
                if self.generator.random() < 0.6:
                    self.write(ledger)
                else:
                    self.check(ledger, must_keep=must_keep)
                self.answers += 1
                time.sleep(PAUSE)
            except (Refused, exceptions.ConnectionError, exceptions.TimeoutError, OSError):
                time.sleep(PAUSE_AFTER_REFUSAL)
        for connection in self.connections.values():
            connection.close()

    def write(self, ledger: Ledger) -> None:
        self.numbers += 1
        number = self.numbers
        ledger.open.add(number)
        try:
            self.ask(ledger.key, lambda client: write(client, ledger.kind, ledger.key, number))
        except Refused:
            ledger.open.remove(number)
            raise
        ledger.open.remove(number)
        ledger.acknowledged.append(number)

    def check(self, ledger: Ledger, *, must_keep: bool) -> list[int]:
        found: list[int] = self.ask(ledger.key, lambda client: read(client, ledger.kind, ledger.key))
        self.strange += ledger.wrong(found)
        if must_keep and (lost := ledger.lost(found)):
            master = self.masters[ledger.key]
            self.strange.append(f"{time.monotonic():.3f}: {ledger}: {lost} are lost, read from {master}: {found[-9:]}")
        return found

    def ask(self, key: str, command: Callable[[redis.Redis], Any]) -> Any:
        """Its answer, from whoever serves the key. Raises `Refused`, or what says that there was no answer."""
        target = self.masters.get(key) or self.generator.choice(self.targets)
        for _ in range(3):
            if target not in self.connections:
                self.connections[target] = connect(target, self.password, self.patience)
            self.masters[key] = target
            try:
                return command(self.connections[target])
            except exceptions.MovedError as error:
                target = (str(error.host), int(error.port))
            except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
                self.masters.pop(key, None)
                if str(error).startswith("Error ") and "connecting to" in str(error):
                    raise Refused from None
                raise
            except exceptions.ResponseError as error:
                self.masters.pop(key, None)
                self._refused(error)
        raise Refused

    def _refused(self, error: exceptions.ResponseError) -> None:
        told = f"{getattr(error, 'status_code', '') or ''} {type(error).__name__} {error}"
        word = next((word for word in REFUSED if word in told.replace("ClusterDownError", "CLUSTERDOWN")), None)
        if word is None and "ExecAbort" not in told:
            self.strange.append(told)
            raise error
        self.refusals[word or "EXECABORT"] = self.refusals.get(word or "EXECABORT", 0) + 1
        raise Refused from None


class Clients:
    """From `start` to `stop`, in threads that `go` has begin where clients are."""

    def __init__(
        self, targets: list[Target], password: str, keys: Sequence[str], seed: int, *, must_keep: bool,
        go: Callable[[], None],
    ) -> None:  # fmt: skip
        """Each has its part of the keys, of all kinds in turn."""
        ledgers = [Ledger(key, KINDS[number % len(KINDS)]) for number, key in enumerate(keys)]
        part = -(-len(ledgers) // len(PATIENCE))
        self.clients = [
            Client(targets, password, ledgers[number * part : (number + 1) * part], patience, f"{seed} {number}")
            for number, patience in enumerate(PATIENCE)
        ]
        self.go = go
        self.threads = [threading.Thread(target=self._run, args=(client, must_keep)) for client in self.clients]

    def _run(self, client: Client, must_keep: bool) -> None:
        self.go()
        try:
            client.run(must_keep=must_keep)
        except Exception as error:
            client.strange.append(repr(error))

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        for client in self.clients:
            client.stopping = True
        for thread in self.threads:
            with contextlib.suppress(RuntimeError):  # not started
                thread.join()

    @property
    def ledgers(self) -> list[Ledger]:
        return [ledger for client in self.clients for ledger in client.ledgers]

    @property
    def strange(self) -> list[str]:
        return [each for client in self.clients for each in client.strange]

    @property
    def answers(self) -> int:
        return sum(client.answers for client in self.clients)
