"""The nodes of a Redis Cluster, or a single server, as somebody sees them who sends very many commands.

Commands go to the masters of their slots, many at a time, and where the cluster sends them on from there. A node that
goes, fails over or is loading is waited for, no longer than until the cluster says who serves its slots now. The client
library redis-py does the same, but for the last; it is not used here because it takes 11 µs of a processor for a
command and its reply, more than it takes to read a key from a dump, and this 0.8 µs.

Source: the Redis Cluster specification, "Redirection and resharding".
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ringkeeper.resp.reader import NOT_READY, ReplyReader
from ringkeeper.resp.values import ProtocolError, ReplyError
from ringkeeper.resp.writer import encode_command
from ringkeeper.server.announcement import CHANNEL
from ringkeeper.store.slot import SLOTS

Address = tuple[str, int]

CONNECT_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 60.0
"""A node that neither takes nor sends a byte for so long counts as gone."""
READ_BYTES: Final = 1 << 16
SENT_ON_AT_MOST: Final = 3
"""Times in a row, before whoever moves slots is given a pause."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between attempts."""

WAITED_FOR: Final = frozenset(("TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "MISCONF", "BUSY"))
"""Errors that pass: a node is taken over, loads its data, or its disk fails."""
REFUSALS: Final = frozenset(("NOAUTH", "WRONGPASS", "NOPERM"))
NO_CLUSTER: Final = "cluster support disabled"


class Refused(Exception):
    """The cluster does not let this user do this; the text says what to do."""


class Unserved(Exception):
    """Somebody was waited for in vain; the text says for how long and why."""


class Gone(OSError):
    """A node cannot be talked to."""


def shown(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


ASKING: Final = encode_command([b"ASKING"])


@dataclass(slots=True)
class Request:
    """A command of one key, and what came of it."""

    key: bytes
    slot: int
    command: bytes
    repeated: bool = False
    """It may have been carried out before."""
    reply: object = NOT_READY
    node: Address | None = None
    """Where it was sent last."""
    asking: bool = False
    """It was sent on to `node` for this one time."""


class Connection:
    """To one node. What fails raises `Gone`, and the connection is of no more use."""

    def __init__(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.address = address
        self.reader = reader
        self.writer = writer
        self.replies = ReplyReader()
        self.run_id = ""
        """Of the node; empty for a user who may not ask."""

    @classmethod
    async def open(cls, address: Address) -> Connection:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return cls(address, *await asyncio.open_connection(*address))
        except TimeoutError:
            raise Gone(f"{shown(address)} does not answer") from None
        except OSError as error:
            raise Gone(f"{shown(address)} cannot be reached: {error.strerror or error}") from None

    async def call(self, commands: Sequence[bytes], replies: list[object], unasked: int = 0) -> list[object]:
        """Send all of them, and put the replies into the list as they come, and what comes unasked."""
        self.writer.write(b"".join(commands))
        wanted = len(replies) + len(commands) + unasked
        try:
            while len(replies) < wanted:
                while (reply := self.replies.next()) is not NOT_READY:
                    replies.append(reply)
                if len(replies) < wanted:
                    self.replies.feed(await self._received())
        except ProtocolError as error:
            raise Gone(f"{shown(self.address)} does not speak the protocol: {error}") from None
        return replies

    async def ask(self, *words: bytes) -> object:
        return (await self.call([encode_command(words)], []))[0]

    async def _received(self) -> bytes:
        while True:
            unsent = self.writer.transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(SILENT_SECONDS):
                    data = await self.reader.read(READ_BYTES)
            except TimeoutError:
                if self.writer.transport.get_write_buffer_size() < unsent:
                    continue
                raise Gone(f"{shown(self.address)} gives no answer for {SILENT_SECONDS:.0f} s") from None
            except OSError as error:
                raise Gone(f"{shown(self.address)} is gone: {error.strerror or error}") from None
            if not data:
                raise Gone(f"{shown(self.address)} closed the connection")
            return data

    def close(self) -> None:
        self.writer.close()


class Nodes:
    """`seeds` are some of the cluster's nodes; `patience` is for how many seconds nothing at all may succeed."""

    def __init__(self, seeds: Iterable[Address], user: str | None, password: str | None, patience: float) -> None:
        self.seeds = list(seeds)
        self.user = user
        self.password = password
        self.patience = patience
        self.owners: list[Address | None] = [None] * SLOTS
        """Of each slot: its master."""
        self.ids: dict[Address, str] = {}
        """What the cluster calls its nodes."""
        self.run_ids: dict[str, str] = {}
        self.restarted: list[str] = []
        """Addresses of masters that turned out to have been started anew, or that another took the place of: what they
        took before may be lost."""
        self._connections: dict[Address, Connection] = {}
        self._news = asyncio.Event()
        """Somebody said that slots are served elsewhere."""
        self._listener: asyncio.Task[None] | None = None

    def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()

    async def await_all(self) -> None:
        """Until every slot has a master, and all of them answer; raises `Refused` or `Unserved`."""
        waiting = Waiting(self.patience)
        while True:
            try:
                await self.learn()
                if (served := sum(owner is not None for owner in self.owners)) < SLOTS:
                    raise Gone(f"{served:,} of {SLOTS:,} slots are served")
                for address in {owner for owner in self.owners if owner is not None}:
                    await self._connection(address)
                if self._listener is None:
                    self._listener = asyncio.create_task(self._listen())
                return
            except Gone as error:
                await waiting.pause(str(error))

    async def learn(self) -> None:
        """Ask who is master of which slots; raises `Gone` if nobody can tell, or `Refused`."""
        troubles = []
        for address in dict.fromkeys([*self._connections, *self.ids, *self.seeds]):
            try:
                reply = await (await self._connection(address)).ask(b"CLUSTER", b"SLOTS")
            except Gone as error:
                self._drop(address)
                troubles.append(str(error))
                continue
            if isinstance(reply, ReplyError):
                if NO_CLUSTER in reply.text:
                    self.owners = [address] * SLOTS
                    self._know({address: shown(address)})
                    return
                self._check(address, reply)
                troubles.append(f"{shown(address)}: {reply.text}")
            elif isinstance(reply, list) and reply:
                self._take_slots(address, reply)
                return
            else:
                troubles.append(f"{shown(address)} knows of no slots that are served")
        raise Gone("; ".join(troubles))

    def _take_slots(self, asked: Address, ranges: list[list[Any]]) -> None:
        """A node without a host is at the host that was asked."""
        before = {owner for owner in self.owners if owner is not None}
        self.owners = [None] * SLOTS
        ids = {}
        for first, last, (host, port, node_id, *_), *_ in ranges:
            address = (host.decode() if host else asked[0], int(port))
            ids[address] = node_id.decode()
            self.owners[first : last + 1] = [address] * (last + 1 - first)
        self.restarted += [shown(address) for address in sorted(before - set(ids))]
        self._know(ids)

    def _know(self, ids: dict[Address, str]) -> None:
        self.ids = ids
        for connection in self._connections.values():
            self._recognise(connection)

    def _recognise(self, connection: Connection) -> None:
        """Notice that a node was started anew."""
        name, run_id = self.ids.get(connection.address), connection.run_id
        if name and run_id and self.run_ids.setdefault(name, run_id) != run_id:
            self.run_ids[name] = run_id
            self.restarted.append(shown(connection.address))

    async def _connection(self, address: Address) -> Connection:
        """Raises `Gone` or `Refused`."""
        known = self._connections.get(address)
        if known is not None:
            return known
        connection = await Connection.open(address)
        try:
            await self._introduce(connection)
        except BaseException:
            connection.close()
            raise
        self._connections[address] = connection
        self._recognise(connection)
        return connection

    async def _introduce(self, connection: Connection) -> None:
        if self.password is not None:
            user = [] if self.user is None else [self.user.encode()]
            reply = await connection.ask(b"AUTH", *user, self.password.encode())
            if isinstance(reply, ReplyError):
                text = f"{shown(connection.address)} does not accept the user or the password: {reply.text}"
                raise Refused(text)
        information = await connection.ask(b"INFO", b"server")
        if isinstance(information, bytes):
            lines = information.splitlines()
            connection.run_id = next((line[7:].decode() for line in lines if line.startswith(b"run_id:")), "")

    def _check(self, address: Address, error: ReplyError) -> None:
        if error.code == "NOAUTH":
            raise Refused(
                f"{shown(address)} asks for a password: --password, or RINGKEEPER_PASSWORD in the environment"
            )
        if error.code in REFUSALS:
            raise Refused(f"{shown(address)}: {error.text}")

    def _drop(self, address: Address) -> None:
        connection = self._connections.pop(address, None)
        if connection is not None:
            connection.close()

    async def _listen(self) -> None:
        """Hear when slots are served elsewhere, on a connection of its own, until a node does not let this user."""
        while True:
            for address in dict.fromkeys([*self.ids, *self.seeds]):
                try:
                    await self._listen_to(address)
                except Gone:
                    continue
                except Refused:
                    return
            await asyncio.sleep(LONGEST_PAUSE)

    async def _listen_to(self, address: Address) -> None:
        """Raises `Gone` or `Refused`."""
        connection = await Connection.open(address)
        try:
            await self._introduce(connection)
            reply = await connection.ask(b"SUBSCRIBE", CHANNEL)
            if isinstance(reply, ReplyError):
                raise Refused(reply.text)
            while True:
                await connection.call([], [], unasked=1)
                self._news.set()
        finally:
            connection.close()

    # Commands

    async def carry_out(self, requests: Sequence[Request]) -> None:
        """Have each answered by a master of its slot, wherever that is. Raises `Refused` or `Unserved`."""
        waiting = Waiting(self.patience)
        attempts = 0
        while True:
            trouble = await self._attempt(requests)
            left = [request for request in requests if request.reply is NOT_READY]
            if not left:
                return
            attempts += 1
            if len(left) < len(requests):
                waiting, attempts = Waiting(self.patience), 0
            requests = left
            if trouble or attempts > SENT_ON_AT_MOST:
                await waiting.pause(trouble or "the nodes send commands on to each other", self._news)
                with contextlib.suppress(Gone):
                    await self.learn()

    async def _attempt(self, requests: Sequence[Request]) -> str:
        """Send each once; what hinders those that have no reply after that, unless they were sent on."""
        groups: dict[Address, list[Request]] = defaultdict(list)
        trouble = ""
        for request in requests:
            address = request.node if request.asking else self.owners[request.slot]
            if address is None:
                trouble = f"slot {request.slot} is not served"
            else:
                groups[address].append(request)
        troubles = await asyncio.gather(*(self._send(address, group) for address, group in groups.items()))
        return next((text for text in troubles if text), trouble)

    async def _send(self, address: Address, requests: list[Request]) -> str:
        """Have one node answer; what hindered some."""
        commands: list[bytes] = []
        owner: list[Request | None] = []
        for request in requests:
            if request.asking:
                commands.append(ASKING)
                owner.append(None)
            commands.append(request.command)
            owner.append(request)
        replies: list[object] = []
        trouble = ""
        sent = False
        try:
            connection = await self._connection(address)
            for request in requests:
                request.node = address
            sent = True
            await connection.call(commands, replies)
        except Gone as error:
            self._drop(address)
            trouble = str(error)
            for lost in owner[len(replies) :]:
                if lost is not None:
                    lost.repeated = lost.repeated or sent
                    lost.asking = False
        for answered, reply in zip(owner, replies, strict=False):
            if answered is not None:
                trouble = self._answered(address, answered, reply) or trouble
        return trouble

    def _answered(self, address: Address, request: Request, reply: object) -> str:
        request.asking = False
        if not isinstance(reply, ReplyError):
            request.reply = reply
            return ""
        self._check(address, reply)
        if reply.code in ("MOVED", "ASK"):
            _, _, where = reply.text.split(" ")[:3]
            host, _, port = where.rpartition(":")
            request.node = (host or address[0], int(port))
            request.asking = reply.code == "ASK"
            if not request.asking:
                self.owners[request.slot] = request.node
            return ""
        if reply.code in WAITED_FOR:
            return f"{shown(address)}: {reply.text}"
        request.reply = reply
        return ""


class Waiting:
    """For something that does not succeed: pauses that grow, up to the end of patience."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ends = time.monotonic() + seconds
        self.next = SHORTEST_PAUSE

    async def pause(self, why: str, news: asyncio.Event | None = None) -> None:
        """Ends early if there are news. Raises `Unserved`."""
        if time.monotonic() > self.ends:
            raise Unserved(f"waited for {self.seconds:g} s: {why}")
        news = news or asyncio.Event()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), self.next)
        news.clear()
        self.next = min(2 * self.next, LONGEST_PAUSE)
