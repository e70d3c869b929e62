"""What writing and reading RDB files costs, beside Redis: `python bench/rdb_codec.py [--keys 200000] [MIX ...]`.

A keyspace of one kind of value is written here and read here, and the same file is read and saved by a Redis. Printed
are CPU seconds of each and their ratios; the size of the files; the memory that a forked child copies while it writes,
nobody changing anything meanwhile; and by how much reading exceeds, at its peak, what is read takes in the end. Every
measurement is made in a process of its own. The disk counts on neither side: both write into the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from random import Random
from typing import Any

from compare import BenchError, commands, cpu_seconds, node_environment
from rss import ask

from ringkeeper.persist.files import DiskFiles, FileSource
from ringkeeper.persist.loading import Loader
from ringkeeper.persist.rdb import RdbReader
from ringkeeper.persist.reader import Reader
from ringkeeper.persist.snapshot import Extent, copied_bytes, write_dataset
from ringkeeper.store.keyspace import Clock, Keyspace, Value
from ringkeeper.types.collection import Limits
from ringkeeper.types.hash import Hash
from ringkeeper.types.list import List
from ringkeeper.types.set import Set
from ringkeeper.types.zset import SortedSet

LIMITS = Limits()
RECORDS_AT_ONCE = 500
START_SECONDS = 600
REDIS_START = 0.01
"""CPU seconds, about, that a Redis needs for starting with nothing."""


def text(number: int) -> bytes:
    return b'{"id":%d,"name":"user %d","mail":"user%d@example.org","active":true}' % (number, number, number)


def a_hash(number: int, fields: int = 10) -> Hash:
    value = Hash(LIMITS)
    for field in range(fields):
        value.set(b"field:%d" % field, b"value:%d" % (number * 7919 + field))
    return value


def a_set(number: int, members: int = 20) -> Set:
    value = Set(LIMITS)
    for member in range(members):
        value.add(b"member:%d" % (number + member))
    return value


def a_sorted_set(number: int, members: int = 10) -> SortedSet:
    value = SortedSet(LIMITS)
    for member in range(members):
        value.add(b"member:%d" % member, float((number * 7919 + member * 104729) % 1_000_003))
    return value


def a_list(number: int, elements: int = 20) -> List:
    value = List(LIMITS)
    value.fill([b"element:%d" % (number + element) for element in range(elements)])
    return value


MIXES: dict[str, tuple[int, Callable[[int], Value]]] = {
    "strings": (10, lambda number: b"%016x" % (number * 0x9E3779B97F4A7C15 & (1 << 64) - 1)),
    "integers": (10, lambda number: b"%d" % (number * 7919)),
    "texts": (10, text),
    "pages": (1, lambda number: Random(number).randbytes(2_000) + text(number) * 30),
    "hashes": (2, a_hash),
    "sets": (2, a_set),
    "sorted sets": (2, a_sorted_set),
    "lists": (2, a_list),
    "hashes of 1000": (0, lambda number: a_hash(number, 1_000)),
    "sets of 1000": (0, lambda number: a_set(number, 1_000)),
    "sorted sets of 1000": (0, lambda number: a_sorted_set(number, 1_000)),
    "lists of 1000": (0, lambda number: a_list(number, 1_000)),
    "one string": (-1, lambda number: Random(0).randbytes(number * 600)),
    "one text": (-1, lambda number: text(number) * (number * 10)),
    "one hash": (-1, lambda number: a_hash(1, 10 * number)),
    "one set": (-1, lambda number: a_set(1, 10 * number)),
    "one sorted set": (-1, lambda number: a_sorted_set(1, 10 * number)),
    "one list": (-1, lambda number: a_list(1, 10 * number)),
}
"""Name -> how many tenths of the keys asked for (0: a thousandth of them; -1: a single key, as large as all), and
what the value of a number is."""


def keyspace_of(mix: str, keys: int) -> Keyspace:
    tenths, value_of = MIXES[mix]
    keyspace = Keyspace(Clock(1_700_000_000_000))
    if tenths < 0:
        keyspace.set(b"key", value_of(keys // 10))
        return keyspace
    for number in range(keys * tenths // 10 if tenths else keys // 1000):
        keyspace.set(b"key:%012d" % number, value_of(number))
    return keyspace


def status(name: str) -> int:
    """A figure of this process's memory, in bytes."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) << 10
    raise BenchError(f"/proc/self/status has no {name}")


