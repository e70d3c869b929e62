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
    from ringkeeper.store.table_plain import Found, Record
else:
    from cython.cimports.ringkeeper.store.eviction.engine import Engine  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.keyspace import Keyspace  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.slot import key_slot  # type: ignore[no-redef]
    from cython.cimports.ringkeeper.store.table import Found, Record  # type: ignore[no-redef]

POOL_SIZE = 16
VICTIMS = 4
"""How often an engine is asked that found none: 64 steps each. Then a key goes that nobody used for long."""
TRIES = 32
"""Draws for a key that a `volatile-` policy may take in a namespace, before nothing is said to be there."""
EVERYTHING = 0
"""The number of the default namespace, here meaning the node: all keys count to `maxmemory`."""


@cython.final
@cython.cclass
class Pool:
    """The best candidates that were met, the best one last. They may be gone, or used again, when their turn comes."""

    def __init__(self, policy: str) -> None:
        self.policy = policy
        self.volatile = policy.startswith("volatile-")
        self.queued = policy in QUEUED_POLICIES
        self.measure = MEASURES.get(policy.partition("-")[2], BY_IDLE_TIME if self.queued else BY_CHANCE)
        self.scores: list[int] = []
        self.keys: list[tuple[Keyspace, bytes]] = []

    @cython.cfunc
    def score(self, keyspace: Keyspace, record: Record) -> cython.longlong:
        if self.measure == BY_IDLE_TIME:
            return keyspace._idle(record.used_at)
        if self.measure == BY_FREQUENCY:
            return 255 - keyspace._frequency(record)
        return (1 << 62) - keyspace.table.expiry(record)

    @cython.cfunc
    def offer(self, keyspace: Keyspace, record: Record) -> cython.void:
        """Keep a candidate if it is better than the worst one, or there is room."""
        score: cython.longlong = self.score(keyspace, record)
        count: cython.Py_ssize_t = len(self.scores)
        if count >= POOL_SIZE and score <= self.scores[0]:
            return
        place: cython.Py_ssize_t = count
        while place > 0 and self.scores[place - 1] > score:
            place -= 1
        self.scores.insert(place, score)
        self.keys.insert(place, (keyspace, keyspace.table.key(record)))
        if count >= POOL_SIZE:
            del self.scores[0]
            del self.keys[0]


BY_CHANCE, BY_IDLE_TIME, BY_FREQUENCY, BY_EXPIRY = range(4)
MEASURES = {"lru": BY_IDLE_TIME, "lfu": BY_FREQUENCY, "ttl": BY_EXPIRY}


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
        for keyspace in self.databases:
            if keyspace.over:
                left -= self._relieve(keyspace, left)
        if not self.max_memory:
            return True
        done: cython.longlong = 0
        while self.used() > self.max_memory and done < max(left, 1):
            if not self._evict_any():
                helped: bool = done > 0
                return helped
            done += 1
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
        keyspace: Keyspace = self.fullest()
        record: Found = keyspace.table.sample(self.pool.volatile)
        if not record:
            return False
        keyspace.evict(record, keyspace.table.sampled_slot)
        return True

    @cython.cfunc
    def fullest(self) -> Keyspace:
        """The database that has most."""
        keyspace: Keyspace
        best: Keyspace = self.databases[0]
        for keyspace in self.databases:
            if keyspace.table.used > best.table.used:
                best = keyspace
        return best

    @cython.cfunc
    def _evict_queued(self, scope: cython.Py_ssize_t) -> cython.bint:
        """Remove what an engine says of the fullest database; whether it said anything."""
        keyspace: Keyspace = self.fullest()
        if scope >= len(keyspace.engines) or keyspace.engines[scope] is None:
            return False
        engine: Engine = keyspace.engines[scope]
        for _ in range(VICTIMS):
            handle: cython.ulonglong = engine.victim()
            if handle != 0:
                record: Record = keyspace.table.record_at(handle)
                keyspace.evict(record, key_slot(keyspace.table.key(record)))
                return True
        return False

    @cython.cfunc
    def _fill(self) -> cython.bint:
        """Offer a few keys of each database to the pool; whether there were any."""
        keyspace: Keyspace
        record: Found
        found: cython.bint = False
        for keyspace in self.databases:
            record = keyspace.table.sample(self.pool.volatile)
            for left in range(self.samples - 1, -1, -1):
                if not record:
                    break
                found = True
                self.pool.offer(keyspace, record)
                if left:
                    record = keyspace.table.sample_near(self.pool.volatile)
        return found

    @cython.cfunc
    def _evict_best(self, pool: Pool, space: cython.Py_ssize_t) -> cython.bint:
        """Remove the best candidate of a pool that is still there; whether one was."""
        keyspace: Keyspace
        key: bytes
        record: Found
        while pool.scores:
            pool.scores.pop()
            keyspace, key = pool.keys.pop()
            record = keyspace.table.find(key, keyspace._slot(key))
            if not record or (pool.volatile and keyspace.table.expiry(record) < 0):
                continue
            if space == EVERYTHING or keyspace.table.number_of(record) == space:
                keyspace.evict(record, keyspace.last_slot)
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
            return self._evict_queued(space)
        keyspace: Keyspace
        record: Found
        for _ in range(TRIES):
            found: cython.bint = False
            for keyspace in self.databases:
                for _ in range(1 if pool.measure == BY_CHANCE else self.samples):
                    record = self._draw(keyspace, space, pool.volatile)
                    if not record:
                        break
                    if pool.measure == BY_CHANCE:
                        keyspace.evict(record, keyspace._slot(keyspace.table.key(record)))
                        return True
                    found = True
                    pool.offer(keyspace, record)
            if not found:
                return False
            if self._evict_best(pool, space):
                return True
        return False

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
