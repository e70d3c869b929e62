"""What the databases leave for later: letting go, making room, counting keys to new namespaces. Each in slices.

Letting go is of what the keyspaces threw away: huge collections, flushed databases, what expired. Whoever deletes or
flushes never waits for it.
"""

from __future__ import annotations

import asyncio

from ringkeeper.server.effects import Effects
from ringkeeper.server.namespaces import evicted_keys
from ringkeeper.server.slices import Slices
from ringkeeper.store.evictor import Evictor
from ringkeeper.store.keyspace import Keyspace

FREED_AT_ONCE = 500
"""Elements between two looks at the clock."""
EVICTED_AT_ONCE = 50
LABELLED_AT_ONCE = 500
TIDIED_AT_ONCE = 50


class Upkeep:
    """One a node."""

    def __init__(
        self, databases: list[Keyspace], evictor: Evictor, effects: Effects, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.databases = databases
        self.evictor = evictor
        self.effects = effects
        self.chores = [Slices(work, loop) for work in (self.free, self.label, self.evict, self.tidy)]

    @property
    def pending(self) -> int:
        """Values and tables still to be freed (INFO's `lazyfree_pending_objects`)."""
        return sum(keyspace.pending for keyspace in self.databases)

    @property
    def freed(self) -> int:
        return sum(keyspace.freed for keyspace in self.databases)

    def start(self) -> None:
        """Begin what there is to do. To be called now and then."""
        for chore in self.chores:
            chore.start()

    def stop(self) -> None:
        for chore in self.chores:
            chore.stop()

    def free(self) -> bool:
        for keyspace in self.databases:
            if keyspace.pending:
                keyspace.free_some(FREED_AT_ONCE)
                return True
        return False

    def label(self) -> bool:
        return any(keyspace.label_some(LABELLED_AT_ONCE) for keyspace in self.databases)

    def tidy(self) -> bool:
        """Let the engines forget what was deleted."""
        return any(engine.tidy(TIDIED_AT_ONCE) for keyspace in self.databases for engine in keyspace.engines if engine)

    @property
    def queue_bytes(self) -> int:
        """What the engines' queues, ghosts and sketches take."""
        return sum(engine.memory for keyspace in self.databases for engine in keyspace.engines if engine)

    def evict(self) -> bool:
        """Work off what commands left: after `maxmemory` was lowered there is much of it."""
        if not self.evictor.is_needed or self.effects.journal.following:
            return False
        before = evicted_keys(self.databases)
        self.evictor.make_room(EVICTED_AT_ONCE)
        if self.effects.changes:
            self.effects.tell(None)
        return evicted_keys(self.databases) > before
