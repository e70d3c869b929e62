"""What a collection takes, and what MEMORY USAGE says of it: `python bench/memory.py [kind …] [--sizes N …] [--write]`.

For every case many equal collections are made by commands: in a fresh process of the node without its sockets, in a
fresh Redis and in a fresh Valkey. The truth is by how much the process's memory (RSS) has grown, divided by their
number; beside it stands what the allocators themselves count as given. Everything is included: the key, its record and
its share of the table.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "differential"), str(ROOT / "tests")]

import redis  # noqa: E402
from allocated import allocated, resident  # noqa: E402
from in_process import InProcess  # noqa: E402
from real_redis import real_redis  # noqa: E402

DOCUMENT = ROOT / "docs" / "memory.md"
BEGIN = "<!-- begin: written by bench/memory.py -->"
END = "<!-- end: written by bench/memory.py -->"
LEAST_BYTES = 24 << 20
"""Of all collections of a case, at least: what else a process does counts little beside."""
SIZES = (1, 2, 4, 8, 16, 32, 33, 64, 128, 512, 1000, 100_000)
LENGTHS = (3, 10, 32, 100, 1000)
KINDS = ("hash", "hash with expiries", "set", "set of integers", "zset", "list, right", "list, left")
IN_HASH = ("hash", "hash with expiries")
FAR = b"99999999999999"


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    size: int
    length: int
    """Of a member, or of a field and of a value."""

    @property
    def count(self) -> int:
        """How many collections."""
        texts = 2 if self.kind in IN_HASH else 1
        return max(LEAST_BYTES // (self.size * texts * (self.length + 12) + 150), 2)


@dataclass(frozen=True, slots=True)
class Figures:
    """Bytes a collection."""

    resident: float
    given: float | None
    """By the allocator's own account; None where nobody tells."""
    said: int
    """MEMORY USAGE of one."""


def cases(everything: bool, sizes: list[int], lengths: list[int], kinds: list[str]) -> list[Case]:
    chosen = [kind for kind in KINDS if not kinds or kind in kinds]
    if sizes:
        pairs = [(size, length) for size in sizes for length in lengths]
    elif everything:
        pairs = [(size, length) for size in SIZES for length in LENGTHS if size * length <= 10_000_000]
    else:
        pairs = [(size, 10) for size in (1, 8, 32, 33, 128, 129, 1000, 100_000)] + [(8, 100)]
    return [
        Case(kind, size, length)
        for kind in chosen
        for size, length in pairs
        if kind != "set of integers" or length == 10
        if length > 3 or size < 1000
    ]


def copied(text: bytes) -> bytes:
    """An object of its own, as a command that was read has it."""
    return bytes(bytearray(text))


def commands(case: Case, number: int) -> Iterator[list[bytes]]:
    """Those that make one collection."""
    key = b"key:%08d" % number
    for first in range(0, case.size, 100):
        members = [b"%0*d" % (case.length, i) for i in range(first, min(first + 100, case.size))]
        if case.kind in IN_HASH:
            yield [b"HSET", key, *[word for member in members for word in (member, bytes(member[::-1]))]]
            if case.kind == "hash with expiries":
                yield [b"HPEXPIREAT", key, FAR, b"FIELDS", b"%d" % len(members), *map(copied, members)]
        elif case.kind == "set":
            yield [b"SADD", key, *[b"m" + member[1:] for member in members]]
        elif case.kind == "set of integers":
            yield [b"SADD", key, *[b"%d" % (10**9 + int(member)) for member in members]]
        elif case.kind == "zset":
            scores = [b"%d.5" % (int(member) * 7919 % 100_003) for member in members]
            yield [b"ZADD", key, *[word for pair in zip(scores, members, strict=True) for word in pair]]
        else:
            yield [b"RPUSH" if case.kind == "list, right" else b"LPUSH", key, *[b"m" + each[1:] for each in members]]


