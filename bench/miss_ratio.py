"""Miss ratios of the eviction engines: `python bench/miss_ratio.py [--server] [--objects N] [--requests N] [--write]`.

Each trace runs through the engines in this process, through libCacheSim's implementations of the same algorithms and
through an exact LRU. Objects are of equal size, and a cache's capacity is a share of the objects that the trace names.
`--server` runs them instead through servers, Redis's LRU and LFU beside ours (`served.py`); `--cost` measures what a
call of an engine costs.

libCacheSim is installed by `pip install -e '.[bench]'`.
"""

from __future__ import annotations

import argparse
import operator
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from compare import write

from ringkeeper import _compiled
from ringkeeper.store.eviction.engine import Engine
from ringkeeper.store.eviction.residents import DictionaryResidents, Residents
from ringkeeper.store.eviction.s3fifo import S3Fifo
from ringkeeper.store.eviction.w_tinylfu import WTinyLfu

SHARES = (0.01, 0.1, 0.3)
SCANS = 20
LUCK = 1
BATCH = 500
IDENT = (1 << 48) - 1

Trace = Sequence[int]
"""The objects that are asked for, one after the other, by number."""
Cache = Callable[[Trace, int], float]
"""Runs a trace through a cache of so many objects: the share of requests that missed."""

# Traces.


def zipf(objects: int, requests: int, exponent: float, seed: int) -> list[int]:
    """The n-th most popular object is asked for with a probability proportional to n ** -exponent."""
    randomness = random.Random(seed)
    numbers = list(range(objects))
    randomness.shuffle(numbers)
    weights = list(accumulate(rank**-exponent for rank in range(1, objects + 1)))
    return randomness.choices(numbers, cum_weights=weights, k=requests)


