"""Mutation-based fuzzing of what RESTORE takes: `python tests/persist/fuzz.py --payloads 1000000 --seed 0`.

Every payload is wounded and mostly signed anew, so that the wound reaches the codec. It must give a value that stays
the same when it is written and read again, or one of the two refusals; nothing else may be raised, and nothing may
grow beyond what so many bytes can hold. What is taken, a real server that checks deeply
(`sanitize-dump-payload yes`) must take for the same: with `--beside redis` or `--beside valkey` it is asked.

A finding prints the payload and its number, which with the seed makes it again; the exit code is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import redis

sys.path[:0] = [str(pathlib.Path(__file__).parents[1])]

from persist.corpus import contents, every_form, signed  # noqa: E402
from persist.real_dumps import real_dumps  # noqa: E402
from real_redis import real_redis  # noqa: E402

from ringkeeper import _compiled  # noqa: E402
from ringkeeper.persist.payload import BAD_DATA, FOOTER, WRONG_FOOTER, dump, restore  # noqa: E402
from ringkeeper.resp.values import ReplyError  # noqa: E402
from ringkeeper.types.collection import Limits  # noqa: E402

LIMITS = Limits()
ROOM = 1 << 17
"""Bytes that compressed strings may grow to: what a value may take follows from it."""
MOST_BYTES = 400
"""An element of one byte takes no more, whatever it is an element of."""
LONGEST = 3000
MEMORY = 3 << 30
"""Bytes of address space that the fuzzer may have: what reserves by an announced length meets this limit."""
TOKENS = (
    b"\x00", b"\x01", b"\x02", b"\x3f", b"\x40", b"\x7f\xff", b"\x80\xff\xff\xff\xff", b"\x80\x00\x00\x00\x01",
    b"\x81\xff\xff\xff\xff\xff\xff\xff\xff", b"\x81\x00\x00\x00\x00\x7f\xff\xff\xff", b"\xc0\x00", b"\xc1\xff\xff",
    b"\xc2\x00\x00\x00\x80", b"\xc3\x04\x40\xff\xe0\xff\x00\x00", b"\xc4", b"\xfd", b"\xfe", b"\xff", b"\xff" * 8,
    b"\x00\x00\x00\x00\x00\x00\xf0\x7f", b"\x00\x00\x00\x00\x00\x00\xf8\x7f", b"\xf0\xff\xff\xff\xff", b"\x7f" * 4,
    b"\x00\x00\x00\x80", b"\xff\xff\xff\x7f", b"\xff\xff",
)  # fmt: skip
FORMS = bytes(range(24))
PADDING = b"\xff" * 300
COMMON = (*range(6), *range(9, 15), 16, 17, 18)
KNOWN_TO = {"redis": bytes(COMMON), "valkey": bytes([*COMMON, 20, 22])}
"""The forms that each reads of those that are read here."""


@dataclass(frozen=True, slots=True)
class Finding:
    number: int
    payload: bytes
    what: str


def mutate(rng: random.Random, corpus: Sequence[bytes]) -> bytes:
    """A payload with up to four wounds, signed anew but for one in twenty."""
    whole = rng.choice(corpus)
    body = bytearray(whole[:-FOOTER])
    if rng.random() < 0.02:
        body = bytearray(rng.choice(FORMS).to_bytes(1, "little") + rng.randbytes(rng.randrange(40)))
    wound(rng, body)
    if rng.random() < 0.05:
        return bytes(body) + whole[-FOOTER:]
    return signed(bytes(body), rng.choice([9, 10, 11, 11, 80, 80, 80]))


def wound(rng: random.Random, body: bytearray) -> None:
    """Up to four times."""
    for _ in range(rng.randrange(1, 5)):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(8):
            case 0 | 1:
                body[at : at + 1] = rng.randbytes(1)
            case 2:
                body[at : at + rng.randrange(9)] = rng.choice(TOKENS)
            case 3:
                del body[at : at + rng.randrange(1, 9)]
            case 4:
                body[at:at] = body[max(0, at - rng.randrange(1, 30)) : at]
            case 5:
                body[:1] = rng.choice(FORMS).to_bytes(1, "little")
            case 6 if at < len(body):
                body[at] ^= 1 << rng.randrange(8)
            case 7 if rng.random() < 0.2:
                del body[at:]


def examine(payload: bytes) -> str | None:
    """What is wrong with how this payload is taken."""
    try:
        value = restore(payload, LIMITS, ROOM)
    except ReplyError as error:
        return None if error.text in (BAD_DATA, WRONG_FOOTER) else f"refused in the words {error.text!r}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    try:
        held = contents(value)
        if contents(restore(dump(value), LIMITS, ROOM)) != held:
            return "is another value when it is written and read again"
    except Exception as error:
        return f"gives a value that fails: {type(error).__name__}: {error}"
    size = len(value) if isinstance(value, (bytes, bytearray)) else value.memory
    return f"takes {size} bytes" if size > 2000 + MOST_BYTES * (len(payload) + ROOM) else None


def fuzz(
    payloads: int, seed: int, corpus: Sequence[bytes], first: int = 0, ask: Callable[[bytes], str | None] = examine
) -> Iterator[Finding]:
    """Every payload is made from the seed and its own number, so that a finding can be made again alone."""
    corpus = [payload for payload in corpus if len(payload) < LONGEST]
    for number in range(first, first + payloads):
        payload = mutate(random.Random(f"{seed}/{number}"), corpus)
        if what := ask(payload):
            yield Finding(number, payload, what)


@contextlib.contextmanager
def beside(name: str, folder: pathlib.Path) -> Iterator[Callable[[bytes], str | None]]:
    """An examination that asks a real server, too: of the forms that it knows."""
    with real_redis(folder, name, "--sanitize-dump-payload", "yes") as port:
        client = redis.Redis(port=port)

        def ask(payload: bytes) -> str | None:
            # Where a value ends too early, a real server reads on into the footer.
            payload = signed(payload[:-FOOTER] + PADDING)
            if what := examine(payload):
                return what
            try:
                ours = contents(restore(payload, LIMITS, ROOM))
                if payload[0] not in KNOWN_TO[name]:
                    return None
            except ReplyError:
                return None  # nor ask: announced lengths alone can make a real server stand still
            try:
                client.restore("key", 0, payload, replace=True)
                theirs = contents(restore(client.dump("key"), LIMITS))
            except redis.ResponseError as error:
                theirs = str(error)
            return None if ours == theirs else f"{name}: {theirs!r:.300}\nours:  {ours!r:.300}"

        yield ask


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz RESTORE's payloads.")
    parser.add_argument("--payloads", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first payload, to make a finding again")
    parser.add_argument("--beside", choices=sorted(KNOWN_TO), help="ask this real server, too")
    parser.add_argument("--findings", type=int, default=20)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    started = time.perf_counter()
    findings = 0
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        corpus = [example.payload for example in every_form()] + real_dumps(folder)
        ask = stack.enter_context(beside(options.beside, folder)) if options.beside else examine
        for finding in fuzz(options.payloads, options.seed, corpus, options.first, ask):
            findings += 1
            print(f"payload {finding.number}: {finding.payload!r}\n{finding.what}\n")
            if findings == options.findings:
                print(f"stopping at {findings} findings")
                break
    seconds = time.perf_counter() - started
    print(
        f"{_compiled.form('ringkeeper.persist.reader')}: {options.payloads} payloads (seed {options.seed}): "
        f"{findings} findings, {options.payloads / seconds:.0f} payloads/s"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
