"""Kills a server amid random writes, starts it again and compares, again and again."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from crash.client import Connection, Control, run_until
from crash.commands import DATABASES, Generator
from crash.history import History, in_order, is_refused
from crash.subjects import Node, Subject, kill, log_of, ready

CLIENTS = 4
EVERYSEC_MS = 2000
"""What was acknowledged so long before the crash is not to be lost."""
LATE_MS = 300
"""How late a busy node may notice that its disk is."""
OFTEN = 0.005
"""Seconds between two looks at what a disturbance has come to."""
CONTROL = b"control"
"""A key of the control connection."""

Required = Callable[["Trial", float], float]
"""What was answered before this time, in Unix ms, must be there when the server was killed at that time."""
Poll = Callable[[], bool]
"""Goes on with something; whether there is more to come."""
Disturbance = Callable[["Trial", Control], "Poll | None"]
"""Something that happens amid the writes."""


def all_answered(_: Trial, __: float) -> float:
    return math.inf


def answered_for_two_seconds(_: Trial, killed: float) -> float:
    return killed - EVERYSEC_MS


def two_seconds_of_answers(trial: Trial, _: float) -> float:
    """On a disk that stalls: no more may be lost than was answered in two seconds, whenever that was."""
    times = [step.earliest for history in trial.histories for step in history.steps if step.answered is not None]
    return max(times, default=0) - EVERYSEC_MS - LATE_MS


def what_is_safe(trial: Trial, _: float) -> float:
    return trial.safe


@dataclass
class Tally:
    """What many cycles came to."""

    cycles: int = 0
    steps: int = 0
    answered: int = 0
    required: int = 0
    """Steps that had to survive."""
    kept: int = 0
    """Steps that did, for certain."""
    forgotten: int = 0
    """Bytes that the disk forgot."""
    starts: int = 0
    bases: int = 0
    """Rewrites that came to their end."""
    snapshots: int = 0
    refused: int = 0
    """Steps that were answered so because of the disk."""
    healed: int = 0
    """How often the disk was well again before the kill."""


@dataclass
class Trial:
    """A server on its folder, and the clients that write to it."""

    subject: Subject
    random: Random
    required: Required
    disturb: Sequence[Disturbance] = ()
    """One of them happens amid each cycle."""
    filling: int = 0
    """Keys beside those of the clients, so that loading takes its time."""
    killed_loading: float = 0.0
    """How often a start is cut short by a kill."""
    ends_by: signal.Signals = signal.SIGKILL
    tally: Tally = field(default_factory=Tally)
    safe: float = 0
    """What was answered before this time must be there, as far as `disturb` knows."""

    def __post_init__(self) -> None:
        self.histories = [History(b"c%d:" % number) for number in range(CLIENTS)]
        self.generators = [Generator(Random(self.random.random()), number) for number in range(CLIENTS)]

    def begin(self) -> None:
        while True:
            self.subject.start()
            self.tally.starts += 1
            if not self.tally.cycles or self.random.random() >= self.killed_loading:
                break
            time.sleep(self.random.uniform(0, 0.2))
            self.kill()
        self.control = ready(self.subject)

    def fill(self) -> None:
        words = [word for number in range(self.filling) for word in (b"filling%d" % number, b"%d" % number)]
        if words:
            self.control.run([[b"SELECT", b"%d" % DATABASES], [b"MSET", *words]])

    def cycle(self, seconds: float) -> None:
        """Write for so long, kill, start again; raises `Lost`."""
        connections = [
            Connection(*pair, Random(self.random.random()))
            for pair in zip(self.histories, self.generators, strict=True)
        ]
        for connection in connections:
            connection.open(self.subject.port)
        self.safe = 0
        killed = run_until(connections, self.clock(seconds), self.kill)
        self.control.close()
        self.begin()
        self.compare(killed)

    def clock(self, seconds: float) -> Callable[[], bool]:
        """Says whether the cycle is over; what is to happen amid it happens there."""
        began = time.monotonic()
        at = self.random.uniform(0, seconds) if self.disturb else math.inf
        poll: Poll | None = None
        looked = 0.0

        def over() -> bool:
            nonlocal at, poll, looked
            passed = time.monotonic() - began
            if passed >= at:
                at = math.inf
                poll = self.random.choice(self.disturb)(self, self.control)
            elif poll is not None and passed - looked >= OFTEN:
                looked = passed
                poll = poll if poll() else None
            return passed >= seconds

        return over

    def kill(self) -> None:
        code = kill(self.subject, self.ends_by)
        assert code == (0 if self.ends_by == signal.SIGTERM else -self.ends_by), log_of(self.subject)
        told = log_of(self.subject)
        self.tally.bases += told.count("rewrite finished successfully")
        self.tally.healed += told.count("can be written again")
        self.tally.snapshots += told.count("DB saved on disk")
        if isinstance(self.subject, Node):
            self.tally.forgotten += self.subject.forget(self.random)

    def compare(self, killed: float) -> None:
        found, now = self.control.everything()
        found.pop((0, CONTROL), None)
        moment = self.required(self, killed)
        required = [history.answered_before(moment) for history in self.histories]
        fitting = [
            history.survived(found, least, killed, now) for history, least in zip(self.histories, required, strict=True)
        ]
        in_order(self.histories, fitting)
        strangers = [place for place in found if not any(history.owns(place) for history in self.histories)]
        assert not strangers, strangers
        assert self.control.run([[b"SELECT", b"%d" % DATABASES], [b"DBSIZE"]])[1] == self.filling
        self.tally.cycles += 1
        self.tally.required += sum(required)
        for history, counts in zip(self.histories, fitting, strict=True):
            self.tally.steps += len(history.steps)
            self.tally.answered += history.answered_before(math.inf)
            self.tally.kept += counts[0]
            self.tally.refused += sum(is_refused(step.reply) for step in history.steps)
            history.settle(found)

    def end(self) -> None:
        with contextlib.suppress(AttributeError):
            self.control.close()
        if self.subject.pid:
            kill(self.subject)


def run(trial: Trial, cycles: int, longest: float = 0.2, shortest: float = 0.02) -> Tally:
    """So many cycles, each of them so many seconds long."""
    try:
        trial.begin()
        trial.fill()
        for _ in range(cycles):
            trial.cycle(trial.random.uniform(shortest, longest))
    finally:
        trial.end()
    return trial.tally
