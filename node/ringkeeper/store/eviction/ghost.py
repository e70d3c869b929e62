# cython: boundscheck=False, wraparound=False
"""Which keys were evicted lately: 3 bytes each, 16 bits of the key's hash and 8 of when it went.

A line (`lines`) has room for 21 and is sized for 13, so that a line that waits for its split still holds most of its
own. Age counts in *ticks*, of which `TICKS` make up the window in which as many keys are evicted as the ghost is to
remember; what is older is not there. One look-up in 3,000 takes a key for another.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.store.eviction.lines import Lines, mixed
else:
    from cython.cimports.ringkeeper.store.eviction.lines import Lines, mixed  # type: ignore[no-redef]

SLOTS = cython.declare(cython.Py_ssize_t, 21)
"""Of a line: first the fingerprints, two bytes each, 0 for none; then the ages."""
AGES = cython.declare(cython.Py_ssize_t, 42)
KEYS_IN_LINE = cython.declare(cython.int, 13)
TICKS = cython.declare(cython.int, 64)
"""A quarter of what eight bits count: a key is never so old that it looks young again before its slot is taken."""


@cython.final
@cython.no_gc
@cython.cclass
class Ghost:
    """The last `capacity` keys that were added and not taken out again. O(1) each."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.capacity = 0
        self.now = 0
        """Ticks, modulo 256."""
        self.pending = 0
        """Half keys added in this tick. One that is taken out counts half a key less: it leaves more time to those that
        are older, which are half of the others on average."""
        self.step = 1
        """Keys in a tick."""
        self.window = 0
        """Ticks after which a key is forgotten."""

    @property
    def memory(self) -> int:
        """Bytes held."""
        return self.lines.memory

    def fit(self, capacity: cython.longlong) -> cython.bint:
        """Go towards room for so many keys, by one line at most; whether there was a line to add or to give back."""
        self.capacity = capacity
        self.step = (capacity + TICKS - 1) // TICKS if capacity > TICKS else 1
        self.window = (capacity + self.step - 1) // self.step
        wanted: cython.longlong = capacity // KEYS_IN_LINE + 1
        if self.lines.count < wanted:
            self.lines.add()
            return True
        if self.lines.count > wanted + wanted // 8:
            self.shrink()
            return True
        return False

    def add(self, ident: cython.ulonglong) -> None:
        if self.capacity == 0:
            return
        self.pending += 2
        if self.pending >= 2 * self.step:
            self.pending -= 2 * self.step
            self.now = (self.now + 1) & 0xFF
        hash_: cython.ulonglong = mixed(ident)
        number: cython.Py_ssize_t = self.lines.place(hash_)
        self.put(self.lines.chunk(number), self.lines.offset(number), fingerprint_of(hash_), self.now)

    def take(self, ident: cython.ulonglong) -> bool:
        """Whether the key is there. If so, it is not any more."""
        hash_: cython.ulonglong = mixed(ident)
        number: cython.Py_ssize_t = self.lines.place(hash_)
        at: cython.Py_ssize_t = self.lines.offset(number)
        chunk: bytearray = self.lines.chunk(number)
        data: cython.p_uchar = chunk
        fingerprint: cython.int = fingerprint_of(hash_)
        i: cython.Py_ssize_t
        for i in range(SLOTS):
            if fingerprint == data[at + 2 * i] | data[at + 2 * i + 1] << 8:
                fresh: cython.bint = self.is_fresh(fingerprint, data[at + AGES + i])
                data[at + 2 * i] = data[at + 2 * i + 1] = 0
                if fresh:
                    self.pending -= 1
                    return True
        return False

    @cython.cfunc
    @cython.exceptval(check=False)
    def is_fresh(self, fingerprint: cython.int, age: cython.int) -> cython.bint:
        return fingerprint != 0 and (self.now - age) & 0xFF < self.window

    @cython.cfunc
    @cython.exceptval(check=False)
    def put(self, chunk: bytearray, at: cython.Py_ssize_t, fingerprint: cython.int, age: cython.int) -> cython.void:
        """In the place of the same fingerprint, of none, or else of the oldest."""
        data: cython.p_uchar = chunk
        place: cython.Py_ssize_t = 0
        oldest: cython.int = -1
        i: cython.Py_ssize_t
        for i in range(SLOTS):
            there: cython.int = data[at + 2 * i] | data[at + 2 * i + 1] << 8
            if there == fingerprint:
                place = i
                break
            since: cython.int = (self.now - data[at + AGES + i]) & 0xFF if there != 0 else 0x100
            if since > oldest:
                oldest = since
                place = i
        data[at + 2 * place] = fingerprint & 0xFF
        data[at + 2 * place + 1] = fingerprint >> 8
        data[at + AGES + place] = age

    @cython.cfunc
    def shrink(self) -> cython.void:
        """Merge the last line into the one that it was split from."""
        last: cython.Py_ssize_t = self.lines.count - 1
        source: cython.Py_ssize_t = self.lines.offset(last)
        data: bytearray = self.lines.chunk(last)
        number: cython.Py_ssize_t = self.lines.buddy()
        i: cython.Py_ssize_t
        for i in range(SLOTS):
            fingerprint: cython.int = data[source + 2 * i] | data[source + 2 * i + 1] << 8
            age: cython.int = data[source + AGES + i]
            if self.is_fresh(fingerprint, age):
                self.put(self.lines.chunk(number), self.lines.offset(number), fingerprint, age)
        self.lines.remove()

    def check(self) -> None:
        self.lines.check()
        assert 0 <= self.window <= TICKS


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def fingerprint_of(hash_: cython.ulonglong) -> cython.int:
    """Never 0. `Lines.place` uses other bits."""
    fingerprint: cython.int = hash_ >> 32 & 0xFFFF
    return fingerprint if fingerprint != 0 else 1
