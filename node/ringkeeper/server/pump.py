"""The append-only file's fast path: bytes go from the loop to the disk without the interpreter's lock.

While all is well, the thread is in `run`, in C: it writes what `offer` brings, syncs it if replies wait for that, and
tells the loop by an eventfd. Whatever needs thought (a job, a failure) ends the run: the pump closes, what was offered
until then is written, and the thread goes on in Python (`server/appender.py`). The lock would be asked for three times
a round otherwise, while the loop holds it: the disk was idle for half of the time.

When many wait for syncs, the next begins half a sync's time after the last: some of those whom that one released are
back by then and share it, so that a tenth more are answered (bench/append_only.py). It is PostgreSQL's `commit_delay`.

In the pure form a pump never opens.
"""

from __future__ import annotations

from collections.abc import Sequence

import cython

if cython.compiled:
    from cython.cimports.cpython.bytearray import PyByteArray_AS_STRING
    from cython.cimports.cpython.pythread import (
        WAIT_LOCK,
        PyThread_acquire_lock,
        PyThread_allocate_lock,
        PyThread_free_lock,
        PyThread_release_lock,
    )
    from cython.cimports.cpython.ref import Py_DECREF, Py_INCREF
    from cython.cimports.libc.errno import EINTR, errno
    from cython.cimports.libc.stdlib import free, malloc
    from cython.cimports.posix.time import CLOCK_MONOTONIC, clock_gettime, timespec
    from cython.cimports.posix.unistd import close, read, write
    from cython.cimports.ringkeeper.server.pump import (
        EFD_CLOEXEC,
        EFD_NONBLOCK,
        POSIX_FADV_DONTNEED,
        Link,
        Owner,
        Piece,
        eventfd,
        fdatasync,
        iovec,
        posix_fadvise,
        usleep,
        writev,
    )


