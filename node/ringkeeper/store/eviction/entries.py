# cython: boundscheck=False, wraparound=False
"""Queues of residents, 6 bytes an entry.

Nobody tells an engine that a key was deleted: its entry stays, and counts for nothing. An entry is *live* if there is a
resident of its ident whose state names this queue and the entry's parity. Parity tells the twin entries of a key apart
that was deleted and came back: a sweep keeps one entry of each resident and turns the parity of what it has kept.

Until the next sweep, such a key stands where it stood before it was deleted.

Of a resident's eight bits, `QUEUE` says which queue it stands in (0: none); the lowest two are the engine's own.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cython

if not cython.compiled:
    from ringkeeper.store.eviction.residents import Residents
else:
    from cython.cimports.ringkeeper.store.eviction.residents import Residents  # type: ignore[no-redef]

QUEUE = cython.declare(cython.int, 0b00001100)
PARITY = cython.declare(cython.int, 0b00010000)

ENTRY = cython.declare(cython.Py_ssize_t, 6)
"""Bytes."""
SMALLEST = cython.declare(cython.Py_ssize_t, 16)
LARGEST = cython.declare(cython.Py_ssize_t, 680)
"""Entries of a chunk: few in a short queue, a page in a long one."""
CHUNK_OVERHEAD = cython.declare(cython.Py_ssize_t, 144)
"""Bytes of a chunk beyond its entries: its header, that of its array, what the allocator adds."""


@cython.final
@cython.no_gc
@cython.cclass
class Chunk:
    """Entries `first` to `last` of a queue; `bytes` is what their residents measure together."""

    def __init__(self, room: cython.Py_ssize_t) -> None:
        self.data = bytearray(room * ENTRY)
        self.room = room
        self.first = 0
        self.last = 0
        self.bytes = 0


@cython.final
@cython.no_gc
@cython.cclass
class Entries:
    """First in, first out, in chunks, so that nothing is ever copied. O(1) each.

    `bytes` is the sum of the sizes that were pushed and not yet popped. A size that has changed meanwhile, or of an
    entry that is stale, makes it wrong; it is right again when the chunk is used up.
    """

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.memory = 0
        """Bytes held."""
        self.chunks: deque[Chunk] = deque()
        self.head: Any = None
        """The first chunk; None if there is none."""
        self.tail: Any = None

    def push(self, ident: cython.ulonglong, size: cython.longlong) -> None:
        if self.tail is None or self.tail.last == self.tail.room:
            self.extend()
        chunk: Chunk = self.tail
        data: cython.p_uchar = chunk.data
        at: cython.Py_ssize_t = chunk.last * ENTRY
        data[at] = ident & 0xFF
        data[at + 1] = ident >> 8 & 0xFF
        data[at + 2] = ident >> 16 & 0xFF
        data[at + 3] = ident >> 24 & 0xFF
        data[at + 4] = ident >> 32 & 0xFF
        data[at + 5] = ident >> 40 & 0xFF
        chunk.last += 1
        chunk.bytes += size
        self.count += 1
        self.bytes += size

    @cython.cfunc
    def extend(self) -> cython.void:
        room: cython.Py_ssize_t = max(SMALLEST, min(LARGEST, self.count >> 3))
        chunk: Chunk = Chunk(room)
        self.chunks.append(chunk)
        self.tail = chunk
        self.memory += room * ENTRY + CHUNK_OVERHEAD
        if self.head is None:
            self.head = self.tail

    def first(self) -> cython.ulonglong:
        """The ident of the entry that was pushed first. There must be one."""
        chunk: Chunk = self.head
        return read(chunk, chunk.first)

    def pop(self, size: cython.longlong) -> None:
        """Remove the first entry. `size` is what its resident measures now; -1 for a stale entry, taken for average."""
        chunk: Chunk = self.head
        if size < 0:
            size = chunk.bytes // (chunk.last - chunk.first)
        chunk.first += 1
        self.count -= 1
        if size > chunk.bytes or chunk.first == chunk.last:
            size = chunk.bytes
        chunk.bytes -= size
        self.bytes -= size
        if chunk.first == chunk.last:
            self.advance()

    @cython.cfunc
    def advance(self) -> cython.void:
        """Let go of the first chunk."""
        self.chunks.popleft()
        self.memory -= self.head.room * ENTRY + CHUNK_OVERHEAD
        if self.chunks:
            self.head = self.chunks[0]
        else:
            self.head = self.tail = None

    @cython.cfunc
    def adopt(self, other: Entries) -> cython.void:
        """Take over the first chunk of another, which has one, behind one's own entries."""
        chunk: Chunk = other.head
        entries: cython.Py_ssize_t = chunk.last - chunk.first
        size: cython.longlong = chunk.bytes
        self.chunks.append(chunk)
        self.tail = chunk
        if self.head is None:
            self.head = chunk
        self.count += entries
        self.bytes += size
        self.memory += chunk.room * ENTRY + CHUNK_OVERHEAD
        other.count -= entries
        other.bytes -= size
        other.advance()

    def listed(self) -> list[int]:
        """All idents, in order. O(n)."""
        return [read(chunk, place) for chunk in self.chunks for place in range(chunk.first, chunk.last)]

    def check(self) -> None:
        assert self.count == sum(chunk.last - chunk.first for chunk in self.chunks)
        assert self.bytes == sum(chunk.bytes for chunk in self.chunks)
        assert self.memory == sum(chunk.room * ENTRY + CHUNK_OVERHEAD for chunk in self.chunks)
        assert all(0 <= chunk.first < chunk.last <= chunk.room and chunk.bytes >= 0 for chunk in self.chunks)
        assert self.head is (self.chunks[0] if self.chunks else None)
        assert self.tail is (list(self.chunks).pop() if self.chunks else None)


