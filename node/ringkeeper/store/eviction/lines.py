# cython: boundscheck=False, wraparound=False
"""A table of lines of 64 bytes that grows and shrinks one line at a time.

This is linear hashing (Litwin, 1980): while there are between 2^k and 2^(k + 1) lines, those whose turn has come are
split in two. A new line begins as a copy of the one that it takes half of the keys from, so what lies in a line must be
such that a second copy does no harm: a count that is too high for a while, a key that nobody asks for there.
"""

from __future__ import annotations

import cython

LINE = cython.declare(cython.Py_ssize_t, 64)
"""Bytes."""
LINES_IN_CHUNK = cython.declare(cython.Py_ssize_t, 1024)
CHUNK_OVERHEAD = cython.declare(cython.Py_ssize_t, 96)
"""Bytes of a chunk beyond its lines."""

MASK_64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
GOLDEN = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
FIRST = cython.declare(cython.ulonglong, 0xBF58476D1CE4E5B9)
SECOND = cython.declare(cython.ulonglong, 0x94D049BB133111EB)


@cython.locals(h=cython.ulonglong)
def mixed(ident: cython.ulonglong) -> cython.ulonglong:
    """64 bits, each of which depends on all bits of an ident: the last step of SplitMix64 (Steele et al., 2014)."""
    h = (ident + GOLDEN) & MASK_64
    h = ((h ^ (h >> 30)) * FIRST) & MASK_64
    h = ((h ^ (h >> 27)) * SECOND) & MASK_64
    return h ^ (h >> 31)


@cython.final
@cython.no_gc
@cython.cclass
class Lines:
    """O(1) each. There is always one line."""

    def __init__(self) -> None:
        self.chunks: list[bytearray] = [bytearray(LINE)]
        """All of `LINES_IN_CHUNK` lines but the first, which grows to that by doubling."""
        self.count = 1
        self.mask = 0
        """The power of two from which lines are numbered anew, less one: at least `count` - 1."""

    @property
    def memory(self) -> int:
        """Bytes held."""
        others = len(self.chunks) - 1
        return int(len(self.chunks[0]) + CHUNK_OVERHEAD + others * (LINES_IN_CHUNK * LINE + CHUNK_OVERHEAD))

    @cython.cfunc
    @cython.exceptval(check=False)
    def place(self, hash_: cython.ulonglong) -> cython.Py_ssize_t:
        """The number of the line for a key with this hash, of which it uses as many of the lower bits as it needs."""
        number: cython.Py_ssize_t = hash_ & self.mask
        return number if number < self.count else number & (self.mask >> 1)

    @cython.cfunc
    def chunk(self, number: cython.Py_ssize_t) -> bytearray:
        """What line `number` lies in."""
        chunk: bytearray = self.chunks[number >> 10]
        return chunk

    @cython.cfunc
    @cython.exceptval(check=False)
    def offset(self, number: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where in its chunk line `number` begins."""
        return (number & (LINES_IN_CHUNK - 1)) * LINE

    @cython.cfunc
    @cython.exceptval(check=False)
    def buddy(self) -> cython.Py_ssize_t:
        """The line that the last one was split from, and will be merged into."""
        return (self.count - 1) & (self.mask >> 1)

    def add(self) -> None:
        """Split the line whose turn it is. At most `LINES_IN_CHUNK` lines are moved or made."""
        number: cython.Py_ssize_t = self.count
        place: cython.Py_ssize_t = self.offset(number)
        if number >= LINES_IN_CHUNK:
            if place == 0:
                self.chunks.append(bytearray(LINES_IN_CHUNK * LINE))
        elif place == len(self.chunks[0]):
            self.chunks[0] += bytes(place)
        self.count += 1
        if number > self.mask:
            self.mask = self.mask << 1 | 1
        buddy: cython.Py_ssize_t = self.buddy()
        source: cython.Py_ssize_t = self.offset(buddy)
        target: bytearray = self.chunk(number)
        origin: bytearray = self.chunk(buddy)
        i: cython.Py_ssize_t
        for i in range(LINE):
            target[place + i] = origin[source + i]

    def remove(self) -> None:
        """Forget the last line, which is not the only one; its content must have been merged into its buddy."""
        self.count -= 1
        if self.count - 1 <= self.mask >> 1:
            self.mask >>= 1
        if self.count >= LINES_IN_CHUNK:
            if self.offset(self.count) == 0:
                self.chunks.pop()
        elif self.count * LINE * 4 <= len(self.chunks[0]):
            del self.chunks[0][len(self.chunks[0]) // 2 :]

    def check(self) -> None:
        assert self.mask >> 1 < self.count - 1 <= self.mask or self.count - 1 == self.mask == 0
        assert sum(map(len, self.chunks)) >= self.count * LINE
        assert sum(len(chunk) + CHUNK_OVERHEAD for chunk in self.chunks) == self.memory
        assert len(self.chunks) == -(-self.count // LINES_IN_CHUNK)
