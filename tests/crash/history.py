"""What one client sent, what was answered when, and which of it a restarted server must hold, may hold, or lost.

A server keeps a client's steps up to some point: what it holds must be what the first n of them make, for an n that
takes in all that had to be safe. A step is a command or a transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from crash.model import Words
from crash.states import NO_REPLY, NOTHING, Held, Keys, Place, Span

from ringkeeper.resp.values import ReplyError

Found = dict[Place, Held]
"""What a restarted server holds."""


def is_refused(reply: Any) -> bool:
    """Whether a server would not do something because of its disk."""
    return isinstance(reply, ReplyError) and reply.text.startswith(("MISCONF", "EXECABORT"))


@dataclass(slots=True)
class Step:
    """Times in Unix milliseconds."""

    database: int
    commands: list[Words]
    sent: float
    answered: float | None = None
    reply: Any = NO_REPLY
    earliest: float = 0.0
    """It was not answered before."""

    def run(self, keys: Keys, last: float) -> set[Place]:
        """Do it to the keys; the places that changed. `last`: when it must have happened, if it was not answered."""
        if is_refused(self.reply):
            return set()
        now = Span(self.sent, last if self.answered is None else self.answered)
        if len(self.commands) == 1:
            return keys.execute(self.database, self.commands[0], now, self.reply)
        assert not isinstance(self.reply, ReplyError), f"{self.commands}: {self.reply.text}"
        replies = [NO_REPLY] * len(self.commands) if self.reply is NO_REPLY else self.reply
        changed: set[Place] = set()
        for command, reply in zip(self.commands, replies, strict=True):
            changed |= keys.execute(self.database, command, now, reply)
        return changed


class Lost(AssertionError):
    """A server does not hold what it must."""


class History:
    """Of one client, since the last time that everything was looked at."""

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        """All its keys begin with it."""
        self.start: Found = {}
        self.steps: list[Step] = []

    def owns(self, place: Place) -> bool:
        return place[1].startswith(self.prefix)

    def answered_before(self, time: float) -> int:
        """Steps."""
        return sum(step.answered is not None and step.answered < time for step in self.steps)

    def survived(self, found: Found, required: int, killed: float, now: Span) -> list[int]:
        """The numbers of steps that explain what is there, `required` being the least that must be.

        Raises `Lost`. `now`: the time in which it was looked at.
        """
        fitting: list[int] = []
        closest: tuple[int, int, set[Place]] | None = None
        for count, wrong in self.mismatches(found, killed, now):
            if not wrong and count >= required:
                fitting.append(count)
            elif closest is None or (len(wrong), -count) < (closest[0], -closest[1]):
                closest = len(wrong), count, set(wrong)
        if not fitting:
            assert closest is not None
            raise Lost(self.explain(found, required, closest[1], closest[2], killed))
        return fitting

    def mismatches(self, found: Found, killed: float, now: Span) -> Iterator[tuple[int, set[Place]]]:
        """After each number of steps: the places that do not hold what they should. O(steps)."""
        keys = Keys({place: [held] for place, held in self.start.items()})

        def is_wrong(place: Place) -> bool:
            held = found.get(place)
            return not any(held is None if state is None else state.explains(held, now) for state in keys.of(place))

        places = {place for place in (*self.start, *found) if self.owns(place)}
        wrong = {place for place in places if is_wrong(place)}
        yield 0, wrong
        for count, step in enumerate(self.steps, 1):
            for place in step.run(keys, killed):
                wrong.discard(place)
                if is_wrong(place):
                    wrong.add(place)
            yield count, wrong

    def explain(self, found: Found, required: int, count: int, wrong: set[Place], killed: float) -> str:
        """Words for a person: the number of steps that come closest, and what is amiss then."""
        keys = Keys({place: [held] for place, held in self.start.items()})
        for step in self.steps[:count]:
            step.run(keys, killed)
        lines = [
            f"client {self.prefix.decode()}: {len(self.steps)} steps were sent, the first {required} must be there; "
            f"closest is the state after {count}, killed at {killed:.0f}",
        ]
        for place in sorted(wrong)[:3]:
            lines.append(f"  {place} holds {found.get(place)!r:.400}")
            lines.append(f"    and not {keys.keys.get(place, NOTHING)!r:.400}")
            about = [step for step in self.steps if any(place[1] in command for command in step.commands)]
            lines += [f"    {self.steps.index(step) + 1}: {step!r:.300}" for step in about[-6:]]
        return "\n".join(lines)

    def settle(self, found: Found) -> None:
        """Go on from what is there."""
        self.start = {place: held for place, held in found.items() if self.owns(place)}
        self.steps = []


def in_order(histories: list[History], fitting: list[list[int]]) -> None:
    """What was answered before something was sent that survived, survived. Raises `Lost`."""
    for history, counts in zip(histories, fitting, strict=True):
        if least := counts[0]:
            sent = history.steps[least - 1].sent
            for other, others in zip(histories, fitting, strict=True):
                if (before := other.answered_before(sent)) > others[-1]:
                    raise Lost(
                        f"step {least} of {history.prefix.decode()} is there, and of {other.prefix.decode()} only "
                        f"{others[-1]} steps of the {before} that were answered before it was sent"
                    )


Required = Callable[[History], int]
"""How many of a client's steps must be there."""