def scans(objects: int, requests: int) -> list[int]:
    """Zipf(1.0) over one half of the objects, and every now and then a stretch of a scan over the other."""
    half = objects // 2
    popular = zipf(half, requests // 2, 1.0, seed=5)
    length = requests // 2 // SCANS
    trace: list[int] = []
    for start in range(0, length * SCANS, length):
        trace += popular[start : start + length]
        trace += [half + position % half for position in range(start, start + length)]
    return trace


def loop(objects: int, requests: int) -> list[int]:
    """All objects in turn, again and again."""
    return [position % objects for position in range(requests)]


TRACES: dict[str, Callable[[int, int], list[int]]] = {
    "Zipf(0.8)": lambda objects, requests: zipf(objects, requests, 0.8, seed=8),
    "Zipf(1.0)": lambda objects, requests: zipf(objects, requests, 1.0, seed=10),
    "Zipf(1.2)": lambda objects, requests: zipf(objects, requests, 1.2, seed=12),
    "Zipf(1.0) and scans": scans,
    "loop": loop,
}

# Caches.


def lru(trace: Trace, capacity: int) -> float:
    cache: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for number in trace:
        if number in cache:
            cache.move_to_end(number)
            continue
        misses += 1
        if len(cache) >= capacity:
            cache.popitem(last=False)
        cache[number] = None
    return misses / len(trace)


def ident_of(number: int) -> int:
    """Each number's own, spread over the slots."""
    return number * 0x9E3779B97F4A7C15 & IDENT


def engine(make: Callable[[Residents], Engine]) -> Cache:
    def run(trace: Trace, capacity: int) -> float:
        residents = DictionaryResidents(capacity)
        engine = make(residents)
        find = residents.handles.get
        misses = 0
        for number in trace:
            ident = ident_of(number)
            if handle := find(ident):
                engine.access(ident, handle)
                continue
            misses += 1
            while residents.room() < 1:
                if handle := engine.victim():
                    residents.drop(handle)
            engine.admit(ident, residents.put(ident, 1))
        return misses / len(trace)

    return run


def libcachesim(name: str) -> Cache:
    """One of its caches, with its default parameters."""
    import libcachesim as library

    def run(trace: Trace, capacity: int) -> float:
        cache = getattr(library, name)(capacity, hashpower=18)
        request = library.Request()
        request.obj_size = 1
        misses = 0
        for number in trace:
            request.obj_id = number
            misses += not cache.get(request)
        return misses / len(trace)

    return run


ENGINES: dict[str, tuple[Callable[[Residents], Engine], str]] = {
    "s3-fifo": (S3Fifo, "S3FIFO"),
    "w-tinylfu": (lambda residents: WTinyLfu(residents, LUCK), "WTinyLFU"),
}
"""Ours, and the name of libCacheSim's."""

# Comparing.


def compare(objects: int, requests: int) -> Iterator[str]:
    """The lines of a Markdown table."""
    caches: list[tuple[Cache, Cache]] = [(libcachesim(theirs), engine(ours)) for ours, theirs in ENGINES.values()]
    names = "".join(f" {name}: libCacheSim | here | difference |" for name in ENGINES)
    yield f"| trace | cache | LRU |{names}"
    yield "|---|---|---|" + "---|---|---|" * len(ENGINES)
    for title, make in TRACES.items():
        trace = make(objects, requests)
        footprint = len(set(trace))
        for share in SHARES:
            capacity = int(footprint * share)
            cells = [title, f"{share:.0%}", f"{lru(trace, capacity):.2%}"]
            for theirs, ours in caches:
                expected, found = theirs(trace, capacity), ours(trace, capacity)
                cells += [f"{expected:.2%}", f"{found:.2%}", f"{(found - expected) * 100:+.2f}"]
            yield f"| {' | '.join(cells)} |"


def compare_servers(objects: int, requests: int) -> Iterator[str]:
    """The lines of a Markdown table: through servers, beside libCacheSim (where it is installed) in this process."""
    from served import miss_ratios

    yield (
        "| trace | cache | exact LRU | LRU: Redis | here | difference | LFU: Redis | here | difference "
        "| s3-fifo: libCacheSim | here | difference | w-tinylfu: libCacheSim | here | difference | keys held |"
    )
    yield "|---" * 16 + "|"
    for title, make in TRACES.items():
        trace = make(objects, requests)
        footprint = len(set(trace))
        for share in SHARES:
            capacity = int(footprint * share)
            redis_lru, lru_here, redis_lfu, lfu_here, s3_fifo, w_tinylfu = found = miss_ratios(trace, capacity)
            cells = [title, f"{share:.0%}", f"{lru(trace, capacity):.2%}"]
            cells += side_by_side(redis_lru.misses, lru_here.misses) + side_by_side(redis_lfu.misses, lfu_here.misses)
            cells += side_by_side(library_says("S3FIFO", trace, capacity), s3_fifo.misses)
            cells += side_by_side(library_says("WTinyLFU", trace, capacity), w_tinylfu.misses)
            held = [each.held for each in found]
            yield f"| {' | '.join(cells)} | {min(held):.1%}–{max(held):.1%} |"


def library_says(name: str, trace: Trace, capacity: int) -> float | None:
    try:
        return libcachesim(name)(trace, capacity)
    except ModuleNotFoundError:
        return None


def side_by_side(theirs: float | None, ours: float) -> list[str]:
    if theirs is None:
        return ["–", f"{ours:.2%}", "–"]
    return [f"{theirs:.2%}", f"{ours:.2%}", f"{(ours - theirs) * 100:+.2f}"]


def seconds(call: Callable[[int, int], object], arguments: Sequence[tuple[int, int]]) -> float:
    """CPU time of a call, on average."""
    begin = time.process_time()
    for first, second in arguments:
        call(first, second)
    return (time.process_time() - begin) / len(arguments)


def cost(keys: int) -> Iterator[str]:
    """What calls cost beyond being made from Python, with so many keys in random order; look-ups are a dictionary's."""
    yield "| engine | bytes a key | admit, ns | access, ns | victim and its removal, ns |"
    yield "|---|---|---|---|---|"
    for name, (make, _) in ENGINES.items():
        residents = DictionaryResidents(keys)
        engine = make(residents)
        pairs = [(ident_of(number), residents.put(ident_of(number), 1)) for number in range(keys)]
        random.Random(1).shuffle(pairs)
        calling = seconds(operator.is_, pairs)
        admit = seconds(engine.admit, pairs)
        access = seconds(engine.access, pairs[: keys // 4])
        victim = 0.0
        for start in range(keys, keys + keys // 4, BATCH):
            begin = time.process_time()
            for _ in range(BATCH):
                while not (handle := engine.victim()):
                    pass
                residents.drop(handle)
            victim += time.process_time() - begin
            for number in range(start, start + BATCH):
                engine.admit(ident_of(number), residents.put(ident_of(number), 1))
        figures = [admit - calling, access - calling, victim / (keys // 4)]
        cells = [name, f"{1 + engine.memory / keys:.1f}", *[f"{figure * 1e9:.0f}" for figure in figures]]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the eviction engines with libCacheSim's and with LRU.")
    parser.add_argument("--server", action="store_true", help="through servers, beside Redis's LRU and LFU")
    parser.add_argument("--objects", type=int, help="100,000 unless given; through servers 20,000")
    parser.add_argument("--requests", type=int, help="1,000,000 unless given; through servers 200,000")
    parser.add_argument("--quick", action="store_true", help="a tenth of both")
    parser.add_argument("--cost", action="store_true", help="measure what calls cost, with 1,000,000 keys")
    parser.add_argument("--write", action="store_true", help="put the result into docs/benchmarks.md")
    options = parser.parse_args()
    scale = (5 if options.server else 1) * (10 if options.quick else 1)
    objects, requests = options.objects or 100_000 // scale, options.requests or 1_000_000 // scale
    print(f"{_compiled.form('ringkeeper.store.eviction.engine')} form\n")
    lines = []
    comparing = compare_servers if options.server else compare
    for line in cost(1_000_000) if options.cost else comparing(objects, requests):
        print(line, flush=True)
        lines.append(line)
    if options.write and not options.cost:
        section = "miss_ratio.py --server" if options.server else "miss_ratio.py"
        write(f"{objects:,} objects, {requests:,} requests.\n\n" + "\n".join(lines), section)


if __name__ == "__main__":
    try:
        main()
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error}. It comes with `pip install -e '.[bench]'`.") from error
