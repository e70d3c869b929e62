# cython: boundscheck=False, wraparound=False
"""What a keyspace plugs in to know which of its keys should go next.

The keyspace tells an engine of keys that are new and of keys that are used, and asks it for victims. It does not tell
of deletions; an engine meets what is left of them on its way, or clears it away in `tidy`. Work is counted in *steps*,
each a few look-ups, and no call does more than 64 of them.
"""

from __future__ import annotations

import cython

if not cython.compiled:
    from ringkeeper.store.eviction.entries import Queue
    from ringkeeper.store.eviction.residents import Residents
else:
    from cython.cimports.ringkeeper.store.eviction.entries import Queue  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.eviction.residents import Residents  # type: ignore[no-redef]

STALE_ENTRIES = cython.declare(cython.int, 128)
"""So many are never too many."""


@cython.cclass
class Engine:
    """Every method is O(1) if it does not say otherwise.

    If memory is short, `admit` raises MemoryError (the host should then remove the resident, and need do nothing else),
    and so may `victim` and `tidy`, which lose nothing.
    """

    def __init__(self, residents: Residents, queues: list[Queue], slack: int) -> None:
        self.residents = residents
        self.queues = queues
        self.slack = slack
        """Stale entries may be as many as residents divided by two to the power of this."""
        self.ident = 0
        """Of the last victim."""
        self.sweep = -1
        """The queue that `tidy` is at; -1 between two rounds."""

    @property
    def memory(self) -> int:
        """Bytes held, not counting the eight bits that each resident keeps for the engine."""
        return sum(queue.memory for queue in self.queues)

    def admit(self, ident: cython.ulonglong, handle: cython.ulonglong) -> None:
        """A resident is new, or may be evicted from now on. Its state may be anything."""
        raise NotImplementedError

    def access(self, ident: cython.ulonglong, handle: cython.ulonglong) -> None:
        """A resident was used. One that stands in no queue is admitted."""
        raise NotImplementedError

    def victim(self) -> int:
        """The resident that should go now; 0 if none was found in 64 steps (ask again) or there is none at all.

        It stands in no queue any more: if it does not go after all, it must be admitted anew.
        """
        raise NotImplementedError

    def entries(self) -> int:
        """In all queues, stale ones included."""
        raise NotImplementedError

    @cython.cfunc
    def allowed(self) -> cython.Py_ssize_t:
        """Entries up to which nothing needs to be done about stale ones."""
        count: cython.longlong = self.residents.count()
        return count + (count >> self.slack) + STALE_ENTRIES

    def tidy(self, steps: cython.int) -> bool:
        """Clear away stale entries if there are too many, and give back memory; whether there may be more to do.

        Call it now and then: after a flood of deletions, nothing else might.
        """
        if self.sweep < 0 and self.entries() > self.allowed():
            self.sweep = 0
            self.queues[0].begin_sweep()
        while steps > 0:
            if self.sweep < 0:
                if not self.resize():
                    return False
                steps -= 1
                continue
            queue: Queue = self.queues[self.sweep]
            if queue.sweeping:
                queue.sweep()
                steps -= 1
            elif self.sweep + 1 < len(self.queues):
                self.sweep += 1
                self.queues[self.sweep].begin_sweep()
            else:
                self.sweep = -1
        return True

    @cython.cfunc
    def resize(self) -> cython.bint:
        """One step towards the right size of whatever is kept besides queues; whether there was one to do."""
        raise NotImplementedError

    def listed(self) -> list[list[int]]:
        """The idents in each queue, in order, stale entries left out. O(n)."""
        return [queue.listed() for queue in self.queues]

    def check(self) -> None:
        """Assert every invariant that can be seen from here. O(n)."""
        for queue in self.queues:
            queue.check()
        listed = self.listed()
        live = set().union(*listed)
        assert len(live) <= self.residents.count()
        assert len(live) == sum(len(set(idents)) for idents in listed), "a resident stands in two queues"
        assert sum(queue.sweeping for queue in self.queues) <= (self.sweep >= 0)