@cython.final
@cython.cclass
class Pump:
    """One an append-only file. `offer`, `close` and `collect` are the loop's, `open` and `run` the thread's."""

    def __init__(self, bounds: Sequence[float], uncached: int) -> None:
        """`bounds`: seconds, as of a histogram of how long syncs take. Of the file, `uncached` synced bytes are dropped
        from the system's cache at a time.
        """
        self.is_open = False
        self.tells = -1
        """Becomes readable when `written` or `durable` have changed; -1 in the pure form."""
        self.written = 0
        """The offset up to which it was handed to the system, in this run."""
        self.durable = 0
        self.bytes = 0
        """Whole pieces, written in this run."""
        self.end = self.dropped = 0
        """Of the file: its bytes, and how many of them are not in the system's cache."""
        self.waiting = self.syncing = False
        """The thread sleeps; what failed was a sync, else a write, which may have left a part of a piece."""
        self.sync_ns = self.last_sync_ns = 0
        self.crowd = 0
        """How many waited when the last bytes were offered."""
        self.spare: bytearray | None = None
        """The last that was written: the next may be put where it was."""
        self.uncached = uncached
        self.bound_count = len(bounds)
        if cython.compiled:
            self._prepare(bounds)

    def _prepare(self, bounds: Sequence[float]) -> None:
        """Compiled only."""
        size: cython.Py_ssize_t = cython.sizeof(cython.longlong)
        self.counters = (bytearray(len(bounds) * size), bytearray((len(bounds) + 1) * size))
        self.bounds = cython.cast(cython.p_longlong, PyByteArray_AS_STRING(self.counters[0]))
        self.buckets = cython.cast(cython.p_longlong, PyByteArray_AS_STRING(self.counters[1]))
        for i in range(self.bound_count):
            self.bounds[i] = int(bounds[i] * 1_000_000_000)
        self.first = self.last = self.done = cython.NULL
        self.guard = PyThread_allocate_lock()
        if self.guard == cython.NULL:
            raise MemoryError
        self.wakes = eventfd(0, EFD_CLOEXEC)
        self.tells = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)
        if self.wakes < 0 or self.tells < 0:
            raise OSError(errno, "eventfd")

    def __dealloc__(self) -> None:
        if cython.compiled and self.guard != cython.NULL:
            self.release()
            close(self.wakes)
            close(self.tells)
            PyThread_free_lock(self.guard)

    # The loop's side

    def offer(self, data: bytearray, offset: cython.longlong, waiting: cython.longlong = 0) -> bool:
        """Bytes of whole commands, which nobody changes any more, the journal's offset behind them, and how many wait
        for their sync. False if the pump is closed.
        """
        if not cython.compiled:
            return False
        if not self.is_open:
            return False
        piece: Link = cython.cast(Link, malloc(cython.sizeof(Piece)))
        if piece == cython.NULL:
            return False
        piece.data = PyByteArray_AS_STRING(data)
        piece.size = len(data)
        piece.offset = offset
        piece.next = cython.NULL
        piece.owner = cython.cast(Owner, data)
        PyThread_acquire_lock(self.guard, WAIT_LOCK)
        taken: cython.bint = self.is_open
        wake: cython.bint = taken and self.waiting
        if taken:
            Py_INCREF(data)
            if self.last == cython.NULL:
                self.first = piece
            else:
                self.last.next = piece
            self.last = piece
            self.waiting = False
            self.crowd = waiting
        PyThread_release_lock(self.guard)
        if not taken:
            free(piece)
        if wake:
            _signal(self.wakes)
        return bool(taken)

    def close(self) -> None:
        """Have the thread come back to Python when it has written what was offered until now."""
        if not cython.compiled:
            return
        PyThread_acquire_lock(self.guard, WAIT_LOCK)
        wake: cython.bint = self.is_open and self.waiting
        self.is_open = self.waiting = False
        PyThread_release_lock(self.guard)
        if wake:
            _signal(self.wakes)

    def collect(self) -> tuple[int, int, int]:
        """`written`, `durable` and `bytes` of the run; lets go of what has been written."""
        state: tuple[int, int, int]
        if not cython.compiled:
            state = (self.written, self.durable, self.bytes)
        else:
            number: cython.ulonglong = 0
            read(self.tells, cython.address(number), 8)
            PyThread_acquire_lock(self.guard, WAIT_LOCK)
            piece: Link = self.done
            self.done = cython.NULL
            self.told = False
            state = (self.written, self.durable, self.bytes)
            PyThread_release_lock(self.guard)
            if piece != cython.NULL:
                self.spare = cython.cast(bytearray, piece.owner)
            _free_all(piece)
        return state

    @property
    def sync_counts(self) -> list[int]:
        """As the histogram's `counts`, of all runs."""
        if not cython.compiled:
            return []
        return [self.buckets[i] for i in range(self.bound_count + 1)]

    # The thread's side

    def open(self, descriptor: cython.int, *, written: int, durable: int, end: int, dropped: int, always: bool,
             counts: bool) -> bool:  # fmt: skip
        """Begin to take what is offered; whether it does. `always`: sync behind every write; `counts`: what is synced
        is durable.
        """
        if not cython.compiled:
            return False
        self.descriptor = descriptor
        self.written, self.durable, self.bytes = written, durable, 0
        self.end, self.dropped = end, dropped
        self.always, self.counts = always, counts
        self.syncing = self.waiting = False
        self.is_open = True
        return True

    def run(self) -> int:
        """Until the pump is closed, and all is written: 0, or the number of the error that closed it."""
        error: cython.int = 0
        if cython.compiled:
            with cython.nogil:
                error = self._run()
        return int(error)

    def rest(self) -> list[bytearray]:
        """What was offered and not written whole, in order."""
        found: list[bytearray] = []
        if cython.compiled:
            piece: Link = self.first
            while piece != cython.NULL:
                found.append(cython.cast(bytearray, piece.owner))
                piece = piece.next
            self.release()
        return found

    @property
    def last_offset(self) -> int:
        """Behind all that was offered."""
        if cython.compiled and self.last != cython.NULL:
            return int(self.last.offset)
        return self.written

    def release(self) -> None:
        """Let go of all bytes, written or not."""
        if cython.compiled:
            _free_all(self.first)
            _free_all(self.done)
            self.first = self.last = self.done = cython.NULL

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _run(self) -> cython.int:
        number: cython.ulonglong = 0
        error: cython.int
        while True:
            PyThread_acquire_lock(self.guard, WAIT_LOCK)
            first: Link = self.first
            going: cython.bint = self.is_open
            self.waiting = going and first == cython.NULL
            PyThread_release_lock(self.guard)
            if first == cython.NULL:
                if not going:
                    return 0
                read(self.wakes, cython.address(number), 8)
                continue
            error = self._write(first)
            if error == 0 and self.always:
                error = self._sync()
            if error != 0:
                PyThread_acquire_lock(self.guard, WAIT_LOCK)
                self.is_open = False
                PyThread_release_lock(self.guard)
                return error
            self._tell()
            if self.always and self.crowd >= 4:
                usleep(cython.cast(cython.uint, min(self.last_sync_ns // 2000, 500)))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _write(self, first: Link) -> cython.int:
        """Some pieces, from the first of the queue on; only this thread takes pieces out."""
        vector = cython.declare(iovec[64])
        count: cython.int = 0
        piece: Link = first
        PyThread_acquire_lock(self.guard, WAIT_LOCK)
        while piece != cython.NULL and count < 64:
            vector[count].iov_base = piece.data
            vector[count].iov_len = piece.size
            count += 1
            piece = piece.next
        PyThread_release_lock(self.guard)
        at: cython.int = 0
        while at < count:
            written: cython.Py_ssize_t = writev(self.descriptor, cython.address(vector[at]), count - at)
            if written < 0:
                if errno == EINTR:
                    continue
                return errno
            while at < count and written >= cython.cast(cython.Py_ssize_t, vector[at].iov_len):
                written -= cython.cast(cython.Py_ssize_t, vector[at].iov_len)
                self._finish(first)
                first = self.first
                at += 1
            if at < count and written > 0:
                vector[at].iov_base = cython.cast(cython.p_char, vector[at].iov_base) + written
                vector[at].iov_len -= written
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _finish(self, piece: Link) -> cython.void:
        """The first piece of the queue is written."""
        PyThread_acquire_lock(self.guard, WAIT_LOCK)
        self.first = piece.next
        if self.first == cython.NULL:
            self.last = cython.NULL
        piece.next = self.done
        self.done = piece
        self.written = piece.offset
        self.bytes += piece.size
        self.end += piece.size
        PyThread_release_lock(self.guard)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _sync(self) -> cython.int:
        began: cython.longlong = _nanoseconds()
        failed: cython.bint = fdatasync(self.descriptor) != 0
        error: cython.int = errno if failed else 0
        spent: cython.longlong = _nanoseconds() - began
        bucket: cython.int = 0
        while bucket < self.bound_count and spent > self.bounds[bucket]:
            bucket += 1
        self.buckets[bucket] += 1
        self.sync_ns += spent
        self.last_sync_ns = spent
        if failed:
            self.syncing = True
            return error
        if self.counts:
            PyThread_acquire_lock(self.guard, WAIT_LOCK)
            self.durable = self.written
            PyThread_release_lock(self.guard)
        if self.end - self.dropped >= self.uncached:
            posix_fadvise(self.descriptor, self.dropped, self.end - self.dropped, POSIX_FADV_DONTNEED)
            self.dropped = self.end
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _tell(self) -> cython.void:
        """Wake the loop, unless it has been woken already and has yet to look."""
        PyThread_acquire_lock(self.guard, WAIT_LOCK)
        tell: cython.bint = not self.told
        self.told = True
        PyThread_release_lock(self.guard)
        if tell:
            _signal(self.tells)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _signal(descriptor: cython.int) -> cython.void:
    one: cython.ulonglong = 1
    write(descriptor, cython.address(one), 8)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _nanoseconds() -> cython.longlong:
    now = cython.declare(timespec)
    clock_gettime(CLOCK_MONOTONIC, cython.address(now))
    return cython.cast(cython.longlong, now.tv_sec) * 1_000_000_000 + now.tv_nsec


@cython.cfunc
def _free_all(piece: Link) -> None:
    while piece != cython.NULL:
        following: Link = piece.next
        Py_DECREF(cython.cast(object, piece.owner))
        free(piece)
        piece = following
