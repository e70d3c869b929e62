"""One client's connection: bytes in, commands out to the dispatcher, replies back in one write per round of the loop.

Nothing here grows without bound. A session stops to execute, and then to read, while its client does not take its
replies, while CLIENT PAUSE holds it back, or when it has had its share of the loop; what the kernel still holds for it
is the client's to keep. What it had read by then waits in the reader and is executed first when it goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from asyncio import Transport
from time import monotonic
from typing import TYPE_CHECKING

import cython

from ringkeeper.commands.table import Arguments, Command
from ringkeeper.resp.values import ProtocolError, ReplyError, TooLargeError
from ringkeeper.server.dispatch import NO_MEMORY
from ringkeeper.store.keyspace import TOO_LARGE

if not cython.compiled:
    from ringkeeper.commands.context import Context
    from ringkeeper.resp.reader import CommandReader
    from ringkeeper.resp.writer import clear, write
    from ringkeeper.server.dispatch import Dispatcher
    from ringkeeper.server.journal import Journal
    from ringkeeper.server.lease import Lease
    from ringkeeper.server.traffic import Sender, Traffic, send_at_once
else:
    from cython.cimports.ringkeeper.commands.context import Context  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.resp.reader import CommandReader  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.resp.writer import clear, write  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.dispatch import Dispatcher  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.journal import Journal  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.lease import Lease  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.traffic import (  # type: ignore[no-redef]
        Sender,
        Traffic,
        send_at_once,
    )

if TYPE_CHECKING:
    from ringkeeper.server.clients import ClientRegistry

log = logging.getLogger(__name__)

FIRST_REST_MS = cython.declare(cython.longlong, 50)
LONGEST_REST_MS = cython.declare(cython.longlong, 450)
SENT_LONG_AGO_MS = cython.declare(cython.longlong, 1000)
"""Milliseconds for which a client is not read that was sent away and came back, and after which that is forgotten."""
COMMANDS_PER_TURN = cython.declare(cython.Py_ssize_t, 1000)
FLUSH_BYTES = cython.declare(cython.Py_ssize_t, 64 * 1024)
"""Replies are handed to the transport when so many have come together, or else when the loop has gone round."""
MOST_AHEAD = cython.declare(cython.longlong, 32 * 1024 * 1024)
"""Bytes of the journal that may wait for the disk before those who wait for it execute nothing more."""
READ_WHILE_WAITING = 64 * 1024
"""Bytes of further commands that a session reads while it waits for a key."""
HIGH_WATER = 1024 * 1024
LOW_WATER = 256 * 1024
"""Bytes in the transport's buffer at which a session stops to execute, and at which it goes on."""


