"""What goes through all sessions: the clocks they go by, the rounds in which they write, the bytes of both directions.

A *round* begins with the first session that has something to do, and ends when the event loop has gone round: by then
every other session that was ready has run too. Then all write at once, so that the clients' side works through all
replies at once as well, instead of being woken for each.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import cython

if not cython.compiled:
    from ringkeeper.server.dispatch import Dispatcher, nanoseconds
    from ringkeeper.server.lease import Lease
    from ringkeeper.server.node_time import NodeTime
else:
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING
    from cython.cimports.ringkeeper.server.dispatch import Dispatcher, nanoseconds  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.lease import Lease  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.node_time import NodeTime  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.server.traffic import MSG_DONTWAIT, MSG_NOSIGNAL, send

TURN = cython.declare(cython.longlong, 5_000_000)
"""Nanoseconds: a session that has executed for longer lets the others run before it goes on."""


@cython.cfunc
@cython.exceptval(check=False)
def send_at_once(descriptor: cython.int, data: bytearray) -> cython.Py_ssize_t:
    """Hand to a socket what it takes of the data without waiting: how many bytes. In the pure form, none.

    Whatever goes wrong goes wrong again for the transport, which gets the rest, and knows what to do.
    """
    if not cython.compiled:
        return 0
    sent: cython.Py_ssize_t = send(descriptor, PyByteArray_AS_STRING(data), len(data), MSG_DONTWAIT | MSG_NOSIGNAL)
    return max(sent, 0)


@cython.cclass
class Sender:
    """Somebody who may have something to write."""

    def send(self) -> None:
        """Write it."""
        raise NotImplementedError

    def depend(self) -> None:
        """Let what is to be written wait, where replies wait, for all that anybody changed so far."""


@cython.final
@cython.cclass
class Traffic:
    """One a node."""

    def __init__(self, *, dispatcher: Dispatcher, time: NodeTime, loop: asyncio.AbstractEventLoop) -> None:
        self.dispatcher = dispatcher
        self.time = time
        self.clock = time.clock
        self.lease = Lease()
        self.loop = loop
        self.end_round = self.end
        self.unsent: list[Sender] = []
        """With bytes that will be written when the round ends."""
        self.in_round = False
        self.current = 0
        """The id of the session whose commands run, or 0."""
        self.paused = False
        """CLIENT PAUSE."""
        self.query_buffer_limit = 1 << 30
        self.expect(0, lambda: None)
        self.reset_statistics()

    def reset_statistics(self) -> None:
        self.bytes_in = 0
        self.bytes_out = 0
        self.reads = 0
        self.writes = 0

    def expect(self, deadline: cython.longlong, missed: Callable[[], object]) -> None:
        """No command is to be executed, and nothing to be sent, from then on (nanoseconds of the monotonic clock; 0 for
        nothing of the kind) before this was called. It may expect something else; else it is not called again.
        """
        self.deadline = deadline
        self.missed = missed

    def begin_turn(self, session_id: cython.longlong) -> None:
        """A session begins to execute. The one clock that is read tells all times."""
        now: cython.longlong = nanoseconds()
        self.current = session_id
        if not self.in_round:
            self.begin_round()
        self.time.advance(now)
        if self.deadline != 0 and now >= self.deadline:
            self.deadline = 0
            self.missed()
        if self.lease.shared:
            self.lease.begin_turn(now)
        self.dispatcher.mark = now
        self.dispatcher.turn_ends = now + TURN

    def send_soon(self, sender: Sender) -> None:
        if not self.in_round:
            self.begin_round()
        self.unsent.append(sender)

    @cython.cfunc
    def begin_round(self) -> None:
        self.in_round = True
        self.loop.call_soon(self.end_round)

    def end(self) -> None:
        sender: Sender
        if self.deadline != 0 and nanoseconds() >= self.deadline:
            # The processor was somebody else's for long, between what was executed in this round and now.
            self.deadline = 0
            self.missed()
        unsent = self.unsent
        self.unsent = []
        self.in_round = False
        for sender in unsent:
            sender.send()

    def depend(self) -> None:
        """Replies wait from now on: those that were given in this round, too."""
        sender: Sender
        for sender in self.unsent:
            sender.depend()
