"""Who goes when memory is full: by Redis's sampled policies or by an engine with queues, for the node and for each
namespace with a budget.

Before a command that may need memory, `make_room` removes keys until the node is within `maxmemory` and every namespace
within its budget, but no more than `most` keys: work per command is bounded. What is left over then is for the node's
background rounds, and the command runs. It is refused only if nothing can be removed.

LRU, LFU and TTL look at a few keys drawn at random (`maxmemory-samples`) and keep the best candidates in a pool of 16
from one time to the next, as Redis does (`evict.c`; described in https://redis.io/docs/latest/develop/reference/eviction/).
A candidate's score says how much it deserves to go. Keys of a namespace with a budget are drawn from its own list.
"""

from __future__ import annotations

import cython

from ringkeeper.store.policies import NODE_DEFAULT, QUEUED_POLICIES

if not cython.compiled:
    from ringkeeper.store.eviction.engine import Engine
    from ringkeeper.store.keyspace import Keyspace
    from ringkeeper.store.slot import key_slot
    from ringkeeper.store.table_plain import Found, Record, Table
else:
    from cython.cimports.ringkeeper.store.eviction.engine import Engine  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.keyspace import Keyspace  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.slot import key_slot  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.table import Found, Record, Table  # type: ignore[no-redef]

POOL_SIZE = cython.declare(cython.int, 16)
VICTIMS = cython.declare(cython.int, 4)
"""How often an engine is asked that found none: 64 steps each. Then a key goes that nobody used for long."""
TRIES = cython.declare(cython.int, 32)
"""Draws for a key that a `volatile-` policy may take in a namespace, or that is not on its way between shards, before
nothing is said to be there."""
EVERYTHING = cython.declare(cython.Py_ssize_t, 0)
"""The number of the default namespace, here meaning the node: all keys count to `maxmemory`."""
BY_CHANCE = cython.declare(cython.int, 0)
BY_IDLE_TIME = cython.declare(cython.int, 1)
BY_FREQUENCY = cython.declare(cython.int, 2)
BY_EXPIRY = cython.declare(cython.int, 3)
MEASURES = {"lru": BY_IDLE_TIME, "lfu": BY_FREQUENCY, "ttl": BY_EXPIRY}


@cython.final
@cython.cclass
class Pool:
    """The best candidates that were met, the best one last. They may be gone, or used again, when their turn comes.

    Of each it is known how much it deserves to go, in which database it is, and what `Table.find_marked` takes.
    """

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.volatile = policy.startswith("volatile-")
        self.queued = policy in QUEUED_POLICIES
        self.measure = MEASURES.get(policy.partition("-")[2], BY_IDLE_TIME if self.queued else BY_CHANCE)
        self.count = 0
        if not cython.compiled:
            self.scores, self.bases = [0] * POOL_SIZE, [0] * POOL_SIZE
            self.handles, self.marks = [0] * POOL_SIZE, [0] * POOL_SIZE

    @cython.cfunc
    @cython.exceptval(check=False)
    def score(self, keyspace: Keyspace, record: Record) -> cython.longlong:
        if self.measure == BY_IDLE_TIME:
            return keyspace._idle(record.used_at)
        if self.measure == BY_FREQUENCY:
            return 255 - keyspace._frequency(record)
        if self.measure == BY_CHANCE:
            return 0
        return (1 << 62) - keyspace.table.expiry(record)

    @cython.cfunc
    @cython.exceptval(check=False)
    def place_for(self, score: cython.longlong) -> cython.int:
        """Make way for a candidate that is to be `put` there; -1 if it is no better than any, and there is no room."""
        place: cython.int = self.count
        if self.count < POOL_SIZE:
            while place > 0 and self.scores[place - 1] > score:
                self.move(place - 1, place)
                place -= 1
            self.count += 1
            self.scores[place] = score
            return place
        if score <= self.scores[0]:
            return -1
        place = 0
        while place + 1 < POOL_SIZE and self.scores[place + 1] <= score:
            self.move(place + 1, place)
            place += 1
        self.scores[place] = score
        return place

    @cython.cfunc
    @cython.exceptval(check=False)
    def put(self, place: cython.int, base: cython.int, handle: cython.ulonglong, mark: cython.ulonglong) -> cython.void:
        self.bases[place] = base
        self.handles[place] = handle
        self.marks[place] = mark

    @cython.cfunc
    @cython.inline
    @cython.exceptval(check=False)
    def move(self, source: cython.int, target: cython.int) -> cython.void:
        self.scores[target] = self.scores[source]
        self.bases[target] = self.bases[source]
        self.handles[target] = self.handles[source]
        self.marks[target] = self.marks[source]


