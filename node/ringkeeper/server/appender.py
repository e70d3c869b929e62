"""The thread that owns the append-only file: the loop hands it bytes and wishes, and is told what came of them.

It takes all that has come while it was busy at once, so that one sync serves everybody who waits. What the disk refuses
is kept and tried again; nothing is told as durable before it is.

    loop -> Pump, while it is open -> the disk           all is well: no Python (server/pump.py)
    loop -> inbox -> round -> LogFolder -> the disk      jobs, failures, files of tests, the pure form
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

from ringkeeper.persist.files import UNCACHED_BYTES, DiskOutput
from ringkeeper.persist.log import LogFolder
from ringkeeper.server.loop_delay import BOUNDS
from ringkeeper.server.pump import Pump

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class State:
    """What the thread tells of the file. Sizes are bytes."""

    written: int = 0
    """The journal's offset up to which it was handed to the system."""
    durable: int = 0
    """That up to which it would be found after a loss of power."""
    error: str = ""
    """Why it was not all written, or synced."""
    broken: bool = False
    """Only a new base makes it whole again."""
    size: int = 0
    base_size: int = 0


Done = Callable[[str], None]
"""Called in the loop with what went wrong, or with an empty text."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to be done between two writes."""

    do: Callable[[], None]
    done: Done


