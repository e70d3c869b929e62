"""What a command answers when it has to wait, and how its timeout is read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ringkeeper.commands import long_double
from ringkeeper.commands.context import Context
from ringkeeper.resp.values import NULL_ARRAY, ReplyError

INT64_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Blocked:
    """Instead of a reply: run the command again when one of the keys holds a value of the right kind.

    The server keeps the session waiting, in the order of arrival for each key, and runs the command's function anew
    with the same words when its turn has come.
    """

    keys: tuple[bytes, ...]
    kind: type
    """The collection that the command needs under a key; what else is put there wakes nobody."""
    deadline_ms: int
    """Unix time; 0 means never. A command that runs again keeps the deadline of the first time."""
    on_timeout: Any = NULL_ARRAY
    """The reply when the deadline comes first."""
    in_transaction: Any = NULL_ARRAY
    """The reply within a transaction, where nothing waits. Redis's BLMOVE has another null there."""


def deadline(context: Context, word: bytes) -> int:
    """A timeout in seconds, with a fraction, as a Unix time in milliseconds; 0 for a timeout of 0.

    Raises Redis's own errors (https://redis.io/docs/latest/commands/blpop/).
    """
    try:
        number = long_double.parse(word)
    except ValueError:
        raise ReplyError("ERR timeout is not a float or out of range") from None
    if number is None:
        raise ReplyError("ERR timeout is out of range")
    milliseconds = math.ceil(long_double.as_fraction(number) * 1000)
    if milliseconds < 0:
        raise ReplyError("ERR timeout is negative")
    if milliseconds == 0:
        return 0
    now: int = context.keyspace.clock.now_ms
    if milliseconds > INT64_MAX - now:
        raise ReplyError("ERR timeout is out of range")
    return now + milliseconds