@cython.final
@cython.cclass
class Evictor:
    """One a node."""

    def __init__(self, databases: list[Keyspace]) -> None:
        self.databases = databases
        self.max_memory = 0
        """Bytes; 0 means no limit."""
        self.overhead = 0
        """Bytes beside the databases that count to `maxmemory`: queues of engines, clients' buffers."""
        self.samples = 5
        self.pool = Pool(NODE_DEFAULT)
        self.pools: dict[int, Pool] = {}
        """Of namespaces that were above their budgets."""
        self.total = 0
        """What was used when it was looked at last, and what has gone since is taken off."""
        self.fullest = 0
        """The database that had most then."""
        self.occupied = 0
        """How many had anything."""
        self.rest = 0
        """What all but the fullest took, and what else counts."""
        self.stuck: set[int] = set()
        """Namespaces above their budgets of which nothing could be removed."""

    def set_policy(self, policy: str) -> None:
        self.pool = Pool(policy)

    @property
    def policy(self) -> str:
        return str(self.pool.policy)

    @cython.cfunc
    def used(self) -> cython.longlong:
        total: cython.longlong = self.overhead
        keyspace: Keyspace
        for keyspace in self.databases:
            total += keyspace.table.used + keyspace.table.structure
        return total

    @property
    def used_bytes(self) -> int:
        """What all databases take, and what else counts to `maxmemory`."""
        return int(self.used())

    @property
    def excess(self) -> int:
        """Bytes above `maxmemory`; 0 if there are none."""
        used: int = self.used()
        return max(0, used - self.max_memory) if self.max_memory else 0

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to remove, as far as that is known."""
        return self.excess > 0 or any(keyspace.over for keyspace in self.databases)

    def make_room(self, most: int) -> bool:
        """Remove at most so many keys; whether the node is within `maxmemory`, or got nearer to it."""
        left: cython.longlong = most
        keyspace: Keyspace
        if self._survey():
            for keyspace in self.databases:
                if keyspace.over:
                    left -= self._relieve(keyspace, left)
            self._survey()
        if not self.max_memory:
            return True
        done: cython.longlong = 0
        while self.total > self.max_memory and done < max(left, 1):
            if not self._evict_any():
                helped: bool = done > 0
                return helped
            done += 1
            if self.occupied > 1:
                self._survey()
        return True

    @cython.cfunc
    @cython.exceptval(check=False)
    def _survey(self) -> cython.bint:
        """Look what the databases take, and which takes most; whether a namespace was seen above its budget."""
        keyspace: Keyspace
        over: cython.bint = False
        most: cython.longlong = -1
        base: cython.int
        self.total = self.overhead
        self.occupied = 0
        for base, keyspace in enumerate(self.databases):
            used: cython.longlong = keyspace.table.used
            self.total += used + keyspace.table.structure
            if keyspace.table.size != 0:
                self.occupied += 1
            if used > most:
                most = used
                self.fullest = base
                self.rest = used + keyspace.table.structure
            if keyspace.over:
                over = True
        self.rest = self.total - self.rest
        return over

    @cython.cfunc
    def used_by(self, keyspace: Keyspace) -> cython.longlong:
        """As `used`, for who asks while a command runs on a database: if no other has anything, none is looked at."""
        if self.occupied == 1 and self.databases[self.fullest] is keyspace:
            return self.rest + keyspace.table.used + keyspace.table.structure
        return self.used()

    @cython.cfunc
    def _remove(self, keyspace: Keyspace, handle: cython.ulonglong, mark: cython.ulonglong) -> cython.bint:
        """Let a key go if it is there and not on its way between shards; know what is used then; whether it was."""
        table: Table = keyspace.table
        record: Found = table.find_marked(handle, mark)
        if not record or (keyspace.hidden and table.slot_of(mark) in keyspace.hidden):
            return False
        self.total -= table.used + table.structure
        keyspace.evict(record, table.slot_of(mark))
        self.total += table.used + table.structure
        return True

    @property
    def any_stuck(self) -> bool:
        return bool(self.stuck)

    def is_full(self, space: int) -> bool:
        """Whether a namespace is above its budget and nothing of it can be removed."""
        return space in self.stuck

    # The node

    @cython.cfunc
    def _evict_any(self) -> cython.bint:
        """Remove the best key of all; whether there was one."""
        if self.pool.policy == NODE_DEFAULT:
            return False
        if self.pool.measure == BY_CHANCE:
            return self._evict_by_chance()
        if self.pool.queued and self._evict_queued(EVERYTHING):
            return True
        for _ in range(TRIES):
            if not self._fill():
                return False
            if self._evict_best(self.pool, EVERYTHING):
                return True
        return False

    @cython.cfunc
    def _evict_by_chance(self) -> cython.bint:
        """A key of the fullest database: with several, Redis takes turns, which comes to the same."""
        keyspace: Keyspace = self.databases[self.fullest]
        table: Table = keyspace.table
        for _ in range(TRIES):
            if table.draw(self.pool.volatile, 1) == 0:
                return False
            if self._remove(keyspace, table.handle_of(table.drawn[0]), table.marks[0]):
                return True
        return False

    @cython.cfunc
    def _evict_queued(self, scope: cython.Py_ssize_t) -> cython.bint:
        """Remove what an engine says of the fullest database; whether it said anything."""
        keyspace: Keyspace = self.databases[self.fullest]
        if scope >= len(keyspace.engines) or keyspace.engines[scope] is None:
            return False
        engine: Engine = keyspace.engines[scope]
        for _ in range(VICTIMS):
            handle: cython.ulonglong = engine.victim()
            if handle == 0:
                continue
            mark: cython.ulonglong = keyspace.table.mark_of_ident(engine.ident)
            if self._remove(keyspace, handle, mark):
                return True
            if keyspace.table.find_marked(handle, mark):
                engine.admit(engine.ident, handle)  # on its way between shards: its turn comes when it is served
        return False

    @cython.cfunc
    def _fill(self) -> cython.bint:
        """Offer a few keys of each database to the pool; whether there were any."""
        keyspace: Keyspace
        base: cython.int
        found: cython.bint = False
        if self.occupied == 1:
            return self._offer_some(self.databases[self.fullest], self.fullest)
        for base, keyspace in enumerate(self.databases):
            if self._offer_some(keyspace, base):
                found = True
        return found

    @cython.cfunc
    def _offer_some(self, keyspace: Keyspace, base: cython.int) -> cython.bint:
        """Offer a few keys of a database to the pool; whether there were any."""
        pool: Pool = self.pool
        table: Table = keyspace.table
        count: cython.Py_ssize_t = table.draw(pool.volatile, self.samples)
        index: cython.Py_ssize_t
        for index in range(count):
            place: cython.int = pool.place_for(pool.score(keyspace, table.drawn[index]))
            if place >= 0:
                pool.put(place, base, table.handle_of(table.drawn[index]), table.marks[index])
        return count > 0

    @cython.cfunc
    def _evict_best(self, pool: Pool, space: cython.Py_ssize_t) -> cython.bint:
        """Remove the best candidate of a pool that is still there; whether one was."""
        while pool.count > 0:
            pool.count -= 1
            keyspace: Keyspace = self.databases[pool.bases[pool.count]]
            handle: cython.ulonglong = pool.handles[pool.count]
            mark: cython.ulonglong = pool.marks[pool.count]
            if pool.volatile or space != EVERYTHING:
                record: Found = keyspace.table.find_marked(handle, mark)
                if not record or (pool.volatile and keyspace.table.expiry(record) < 0):
                    continue
                if space != EVERYTHING and keyspace.table.number_of(record) != space:
                    continue
            if self._remove(keyspace, handle, mark):
                return True
        return False

    # Namespaces

    @cython.cfunc
    def _relieve(self, keyspace: Keyspace, most: cython.longlong) -> cython.longlong:
        """Remove keys of the namespaces that a database saw above their budgets; how many."""
        done: cython.longlong = 0
        for space in list(keyspace.over):
            budget: cython.longlong = keyspace.rules[space].max_memory
            while budget and keyspace.space_used(space) > budget:
                if done >= most:
                    return done
                if not self._evict_of(space, keyspace.rules[space].policy):
                    self.stuck.add(space)
                    break
                done += 1
            else:
                del keyspace.over[space]
                self.stuck.discard(space)
        return done

    @cython.cfunc
    def _evict_of(self, space: cython.Py_ssize_t, policy: str) -> cython.bint:
        """Remove the best key of a namespace; whether there was one."""
        if policy == NODE_DEFAULT:
            return False
        if space not in self.pools:
            self.pools[space] = Pool(policy)
        pool: Pool = self.pools[space]
        if pool.queued:
            self._survey()
            return self._evict_queued(space)
        keyspace: Keyspace
        base: cython.int
        for _ in range(TRIES):
            found: cython.bint = False
            for base, keyspace in enumerate(self.databases):
                for _ in range(1 if pool.measure == BY_CHANCE else self.samples):
                    if not self._offer_one(pool, keyspace, base, space):
                        break
                    found = True
            if not found:
                return False
            if self._evict_best(pool, space):
                return True
        return False

    @cython.cfunc
    def _offer_one(self, pool: Pool, keyspace: Keyspace, base: cython.int, space: cython.Py_ssize_t) -> cython.bint:
        """Offer a key of a namespace; whether there was one."""
        record: Found = self._draw(keyspace, space, pool.volatile)
        if not record:
            return False
        place: cython.int = pool.place_for(pool.score(keyspace, record))
        if place >= 0:
            mark: cython.ulonglong = keyspace.table.mark_of(record, key_slot(keyspace.table.key(record)))
            pool.put(place, base, keyspace.table.handle_of(record), mark)
        return True

    @cython.cfunc
    def _draw(self, keyspace: Keyspace, space: cython.Py_ssize_t, volatile: cython.bint) -> Found:
        """A key of a namespace drawn at random, if asked for one with an expiry."""
        record: Found = keyspace.table.sample_space(space)
        for _ in range(TRIES):
            if not record or not volatile or keyspace.table.expiry(record) >= 0:
                return record
            record = keyspace.table.sample_space(space)
        return keyspace.table.nothing()

    def forget(self) -> None:
        """Namespaces have changed."""
        self.pools.clear()
        self.stuck.clear()
