"""Loads a dump into a cluster: reads some keys, sends them while it reads the next, and notes how far it is.

A key is sent as one RESTORE, which makes it whole or not at all. Not more than two rounds of keys are in memory, and
the largest value of the dump.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ringkeeper.commands.glob import Glob
from ringkeeper.persist.payload import dump
from ringkeeper.persist.rdb import Damaged, RdbReader
from ringkeeper.persist.rdb import Record as Kind
from ringkeeper.persist.reader import Reader, Source
from ringkeeper.resp.values import ReplyError
from ringkeeper.resp.writer import encode_command
from ringkeeper.store.slot import key_slot
from ringkeeper.types.collection import Limits
from ringkeeper_operator.runtime.import_state import Figures, Keeper, Place, Record
from ringkeeper_operator.runtime.redis_nodes import Nodes, Request, shown

ROUND_KEYS: Final = 2000
ROUND_BYTES: Final = 1 << 20
ROUND_RECORDS: Final = 20_000
"""Read at most for a round, where few of them are wanted."""
TURN_RECORDS: Final = 100
"""Read before the sockets have a turn."""
AHEAD_BYTES: Final = 8 << 20
"""Of the dump, that are noted as sent before they are, so that this need not be noted for every round."""
SAVE_SECONDS: Final = 1.0
LONGEST_ARGUMENT: Final = 512 << 20
"""Bytes: what a server takes as one (`proto-max-bulk-len`)."""

Existing = Literal["stop", "replace", "skip"]


class Stopped(Exception):
    """The load cannot go on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which keys are loaded, and how."""

    existing: Existing = "stop"
    """What is done about a key of the same name."""
    database: int | None = None
    """The only one that is taken; all, if it is None."""
    pattern: str | None = None
    unsupported: Literal["refuse", "skip"] = "refuse"

    def options(self) -> dict[str, Any]:
        """Those in which two loads cannot differ of which one goes on where the other stopped."""
        return {"--db": self.database, "--match": self.pattern}


@dataclass(slots=True)
class Round:
    """What is sent together."""

    requests: list[Request] = field(default_factory=list)
    bytes: int = 0
    figures: Figures = field(default_factory=Figures)
    """Of what is not sent; complete when the replies have come."""
    end: Place = field(default_factory=Place)


class Import:
    """One load of one dump."""

    def __init__(
        self,
        source: Source,
        record: Record,
        choice: Choice,
        nodes: Nodes,
        keeper: Keeper | None,
        *,
        tell: Callable[[Import], None] = lambda _: None,
        rate: int = 0,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """Without a `keeper`, only count what would be sent. `tell` is called now and then; `rate` is keys/s, or 0."""
        self.record = record
        self.choice = choice
        self.nodes = nodes
        self.keeper = keeper
        self.tell = tell
        self.rate = rate
        self.now_ms = now_ms
        self.glob = None if choice.pattern is None else Glob(choice.pattern.encode())
        self.overlap = record.sent_to
        """An earlier run may have sent what stands before this byte."""
        self.foreign = {key.encode("latin-1") for key in record.foreign}
        self.figures = record.figures + Figures()
        """Of all that is known to have been done; the record's are behind."""
        self.by_node: Counter[str] = Counter()
        self.complete = False
        """All that the dump holds is in the cluster."""
        self.damage: Damaged | None = None
        self._at_end = False
        self.reader = self._reader(source, int(record.dump["bytes"]))
        self._saved = time.monotonic()
        self._began = time.monotonic()
        self._before = record.figures.seconds
        self._sent = 0

    def _reader(self, source: Source, size: int) -> RdbReader:
        place = self.record.place
        passing = self.choice.unsupported == "skip"
        reader = RdbReader(Reader.of_file(source, size, place.at), Limits(), passing)
        if place.at:
            reader.go_on(place.version, place.database, place.checksum)
        return reader

    async def run(self, stop: asyncio.Event) -> None:
        """To the dump's end, or until `stop`. Raises `Stopped`, `Damaged`, `Refused` or `Unserved`."""
        try:
            if not self.record.place.at:
                self._open()
            await self._rounds(stop)
            if self.damage is not None:
                raise self.damage
        finally:
            self.figures.seconds = self.record.figures.seconds = self._before + time.monotonic() - self._began
            self._save()

    def _open(self) -> None:
        self.reader.open()
        self.record.place = self._place()

    def _place(self) -> Place:
        reader = self.reader
        return Place(reader.reader.at, reader.version, int(reader.database), reader.reader.checksum())

    async def _rounds(self, stop: asyncio.Event) -> None:
        """Read each while the one before it is on its way."""
        sending: asyncio.Task[None] | None = None
        sent = Round(end=self.record.place)
        try:
            while not (self._at_end or self.damage or stop.is_set()):
                read = await self._read()
                if sending is not None:
                    await sending
                    self._settle(sent)
                    sending = None
                if stop.is_set():
                    return
                self._announce(read)
                sent, sending = read, asyncio.create_task(self._send(read))
            if sending is not None:
                await sending
                self._settle(sent)
            self.complete = self._at_end
        finally:
            if sending is not None:
                sending.cancel()
            self.record.sent_to = max(self.overlap, sent.end.at)

    # Reading

    async def _read(self) -> Round:
        """The next keys; the last ones if the end or `damage` was come to."""
        read = Round()
        before = self.reader.empty
        records = 0
        keys = min(ROUND_KEYS, max(self.rate // 10, 1)) if self.rate else ROUND_KEYS
        try:
            while len(read.requests) < keys and read.bytes < ROUND_BYTES and records < ROUND_RECORDS:
                records += 1
                if records % TURN_RECORDS == 0:
                    await asyncio.sleep(0)
                kind = self.reader.next()
                if kind == Kind.ENTRY:
                    self._entry(read)
                elif kind == Kind.PASSED:
                    read.figures.unsupported += 1
                elif kind == Kind.END:
                    self._at_end = True
                    break
        except Damaged as damage:
            self.damage = damage
        read.figures.empty = int(self.reader.empty) - int(before)
        read.end = self._place()
        return read

    def _entry(self, read: Round) -> None:
        reader = self.reader
        key: bytes = reader.key
        if (self.choice.database is not None and reader.database != self.choice.database) or (
            self.glob is not None and not self.glob.match(key)
        ):
            read.figures.unwanted += 1
        elif reader.expires_at != -1 and reader.expires_at <= self.now_ms():
            read.figures.expired += 1
        else:
            payload = dump(reader.value)
            if len(payload) > LONGEST_ARGUMENT:
                self._too_long(read, key, len(payload))
                return
            repeated = reader.began < self.overlap and key not in self.foreign
            request = Request(key, key_slot(key), self._command(key, payload), repeated)
            read.requests.append(request)
            read.bytes += len(request.command)

    def _too_long(self, read: Round, key: bytes, size: int) -> None:
        if self.choice.unsupported == "refuse":
            raise Damaged(
                self.reader.began,
                f"the value of key {key[:100]!r} takes {size:,} bytes, more than a server takes at once; "
                "--skip-unsupported leaves it out",
            )
        read.figures.unsupported += 1

    def _command(self, key: bytes, payload: bytes) -> bytes:
        reader = self.reader
        words = [b"RESTORE", key, b"%d" % max(reader.expires_at, 0), payload, b"ABSTTL"]
        if self.choice.existing == "replace":
            words.append(b"REPLACE")
        if reader.frequency >= 0:
            words += (b"FREQ", b"%d" % reader.frequency)
        elif reader.idle_ms > 0:
            words += (b"IDLETIME", b"%d" % (reader.idle_ms // 1000))
        return encode_command(words)

    # Sending

    async def _send(self, sent: Round) -> None:
        if self.keeper is None:
            return
        self._sent += len(sent.requests)
        await self.nodes.carry_out(sent.requests)
        if self.rate:
            await asyncio.sleep(max(0.0, self._began + self._sent / self.rate - time.monotonic()))

    def _settle(self, sent: Round) -> None:
        """Count what came of a round, and note that it is done; raises `Stopped` if not all of it is."""
        done = Figures()
        failures = {request.key: text for request in sent.requests if (text := self._count(request, done))}
        self.figures += done + sent.figures
        self.record.foreign = [key.decode("latin-1") for key in self.foreign]
        if failures:
            raise Stopped(next(iter(failures.values())))
        self.record.figures = self.figures + Figures()
        self.record.place = sent.end
        if time.monotonic() - self._saved > SAVE_SECONDS:
            self._save()
        self.tell(self)

    def _count(self, request: Request, done: Figures) -> str:
        """What a reply means; a text if it is the end of the load, else empty."""
        reply = request.reply
        where = self.nodes.owners[request.slot] if request.node is None else request.node
        if isinstance(reply, ReplyError):
            if reply.code != "BUSYKEY":
                return refusal(request, reply)
            if self.choice.existing == "skip":
                done.existing += 1
                return ""
            if not request.repeated:
                self.foreign.add(request.key)
                return (
                    f"the cluster has a key {request.key[:100]!r} already; --replace overwrites such keys, "
                    "--skip-existing leaves them as they are"
                )
        done.loaded += 1
        done.bytes += len(request.command)
        if where is not None:
            self.by_node[shown(where)] += 1
        return ""

    def _announce(self, read: Round) -> None:
        """Note that keys are about to be sent, before they are."""
        if read.end.at > self.record.sent_to:
            self.record.sent_to = read.end.at + AHEAD_BYTES
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        self.record.run_ids = self.nodes.run_ids
        if self.keeper is not None:
            self.keeper.write(self.record)


def refusal(request: Request, error: ReplyError) -> str:
    """Why a node did not take a key, for people."""
    key = f"key {request.key[:100]!r}"
    node = shown(request.node) if request.node is not None else "the cluster"
    if error.code == "OOM":
        return f"{node} has no memory left for {key} ({error.text}); give the cluster more, or let it evict"
    if "DUMP payload version" in error.text:
        return (
            f"{node} does not know the form of {key} ({error.text}): it is of a Redis or Valkey older than what the "
            "value needs, as a hash does whose fields expire"
        )
    return f"{node} does not take {key}: {error.text}"