class Appender:
    """Begins its thread at once. `told` is called in the loop with each new `State`, `recycle` with bytes that were
    handed over and are written.
    """

    def __init__(
        self,
        log: LogFolder,
        loop: asyncio.AbstractEventLoop,
        told: Callable[[State], None],
        *,
        offset: int,
        recycle: Callable[[bytearray], None] = lambda _: None,
    ) -> None:
        self.log = log
        self.loop = loop
        self.told = told
        self.recycle = recycle
        self.inbox: queue.SimpleQueue[tuple[bytearray, int] | Job | None] = queue.SimpleQueue()
        self.entrance = threading.Lock()
        """Held by whoever hands something over, or opens the pump: what comes later must not be written earlier."""
        self.pump = Pump(BOUNDS, UNCACHED_BYTES)
        self.before = State()
        """When the pump opened."""
        self.always = False
        """Sync behind every write."""
        self.wants_sync = False
        self.pending: list[bytearray] = []
        """What could not be written yet."""
        self.target = offset
        """The offset behind it."""
        self.written = self.durable = offset
        self.error = ""
        self.sync_counts = [0] * (len(BOUNDS) + 1)
        """Syncs by how long they took, a counter for each of `loop_delay.BOUNDS` and one for the rest."""
        self.sync_seconds = 0.0
        self.first = 0
        """The increment that began when the base was taken that is being written; 0 if none did."""
        self.failed_at = 0.0
        if self.pump.tells >= 0:
            loop.add_reader(self.pump.tells, self.pumped)
        self.thread = threading.Thread(target=self.run, name="append-only", daemon=True)
        self.thread.start()

    # The loop's side

    def hand_over(self, data: bytearray, offset: int, waiting: int = 0) -> None:
        """Bytes of whole commands, the journal's offset behind them, and how many wait for their sync."""
        with self.entrance:
            if not self.pump.offer(data, offset, waiting):
                self.inbox.put((data, offset))

    def ask(self, do: Callable[[], None], done: Done = lambda _: None) -> None:
        """Have something done in the thread, behind what was handed over so far; `OSError` is told to `done`."""
        self.put(Job(do, done))

    def put(self, item: Job | None) -> None:
        with self.entrance:
            self.pump.close()
            self.inbox.put(item)

    def sync_soon(self) -> None:
        self.ask(self.want_sync)

    def stop(self, done: Done) -> None:
        """Write and sync all that was handed over, and end the thread."""

        def ended(error: str) -> None:
            if self.pump.tells >= 0:
                self.loop.remove_reader(self.pump.tells)
            done(error)

        self.ask(self.close, ended)
        self.put(None)

    def pumped(self) -> None:
        """The pump has done something. Once it is closed, the thread tells of it."""
        written, durable, count = self.pump.collect()
        if (spare := self.pump.spare) is not None:
            self.pump.spare = None
            self.recycle(spare)
        if self.pump.is_open:
            before = self.before
            self.told(State(written, durable, "", False, before.size + count, before.base_size))

    def syncs(self) -> tuple[list[int], float]:
        """How many took how long, a counter for each of `loop_delay.BOUNDS` and one for the rest; seconds in all."""
        counts = self.sync_counts[:]
        for i, count in enumerate(self.pump.sync_counts):
            counts[i] += count
        return counts, self.sync_seconds + self.pump.sync_ns / 1e9

    # The thread's side

    def run(self) -> None:
        going = True
        while going:
            try:
                going = self.round()
            except Exception as why:  # such as no memory: what is pending stays, and is tried again
                log.exception("The append-only file's thread failed unexpectedly; please report this")
                self.fail(OSError(0, f"{type(why).__name__}: {why}"))
                self.tell()

    def round(self) -> bool:
        """Do what has come; False when it is over."""
        self.rush()
        for item in self.collect():
            if item is None:
                return False
            if isinstance(item, Job):
                self.perform(item)
            else:
                self.pending.append(item[0])
                self.target = item[1]
        self.write()
        if self.always or self.wants_sync:
            self.sync()
        self.tell()
        return True

    def rush(self) -> None:
        """While all is well, leave it to the pump."""
        if not self.open_pump():
            return
        error = self.pump.run()
        log, pump, output = self.log, self.pump, self.log.output
        assert isinstance(output, DiskOutput)
        self.written = pump.written
        self.durable = max(self.durable, pump.durable)
        self.target = pump.last_offset
        output.end, output.dropped = pump.end, pump.dropped
        log.size += pump.bytes
        self.pending = pump.rest()
        if error:
            log.torn = not pump.syncing
            if pump.syncing:
                log.abandon()
            self.fail(OSError(error, os.strerror(error)))
        self.tell()

    def open_pump(self) -> bool:
        log, output = self.log, self.log.output
        if type(output) is not DiskOutput or self.pending or self.error or log.broken or log.torn or self.wants_sync:
            return False
        with self.entrance:
            self.before = self.state
            return self.inbox.empty() and self.pump.open(
                output.descriptor, written=self.written, durable=self.durable, end=output.end, dropped=output.dropped,
                always=self.always, counts=log.durable,
            )  # fmt: skip

    def collect(self) -> list[tuple[bytearray, int] | Job | None]:
        """Wait for something; then take all there is. After a failure the wait ends, for another try."""
        found: list[tuple[bytearray, int] | Job | None] = []
        try:
            found.append(self.inbox.get(timeout=RETRY_SECONDS if self.error else None))
            while True:
                found.append(self.inbox.get_nowait())
        except queue.Empty:
            return found

    def perform(self, job: Job) -> None:
        self.write()
        error = ""
        try:
            job.do()
        except OSError as why:
            error = why.strerror or str(why)
        except Exception as why:
            log.exception("The append-only file's thread failed unexpectedly; please report this")
            error = f"{type(why).__name__}: {why}"
        self.loop.call_soon_threadsafe(job.done, error)

    def write(self) -> None:
        if self.log.output is None or (self.error and time.monotonic() - self.failed_at < RETRY_SECONDS / 2):
            return
        try:
            if self.pending:
                self.log.append(self.pending[0] if len(self.pending) == 1 else b"".join(self.pending))
                self.pending.clear()
            self.written = self.target
            self.error = ""
        except OSError as why:
            self.fail(why)

    def sync(self) -> None:
        if self.log.output is None:
            return
        self.wants_sync = False
        if self.durable == self.written:
            return
        written = self.written
        began = time.monotonic()
        try:
            self.log.sync()
            if self.log.durable:
                self.durable = written
        except OSError as why:
            self.fail(why)
        spent = time.monotonic() - began
        self.sync_counts[bisect_left(BOUNDS, spent)] += 1
        self.sync_seconds += spent

    def fail(self, why: OSError) -> None:
        self.error = why.strerror or str(why)
        self.failed_at = time.monotonic()

    @property
    def state(self) -> State:
        log = self.log
        return State(self.written, self.durable, self.error, log.broken, log.total_size, log.base_size)

    def tell(self) -> None:
        self.loop.call_soon_threadsafe(self.told, self.state)

    # Jobs

    def want_sync(self) -> None:
        self.wants_sync = True

    def begin_increment(self) -> None:
        """At the point at which a new base is taken: what is pending of a broken log is in that."""
        self.first = 0
        if self.log.broken:
            self.pending.clear()
        elif self.pending:
            # It is in the base, and would be executed again if it came behind it.
            raise OSError(0, self.error)
        self.log.next_increment()
        self.first = self.log.part.number
        if self.log.broken:
            self.error = ""
            self.written = self.target

    def adopt(self, temporary: str, size: int) -> None:
        """The base is written."""
        if not self.first:
            raise OSError(0, "there was no new increment to follow it")
        self.log.adopt_base(temporary, size, self.first)
        self.first = 0
        self.error = ""

    def close(self) -> None:
        self.write()
        self.sync()
        self.log.close()
        if self.error:
            raise OSError(0, self.error)
