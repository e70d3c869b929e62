"""One client's connection: bytes in, commands out to the dispatcher, replies back in one write per batch.

Nothing here grows without bound. A session stops to execute, and then to read, while its client does not take its
replies, while CLIENT PAUSE holds it back, or when it has had its share of the loop; what the kernel still holds for it
is the client's to keep. What it had read by then waits in the reader and is executed first when it goes on.
"""

from __future__ import annotations

import logging
from asyncio import Transport
from time import time
from typing import TYPE_CHECKING, cast

from ringkeeper.commands.context import Context
from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.reader import CommandReader
from ringkeeper.resp.values import ProtocolError, ReplyError
from ringkeeper.resp.writer import write

if TYPE_CHECKING:
    from ringkeeper.server.clients import ClientRegistry

log = logging.getLogger(__name__)

COMMANDS_PER_TURN = 1000
NANOSECONDS_PER_TURN = 5_000_000
"""A batch that takes longer lets the other clients run before it goes on."""
FLUSH_BYTES = 64 * 1024
"""Replies are handed to the transport when so many have come together, and at the end of a batch."""
HIGH_WATER = 1024 * 1024
LOW_WATER = 256 * 1024
"""Bytes in the transport's buffer at which a session stops to execute, and at which it goes on."""


class Session:
    """An asyncio protocol, and the `Client` that commands see."""

    __slots__ = (
        "address",
        "asking",
        "authenticated",
        "clients",
        "closing",
        "connected_at",
        "context",
        "dispatcher",
        "held",
        "id",
        "is_local",
        "last_active",
        "last_command",
        "library_name",
        "library_version",
        "local_address",
        "name",
        "no_evict",
        "no_touch",
        "out",
        "protocol",
        "read_only",
        "reader",
        "reading_paused",
        "reply_mode",
        "scheduled",
        "transport",
        "user",
        "writing_paused",
    )

    def __init__(self, clients: ClientRegistry) -> None:
        self.clients = clients
        self.dispatcher = clients.dispatcher
        self.context: Context = clients.make_context(self)
        self.id = 0
        self.address = ""
        self.local_address = ""
        self.is_local = False
        self.reader = CommandReader(authenticated=True)
        self.out = bytearray()
        self.closing = False
        self.writing_paused = False
        self.reading_paused = False
        self.scheduled = False
        self.held: Arguments | None = None
        """A command that CLIENT PAUSE holds back."""
        self.connected_at = self.last_active = clients.clock.now_ms
        self.last_command: Command | None = None
        self.library_name = b""
        self.library_version = b""
        self.reply_mode: str = "on"
        self.reset()

    # asyncio.Protocol

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        if refusal := self.clients.admit(self):
            transport.write(refusal)
            self.close()
        self.reader.authenticated = self.authenticated

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.closing = True
        self.held = None
        self.clients.forget(self)

    def eof_received(self) -> bool:
        """The client sends no more; what it still waits for was written already, so close."""
        return False

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.clients.bytes_in += len(data)
        self.reader.feed(data)
        self.run()

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        self.go_on()

    # Executing

    def go_on(self) -> None:
        """Continue with what is buffered, if nothing else holds this session back."""
        self.scheduled = False
        if not self.closing and not self.writing_paused:
            self.run()

    def run(self) -> None:
        """Execute what has been read, until nothing whole is left or something says wait; then answer."""
        dispatcher = self.dispatcher
        started = self.clients.start_batch()
        self.last_active = self.clients.clock.now_ms
        reader = self.reader
        try:
            for _ in range(COMMANDS_PER_TURN):
                args = reader.next() if self.held is None else self.held
                if args is None:
                    break
                if self.clients.paused and self.clients.holds_back(self, args):
                    break
                self.held = None
                if not args:
                    continue
                length = len(self.out)
                if self.reply_mode == "skip":
                    self.reply_mode = "skipping"
                dispatcher.execute(self, args, self.out)
                if self.reply_mode != "on":
                    del self.out[length:]
                    if self.reply_mode == "skipping":
                        self.reply_mode = "on"
                if self.closing:
                    break
                if not reader.authenticated and (self.authenticated or not self.context.access.password_needed):
                    reader.authenticated = True
                if len(self.out) >= FLUSH_BYTES:
                    self.flush()
                    if self.writing_paused:
                        break
                if dispatcher.mark - started > NANOSECONDS_PER_TURN:
                    self.yield_turn()
                    break
            else:
                self.yield_turn()
        except ProtocolError as error:
            self.refuse(error)
        self.flush()
        if self.closing:
            self.transport.close()
        else:
            self.steer_reading()

    def yield_turn(self) -> None:
        self.scheduled = True
        self.clients.loop.call_soon(self.go_on)

    def steer_reading(self) -> None:
        """Read from the socket only what can be executed soon, and no more than the query buffer may hold."""
        stop = self.writing_paused or self.scheduled or self.held is not None
        if stop != self.reading_paused:
            self.reading_paused = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
        if self.reader.buffered > self.clients.query_buffer_limit:
            log.warning("Closing client that reached max query buffer length: %s", self.describe())
            self.close()

    def flush(self) -> None:
        if not self.out:
            return
        out = self.out
        self.out = bytearray()
        self.clients.bytes_out += len(out)
        self.transport.write(out)
        limit = self.clients.output_hard_limit
        if limit and self.transport.get_write_buffer_size() > limit:
            log.warning("Client %s closed for overcoming of output buffer limits.", self.describe())
            self.closing = True
            self.transport.abort()

    def refuse(self, error: ProtocolError) -> None:
        """Tell the client what it did wrong, once, and close."""
        log.info("Protocol error (%s) from client: %s", error, self.describe())
        reply = ReplyError(f"ERR Protocol error: {error}")
        self.dispatcher.count(reply)
        write(self.out, reply, self.protocol)
        self.closing = True

    def close(self) -> None:
        """Close when the replies written so far have left."""
        self.closing = True
        self.transport.close()

    # What commands see

    def close_after_reply(self) -> None:
        self.closing = True

    def reset(self) -> None:
        access = self.context.access
        self.authenticated = not access.password_needed
        self.reader.authenticated = self.authenticated
        self.user = "default"
        self.name = b""
        self.protocol = 2
        self.read_only = False
        self.asking = False
        self.reply_mode = "on"
        self.no_evict = False
        self.no_touch = False
        self.context.database = 0
        self.context.keyspace = self.context.databases[0]

    def describe(self) -> str:
        """A line of CLIENT LIST. Sizes that Redis takes from its allocator are what is really buffered here."""
        now = time() * 1000
        buffered = 0 if self.closing else self.transport.get_write_buffer_size()
        flags = ("r" if self.read_only else "") + ("e" if self.no_evict else "") + ("T" if self.no_touch else "")
        command = self.last_command.name if self.last_command else "NULL"
        return (
            f"id={self.id} addr={self.address} laddr={self.local_address} fd={self.file_descriptor()}"
            f" name={self.name.decode('utf-8', 'replace')} age={int(now - self.connected_at) // 1000}"
            f" idle={max(0, int(now - self.last_active)) // 1000} flags={flags or 'N'} db={self.context.database}"
            f" sub=0 psub=0 ssub=0 multi=-1 qbuf={self.reader.buffered} qbuf-free=0 argv-mem=0 multi-mem=0"
            f" rbs=0 rbp=0 obl={len(self.out)} oll={1 if buffered else 0} omem={buffered}"
            f" tot-mem={self.reader.buffered + len(self.out) + buffered}"
            f" events={'r' if not self.writing_paused else 'w'} cmd={command} user={self.user} redir=-1"
            f" resp={self.protocol} lib-name={self.library_name.decode('utf-8', 'replace')}"
            f" lib-ver={self.library_version.decode('utf-8', 'replace')}"
        )

    @property
    def output_bytes(self) -> int:
        """Bytes that wait for the client to take them."""
        return len(self.out) + (0 if self.closing else self.transport.get_write_buffer_size())

    def file_descriptor(self) -> int:
        sock = self.transport.get_extra_info("socket")
        return cast(int, sock.fileno()) if sock is not None else -1
