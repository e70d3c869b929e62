"""All the clients of a node: who may connect, who is there, and what holds for each of them."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ringkeeper.commands.context import Client, Context
from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.reader import CommandReader
from ringkeeper.resp.values import ReplyError
from ringkeeper.server.dispatch import Dispatcher
from ringkeeper.server.node_time import NodeTime
from ringkeeper.server.session import Session
from ringkeeper.server.traffic import Traffic
from ringkeeper.store.slot import key_slot

if TYPE_CHECKING:
    from asyncio import Transport

    from ringkeeper.server.modes import Modes
    from ringkeeper.server.pubsub import PubSub
    from ringkeeper.server.tracking import TrackingTable
    from ringkeeper.server.transactions import Transactions
    from ringkeeper.server.waiting import WaitingRoom

log = logging.getLogger(__name__)

TOO_MANY = b"-ERR max number of clients reached\r\n"
ALWAYS_KEPT = 1 << 20
"""Bytes of a word that are read however little `maxmemory` is: a small word may come in pieces as well."""
PROTECTED = (
    b"-DENIED Ringkeeper is running in protected mode because protected mode is enabled and no password is set for "
    b"the default user. In this mode connections are only accepted from the loopback interface. To accept others, set "
    b"a password with requirepass, or, where the network is safe, say protected-mode no.\r\n"
)


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """Bytes that may wait for a client before it is closed; with 0 it is only held back."""

    hard: int = 0
    soft: int = 0
    seconds: int = 0
    """How long `soft` may be exceeded."""


class ClientRegistry:
    """The sessions of a node; implements `commands.context.Clients`."""

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        time: NodeTime,
        make_context: Callable[[Client], Context],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.dispatcher = dispatcher
        self.clock = time.clock
        self.make_context = make_context
        self.loop = loop
        self.sessions: dict[int, Session] = {}
        self.subscribed: set[int] = set()
        """The ids of those with subscriptions."""
        self.next_id = 1
        self.traffic = Traffic(dispatcher=dispatcher, time=time, loop=loop)
        self.connections_received = 0
        self.rejected_connections = 0
        self.farewell: asyncio.Event | None = None
        self.modes: Modes = cast(Any, None)
        """Set by the node, as are the next four."""
        self.waiting: WaitingRoom = cast(Any, None)
        self.transactions: Transactions = cast(Any, None)
        self.pubsub: PubSub = cast(Any, None)
        self.tracking: TrackingTable = cast(Any, None)
        self.on_peer_gone: Callable[[Session], None] = lambda _: None
        """Called when the connection of another node has ended."""
        self.on_replica_gone: Callable[[Session], None] = lambda _: None
        """Called when the connection of a replica, or of who would become one, has ended."""
        self.on_monitors: Callable[[], None] = lambda: None
        """Called when a session begins or ends to monitor."""
        self.monitors: dict[Session, None] = {}

        # From the configuration
        self.max_clients = 10_000
        self.longest_bulk = 512 * 1024**2
        self.most_kept = 512 * 1024**2
        """Bytes of a word of a client's command that there can be room for."""
        self.output_limits = {"normal": OutputLimits(), "pubsub": OutputLimits()}
        self.smallest_output_limit = 0
        """Bytes below which none of them matters."""
        self.over_soft_limit: dict[Session, None] = {}
        self.output_limit_disconnections = 0
        self.keepalive_seconds = 300
        self.idle_seconds = 0
        self.only_local = False
        """Protected mode, and no password."""

        self.paused = False
        """By CLIENT PAUSE, or for a handover: until a time."""
        self.held_slots: frozenset[int] = frozenset()
        """Writes of these wait until the topology says where they belong."""
        self.held_reads: frozenset[int] = frozenset()
        """Of which of them reads wait too."""
        self.paused_until_ms = 0
        self.pause_writes_only = False
        self.pause_timer: asyncio.TimerHandle | None = None

    def new_session(self) -> Any:
        """The protocol factory of the data port."""
        return Session(self)

    def make_reader(self) -> CommandReader:
        reader = CommandReader()
        reader.proto_max_bulk_len = self.longest_bulk
        reader.most_kept = self.most_kept
        return reader

    def limit_words(self, longest: int, max_memory: int) -> None:
        """Put `proto-max-bulk-len` and `maxmemory` into force, which bound what is read of a word."""
        self.longest_bulk = longest
        self.most_kept = max(max_memory, ALWAYS_KEPT) if max_memory else longest
        for session in self.all():
            session.reader.proto_max_bulk_len = longest
            session.reader.most_kept = longest if session.peer is not None else self.most_kept

    def admit(self, session: Session) -> bytes | None:
        """Take a new connection in, or say why not (the bytes to send before it closes)."""
        transport = session.transport
        session.id = self.next_id
        self.next_id += 1
        session.address = format_address(transport.get_extra_info("peername"))
        session.local_address = format_address(transport.get_extra_info("sockname"))
        session.is_local = is_loopback(transport.get_extra_info("peername"))
        if len(self.sessions) >= self.max_clients:
            self.rejected_connections += 1
            return TOO_MANY
        if self.only_local and not session.is_local:
            self.rejected_connections += 1
            return PROTECTED
        self.connections_received += 1
        self.sessions[session.id] = session
        if self.keepalive_seconds:
            keep_alive(transport, self.keepalive_seconds)
        return None

    def forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)
        self.let_go(session)
        self.over_soft_limit.pop(session, None)
        if session.peer is not None:
            self.on_peer_gone(session)
        self.on_replica_gone(session)
        if self.farewell is not None and not self.sessions:
            self.farewell.set()

    def let_go(self, session: Session) -> None:
        """End everything that a session may have begun: its connection is gone, or RESET was said."""
        if session.wait is not None:
            self.waiting.leave(session.wait)
        if session.transaction is not None or session.watched is not None:
            self.transactions.end(session)
        if session.subscriptions:
            self.pubsub.forget(session)
        if session.tracking is not None:
            self.tracking.disable(session)
        if session.monitoring:
            session.monitoring = False
            del self.monitors[session]
            self.on_monitors()
        session.update_mode()

    async def emptied(self) -> None:
        """Until the last client has gone."""
        self.farewell = asyncio.Event()
        if self.sessions:
            await self.farewell.wait()

    def close_slow(self) -> None:
        """Those over their soft limit for too long: that may come to be so without any further traffic."""
        for session in list(self.over_soft_limit):
            if not session.closing:
                session.check_output_limits()

    # What commands see

    def all(self) -> Iterable[Session]:
        return list(self.sessions.values())

    def find(self, id_: int) -> Session | None:
        return self.sessions.get(id_)

    def kill(self, client: Client) -> None:
        session = self.sessions.get(client.id)
        if session is not None:
            session.closing = True
            session.transport.abort()

    def dismiss(self, client: Client) -> None:
        """As `kill`, but the client whose command runs gets its reply."""
        if client.id == self.traffic.current:
            client.close_after_reply()
        else:
            self.kill(client)

    def pause(self, until_ms: int, *, writes_only: bool) -> None:
        """As in Redis a second pause only ever prolongs and widens the first."""
        paused = self.paused
        self.pause_writes_only = writes_only and (self.pause_writes_only or not paused)
        self.paused_until_ms = max(until_ms, self.paused_until_ms if paused else 0)
        self.paused = self.traffic.paused = True
        self.dispatcher.end_turn()
        if self.pause_timer is not None:
            self.pause_timer.cancel()
        delay = max(0, self.paused_until_ms - self.clock.now_ms) / 1000
        self.pause_timer = self.loop.call_later(delay, self.unpause)

    def unblock(self, client: Client, *, with_error: bool) -> bool:
        return self.waiting.unblock(cast(Session, client), with_error=with_error)

    def monitor(self, client: Client) -> bool:
        session = cast(Session, client)
        if session.executing:
            raise ReplyError("ERR MONITOR isn't allowed for DENY BLOCKING client")
        if session.monitoring:
            return False
        session.monitoring = True
        session.update_mode()
        self.monitors[session] = None
        self.on_monitors()
        return True

    def unpause(self) -> None:
        if self.pause_timer is not None:
            self.pause_timer.cancel()
            self.pause_timer = None
        self.paused = False
        self.go_on()

    def hold_slots(self, slots: frozenset[int], reads: frozenset[int]) -> None:
        """Let writes of these slots wait, and reads of those of them that `reads` has; what else waited goes on."""
        before = (self.held_slots, self.held_reads)
        self.held_slots, self.held_reads = slots, reads
        if not (slots <= before[0] and reads <= before[1]):
            self.traffic.paused = True
            self.dispatcher.end_turn()
        if not (before[0] <= slots and before[1] <= reads):
            self.go_on()

    def go_on(self) -> None:
        """Something that held sessions back is over: those for which nothing is left of that go on."""
        self.traffic.paused = self.paused or bool(self.held_slots)
        for session in self.sessions.values():
            if session.held:
                self.loop.call_soon(session.go_on)

    def holds_back(self, session: Session, args: Arguments) -> bool:
        """Whether a command waits for the end of CLIENT PAUSE, or for its slot to be served somewhere."""
        if self.paused and not self.pause_writes_only:
            return True
        try:
            command = self.dispatcher.find(args).command
        except ReplyError:
            return False
        if self.paused and command.write:
            return True
        return bool(self.held_slots) and self.holds_slot(session, command, args)

    def holds_slot(self, session: Session, command: Command, args: Arguments) -> bool:
        """A command without keys that changes data, as FLUSHALL, would change that of these slots too."""
        queued = session.transaction
        if command.name == "exec" and queued is not None:
            changes = queued.judged is not None and queued.judged.write
            return queued.slot in (self.held_slots if changes else self.held_reads)
        positions = command.key_positions(args)
        if not positions or positions[0] >= len(args):
            return command.write and not command.key_specs
        return key_slot(args[positions[0]]) in (self.held_slots if command.write else self.held_reads)


def format_address(address: Any) -> str:
    """`127.0.0.1:6379`, `[::1]:6379`, as Redis writes them."""
    if not isinstance(address, tuple):
        return str(address or "?:0")
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True
    try:
        return ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
    except ValueError:
        return False


def keep_alive(transport: Transport, seconds: int) -> None:
    """Probe a silent peer as Redis does: after `seconds`, then three times at a third of that."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", seconds), ("TCP_KEEPINTVL", max(1, seconds // 3)), ("TCP_KEEPCNT", 3)):
        if option := getattr(socket, name, None):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
