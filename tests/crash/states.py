"""What the keys of one client may hold: as a rule one thing, several where nobody can know.

A key that expires may or may not have been there still when a command reached it, a command that was not answered may
have popped any member. A reply tells which of those it was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from crash.model import COMMANDS, ERROR, FORGET_EXPIRY, OK, Value, Words

from ringkeeper.resp.values import ReplyError

SLACK_MS = 50
"""How far a server's time may be behind or ahead of the client's: it looks at the clock once for many commands."""

Place = tuple[int, bytes]
"""Database and key."""
NO_REPLY = object()


@dataclass(frozen=True, slots=True)
class Span:
    """When something happened or is to happen, in Unix milliseconds."""

    first: float
    last: float = math.inf

    def later(self, ms: int) -> Span:
        return Span(self.first + ms, self.last + ms)


@dataclass(frozen=True, slots=True)
class Held:
    value: Value
    expires: Span | None = None

    def may_be_gone(self, now: Span) -> bool:
        return self.expires is not None and self.expires.first <= now.last + SLACK_MS

    def may_be_there(self, now: Span) -> bool:
        return self.expires is None or self.expires.last >= now.first - SLACK_MS

    def explains(self, found: Held | None, now: Span) -> bool:
        """Whether this may be what is found."""
        if found is None:
            return self.may_be_gone(now)
        if self.value != found.value or (self.expires is None) != (found.expires is None):
            return False
        if self.expires is None or found.expires is None:
            return True
        return self.expires.first - SLACK_MS <= found.expires.first <= self.expires.last + SLACK_MS


State = Held | None
Possible = list[State]
NOTHING: Possible = [None]


class Keys:
    """What all keys of a client may hold."""

    def __init__(self, keys: dict[Place, Possible]) -> None:
        self.keys = keys

    def of(self, place: Place) -> Possible:
        return self.keys.get(place, NOTHING)

    def known(self, place: Place) -> State:
        """Of a key that never expires soon: there is no doubt about it."""
        possible = self.of(place)
        assert len(possible) == 1, place
        return possible[0]

    def put(self, place: Place, state: State) -> None:
        self.keys[place] = [state]

    def execute(self, database: int, words: Words, now: Span, reply: Any) -> set[Place]:
        """A command has run, unless its reply says otherwise; the keys that it may have changed."""
        if function := MULTIPLE.get(words[0]):
            places, expected = function(self, database, words[1:])
            assert reply is NO_REPLY or matches(reply, expected), f"{words} was answered {reply!r}, not {expected!r}"
            return places
        place = (database, words[1])
        found: Possible = []
        outcomes = [pair for state in self.of(place) for pair in alternatives(state, words, now)]
        for state, expected in outcomes:
            if (reply is NO_REPLY or matches(reply, expected)) and state not in found:
                found.append(state)
        assert found, f"{words} was answered {reply!r}, not any of {[expected for _, expected in outcomes]!r:.1000}"
        self.keys[place] = found
        return {place}


def matches(reply: Any, expected: Any) -> bool:
    if expected is ERROR:
        return isinstance(reply, ReplyError)
    return bool(reply == expected)


def alternatives(state: State, words: Words, now: Span) -> list[tuple[State, Any]]:
    """What may come of a command on a key, and what is answered then."""
    starts: Possible = []
    if state is None or state.may_be_there(now):
        starts.append(state)
    if state is not None and state.may_be_gone(now):
        starts.append(None)
    return [pair for start in starts for pair in outcomes_of(start, words, now)]


def outcomes_of(state: State, words: Words, now: Span) -> list[tuple[State, Any]]:
    name, rest = words[0], words[2:]
    expires = state.expires if state else None
    value = state.value if state else None
    if name in (b"PEXPIRE", b"PEXPIREAT", b"PERSIST"):
        return [expiry(state, name, rest, now)]
    if name == b"SPOP":
        if not value:
            return [(None, None)]
        return [(Held(value - {one}, expires) if len(value) > 1 else None, one) for one in value]
    if name == b"SET" and len(rest) > 1:
        expires = Span(int(rest[2]), int(rest[2])) if rest[1] == b"PXAT" else now.later(int(rest[2]))
        return [(Held(rest[0], expires), OK)]
    value, reply = COMMANDS[name](value, rest)
    if name in FORGET_EXPIRY:
        expires = None
    return [(None if value is None else Held(value, expires), reply)]


def expiry(state: State, name: bytes, rest: Words, now: Span) -> tuple[State, Any]:
    if state is None:
        return None, 0
    if name == b"PERSIST":
        return replace(state, expires=None), int(state.expires is not None)
    ms = int(rest[0])
    return replace(state, expires=now.later(ms) if name == b"PEXPIRE" else Span(ms, ms)), 1


# Commands of several keys, none of which expires soon

Several = tuple[set[Place], Any]


def mset(keys: Keys, database: int, words: Words) -> Several:
    for key, text in zip(words[::2], words[1::2], strict=True):
        keys.put((database, key), Held(text))
    return {(database, key) for key in words[::2]}, OK


def rename(keys: Keys, database: int, words: Words) -> Several:
    old, new = (database, words[0]), (database, words[1])
    state = keys.known(old)
    if state is None:
        return set(), ERROR
    if old != new:
        keys.put(new, state)
        keys.put(old, None)
    return {old, new}, OK


def copy(keys: Keys, database: int, words: Words) -> Several:
    """COPY old new DB number REPLACE."""
    old, new = (database, words[0]), (int(words[3]), words[1])
    state = keys.known(old)
    if old == new:
        return set(), ERROR
    if state is None:
        return set(), 0
    keys.put(new, state)
    return {new}, 1


def move(keys: Keys, database: int, words: Words) -> Several:
    old, new = (database, words[0]), (int(words[1]), words[0])
    state = keys.known(old)
    if old == new:
        return set(), ERROR
    if state is None or keys.known(new) is not None:
        return set(), 0
    keys.put(new, state)
    keys.put(old, None)
    return {old, new}, 1


def changed(keys: Keys, place: Place, command: bytes, words: Words) -> Any:
    """Run a command that stands for a part of another; its reply."""
    ((state, reply),) = outcomes_of(keys.known(place), [command, place[1], *words], Span(0))
    keys.put(place, state)
    return reply


def lmove(keys: Keys, database: int, words: Words) -> Several:
    old, new = (database, words[0]), (database, words[1])
    before = keys.known(old)
    popped = changed(keys, old, b"LPOP" if words[2] == b"LEFT" else b"RPOP", [b"1"])
    if before is None or popped is None:
        return set(), None
    if old == new and len(before.value) == 1:
        keys.put(old, before)  # it was never empty, so it expires when it did
        return {old}, popped[0]
    changed(keys, new, b"LPUSH" if words[3] == b"LEFT" else b"RPUSH", popped)
    return {old, new}, popped[0]


def blpop(keys: Keys, database: int, words: Words) -> Several:
    for key in words[:-1]:
        if popped := changed(keys, (database, key), b"LPOP", [b"1"]):
            return {(database, key)}, [key, popped[0]]
    return set(), None


def smove(keys: Keys, database: int, words: Words) -> Several:
    old, new = (database, words[0]), (database, words[1])
    state = keys.known(old)
    if state is None or words[2] not in state.value:
        return set(), 0
    if old != new:
        changed(keys, old, b"SREM", [words[2]])
        changed(keys, new, b"SADD", [words[2]])
    return {old, new}, 1


def sunionstore(keys: Keys, database: int, words: Words) -> Several:
    states = [keys.known((database, key)) for key in words[1:]]
    union = frozenset().union(*(state.value for state in states if state))
    keys.put((database, words[0]), Held(union) if union else None)
    return {(database, words[0])}, len(union)


MULTIPLE = {
    b"MSET": mset, b"RENAME": rename, b"COPY": copy, b"MOVE": move, b"LMOVE": lmove, b"BLMOVE": lmove,
    b"BLPOP": blpop, b"SMOVE": smove, b"SUNIONSTORE": sunionstore,
}  # fmt: skip