@cython.cfunc
@cython.inline
@cython.exceptval(check=False)
def read(chunk: Chunk, place: cython.Py_ssize_t) -> cython.ulonglong:
    data: cython.p_uchar = chunk.data
    at: cython.Py_ssize_t = place * ENTRY
    low: cython.ulonglong = data[at] | data[at + 1] << 8 | data[at + 2] << 16
    high: cython.ulonglong = data[at + 3] | data[at + 4] << 8 | data[at + 5] << 16
    return low | high << 24


@cython.final
@cython.no_gc
@cython.cclass
class Queue:
    """One of an engine's queues. O(1) each where nothing else is said.

    Entries lie in `waiting`. While a sweep goes on, what it has kept lies in `swept`, ahead of what it has not seen
    yet; what is pushed meanwhile lies in `fresh`, behind that, and is not looked at: the sweep has as many steps as
    there were entries when it began, and in the end joins its two parts chunk by chunk.
    """

    def __init__(self, residents: Residents, number: int) -> None:
        self.residents = residents
        self.mark = number << 2
        """This queue as residents' states name it."""
        self.parity = 0
        """Of residents whose entries are in `waiting`. In the other parts they have the other one."""
        self.swept = Entries()
        self.waiting = Entries()
        self.fresh = Entries()
        self.sweeping = False
        self.ident = 0
        """Of the entry that `first` found live."""
        self.bits = 0
        """And the state of its resident."""

    def count(self) -> int:
        """Entries, stale ones included."""
        return self.swept.count + self.waiting.count + self.fresh.count

    def bytes(self) -> int:
        """What the residents in this queue measure; see `Entries`."""
        return self.swept.bytes + self.waiting.bytes + self.fresh.bytes

    @property
    def memory(self) -> int:
        """Bytes held."""
        return self.swept.memory + self.waiting.memory + self.fresh.memory

    def push(self, ident: cython.ulonglong, handle: cython.ulonglong, bits: cython.int) -> None:
        """Put a resident at the end, with so many bits of `USE`."""
        size: cython.longlong = self.residents.size(handle)
        if self.sweeping:
            self.fresh.push(ident, size)
            self.residents.set_state(handle, self.mark | (self.parity ^ PARITY) | bits)
        else:
            self.waiting.push(ident, size)
            self.residents.set_state(handle, self.mark | self.parity | bits)

    @cython.cfunc
    def head(self) -> Entries:
        if self.swept.count != 0:
            return self.swept
        return self.waiting if self.waiting.count != 0 else self.fresh

    def first(self) -> cython.ulonglong:
        """The resident at the head. There must be an entry; if it is stale, it goes, and the answer is 0."""
        entries: Entries = self.head()
        parity: cython.int = self.parity if entries is self.waiting else self.parity ^ PARITY
        self.ident = entries.first()
        handle: cython.ulonglong = self.residents.find(self.ident)
        if handle != 0:
            self.bits = self.residents.state(handle)
            if self.bits & (QUEUE | PARITY) == self.mark | parity:
                return handle
        entries.pop(-1)
        return 0

    def drop(self, handle: cython.ulonglong) -> None:
        """Remove the entry that `first` has just found live."""
        self.head().pop(self.residents.size(handle))

    def begin_sweep(self) -> None:
        self.sweeping = True

    def sweep(self) -> None:
        """One step of a sweep: keep an entry or drop it, or join a chunk. Only for a queue that is `sweeping`."""
        if self.waiting.count != 0:
            self.sift()
        elif self.fresh.count != 0:
            self.swept.adopt(self.fresh)
        if self.waiting.count == 0 and self.fresh.count == 0:
            self.waiting, self.swept = self.swept, self.waiting
            self.parity ^= PARITY
            self.sweeping = False

    @cython.cfunc
    def sift(self) -> cython.void:
        ident: cython.ulonglong = self.waiting.first()
        handle: cython.ulonglong = self.residents.find(ident)
        size: cython.longlong = -1
        if handle != 0:
            bits: cython.int = self.residents.state(handle)
            if bits & (QUEUE | PARITY) == self.mark | self.parity:
                size = self.residents.size(handle)
                self.swept.push(ident, size)
                self.residents.set_state(handle, bits ^ PARITY)
        self.waiting.pop(size)

    def listed(self) -> list[int]:
        """Idents of the live entries, in order. O(n)."""
        live: list[int] = []
        other = self.parity ^ PARITY
        for entries, parity in ((self.swept, other), (self.waiting, self.parity), (self.fresh, other)):
            for ident in entries.listed():
                handle = self.residents.find(ident)
                if handle and self.residents.state(handle) & (QUEUE | PARITY) == self.mark | parity:
                    live.append(ident)
        return live

    def check(self) -> None:
        for entries in (self.swept, self.waiting, self.fresh):
            entries.check()
        assert self.sweeping or self.swept.count == self.fresh.count == 0
