# cython: boundscheck=False, wraparound=False
"""S3-FIFO: three queues, none of which is ever reordered.

Source: Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023, in the form of its
authors' libCacheSim (`S3FIFO.c`, default parameters): a new key enters *small*, a tenth of the bytes; one that was used
twice there goes on to *main*, any other is evicted and remembered in the *ghost*, which holds as many keys as main. A
key that comes back while the ghost remembers it enters main at once. In main, a key at the head that was used goes
round again, up to three times. Until the first eviction, what small has no room for enters main.

The state's `USE` is the number of uses, up to 3. A use writes this and nothing else.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.store.eviction.engine import Engine
    from ringkeeper.store.eviction.entries import Queue
    from ringkeeper.store.eviction.ghost import Ghost
    from ringkeeper.store.eviction.residents import Residents
else:
    from cython.cimports.ringkeeper.store.eviction.engine import Engine  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.eviction.entries import Queue  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.eviction.ghost import Ghost  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.eviction.residents import Residents  # type: ignore[no-redef]

USE = cython.declare(cython.int, 0b00000011)
QUEUE = cython.declare(cython.int, 0b00001100)
STEPS = cython.declare(cython.int, 64)
TIDY_STEPS = cython.declare(cython.int, 8)
SMALL = cython.declare(cython.int, 1)
MAIN = cython.declare(cython.int, 2)
MOST_USES = cython.declare(cython.int, 3)
USES_FOR_MAIN = cython.declare(cython.int, 2)


@cython.final
@cython.no_gc
@cython.cclass
class S3Fifo(Engine):
    def __init__(self, residents: Residents) -> None:
        self.small = Queue(residents, SMALL)
        self.main = Queue(residents, MAIN)
        super().__init__(residents, [self.small, self.main], slack=1)
        self.ghost = Ghost()
        self.evicting = False
        """Whether there was any eviction so far."""
        self.source = 0
        """The queue that the next victim comes from; 0 if that is to be decided."""

    @property
    def memory(self) -> int:
        """As `Engine.memory`."""
        return int(self.small.memory + self.main.memory + self.ghost.memory)

    def entries(self) -> int:
        return self.small.count() + self.main.count()

    def admit(self, ident: cython.ulonglong, handle: cython.ulonglong) -> None:
        queue: Queue = self.small
        if self.evicting:
            self.resize()
            if self.ghost.take(ident):
                queue = self.main
        elif queue.bytes() >= (queue.bytes() + self.main.bytes() + self.residents.room()) // 10:
            queue = self.main
        queue.push(ident, handle, 0)
        if self.sweep >= 0 or self.entries() > self.allowed():
            self.tidy(TIDY_STEPS)

    def access(self, ident: cython.ulonglong, handle: cython.ulonglong) -> None:
        bits: cython.int = self.residents.state(handle)
        if bits & USE != MOST_USES:
            if bits & QUEUE == 0:
                self.admit(ident, handle)
            else:
                self.residents.set_state(handle, bits + 1)

    def victim(self) -> cython.ulonglong:
        self.evicting = True
        handle: cython.ulonglong = 0
        _steps: cython.int
        for _steps in range(STEPS):
            if self.source == 0:
                self.source = self.choose()
            if self.source == 0:
                return 0
            handle = self.from_small() if self.source == SMALL else self.from_main()
            if handle != 0:
                self.ident = self.small.ident if self.source == SMALL else self.main.ident
                self.source = 0
                self.residents.set_state(handle, 0)
                return handle
        return 0

    @cython.cfunc
    def choose(self) -> cython.int:
        """Main if it has more than nine tenths of what there may be, else small; 0 if both are empty."""
        small: cython.longlong = self.small.bytes()
        main: cython.longlong = self.main.bytes()
        full: cython.longlong = small + main + self.residents.room()
        if self.small.count() == 0 and self.main.count() == 0:
            return 0
        if self.main.count() != 0 and (main > full - full // 10 or self.small.count() == 0):
            return MAIN
        return SMALL

    @cython.cfunc
    def from_small(self) -> cython.ulonglong:
        """One step: the victim, or 0. Once small is empty, it is not the source any more."""
        handle: cython.ulonglong = 0
        if self.small.count() != 0:
            handle = self.small.first()
        if self.small.count() == 0:
            self.source = 0
        if handle == 0:
            return 0
        ident: cython.ulonglong = self.small.ident
        uses: cython.int = self.small.bits & USE
        if uses >= USES_FOR_MAIN:
            self.main.push(ident, handle, 0)
            self.small.drop(handle)
            return 0
        self.resize()
        self.small.drop(handle)
        self.ghost.add(ident)
        return handle

    @cython.cfunc
    def from_main(self) -> cython.ulonglong:
        """One step: the victim, or 0."""
        if self.main.count() == 0:
            self.source = 0
            return 0
        handle: cython.ulonglong = self.main.first()
        if handle == 0:
            return 0
        ident: cython.ulonglong = self.main.ident
        uses: cython.int = self.main.bits & USE
        if uses == 0:
            self.main.drop(handle)
            return handle
        self.main.push(ident, handle, uses - 1)
        self.main.drop(handle)
        return 0

    @cython.cfunc
    def resize(self) -> cython.bint:
        return self.evicting and self.ghost.fit(self.residents.count() * 9 // 10)

    def check(self) -> None:
        super().check()
        self.ghost.check()
