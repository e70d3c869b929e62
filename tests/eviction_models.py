"""Residents for the tests of the eviction engines, and the engines' algorithms written down as plainly as can be."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Sequence

from ringkeeper.store.eviction.engine import Engine
from ringkeeper.store.eviction.ghost import Ghost
from ringkeeper.store.eviction.residents import DictionaryResidents
from ringkeeper.store.eviction.s3fifo import S3Fifo
from ringkeeper.store.eviction.sketch import Sketch
from ringkeeper.store.eviction.w_tinylfu import WTinyLfu

QUEUE = 0b1100


def w_tinylfu(residents: DictionaryResidents) -> WTinyLfu:
    return WTinyLfu(residents, seed=11)


ENGINES: list[Callable[[DictionaryResidents], Engine]] = [S3Fifo, w_tinylfu]


class CountingResidents(DictionaryResidents):
    """Counts look-ups."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.finds = 0

    def find(self, ident: int) -> int:
        self.finds += 1
        return super().find(ident)


def ident_of(number: int) -> int:
    """48 bits that look random."""
    return random.Random(number).getrandbits(48)


def evict(engine: Engine, residents: DictionaryResidents, calls: int = 100_000) -> int:
    """The ident of the next victim, which is gone then."""
    for _ in range(calls):
        if handle := engine.victim():
            return residents.drop(handle)
    raise AssertionError(f"no victim in {calls} calls")


def enrolled(residents: DictionaryResidents) -> set[int]:
    """The idents of those whose state says that they stand in a queue. O(n)."""
    return {ident for ident, handle in residents.handles.items() if residents.state(handle) & QUEUE}


def check(engine: Engine, residents: DictionaryResidents) -> None:
    """As `Engine.check`; and no resident is lost to the engine."""
    engine.check()
    assert set().union(*engine.listed()) == enrolled(residents)


def miss_ratio(make: Callable[[DictionaryResidents], Engine], trace: Sequence[int], capacity: int) -> float:
    """Of a cache of so many objects: each miss inserts, and evicts first if there is no room."""
    residents = DictionaryResidents(capacity)
    engine = make(residents)
    misses = 0
    for ident in trace:
        if handle := residents.handles.get(ident):
            engine.access(ident, handle)
            continue
        misses += 1
        if residents.room() < 1:
            evict(engine, residents)
        engine.admit(ident, residents.put(ident, 1))
    return misses / len(trace)


def lru_miss_ratio(trace: Sequence[int], capacity: int) -> float:
    """The same, of an exact LRU."""
    cache: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for ident in trace:
        if ident in cache:
            cache.move_to_end(ident)
            continue
        misses += 1
        cache[ident] = None
        if len(cache) > capacity:
            cache.popitem(last=False)
    return misses / len(trace)


def zipf(objects: int, requests: int, exponent: float, seed: int) -> list[int]:
    """Idents, the n-th most popular of which comes with a probability proportional to n ** -exponent."""
    weights = [rank**-exponent for rank in range(1, objects + 1)]
    return random.Random(seed).choices([ident_of(number) for number in range(objects)], weights, k=requests)


class PlainS3Fifo:
    """S3-FIFO on lists; see `s3fifo.py`. The ghost is an object of the real kind, which is tested by itself."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.sizes: dict[int, int] = {}
        self.uses: dict[int, int] = {}
        self.small: list[int] = []
        self.main: list[int] = []
        self.ghost = Ghost()
        self.evicting = False

    def bytes(self, queue: list[int]) -> int:
        return sum(self.sizes[key] for key in queue)

    def admit(self, key: int, size: int) -> None:
        self.sizes[key] = size
        self.uses[key] = 0
        if self.evicting:
            self.ghost.fit(len(self.sizes) * 9 // 10)
            to_main = self.ghost.take(key)
        else:
            to_main = self.bytes(self.small) >= (self.capacity - size) // 10
        (self.main if to_main else self.small).append(key)

    def access(self, key: int) -> None:
        self.uses[key] = min(self.uses[key] + 1, 3)

    def victim(self) -> int:
        self.evicting = True
        while True:
            full = self.capacity
            if not self.small or (self.main and self.bytes(self.main) > full - full // 10):
                return self.gone(self.from_main())
            while self.small:
                key = self.small.pop(0)
                if self.uses[key] < 2:
                    self.ghost.fit(len(self.sizes) * 9 // 10)
                    self.ghost.add(key)
                    return self.gone(key)
                self.uses[key] = 0
                self.main.append(key)

    def from_main(self) -> int:
        while self.uses[self.main[0]]:
            key = self.main.pop(0)
            self.uses[key] -= 1
            self.main.append(key)
        return self.main.pop(0)

    def gone(self, key: int) -> int:
        del self.sizes[key], self.uses[key]
        return key


class PlainWTinyLfu:
    """W-TinyLFU on lists; see `w_tinylfu.py`. The sketch is an object of the real kind, which is tested by itself."""

    def __init__(self, capacity: int, is_lucky: Callable[[], bool]) -> None:
        self.capacity = capacity
        self.is_lucky = is_lucky
        self.sizes: dict[int, int] = {}
        self.used: set[int] = set()
        self.window: list[int] = []
        self.probation: list[int] = []
        self.protected: list[int] = []
        self.sketch = Sketch()

    def bytes(self, *queues: list[int]) -> int:
        return sum(self.sizes[key] for queue in queues for key in queue)

    def share(self) -> int:
        return max(self.capacity // 100, sum(self.sizes.values()) // len(self.sizes))

    def admit(self, key: int, size: int) -> None:
        self.sizes[key] = size
        self.sketch.fit(len(self.sizes))
        self.window.append(key)
        for _ in range(2):
            if self.bytes(self.window) <= self.share():
                return
            if self.is_aged(self.window) and not self.enter():
                return

    def access(self, key: int) -> None:
        self.used.add(key)
        self.sketch.add(key)

    def is_aged(self, queue: list[int]) -> bool:
        """Whether the oldest was not used. If it was, it starts anew."""
        if queue[0] not in self.used:
            return True
        key = queue.pop(0)
        self.used.remove(key)
        (self.protected if queue is self.probation else queue).append(key)
        return False

    def enter(self) -> bool:
        key = self.window[0]
        if self.bytes(self.probation, self.protected) + self.sizes[key] > self.capacity - self.share():
            return False
        self.sketch.add(key)
        self.probation.append(self.window.pop(0))
        return True

    def demote(self) -> None:
        if self.protected and self.bytes(self.protected) > (self.capacity - self.share()) * 4 // 5:  # noqa: SIM102
            if self.is_aged(self.protected):
                self.probation.append(self.protected.pop(0))

    def victim(self) -> int:
        candidate = None
        while True:
            self.demote()
            main = self.probation or self.protected
            if candidate is None and self.window and (not main or self.bytes(self.window) >= self.share()):
                if self.is_aged(self.window) and not self.enter():
                    candidate = self.window[0]
                if candidate is None:
                    continue
            if not main:
                assert candidate is not None
                return self.gone(self.window)
            if not self.is_aged(main):
                continue
            if candidate is None:
                return self.gone(main)
            return self.gone(main if self.admits(candidate, main[0]) else self.window)

    def admits(self, candidate: int, incumbent: int) -> bool:
        frequency = self.sketch.estimate(candidate)
        admitted = frequency > self.sketch.estimate(incumbent) or (frequency > 5 and self.is_lucky())
        self.sketch.add(candidate)
        if admitted:
            self.probation.append(self.window.pop(0))
        return admitted

    def gone(self, queue: list[int]) -> int:
        key = queue.pop(0)
        del self.sizes[key]
        return key
