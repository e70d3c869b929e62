# cython: boundscheck=False, wraparound=False
"""W-TinyLFU: a small window for what is new, a large main part that only the more frequently used may enter.

Sources: Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy", 2017; Caffeine; libCacheSim's
`WTinyLFU.c`, to which `bench/miss_ratio.py` compares. A new key enters the *window*, 1 % of the bytes. When there is no
room, the window's oldest (the candidate) and main's (the incumbent) are compared: the one that the *sketch* saw less
often goes; of two equals, the candidate. Main is a segmented LRU: *probation*, and *protected* for what was used there,
at most 80 % of main, the oldest of which falls back into probation.

Where the sources keep LRU lists, these are queues that are put in order lazily: a use sets one bit (the state's `USE`),
and a used key at the head of a queue starts anew at the end of its queue, or of protected if it was on probation. That
is CLOCK, which comes as close to LRU as the order matters here (the same benchmark), for 6 bytes a key instead of 16.

A key's first use is counted when it leaves the window, after the comparison. Otherwise each candidate would come with
one use more than an incumbent whose own next use is just ahead, and a loop over more keys than there is room for would
never hit. So that nobody can keep a key out by making others look popular, one in 128 candidates that were used more
than `WARM` times enters all the same, as in Caffeine.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.store.eviction.engine import Engine
    from ringkeeper.store.eviction.entries import Queue
    from ringkeeper.store.eviction.residents import Residents
    from ringkeeper.store.eviction.sketch import Sketch
else:
    from cython.cimports.ringkeeper.store.eviction.engine import Engine  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.eviction.entries import Queue  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.eviction.residents import Residents  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.eviction.sketch import Sketch  # type: ignore[no-redef]

USED = cython.declare(cython.int, 0b00000001)
QUEUE = cython.declare(cython.int, 0b00001100)
STEPS = cython.declare(cython.int, 64)
TIDY_STEPS = cython.declare(cython.int, 12)
WINDOW = cython.declare(cython.int, 1)
PROBATION = cython.declare(cython.int, 2)
PROTECTED = cython.declare(cython.int, 3)
WARM = cython.declare(cython.int, 5)
LUCKY = cython.declare(cython.int, 127)
MASK_64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)


@cython.final
@cython.no_gc
@cython.cclass
class WTinyLfu(Engine):
    def __init__(self, residents: Residents, seed: int) -> None:
        """`seed` should be hard to guess, and the same for a run that is to be repeated."""
        self.window = Queue(residents, WINDOW)
        self.probation = Queue(residents, PROBATION)
        self.protected = Queue(residents, PROTECTED)
        super().__init__(residents, [self.window, self.probation, self.protected], slack=2)
        self.sketch = Sketch()
        self.random = (seed << 1 | 1) & MASK_64

    @property
    def memory(self) -> int:
        """As `Engine.memory`."""
        return int(self.window.memory + self.probation.memory + self.protected.memory + self.sketch.memory)

    def entries(self) -> int:
        return self.window.count() + self.probation.count() + self.protected.count()

    def admit(self, ident: cython.ulonglong, handle: cython.ulonglong) -> None:
        self.resize()
        self.window.push(ident, handle, 0)
        held: cython.longlong = self.window.bytes() + self.main_bytes()
        share: cython.longlong = self.share(held + self.residents.room(), held)
        _steps: cython.int
        for _steps in range(2):
            if self.window.bytes() <= share:
                break
            oldest: cython.ulonglong = self.aged(self.window)
            if oldest != 0 and not self.enter(oldest):
                break
        if self.sweep >= 0 or self.entries() > self.allowed():
            self.tidy(TIDY_STEPS)

    def access(self, ident: cython.ulonglong, handle: cython.ulonglong) -> None:
        bits: cython.int = self.residents.state(handle)
        if bits & USED == 0:
            if bits & QUEUE == 0:
                self.admit(ident, handle)
                return
            self.residents.set_state(handle, bits | USED)
        self.sketch.add(ident)

    def victim(self) -> cython.ulonglong:
        candidate: cython.ulonglong = 0
        _steps: cython.int
        for _steps in range(STEPS // 2):
            self.demote()
            if candidate == 0 and self.is_window_full():
                candidate = self.aged(self.window)
                if candidate != 0 and self.enter(candidate):
                    candidate = 0
                if candidate == 0:
                    continue
            if self.probation.count() == 0 and self.protected.count() == 0:
                if candidate == 0:
                    return 0
                return self.evict(self.window, candidate)
            queue: Queue = self.probation if self.probation.count() != 0 else self.protected
            incumbent: cython.ulonglong = self.aged(queue)
            if incumbent == 0:
                continue
            if candidate == 0:
                return self.evict(queue, incumbent)
            return self.settle(candidate, queue, incumbent)
        return 0

    @cython.cfunc
    def main_bytes(self) -> cython.longlong:
        return self.probation.bytes() + self.protected.bytes()

    @cython.cfunc
    def share(self, full: cython.longlong, held: cython.longlong) -> cython.longlong:
        """Bytes of the window: 1 % of what there may be, and at least one average resident."""
        average: cython.longlong = held // max(self.entries(), 1)
        return max(full // 100, average)

    @cython.cfunc
    def is_window_full(self) -> cython.bint:
        """Whether the next candidate may leave it; also if there is nothing but the window."""
        if self.window.count() == 0:
            return False
        main: cython.longlong = self.main_bytes()
        held: cython.longlong = self.window.bytes() + main
        return main == 0 or self.window.bytes() >= self.share(held + self.residents.room(), held)

    @cython.cfunc
    def aged(self, queue: Queue) -> cython.ulonglong:
        """One step: the resident at the head of a queue that is not empty, if it was not used; else 0."""
        handle: cython.ulonglong = queue.first()
        if handle == 0 or queue.bits & USED == 0:
            return handle
        (self.protected if queue is self.probation else queue).push(queue.ident, handle, 0)
        queue.drop(handle)
        return 0

    @cython.cfunc
    def enter(self, oldest: cython.ulonglong) -> cython.bint:
        """Let the window's oldest enter main if that has room; whether it had."""
        main: cython.longlong = self.main_bytes()
        held: cython.longlong = self.window.bytes() + main
        full: cython.longlong = held + self.residents.room()
        if main + self.residents.size(oldest) > full - self.share(full, held):
            return False
        self.sketch.add(self.window.ident)
        self.probation.push(self.window.ident, oldest, 0)
        self.window.drop(oldest)
        return True

    @cython.cfunc
    def demote(self) -> cython.void:
        """One step of what brings protected to its size, if it is above."""
        protected: cython.longlong = self.protected.bytes()
        held: cython.longlong = self.window.bytes() + self.main_bytes()
        full: cython.longlong = held + self.residents.room()
        if self.protected.count() == 0 or protected <= (full - self.share(full, held)) * 4 // 5:
            return
        handle: cython.ulonglong = self.aged(self.protected)
        if handle != 0:
            self.probation.push(self.protected.ident, handle, 0)
            self.protected.drop(handle)

    @cython.cfunc
    def settle(self, candidate: cython.ulonglong, queue: Queue, incumbent: cython.ulonglong) -> cython.ulonglong:
        """The one of the two that has to go; `queue` is the incumbent's."""
        ident: cython.ulonglong = self.window.ident
        frequency: cython.int = self.sketch.estimate(ident)
        admitted: cython.bint = frequency > self.sketch.estimate(queue.ident) or (frequency > WARM and self.is_lucky())
        self.sketch.add(ident)
        if not admitted:
            return self.evict(self.window, candidate)
        self.probation.push(ident, candidate, 0)
        self.window.drop(candidate)
        return self.evict(queue, incumbent)

    @cython.cfunc
    @cython.exceptval(check=False)
    def is_lucky(self) -> cython.bint:
        """Once in 128 times, by xorshift64 (Marsaglia, 2003)."""
        self.random ^= self.random << 13 & MASK_64
        self.random ^= self.random >> 7
        self.random ^= self.random << 17 & MASK_64
        return self.random & LUCKY == 0

    @cython.cfunc
    def evict(self, queue: Queue, handle: cython.ulonglong) -> cython.ulonglong:
        """Take a resident that stands at the head of its queue out of the engine."""
        self.ident = queue.ident
        queue.drop(handle)
        self.residents.set_state(handle, 0)
        return handle

    @cython.cfunc
    def resize(self) -> cython.bint:
        return self.sketch.fit(self.residents.count())

    def check(self) -> None:
        super().check()
        self.sketch.check()