def write(mix: str, keys: int, path: pathlib.Path) -> dict[str, Any]:
    """Fill a keyspace, and let a child write it."""
    keyspace = keyspace_of(mix, keys)
    reading, writing = os.pipe()
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        began = time.process_time()
        output = DiskFiles(str(path.parent)).create(path.name)
        write_dataset(output.write, [keyspace], [], Extent())
        facts = {"write": time.process_time() - began, "copied": copied_bytes(), "size": path.stat().st_size}
        os.write(writing, json.dumps(facts).encode())
        os._exit(0)
    os.waitpid(child, 0)
    found: dict[str, Any] = json.loads(os.read(reading, 4096))
    return found


def read(path: pathlib.Path) -> dict[str, Any]:
    """Load a file into a keyspace."""
    descriptor = os.open(path, os.O_RDONLY)
    before = status("VmRSS")
    keyspace = Keyspace(Clock(1_700_000_000_000))
    began = time.process_time()
    reader = RdbReader(Reader.of_file(FileSource(descriptor), os.fstat(descriptor).st_size), LIMITS)
    reader.open()
    loader = Loader(reader, [keyspace])
    while loader.some(RECORDS_AT_ONCE):
        pass
    spent = time.process_time() - began
    return {"read": spent, "peak": (status("VmHWM") - before) / (status("VmRSS") - before), "keys": len(keyspace)}


def beside(command: list[str], path: pathlib.Path) -> dict[str, Any]:
    """Let a Redis load the file, and save it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    words = [*command, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(path.parent)]
    with (path.parent / "log").open("wb") as log:
        process = subprocess.Popen([*words, "--dbfilename", path.name], stdout=log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while b"Ready to accept" not in (path.parent / "log").read_bytes():
            if time.monotonic() > deadline or process.poll() is not None:
                raise BenchError(f"Redis does not load {path}")
            time.sleep(0.02)
        loaded = cpu_seconds(process.pid)
        ask(port, b"SAVE")
        saved = cpu_seconds(process.pid)
        return {"read": loaded - REDIS_START, "write": saved - loaded, "size": path.stat().st_size}
    finally:
        process.terminate()
        process.wait()


def alone(*words: str) -> dict[str, Any]:
    """A measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, *words], env=node_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchError(f"{' '.join(words)} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(redis: list[str], mix: str, keys: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = pathlib.Path(folder, "dump.rdb")
        ours = alone("--write", str(path), "--keys", str(keys), mix)
        ours |= alone("--read", str(path))
        theirs = beside(redis, path)
    print(
        f"{mix:<20} read {ours['read']:6.2f} s, {theirs['read']:6.2f} s: {ours['read'] / theirs['read']:5.2f}"
        f" | write {ours['write']:6.2f} s, {theirs['write']:6.2f} s: {ours['write'] / theirs['write']:5.2f}"
        f" | size {ours['size'] / theirs['size']:5.3f} | copied {ours['copied'] / 2**20:6.1f} MB"
        f" | peak {ours['peak']:4.2f}",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("mixes", nargs="*", metavar="MIX", help=f"of: {', '.join(MIXES)}; all unless given")
    parser.add_argument("--keys", type=int, default=200_000, help="of the smallest kind of value")
    parser.add_argument("--write", type=pathlib.Path, help=argparse.SUPPRESS)
    parser.add_argument("--read", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        print(json.dumps(read(options.read)))
        return 0
    if options.write:
        print(json.dumps(write(options.mixes[0], options.keys, options.write)))
        return 0
    try:
        redis = commands()["Redis"]
        print("ours, Redis's: ratio")
        for mix in options.mixes or MIXES:
            compare(redis, mix, options.keys)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
