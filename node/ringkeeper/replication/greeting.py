"""How a replica introduces itself to its master, and what it then receives: the replica's side of PSYNC. Pure.

    greeting -> PSYNC -> full sync: announcement -> payload -> stream
                      -> +CONTINUE                           -> stream

A master that has to make a snapshot first sends line feeds meanwhile. A payload comes with its length, or ends with a
mark of 40 bytes that was announced. Source: `replication.c` of Redis 7.0, `readSyncBulkPayload`.

Between nodes the mark names the snapshot as well. A replica that has the beginning of one says so in its greeting
(`REPLCONF snapshot-part MARK:BYTES`; a Redis answers that with an error, and sends all), and the rest is announced as
`$REST:MARK:BYTES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ringkeeper.resp.writer import encode_command

LONGEST_LINE = 1024
MARK_BYTES = 40
REST = b"$REST:"


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the greeting."""

    words: Sequence[bytes]
    name: str
    needed: bool = True
    """An error ends the attempt; else it only means that the master is older."""


@dataclass(frozen=True, slots=True)
class Welcomed:
    """A step of the greeting was answered."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Full:
    """The master begins a full sync: this is its history and offset at the snapshot."""

    id: str
    offset: int


@dataclass(frozen=True, slots=True)
class Announced:
    """The snapshot begins; its bytes, or -1 where a mark will end it."""

    size: int
    mark: bytes = b""
    begin: int = 0
    """How much of it the replica has already."""


@dataclass(frozen=True, slots=True)
class Payload:
    data: bytes


@dataclass(frozen=True, slots=True)
class PayloadEnd:
    pass


@dataclass(frozen=True, slots=True)
class Continued:
    """The stream goes on behind what the replica has, in a history of this id; empty where the master names none."""

    id: str


@dataclass(frozen=True, slots=True)
class Stream:
    data: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing comes of this connection; why."""

    text: str


Event = Welcomed | Full | Announced | Payload | PayloadEnd | Continued | Stream | Refused


class Greeting:
    """One a connection. `sent` is what to send; `receive` takes bytes and says what they mean."""

    def __init__(self, steps: Iterable[Step], id_: str, offset: int) -> None:
        """`id_` and `offset` are the replica's own history; without an id it asks for all."""
        self.steps = list(steps)
        wanted = (id_.encode(), b"%d" % (offset + 1)) if id_ else (b"?", b"-1")
        self.steps.append(Step([b"PSYNC", *wanted], "psync"))
        self.state = "greeting"
        self.rest = b""
        self.missing = 0
        """Bytes of the payload that have not come."""
        self.mark = b""

    def opening(self) -> bytes:
        """What to send first."""
        return encode_command(list(self.steps[0].words))

    def receive(self, data: bytes) -> tuple[list[Event], bytes]:
        """What has come, and what to send now."""
        events: list[Event] = []
        answer = b""
        if self.state == "stream":
            return [Stream(data)], b""
        self.rest += data
        while self.rest and self.state != "over":
            if self.state == "stream":
                events.append(Stream(self.rest))
                self.rest = b""
            elif self.state == "payload":
                if not self.take_payload(events):
                    break
            else:
                line, separator, rest = self.rest.partition(b"\n")
                if not separator:
                    if len(line) > LONGEST_LINE:
                        self.refuse(events, "the master sent a line without end")
                    break
                self.rest = rest
                answer += self.take_line(line.rstrip(b"\r"), events)
        return events, answer

    def refuse(self, events: list[Event], text: str) -> None:
        self.state = "over"
        events.append(Refused(text))

    def take_line(self, line: bytes, events: list[Event]) -> bytes:
        if not line:
            return b""
        text = line.decode("utf-8", "replace")
        if self.state == "announcement":
            self.announce(line, text, events)
            return b""
        step = self.steps.pop(0)
        if not self.steps:
            self.synchronise(text, events)
            return b""
        if text.startswith("-") and step.needed:
            self.refuse(events, text[1:])
            return b""
        events.append(Welcomed(step.name, text))
        return encode_command(list(self.steps[0].words))

    def synchronise(self, text: str, events: list[Event]) -> None:
        """The answer to PSYNC."""
        words = text.split()
        if words[:1] == ["+FULLRESYNC"] and len(words) == 3 and len(words[1]) == 40 and words[2].isdecimal():
            self.state = "announcement"
            events.append(Full(words[1], int(words[2])))
        elif words[:1] == ["+CONTINUE"]:
            self.state = "stream"
            events.append(Continued(words[1] if len(words) > 1 and len(words[1]) == 40 else ""))
        else:
            self.refuse(events, text.removeprefix("-"))

    def announce(self, line: bytes, text: str, events: list[Event]) -> None:
        begin = 0
        if line.startswith(b"$EOF:") and len(line) == 5 + MARK_BYTES:
            self.mark, self.missing = line[5:], -1
        elif line.startswith(REST) and (part := part_of(line.removeprefix(REST))) is not None:
            (self.mark, begin), self.missing = part, -1
        elif line.startswith(b"$") and line[1:].isdigit() and len(line) < 20:
            self.missing = int(line[1:])
        else:
            self.refuse(events, f"instead of a snapshot it sent {text[:200]!r}")
            return
        self.state = "payload"
        events.append(Announced(self.missing, self.mark, begin))
        if not self.missing:
            self.end_payload(events)

    def take_payload(self, events: list[Event]) -> bool:
        """Whether there may be more to take."""
        if self.missing >= 0:
            data, self.rest = self.rest[: self.missing], self.rest[self.missing :]
            self.missing -= len(data)
            events.append(Payload(data))
            if not self.missing:
                self.end_payload(events)
            return True
        end = self.rest.find(self.mark)
        kept = MARK_BYTES - 1 if end < 0 else 0
        data = self.rest[: len(self.rest) - kept] if end < 0 else self.rest[:end]
        if len(self.rest) <= kept:
            return False
        if data:
            events.append(Payload(data))
        self.rest = self.rest[len(data) :] if end < 0 else self.rest[end + MARK_BYTES :]
        if end >= 0:
            self.end_payload(events)
        return end >= 0

    def end_payload(self, events: list[Event]) -> None:
        self.state = "stream"
        events.append(PayloadEnd())


def part_of(value: bytes) -> tuple[bytes, int] | None:
    """The mark of a snapshot and a number of bytes of it, from `MARK:BYTES`; None for anything else."""
    mark, colon, count = value.partition(b":")
    if not colon or len(mark) != MARK_BYTES or not count.isdigit() or len(count) >= 20:
        return None
    return mark, int(count)