def measure_here(case: Case) -> Figures:
    """In this process, which is to do nothing else."""
    peer = InProcess(2)
    execute, session, context = peer.dispatcher.execute, peer.session, peer.session.context
    out = bytearray()

    def fill(first: int, count: int) -> None:
        for number in range(first, first + count):
            for words in commands(case, number):
                execute(session, context, words, out)
                if out[:1] == b"-":
                    raise SystemExit(f"bench: {out.decode()}")
                out.clear()

    fill(0, 2)
    gc.collect()
    before = resident(), allocated()
    fill(2, case.count)
    gc.collect()
    after = resident(), allocated()
    said = context.databases[0].memory_of(b"key:%08d" % 2)
    return Figures((after[0] - before[0]) / case.count, (after[1] - before[1]) / case.count, said)


def measure_node(case: Case) -> Figures:
    """In a process of its own."""
    words = json.dumps([case.kind, case.size, case.length])
    found = subprocess.run([sys.executable, __file__, "--child", words], check=True, capture_output=True, text=True)
    return Figures(**json.loads(found.stdout))


def measure_server(case: Case, name: str) -> Figures | None:
    with tempfile.TemporaryDirectory() as folder, real_redis(pathlib.Path(folder), name) as port:
        client = redis.Redis(port=port)
        with contextlib.suppress(redis.ResponseError):
            client.execute_command("CONFIG", "SET", "activedefrag", "no")
        process, before = client.info("server")["process_id"], client.info("memory")
        resident_before = resident(process)
        for start in range(0, case.count, 200):
            pipe = client.pipeline(transaction=False)
            for number in range(start, min(start + 200, case.count)):
                for words in commands(case, number):
                    pipe.execute_command(*words)
            try:
                pipe.execute()
            except redis.ResponseError:
                return None
        after = client.info("memory")
        said = client.execute_command("MEMORY", "USAGE", b"key:%08d" % 0, "SAMPLES", "0")
        grown = resident(process) - resident_before
        given = after["used_memory_dataset"] - before["used_memory_dataset"]
        given += after["used_memory_overhead"] - before["used_memory_overhead"]
        return Figures(grown / case.count, given / case.count, said)


HEAD = (
    "| collection | elements | bytes each | RSS | given | `MEMORY USAGE` | of the truth | Redis 7: RSS | says "
    "| Valkey 9.1: RSS | says |\n|---|---|---|---|---|---|---|---|---|---|---|"
)


def row(case: Case, node: Figures, others: list[Figures | None]) -> str:
    cells = [case.kind, f"{case.size:,}", str(case.length), f"{node.resident:,.0f}", f"{node.given:,.0f}"]
    cells += [f"{node.said:,}", f"{node.said / node.resident:.2f}"]
    for other in others:
        cells += ["–", "–"] if other is None else [f"{other.resident:,.0f}", f"{other.said:,}"]
    return f"| {' | '.join(cells)} |"


def write_document(lines: list[str]) -> None:
    text = DOCUMENT.read_text()
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    DOCUMENT.write_text(text[:start] + "\n" + "\n".join(lines) + "\n" + text[end:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", action="store_true", help="every size with every length, an hour")
    parser.add_argument("--sizes", type=int, nargs="+", default=[], help="elements")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[10], help="with --sizes: bytes of each, 10 if not said"
    )
    parser.add_argument("--alone", action="store_true", help="without Redis and Valkey")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.name}")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("kinds", nargs="*", help="of: " + ", ".join(KINDS))
    options = parser.parse_args()
    if options.child:
        found = measure_here(Case(*json.loads(options.child)))
        print(json.dumps({"resident": found.resident, "given": found.given, "said": found.said}))
        return
    lines = HEAD.splitlines()
    print(HEAD)
    for case in cases(options.all, options.sizes, options.lengths, options.kinds):
        others = [] if options.alone else [measure_server(case, name) for name in ("redis", "valkey")]
        lines.append(row(case, measure_node(case), others))
        print(lines[-1], flush=True)
    if options.write:
        write_document(lines)


if __name__ == "__main__":
    main()