@cython.final
@cython.cclass
class Session(Sender):
    """An asyncio protocol, and the `Client` that commands see."""

    clients = cython.declare(object, visibility="readonly")
    dispatcher = cython.declare(Dispatcher, visibility="readonly")
    traffic: Traffic
    journal: Journal
    lease: Lease
    leased = cython.declare(cython.longlong, visibility="readonly")
    awaited = cython.declare(cython.longlong, visibility="public")
    disk_awaited: cython.bint
    context = cython.declare(Context, visibility="readonly")
    transport = cython.declare(object, visibility="readonly")
    descriptor: cython.int
    behind = cython.declare(cython.bint, visibility="readonly")
    reader = cython.declare(CommandReader, visibility="readonly")
    out: bytearray
    postponed: Arguments | None
    closing = cython.declare(cython.bint, visibility="public")
    writing_paused: cython.bint
    reading_paused: cython.bint
    scheduled: cython.bint
    held = cython.declare(cython.bint, visibility="readonly")
    connected_at = cython.declare(cython.longlong, visibility="readonly")
    last_active = cython.declare(cython.longlong, visibility="readonly")
    last_command: Command | None

    id = cython.declare(object, visibility="public")
    address = cython.declare(object, visibility="public")
    local_address = cython.declare(object, visibility="public")
    is_local = cython.declare(cython.bint, visibility="public")
    authenticated = cython.declare(cython.bint, visibility="public")
    user = cython.declare(object, visibility="public")
    restricted = cython.declare(cython.bint, visibility="public")
    name = cython.declare(object, visibility="public")
    library_name = cython.declare(object, visibility="public")
    library_version = cython.declare(object, visibility="public")
    read_only = cython.declare(cython.bint, visibility="public")
    asking = cython.declare(cython.bint, visibility="public")
    _reply_mode: str
    silent: cython.bint
    no_evict = cython.declare(cython.bint, visibility="public")
    _no_touch: cython.bint

    unusual: cython.bint
    transaction = cython.declare(object, visibility="public")
    watched = cython.declare(object, visibility="public")
    watch_touched = cython.declare(cython.bint, visibility="public")
    executing = cython.declare(cython.bint, visibility="public")
    wait = cython.declare(object, visibility="public")
    subscriptions = cython.declare(dict, visibility="public")
    tracking = cython.declare(object, visibility="public")
    monitoring = cython.declare(cython.bint, visibility="public")
    peer = cython.declare(object, visibility="readonly")
    replica = cython.declare(object, visibility="public")
    deferred: bytearray
    running: cython.bint
    sending: cython.bint
    sent_to: str
    sent_at: cython.longlong
    sent_behind: cython.longlong
    rest_ms: cython.longlong
    over_soft_limit_since: cython.double
    pushed: cython.Py_ssize_t

    def __init__(self, clients: ClientRegistry) -> None:
        self.clients = clients
        self.dispatcher = clients.dispatcher
        self.traffic = clients.traffic
        self.journal = clients.dispatcher.journal
        self.lease = clients.traffic.lease
        self.leased = 0
        """What it has to send may be a master's answer, and is sent under a lease of the same term or not at all: the
        term and one; 0 if it is none."""
        self.awaited = 0
        """The journal's offset that the disk must have before this session sends anything."""
        self.disk_awaited = False
        """It has something to send, and waits for that."""
        self.context = clients.make_context(self)
        self.transport = None
        self.descriptor = -1
        """Of the socket, while it is open and may be written to without the transport."""
        self.behind = False
        """The transport holds bytes that the socket has not taken: what comes next must go behind them."""
        self.id = 0
        self.address = ""
        self.local_address = ""
        self.is_local = False
        self.reader = clients.make_reader()
        self.out = bytearray()
        self.postponed = None
        """The command that `held` speaks of."""
        self.closing = False
        self.writing_paused = False
        """The client does not take what it was sent."""
        self.reading_paused = False
        self.scheduled = False
        """Its turn was over before its commands were; it goes on soon."""
        self.held = False
        """CLIENT PAUSE holds back the next command."""
        self.connected_at = self.last_active = clients.clock.now_ms
        self.last_command = None
        self.user = None
        """An `access.user.User`: the default one until another has logged in."""
        self.restricted = True
        """Not every command is open to it: nobody has logged in, or a user whose rules must be asked."""
        self.library_name = b""
        self.library_version = b""
        self._no_touch = False
        self.unusual = False
        """In one of the modes of `server/modes.py`."""
        self.transaction = None
        """A `transactions.Transaction` behind MULTI."""
        self.watched = None
        """Place -> whether there was a key when WATCH named it."""
        self.watch_touched = False
        """A watched key has changed."""
        self.executing = False
        """EXEC runs the queued commands."""
        self.wait = None
        """A `waiting.Wait` while a blocking command has found nothing."""
        self.subscriptions = {}
        """Kind -> names; see `server/pubsub.py`."""
        self.tracking = None
        """A `tracking.Tracking` behind CLIENT TRACKING ON."""
        self.monitoring = False
        self.peer = None
        """The id of the node whose link this is."""
        self.replica = None
        """A `replica_feed.Feed` behind PSYNC."""
        self.deferred = bytearray()
        """Messages to this session that came while its own command ran: they go behind the reply."""
        self.running = False
        self.sending = False
        """What it has to write will be written soon."""
        self.sent_to = ""
        """The last answer that sent the client to another node, when that was, and behind how many reads of all."""
        self.sent_at = 0
        self.sent_behind = 0
        self.rest_ms = 0
        """For how long it was not read when it came back all the same."""
        self.over_soft_limit_since = 0.0
        """By the monotonic clock; 0 while it is not."""
        self.pushed = 0
        """Bytes in the transport's buffer, at most, of messages that no command asked for."""
        self.reset()

    # asyncio.Protocol

    def connection_made(self, transport: Transport) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        if refusal := self.clients.admit(self):
            transport.write(refusal)
            self.close()
        elif cython.compiled:
            self.descriptor = self.file_descriptor()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self.closing = True
        self.descriptor = -1
        self.postponed = None
        self.clients.forget(self)
        # The cycle that every session is in; see `spare_the_collector` in server/__main__.py.
        self.context.client = None

    def eof_received(self) -> bool:
        """The client sends no more: close. What it waits for was written already, unless the disk has to have it."""
        if self.awaited <= self.journal.durable:
            return False
        self.closing = True
        self.flush()
        return True

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        self.traffic.bytes_in += len(data)
        self.traffic.reads += 1
        self.reader.feed(data)
        if self.is_full():
            self.steer_reading()
        else:
            self.run()

    def pause_writing(self) -> None:
        self.writing_paused = True
        if self.replica is not None:
            self.replica.hold()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self.replica is not None:
            self.replica.resume()
        self.go_on()

    # Executing

    def go_on(self) -> None:
        """Continue with what is buffered, if nothing else holds this session back."""
        self.scheduled = False
        if not self.closing and not self.writing_paused and not self.is_full():
            self.run()

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def is_full(self) -> cython.bint:
        """So much waits for the disk that it executes nothing more: of its replies, or of all that anybody changed."""
        ahead: cython.longlong = self.journal.offset - self.journal.durable
        return self.disk_awaited and (len(self.out) >= FLUSH_BYTES or ahead >= MOST_AHEAD)

    def release(self) -> None:
        """The disk has more: send, and go on."""
        self.disk_awaited = False
        if self.transport.is_closing():
            return
        if self.closing:
            self.finish()
            return
        self.send()
        if self.reading_paused or self.reader.size() > 0:
            self.go_on()

    @cython.ccall
    def depend(self) -> None:
        """Nobody is told of what the disk lacks, in time, of all that was changed so far."""
        if self.journal.waits:
            self.awaited = self.journal.offset

    def finish(self) -> None:
        """Close the connection when what was answered has left, which may have to wait for the disk."""
        self.flush()
        if not self.disk_awaited:
            self.transport.close()

    def run(self) -> None:
        """Execute what has been read, until nothing whole is left or something says wait; then answer."""
        traffic: Traffic = self.traffic
        traffic.begin_turn(self.id)
        self.last_active = traffic.clock.now_ms
        self.note_lease()
        self.held = False
        self.running = True
        try:
            self.execute_batch()
        except TooLargeError:
            self.refuse_large()
        except ProtocolError as error:
            self.refuse(error)
        except MemoryError:
            self.give_up()
        self.running = False
        self.last_command = self.dispatcher.last
        traffic.current = 0
        if self.closing:
            self.finish()
        else:
            if len(self.out):
                self.send_soon()
            self.steer_reading()

    @cython.cfunc
    @cython.exceptval(-1)
    def execute_batch(self) -> cython.int:
        """Raises `ProtocolError` or `TooLargeError` behind the commands before the fault."""
        dispatcher: Dispatcher = self.dispatcher
        context: Context = self.context
        reader: CommandReader = self.reader
        # A pause that a command of this batch begins ends the turn.
        paused: cython.bint = self.traffic.paused and self.peer is None
        turn_over: cython.bint
        executed: cython.int = 0
        while not self.closing and self.wait is None:
            args: Arguments | None = reader.next() if self.postponed is None else self.postponed
            if args is None:
                return 0
            if paused and self.clients.holds_back(self, args):
                self.postponed = args
                self.held = True
                return 0
            self.postponed = None
            length: cython.Py_ssize_t = len(self.out)
            if self.silent and self._reply_mode == "skip":
                self._reply_mode = "skipping"
            if self.unusual:
                turn_over = self.clients.modes.execute(self, args, self.out)
            else:
                turn_over = dispatcher.execute(self, context, args, self.out, self.restricted)
            if self.silent:
                del self.out[length:]
                if self._reply_mode == "skipping":
                    self.reply_mode = "on"
            if len(self.deferred):
                self.out += self.deferred
                self.deferred = bytearray()
            ahead: cython.longlong = self.journal.offset - self.journal.durable
            if len(self.out) >= FLUSH_BYTES or (ahead >= MOST_AHEAD and self.journal.waits):
                self.flush()
                if self.writing_paused or self.disk_awaited:
                    return 0
            executed += 1
            if turn_over or executed == COMMANDS_PER_TURN:
                self.yield_turn()
                return 0
        return 0

    def trust(self) -> None:
        """Let the reader put its limits on strangers upon this client, as long as it is one."""
        self.reader.authenticated = self.authenticated or not self.context.access.password_needed

    def become_peer(self, id_: str) -> None:
        """The client is another node. It may say what nodes say to each other; that gives it no further rights."""
        self.peer = id_
        self.reader.authenticated = True
        self.reader.most_kept = self.reader.proto_max_bulk_len

    def yield_turn(self) -> None:
        self.scheduled = True
        self.clients.loop.call_soon(self.go_on)

    def sent_away(self, answer: str) -> None:
        """The client is sent to another node. Who comes back with the same does not know the way there: it is read
        later, the longer the more often, so that it hears of the topology before it has no redirection left.

        ioredis comes back, a few times in a millisecond, until it has asked for the slots: its pipelines and
        transactions cannot be sent to a node of which it knows no other slot.
        """
        now: cython.longlong = self.traffic.clock.now_ms
        if answer != self.sent_to or now - self.sent_at > SENT_LONG_AGO_MS:
            self.sent_to = answer
            self.rest_ms = 0
        elif self.traffic.reads != self.sent_behind:
            self.rest_ms = min(max(FIRST_REST_MS, 3 * self.rest_ms), LONGEST_REST_MS)
            self.scheduled = True
            self.clients.loop.call_later(self.rest_ms / 1000, self.go_on)
        self.sent_at = now
        self.sent_behind = self.traffic.reads

    def steer_reading(self) -> None:
        """Read from the socket only what can be executed soon, and no more than the query buffer may hold."""
        stop: cython.bint = self.writing_paused or self.scheduled or self.held or self.is_full()
        if self.wait is not None:
            # Go on reading, though not without end: who waits must be seen to leave.
            stop = self.reader.size() > READ_WHILE_WAITING
        if stop != self.reading_paused:
            self.reading_paused = stop
            if stop:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
        kept: cython.longlong = self.reader.size()
        if self.transaction is not None:
            kept += self.transaction.size
        if kept > self.traffic.query_buffer_limit:
            log.warning("Closing client that reached max query buffer length: %s", self.describe())
            self.close()

    def send_soon(self) -> None:
        """Write when all others that are ready have run too."""
        if not self.sending:
            self.sending = True
            self.traffic.send_soon(self)

    @cython.ccall
    def send(self) -> None:
        """Called when the loop has gone round."""
        self.sending = False
        if not self.closing:
            self.flush()
            if self.writing_paused and not self.closing:
                self.steer_reading()

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def note_lease(self) -> cython.void:
        """What is answered from now on is answered by a master, unless the gates are shut."""
        if len(self.out) == 0:
            self.leased = 0
        if self.leased == 0 and self.lease.open:
            self.leased = self.lease.term + 1

    @cython.ccall
    def flush(self) -> None:
        """Write: to the socket itself what it takes at once, which is nearly always all; to the transport the rest."""
        size: cython.Py_ssize_t = len(self.out)
        if size == 0:
            return
        if self.awaited > self.journal.durable:
            if not self.disk_awaited:
                self.disk_awaited = True
                self.journal.held.append(self)
            return
        if self.leased != 0:
            if self.leased != self.lease.term + 1 or not self.lease.holds():
                self.fall_silent()
                return
            if not self.lease.open:
                self.leased = 0
        self.traffic.bytes_out += size
        self.traffic.writes += 1
        if self.behind:
            self.behind = self.transport.get_write_buffer_size() > 0
        sent: cython.Py_ssize_t = 0
        if self.descriptor >= 0 and not self.behind:
            sent = send_at_once(self.descriptor, self.out)
        if sent < size:
            self.behind = True
            self.transport.write(bytes(self.out[sent:] if sent else self.out))
        clear(self.out)
        if self.behind or self.pushed or self.over_soft_limit_since != 0.0:
            self.check_output_limits()

    def fall_silent(self) -> None:
        """Close without a word what was answered under a lease that is gone: another may be master by now."""
        self.closing = True
        self.out = bytearray()
        self.deferred = bytearray()
        self.transport.abort()

    def check_output_limits(self) -> None:
        """Close a client that leaves too much lying: more than the hard limit, or than the soft one for too long.

        Replies hold back the client that they belong to; what others send it does not. So whoever is told of changed
        keys has, for these messages, the limits of a subscriber, although Redis counts it as a normal client.
        """
        clients = self.clients
        waiting: cython.Py_ssize_t = self.transport.get_write_buffer_size() + len(self.deferred)
        if self.pushed > waiting:
            self.pushed = waiting
        if waiting <= clients.smallest_output_limit and self.over_soft_limit_since == 0.0:
            return
        limits = clients.output_limits
        if self.is_subscribed or self.monitoring:
            parts = [(limits["pubsub"], waiting)]
        else:
            parts = [(limits["normal"], waiting), (limits["pubsub"], self.pushed)]
        over = any(limit.hard and size > limit.hard for limit, size in parts)
        soft = [limit.seconds for limit, size in parts if limit.soft and size > limit.soft]
        if soft and not over:
            now = monotonic()
            self.over_soft_limit_since = self.over_soft_limit_since or now
            over = now - self.over_soft_limit_since > min(soft)
            clients.over_soft_limit[self] = None
        elif not over and self.over_soft_limit_since:
            self.over_soft_limit_since = 0.0
            clients.over_soft_limit.pop(self, None)
        if over:
            log.warning("Client %s closed for overcoming of output buffer limits.", self.describe())
            clients.output_limit_disconnections += 1
            self.closing = True
            self.deferred = bytearray()
            self.transport.abort()

    # Messages and replies that come by themselves

    def deliver(self, message: object) -> None:
        """Send a message that no command of this session asked for: soon, with others that come meanwhile."""
        if self.closing:
            return
        length: cython.Py_ssize_t
        if self.running:
            length = len(self.deferred)
            write(self.deferred, message, self.context.protocol)
            self.pushed += len(self.deferred) - length
            if len(self.deferred) >= FLUSH_BYTES:
                self.check_output_limits()
            return
        length = len(self.out)
        if length == 0:
            self.leased = 0
        write(self.out, message, self.context.protocol)
        self.pushed += len(self.out) - length
        self.send_soon()
        if len(self.out) >= FLUSH_BYTES:
            self.flush()

    def answer(self, reply: object) -> None:
        """The reply of the command that waited; then on with what came behind it."""
        if self.closing:
            return
        self.note_lease()
        if self.reply_mode == "on":
            write(self.out, reply, self.context.protocol)
        self.clients.loop.call_soon(self.go_on)

    def refuse(self, error: ProtocolError) -> None:
        """Tell the client what it did wrong, once, and close."""
        log.info("Protocol error (%s) from client: %s", error, self.describe())
        reply = ReplyError(f"ERR Protocol error: {error}")
        self.dispatcher.count(reply)
        write(self.out, reply, self.context.protocol)
        self.closing = True

    def refuse_large(self) -> None:
        """Answer a command with a word larger than `maxmemory`, of which nothing was kept, and go on behind it."""
        length: cython.Py_ssize_t = len(self.out)
        self.dispatcher.refuse(self, TOO_LARGE, self.out)
        if self.silent:
            del self.out[length:]
            if self._reply_mode == "skip":
                self.reply_mode = "on"
        self.yield_turn()

    def give_up(self) -> None:
        """There was no memory even to read a command: what of it is still to come could not be told from the next."""
        log.warning("No memory to read a command of client %s, which is closed", self.id)
        self.dispatcher.count(NO_MEMORY)
        write(self.out, NO_MEMORY, self.context.protocol)
        self.closing = True

    def shut(self) -> None:
        """The transport is no more, and its socket is still open: let the client see that it is over."""
        descriptor: cython.int = self.file_descriptor()
        self.connection_lost(None)
        if descriptor >= 0:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as sock:
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close when the replies written so far have left."""
        self.closing = True
        self.finish()

    # What commands see

    def close_after_reply(self) -> None:
        self.closing = True

    def reset(self) -> None:
        self.clients.let_go(self)
        self.context.access.welcome(self)
        self.name = b""
        self.context.protocol = 2
        self.read_only = False
        self.asking = False
        self.reply_mode = "on"
        self.no_evict = False
        self.no_touch = False
        self.context.database = 0
        self.context.keyspace = self.context.databases[0]

    def update_access(self) -> None:
        """To be called when its user, or what any user may do, has changed."""
        self.restricted = not (self.authenticated and self.user.permissions.unrestricted)
        if self.peer is None:
            self.trust()

    @property
    def reply_mode(self) -> str:
        """`on`, `off`, `skip` for the next command, or `skipping` while it runs (CLIENT REPLY)."""
        mode: str = self._reply_mode
        return mode

    @reply_mode.setter
    def reply_mode(self, mode: str) -> None:
        self._reply_mode = mode
        self.silent = mode != "on"

    @property
    def protocol(self) -> int:
        """Of its replies: 2 or 3."""
        return int(self.context.protocol)

    @protocol.setter
    def protocol(self, version: int) -> None:
        self.context.protocol = version

    @property
    def no_touch(self) -> bool:
        """CLIENT NO-TOUCH: what this client does is no use of a key."""
        return bool(self._no_touch)

    @no_touch.setter
    def no_touch(self, on: bool) -> None:
        self._no_touch = on
        self.update_mode()

    @property
    def is_subscribed(self) -> bool:
        return any(self.subscriptions.values())

    def update_mode(self) -> None:
        """To be called when a mode begins or ends."""
        if self.is_subscribed:
            self.clients.subscribed.add(self.id)
        else:
            self.clients.subscribed.discard(self.id)
        self.unusual = (
            self.transaction is not None
            or self.tracking is not None
            or self._no_touch
            or self.monitoring
            or self.is_subscribed
        )

    def describe(self) -> str:
        """A line of CLIENT LIST. Sizes that Redis takes from its allocator are what is really buffered here."""
        now: cython.longlong = self.traffic.clock.now_ms
        buffered = 0 if self.closing else self.transport.get_write_buffer_size()
        subscribed = {kind: len(self.subscriptions.get(kind, ())) for kind in ("channel", "pattern", "shard")}
        queued = self.transaction
        command = self.dispatcher.last if self.id == self.traffic.current else self.last_command
        return (
            f"id={self.id} addr={self.address} laddr={self.local_address} fd={self.file_descriptor()}"
            f" name={self.name.decode('utf-8', 'replace')} age={(now - self.connected_at) // 1000}"
            f" idle={(now - self.last_active) // 1000} flags={self.flags()} db={self.context.database}"
            f" sub={subscribed['channel']} psub={subscribed['pattern']} ssub={subscribed['shard']}"
            f" multi={len(queued.queue) if queued else -1} watch={len(self.watched or ())}"
            f" qbuf={self.reader.buffered} qbuf-free=0 argv-mem=0 multi-mem={queued.size if queued else 0}"
            f" rbs=0 rbp=0 obl={len(self.out)} oll={1 if buffered else 0} omem={buffered}"
            f" tot-mem={self.reader.buffered + len(self.out) + buffered}"
            f" events={'r' if not self.writing_paused else 'w'} cmd={command.name if command else 'NULL'}"
            f" user={self.user.name.decode('utf-8', 'replace')}"
            f" redir={self.tracking.redirect if self.tracking else -1} resp={self.protocol}"
            f" lib-name={self.library_name.decode('utf-8', 'replace')}"
            f" lib-ver={self.library_version.decode('utf-8', 'replace')}"
        )

    def flags(self) -> str:
        """As CLIENT LIST names them, in its order."""
        tracking = self.tracking
        flags = (
            ("S" if self.replica is not None else "")
            + ("O" if self.monitoring else "")
            + ("P" if self.is_subscribed else "")
            + ("x" if self.transaction is not None else "")
            + ("b" if self.wait is not None else "")
        )
        if tracking is not None:
            flags += "t" + ("R" if tracking.broken else "") + ("B" if tracking.broadcast else "")
        flags += (
            ("d" if self.watch_touched else "")
            + ("c" if self.closing else "")
            + ("r" if self.read_only else "")
            + ("e" if self.no_evict else "")
            + ("T" if self.no_touch else "")
        )
        return flags or "N"

    @property
    def output_bytes(self) -> int:
        """Bytes that wait for the client to take them."""
        return len(self.out) + (0 if self.closing else self.transport.get_write_buffer_size())

    def file_descriptor(self) -> int:
        sock = self.transport.get_extra_info("socket")
        return int(sock.fileno()) if sock is not None else -1
