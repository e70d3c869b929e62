# cython: boundscheck=False, wraparound=False
"""What an engine needs to know of the keys that are there, and a plain form of it for tests and simulations.

A resident is named by its *ident*, 48 bits: its slot in the upper 14, of its key's hash in the lower 34. Two residents
may share one, very rarely: then one of them may be overlooked until the other is gone. While it stays where it is, it
has a *handle*, 64 bits, never 0, that only the host can read. An engine keeps handles no longer than one call.
"""

from __future__ import annotations

import cython


@cython.cclass
class Residents:
    """Every method is O(1). Eight bits of each resident belong to the engine; in a new resident they are 0."""

    def find(self, ident: cython.ulonglong) -> cython.ulonglong:
        """The handle of a resident that may be evicted; 0 if there is none (any more)."""
        raise NotImplementedError

    def state(self, handle: cython.ulonglong) -> cython.int:
        """The engine's eight bits."""
        raise NotImplementedError

    def set_state(self, handle: cython.ulonglong, bits: cython.int) -> None:
        raise NotImplementedError

    def size(self, handle: cython.ulonglong) -> cython.longlong:
        """Bytes that would be free without it, or any other measure that adds up."""
        raise NotImplementedError

    def count(self) -> int:
        """Residents that may be evicted."""
        raise NotImplementedError

    def room(self) -> int:
        """Bytes that may be added before something must go, in the measure of `size`; negative: so many must go."""
        raise NotImplementedError


@cython.cclass
class DictionaryResidents(Residents):
    """Residents that consist of an ident and a size. `capacity` and `used` are in the measure of the sizes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.used = 0
        self.handles: dict[int, int] = {}
        self.idents: list[int] = [0]
        self.sizes: list[int] = [0]
        self.states = bytearray(1)
        self.free: list[int] = []

    def find(self, ident: cython.ulonglong) -> cython.ulonglong:
        return self.handles.get(ident, 0)

    def state(self, handle: cython.ulonglong) -> cython.int:
        return self.states[handle]

    def set_state(self, handle: cython.ulonglong, bits: cython.int) -> None:
        self.states[handle] = bits

    def size(self, handle: cython.ulonglong) -> cython.longlong:
        return self.sizes[handle]

    def count(self) -> int:
        return len(self.handles)

    def room(self) -> int:
        return self.capacity - self.used

    def put(self, ident: cython.ulonglong, size: cython.longlong) -> cython.ulonglong:
        """The handle of a new resident. There must be none of this ident."""
        if self.free:
            handle: int = self.free.pop()
            self.idents[handle] = ident
            self.sizes[handle] = size
            self.states[handle] = 0
        else:
            handle = len(self.idents)
            self.idents.append(ident)
            self.sizes.append(size)
            self.states.append(0)
        self.handles[ident] = handle
        self.used += size
        return handle

    def drop(self, handle: cython.ulonglong) -> cython.ulonglong:
        """Remove a resident; its ident."""
        ident: int = self.idents[handle]
        del self.handles[ident]
        self.used -= self.sizes[handle]
        self.free.append(handle)
        return ident

    def resize(self, handle: cython.ulonglong, size: cython.longlong) -> None:
        self.used += size - self.sizes[handle]
        self.sizes[handle] = size
