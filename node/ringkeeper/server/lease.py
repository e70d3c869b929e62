"""A master's right to serve, as the command loop sees it: a deadline in memory, and whether it has passed.

The lease process (`server/lease_process.py`) counts the grants and writes the deadline; here it is read, once for
every batch of commands and once more before its replies leave. Between the two the gates are open or shut as the last
look found them, so that a command itself costs nothing more. Whoever ran while they were open (`Session.leased`) is not
answered if by then the lease has gone: its connection is closed, since the next master may have answered already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cython

from ringkeeper.server import lease_layout

if not cython.compiled:
    import time

    def boot_clock() -> int:
        """Nanoseconds; it goes on while the machine is suspended."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

else:
    from cython.cimports.ringkeeper.server.lease import (  # type: ignore[no-redef]
        boot_clock,
        memory_fence,
        word_load,
        word_store,
        words_of,
    )

DEADLINE = cython.declare(cython.Py_ssize_t, lease_layout.DEADLINE)
LEASE_TERM = cython.declare(cython.Py_ssize_t, lease_layout.LEASE_TERM)
PROMISED_TERM = cython.declare(cython.Py_ssize_t, lease_layout.PROMISED_TERM)
PROGRESS = cython.declare(cython.Py_ssize_t, lease_layout.PROGRESS)
POSITION_CHANGES = cython.declare(cython.Py_ssize_t, lease_layout.POSITION_CHANGES)
STREAM_TERM = cython.declare(cython.Py_ssize_t, lease_layout.STREAM_TERM)
OFFSET = cython.declare(cython.Py_ssize_t, lease_layout.OFFSET)
CANDIDATE = cython.declare(cython.Py_ssize_t, lease_layout.CANDIDATE)
RELEASED_TERM = cython.declare(cython.Py_ssize_t, lease_layout.RELEASED_TERM)


@cython.final
@cython.cclass
class Lease:
    """One a node, in memory of `lease_layout.SIZE` bytes: that of the lease process behind `share`, else its own."""

    def __init__(self) -> None:
        self.turned: Callable[[bool], object] = lambda _: None
        """Called when a look finds the gates to be opened (True) or shut (False): at once, amid whatever runs."""
        self.shared = False
        """Whether there is a lease process, which reads what is noted here."""
        self.needed = False
        """Whether this node serves under a lease: it is the master of a shard with voters."""
        self.open = False
        """Whether the gates are open by a lease, as somebody saw when looking last."""
        self.term = 0
        """That in which this node serves: a lease of another is none."""
        self.released = False
        """This node has given up that term for good."""
        self.map(bytearray(lease_layout.SIZE))

    def share(self, memory: Any) -> None:
        """Take the memory of the lease process, into which nothing was written so far."""
        self.map(memory)
        self.shared = True

    def map(self, memory: Any) -> None:
        self.words = memoryview(memory).cast("B").cast("q")
        if cython.compiled:
            self.place = words_of(self.words)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def get(self, index: cython.Py_ssize_t) -> cython.longlong:
        if not cython.compiled:
            word: int = self.words[index]
            return word
        return word_load(self.place + index)

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def put(self, index: cython.Py_ssize_t, value: cython.longlong) -> cython.void:
        if not cython.compiled:
            self.words[index] = value
        else:
            word_store(self.place + index, value)

    # Serving

    def follow(self, *, needed: bool, term: int) -> None:
        """Another topology is in force: whether this node serves by a lease, and in which term."""
        if term != self.term:
            self.released = False
        self.needed = needed
        self.term = term
        if needed:
            self.look()
        else:
            self.open = False

    def release(self) -> None:
        """Serve no more in this term: for good, whatever the lease process counts. Who calls this shuts the gates."""
        self.released = True
        self.open = False
        self.put(RELEASED_TERM, self.term)

    def holds(self) -> bool:
        """Whether this node may serve now, as far as a lease is needed for it."""
        if self.released or self.get(LEASE_TERM) != self.term:
            return False
        return bool(boot_clock() < self.get(DEADLINE))

    def allows(self) -> bool:
        """Whether this node may serve now: it needs no lease, or holds one."""
        return not self.needed or self.holds()

    def look(self) -> None:
        """Open or shut the gates if that is due. To be called where a lease is needed."""
        holds: cython.bint = self.holds()
        if holds != self.open:
            self.open = holds
            self.turned(holds)

    def begin_turn(self, now: cython.longlong) -> None:
        """Somebody's commands are about to run: nanoseconds of CLOCK_MONOTONIC."""
        self.put(PROGRESS, now)
        if self.needed:
            self.look()

    def remaining_ns(self) -> int:
        """How long the lease lasts; 0 if there is none. Not negative."""
        if self.released or self.get(LEASE_TERM) != self.term:
            return 0
        remaining: int = self.get(DEADLINE) - boot_clock()
        return max(0, remaining)

    # Replicating

    def note_position(self, term: cython.longlong, offset: cython.longlong) -> None:
        """What this node's data is: the term of the last stream applied, and the offset in it.

        Whoever reads finds both of one call: the word before them is odd meanwhile.
        """
        changes: cython.longlong = self.get(POSITION_CHANGES)
        self.put(POSITION_CHANGES, changes + 1)
        self.put(STREAM_TERM, term)
        self.put(OFFSET, offset)
        self.put(POSITION_CHANGES, changes + 2)

    def note_candidate(self, is_one: bool) -> None:
        """Whether this replica's data is whole."""
        self.put(CANDIDATE, 1 if is_one else 0)

    def may_acknowledge(self, term: cython.longlong, offset: cython.longlong) -> bool:
        """Note how far a stream of this term is applied; whether its master may be told so.

        Not if this voter has promised a later term: what it told of its position in that promise is its last word. The
        promise is written before the position is read there, as here the position before the promise is read.
        """
        self.note_position(term, offset)
        if cython.compiled:
            memory_fence()
        return bool(self.get(PROMISED_TERM) <= term)
