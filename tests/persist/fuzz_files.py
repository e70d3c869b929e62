"""Mutation-based fuzzing of RDB and AOF files: `python tests/persist/fuzz_files.py --files 200000 --seed 0`.

A wounded file, whose checksum mostly fits the wound, must be read or refused as damaged, at a byte that it has; nothing
else may be raised, and what is read from it must come back from what is written. Reading is done in a process whose
address space is limited, so that whatever reserves by an announced length fails.

A finding prints the file and its number, which with the seed makes it again; the exit code is 1.
"""

from __future__ import annotations

import argparse
import functools
import pathlib
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence

sys.path[:0] = [str(pathlib.Path(__file__).parents[1]), str(pathlib.Path(__file__).parents[1] / "differential")]

from in_process import InProcess  # noqa: E402
from persist.corpus import every_form, length, string  # noqa: E402
from persist.datasets import commands  # noqa: E402
from persist.fuzz import MEMORY, Finding, wound  # noqa: E402
from persist.rdb_files import Bytes, read_file, rewritten  # noqa: E402

from ringkeeper import _compiled  # noqa: E402
from ringkeeper import commands as all_commands  # noqa: E402
from ringkeeper.commands.context import Context  # noqa: E402
from ringkeeper.persist import aof  # noqa: E402
from ringkeeper.persist.crc64 import crc64  # noqa: E402
from ringkeeper.persist.rdb import Damaged, Unsupported  # noqa: E402
from ringkeeper.persist.replay import Replay  # noqa: E402
from ringkeeper.resp.writer import encode_command  # noqa: E402

TABLE = all_commands.load()
HEADS = (b"REDIS0011", b"REDIS0003", b"VALKEY080")
RECORDS = 12
"""In a file, at most."""


def records() -> list[bytes]:
    """Of every kind that a file may have, each whole."""
    forms = [example.payload for example in every_form() if len(example.payload) < 1000]
    found = [text[:1] + string(b"key") + text[1:-10] for text in forms]
    found += [b"\xfc" + bytes(7) + b"\x70" + each for each in found[:20]]
    return [
        *found, b"\xfa" + string(b"name") + string(b"text"), b"\xfe\x02", b"\xfb" + length(9) + length(2), b"\xf8\x09",
        b"\xf9\x30", b"\xfd" + bytes(3) + b"\x70", b"\xf4" + length(1) * 3, b"\xf5" + string(b"#!lua"),
        b"\xf7" + length(7) * 3 + b"\x05" + string(b"text") + b"\0",
        b"\x0f" + string(b"s") + length(1) + string(bytes(16)) + string(b"lp") + length(1) * 3 + length(0),
    ]  # fmt: skip


def rdb_file(rng: random.Random, parts: Sequence[bytes]) -> bytes:
    chosen = [rng.choice(parts).replace(b"\x03key", b"\x03k%02d" % at, 1) for at in range(rng.randrange(1, RECORDS))]
    body = bytearray(rng.choice(HEADS) + b"".join(chosen) + b"\xff")
    wound(rng, body)
    if rng.random() < 0.9:
        return bytes(body) + crc64(bytes(body)).to_bytes(8, "little")
    return bytes(body) + rng.randbytes(8)


def examine_rdb(data: bytes, passing: bool) -> str | None:
    """What is wrong with how this file is taken."""
    try:
        held = read_file(data, passing)
    except Damaged as why:
        return None if 0 <= why.at <= len(data) else f"is damaged at byte {why.at}"
    except AssertionError:
        return None  # a key that is there twice
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    try:
        return None if passing or read_file(rewritten(data)).keys == held.keys else "comes back otherwise"
    except Unsupported:
        return None
    except Exception as error:
        return f"holds what cannot be written: {type(error).__name__}: {error}"


def log(rng: random.Random, sent: Sequence[list[bytes]]) -> bytes:
    body = bytearray(b"".join(encode_command(rng.choice(sent)) for _ in range(rng.randrange(1, RECORDS))))
    if rng.random() < 0.3:
        body += aof.annotation([("term", 1)])
    wound(rng, body)
    return bytes(body)


def examine_log(data: bytes) -> str | None:
    reader = aof.LogReader(Bytes(data), len(data))
    whole = b""
    try:
        while (item := reader.next()) is not None:
            if isinstance(item, list):
                whole += encode_command(item)
            if not reader.began < reader.at <= len(data):
                return f"is read from byte {reader.began} to {reader.at}"
    except Damaged as why:
        return None if 0 <= why.at <= len(data) else f"is damaged at byte {why.at}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@functools.cache
def follower() -> Context:
    """What logs are executed in; empty again behind each."""
    context = InProcess(2).session.context
    for keyspace in context.databases:
        keyspace.follow(True)
    return context


def examine_replay(data: bytes) -> str | None:
    """What is wrong with how this log is executed."""
    context = follower()
    context.database, context.keyspace = 0, context.databases[0]
    replay = Replay(Bytes(data), len(data), context, TABLE)
    try:
        while replay.some(100):
            pass
    except Damaged as why:
        if not 0 <= why.at <= len(data):
            return f"is damaged at byte {why.at}"
    except Exception as error:
        return f"is not executed: {type(error).__name__}: {error}"
    try:
        for keyspace in context.databases:
            if len(keyspace):
                keyspace.check()
                keyspace.flush()
                keyspace.free_some(100_000)
    except Exception as error:
        return f"leaves what fails: {type(error).__name__}: {error}"
    return None


def manifest(rng: random.Random) -> bytes:
    parts = [aof.Part(f"a.{number}.aof", number, "i") for number in range(1, rng.randrange(2, 6))]
    body = bytearray(aof.Manifest(aof.Part("base.rdb", 1, "b"), tuple(parts)).encode())
    wound(rng, body)
    return bytes(body)


def examine_manifest(data: bytes) -> str | None:
    try:
        found = aof.decode(data)
    except Damaged as why:
        return None if 0 <= why.at <= len(data) else f"is damaged at byte {why.at}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if aof.decode(found.encode()) == found else "comes back otherwise"


def fuzz(files: int, seed: int, first: int = 0) -> Iterator[Finding]:
    """Every file is made from the seed and its own number, so that a finding can be made again alone."""
    parts = records()
    sent = [command for command in commands(random.Random(0)) if sum(map(len, command)) < 300]
    for number in range(first, first + files):
        rng = random.Random(f"{seed}/{number}")
        match number % 5:
            case 0:
                data = log(rng, sent)
                what = examine_log(data) or examine_replay(data)
            case 1 if number % 25 == 1:
                what = examine_manifest(data := manifest(rng))
            case _:
                what = examine_rdb(data := rdb_file(rng, parts), passing=number % 2 == 0)
        if what:
            yield Finding(number, data, what)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the readers of RDB and AOF files.")
    parser.add_argument("--files", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file, to make a finding again")
    parser.add_argument("--findings", type=int, default=20)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    started = time.perf_counter()
    findings = 0
    for finding in fuzz(options.files, options.seed, options.first):
        findings += 1
        print(f"file {finding.number}: {finding.payload!r}\n{finding.what}\n")
        if findings == options.findings:
            print(f"stopping at {findings} findings")
            break
    seconds = time.perf_counter() - started
    print(
        f"{_compiled.form('ringkeeper.persist.rdb')}: {options.files} files (seed {options.seed}): "
        f"{findings} findings, {options.files / seconds:.0f} files/s"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
