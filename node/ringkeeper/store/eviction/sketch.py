# cython: boundscheck=False, wraparound=False
"""How often keys were used lately: a count-min sketch of 4-bit counters that ages.

Sources: Cormode and Muthukrishnan, "An Improved Data Stream Summary", 2005; the ageing and its period, Einziger,
Friedman and Manes, "TinyLFU", 2017; the blocks, Caffeine. A key has four counters, all in one line (`lines`). Only the
lowest of them grow ("conservative update"), and the lowest is the estimate. A line is sized for 10 keys, so that even
one that waits for its split and bears twice its share hardly ever confuses two popular keys; some more lines help where
there are few.

When ten times as many additions were counted as there are keys, all counters are halved, that is: the epoch changes,
and each line catches up when it is next looked at.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.store.eviction.lines import Lines, mixed
else:
    from cython.cimports.ringkeeper.store.eviction.lines import Lines, mixed  # type: ignore[no-redef]

ROWS = cython.declare(cython.int, 4)
WIDTH = cython.declare(cython.int, 31)
"""Counters of a line; two bytes are left for the epoch up to which it has aged."""
EPOCH = cython.declare(cython.Py_ssize_t, 62)
KEYS_IN_LINE = cython.declare(cython.int, 10)
SPARE_LINES = cython.declare(cython.int, 8)
SAMPLES = cython.declare(cython.int, 10)
HIGHEST = cython.declare(cython.int, 15)


@cython.final
@cython.no_gc
@cython.cclass
class Sketch:
    """O(1) each."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.epoch = 0
        """Modulo 65,536."""
        self.additions = 0
        """Since the last halving, from half a period on: what is left then counts as if it had been added."""
        self.period = SAMPLES

    @property
    def memory(self) -> int:
        """Bytes held."""
        return self.lines.memory

    def fit(self, count: cython.longlong) -> cython.bint:
        """Go towards a size for so many keys, by one line at most; whether there was a line to add or to give back."""
        self.period = SAMPLES * count if count > 1 else SAMPLES
        wanted: cython.longlong = count // KEYS_IN_LINE + SPARE_LINES
        if self.lines.count < wanted:
            self.lines.add()
            return True
        if self.lines.count > wanted + wanted // 8:
            self.shrink()
            return True
        return False

    def add(self, ident: cython.ulonglong) -> None:
        hash_: cython.ulonglong = mixed(ident)
        number: cython.Py_ssize_t = self.lines.place(hash_)
        chunk: bytearray = self.lines.chunk(number)
        at: cython.Py_ssize_t = self.refreshed(chunk, number)
        lowest: cython.int = lowest_of(chunk, at, hash_)
        if lowest == HIGHEST:
            return
        data: cython.p_uchar = chunk
        row: cython.int
        for row in range(ROWS):
            counter: cython.int = counter_of(hash_, row)
            place: cython.Py_ssize_t = at + (counter >> 1)
            shift: cython.int = (counter & 1) << 2
            if data[place] >> shift & 0xF == lowest:
                data[place] += 1 << shift
        self.additions += 1
        if self.additions >= self.period:
            self.additions = self.period >> 1
            self.epoch = (self.epoch + 1) & 0xFFFF

    def estimate(self, ident: cython.ulonglong) -> cython.int:
        """0 to 15; hardly ever less than the truth, now and then more."""
        hash_: cython.ulonglong = mixed(ident)
        number: cython.Py_ssize_t = self.lines.place(hash_)
        chunk: bytearray = self.lines.chunk(number)
        return lowest_of(chunk, self.refreshed(chunk, number), hash_)

    @cython.cfunc
    @cython.exceptval(check=False)
    def refreshed(self, chunk: bytearray, number: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where a line begins in its chunk, once its counters are halved as often as they should have been."""
        at: cython.Py_ssize_t = self.lines.offset(number)
        data: cython.p_uchar = chunk
        due: cython.int = (self.epoch - (data[at + EPOCH] | data[at + EPOCH + 1] << 8)) & 0xFFFF
        if due != 0:
            shift: cython.int = due if due < 4 else 4
            mask: cython.int = (0xF >> shift) * 0x11
            i: cython.Py_ssize_t
            for i in range(at, at + EPOCH):
                data[i] = data[i] >> shift & mask
            data[at + EPOCH] = self.epoch & 0xFF
            data[at + EPOCH + 1] = self.epoch >> 8
        return at

    @cython.cfunc
    def shrink(self) -> cython.void:
        """Merge the last line into the one that it was split from: of two counters, the higher stays."""
        last: cython.Py_ssize_t = self.lines.count - 1
        number: cython.Py_ssize_t = self.lines.buddy()
        source: bytearray = self.lines.chunk(last)
        target: bytearray = self.lines.chunk(number)
        begin: cython.Py_ssize_t = self.refreshed(source, last)
        at: cython.Py_ssize_t = self.refreshed(target, number)
        i: cython.Py_ssize_t
        for i in range(EPOCH):
            one: cython.int = source[begin + i]
            other: cython.int = target[at + i]
            target[at + i] = max(one & 0xF0, other & 0xF0) | max(one & 0x0F, other & 0x0F)
        self.lines.remove()

    def check(self) -> None:
        self.lines.check()
        assert self.additions >= 0
        assert 0 <= self.epoch <= 0xFFFF


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def counter_of(hash_: cython.ulonglong, row: cython.int) -> cython.int:
    """A key's counter in a row. `Lines.place` uses other bits."""
    part: cython.int = hash_ >> (32 + 8 * row) & 0xFF
    return row * WIDTH + (part * WIDTH >> 8)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def lowest_of(chunk: bytearray, at: cython.Py_ssize_t, hash_: cython.ulonglong) -> cython.int:
    data: cython.p_uchar = chunk
    lowest: cython.int = HIGHEST
    row: cython.int
    for row in range(ROWS):
        counter: cython.int = counter_of(hash_, row)
        value: cython.int = data[at + (counter >> 1)] >> ((counter & 1) << 2) & 0xF
        if value < lowest:
            lowest = value
    return lowest
